"""The eps at which AutoAttack first breaks each sample: how far it is from where robustness ends.

AutoAttack takes one eps a call, and a call costs time however few samples it has. So all samples
share a grid of radii, n eps / 2^rounds up to 4 eps, and those that are due at the same radius are
attacked together, in pieces of the shard size. What is known of a sample is a bracket: the largest
radius at which it was left standing and the least at which it broke. The verdict at the study's eps
comes from its evaluation and opens it:
    broken:   (0, eps].
    standing: attacked at its end, which is 2 eps if its distance to the decision boundary is no
              more (a flip lies within), else 4 eps. Who stands at 2 eps goes on to 4 eps; who
              stands there has an infinite breaking radius: none was found. Who breaks at 4 eps
              is attacked at 2 eps, which leaves (eps, 2 eps] or (2 eps, 4 eps].
Each of the three intervals is halved ``rounds`` times: a bracket ends eps / 2^rounds wide, twice
that beyond 2 eps. All are halves of halves, so with coarse radii before fine ones each is
attacked once (4 eps perhaps again, for who stands at 2 eps), and there are 3 2^rounds - 1 in all,
whatever the number of samples.
AutoAttack may contradict itself and break at a radius what it leaves standing at a larger one. Each
verdict is believed, and nothing outside a bracket is looked at: a bracket is one place at which
standing turns to broken, and no proof that the sample stands at all smaller radii.
Cost: a broken sample takes part in ``rounds`` runs of AutoAttack, a standing one in ``rounds`` + 2
at most; those above its breaking radius mostly end with the first attack.
"""

import logging
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint, Groups
from thin_ice.data.split import Split
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.progress import Progress

FARTHEST = 4  # times eps: where the search ends; twice eps is on the way
SEARCH, CALL = "search", "call."  # groups of a checkpoint: the brackets, and a call's own

log = logging.getLogger("thin_ice")


@dataclass(frozen=True)
class Known:
    """What other jobs have found of N samples, on the CPU.

    Attributes:
        correct: bool (N,), classified correctly without any attack.
        robust: bool (N,), left standing by AutoAttack at the study's eps.
        distance: float64 (N,) to the decision boundary in the threat's norm, in units of the
            [0, 1] image scale; infinite or NaN where unknown.
    """

    correct: Tensor
    robust: Tensor
    distance: Tensor


@dataclass(frozen=True)
class Grid:
    """Radii that all samples share, by their number: radius n is n eps / 2^rounds."""

    eps: float
    rounds: int

    @property
    def at_eps(self) -> int:
        return 2**self.rounds

    @property
    def twice(self) -> int:
        return 2 * self.at_eps

    @property
    def last(self) -> int:
        return FARTHEST * self.at_eps

    @property
    def most(self) -> int:
        """Radii that are attacked at the most, the last one twice."""
        return 3 * 2**self.rounds

    def radius(self, number: int) -> float:
        return self.eps * number / self.at_eps

    def ends(self, distance: Tensor) -> Tensor:
        """Where a standing sample is attacked first if a flip lies at ``distance``, int64 (N,)."""
        return torch.where(distance <= 2 * self.eps, self.twice, self.last)


@dataclass
class Search:
    """The brackets of N samples as numbers of radii; all tensors int64 (N,), on the CPU.

    Attributes:
        standing: the largest radius at which a sample stood.
        broken: the least at which it broke; beyond the last one so long as there is none.
        due: the radius that is attacked now, for those who still wait for it; 0 for all others.
        attacks: runs of AutoAttack it took part in.
        facts: calls of AutoAttack so far, radii that are done, and the seconds of the calls.
    """

    standing: Tensor
    broken: Tensor
    due: Tensor
    attacks: Tensor
    facts: dict[str, float] = field(
        default_factory=lambda: {"calls": 0, "radii": 0, "seconds": 0.0}
    )

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if name != "facts"}


@dataclass(frozen=True)
class _CallCheckpoint(Checkpoint):
    """Keeps the state of a running call beside the search's. ``begun``: what a killed job left."""

    search: Search
    begun: tuple[Groups, dict] | None

    def save(self, groups: Groups, facts: dict) -> None:
        own = {CALL + name: members for name, members in groups.items()}
        both = {SEARCH: self.search.tensors, **own}
        super().save(both, {SEARCH: self.search.facts, CALL: facts})

    def load(self) -> tuple[Groups, dict] | None:
        return self.begun


