"""What makes a claimed accuracy too high, and each such mechanism switched to the sound choice.

A switched protocol differs from the claimed one in one mechanism only, so that the drop of the
accuracy is what that mechanism alone hides. Drops do not add up: mechanisms overlap. Where a
protocol is sound already it has no switch. This module knows no torch.
"""

from collections.abc import Callable
from dataclasses import replace

from thin_ice.attacks.protocol import Protocol

# AutoAttack's iterations. At the published step sizes PGD has long converged there; that it is
# at least twice the claimed steps is the field's check that more of them change nothing.
SOUND_STEPS = 100
SOUND_RESTARTS = 10  # the most that any of the published protocols has
STEP = 1 / 4  # of eps: that of PGD at 2/255 in 8/255

LAST = "last"  # needs no run of its own: the claimed run knows every iterate
TRAIN_MODE = "train_mode"  # the reverse of `mode`: the claimed attack on a network in training mode
RERUN = ("eps", "steps", "restarts", "loss", "mode")
SELECTION = "selection"  # of the checkpoint, on test; another stage measures it
MECHANISMS = ("eps", "steps", "restarts", "loss", LAST, "mode", SELECTION)


def switched(claimed: Protocol, study_eps: float) -> dict[str, Protocol]:
    """Every switch of a protocol that is already scaled to the study, by mechanism; and, where
    the network is attacked in evaluation mode as it should be, the reverse of that.
    """
    found = {name: SWITCHES[name](claimed, study_eps) for name in RERUN}
    if claimed.mode == "eval":
        found[TRAIN_MODE] = replace(claimed, mode="train")
    return {name: protocol for name, protocol in found.items() if protocol is not None}


def returns_last(claimed: Protocol) -> bool:
    """Whether an adversarial iterate can go unseen: PGD of several steps keeps only the last."""
    return claimed.attack == "pgd" and claimed.steps > 1


def _eps(claimed: Protocol, study_eps: float) -> Protocol | None:
    """Published values in grey levels were rounded down: .031 and .03 for 8/255."""
    close = abs(claimed.eps - study_eps) <= 1e-9 * study_eps
    return None if close else claimed.within(study_eps)


def _steps(claimed: Protocol, study_eps: float) -> Protocol | None:
    """More steps. One as long as the radius, FGSM's, would jump from corner to corner."""
    if claimed.steps >= SOUND_STEPS:
        return None
    jumps = claimed.attack == "pgd" and claimed.step_size >= claimed.eps
    step_size = STEP * claimed.eps if jumps else claimed.step_size
    return replace(claimed, steps=SOUND_STEPS, step_size=step_size)


def _restarts(claimed: Protocol, study_eps: float) -> Protocol | None:
    """More starts; from the clean image all would be the same, so they are drawn in the ball."""
    if claimed.restarts >= SOUND_RESTARTS:
        return None
    start = "uniform" if claimed.start == "clean" else claimed.start
    return replace(claimed, restarts=SOUND_RESTARTS, start=start)


def _loss(claimed: Protocol, study_eps: float) -> Protocol | None:
    """A margin in place of the cross-entropy; the APGD package has the DLR loss for that."""
    if claimed.loss != "ce":
        return None
    return replace(claimed, loss="dlr" if claimed.attack == "apgd" else "cw")


def _mode(claimed: Protocol, study_eps: float) -> Protocol | None:
    return None if claimed.mode == "eval" else replace(claimed, mode="eval")


SWITCHES: dict[str, Callable[[Protocol, float], Protocol | None]] = {
    "eps": _eps,
    "steps": _steps,
    "restarts": _restarts,
    "loss": _loss,
    "mode": _mode,
}
