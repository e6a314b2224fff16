"""Heracles: searched rates meet the budget, and are those that the base method prunes with."""

import pytest
import torch

from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning import rate_search
from thin_ice.pruning.heracles import HeraclesHydra, HeraclesRadmm
from thin_ice.pruning.hydra import Hydra
from thin_ice.pruning.prune import prune
from thin_ice.pruning.radmm import Radmm
from thin_ice.pruning.rate_search import RateSearch, known_densities
from thin_ice.randomness import generator
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.training.validation import validate

both = pytest.mark.parametrize("kind", [HeraclesHydra, HeraclesRadmm])


def search(**changes):
    options = {"sparsity": 0.9, "layers": "all", "spread": 0.5, "tuning": 0.5, "lr": 0.05}
    return RateSearch(**(options | changes))


def counts_of(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


def budget(model, sparsity):
    return sum(kept_count(w.numel(), sparsity) for w in prunable_weights(model).values())


@pytest.fixture
def chosen(setting):
    return setting(PgdAt(steps=1), epochs=2, select="last")


@pytest.fixture
def scored(monkeypatch):
    """Trials whose scores are given, in order."""

    def by(scores):
        left = iter(scores)
        monkeypatch.setattr(RateSearch, "_score", lambda *_: next(left))

    return by


def test_the_first_trials_are_the_known_allocations(build):
    weights = {name: w.detach() for name, w in prunable_weights(build(0)).items()}
    uniform, erk, magnitude = known_densities(weights, 0.9)
    assert set(uniform.values()) == {1.0}
    assert erk["block1.conv.weight"] == (4 + 1 + 3 + 3) / 36
    assert sum(magnitude[n] * w.numel() for n, w in weights.items()) == pytest.approx(
        kept_count(sum(w.numel() for w in weights.values()), 0.9)
    )
    found, stream = search(), generator("cpu", 0)
    for number, densities in enumerate((uniform, erk, magnitude)):
        counts = found.proposal(weights, stream, number)
        assert sum(counts.values()) == budget(build(0), 0.9)
        shares = {n: counts[n] / weights[n].numel() / densities[n] for n in weights}
        free = [s for n, s in shares.items() if 1 < counts[n] < weights[n].numel()]
        assert max(free) / min(free) < 1.6  # but for whole numbers of few weights, one factor


def test_further_trials_are_neighbours_of_the_best(build):
    weights = {name: w.detach() for name, w in prunable_weights(build(0)).items()}
    found = search(spread=0.0)
    found.best = found.proposal(weights, generator("cpu", 0), 1)
    assert found.proposal(weights, generator("cpu", 0), 3) == found.best
    found = search(spread=2.0)
    found.best = found.proposal(weights, generator("cpu", 0), 1)
    some = [found.proposal(weights, generator("cpu", seed), 3) for seed in range(4)]
    assert all(counts != found.best for counts in some)
    assert all(sum(counts.values()) == budget(build(0), 0.9) for counts in some)
    assert all(1 <= counts[n] <= w.numel() for counts in some for n, w in weights.items())


def test_the_best_trial_wins_and_of_equals_the_first(build, chosen, scored):
    scored([[0.3, 0.5], [0.4, 0.2], [0.4, 0.2], [0.1, 0.9]])
    found, tried = search(), []
    for number in range(4):
        found.trial(build(0), chosen, number)
        tried.append(dict(found.best))
    assert tried[1] == tried[2] == tried[3] != tried[0]
    assert found.best_score == [0.4, 0.2]


def test_a_trial_leaves_the_network_as_it_was_and_trains_its_copy(build, chosen, monkeypatch):
    model, judged = build(0).eval(), []
    before = {name: t.clone() for name, t in model.state_dict().items()}

    def watched(candidate, setting):
        judged.append({n: w.detach().clone() for n, w in prunable_weights(candidate).items()})
        return validate(candidate, setting)

    monkeypatch.setattr(rate_search, "validate", watched)
    for lr in (0.0, 0.5):
        found = search(lr=lr)
        found.trial(model, chosen, 0)
        assert len(found.best_score) == 2  # robust, then clean
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, weight in prunable_weights(model).items():
        kept = judged[0][name] != 0
        assert torch.equal(judged[0][name], weight * kept)
        assert torch.equal(judged[1][name] != 0, kept)
        assert not torch.equal(judged[1][name], judged[0][name])


@both
def test_the_masks_have_the_rates_that_were_found(build, chosen, checkpoint, kind, scored):
    scored([[0.1], [0.9], [0.2]])  # ERK wins
    pruner = kind(trials=3, layers="all").pruner(0.9)
    pruned = prune(build(0), pruner, chosen, checkpoint)
    assert counts_of(pruned.masks) == pruner.search.best
    weights = {name: w.detach() for name, w in prunable_weights(build(0)).items()}
    assert pruner.search.best == search().proposal(weights, generator("cpu", 0), 1)
    assert sum(counts_of(pruned.masks).values()) == budget(build(0), 0.9)


@pytest.mark.parametrize(("kind", "base"), [(HeraclesHydra, Hydra), (HeraclesRadmm, Radmm)])
def test_without_trials_it_is_its_base(build, chosen, tmp_path, kind, base):
    pruners = kind(trials=0, layers="all").pruner(0.8), base(layers="all").pruner(0.8)
    found = [
        prune(build(0), pruner, chosen, Checkpoint(tmp_path / str(i), "job"))
        for i, pruner in enumerate(pruners)
    ]
    assert found[0].history == found[1].history
    masks = [one.masks for one in found]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[1])


def test_the_state_is_all_that_the_next_trial_depends_on(build, chosen):
    whole, first = search(), search()
    for number in range(5):
        whole.trial(build(0), chosen, number)
    for number in range(3):
        first.trial(build(0), chosen, number)
    second = search()
    second.restore(first.state())
    for number in range(3, 5):
        second.trial(build(0), chosen, number)
    assert (second.best, second.best_score) == (whole.best, whole.best_score)