def breaking_table(
    model: nn.Module,
    test: Split,
    known: Known,
    cascade: Cascade,
    shard_size: int,
    rounds: int,
    checkpoint: Checkpoint,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Columns sample_id, label, standing_eps (0: only clean), breaking_eps (infinite: none up to
    the end of the search), both float32, NaN for misclassified samples, and attacks, the runs of
    AutoAttack a sample took part in. And facts for the record.

    ``cascade`` is the study's own; the model must be in evaluation mode.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
        ThinIceError: an attack cannot be run on so few classes.
    """
    grid = Grid(cascade.threat.eps, rounds)
    search, begun = _begin(known, grid, checkpoint)
    ends = grid.ends(known.distance)
    progress = Progress("radius", grid.most, search.facts["radii"])
    while True:
        if not search.due.any():
            search.due = coarsest(next_radii(search, ends, grid))
        if not (number := int(search.due.max())):
            break
        places = search.due.nonzero().squeeze(1)[:shard_size]
        call = _CallCheckpoint(checkpoint.path, checkpoint.identity, search, begun)
        _attack(model, test, places, number, _at(cascade, grid.radius(number)), search, call)
        begun = None
        if not search.due.any():
            search.facts["radii"] += 1
            progress.advance({"eps": f"{grid.radius(number):.6g}"})
        checkpoint.save({SEARCH: search.tensors}, {SEARCH: search.facts, CALL: None})
    progress.close()
    return _table(test, known, search, grid), _facts(known, search, grid)


def next_radii(search: Search, ends: Tensor, grid: Grid) -> Tensor:
    """The radius to attack each sample at, int64 (N,); 0 where there is nothing left to ask."""
    low, high = search.standing, search.broken
    cell = torch.where(high > grid.twice, 2, 1)
    halving = torch.where(high - low > cell, (low + high) // 2, 0)
    across = (low < grid.twice) & (high == grid.last)
    halving = torch.where(across, grid.twice, halving)
    opening = torch.where(low < ends, ends, torch.where(low < grid.last, grid.last, 0))
    return torch.where(high <= grid.last, halving, opening)


def coarsest(radii: Tensor) -> Tensor:
    """Only those due at the radius that is on the coarsest grid, the smallest of such; 0 elsewhere.

    On a finer grid lies only what a coarser one leads to, so nobody will be due there later.
    """
    step = radii & -radii
    first = radii[(step == step.max()) & (radii > 0)].min() if radii.any() else 0
    return torch.where(radii == first, radii, 0)


def _begin(
    known: Known, grid: Grid, checkpoint: Checkpoint
) -> tuple[Search, tuple[Groups, dict] | None]:
    """The search as the evaluation opens it, or as a killed job left it, with its last call."""
    if saved := checkpoint.load():
        groups, facts = saved
        search = Search(**groups.pop(SEARCH), facts=facts[SEARCH])
        log.info("going on after %d calls of AutoAttack", search.facts["calls"])
        begun = {name.removeprefix(CALL): members for name, members in groups.items()}
        return search, (begun, facts[CALL]) if facts[CALL] else None
    # A misclassified sample has the empty bracket, in which there is nothing to look for.
    robust, broken = known.correct & known.robust, known.correct & ~known.robust
    nothing = torch.zeros(len(robust), dtype=torch.int64)
    standing = nothing.masked_fill(robust, grid.at_eps)
    upper = nothing.masked_fill(robust, grid.last + 1).masked_fill(broken, grid.at_eps)
    return Search(standing, upper, nothing, nothing.clone()), None


def _at(cascade: Cascade, radius: float) -> Cascade:
    return replace(cascade, threat=ThreatModel(cascade.threat.norm, radius))


def _attack(
    model: nn.Module,
    test: Split,
    places: Tensor,
    number: int,
    cascade: Cascade,
    search: Search,
    checkpoint: Checkpoint,
) -> None:
    """One call of AutoAttack on the samples at ``places``; what it finds goes into the search."""
    there = places.to(test.labels.device)
    piece = Split(test.images[there], test.labels[there], test.ids[there])
    found = run_shard(model, piece, cascade, checkpoint)
    stood = torch.from_numpy(found.table.robust.to_numpy(copy=True))
    search.standing[places[stood]] = number
    search.broken[places[~stood]] = number
    search.attacks[places] += 1
    search.due[places] = 0
    search.facts["calls"] += 1
    search.facts["seconds"] += sum(found.facts["seconds"].values())
    shown = cascade.threat.eps, int((~stood).sum()), len(places)
    log.info("radius %.6g broke %d of %d", *shown)


def _table(test: Split, known: Known, search: Search, grid: Grid) -> pd.DataFrame:
    wrong = ~known.correct
    radii = {"standing_eps": search.standing, "breaking_eps": search.broken}
    columns = {name: grid.eps * cells.double() / grid.at_eps for name, cells in radii.items()}
    columns["breaking_eps"].masked_fill_(search.broken > grid.last, torch.inf)
    columns = {
        name: value.masked_fill(wrong, torch.nan).float().numpy() for name, value in columns.items()
    }
    about = {"sample_id": test.ids.cpu().numpy(), "label": test.labels.cpu().numpy()}
    return pd.DataFrame(about | columns | {"attacks": search.attacks.numpy()})


def _facts(known: Known, search: Search, grid: Grid) -> dict[str, float]:
    """The cost, and on how many samples AutoAttack missed a flip that the distances know of."""
    flip_within = known.distance < grid.eps * search.standing / grid.at_eps
    return {
        "calls": search.facts["calls"],
        "sample_attacks": int(search.attacks.sum()),
        "seconds": round(search.facts["seconds"], 3),
        "flips_missed": int(flip_within.sum()),
    }
