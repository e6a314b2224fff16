"""AutoAttack's own package, with the settings of the declared version, one attack at a time."""

import copy
import logging
import sys

import pytest
import torch
from pyautoattack import AutoAttack
from torch import nn

from thin_ice.attacks.autoattack import attacker, predictions, run_attack
from thin_ice.attacks.flags import flag
from thin_ice.attacks.versions import VERSIONS, CascadeSettings, version_settings
from thin_ice.errors import ThinIceError

PARTS = {  # the package's object for each attack
    "apgd-ce": "apgd",
    "apgd-dlr": "apgd",
    "apgd-t": "apgd_targeted",
    "fab": "fab",
    "fab-t": "fab",
    "square": "square",
}
CARRIED = (str, int, float, bool, type(None))


def settings_of(part):
    """Every plain setting of an attack, but for the device, and for what each run sets itself."""
    plain = {name: value for name, value in vars(part).items() if isinstance(value, CARRIED)}
    return {name: v for name, v in plain.items() if name not in ("device", "loss", "targeted")}


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("version", ["standard", "plus", "rand"])
def test_every_version_has_the_package_s_settings_attribute_by_attribute(network, norm, version):
    theirs = AutoAttack(network, norm=norm, eps=0.1, seed=7, version=version)
    settings = version_settings(version, norm)
    ours = attacker(network, norm, 0.1, 7, settings)
    assert list(settings.attacks) == theirs.attacks_to_run
    for name in theirs.attacks_to_run:
        found, expected = (settings_of(getattr(o, PARTS[name])) for o in (ours, theirs))
        assert len(expected) > 5
        assert found == expected
    assert (ours.norm, ours.epsilon, ours.seed) == (theirs.norm, theirs.epsilon, theirs.seed)


def test_versions_are_the_package_s():
    assert set(VERSIONS) == {"standard", "plus", "rand"}


def test_versions_by_hand(network):
    standard = attacker(network, "Linf", 0.1, 0, VERSIONS["standard"])
    assert (standard.apgd.n_restarts, standard.apgd.eot_iter) == (1, 1)
    assert (standard.apgd_targeted.n_restarts, standard.apgd_targeted.n_target_classes) == (1, 9)
    assert (standard.fab.n_restarts, standard.fab.n_target_classes) == (1, 9)
    assert standard.square.n_queries == 5000
    plus = attacker(network, "Linf", 0.1, 0, VERSIONS["plus"])
    assert (plus.apgd.n_restarts, plus.fab.n_restarts, plus.apgd_targeted.n_restarts) == (5, 5, 1)
    assert attacker(network, "Linf", 0.1, 0, VERSIONS["rand"]).apgd.eot_iter == 20


def test_every_setting_of_a_custom_cascade_reaches_the_package(network):
    settings = CascadeSettings(("apgd-ce",), 2, 3, 4, 5, 6, 7, True)
    package = attacker(network, "L2", 0.5, 9, settings)
    assert (package.apgd.n_restarts, package.apgd.eot_iter) == (2, 3)
    assert (package.apgd_targeted.n_target_classes, package.fab.n_target_classes) == (4, 5)
    assert package.apgd_targeted.n_restarts == 1
    assert (package.fab.n_restarts, package.square.n_queries) == (6, 7)
    assert package.apgd.use_largereps is package.apgd_targeted.use_largereps is True
    for part in (package.apgd, package.apgd_targeted, package.fab, package.square):
        assert (part.norm, part.eps, part.seed) == ("L2", 0.5, 9)


def test_standard_in_l1_by_hand(network):
    standard = attacker(network, "L1", 12, 0, version_settings("standard", "L1"))
    assert (standard.apgd.n_restarts, standard.apgd_targeted.n_target_classes) == (5, 5)
    assert (standard.fab.n_target_classes, standard.fab.n_restarts) == (9, 1)
    assert standard.apgd.use_largereps
    assert standard.apgd_targeted.use_largereps


class Logits(nn.Module):
    """A linear network of so many classes."""

    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(64, classes)

    def forward(self, images):
        return self.linear(images.flatten(1))


@pytest.mark.parametrize("name", ["apgd-t", "fab-t"])
def test_more_targets_than_wrong_classes_end_the_package_but_not_us(name, digits):
    """Four classes, nine targets: every wrong class is aimed at, and nothing is left to aim at."""
    torch.manual_seed(0)
    model, images = Logits(4), digits["test"].head(6).floats()
    labels = model(images).argmax(1)
    few = CascadeSettings((name,), square_queries=5)
    asked = attacker(model, "Linf", 0.001, 0, few)
    with pytest.raises(IndexError):
        run_attack(asked, name, images, labels, 6)
    settings = few.for_classes(4)
    assert (settings.apgd_targets, settings.fab_targets) == (3, 3)
    outcome = run_attack(attacker(model, "Linf", 0.001, 0, settings), name, images, labels, 6)
    assert outcome.withstood.any()
    assert outcome.warnings == []


@pytest.mark.parametrize(("name", "classes"), [("apgd-t", 3), ("apgd-dlr", 2)])
def test_a_loss_that_needs_more_logits_is_refused_in_a_sentence(name, classes, digits):
    settings = CascadeSettings((name,))
    with pytest.raises(ThinIceError, match=rf"{name} on a network of {classes} classes; allowed"):
        settings.for_classes(classes)
    assert settings.for_classes(classes + 1).attacks == (name,)
    model, images = Logits(classes), digits["test"].head(2).floats()
    package = attacker(model, "Linf", 0.1, 0, settings)
    with pytest.raises(IndexError):
        run_attack(package, name, images, model(images).argmax(1), 2)


