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
from thin_ice.verification.margins import certified_margin
from thin_ice.verification.radius import certified_radius
from thin_ice.verification.smoothing import ABSTAINS, Smoothing, certified_curve, certify_smoothed

BATCH = 250
FARTHEST = 16  # the largest radius that is looked at, in eps


@dataclass(frozen=True)
class Certification:
    """What is to be proved. ``rounds``: bisections for the radius, 0 for none. ``seed``: of
    smoothing's draws.
    """

    threat: ThreatModel
    bounds: tuple[str, ...]
    rounds: int
    smoothing: Smoothing | None
    seed: int = 0

    @classmethod
    def of(cls, norm: str, wanted: dict[str, Any]) -> "Certification":
        """As a resolved study has it, in the threat model's norm."""
        threat, bounds = ThreatModel(norm, wanted["eps"]), tuple(wanted["bounds"])
        if not wanted["smoothing"]:
            return cls(threat, bounds, wanted["rounds"], None)
        noise = dict(wanted["smoothing"])
        seed = noise.pop("seed")
        return cls(threat, bounds, wanted["rounds"], Smoothing(**noise), seed)


def certified_table(
    model: nn.Module, split: Split, wanted: Certification
) -> tuple[pd.DataFrame, dict[str, float]]:
    """A row a sample in the split's order, and the seconds a sample of each kind of proof.

    Columns: sample_id, label, correct; ``margin_BOUND``, the least lower bound of the label's logit
    minus another's, float64, and ``verified_BOUND``; ``verified`` by any of them;
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
            columns |= prove(model, split)
            seconds[name] = round((time.monotonic() - clock) / len(split), 6)
            progress.advance({"after": name})
    progress.close()
    table = pd.DataFrame(columns)
    found = [f"verified_{bound}" for bound in wanted.bounds]
    table.insert(3, "verified", table[found].any(axis=1))
    return table, seconds


Prove = Callable[[nn.Module, Split], dict[str, np.ndarray]]


def _proofs(wanted: Certification) -> dict[str, Prove]:
    """By name, every kind of proof that is asked for."""
    proofs: dict[str, Prove] = {
        bound: lambda model, split, bound=bound: _verified(model, split, wanted.threat, bound)
        for bound in wanted.bounds
    }
    if wanted.rounds:
        proofs["radius"] = lambda model, split: _radii(model, split, wanted)
    if wanted.smoothing:
        proofs["smoothing"] = lambda model, split: _smoothed(model, split, wanted)
    return proofs


def _verified(model: nn.Module, split: Split, threat: ThreatModel, bound: str) -> dict[str, Tensor]:
    batches = split.batches(BATCH)
    margins = torch.cat([certified_margin(model, x, y, threat, bound) for x, y in batches])
    return {f"margin_{bound}": margins, f"verified_{bound}": margins > 0}


def _radii(model: nn.Module, split: Split, wanted: Certification) -> dict[str, np.ndarray]:
    """The larger in size of what each bound proves; they agree on the sign."""
    threat, rounds = wanted.threat, wanted.rounds

    def radii(bound: str) -> Tensor:
        return torch.cat(
            [
                certified_radius(model, x, y, threat.norm, bound, FARTHEST * threat.eps, rounds)
                for x, y in split.batches(BATCH)
            ]
        )

    found = torch.stack([radii(bound) for bound in wanted.bounds])
    largest = found.abs().argmax(0, keepdim=True)
    return {"certified_radius": found.gather(0, largest).squeeze(0).cpu().numpy()}


def _smoothed(model: nn.Module, split: Split, wanted: Certification) -> dict[str, np.ndarray]:
    stream = (wanted.seed, "smoothing")
    found = certify_smoothed(
        model, split.floats(), wanted.smoothing, stream, split.ids.tolist(), batch_size=10 * BATCH
    )
    signed = found.signed(split.labels.cpu().numpy())
    return {"smoothed_prediction": found.prediction, "smoothed_radius": signed}


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
        radii = wanted.smoothing.sigma * np.array(CURVE)
        shares = certified_curve(table.smoothed_radius, radii)
        numbers["smoothed"] = vars(wanted.smoothing) | {
            "seed": wanted.seed,
            "abstained_percent": 100 * float((table.smoothed_prediction == ABSTAINS).mean()),
            "radii": radii.tolist(),
            "certified_percent": (100 * shares).tolist(),
        }
    return numbers
