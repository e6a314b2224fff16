"""The one training loop: what it trains with, what it keeps, what it says."""

import copy
import dataclasses
import inspect
import re

import pytest
import torch

from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.objectives.base import Step
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.objectives.trades import Trades
from thin_ice.randomness import generator
from thin_ice.training.fit import TrainingDiverged, fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.schedules import learning_rate
from thin_ice.training.setting import Setting
from thin_ice.training.state import TrainingState, make_optimizer
from thin_ice.training.validation import score, validate


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "checkpoint", "job")


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first | second)


def seen_images(model, setting, checkpoint):
    """Every batch the network is given, in training mode and in evaluation mode."""
    seen = {True: [], False: []}
    hook = model.register_forward_pre_hook(
        lambda module, inputs: seen[module.training].append(inputs[0].detach().clone())
    )
    fit(model, setting, Hooks(), checkpoint)
    hook.remove()
    return seen[True], seen[False]


def rows_of(images):
    return {tuple(image.flatten().tolist()) for image in images}


def test_training_lowers_the_loss_and_history_says_so(build, setting, checkpoint):
    history = fit(build(0), setting(epochs=8, lr=0.05), Hooks(), checkpoint)
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert history[-1]["train_accuracy"] > history[0]["train_accuracy"]


def test_the_recorded_loss_and_accuracy_are_means_over_samples(build, setting, checkpoint):
    chosen = setting(epochs=1, lr=0.0, momentum=0.0, weight_decay=0.0)
    model = build(0)
    batches, _ = seen_images(copy.deepcopy(model), chosen, checkpoint)
    checkpoint.path.unlink(missing_ok=True)
    (row,) = fit(model, chosen, Hooks(), checkpoint)
    pool = {tuple(x.flatten().tolist()): int(y) for x, y in by_image(chosen.train)}
    losses, hits = [], []
    reference = build(0)
    for images in batches:
        labels = torch.tensor([pool[tuple(x.flatten().tolist())] for x in images])
        logits = reference(images)
        losses += torch.nn.functional.cross_entropy(logits, labels, reduction="none").tolist()
        hits += (logits.argmax(1) == labels).tolist()
    assert row["loss"] == pytest.approx(sum(losses) / 33, rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(sum(hits) / 33)


def by_image(split):
    return zip(split.floats(), split.labels, strict=True)


def test_each_epoch_sees_each_sample_once_in_a_new_order(build, setting, checkpoint):
    chosen = setting(epochs=2)
    trained_on, _ = seen_images(build(0), chosen, checkpoint)
    epochs = [torch.cat(trained_on[:3]), torch.cat(trained_on[3:])]
    assert all(len(epoch) == 33 for epoch in epochs)
    assert all(rows_of(epoch) == rows_of(chosen.train.floats()) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_batches_are_nearly_equal_so_that_none_holds_a_lone_sample(build, setting, checkpoint):
    trained_on, _ = seen_images(build(0), setting(epochs=1, train=33), checkpoint)
    assert [len(batch) for batch in trained_on] == [11, 11, 11]


def test_the_order_of_samples_follows_the_stream(build, setting, tmp_path):
    orders = [
        torch.cat(
            seen_images(
                build(0), setting(epochs=1, stream=stream), Checkpoint(tmp_path / str(i), "job")
            )[0]
        )
        for i, stream in enumerate([(0, "dense"), (0, "dense"), (1, "dense"), (0, "prune")])
    ]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[3])


def test_augmentation_is_on_in_training_and_off_in_validation(build, setting, checkpoint):
    chosen = setting(epochs=1, augment="crop_flip", padding=2)
    trained_on, validated_on = seen_images(build(0), chosen, checkpoint)
    known = rows_of(chosen.train.floats())
    moved = [image for image in rows_of(torch.cat(trained_on)) if image not in known]
    assert len(moved) > 20
    assert rows_of(torch.cat(validated_on)) == rows_of(chosen.validation.floats())


def test_without_augmentation_training_sees_the_images_as_they_are(build, setting, checkpoint):
    chosen = setting(epochs=1, augment="none")
    trained_on, _ = seen_images(build(0), chosen, checkpoint)
    assert rows_of(torch.cat(trained_on)) == rows_of(chosen.train.floats())


def test_the_schedule_s_rate_reaches_the_optimiser_at_every_step(build, setting, checkpoint):
    chosen = setting(epochs=2, lr=0.2, schedule="cosine", warmup=0.5, momentum=0, weight_decay=0)
    model, moves = build(0), []

    class Measure(Hooks):
        """Move over gradient is the rate, for plain SGD."""

        def before_epoch(self, model, epoch, epochs):
            self.bias = model.linear.bias.detach().clone()

        def after_step(self, model):
            bias = model.linear.bias.detach().clone()
            moves.append(((self.bias - bias) / model.linear.bias.grad).median().item())
            self.bias = bias

    history = fit(model, chosen, Measure(), checkpoint)
    expected = [learning_rate(chosen.plan, step, 3) for step in range(6)]
    assert moves == pytest.approx(expected, rel=1e-2)
    assert [row["lr"] for row in history] == [expected[2], expected[5]]


def test_sgd_moves_by_momentum_and_decay(build):
    model = build(0)
    optimizer = make_optimizer(model, Plan(lr=0.5, momentum=0.8, weight_decay=0.1))
    bias = model.linear.bias
    start, gradient = bias.detach().clone(), torch.arange(10.0)
    first = gradient + 0.1 * start
    one = start - 0.5 * first
    two = one - 0.5 * (0.8 * first + gradient + 0.1 * one)
    for expected in (one, two):
        bias.grad = gradient.clone()
        optimizer.step()
        torch.testing.assert_close(bias.detach(), expected)


def test_adam_s_first_step_is_the_rate_along_the_sign(build):
    model = build(0)
    optimizer = make_optimizer(model, Plan(optimizer="adam", lr=0.01, weight_decay=0.0))
    start = model.linear.bias.detach().clone()
    model.linear.bias.grad = torch.arange(10.0) - 4.5
    optimizer.step()
    moved = start - model.linear.bias.detach()
    torch.testing.assert_close(moved, 0.01 * (torch.arange(10.0) - 4.5).sign(), rtol=1e-4, atol=0)


def test_adam_decays_weights_by_adding_to_the_gradient(build):
    model = build(0)
    optimizer = make_optimizer(model, Plan(optimizer="adam", lr=0.01, weight_decay=0.1))
    start = model.linear.bias.detach().clone()
    model.linear.bias.grad = torch.zeros(10)
    optimizer.step()
    moved = start - model.linear.bias.detach()
    torch.testing.assert_close(moved, 0.01 * start.sign(), rtol=1e-4, atol=0)


def test_only_what_is_trainable_is_optimised(build, setting, checkpoint):
    model = build(0)
    model.requires_grad_(False)
    model.linear.requires_grad_(True)
    before = weights(model)
    fit(model, setting(epochs=1, weight_decay=0.1), Hooks(), checkpoint)
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"linear.weight", "linear.bias"}


