"""Verified samples and certified radii: against closed forms, AutoAttack, and rounding."""

import copy

import pytest
import torch
import torch.nn.functional as F
from random_networks import NORMS
from sklearn.datasets import load_digits
from small_models import built
from torch import nn

from thin_ice.attacks.autoattack import attacker, run_attack
from thin_ice.attacks.balls import DUAL_NORM
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings
from thin_ice.models.network import Architecture
from thin_ice.verification.margins import METHODS, Margins, verified
from thin_ice.verification.radius import certified_radius
from thin_ice.verification.rounding import tolerance, widened

EPS = 0.1
CASCADE = CascadeSettings(("apgd-ce", "apgd-t", "fab-t", "square"), 1, 1, 9, 3, 1, 200, False)
RADII = {"Linf": 0.1, "L2": 0.2}


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    return images, torch.tensor(labels)


@pytest.fixture(scope="module")
def trained(digits):
    """A small network with batch norm, trained for a few seconds by its IBP margins."""
    model = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=True).build(seed=0)
    images, labels = digits[0][:1400], digits[1][:1400]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    order = torch.Generator().manual_seed(0)
    for epoch in range(12):
        threat = ThreatModel("Linf", EPS * min(1, epoch / 8))
        for batch in torch.randperm(1400, generator=order).split(100):
            lower = Margins(model, images[batch], labels[batch], threat).lower("ibp")
            optimizer.zero_grad()
            F.cross_entropy(-lower, labels[batch]).backward()
            optimizer.step()
    return model.eval()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_autoattack_breaks_no_verified_sample_and_breaks_others(trained, digits, norm):
    eps = RADII[norm]
    images, labels = digits[0][1400:1460], digits[1][1400:1460]
    with torch.no_grad():
        right = trained(images).argmax(1) == labels
    images, labels = images[right], labels[right]
    left, withstood = torch.arange(len(labels)), torch.ones(len(labels), dtype=torch.bool)
    package = attacker(trained, norm, eps, 0, CASCADE)
    for name in CASCADE.attacks:
        outcome = run_attack(package, name, images[left], labels[left], 200)
        withstood[left] = outcome.withstood
        left = left[outcome.withstood]
    certain = {m: verified(trained, images, labels, ThreatModel(norm, eps), m) for m in METHODS}
    for held in certain.values():
        assert withstood[held].all()
    assert (~withstood).any()
    assert certain["crown"].float().mean() > 0.3
    assert (certain["crown_ibp"] | ~certain["ibp"]).all()
    assert (certain["crown"] | ~certain["crown_ibp"]).all()


def test_training_on_ibp_margins_makes_samples_verifiable(trained, digits):
    images, labels = digits[0][1400:], digits[1][1400:]
    threat = ThreatModel("Linf", EPS)
    assert verified(trained, images, labels, threat, "ibp").float().mean() > 0.4
    other = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=True).build(seed=0)
    assert verified(other, images, labels, threat, "ibp").float().mean() < 0.1


def test_nothing_misclassified_is_verified_and_the_network_is_left_as_it_was(trained, digits):
    model = copy.deepcopy(trained).train()
    model.network.block2.eval()
    images, labels = digits[0][:50], digits[1][:50]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    wrong = (trained(images).argmax(1) + 1) % 10
    found = verified(model, images, wrong, ThreatModel("Linf", 0.0), "crown")
    assert not found.any()
    expected = verified(trained, images, labels, ThreatModel("Linf", 0.02), "crown_ibp")
    found = verified(model, images, labels, ThreatModel("Linf", 0.02), "crown_ibp")
    assert torch.equal(found, expected)
    assert found.dtype == torch.bool
    assert model.training
    assert not model.network.block2.bn.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_verdicts_do_not_depend_on_autocast(trained, digits):
    images, labels = digits[0][:100], digits[1][:100]
    threat = ThreatModel("Linf", 0.1)
    expected = verified(trained, images, labels, threat, "ibp")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(verified(trained, images, labels, threat, "ibp"), expected)


def linear(dtype=torch.float64):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 3)).to(dtype)
    with torch.no_grad():
        network[1].weight.copy_(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))
        network[1].bias.zero_()
    images = 0.45 + 0.1 * torch.rand(6, 2, 2, 2, generator=torch.Generator().manual_seed(2))
    return network, images.to(dtype)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", NORMS)
def test_the_radius_of_a_linear_network_is_its_margin_over_the_dual_norm(norm, method):
    network, images = linear()
    logits, weight = network(images), network[1].weight.detach()
    predicted = logits.argmax(1)
    margins = logits.gather(1, predicted[:, None]) - logits
    slopes = (weight[predicted][:, None] - weight).flatten(0, 1)
    radii = margins / DUAL_NORM[norm](slopes).view(6, 3)
    expected = radii.where(margins > 0, torch.inf).amin(1)
    upper, rounds = 0.4, 16
    inside = expected < min(upper, 0.45)
    assert inside.sum() >= 3
    found = certified_radius(network, images, predicted, norm, method, upper, rounds)
    assert found.dtype == torch.float64
    assert (found <= expected.clamp_max(upper)).all() or norm != "Linf"
    assert (found <= expected)[inside].all()
    assert (found * 2 ** (16 / 2**rounds) + 1e-9 >= expected)[inside].all()


