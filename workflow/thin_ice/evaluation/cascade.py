"""One shard of an AutoAttack evaluation: a fixed slice of the test split, attack by attack.

A job that is killed goes on after the last finished attack. What a shard's verdicts depend on
(seed, batch size, shard size) is declared in the study; how many jobs or machines run is not.
"""

import time
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice.attacks.autoattack import (
    CascadeSettings,
    attacker,
    predictions,
    run_attack,
)
from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation.outcomes import BROKEN, NAMES, OUTCOME, WITHSTOOD
from thin_ice.progress import Progress


@dataclass(frozen=True)
class Cascade:
    """The declared protocol of an AutoAttack evaluation."""

    threat: ThreatModel
    settings: CascadeSettings
    seed: int
    batch_size: int


@dataclass
class ShardState:
    """``alive`` (N,): not yet broken. ``codes``: per attack done, an index into `NAMES` a sample.
    ``facts``: seconds and warnings, by attack.
    """

    alive: Tensor
    codes: dict[str, Tensor]
    facts: dict


def run_shard(
    model: nn.Module, shard: Split, cascade: Cascade, checkpoint: Checkpoint
) -> tuple[pd.DataFrame, dict]:
    """Attack a shard. Returns its table (sample_id, one outcome column an attack, robust) and the
    facts of the run: seconds per attack and the warnings of AutoAttack's own checks.
    """
    images, labels = shard.floats(), shard.labels
    state = _begin(model, images, labels, cascade, checkpoint)
    attacks = cascade.settings.attacks
    progress = Progress("attack", len(attacks), len(state.codes))
    for name in attacks[len(state.codes) :]:
        _attack(model, images, labels, cascade, name, state)
        checkpoint.save({"alive": {"alive": state.alive}, "codes": state.codes}, state.facts)
        progress.advance({"after": name, "robust": f"{int(state.alive.sum())}/{len(shard)}"})
    progress.close()
    return _table(shard, state, attacks), state.facts


def _begin(
    model: nn.Module, images: Tensor, labels: Tensor, cascade: Cascade, checkpoint: Checkpoint
) -> ShardState:
    if saved := checkpoint.load():
        groups, facts = saved
        alive = groups["alive"]["alive"].to(labels.device)
        done = groups.get("codes", {})
        return ShardState(alive, {name: done[name] for name in facts["seconds"]}, facts)
    correct = labels == predictions(model, images, cascade.batch_size)
    return ShardState(correct, {}, {"seconds": {}, "warnings": {}})


def _attack(
    model: nn.Module, images: Tensor, labels: Tensor, cascade: Cascade, name: str, state: ShardState
) -> None:
    """Run one attack on the survivors and write what it did into the state."""
    code = torch.zeros(len(labels), dtype=torch.uint8)
    began, warnings = time.monotonic(), []
    survivors = state.alive.nonzero().squeeze(1)
    if len(survivors):
        threat = cascade.threat
        package = attacker(model, threat.norm, threat.eps, cascade.seed, cascade.settings)
        outcome = run_attack(
            package, name, images[survivors], labels[survivors], cascade.batch_size
        )
        state.alive[survivors] = outcome.withstood
        code[survivors.cpu()] = torch.where(
            outcome.withstood.cpu(), NAMES.index(WITHSTOOD), NAMES.index(BROKEN)
        ).to(torch.uint8)
        warnings = sorted(set(outcome.warnings))
    state.codes[name] = code
    state.facts["seconds"][name] = round(time.monotonic() - began, 3)
    state.facts["warnings"][name] = warnings


def _table(shard: Split, state: ShardState, attacks: tuple[str, ...]) -> pd.DataFrame:
    columns: dict[str, object] = {"sample_id": shard.ids.cpu().numpy()}
    for name in attacks:
        outcomes = [NAMES[code] for code in state.codes[name].tolist()]
        columns[OUTCOME + name.replace("-", "_")] = outcomes
    return pd.DataFrame(columns | {"robust": state.alive.cpu().numpy()})