def test_the_test_split_cannot_reach_the_loop():
    names = [*inspect.signature(fit).parameters, *(f.name for f in dataclasses.fields(Setting))]
    assert not any("test" in name for name in names)
    assert names == [
        *("model", "setting", "hooks", "checkpoint"),
        *("train", "validation", "objective", "threat", "plan", "stream", "teacher", "extra"),
        *("pretrained", "views"),
    ]


@pytest.mark.parametrize("poisoned", [0, 2])
def test_a_loss_that_is_not_finite_stops_training_and_names_the_epoch(
    build, setting, checkpoint, poisoned
):
    class Poison(Hooks):
        """One weight becomes NaN before an epoch."""

        def before_epoch(self, model, epoch, epochs):
            if epoch == poisoned:
                model.linear.weight.data[0, 0] = float("nan")

    with pytest.raises(TrainingDiverged, match=f"nan in epoch {poisoned + 1} "):
        fit(build(0), setting(epochs=4), Poison(), checkpoint)
    if poisoned:
        groups, facts = checkpoint.load()
        assert facts["epoch"] == poisoned
        assert all(tensor.isfinite().all() for tensor in groups["model"].values())


def test_a_huge_rate_is_reported_as_divergence(build, setting, checkpoint):
    with pytest.raises(TrainingDiverged, match=r"in epoch \d+ \(learning rate 1e\+30\)"):
        fit(build(0), setting(lr=1e30, schedule="constant"), Hooks(), checkpoint)


def last_after(build, setting, tmp_path, epochs, **plan):
    """The weights after so many epochs."""
    model = build(0)
    chosen = setting(epochs=epochs, select="last", schedule="constant", **plan)
    fit(model, chosen, Hooks(), Checkpoint(tmp_path / f"last{epochs}", "job"))
    return weights(model)