@pytest.mark.parametrize("method", METHODS)
def test_a_radius_is_verified_bounded_and_signed(trained, digits, method):
    images, labels = digits[0][1400:1460], digits[1][1400:1460].clone()
    predicted = trained(images).argmax(1)
    labels[0] = (predicted[0] + 1) % 10
    found = certified_radius(trained, images, labels, "Linf", method, 0.15, 6)
    assert (found.abs() <= 0.15).all()
    assert (found.abs() == 0.15).any()
    assert ((found > 0) & (found < 0.15)).any()
    assert (found[predicted == labels] >= 0).all()
    assert (found[predicted != labels] <= 0).all()
    assert found[0] < 0
    for sample in range(0, 60, 6):
        eps = found[sample].abs().item()
        image, own = images[sample : sample + 1], predicted[sample : sample + 1]
        assert verified(trained, image, own, ThreatModel("Linf", eps), method) or eps == 0
        above = ThreatModel("Linf", eps * 2 ** (16 / 2**6) + 1e-9)
        assert eps == 0.15 or not verified(trained, image, own, above, method)


def test_small_radii_are_told_apart_as_well_as_large_ones_and_a_sixteenth_is_tried():
    network, images = linear()
    predicted = network(images).argmax(1)
    reached = certified_radius(network, images, predicted, "Linf", "ibp", 100.0, 16)
    far = certified_radius(network, images, predicted, "Linf", "ibp", 1e4 * reached.max(), 16)
    assert (reached > 0).sum() >= 3
    ratio = (far / reached)[reached > 0]
    assert ((ratio > 0.99) & (ratio < 1.01)).all()
    sixteenth = reached.max() / 16
    found = certified_radius(network, images, predicted, "Linf", "ibp", sixteenth * 16, 2)
    assert (found[reached > sixteenth] >= sixteenth).all()


def test_where_nothing_is_certified_the_radius_is_zero():
    network, images = linear()
    with torch.no_grad():
        network[1].weight.zero_()
    found = certified_radius(network, images, torch.zeros(6).long(), "L2", "ibp", 1.0, 4)
    assert (found == 0).all()


def test_a_margin_within_rounding_is_not_verified():
    network, images = linear(torch.float32)
    network[1].weight.data.zero_()
    threat, labels = ThreatModel("Linf", 0.0), torch.zeros(6).long()
    for margin, expected in ((1e-5, False), (1e-3, True)):
        network[1].bias.data = torch.tensor([10 + margin, 10, 0])
        assert (network(images).argmax(1) == 0).all()
        found = verified(network, images, labels, threat, "crown")
        assert (found == expected).all()


def test_a_margin_must_exceed_what_the_network_s_own_rounding_does():
    exact = torch.tensor([[1.0, 0.0], [-8.0, 2.0]], dtype=torch.float64)
    unit = torch.finfo(torch.float32).eps
    found = tolerance(exact.float(), exact)
    torch.testing.assert_close(found, 32 * unit * torch.tensor([1.0, 8.0]).double())
    rounded = exact.float() + torch.tensor([[0.0, 0.0], [0.0, 1e-3]])
    assert tolerance(rounded, exact)[0] == found[0]
    assert tolerance(rounded, exact)[1].item() == pytest.approx(0.032, rel=1e-3)


def test_a_network_that_loses_its_digits_on_the_way_is_not_verified():
    """Ten thousand added and taken away again: float32 logits are off by some 1e-4."""
    network, images = linear(torch.float32)
    with torch.no_grad():
        shifted = nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.Linear(3, 3))
        shifted[1].weight.copy_(network[1].weight * 1e-4)
        shifted[1].bias.copy_(torch.tensor([10000.004, 10000.0, 10000.0]))
        shifted[2].weight.copy_(torch.eye(3))
        shifted[2].bias.fill_(-10000.0)
    labels = torch.zeros(6).long()
    assert (shifted(images).argmax(1) == 0).all()
    assert not verified(shifted, images, labels, ThreatModel("Linf", 0.0), "ibp").any()


def test_a_ball_is_widened_by_what_rounding_adds_to_an_image():
    eps, images = torch.tensor([0.1, 0.2], dtype=torch.float64), torch.zeros(2, 3, 10, 10)
    unit = torch.finfo(torch.float32).eps
    for norm, size in (("Linf", 1), ("L2", 300**0.5), ("L1", 300)):
        torch.testing.assert_close(widened(eps, images, norm), eps + unit * size)
    assert (widened(eps, images.double(), "L1") - eps).max() < 1e-12


def test_a_verdict_counts_what_rounding_adds_to_an_image():
    """The first value alone decides; rounding all 300 takes an image 4e-5 further in L1."""
    network, images = (
        nn.Sequential(nn.Flatten(), nn.Linear(300, 2)),
        torch.full((1, 3, 10, 10), 0.5),
    )
    with torch.no_grad():
        network[1].weight.zero_()[0, 0] = 1
        network[1].bias.zero_()
    for short, expected in ((1e-5, False), (1e-4, True)):
        threat = ThreatModel("L1", 0.5 - short)
        assert verified(network, images, torch.tensor([0]), threat, "ibp") == expected


@pytest.mark.parametrize("kind", ["resnet18", "wrn"])
def test_deep_networks_are_verified_where_the_ball_is_small(kind):
    model, images, _ = built(kind, normalize=True)
    predicted = model(images).argmax(1)
    assert verified(model, images, predicted, ThreatModel("Linf", 1e-6), "crown_ibp").all()
    assert not verified(model, images, predicted, ThreatModel("Linf", 1.0), "crown_ibp").any()


def test_a_network_that_is_not_what_its_layers_are_is_not_verified(trained, digits):
    model, images = copy.deepcopy(trained), digits[0][:50]
    model.network.block1.relu.register_forward_hook(lambda module, inputs, output: 1.5 * output)
    for network, held in ((trained, True), (model, False)):
        predicted = network(images).argmax(1)
        found = verified(network, images, predicted, ThreatModel("Linf", 0.0), "ibp")
        assert found.any() == held
