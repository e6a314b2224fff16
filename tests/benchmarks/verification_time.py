"""What bounds cost, in processor time of one thread, the best of some rounds since others use the
machine: by layer, by method beside a forward pass, and 1,000 digits on the small CNN with every
method. `python tests/benchmarks/verification_time.py` prints three tables.
"""

import time
from collections.abc import Callable
from copy import deepcopy

import torch
from measure import Figure
from torch import Tensor, nn

from thin_ice.attacks.threat import ThreatModel
from thin_ice.models.network import Architecture
from thin_ice.verification.bounds import METHODS, Bounds, network_of
from thin_ice.verification.graph import graph_of
from thin_ice.verification.intervals import Interval
from thin_ice.verification.margins import Margins, verified
from thin_ice.verification.readers import READERS
from thin_ice.verification.region import Region

ROUNDS = 3
BATCH, SPECIFICATIONS = 64, 10
MAPS = (16, 16, 16)
LAYERS = {
    "Conv2d 3x3": nn.Conv2d(16, 16, 3, padding=1),
    "Conv2d 4x4, stride 2": nn.Conv2d(16, 16, 4, stride=2, padding=1),
    "BatchNorm2d": nn.BatchNorm2d(16),
    "ReLU": nn.ReLU(),
    "AvgPool2d 2x2": nn.AvgPool2d(2),
    "AdaptiveAvgPool2d 1x1": nn.AdaptiveAvgPool2d(1),
    "MaxPool2d 2x2": nn.MaxPool2d(2),
    "MaxPool2d 3x3, stride 1": nn.MaxPool2d(3, 1, 1),
    "Flatten": nn.Flatten(),
    "Linear 4096 to 100": nn.Linear(4096, 100),
}
NETWORKS = {  # a batch each, in float32
    "cnn_small": (Architecture("cnn_small", {}, (3, 32, 32), 10, True), 64),
    "cnn_large": (Architecture("cnn_large", {}, (3, 32, 32), 10, True), 16),
    "digits_cnn": (Architecture("digits_cnn", {}, (1, 8, 8), 10, True), 64),
    "resnet18, width 8": (Architecture("resnet18", {"width": 8}, (3, 32, 32), 10, True), 16),
}


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    best = float("inf")
    for _ in range(rounds):
        clock = time.process_time()
        work()
        best = min(best, time.process_time() - clock)
    return best


def of_a_layer(layer: nn.Module) -> list[str]:
    """Milliseconds: the layer, an interval, ten linear bounds back."""
    shape = (BATCH, 4096) if isinstance(layer, nn.Linear) else (BATCH, *MAPS)
    values = torch.randn(shape)
    operator = READERS[type(layer)](layer.eval(), values, torch.float32)
    box = Interval(values - 0.1, values + 0.1)
    outputs = layer(values).shape[1:]
    slopes = torch.randn(BATCH, SPECIFICATIONS, *outputs)
    work = (
        lambda: layer(values),
        lambda: operator.interval(box),
        lambda: operator.backward(slopes, box),
    )
    return [f"{1000 * seconds(each, 5):.2f}" for each in work]


def of_a_network(architecture: Architecture, batch: int) -> list[str]:
    """Milliseconds: tracing once, a forward pass; then ibp and crown_ibp, times that."""
    model, images, labels = untrained(architecture, batch)
    threat = ThreatModel("Linf", 2 / 255)

    def bounded(method: str) -> Tensor:
        return Margins(model, images, labels, threat).lower(method)

    forward = seconds(lambda: model(images))
    unseen = [deepcopy(model) for _ in range(ROUNDS)]
    tracing = seconds(lambda: graph_of(unseen.pop()))
    cells = [f"{1000 * tracing:.1f}", f"{1000 * forward:.1f}"]
    for method in ("ibp", "crown_ibp"):
        cells.append(f"{seconds(lambda: bounded(method)) / forward:.1f}")  # noqa: B023
    return cells


def untrained(architecture: Architecture, batch: int) -> tuple[nn.Module, Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *architecture.input_shape, generator=stream)
    model = architecture.build(seed=0).eval()
    return model, images, model(images).argmax(1)


def a_thousand_digits(eps: float) -> list[str]:
    """Seconds of `verified` by method; last, which share of units crown had to bound itself."""
    architecture = Architecture("cnn_small", {}, (1, 8, 8), 10, True)
    model, images, labels = untrained(architecture, 1000)
    threat = ThreatModel("Linf", eps)
    cells = [f"{seconds(lambda: model(images)):.3f}"]
    for method in METHODS:
        cells.append(f"{seconds(lambda: verified(model, images, labels, threat, method), 1):.2f}")  # noqa: B023
    region = Region(images, "Linf", torch.full((1000,), eps))
    bounds = Bounds(network_of(model, images, images.dtype), region)
    readers = bounds._nonlinear_readers()
    undecided = [readers[i][0].undecided(bounds.intervals[i]).flatten() for i in readers]
    return [*cells, f"{torch.cat(undecided).float().mean():.2f}"]


def figures() -> list[Figure]:
    """Milliseconds of one thread a sample, by method, on the small CNN."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        _, *cells = a_thousand_digits(0.01)
    torch.set_num_threads(threads)
    return [
        Figure(f"verification by {name}, a sample", float(cell), "ms")
        for name, cell in zip(METHODS, cells, strict=False)
    ]


def table(header: str, rows: dict[str, list[str]]) -> None:
    print(f"\n{header}\n{'|---' * header.count(' | ')}|---|")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        header = f"| layer, {BATCH} images | ms | interval, ms | {SPECIFICATIONS} bounds back, ms |"
        table(header, {name: of_a_layer(layer) for name, layer in LAYERS.items()})
        header = "| network | tracing, ms | forward, ms | ibp, times that | crown_ibp, times that |"
        table(header, {name: of_a_network(*network) for name, network in NETWORKS.items()})
        methods = ", s | ".join(METHODS)
        header = f"| 1,000 digits, eps | forward, s | {methods}, s | undecided units |"
        table(header, {str(eps): a_thousand_digits(eps) for eps in (0.01, 0.1)})
