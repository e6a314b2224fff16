"""The smallest margins are watched from beside: attacks do what they would have done."""

import pytest
import torch
from torch import nn

from thin_ice.attacks.apgd_margins import SmallestMargins
from thin_ice.attacks.autoattack import attacker, run_attack
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.versions import CascadeSettings


@pytest.fixture
def correct(trained, digits):
    split = digits["test"].head(24)
    right = trained(split.floats()).argmax(1) == split.labels
    return split.floats()[right], split.labels[right]


class Noisy(nn.Module):
    """Draws from the global stream whenever it is asked, as a randomised network does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        logits = self.model(images)
        return logits + 0.01 * torch.randn_like(logits)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(
    ("norm", "eps", "name"),
    [("Linf", 0.15, "apgd-ce"), ("L2", 0.6, "apgd-t"), ("L1", 1.0, "apgd-ce")],
)
def test_watching_changes_no_example_and_no_random_number(trained, correct, norm, eps, name, noisy):
    settings = CascadeSettings((name,), apgd_targets=2, large_repetitions=norm == "L1")
    model = Noisy(trained).eval() if noisy else trained
    package = attacker(model, norm, eps, 0, settings)
    package.attacks_to_run, package.version = [name], "rand"
    torch.manual_seed(5)
    alone, _ = package.run_standard_evaluation(*correct, batch_size=10)
    drawn = torch.rand(3)
    package = attacker(model, norm, eps, 0, settings)
    package.version = "rand"
    torch.manual_seed(5)
    outcome = run_attack(package, name, *correct, batch_size=10)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(outcome.adversarial, alone)
    assert 0 < outcome.withstood.sum() < len(alone)


@pytest.mark.parametrize("norm", ["Linf", "L1"])
def test_margins_tell_survivors_from_the_broken(trained, correct, norm):
    """By their sign, and they are below the clean ones: only the last ball counts in L1."""
    eps = {"Linf": 0.12, "L1": 0.8}[norm]
    package = attacker(trained, norm, eps, 0, CascadeSettings((), large_repetitions=norm == "L1"))
    outcome = run_attack(package, "apgd-ce", *correct, batch_size=10)
    assert (outcome.margins[outcome.withstood] > 0).all()
    assert 0 < outcome.withstood.sum() < len(outcome.withstood)
    broken = outcome.margins[~outcome.withstood]
    assert (broken <= 0).float().mean() > 0.9  # cross-entropy is not the margin
    clean = margin(trained(correct[0]), correct[1])
    assert (outcome.margins < clean).all()


@pytest.mark.parametrize("name", ["apgd-ce", "apgd-dlr", "apgd-t"])
def test_every_apgd_leaves_a_margin_of_every_sample(trained, correct, name):
    package = attacker(trained, "Linf", 0.1, 0, CascadeSettings((name,), apgd_targets=1))
    outcome = run_attack(package, name, *correct, batch_size=10)
    assert (outcome.margins < margin(trained(correct[0]), correct[1])).all()


def test_a_package_can_be_used_again_on_other_samples(trained, correct):
    images, labels = correct
    settings = CascadeSettings(("apgd-ce",))
    package = attacker(trained, "Linf", 0.1, 0, settings)
    run_attack(package, "apgd-ce", images[:5], labels[:5], batch_size=10)
    second = run_attack(package, "apgd-ce", images[5:9], labels[5:9], batch_size=10)
    fresh = attacker(trained, "Linf", 0.1, 0, settings)
    expected = run_attack(fresh, "apgd-ce", images[5:9], labels[5:9], batch_size=10)
    assert torch.equal(second.margins, expected.margins)
    assert torch.equal(second.adversarial, expected.adversarial)


def test_other_attacks_leave_no_margin(trained, correct):
    settings = CascadeSettings(("square",), square_queries=3)
    package = attacker(trained, "Linf", 0.1, 0, settings)
    assert run_attack(package, "square", *correct, batch_size=10).margins.isnan().all()


def test_identical_images_share_the_smallest_margin_unless_their_labels_differ(trained):
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images, labels = image.repeat(4, 1, 1, 1), torch.tensor([3, 3, 5, 3])
    watch = SmallestMargins(trained, images, labels)
    best = (images + torch.tensor([0.0, 0.1, 0.2, -0.1]).view(4, 1, 1, 1)).clamp(0, 1)
    assert watch.of_samples().isnan().all()
    watch._see(images, labels, best)
    each = margin(trained(best), labels)
    expected = each[[0, 1, 3]].min()
    torch.testing.assert_close(watch.of_samples()[[0, 1, 3]], expected.expand(3))
    torch.testing.assert_close(watch.of_samples()[2], each[2])