@pytest.mark.parametrize("objective", [None, PgdAt(steps=1)])
def test_best_ends_with_the_epoch_of_the_highest_validation_accuracy(
    build, setting, tmp_path, objective
):
    plan = {"objective": objective, "lr": 0.2}
    model = build(0)
    chosen = setting(epochs=6, select="best", schedule="constant", **plan)
    history = fit(model, chosen, Hooks(), Checkpoint(tmp_path / "best", "job"))
    names = (["validation_robust"] if objective else []) + ["validation_clean"]
    scores = [[row[name] for name in names] for row in history]
    best = max(range(6), key=lambda epoch: (scores[epoch], epoch)) + 1
    assert best < 6, "the test needs a history whose last epoch is not its best"
    assert same(weights(model), last_after(build, setting, tmp_path, best, **plan))
    assert not same(weights(model), last_after(build, setting, tmp_path, 6, **plan))


class Until(Hooks):
    """No epoch after ``last`` (0-based) may be the best."""

    def __init__(self, last):
        self.last, self.epoch = last, -1

    def after_epoch(self, model, epoch):
        self.epoch = epoch

    @property
    def eligible(self):
        return self.epoch <= self.last


def test_an_epoch_that_is_not_eligible_is_never_the_best(build, setting, tmp_path):
    model, plan = build(0), {"objective": None, "lr": 0.2}
    chosen = setting(epochs=6, select="best", schedule="constant", **plan)
    fit(model, chosen, Until(0), Checkpoint(tmp_path / "first", "job"))
    assert same(weights(model), last_after(build, setting, tmp_path, 1, **plan))


def test_without_an_eligible_epoch_the_stage_ends_with_the_last(build, setting, tmp_path):
    model, plan = build(0), {"objective": None, "lr": 0.2}
    chosen = setting(epochs=6, select="best", schedule="constant", **plan)
    fit(model, chosen, Until(-1), Checkpoint(tmp_path / "none", "job"))
    assert same(weights(model), last_after(build, setting, tmp_path, 6, **plan))


def test_of_equal_scores_the_later_epoch_wins(build):
    model = build(0)
    state = TrainingState(model, make_optimizer(model, Plan()))
    for epoch, accuracy in enumerate([0.5, 0.7, 0.6, 0.7, 0.1]):
        with torch.no_grad():
            model.linear.bias.fill_(epoch)
        state.record({"epoch": epoch + 1}, [accuracy, 0.0])
    assert state.best_weights["linear.bias"].unique().item() == 3
    assert state.epoch == 5


def test_an_epoch_without_validation_is_never_the_best(build):
    model = build(0)
    state = TrainingState(model, make_optimizer(model, Plan()))
    state.record({"epoch": 1}, [])
    assert not state.best_weights
    for epoch, accuracies in enumerate([[0.5], [], []], start=1):
        with torch.no_grad():
            model.linear.bias.fill_(epoch)
        state.record({"epoch": epoch + 1}, accuracies)
    assert state.best_weights["linear.bias"].unique().item() == 1


def test_robust_accuracy_decides_before_clean():
    assert score({"validation_clean": 0.9, "validation_robust": 0.4}) == [0.4, 0.9]
    assert score({"validation_clean": 0.9}) == [0.9]
    assert score({}) == []


def test_validation_happens_every_so_often_and_after_the_last_epoch(build, setting, checkpoint):
    history = fit(build(0), setting(epochs=5, validate_every=2), Hooks(), checkpoint)
    validated = [row["epoch"] for row in history if "validation_clean" in row]
    assert validated == [2, 4, 5]


def test_validation_counts_correct_predictions_clean_and_attacked(build, setting):
    model, threat, plain = build(0), ThreatModel("Linf", 0.1), setting()
    split = plain.validation
    for _ in range(20):  # so that batch norm knows these images, and predictions differ
        model(split.floats())
    labels = model.eval()(split.floats()).argmax(1)
    labels[:4] = (labels[:4] + 1) % 10  # 16 of 20 are right
    split, objective = Split(split.images, labels, split.ids), PgdAt(steps=3)
    chosen = dataclasses.replace(plain, validation=split, objective=objective, threat=threat)
    found = validate(model.train(), chosen)
    assert validate(model, chosen) == found
    assert model.training
    step = Step(threat, generator("cpu", *plain.stream, "validation"), 1.0)
    attacked = objective.perturb(model, split.floats(), labels, step)
    hits = int((model.eval()(attacked).argmax(1) == labels).sum())
    assert 0 < hits < 16
    assert found == {"validation_clean": 16 / 20, "validation_robust": hits / 20}


def test_validation_moves_nothing_in_the_network(build, setting):
    model = build(0)
    before = weights(model)
    validate(model, setting(Trades(steps=1)))
    assert same(weights(model), before)
    assert all(p.grad is None for p in model.parameters())


def test_a_natural_objective_has_no_robust_validation(build, setting, checkpoint):
    history = fit(build(0), setting(epochs=1), Hooks(), checkpoint)
    assert "validation_robust" not in history[0]


