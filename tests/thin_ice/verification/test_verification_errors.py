"""What cannot be bounded is refused, in a sentence that says what and what else there is."""

import gc
from collections import OrderedDict
from weakref import ref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thin_ice.attacks.threat import ThreatModel
from thin_ice.errors import ThinIceError
from thin_ice.verification.graph import graph_of
from thin_ice.verification.margins import Margins, verified
from thin_ice.verification.operator import CannotBound

IMAGES, LABELS = torch.rand(2, 2, 4, 4), torch.tensor([0, 1])


class Of(nn.Module):
    """A network that is one function of the images, with layers at hand."""

    def __init__(self, function):
        super().__init__()
        self.function, self.linear = function, nn.Linear(32, 3)
        self.overwriting = nn.ReLU(inplace=True)

    def forward(self, images):
        return self.function(self, images)


class Standardised(nn.Conv2d):
    """A convolution that computes something else than its base."""

    def forward(self, features):
        return self._conv_forward(features, self.weight - self.weight.mean(), self.bias)


class TwoInputs(nn.Module):
    def forward(self, images, other):
        return (images + other).flatten(1)


def then_flat(layer):
    return nn.Sequential(layer, nn.Flatten())


def overwrites(self, images):
    hidden = images * 2.0
    return self.linear((F.relu(hidden) + self.overwriting(hidden)).flatten(1))


REFUSED = {
    "sigmoid": (nn.Sequential(nn.Sigmoid(), nn.Flatten()), "'sigmoid'.*supported are Conv2d, Lin"),
    "softmax": (Of(lambda net, x: net.linear(x.flatten(1)).softmax(1)), "'softmax'"),
    "branching": (
        Of(lambda net, x: x.flatten(1) if x.sum() > 0 else -x.flatten(1)),
        "cannot trace",
    ),
    "difference": (Of(lambda net, x: net.linear((x - x.relu()).flatten(1))), "'sub'"),
    "constant over": (Of(lambda net, x: net.linear((1 / x).flatten(1))), "'truediv'"),
    "scaled sum": (Of(lambda net, x: torch.add(x, x, alpha=2).flatten(1)), "'add'"),
    "two inputs": (TwoInputs(), "TwoInputs has two inputs"),
    "two outputs": (Of(lambda net, x: (x, x)), "no single tensor"),
    "named outputs": (Of(lambda net, x: {"logits": x}), "no single tensor"),
    "no logits": (nn.ReLU(), r"logits of shape \(2, 2, 4, 4\)"),
    "own convolution": (then_flat(Standardised(2, 2, 1)), "'conv2d'"),
    "reflected": (then_flat(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")), "'reflect'"),
    "same": (then_flat(nn.Conv2d(2, 2, 3, padding="same")), "padding 'same'"),
    "linear on maps": (
        then_flat(nn.Linear(4, 4)),
        r"a linear layer on values of shape \(2, 4, 4\)",
    ),
    "whole batch": (then_flat(nn.BatchNorm2d(2, track_running_stats=False)), "running statistics"),
    "divisor": (then_flat(nn.AvgPool2d(2, divisor_override=3)), "divisor_override 3"),
    "ceil": (then_flat(nn.MaxPool2d(3, ceil_mode=True)), "ceil_mode"),
    "some axes": (Of(lambda net, x: x.flatten(2)), "flattening axes 2 to -1"),
    "all axes": (Of(lambda net, x: torch.flatten(x)), "flattening axes 0 to -1"),
    "overwriting": (Of(overwrites), "overwrites what others read"),
    "broadcast sum": (
        Of(lambda net, x: net.linear((x + F.avg_pool2d(x, 4)).flatten(1))),
        r"a sum of \(2, 4, 4\) and \(2, 1, 1\)",
    ),
    "a constant an image": (Of(lambda net, x: (x + torch.rand(2, 1, 1, 1)).flatten(1)), "constant"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_not_supported_is_named(case):
    model, said = REFUSED[case]
    with pytest.raises(CannotBound, match=said) as raised:
        Margins(model.eval(), IMAGES, LABELS, ThreatModel("Linf", 0.1))
    assert isinstance(raised.value, ThinIceError)
    with pytest.raises(CannotBound, match=said):
        verified(model, IMAGES, LABELS, ThreatModel("Linf", 0.1), "ibp")


def test_dropout_is_bounded_in_evaluation_mode_only():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 3))
    with pytest.raises(CannotBound, match=r"dropout of 0\.5 in training mode"):
        Margins(model.train(), IMAGES, LABELS, ThreatModel("Linf", 0.1))
    Margins(model.eval(), IMAGES, LABELS, ThreatModel("Linf", 0.1)).lower("crown")


SAME = {
    "functions": Of(lambda net, x: net.linear(F.relu(torch.flatten(x, 1)))),
    "methods": Of(lambda net, x: net.linear(x.flatten(1).relu())),
    "torch's": Of(lambda net, x: net.linear(torch.relu(torch.flatten(x, start_dim=1)))),
    "overwriting": Of(lambda net, x: net.linear(net.overwriting((x * 1.0).flatten(1)))),
    "dropout": Of(lambda net, x: net.linear(F.dropout(x.flatten(1).relu(), 0.5, net.training))),
    "arithmetic": Of(
        lambda net, x: net.linear(((2 * x + 1 - torch.ones(2, 1, 1)) / 2).flatten(1).relu())
    ),
    "in place": Of(lambda net, x: net.linear(_added(x).flatten(1).relu())),
}


def _added(images):
    total = images * 0.25
    total += images * 0.75
    return total


@pytest.mark.parametrize("case", sorted(SAME))
def test_the_same_network_is_bounded_alike_however_it_is_written(case):
    model = SAME[case].eval()
    layers = nn.Sequential(nn.Flatten(), nn.ReLU(), model.linear).eval()
    threat = ThreatModel("Linf", 0.1)
    margins = Margins(model, IMAGES, LABELS, threat)
    assert torch.equal(margins.logits, model(IMAGES))
    for method in ("ibp", "crown_ibp"):
        expected = Margins(layers, IMAGES, LABELS, threat).lower(method)
        torch.testing.assert_close(margins.lower(method), expected)


def test_a_pooling_function_is_its_layer():
    model = Of(
        lambda net, x: F.max_pool2d(F.avg_pool2d(x, 2, stride=1, padding=1), 2, 1).flatten(1)
    )
    layers = nn.Sequential(nn.AvgPool2d(2, 1, 1), nn.MaxPool2d(2, 1), nn.Flatten())
    threat = ThreatModel("L2", 0.3)
    for method in ("ibp", "crown_ibp", "crown"):
        found, expected = (
            Margins(m, IMAGES, LABELS, threat).lower(method) for m in (model, layers)
        )
        torch.testing.assert_close(found, expected)


def test_what_is_computed_beside_the_logits_is_left_out():
    def forward(net, images):
        logits = net.linear(images.flatten(1))
        logits.relu()
        return logits

    model, threat = Of(forward), ThreatModel("Linf", 0.1)
    for method in ("ibp", "crown_ibp", "crown"):
        found = Margins(model, IMAGES, LABELS, threat).lower(method)
        layers = nn.Sequential(nn.Flatten(), model.linear)
        assert torch.equal(found, Margins(layers, IMAGES, LABELS, threat).lower(method))


def test_a_network_of_one_layer_is_bounded():
    images = torch.rand(2, 5)
    Margins(nn.Linear(5, 3), images, LABELS, ThreatModel("L2", 0.1)).lower("crown")


def test_a_layer_may_be_called_as_a_function_is():
    named = OrderedDict(
        flatten=nn.Flatten(), relu=nn.Linear(32, 8), add=nn.ReLU(), sub=nn.Linear(8, 3)
    )
    model, threat = nn.Sequential(named), ThreatModel("Linf", 0.1)
    expected = Margins(nn.Sequential(*model), IMAGES, LABELS, threat).lower("crown_ibp")
    assert torch.equal(Margins(model, IMAGES, LABELS, threat).lower("crown_ibp"), expected)


class Switched(nn.Module):
    """A network around layers, whose tensors and options its own code reads."""

    def __init__(self, trains=False):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.0)) if trains else nn.Buffer(torch.tensor(0.0))
        self.clips = True
        self.linear, self.after = nn.Linear(32, 3), nn.Identity()

    def forward(self, images):
        features = self.linear(images.flatten(1)) * self.scale.exp()
        return self.after(features.relu() if self.clips else features)


