"""Pseudo-labelled images join the batches of training, and change nothing else."""

import signal
from dataclasses import replace

import pytest
import torch

from thin_ice import interruption
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split, augment
from thin_ice.objectives.trades import Trades
from thin_ice.randomness import generator
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks

STEPS = 3  # of 11 samples each


@pytest.fixture
def mixed(setting):
    """A setting with 33 labelled images and 9 that say by their label that they are extra."""

    def make(extra=1.0, **plan):
        more = setting(train=9).train
        marked = Split(255 - more.images, torch.full_like(more.labels, 9), more.ids)
        made = setting(**{"epochs": 2, "augment": "crop_flip", "padding": 1} | plan, extra=extra)
        own = replace(made.train, labels=made.train.labels % 9)
        return replace(made, train=own, extra=marked)

    return make


class Watched:
    """The natural loss, and every batch that it was asked for."""

    goal, teacher, replays = "benign", False, 1

    def __init__(self, objective):
        self.objective, self.batches = objective, []

    def loss(self, model, images, labels, step):
        self.batches.append((images.clone(), labels.clone()))
        return self.objective.loss(model, images, labels, step)


def trained(build, chosen, path):
    watched, model = Watched(chosen.objective), build(0)
    history = fit(model, replace(chosen, objective=watched), Hooks(), Checkpoint(path, "job"))
    return watched.batches, history, model.state_dict()


def drawn_by_hand(chosen, epochs):
    """The labelled batches of a stage: a permutation an epoch, and the augmentation after it."""
    for epoch in range(epochs):
        stream = generator("cpu", *chosen.stream, "data", epoch)
        order = torch.randperm(33, generator=stream)
        for batch in order.tensor_split(STEPS):
            images = chosen.train.images[batch].float() / 255
            yield augment(images, "crop_flip", stream, 1), chosen.train.labels[batch]


@pytest.mark.parametrize(("extra", "added"), [(0.0, 0), (1.0, 11), (0.5, 6), (2.0, 22)])
def test_a_batch_is_the_labelled_one_and_after_it_so_many_extra_images(
    build, mixed, tmp_path, extra, added
):
    chosen = mixed(extra)
    batches, _, _ = trained(build, chosen, tmp_path / "checkpoint")
    expected = list(drawn_by_hand(chosen, 2))
    assert len(batches) == len(expected) == 2 * STEPS
    for (images, labels), (own, own_labels) in zip(batches, expected, strict=True):
        assert torch.equal(images[:11], own)
        assert torch.equal(labels[:11], own_labels)
        assert labels[11:].tolist() == [9] * added
        assert len(images) == 11 + added


def test_extra_images_are_drawn_anew_at_every_step_and_augmented(build, mixed, tmp_path):
    plain, cropped = (
        trained(build, mixed(augment=kind), tmp_path / kind)[0] for kind in ("none", "crop_flip")
    )
    known = {tuple(image.flatten().tolist()) for image in mixed().extra.floats()}
    drawn = [{tuple(image.flatten().tolist()) for image in images[11:]} for images, _ in plain]
    assert all(one <= known for one in drawn)
    assert set.union(*drawn) == known
    assert len({frozenset(one) for one in drawn}) > 3
    moved = {tuple(image.flatten().tolist()) for images, _ in cropped for image in images[11:]}
    assert not moved <= known


def test_none_asked_for_trains_the_very_same_network(build, mixed, tmp_path):
    with_set = mixed(0.0)
    found = [
        trained(build, chosen, tmp_path / name)
        for name, chosen in (("with", with_set), ("without", replace(with_set, extra=None)))
    ]
    assert found[0][1] == found[1][1]
    assert all(torch.equal(found[0][2][name], found[1][2][name]) for name in found[0][2])


def test_loss_and_accuracy_are_means_over_all_images_of_the_epoch(build, mixed, tmp_path):
    """Batches of 16 and 15 labelled images, with half as many extra ones."""
    chosen = mixed(0.5, epochs=1, lr=1e-9)
    chosen = replace(chosen, train=chosen.train.head(31))
    batches, (row,), _ = trained(build, chosen, tmp_path / "checkpoint")
    sizes = [len(labels) for _, labels in batches]
    assert sizes == [24, 23]
    assert chosen.images_per_epoch == sum(sizes)
    model, losses, hits = build(0).train(), 0.0, 0
    for images, labels in batches:
        logits = model(images)
        losses += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        hits += (logits.argmax(1) == labels).sum().item()
    assert row["loss"] == pytest.approx(losses / sum(sizes), rel=1e-4)
    assert row["train_accuracy"] == pytest.approx(hits / sum(sizes))


def test_looks_before_training_see_labelled_images_alone(mixed):
    chosen = mixed(1.0)
    assert all(9 not in chosen.batch(number)[1] for number in range(STEPS))


class Killed(Exception):
    """The scheduler's time limit."""


class DiesIn(Hooks):
    """Killed in a step, after the optimiser's."""

    def __init__(self, step):
        self.left = step

    def after_step(self, model):
        self.left -= 1
        if not self.left:
            raise Killed


@pytest.fixture
def whole(build, mixed, tmp_path):
    """A setting, and the weights and history that an uninterrupted stage ends with."""
    chosen = replace(mixed(0.7, lr=0.05), objective=Trades(steps=1))
    model = build(0)
    history = fit(model, chosen, Hooks(), Checkpoint(tmp_path / "whole", "job"))
    return chosen, model.state_dict(), history


def assert_goes_on(build, whole, path):
    chosen, weights, history = whole
    again = build(0)
    assert fit(again, chosen, Hooks(), path) == history
    assert all(torch.equal(again.state_dict()[name], weights[name]) for name in weights)


@pytest.mark.parametrize("step", [2, STEPS + 2])
def test_a_job_that_is_killed_goes_on_to_the_same_network(build, whole, tmp_path, step):
    path = Checkpoint(tmp_path / "killed", "job")
    with pytest.raises(Killed):
        fit(build(0), whole[0], DiesIn(step), path)
    assert_goes_on(build, whole, path)


@pytest.mark.parametrize("step", [1, 2, STEPS, STEPS + 2])
@pytest.mark.usefixtures("listening")
def test_a_job_asked_to_end_in_mid_epoch_goes_on_to_the_same_network(build, whole, tmp_path, step):
    """It saves itself after the step that it is at."""

    class Asked(DiesIn):
        def after_step(self, model):
            self.left -= 1
            if not self.left:
                signal.raise_signal(signal.SIGTERM)

    path = Checkpoint(tmp_path / "asked", "job")
    with pytest.raises(interruption.Interrupted):
        fit(build(0), whole[0], Asked(step), path)
    assert path.load()[1]["batch"] == (step - 1) % STEPS + 1
    interruption.listen()  # forgets what has come
    assert_goes_on(build, whole, path)
