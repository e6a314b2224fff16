"""Indicators of attack failure of one network, for each attack, on samples of the test split."""

import time
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice.attacks.attempts import Attack, Case, apgd_attack, apgd_seed, protocol_attack
from thin_ice.attacks.autoattack import predictions
from thin_ice.attacks.indicators import Indicators, indicators, relative_change
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.evaluation.flags import APGD, INDICATORS
from thin_ice.progress import Progress
from thin_ice.randomness import generator


@dataclass(frozen=True)
class Probe:
    """How the indicators are computed: samples drawn from the test split, random points around
    each, and the seed of all that is random.
    """

    samples: int
    points: int
    seed: int


def indicator_table(
    model: nn.Module,
    split: Split,
    threat: ThreatModel,
    protocols: dict[str, Protocol],
    probe: Probe,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """One row an attack and drawn sample that the network has right: sample_id, attack, the six
    indicators (bool), relative_change and late_gain (float). And seconds by attack.
    """
    attacked = _right(model, drawn(split, probe))
    attacks = attacks_of(threat, protocols, probe.seed)
    if not len(attacked):
        return _empty(), {}
    images, labels = attacked.floats(), attacked.labels
    stream = generator(images.device, probe.seed, "indicators", "neighbourhood")
    change = relative_change(model, images, labels, threat, probe.points, stream)
    case = Case(model, model, images, labels, threat)
    ids = attacked.ids.tolist()
    parts, seconds = [], {}
    progress = Progress("attack", len(attacks))
    for name, attack in attacks.items():
        began = time.monotonic()
        parts.append(sample_rows(ids, name, indicators(attack, case, change)))
        seconds[name] = round(time.monotonic() - began, 3)
        progress.advance({"after": name})
    progress.close()
    return pd.concat(parts, ignore_index=True), seconds


def attacks_of(threat: ThreatModel, protocols: dict[str, Protocol], seed: int) -> dict[str, Attack]:
    """The claimed protocols by name, and AutoAttack's APGD."""
    claimed = {
        name: protocol_attack(name, published, threat.eps, seed)
        for name, published in protocols.items()
    }
    return claimed | {APGD: apgd_attack(apgd_seed(seed))}


def drawn(split: Split, probe: Probe) -> Split:
    """The samples that are looked at, ascending: the same on any device."""
    order = torch.randperm(len(split), generator=generator("cpu", probe.seed, "indicators", "draw"))
    return _take(split, order[: probe.samples].sort().values.to(split.labels.device))


def _right(model: nn.Module, split: Split) -> Split:
    """Those that the network has right, all in one batch: a batch's members can decide a tie."""
    while len(split):
        right = predictions(model, split.floats(), len(split)) == split.labels
        if right.all():
            break
        split = _take(split, right)
    return split


def _take(split: Split, which: Tensor) -> Split:
    return Split(split.images[which], split.labels[which], split.ids[which])


def sample_rows(ids: list[int], attack: str, found: Indicators) -> pd.DataFrame:
    """The rows of one attack."""
    columns = {name: values.cpu().numpy() for name, values in vars(found).items()}
    return pd.DataFrame({"sample_id": ids, "attack": attack, **columns})


def _empty() -> pd.DataFrame:
    flag, value = torch.zeros(0, dtype=torch.bool), torch.zeros(0)
    return sample_rows([], APGD, Indicators(*[flag] * len(INDICATORS), value, value))