@pytest.mark.parametrize("objective", [None, Trades(steps=2)])
def test_bfloat16_trains_every_weight_and_leaves_finite_float32(
    build, setting, tmp_path, objective
):
    ended = {}
    for precision in ("float32", "bfloat16"):
        model = build(0)
        chosen = setting(objective, precision=precision, weight_decay=0.0)
        fit(model, chosen, Hooks(), Checkpoint(tmp_path / precision, "job"))
        ended[precision] = model
    initial = build(0).state_dict()
    for name, parameter in ended["bfloat16"].named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.isfinite().all()
        assert not torch.equal(parameter, initial[name]), f"{name} got no gradient"
        assert not torch.equal(parameter, dict(ended["float32"].named_parameters())[name])


def test_progress_says_epoch_facts_and_time_left(build, setting, checkpoint, messages):
    fit(build(0), setting(PgdAt(steps=1), epochs=2, validate_every=2), Hooks(), checkpoint)
    first, second = (line for line in messages() if line.startswith("epoch"))
    numbers = r"loss \d+\.\d{3}  train \d+\.\d%"
    assert re.fullmatch(rf"epoch 1/2  {numbers}  left \d+:\d\d", first)
    validated = r"clean \d+\.\d%  robust \d+\.\d%"
    assert re.fullmatch(rf"epoch 2/2  {numbers}  {validated}  left 0:00", second)


def test_hooks_are_called_at_their_moments_and_the_penalty_is_added(build, setting, tmp_path):
    calls = []

    class Spy(Hooks):
        def before_epoch(self, model, epoch, epochs):
            calls.append(f"epoch {epoch} of {epochs}")

        def penalty(self, model):
            return 1000 * model.linear.bias.square().sum()

        def after_step(self, model):
            calls.append("step")

        def after_epoch(self, model, epoch):
            calls.append(f"end of {epoch}")

        def after_validation(self, model, epoch, row):
            calls.append(f"validated {epoch}")

    model, plain = build(0), build(0)
    chosen = setting(epochs=2, lr=1e-4, momentum=0.0)
    fit(model, chosen, Spy(), Checkpoint(tmp_path / "spy", "job"))
    fit(plain, chosen, Hooks(), Checkpoint(tmp_path / "plain", "job"))
    assert calls == [
        *("epoch 0 of 2", "step", "step", "step", "end of 0", "validated 0"),
        *("epoch 1 of 2", "step", "step", "step", "end of 1", "validated 1"),
    ]
    assert model.linear.bias.norm() < 0.6 * plain.linear.bias.norm()


def test_no_epochs_train_nothing(build, setting, checkpoint):
    model = build(0)
    before = weights(model)
    assert fit(model, setting(epochs=0), Hooks(), checkpoint) == []
    assert same(weights(model), before)


class Enough(Hooks):
    """Has what it needs after the second epoch."""

    def __init__(self):
        self.epochs = 0

    def after_epoch(self, model, epoch):
        self.epochs = epoch + 1

    @property
    def finished(self):
        return self.epochs >= 2

    def state(self):
        return {"epochs": torch.tensor(self.epochs)}

    def restore(self, state):
        self.epochs = int(state["epochs"])


def test_a_method_that_has_what_it_needs_ends_the_stage_and_its_last_epoch_is_validated(
    build, setting, tmp_path
):
    chosen, checkpoint = setting(epochs=9, validate_every=5), Checkpoint(tmp_path / "c", "job")
    history = fit(build(0), chosen, Enough(), checkpoint)
    assert [row["epoch"] for row in history] == [1, 2]
    assert ["validation_clean" in row for row in history] == [False, True]
    model = build(0)
    assert fit(model, chosen, Enough(), checkpoint) == history  # nor does a second attempt go on


def test_the_history_says_which_epochs_might_have_been_chosen(build, setting, tmp_path):
    class Late(Hooks):
        def after_epoch(self, model, epoch):
            self.epoch = epoch

        @property
        def eligible(self):
            return self.epoch > 0

    history = fit(build(0), setting(epochs=3), Late(), Checkpoint(tmp_path / "c", "job"))
    assert [row["eligible"] for row in history] == [0, 1, 1]


def test_what_follows_a_validation_is_told_the_epoch_s_row(build, setting, tmp_path):
    seen = []

    class Told(Hooks):
        def after_validation(self, model, epoch, row):
            seen.append(dict(row))

    history = fit(build(0), setting(epochs=2), Told(), Checkpoint(tmp_path / "c", "job"))
    assert seen == history
    assert {"train_accuracy", "validation_clean", "loss"} <= set(seen[0])
