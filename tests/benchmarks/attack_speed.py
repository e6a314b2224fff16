"""AutoAttack here against a direct call of the package, and distances against plain loops.

The network is one that `training` made: a small CNN, trained against PGD on digits. The direct call
is the package's own example: the network in evaluation mode, everything else as it comes.
"""

import math
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Figure, alternately, speed_up
from pyautoattack import AutoAttack
from splits import digits
from torch import Tensor, nn

from thin_ice.attacks.autoattack import AttackOutcome, attacker, run_attack
from thin_ice.attacks.distance_budgets import BUDGETS
from thin_ice.attacks.fast import Views, fast
from thin_ice.attacks.fmn import fmn
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings, version_settings
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.margins.distance import Member, distance_table
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.speed import Speed
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

NORM, SEED = "Linf", 0
SAMPLES = 180
FMN_STEPS = 200
SPEED = Speed()
CONVOLUTION = ("mkldnn_convolution", "convolution_backward")  # there and back, as torch names them
ARCHITECTURE = Architecture("digits_cnn", {"width": 16}, (1, 8, 8), 10, normalize=False)


@dataclass(frozen=True)
class Protocol:
    """What is asked of AutoAttack's standard version in L-infinity; the first ``attacks`` of it."""

    eps: float = 0.2
    batch_size: int = 1000
    attacks: int = 4


ASKED = Protocol()


