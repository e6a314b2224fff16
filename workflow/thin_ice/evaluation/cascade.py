"""One shard of an AutoAttack evaluation: a fixed slice of the test split, attack by attack.

A job that is killed goes on after the last finished attack. What a shard's verdicts depend on
(seed, batch size, shard size) is declared in the study; how many jobs or machines run is not.
"""

import math
import time
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice.attacks.autoattack import attacker, run_attack
from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.fast import fast
from thin_ice.attacks.flags import Flag, flag
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation.examples import Examples
from thin_ice.evaluation.outcomes import (
    BROKEN,
    BY_CLEAN,
    BY_NOBODY,
    NAMES,
    WITHSTOOD,
    column_of,
)
from thin_ice.evaluation.recheck import Recheck, recheck
from thin_ice.progress import Progress
from thin_ice.speed import PLAIN, Speed


@dataclass(frozen=True)
class Cascade:
    """The declared protocol of an AutoAttack evaluation, and how passes are computed in it."""

    threat: ThreatModel
    settings: CascadeSettings
    seed: int
    batch_size: int
    speed: Speed = PLAIN


@dataclass
class ShardState:
    """What is known of a shard's N samples, some attacks on; all tensors on the CPU but ``alive``.

    Attributes:
        alive: bool (N,), not yet broken.
        margins: float32 (N,), the smallest logit margin seen; NaN where none was looked at.
        codes: by attack done, uint8 (N,), an index into `NAMES`.
        examples: by attack done, float32 (B, C, H, W), one for each sample that it broke.
        facts: by attack done, its seconds, the samples it was given and what AutoAttack warned of.
    """

    alive: Tensor
    margins: Tensor
    codes: dict[str, Tensor]
    examples: dict[str, Tensor]
    facts: dict[str, dict]


@dataclass(frozen=True)
class ShardResult:
    """What a shard's attacks found.

    Attributes:
        table: sample_id; an outcome column an attack; robust; broken_by, the attack that broke the
            sample first, or ``clean`` or ``none``; margin_left, the logit margin at its adversarial
            example or, if it is robust, the smallest at APGD's best points (NaN without APGD);
            confirmed, False where an example did not hold when looked at again.
        examples: those that held.
        flags: by attack, AutoAttack's own warnings.
        settings: of the attacks as they ran, no more targets than there are wrong classes.
        facts: of the run, for its record: seconds by attack, and a sample and attack.
    """

    table: pd.DataFrame
    examples: Examples
    flags: dict[str, list[Flag]]
    settings: CascadeSettings
    facts: dict[str, dict]


def run_shard(
    model: nn.Module, shard: Split, cascade: Cascade, checkpoint: Checkpoint
) -> ShardResult:
    """Attack a shard with a network in evaluation mode. What the attacks find on its fast view is
    looked at again on the network itself.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
        ThinIceError: an attack cannot be run on so few classes.
    """
    images, labels = shard.floats(), shard.labels
    torch.manual_seed(cascade.seed)
    logits = _clean_logits(model, images, labels, cascade.batch_size)
    if len(shard):
        cascade = replace(cascade, settings=cascade.settings.for_classes(logits.shape[1]))
    state = _begin(logits, labels, cascade, checkpoint)
    attacks, view = cascade.settings.attacks, fast(model, cascade.speed)
    progress = Progress("attack", len(attacks), len(state.codes))
    for name in attacks[len(state.codes) :]:
        _attack(view, images, labels, cascade, name, state)
        _save(state, checkpoint)
        progress.advance({"after": name, "robust": f"{int(state.alive.sum())}/{len(shard)}"})
    progress.close()
    return _result(model, shard, images, cascade, state)


