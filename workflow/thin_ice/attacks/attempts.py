"""Attacks run under watch: a published protocol, or AutoAttack's APGD, and what became of each
sample.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor, nn

from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.losses import LOSSES
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.watch import Trajectory, Watched, gradients_interrupted
from thin_ice.randomness import generator, seed_from

WINDOW = 10  # steps at the end of a path that should gain nothing more ...
WINDOW_SHARE = 5  # ... but no more than one step in so many
APGD_STEPS = 100  # as in AutoAttack's standard version


@dataclass(frozen=True)
class Case:
    """Samples that ``target`` has right, images (N, C, H, W) in [0, 1], and the ball around each.

    ``crafted_on`` is the network that the attacks see, in most studies the target itself.
    """

    crafted_on: nn.Module
    target: nn.Module
    images: Tensor
    labels: Tensor
    threat: ThreatModel

    def unconstrained(self) -> "Case":
        """The same with a ball that holds the whole box."""
        return replace(self, threat=ThreatModel(self.threat.norm, self._diameter()))

    def _diameter(self) -> float:
        pixels = self.images[0].numel()
        return {"Linf": 1.0, "L2": math.sqrt(pixels), "L1": float(pixels)}[self.threat.norm]


@dataclass(frozen=True)
class Attempt:
    """What an attack did to N samples, a tensor (N,) each."""

    fooled: Tensor  # bool, by the count of the attack's authors
    ever_fooled: Tensor  # bool, at any iterate
    final_fools_crafted: Tensor  # bool, the point that the attack returns
    final_fools_target: Tensor  # bool, the same point on the target in evaluation mode
    no_gradient: Tensor  # bool, at some point of the path
    best_loss: Tensor
    late_gain: Tensor  # of the best loss at the end of the path, as a share of the path's range


Attack = Callable[[Case], Attempt]


def protocol_attack(name: str, published: Protocol, study_eps: float, seed: int) -> Attack:
    """A claimed protocol, carried over to the study's eps and from there, by the same ratio of
    step size to eps, to the ball of any case.
    """
    scaled = published.scaled(study_eps)

    def run(case: Case) -> Attempt:
        here = scaled if case.threat.eps == study_eps else scaled.within(case.threat.eps)
        stream = (seed, "indicators", name)
        one = _one_apgd if here.attack == "apgd" else _one_start
        return together([one(case, here, (*stream, start)) for start in range(here.restarts)])

    return run


def _one_start(case: Case, protocol: Protocol, stream: tuple) -> Attempt:
    once = replace(protocol, restarts=1)
    watched, draws = _watched(case, once.loss), generator(case.images.device, *stream)
    outcome = run_protocol(watched, case.images, case.labels, case.threat, once, draws)
    path = watched.trajectory()
    # The start does not count as an iterate: with some protocols it is outside the box.
    return _attempt(
        case, path, ~outcome.robust_last, ~outcome.robust_any, path.last, path.wrong[-1]
    )


def apgd_attack(seed: int, steps: int = APGD_STEPS) -> Attack:
    """AutoAttack's APGD on the cross-entropy, one restart."""

    def run(case: Case) -> Attempt:
        return _apgd(case, case.threat.eps, steps, "ce", seed)

    return run


def _one_apgd(case: Case, protocol: Protocol, stream: tuple) -> Attempt:
    seed = seed_from(*stream) % 2**31
    return _apgd(case, protocol.eps, protocol.steps, protocol.loss, seed)


def _apgd(case: Case, eps: float, steps: int, loss: str, seed: int) -> Attempt:
    """One start of APGD through its authors' package; not through the package's ``perturb``, which
    would drop samples on the way.
    """
    watched = _watched(case, loss)
    package = APGDAttack(
        watched,
        n_iter=steps,
        norm=case.threat.norm,
        eps=eps,
        seed=seed,
        loss=loss,
        device=case.images.device,
    )
    package.init_hyperparam(case.images)
    with under_attack(watched), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the package draws from it, on the CPU
        _, right, _, points = package.attack_single_run(case.images, case.labels)
        with torch.no_grad():
            wrong = case.crafted_on(points).argmax(1) != case.labels
    path = watched.trajectory()
    return _attempt(case, path, ~right.bool(), path.wrong.any(0), points, wrong)


def apgd_seed(seed: int) -> int:
    """A seed that the package takes, of the study's."""
    return seed_from(seed, "indicators", "apgd") % 2**31


def together(restarts: list[Attempt]) -> Attempt:
    """Several starts as one attack: whatever fooled or failed once counts, and optimisation is
    judged where it got farthest.
    """
    whole = {
        field.name: torch.stack([getattr(one, field.name) for one in restarts])
        for field in fields(Attempt)
    }
    farthest = whole["best_loss"].argmax(0, keepdim=True)
    numbers = ("best_loss", "late_gain")
    found = {name: whole.pop(name).gather(0, farthest).squeeze(0) for name in numbers}
    return Attempt(**{name: values.any(0) for name, values in whole.items()}, **found)


def late_gain(losses: Tensor) -> Tensor:
    """How much the best loss so far rose over the last steps, (N,) in [0, 1], of losses (T, N)
    rescaled to their range; 0 where the loss never moved.
    """
    steps = len(losses) - 1
    window = min(WINDOW, math.ceil(steps / WINDOW_SHARE))
    best = losses.cummax(0).values
    span = best[-1] - losses.amin(0)
    return torch.where(span > 0, (best[-1] - best[steps - window]) / span, torch.zeros_like(span))


def _watched(case: Case, loss: str) -> Watched:
    cut = gradients_interrupted(case.crafted_on, case.images, case.labels, LOSSES[loss])
    return Watched(case.crafted_on, case.labels, LOSSES[loss], cut)


def _attempt(
    case: Case, path: Trajectory, fooled: Tensor, ever: Tensor, final: Tensor, wrong: Tensor
) -> Attempt:
    with under_attack(case.target), torch.no_grad():
        wrong_on_target = case.target(final).argmax(1) != case.labels
    best = path.losses.amax(0)
    gain = late_gain(path.losses)
    return Attempt(fooled, ever, wrong, wrong_on_target, path.no_gradient, best, gain)