def trained(splits: dict[str, Split], epochs: int = 20, seed: int = 0, **plan: object) -> nn.Module:
    """A small CNN trained against seven steps of PGD, in evaluation mode."""
    model = ARCHITECTURE.build(seed)
    chosen = {"epochs": epochs, "batch_size": 64, "lr": 0.05, "weight_decay": 5e-4}
    setting = Setting(
        train=splits["train"],
        validation=splits["validation"],
        objective=PgdAt(steps=7),
        threat=ThreatModel(NORM, ASKED.eps),
        plan=Plan(**chosen | {"validate_every": epochs, "select": "last"} | plan),
        stream=(seed, "benchmark"),
        views=Views(SPEED),
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(model, setting, Hooks(), Checkpoint(Path(folder) / "checkpoint", "benchmark"))
    return model.eval()


def directly(model: nn.Module, images: Tensor, labels: Tensor, asked: Protocol) -> Tensor:
    """Robust samples, bool (N,), by one call of the package."""
    attack = AutoAttack(
        model, norm=NORM, eps=asked.eps, seed=SEED, version="standard", device=images.device
    )
    attack.attacks_to_run = attack.attacks_to_run[: asked.attacks]
    _, predicted = attack.run_standard_evaluation(images, labels, batch_size=asked.batch_size)
    return predicted == labels


def by_us(model: nn.Module, split: Split, speed: Speed, asked: Protocol) -> Tensor:
    """The same by our cascade."""
    settings = version_settings("standard", NORM)
    settings = replace(settings, attacks=settings.attacks[: asked.attacks])
    cascade = Cascade(ThreatModel(NORM, asked.eps), settings, SEED, asked.batch_size, speed)
    with tempfile.TemporaryDirectory() as folder:
        result = run_shard(model, split, cascade, Checkpoint(Path(folder) / "state", "benchmark"))
    return torch.from_numpy(result.table.robust.to_numpy(copy=True))


def one_thread_job(model: nn.Module, split: Split) -> Tensor:
    """What a job of a study does, in a process of its own."""
    torch.set_num_threads(1)
    return by_us(model, split, SPEED, ASKED)


def autoattack(models: list[nn.Module], split: Split, rounds: int = 2) -> list[Figure]:
    """Two networks: by direct calls one after another with both cores, and as a study attacks them,
    two jobs of one thread side by side; what one call gains alone, and what without the fast path.
    """
    images, labels = split.floats(), split.labels
    found: dict[str, list[Tensor]] = {}
    with ProcessPoolExecutor(len(models), get_context("spawn")) as pool:

        def direct() -> None:
            found["direct"] = [directly(model, images, labels, ASKED) for model in models]

        def study() -> None:
            waited = [pool.submit(one_thread_job, model, split) for model in models]
            found["study"] = [one.result() for one in waited]

        slow, quick = alternately(rounds, direct, study)
    ratio, about = speed_up(slow, quick)
    pairs = zip(found["direct"], found["study"], strict=True)
    same = 100 * float(torch.cat([a == b for a, b in pairs]).float().mean())
    about |= {"samples": len(split) * len(models), "speed": vars(SPEED)}
    about["robust"] = [int(one.sum()) for one in found["direct"]]
    return [
        Figure("AutoAttack standard, 2 networks", ratio, "times direct calls", ">= 1.5", about),
        Figure("their verdicts", round(same, 2), "% are those of direct calls", ">= 99.5"),
        *one_call(models[0], split, rounds),
    ]


def one_call(model: nn.Module, split: Split, rounds: int) -> list[Figure]:
    """One network with both cores, folded and as it is."""
    images, labels = split.floats(), split.labels
    slow, folded, plain = alternately(
        rounds,
        lambda: directly(model, images, labels, ASKED),
        lambda: by_us(model, split, SPEED, ASKED),
        lambda: by_us(model, split, Speed(fold=False), ASKED),
    )
    named = {"folded": folded, "all switches off": plain}
    return [
        Figure(f"one network alone, {name}", ratio, "times the direct call", about=about)
        for name, (ratio, about) in ((name, speed_up(slow, one)) for name, one in named.items())
    ]


def plain_fmn(model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Tensor:
    """FMN in L-infinity as a person would first write it: the gradient of everything, a batch's
    values read on the host in every step. Returns distances, (N,).
    """
    best = torch.full((len(images),), math.inf)
    delta, radius = torch.zeros_like(images), torch.full((len(images),), math.inf)
    for step in range(steps):
        decay = (1 + math.cos(math.pi * step / steps)) / 2
        gamma, stepsize = 0.001 + 0.049 * decay, 0.01 + 0.99 * decay
        delta.requires_grad_(True)
        logits = model(images + delta)
        others = logits.scatter(1, labels[:, None], -math.inf).amax(1)
        margins = logits.gather(1, labels[:, None]).squeeze(1) - others
        model.zero_grad()
        margins.sum().backward()
        gradient, delta = delta.grad, delta.detach()
        for i in range(len(images)):
            size, margin = float(delta[i].abs().max()), margins[i].item()
            if margin < 0:
                best[i] = min(float(best[i]), size)
                radius[i] = min(float(radius[i]) * (1 - gamma), float(best[i]))
            elif math.isfinite(float(best[i])):
                radius[i] = float(radius[i]) * (1 + gamma)
            else:
                radius[i] = size + abs(margin) / max(float(gradient[i].abs().sum()), 1e-12)
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        bound = radius.view(-1, 1, 1, 1)
        delta = (delta - stepsize * gradient / length).clamp(-bound, bound)
        delta = (images + delta).clamp(0, 1) - images
    return best


def distances(model: nn.Module, split: Split, rounds: int = 2) -> Figure:
    """FMN against the plain loop, with how far the distances differ."""
    images, labels = split.floats(), split.labels
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    images, labels = images[right], labels[right]
    found = {}

    def ours() -> None:
        view = fast(model, SPEED)
        found["ours"] = fmn(view, images, labels, NORM, FMN_STEPS, 1.0).distance

    def theirs() -> None:
        found["theirs"] = plain_fmn(model, images, labels, FMN_STEPS)

    slow, quick = alternately(rounds, theirs, ours)
    ratio, about = speed_up(slow, quick)
    about["median_ratio_of_distances"] = round(float((found["ours"] / found["theirs"]).median()), 4)
    return Figure("FMN, 200 steps", ratio, "times a plain loop", about=about)


def envelope(model: nn.Module, split: Split, rounds: int = 1) -> Figure:
    """The cheap budget's envelope on the fast view, against the same attacks on the network as it
    comes, and how many distances are the same to a thousandth.
    """
    members = [
        Member.of({"kind": kind, "norm": NORM, "options": options})
        for kind, options in (_spelled(**wanted) for wanted in BUDGETS["cheap"][NORM])
    ]
    found = {}

    def ours() -> None:
        found["ours"] = distance_table(fast(model, SPEED), split, members)[0]

    def theirs() -> None:
        found["theirs"] = distance_table(model, split, members)[0]

    slow, quick = alternately(rounds, theirs, ours)
    ratio, about = speed_up(slow, quick)
    pair = [found[name][f"distance_{NORM.lower()}"].to_numpy() for name in ("theirs", "ours")]
    same = np.isclose(*pair, rtol=1e-3) | (pair[0] == pair[1])
    about |= {"samples": len(split), "percent_the_same": round(100 * float(same.mean()), 1)}
    return Figure("envelope, cheap budget", ratio, "times on the network as it is", about=about)


def _spelled(kind: str, **options: Any) -> tuple[str, dict[str, Any]]:
    return kind, options


def profile(model: nn.Module, split: Split) -> Figure:
    """Where AutoAttack's time goes in a job of one thread: seconds of each attack on those that
    withstood the ones before, and of it the convolutions' own.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    view, images, labels = fast(model, SPEED), split.floats(), split.labels
    settings = version_settings("standard", NORM)
    with torch.no_grad():
        alive = (view(images).argmax(1) == labels).nonzero().squeeze(1)
    about, whole = {}, {"seconds": 0.0, "convolutions": 0.0}
    for name in settings.attacks:
        x, y = images[alive], labels[alive]
        clock = time.perf_counter()
        withstood = _one_attack(view, name, x, y, settings).withstood
        seconds = time.perf_counter() - clock
        forward, backward = _convolutions(view, name, x, y, settings)
        about[name] = {
            "samples": len(x),
            "seconds": round(seconds, 2),
            "convolutions_forward": round(forward, 2),
            "convolutions_backward": round(backward, 2),
        }
        whole["seconds"] += seconds
        whole["convolutions"] += forward + backward
        alive = alive[withstood]
    torch.set_num_threads(threads)
    share = 100 * whole["convolutions"] / whole["seconds"]
    return Figure(
        "AutoAttack, one thread, convolutions", round(share, 1), "% of its time", about=about
    )


def _one_attack(
    view: nn.Module, name: str, images: Tensor, labels: Tensor, settings: CascadeSettings
) -> AttackOutcome:
    package = attacker(view, NORM, ASKED.eps, SEED, settings)
    return run_attack(package, name, images, labels, ASKED.batch_size)


def _convolutions(
    view: nn.Module, name: str, images: Tensor, labels: Tensor, settings: CascadeSettings
) -> tuple[float, float]:
    """Their seconds, there and back, as torch's profiler has them; of every tenth query."""
    tenth = replace(settings, square_queries=settings.square_queries // 10)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        _one_attack(view, name, images, labels, tenth)
    own = {event.key: event.self_cpu_time_total / 1e6 for event in seen.key_averages()}
    times = 10 if name == "square" else 1
    return tuple(times * own.get(f"aten::{key}", 0.0) for key in CONVOLUTION)


def figures() -> list[Figure]:
    splits = digits()
    models, test = [trained(splits, seed=seed) for seed in range(2)], splits["test"].head(SAMPLES)
    return [
        *autoattack(models, test),
        profile(models[0], test),
        distances(models[0], test),
        envelope(models[0], test),
    ]
