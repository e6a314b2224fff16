"""Flying Bird: quotas that hold whatever happens, what is dropped and grown, and who decides."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from thin_ice.attacks.modes import in_mode
from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning.flying_bird import FlyingBird, death_rate, moved
from thin_ice.pruning.flying_bird_plus import FlyingBirdPlus, changes, mostly, validation_loss
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.sparsity.rates import igq_counts

KINDS = {"plain": FlyingBird, "plus": FlyingBirdPlus}


def attached(build, setting, kind="plain", sparsity=0.9, epochs=10, **options):
    """A pruner on a small network, and the optimiser that it masks."""
    model, pruner = build(0), KINDS[kind](**options).pruner(sparsity)
    pruner.attach(model, setting(PgdAt(steps=1), epochs=epochs))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pruner.before_training(model, optimizer)
    return model, pruner, optimizer


def step(model, pruner, optimizer, seed, scale=1.0):
    """An optimiser step on a random gradient, and what the method does after it."""
    draws = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=draws)
    optimizer.step()
    pruner.after_step(model)


def masks_of(pruner):
    return {name: mask.clone() for name, mask in pruner._masks().items()}


def counts_of(pruner):
    return {name: int(mask.sum()) for name, mask in masks_of(pruner).items()}


def originals(pruner):
    return {n: m.parametrizations.weight.original for n, m in pruner.modules.items()}


def test_each_layer_begins_with_its_quota_of_its_initial_weights(build, setting):
    plain = prunable_weights(build(0))
    sizes = {name: weight.numel() for name, weight in plain.items()}
    model, pruner, _ = attached(build, setting)
    assert counts_of(pruner) == igq_counts(sizes, kept_count(sum(sizes.values()), 0.9))
    for name, mask in masks_of(pruner).items():
        assert torch.equal(prunable_weights(model)[name], plain[name] * mask)


def test_the_first_masks_are_drawn_at_random_and_another_seed_draws_others(build, setting):
    first = masks_of(attached(build, setting)[1])
    pruner = FlyingBird().pruner(0.9)
    pruner.attach(build(0), setting(stream=(1, "test")))
    again = masks_of(attached(build, setting)[1])
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other) for name, other in masks_of(pruner).items())


@limits(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
    scale=st.sampled_from([1e-6, 0.1, 10.0]),
    sparsity=st.sampled_from([0.5, 0.9, 0.99]),
    growth=st.sampled_from(["random", "gradient"]),
    updates=st.integers(0, 60),
)
def test_every_layer_s_density_is_constant_for_any_sequence_of_steps(
    build, setting, seeds, scale, sparsity, growth, updates
):
    options = {"sparsity": sparsity, "growth": growth, "updates": updates}
    model, pruner, optimizer = attached(build, setting, **options)
    before = counts_of(pruner)
    for seed in seeds:
        step(model, pruner, optimizer, seed, scale)
        assert counts_of(pruner) == before == pruner.counts
        for name, mask in masks_of(pruner).items():
            original = originals(pruner)[name]
            assert not original[~mask].any()
            assert not optimizer.state[original]["momentum_buffer"][~mask].any()


def test_masks_move_so_often_and_never_after_the_last_step(build, setting):
    for updates in (0, 1, 7, 30, 1000):
        model, pruner, optimizer = attached(build, setting, updates=updates)
        steps, moves, before = 10 * 3, 0, masks_of(pruner)
        for number in range(steps):
            step(model, pruner, optimizer, number)
            now = masks_of(pruner)
            moves += any(not torch.equal(now[name], before[name]) for name in now)
            before = now
        assert moves == min(updates, steps - 1)


def test_the_death_rate_falls_along_half_a_cosine():
    assert death_rate(0.5, 0.005, 0) == 0.5
    assert death_rate(0.5, 0.005, 1) == pytest.approx(0.005)
    assert death_rate(0.5, 0.005, 0.5) == pytest.approx(0.2525)
    assert death_rate(0.5, 0.005, 1 / 3) == pytest.approx(0.005 + 0.495 * 0.75)


def test_the_smallest_go_and_of_all_others_those_that_grow_most_come():
    mask = torch.tensor([True, True, True, False, False, False])
    magnitudes = torch.tensor([0.3, 0.1, 0.2, 9.0, 9.0, 9.0])  # masked ones do not count
    growth = torch.tensor([9.0, 0.5, 0.2, 0.1, 0.7, 0.6])  # nor do those that stay
    found = moved(mask, magnitudes, growth, kept=1, grown=2)
    assert found.tolist() == [True, False, False, False, True, True]
    back = moved(mask, magnitudes, torch.tensor([0.0, 1.0, 0, 0, 0, 0]), kept=2, grown=1)
    assert back.tolist() == [True, True, True, False, False, False]  # a dropped one may return


def test_an_update_drops_its_share_of_least_magnitude_and_grows_by_the_last_gradient(
    build, setting
):
    model, pruner, optimizer = attached(build, setting, growth="gradient", updates=2)
    for number in range(9):
        step(model, pruner, optimizer, number)
    before, weights = masks_of(pruner), {n: w.clone() for n, w in originals(pruner).items()}
    draws = torch.Generator().manual_seed(99)
    gradients = {}
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draws)
    gradients = {name: original.grad.abs() for name, original in originals(pruner).items()}
    with torch.no_grad():
        for original in originals(pruner).values():
            optimizer.state[original]["momentum_buffer"].zero_()
    pruner.after_step(model)  # the tenth of thirty steps: the first of two updates
    rate = death_rate(0.5, 0.005, 10 / 30)
    for name, mask in masks_of(pruner).items():
        count = int(before[name].sum())
        dropped = math.ceil(rate * count)
        order = (
            weights[name].abs().masked_fill(~before[name], -1).flatten().argsort(descending=True)
        )
        stay = torch.zeros(mask.numel(), dtype=torch.bool)
        stay[order[: count - dropped]] = True
        ranks = gradients[name].flatten().masked_fill(stay, -1).argsort(descending=True)
        stay[ranks[:dropped]] = True
        assert torch.equal(mask.flatten(), stay)
        born = mask & ~before[name]
        assert born.any()
        assert not originals(pruner)[name][born].any()  # they begin at zero


def test_growth_at_random_is_uniform_over_what_is_masked(build, setting):
    """Every masked weight of a layer comes back about equally often."""
    _, pruner, _ = attached(build, setting, sparsity=0.5, updates=1)
    name = "linear.weight"
    carried = pruner.modules[name].parametrizations.weight
    mask = carried[0].mask.flatten()
    hits, kept = torch.zeros(mask.numel()), int(mask.sum())
    for number in range(300):
        pruner.step = number
        growth = pruner._growth(name, carried).flatten()
        hits += moved(mask, torch.ones(mask.numel()), growth, kept, 20).float()
    free = hits[~mask]
    expected = 300 * 20 / len(free)
    chi_square = ((free - expected) ** 2 / (expected * (1 - 20 / len(free)))).sum()
    assert chi_square < len(free) + 5 * math.sqrt(2 * len(free))
    assert torch.equal(hits[mask], torch.full((kept,), 300.0))


def test_moments_of_adam_are_masked_too(build, setting):
    model, pruner, _ = attached(build, setting)
    adam = torch.optim.Adam(model.parameters(), lr=0.1)
    pruner.before_training(model, adam)
    step(model, pruner, adam, 0)
    for name, mask in masks_of(pruner).items():
        memory = adam.state[originals(pruner)[name]]
        assert not memory["exp_avg"][~mask].any()
        assert not memory["exp_avg_sq"][~mask].any()
        assert memory["exp_avg"][mask].any()


@pytest.mark.parametrize(
    ("gaps", "losses", "done", "factors"),
    [
        ([0.1, 0.2, 0.1, 0.2, 0.1], [5, 4, 3, 2, 1], 0.9, (1.4, 1.0)),  # two of four grow
        ([0.1, 0.2, 0.1, 0.0, 0.0], [5, 4, 3, 2, 1], 0.9, (1.0, 1.0)),  # one of four
        ([0.3, 0.2, 0.1, 0.0, 0.0], [1, 1, 0, 0, -1], 0.9, (1.0, 1.05)),  # two do not fall
        ([0.0, 9.0, 8.0, 7.0, 6.0, 5.0], [0, 9, 8, 7, 6, 5], 0.9, (1.0, 1.0)),  # older ones
        ([0.1, 0.2], [1, 2], 0.9, (1.4, 1.05)),  # as many as there are
        ([0.1], [1], 0.9, (1.0, 1.0)),
        ([], [], 0.9, (1.0, 1.0)),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [1, 2, 3, 4, 5], 0.49, (1.0, 1.0)),  # before the half
        ([0.1, 0.2, 0.3, 0.4, 0.5], [1, 2, 3, 4, 5], 0.5, (1.4, 1.05)),
    ],
)
def test_plus_follows_the_gap_and_the_validation_loss(build, setting, gaps, losses, done, factors):
    _, pruner, _ = attached(build, setting, "plus", epochs=100)
    pruner.gaps, pruner.losses = gaps, losses
    pruner.step = round(done * 300)
    assert pruner._factors() == pytest.approx(factors)


def test_plus_drops_and_grows_by_its_factors_and_without_cause_it_is_flying_bird(build, setting):
    model, pruner, optimizer = attached(build, setting, "plus", sparsity=0.5, begin=0.0, updates=2)
    before = counts_of(pruner)
    pruner.gaps, pruner.losses = [0.1, 0.2], [1.0, 2.0]
    for number in range(10):
        step(model, pruner, optimizer, number)
    rate = death_rate(0.5, 0.005, 10 / 30)
    for name, count in before.items():
        replaced = math.ceil(rate * count)
        kept = count - math.ceil(1.4 * replaced)
        size = pruner.modules[name].weight.numel()
        expected = kept + min(math.ceil(1.05 * replaced), size - kept)
        assert counts_of(pruner)[name] == pruner.counts[name] == expected
        assert expected < count
    calm, plain = attached(build, setting, "plus"), attached(build, setting)
    for number in range(30):
        for one in (calm, plain):
            step(*one, number)
    found, expected = masks_of(calm[1]), masks_of(plain[1])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_plus_never_empties_a_layer_nor_grows_beyond_it(build, setting):
    model, pruner, optimizer = attached(
        build, setting, "plus", sparsity=0.99, begin=0.0, updates=30, death_rate=0.99,
        last_death_rate=0.98, drop_more=1.0,
    )  # fmt: skip
    pruner.gaps, pruner.losses = [0.1, 0.2], [2.0, 1.0]
    for number in range(25):
        step(model, pruner, optimizer, number)
        assert all(count > 0 for count in counts_of(pruner).values())
        assert counts_of(pruner) == pruner.counts


def test_the_gap_is_training_minus_validation_accuracy(build, setting):
    model, pruner, _ = attached(build, setting, "plus")
    row = {"train_accuracy": 0.9, "validation_clean": 0.8, "validation_robust": 0.5}
    pruner.after_validation(model, 0, row)
    pruner.after_validation(model, 1, {"train_accuracy": 0.9, "validation_clean": 0.8})
    assert pruner.gaps == pytest.approx([0.4, 0.1])
    assert pruner.losses[0] == pruner.losses[1]


def test_the_validation_loss_is_the_cross_entropy_on_what_the_adversary_leaves(build, setting):
    chosen, model = setting(PgdAt(steps=2)), build(0)
    found = validation_loss(model.train(), chosen)
    assert model.training
    with in_mode(model, "eval"):
        split = chosen.validation
        images, labels = split.images.float() / 255, split.labels
        step_ = chosen.step("validation loss", progress=1.0)
        attacked = chosen.objective.perturb(model, images, labels, step_)
        expected = F.cross_entropy(model(attacked), labels).item()
        clean = F.cross_entropy(model(images), labels).item()
    assert found == pytest.approx(expected, rel=1e-5)
    assert found > clean
    assert validation_loss(model, chosen) == found


def test_changes_and_majorities_by_hand():
    assert changes([1, 2, 4, 3], 2) == [2, -1]
    assert changes([1], 4) == changes([], 4) == []
    assert mostly([True, False])
    assert not mostly([True, False, False])
    assert not mostly([])


def test_what_plus_remembers_survives_a_kill(build, setting):
    _, pruner, _ = attached(build, setting, "plus")
    pruner.step, pruner.gaps, pruner.losses = 7, [0.1, 0.2], [1.5]
    other = FlyingBirdPlus().pruner(0.9)
    other.restore(pruner.state())
    assert (other.step, other.gaps, other.losses) == (7, [0.1, 0.2], [1.5])


@pytest.mark.parametrize("kind", KINDS)
def test_the_masks_are_those_of_the_chosen_epoch(build, setting, tmp_path, kind):
    """Not of the last: the best epoch's weights bring their own."""
    pruner = KINDS[kind](updates=8).pruner(0.9)
    by_epoch, after = [], pruner.after_epoch

    def noting(model, epoch):
        by_epoch.append(masks_of(pruner))
        after(model, epoch)

    pruner.after_epoch = noting
    chosen = setting(PgdAt(steps=1), epochs=4, lr=0.05)
    pruned = prune(build(0), pruner, chosen, Checkpoint(tmp_path / "c", "job"), False)
    scores = [row["validation_robust"] for row in pruned.history]
    clean = [row["validation_clean"] for row in pruned.history]
    best = max(range(4), key=lambda e: (scores[e], clean[e], e))
    for name, mask in pruned.masks.items():
        assert torch.equal(mask, by_epoch[best][name])
