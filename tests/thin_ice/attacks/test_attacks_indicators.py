"""Each planted fault raises its indicator; a plain network under a sound attack raises none."""

import pytest
import torch
from planted import (
    SOUND,
    Detached,
    Dropping,
    Hard,
    Jumping,
    Quantised,
    Refusing,
    Reversed,
    Saturated,
    any_iterate,
    case_of,
    found_in,
    pgd,
    raised,
)
from torch import nn

from thin_ice.attacks.indicators import relative_change
from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def plain(digits, tmp_path_factory):
    """Networks trained by PGD-AT, by seed: 95 % and more right, about half of them at eps."""

    def trained(seed):
        model = Architecture("digits_cnn", {"width": 8}, (1, 8, 8), 10, False).build(seed)
        setting = Setting(
            train=digits["train"],
            validation=digits["validation"].head(10),
            objective=PgdAt(steps=4),
            threat=ThreatModel("Linf", 0.1),
            plan=Plan(epochs=6, batch_size=64, lr=0.05, select="last", validate_every=6),
            stream=(seed, "plain"),
        )
        folder = tmp_path_factory.mktemp(f"plain{seed}")
        fit(model, setting, Hooks(), Checkpoint(folder / "checkpoint", "plain"))
        return model.eval().requires_grad_(False)

    return {seed: trained(seed) for seed in SEEDS}


@pytest.fixture
def test(digits):
    return digits["test"].head(100)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("attack", SOUND)
def test_a_plain_network_under_a_sound_attack_raises_none(plain, test, attack, seed):
    case = case_of(plain[seed], test)
    assert len(case.labels) > 90
    found = found_in(SOUND[attack], case)
    assert raised(found) == set(), found


@pytest.mark.parametrize("attack", SOUND)
@pytest.mark.parametrize("fault", [Quantised, Saturated, Hard, Detached, Refusing])
def test_where_no_gradient_passes_it_is_unavailable(plain, test, fault, attack):
    """And the attack, which then goes nowhere, fails without an eps too."""
    found = found_in(SOUND[attack], case_of(fault(plain[0]), test))
    assert raised(found) == {1, 6}
    assert found["unavailable_gradients"]["value"] == 1


def test_predictions_that_jump_are_unstable(plain, test):
    case = case_of(Jumping(plain[0]), test)
    assert len(case.labels) > 90  # at the images themselves nothing has changed
    assert raised(found_in(SOUND["apgd"], case)) == {2}


def test_an_attack_that_returns_its_last_point_succeeds_in_silence(plain, digits):
    """Steps of twice eps from corner to corner of the ball."""
    case = case_of(plain[0], digits["test"].head(200), threat=ThreatModel("Linf", 0.2))
    attack = pgd(steps=20, step_size=2 * 8 / 255, eps=0.2)
    assert raised(found_in(attack, case)) == {3}
    assert raised(found_in(any_iterate(attack), case)) == set()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_attack_stopped_early_is_incomplete(plain, test, steps):
    assert 4 in raised(found_in(any_iterate(pgd(steps=steps)), case_of(plain[0], test)))


def test_points_crafted_on_another_network_do_not_transfer(plain, test):
    for attack in SOUND.values():
        assert raised(found_in(attack, case_of(plain[0], test, crafted_on=plain[1]))) == {5}


def test_points_crafted_in_training_mode_do_not_transfer(plain, digits):
    """Of one class batch norm's statistics of the batch are far from those of training."""
    test = digits["test"]
    threes = Split(*(part[test.labels == 3] for part in (test.images, test.labels, test.ids)))
    case = case_of(plain[0], threes)
    assert raised(found_in(any_iterate(pgd(mode="eval")), case)) == set()
    assert 5 in raised(found_in(any_iterate(pgd(mode="train")), case))


def test_points_crafted_under_dropout_do_not_transfer(plain, test):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        found = found_in(any_iterate(pgd(mode="train")), case_of(Dropping(plain[0]), test))
    assert 5 in raised(found)


@pytest.mark.parametrize("attack", SOUND)
def test_a_masked_network_withstands_even_without_an_eps(plain, test, attack):
    """Its gradients are there, and lead back."""
    found = raised(found_in(SOUND[attack], case_of(Reversed(plain[0]), test)))
    assert 6 in found
    assert 1 not in found


def test_the_networks_are_left_as_they_were(plain, test):
    before = {name: tensor.clone() for name, tensor in plain[0].state_dict().items()}
    found_in(pgd(steps=3, mode="train"), case_of(plain[0], test))
    assert all(torch.equal(t, before[name]) for name, t in plain[0].state_dict().items())
    assert not plain[0].training


class Sum(nn.Module):
    """Two logits whose margin is the images' sum less one half."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        total = self.scale * (images.flatten(1).sum(1) - 0.5)
        return torch.stack([total, torch.zeros_like(total)], 1)


def test_the_relative_change_of_a_linear_margin_is_its_formula():
    image, label = torch.full((1, 1, 1, 1), 0.7), torch.tensor([0])
    stream = torch.Generator().manual_seed(0)
    # Uniform in +-0.05, half of eps, around a margin of 0.2: a mean change of 0.025 / 0.2.
    found = relative_change(Sum(), image, label, ThreatModel("Linf", 0.1), 4000, stream)
    assert found.item() == pytest.approx(0.125, abs=0.003)


def test_the_relative_change_is_clipped_and_defined_on_the_boundary():
    images, labels = torch.tensor([0.5, 0.5001]).view(2, 1, 1, 1), torch.tensor([0, 0])
    stream = torch.Generator().manual_seed(0)
    found = relative_change(Sum(), images, labels, ThreatModel("Linf", 0.1), 10, stream)
    assert found[0] == 1
    assert 0.9 < found[1] <= 1


def test_the_relative_change_ignores_the_scale_of_logits(plain, test):
    arguments = test.floats(), test.labels, ThreatModel("Linf", 0.1), 5
    plainly, scaled = (
        relative_change(network, *arguments, torch.Generator().manual_seed(0))
        for network in (plain[0], Saturated(plain[0]))
    )
    assert torch.allclose(plainly, scaled, rtol=1e-3)