def _clean_logits(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """Float32 (N, K), batch by batch as AutoAttack takes them, everything checked."""
    if not len(labels):
        return images.new_zeros(0, 2)
    batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    return checked_logits(model, batches)


def _begin(logits: Tensor, labels: Tensor, cascade: Cascade, checkpoint: Checkpoint) -> ShardState:
    if saved := checkpoint.load():
        groups, facts = saved
        done = [name for name in cascade.settings.attacks if name in facts["seconds"]]
        alive, margins = groups["samples"]["alive"].to(labels.device), groups["samples"]["margins"]
        codes, examples = ({name: groups[g][name] for name in done} for g in ("codes", "examples"))
        return ShardState(alive, margins, codes, examples, facts)
    correct = logits.argmax(1) == labels
    margins = torch.where(correct, math.nan, margin(logits, labels)).float().cpu()
    return ShardState(correct, margins, {}, {}, {"seconds": {}, "attacked": {}, "flags": {}})


def _save(state: ShardState, checkpoint: Checkpoint) -> None:
    samples = {"alive": state.alive, "margins": state.margins}
    groups = {"samples": samples, "codes": state.codes, "examples": state.examples}
    checkpoint.save(groups, state.facts)


def _attack(
    model: nn.Module, images: Tensor, labels: Tensor, cascade: Cascade, name: str, state: ShardState
) -> None:
    """Run one attack on the survivors and write what it did into the state."""
    code = torch.zeros(len(labels), dtype=torch.uint8)
    found, flags, began = images[:0].cpu(), [], time.monotonic()
    survivors = state.alive.nonzero().squeeze(1)
    torch.manual_seed(cascade.seed)  # what a randomised network draws survives a kill
    if len(survivors):
        threat = cascade.threat
        package = attacker(model, threat.norm, threat.eps, cascade.seed, cascade.settings)
        outcome = run_attack(
            package, name, images[survivors], labels[survivors], cascade.batch_size
        )
        state.alive[survivors] = outcome.withstood
        places, stood = survivors.cpu(), outcome.withstood.cpu()
        code[places] = torch.where(stood, NAMES.index(WITHSTOOD), NAMES.index(BROKEN)).to(code)
        state.margins[places] = torch.fmin(state.margins[places], outcome.margins.cpu())
        found = outcome.adversarial[~outcome.withstood].cpu()
        flags = [flag(message) for message in sorted(set(outcome.warnings))]
    state.codes[name], state.examples[name] = code, found
    state.facts["seconds"][name] = round(time.monotonic() - began, 3)
    state.facts["attacked"][name] = len(survivors)
    state.facts["flags"][name] = flags


def _result(
    model: nn.Module, shard: Split, images: Tensor, cascade: Cascade, state: ShardState
) -> ShardResult:
    places, found = _found(state, images)
    device = images.device
    torch.manual_seed(cascade.seed)
    with under_attack(model):
        again = recheck(
            model,
            images[places.to(device)],
            shard.labels[places.to(device)],
            found.to(device),
            cascade.threat,
            cascade.batch_size,
        )
    holds = again.holds.cpu()
    examples = Examples(shard.ids.cpu()[places][holds], found[holds])
    table = _table(shard, state, cascade.settings.attacks, places, again)
    seconds, attacked = state.facts["seconds"], state.facts["attacked"]
    each = {name: round(seconds[name] / attacked[name], 6) for name in seconds if attacked[name]}
    facts = {"seconds": seconds, "attacked": attacked, "seconds_per_attacked_sample": each}
    return ShardResult(table, examples, state.facts["flags"], cascade.settings, facts)


def _found(state: ShardState, images: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the broken samples, ascending, and the adversarial example of each."""
    broken = [code == NAMES.index(BROKEN) for code in state.codes.values()]
    places = [mask.nonzero().squeeze(1) for mask in broken]
    if not places:
        return torch.zeros(0, dtype=torch.long), images[:0].cpu()
    ascending, order = torch.cat(places).sort()
    return ascending, torch.cat(list(state.examples.values()))[order]


def _table(
    shard: Split, state: ShardState, attacks: tuple[str, ...], places: Tensor, again: Recheck
) -> pd.DataFrame:
    columns: dict[str, object] = {"sample_id": shard.ids.cpu().numpy()}
    for name in attacks:
        outcomes = [NAMES[code] for code in state.codes[name].tolist()]
        columns[column_of(name)] = outcomes
    margins, confirmed = state.margins.clone(), torch.ones(len(shard), dtype=torch.bool)
    margins[places], confirmed[places] = again.margin.float().cpu(), again.holds.cpu()
    columns["robust"] = state.alive.cpu().numpy()
    columns["broken_by"] = _broken_by(state)
    columns["margin_left"] = margins.numpy()
    columns["confirmed"] = confirmed.numpy()
    return pd.DataFrame(columns)


def _broken_by(state: ShardState) -> list[str]:
    """The attack that broke each sample, `BY_CLEAN` if none had to, `BY_NOBODY` if none did."""
    names = [BY_NOBODY if alive else BY_CLEAN for alive in state.alive.tolist()]
    for attack, code in state.codes.items():
        for place in (code == NAMES.index(BROKEN)).nonzero().squeeze(1).tolist():
            names[place] = attack
    return names
