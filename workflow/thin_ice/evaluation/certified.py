"""A network's table of certificates: what is proved of each test sample, never what was tried.

Verified at eps: every class but the label has a lower logit on all of the ball, by one of the
bounds; so the sample is classified correctly there. The certified radius is the largest one, of
those that were looked at, up to which the predicted class is proved to stay; it has the sign of the
signed distance, of which it is a lower bound in size: positive for correctly classified samples,
negative for misclassified ones, 0 where nothing is proved. Smoothing's radius is of another
network, the smoothed one, and in L2; it has a sign in the same way and is 0 where it abstains.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.evaluation.certified_curves import CURVE
from thin_ice.evaluation.metrics import accuracy
from thin_ice.progress import Progress
from thin_ice.verification.margins import least_margin
from thin_ice.verification.radius import certified_radius
from thin_ice.verification.smoothing import certify_smoothed

BATCH = 250


@dataclass(frozen=True)
class Smoothing:
    """Cohen et al.'s CERTIFY: noise, draws, the chance of a wrong certificate, and a seed."""

    sigma: float
    n0: int
    n: int
    alpha: float
    seed: int


@dataclass(frozen=True)
class Certification:
    """What is to be proved. ``rounds``: bisections for the radius, 0 for none."""

    threat: ThreatModel
    bounds: tuple[str, ...]
    rounds: int
    smoothing: Smoothing | None

    @classmethod
    def of(cls, norm: str, wanted: dict[str, Any]) -> "Certification":
        """As a resolved study has it, in the threat model's norm."""
        noise = wanted["smoothing"]
        return cls(
            ThreatModel(norm, wanted["eps"]),
            tuple(wanted["bounds"]),
            wanted["rounds"],
            Smoothing(**noise) if noise else None,
        )


def certified_table(
    model: nn.Module, split: Split, wanted: Certification
) -> tuple[pd.DataFrame, dict[str, float]]:
    """A row a sample in the split's order, and the seconds a sample of each kind of proof.

    Columns: sample_id, label, correct; ``margin_BOUND``, the least lower bound of the label's logit
    minus another's, float32, and ``verified_BOUND``; ``verified`` by any of them;
    ``certified_radius``, float64 (absent with 0 rounds); with smoothing ``smoothed_prediction``, -1
    where it abstains, and ``smoothed_radius``, float64.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
        CannotBound: the network has an operation whose bounds are not known.
    """
    logits = checked_logits(model, split.batches(BATCH))
    columns = {
        "sample_id": split.ids.cpu().numpy(),
        "label": split.labels.cpu().numpy(),
        "correct": (logits.argmax(1) == split.labels).cpu().numpy(),
    }
    seconds: dict[str, float] = {}
    proofs = _proofs(wanted)
    progress = Progress("proof", len(proofs))
    with under_attack(model):
        for name, prove in proofs.items():
            clock = time.monotonic()
            columns |= {key: found.cpu().numpy() for key, found in prove(model, split).items()}
            seconds[name] = round((time.monotonic() - clock) / len(split), 6)
            progress.advance({"after": name})
    progress.close()
    table = pd.DataFrame(columns)
    found = [f"verified_{bound}" for bound in wanted.bounds]
    table.insert(3, "verified", table[found].any(axis=1))
    return table, seconds


Prove = Callable[[nn.Module, Split], dict[str, Tensor]]


def _proofs(wanted: Certification) -> dict[str, Prove]:
    """By name, every kind of proof that is asked for."""
    proofs: dict[str, Prove] = {
        bound: lambda model, split, bound=bound: _verified(model, split, wanted.threat, bound)
        for bound in wanted.bounds
    }
    if wanted.rounds:
        proofs["radius"] = lambda model, split: _radii(model, split, wanted)
    if wanted.smoothing:
        noise = wanted.smoothing
        proofs["smoothing"] = lambda model, split: _smoothed(model, split, noise)
    return proofs


def _verified(model: nn.Module, split: Split, threat: ThreatModel, bound: str) -> dict[str, Tensor]:
    found = [least_margin(model, x, y, threat, bound) for x, y in split.batches(BATCH)]
    margins, verified = (torch.cat(one) for one in zip(*found, strict=True))
    return {f"margin_{bound}": margins, f"verified_{bound}": verified}


def _radii(model: nn.Module, split: Split, wanted: Certification) -> dict[str, Tensor]:
    """The larger in size of what each bound proves; they agree on the sign."""
    radii = torch.stack(
        [
            torch.cat(
                [
                    certified_radius(model, x, y, wanted.threat, bound, wanted.rounds)
                    for x, y in split.batches(BATCH)
                ]
            )
            for bound in wanted.bounds
        ]
    )
    largest = radii.abs().argmax(0, keepdim=True)
    return {"certified_radius": radii.gather(0, largest).squeeze(0)}


def _smoothed(model: nn.Module, split: Split, noise: Smoothing) -> dict[str, Tensor]:
    found = certify_smoothed(model, split.floats(), **vars(noise))
    sign = torch.where(found.prediction == split.labels, 1.0, -1.0).double()
    return {"smoothed_prediction": found.prediction, "smoothed_radius": sign * found.radius}


def summary(table: pd.DataFrame, wanted: Certification) -> dict[str, Any]:
    """Accuracies in percent with their intervals: verified at eps by each bound and by any; of the
    smoothed network certified at each radius of a curve.
    """
    names = ("verified", *(f"verified_{bound}" for bound in wanted.bounds))
    numbers: dict[str, Any] = {
        "samples": len(table),
        "norm": wanted.threat.norm,
        "eps": wanted.threat.eps,
        **{name: accuracy(table[name]) for name in names},
    }
    if wanted.smoothing:
        numbers["smoothed"] = vars(wanted.smoothing) | {
            "abstained_percent": 100 * float((table.smoothed_prediction < 0).mean()),
            "certified": _curve(table.smoothed_radius.to_numpy(), wanted.smoothing.sigma),
        }
    return numbers


def _curve(radii: np.ndarray, sigma: float) -> list[dict[str, float]]:
    """Certified accuracy at each radius, in L2."""
    points = (sigma * step for step in CURVE)
    return [{"radius": point} | accuracy(pd.Series(radii > point)) for point in points]
