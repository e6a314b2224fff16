"""Random small networks of every supported layer, random images, and points near them."""

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from thin_ice.attacks.threat import ThreatModel
from thin_ice.models.normalize import Normalized

CLASSES = 3
NORMS = ("Linf", "L2", "L1")
LAYERS = ("conv", "bn", "relu", "average", "adaptive", "max", "residual", "dropout", "identity")


class Residual(nn.Module):
    """relu(shortcut(x) + branch(x)), or without the ReLU."""

    def __init__(self, branch, shortcut, relu):
        super().__init__()
        self.branch, self.shortcut, self.relu = branch, shortcut, relu

    def forward(self, features):
        total = self.branch(features) + self.shortcut(features)
        return total.relu() if self.relu else total


@st.composite
def networks(draw, images=(2, 5, 6), depth=4):
    """A network in float64 and evaluation mode whose weights and statistics are random."""
    shape, layers = list(images), []
    for kind in draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=depth)):
        layer = MAKE[kind](draw, shape)
        layers.append(layer)
        shape[:] = layer.eval()(torch.zeros(1, *shape)).shape[1:]
    layers.append(nn.Flatten())
    features = shape[0] * shape[1] * shape[2]
    for _ in range(draw(st.integers(0, 2))):
        hidden = draw(st.integers(1, 5))
        layers += [nn.Linear(features, hidden)]
        layers += [nn.BatchNorm1d(hidden)] if draw(st.booleans()) else []
        layers += [nn.ReLU()]
        features = hidden
    network = nn.Sequential(*layers, nn.Linear(features, CLASSES))
    if draw(st.booleans()):
        network = Normalized(network, [0.4] * images[0], [0.3] * images[0])
    return randomized(network.double().eval(), draw(st.integers(0, 2**32 - 1)))


@st.composite
def cases(draw, count=2, images=(2, 5, 6), depth=4):
    """A network, images, labels, a threat model and the stream for points."""
    network = draw(networks(images, depth))
    stream = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    clean = torch.rand(count, *images, generator=stream, dtype=torch.float64)
    clean = torch.where(torch.rand(clean.shape, generator=stream) < 0.2, clean.round(), clean)
    labels = torch.randint(CLASSES, (count,), generator=stream)
    norm = draw(st.sampled_from(NORMS))
    largest = {"Linf": 0.5, "L2": 2.0, "L1": 6.0}[norm]
    eps = largest * draw(st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5, 1.0]))
    return network, clean, labels, ThreatModel(norm, eps), stream


def randomized(network, seed):
    """Other weights than an initialisation's, and statistics as after training; some are zero."""
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.uniform_(-0.5, 0.5, generator=stream)
                module.running_var.uniform_(0.2, 2, generator=stream)
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=stream, dtype=torch.float64))
            parameter[torch.rand(parameter.shape, generator=stream) < 0.2] = 0
            parameter.div_(max(1, parameter[0].numel()) ** 0.5)
    return network


def _conv(draw, shape):
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[1:])
    groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
    dilation = tuple(
        draw(st.integers(1, 2)) if 2 * (k - 1) + 1 <= size else 1
        for k, size in zip(kernel, shape[1:], strict=True)
    )
    return nn.Conv2d(
        shape[0],
        groups * draw(st.integers(1, 2)),
        kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        padding=(draw(st.integers(0, 2)), draw(st.integers(0, 1))),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


def _window(draw, shape):
    """Kernel, stride and padding of a pooling layer."""
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[1:])
    stride = draw(st.one_of(st.none(), st.integers(1, 3)))
    return kernel, stride, tuple(draw(st.integers(0, k // 2)) for k in kernel)


def _average(draw, shape):
    return nn.AvgPool2d(*_window(draw, shape), draw(st.booleans()), draw(st.booleans()))


def _adaptive(draw, shape):
    return nn.AdaptiveAvgPool2d(tuple(draw(st.integers(1, size)) for size in shape[1:]))


def _max(draw, shape):
    kernel, stride, padding = _window(draw, shape)
    wide = all(2 * (k - 1) + 1 <= size for k, size in zip(kernel, shape[1:], strict=True))
    return nn.MaxPool2d(kernel, stride, padding, draw(st.integers(1, 2)) if wide else 1)


def _residual(draw, shape):
    after = draw(st.sampled_from([shape[0], 2]))
    branch = [nn.Conv2d(shape[0], after, 3, padding=1, bias=draw(st.booleans()))]
    branch += [nn.BatchNorm2d(after)] if draw(st.booleans()) else []
    branch += [nn.ReLU(), nn.Conv2d(after, after, 3, padding=1)] if draw(st.booleans()) else []
    shortcut = nn.Identity() if after == shape[0] else nn.Conv2d(shape[0], after, 1)
    return Residual(nn.Sequential(*branch), shortcut, draw(st.booleans()))


MAKE = {
    "conv": _conv,
    "bn": lambda draw, shape: nn.BatchNorm2d(shape[0], affine=draw(st.booleans())),
    "relu": lambda draw, shape: nn.ReLU(),
    "average": _average,
    "adaptive": _adaptive,
    "max": _max,
    "residual": _residual,
    "dropout": lambda draw, shape: nn.Dropout(0.5),
    "identity": lambda draw, shape: nn.Identity(),
}


def values_of(steps, images) -> list[Tensor]:
    """Every value of the network, by its own layers."""
    values = [images]
    for step in steps:
        values.append(step.run(*(values[number] for number in step.inputs)))
    return values


def sampled(threat, clean, count, stream) -> Tensor:
    """``count`` points a sample in the ball and the box, (count, N, C, H, W), most at its edge."""
    noise = torch.randn(count, *clean.shape, generator=stream, dtype=clean.dtype)
    sparse = noise * (torch.rand(noise.shape, generator=stream) < 0.1)
    noise = torch.where(torch.arange(count).view(-1, 1, 1, 1, 1) % 2 == 0, noise, sparse)
    if threat.norm == "Linf":
        return (clean + threat.eps * noise.sign()).clamp(0, 1)
    lengths = threat.size(noise.flatten(0, 1)).clamp_min(1e-12).view(count, -1, 1, 1, 1)
    return (clean + threat.eps * noise / lengths).clamp(0, 1)


def attacked(network, threat, clean, labels, steps=2) -> Tensor:
    """PGD from the clean image towards each class, (CLASSES, N, C, H, W)."""
    points = clean.repeat(CLASSES, 1, 1, 1)
    start, own = points, labels.repeat(CLASSES)
    others = torch.arange(CLASSES).repeat_interleave(len(labels))
    for _ in range(steps):
        points = points.detach().requires_grad_(True)
        logits = network(points)
        rise = logits.gather(1, others[:, None]) - logits.gather(1, own[:, None])
        (gradient,) = torch.autograd.grad(rise.sum(), points)
        moved = points.detach() + 0.7 * threat.eps * threat.steepest(gradient)
        points = threat.project(moved, start)
    return points.detach().unflatten(0, (CLASSES, len(labels)))