def rescaled(model):
    with torch.no_grad():
        model.scale.add_(1)


def replaced(model):
    model.after = nn.Linear(3, 3)


CHANGES = {
    "nothing": lambda model: None,
    "a tensor in place": rescaled,
    "an option": lambda model: setattr(model, "clips", False),
    "a layer": replaced,
    "a tensor": lambda model: setattr(model, "scale", torch.tensor(2.0)),
    "a weight": lambda model: model.linear.weight.data.mul_(2),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_network_is_bounded_as_it_is_now(change):
    model, threat = Switched(), ThreatModel("Linf", 0.1)
    Margins(model, IMAGES, LABELS, threat)
    CHANGES[change](model)
    fresh = Switched()
    fresh.clips, fresh.after, fresh.scale = model.clips, model.after, model.scale
    fresh.linear = model.linear
    found, expected = (Margins(m, IMAGES, LABELS, threat) for m in (model, fresh))
    assert torch.equal(found.logits, model(IMAGES))
    assert torch.equal(found.lower("crown_ibp"), expected.lower("crown_ibp"))


def test_what_was_traced_is_kept_while_layers_train_and_let_go_with_the_network():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(32), nn.Linear(32, 3))
    graph = graph_of(model)
    with torch.no_grad():
        model[2].weight.mul_(2)
    model(IMAGES)
    assert graph_of(model) is graph
    held = ref(model)
    del model, graph
    gc.collect()
    assert held() is None


def test_a_tensor_outside_the_layers_gets_its_gradient_in_every_pass():
    model, threat = Switched(trains=True), ThreatModel("Linf", 0.1)
    verified(model, IMAGES, LABELS, threat, "ibp")
    for _ in range(2):
        lower = Margins(model, IMAGES, LABELS, threat).lower("ibp")
        (gradient,) = torch.autograd.grad(lower.sum(), model.scale)
        torch.testing.assert_close(gradient, lower.sum().detach())  # every margin grows as exp does