@pytest.mark.parametrize("name", ["apgd-ce", "fab", "fab-t", "square"])
def test_a_single_class_leaves_nothing_to_attack(name):
    with pytest.raises(ThinIceError, match=f"{name} on a network of 1 classes; allowed: 2 classes"):
        CascadeSettings((name,)).for_classes(1)
    assert CascadeSettings((name,)).for_classes(2).fab_targets == 1


def test_fewer_targets_than_wrong_classes_stay_as_they_were_declared():
    declared = CascadeSettings(("apgd-t", "fab-t"), apgd_targets=2, fab_targets=3)
    assert declared.for_classes(10) == declared


def attack(model, split, name="apgd-ce", eps=0.15):
    package = attacker(model, "Linf", eps, 0, VERSIONS["standard"])
    return run_attack(package, name, split.floats(), split.labels, batch_size=50)


@pytest.fixture
def correct(trained, digits):
    split = digits["test"].head(30)
    chosen = trained(split.floats()).argmax(1) == split.labels
    return type(split)(split.images[chosen], split.labels[chosen], split.ids[chosen])


def test_an_outcome_has_a_verdict_for_each_sample(trained, correct):
    outcome = attack(trained, correct)
    assert outcome.attack == "apgd-ce"
    assert outcome.withstood.dtype == torch.bool
    assert 0 < outcome.withstood.sum() < len(correct) == len(outcome.withstood)


def test_a_network_of_logits_gives_no_warnings(trained, correct):
    assert attack(trained, correct).warnings == []


def test_probabilities_instead_of_logits_are_warned_of_as_data(trained, correct):
    (warning,) = attack(nn.Sequential(trained, nn.Softmax(1)), correct).warnings
    assert "probability distribution" in warning


def test_warnings_are_of_one_run_only(trained, correct):
    before = list(attacker(trained, "Linf", 0.1, 0, VERSIONS["standard"]).logger.handlers)
    probabilities = nn.Sequential(trained, nn.Softmax(1))
    assert len(attack(probabilities, correct.head(2)).warnings) == 1
    assert len(attack(probabilities, correct.head(2)).warnings) == 1
    assert attacker(trained, "Linf", 0.1, 0, VERSIONS["standard"]).logger.handlers == before


def test_only_warnings_are_data_whatever_else_the_package_is_let_say(trained, correct, caplog):
    with caplog.at_level(logging.DEBUG, logger="auto-attack"):
        assert attack(trained, correct.head(2)).warnings == []
    assert "initial accuracy" in caplog.text


class Noisy(nn.Module):
    """A randomised defense."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images) + 0.1 * torch.randn(len(images), 10)


@pytest.mark.parametrize(("eot", "warned"), [(1, True), (2, False)])
def test_a_randomised_network_is_warned_of_unless_it_is_attacked_as_one(
    trained, correct, eot, warned
):
    few, model = correct.head(2), Noisy(trained).eval()
    package = attacker(model, "Linf", 0.01, 0, CascadeSettings(("apgd-ce",), eot_iterations=eot))
    outcome = run_attack(package, "apgd-ce", few.floats(), few.labels, batch_size=2)
    assert [flag(message)["kind"] for message in outcome.warnings] == ["randomised"] * warned


class Optimises(nn.Module):
    """A dynamic defense: takes a gradient whenever it is asked."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        moved = images.detach().requires_grad_(True)
        with torch.enable_grad():
            torch.autograd.grad(self.model(moved).sum(), moved)
        return self.model(images)


def test_a_dynamic_network_is_warned_of_and_the_next_one_is_not_accused(trained, correct):
    few = correct.head(2)
    (warning,) = attack(Optimises(trained), few).warnings
    assert flag(warning)["kind"] == "dynamic"
    assert attack(trained, few).warnings == []


class Fails(nn.Module):
    """Breaks while it is attacked."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        raise RuntimeError("out of memory")


@pytest.mark.parametrize("fails", [False, True])
def test_a_tracer_survives(trained, correct, fails):
    def tracer(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        if fails:
            with pytest.raises(RuntimeError, match="out of memory"):
                attack(Fails(), correct.head(2))
        else:
            attack(trained, correct.head(2))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


@pytest.fixture
def trainable(trained):
    """The trained network as it comes out of training: in training mode, all parameters free."""
    model = copy.deepcopy(trained).train().requires_grad_(True)
    model.block1.conv.weight.requires_grad_(False)
    return model


def test_a_network_in_training_mode_is_attacked_in_evaluation_mode(trained, trainable, correct):
    expected = attack(trained, correct).withstood
    assert torch.equal(attack(trainable, correct).withstood, expected)


def test_an_attack_that_calls_backward_leaves_the_network_as_it_was(trainable, correct):
    flags = [p.requires_grad for p in trainable.parameters()]
    before = copy.deepcopy(trainable.state_dict())
    package = attacker(trainable, "Linf", 0.15, 0, VERSIONS["standard"])
    package.fab.n_target_classes = 1
    few = correct.head(4)
    run_attack(package, "fab-t", few.floats(), few.labels, batch_size=4)
    assert all(p.grad is None for p in trainable.parameters())
    assert [p.requires_grad for p in trainable.parameters()] == flags
    assert all(module.training for module in trainable.modules())
    assert all(torch.equal(t, before[name]) for name, t in trainable.state_dict().items())


def test_predictions_are_those_of_the_network_in_evaluation_mode(trained, digits):
    images = digits["test"].head(25).floats()
    expected = trained(images).argmax(1)
    trained.train()
    try:
        assert torch.equal(predictions(trained, images, batch_size=7), expected)
        assert trained.training
    finally:
        trained.eval()
