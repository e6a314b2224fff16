"""The figures of a GPU, on real CIFAR-10: an epoch of adversarial training and AutoAttack.

    PYTHONPATH=workflow python tests/benchmarks/gpu.py --cifar10 FOLDER --json gpu.json
    PYTHONPATH=workflow python tests/benchmarks/gpu.py --device cpu --miniature

The first on the machine with the GPU; the second is what `make test` runs. FOLDER holds CIFAR-10 as
parquet files, as on the Hugging Face hub. Without it the images are random, which takes as long,
and those to be attacked are labelled as the network has them. Each way of computing gets a figure
of its own: float32 and bfloat16, contiguous and channels last, compiled. The first steps, which
choose kernels or compile them, are left out of an epoch's time and named beside it.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from attack_speed import Protocol, by_us, directly
from measure import HEADER, Figure, table
from splits import splits_of
from torch import nn
from training_speed import STEPS, random_split

from thin_ice.attacks.fast import Views
from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.cifar10 import Cifar10
from thin_ice.data.partition import partition
from thin_ice.data.split import Split
from thin_ice.device import Device, prepare
from thin_ice.models.flops import size
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.speed import Speed
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

EPS = 8 / 255
WAYS = {  # of computing the adversary's passes, and the precision of training
    "float32": (Speed(), "float32"),
    "bfloat16": (Speed(), "bfloat16"),
    "bfloat16, channels last": (Speed(channels_last=True), "bfloat16"),
}
# Measured last, and in full alone: compiling takes minutes, and might fail on another machine.
COMPILED = {
    "bfloat16, channels last, compiled": (Speed(channels_last=True, compile=True), "bfloat16")
}
# Passes of an image in a step, forward ones: there and back of the adversary, and of training.
PASSES = 2 * STEPS + 3


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    width: int
    warm_up: int  # images that are trained on before the clock starts
    train: int
    attacked: int
    batch_size: int
    attacks: int = 4  # the first of AutoAttack's standard version


FULL = Scale(width=64, warm_up=5_120, train=50_000, attacked=1_000, batch_size=512)
MINIATURE = Scale(width=2, warm_up=16, train=32, attacked=6, batch_size=16, attacks=1)
TARGETS = {"epoch": "<= 10", "autoattack": "<= 60"}  # seconds, of the full scale


def splits(folder: Path | None, scale: Scale, device: str) -> tuple[Split, Split]:
    """Images to train on and to attack, on the device."""
    if folder is None:
        shape = (3, 32, 32)
        return tuple(random_split(n, shape, device) for n in (scale.train, scale.attacked))
    parts = partition(Cifar10(folder=str(folder)).read(), validation=0.0002, seed=0)
    named = splits_of(parts, device)
    return named["train"].head(scale.train), named["test"].head(scale.attacked)


def epoch(model: nn.Module, split: Split, scale: Scale, way: tuple[Speed, str]) -> float:
    """Seconds of one epoch of PGD adversarial training, validation of one image included."""
    speed, precision = way
    setting = Setting(
        train=split,
        validation=split.head(1),
        objective=PgdAt(steps=STEPS),
        threat=ThreatModel("Linf", EPS),
        plan=Plan(1, scale.batch_size, lr=0.05, augment="crop_flip", precision=precision),
        stream=(0, "gpu"),
        views=Views(speed),
    )
    _synchronise(split)
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fit(model, setting, Hooks(), Checkpoint(Path(folder) / "checkpoint", "gpu"))
    _synchronise(split)
    return time.perf_counter() - clock


def training(
    split: Split, scale: Scale, full: bool, ways: dict[str, tuple[Speed, str]]
) -> tuple[nn.Module, list[Figure]]:
    """A figure a way, and the network that the last one trained."""
    found, device = [], split.images.device
    for name, way in ways.items():
        architecture = Architecture("resnet18", {"width": scale.width}, (3, 32, 32), 10, False)
        model = architecture.build(0).to(device)
        cold = epoch(model, split.head(scale.warm_up), scale, way)
        seconds = epoch(model, split, scale, way)
        about = {"warm_up_s": round(cold, 2), "images_per_s": round(len(split) / seconds, 1)}
        flop = PASSES * size(architecture).flops * len(split)
        about["tflops"] = round(flop / seconds / 1e12, 3)
        if device.type == "cuda":
            about["peak_memory_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
        target = TARGETS["epoch"] if full else ""
        found.append(
            Figure(f"PGD-10 epoch, ResNet-18, {name}", round(seconds, 2), "s", target, about)
        )
    return model.eval(), found


def attacks(model: nn.Module, split: Split, scale: Scale, full: bool) -> list[Figure]:
    """AutoAttack standard on what the network has right, by a direct call and by us."""
    images, labels = split.floats(), split.labels
    asked = Protocol(EPS, min(500, scale.batch_size), scale.attacks)
    seconds, verdicts = {}, {}
    ways = {
        "direct call": lambda: directly(model, images, labels, asked),
        "folded": lambda: by_us(model, split, Speed(), asked),
    }
    for name, way in ways.items():
        clock = time.perf_counter()
        verdicts[name] = way().cpu()
        seconds[name] = time.perf_counter() - clock
    same = 100 * float((verdicts["folded"] == verdicts["direct call"]).float().mean())
    target = TARGETS["autoattack"] if full else ""
    about = {"direct_s": round(seconds["direct call"], 2), "samples": len(split)}
    about["robust"] = int(verdicts["folded"].sum())
    return [
        Figure("AutoAttack standard", round(seconds["folded"], 2), "s", target, about),
        Figure("its verdicts", same, "% are those of the direct call", ">= 99.5"),
    ]


def _synchronise(split: Split) -> None:
    if split.images.is_cuda:
        torch.cuda.synchronize()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=Path, help="folder of its parquet files")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--miniature", action="store_true", help="a few images, no targets")
    parser.add_argument("--json", type=Path, help="where the figures go with their details")
    options = parser.parse_args(arguments)
    device = prepare(options.device, threads=torch.get_num_threads())
    scale, full = (MINIATURE if options.miniature else FULL), not options.miniature
    train, test = splits(options.cifar10, scale, device.name)
    model, found = training(train, scale, full, WAYS)
    if options.cifar10 is None:  # nobody has random labels right, and AutoAttack would do nothing
        with torch.no_grad():
            predicted = torch.cat([model(x).argmax(1) for x, _ in test.batches(500)])
        test = replace(test, labels=predicted)
    found += attacks(model, test, scale, full)
    print(f"{HEADER}\n{table(found, header=False)}", flush=True)
    _write(options.json, device, found)
    if full:
        compiled = training(train, scale, full, COMPILED)[1]
        print(table(compiled, header=False))
        _write(options.json, device, found + compiled)


def _write(file: Path | None, device: Device, figures: list[Figure]) -> None:
    if file:
        facts = {"device": device.facts, "torch": torch.__version__}
        report = facts | {"figures": [one.as_dict() for one in figures]}
        file.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
