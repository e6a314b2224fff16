"""No verdict rests on bad images, bad labels or a network that is not ready for evaluation."""

import pytest
import torch
from torch import nn

from thin_ice.attacks.checks import UnusableInput, finite_under_attack, require_images
from thin_ice.attacks.fmn import Fmn
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.evaluation.claimed import clean_table, protocol_table
from thin_ice.margins.distance import Member, distance_table

THREAT = ThreatModel("Linf", 0.1)
FMN = Member("fmn", "L2", Fmn(steps=2))
CASCADE = Cascade(THREAT, CascadeSettings(("apgd-ce",)), seed=0, batch_size=4)
ENTRIES = {
    "run_shard": lambda model, split, folder: run_shard(
        model, split, CASCADE, Checkpoint(folder / "shard", "job")
    ),
    "clean_table": lambda model, split, _: clean_table(model, split),
    "protocol_table": lambda model, split, _: protocol_table(
        model, split, THREAT, {"one": next(iter(PROTOCOLS.values()))}, seed=0
    ),
    "distance_table": lambda model, split, _: distance_table(model, split, [FMN]),
}


class Shifted(Split):
    """A split whose floats leave the box: what a reader that scales wrongly would give."""

    def floats(self):
        return super().floats() * 2

    def batches(self, size):
        return ((images * 2, labels) for images, labels in super().batches(size))


class After(nn.Module):
    """A network with something done to its logits."""

    def __init__(self, model, change):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, images):
        return self.change(self.model(images))


def with_label(split, label):
    labels = split.labels.clone()
    labels[1] = label
    return Split(split.images, labels, split.ids)


def halfway_in_training(model):
    model.get_submodule("block1").train()
    return model


def spoiled(logits, value):
    return torch.cat([torch.full_like(logits[:1], value), logits[1:]])


FAULTS = {
    "images outside the box": (
        lambda m, s: (m, Shifted(s.images, s.labels, s.ids)),
        "images reach from 0 to 2; allowed: 0 to 1",
    ),
    "a label too high": (lambda m, s: (m, with_label(s, 10)), "to 10 but the network has 10"),
    "a label below zero": (lambda m, s: (m, with_label(s, -1)), "labels reach from -1"),
    "training mode": (lambda m, s: (halfway_in_training(m), s), "'block1.*' is in training mode"),
    "NaN": (lambda m, s: (After(m, lambda z: spoiled(z, torch.nan)).eval(), s), "NaN or infinite"),
    "infinity": (lambda m, s: (After(m, lambda z: spoiled(z, torch.inf)).eval(), s), "on 1 of"),
    "too few classes": (lambda m, s: (After(m, lambda z: z[:, :3]).eval(), s), "has 3 classes"),
    "one number an image": (lambda m, s: (After(m, lambda z: z[:, 0]).eval(), s), "the network"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_evaluation_refuses_what_no_verdict_may_rest_on(
    network, digits, tmp_path, entry, fault
):
    spoil, words = FAULTS[fault]
    model, split = spoil(network, digits["test"].head(12))
    with pytest.raises(UnusableInput, match=words):
        ENTRIES[entry](model, split, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_evaluation_takes_what_is_right(network, digits, tmp_path, entry):
    ENTRIES[entry](network, digits["test"].head(4), tmp_path)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 1, 3, 3, dtype=torch.float64), "torch.float64"),
        (torch.zeros(2, 9), "2 dimensions"),
        (torch.full((2, 1, 3, 3), torch.nan), "no NaN"),
        (torch.full((2, 1, 3, 3), -1e-6), "allowed: 0 to 1"),
        (torch.zeros(3, 1, 3, 3), "one an image"),
    ],
)
def test_images_of_another_type_shape_or_range_are_refused(images, words):
    with pytest.raises(UnusableInput, match=words):
        require_images(images, torch.zeros(2, dtype=torch.int64))


def test_logits_that_break_only_under_attack_are_refused_too(network, digits, tmp_path):
    clean = digits["test"].head(6)

    def breaks_off_the_grid(images):
        logits = network(images)
        off = ((images * 255).round() / 255 - images).abs().amax((1, 2, 3)) > 1e-4
        return torch.where(off[:, None], torch.nan, logits)

    class Fragile(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = network

        def forward(self, images):
            return breaks_off_the_grid(images)

    labels = network(clean.floats()).argmax(1)
    split = Split(clean.images, labels, clean.ids)
    with pytest.raises(UnusableInput, match=r"logits are NaN or infinite in .* under attack"):
        run_shard(Fragile().eval(), split, CASCADE, Checkpoint(tmp_path / "shard", "job"))
    assert not list(tmp_path.iterdir())


class NoSlope(nn.Module):
    """Finite logits without a gradient: the root of zero, which PGD takes for a flat place."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images) + (0 * images).sqrt().mean()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("name", ["apgd-ce", "apgd-t", "fab-t"])
def test_a_gradient_of_nan_is_no_robustness(network, digits, tmp_path, name, norm):
    clean = digits["test"].head(4)
    split = Split(clean.images, network(clean.floats()).argmax(1), clean.ids)
    settings = CascadeSettings((name,), apgd_targets=1, fab_targets=1)
    cascade = Cascade(ThreatModel(norm, 0.1), settings, seed=0, batch_size=4)
    with pytest.raises(UnusableInput, match=r"gradients are NaN or infinite in .* under attack"):
        run_shard(NoSlope(network).eval(), split, cascade, Checkpoint(tmp_path / "s", "job"))
    assert not list(tmp_path.iterdir())


class Walled(nn.Module):
    """Predicts class 0 on the grid of grey levels, and is NaN everywhere else."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        off = ((images * 255).round() / 255 - images).abs().amax((1, 2, 3)) > 1e-4
        logits = self.model(images)
        first = torch.zeros_like(logits).index_fill(1, torch.tensor([0]), 50.0)
        return torch.where(off[:, None], torch.nan, logits + first)


@pytest.mark.parametrize("name", ["apgd-ce", "square"])
def test_nan_logits_that_argmax_takes_for_class_zero_are_no_robustness(
    network, digits, tmp_path, name
):
    clean = digits["test"].head(4)
    split = Split(clean.images, torch.zeros_like(clean.labels), clean.ids)
    cascade = Cascade(THREAT, CascadeSettings((name,), square_queries=3), seed=0, batch_size=4)
    with pytest.raises(UnusableInput, match=r"logits are NaN or infinite in .* under attack"):
        run_shard(Walled(network).eval(), split, cascade, Checkpoint(tmp_path / "s", "job"))


def test_an_attack_s_own_nan_is_not_the_network_s(network):
    image = torch.full((1, 1, 8, 8), torch.nan, requires_grad=True)
    with finite_under_attack(network):
        torch.autograd.grad(network(image).sum(), image)
    broken = nn.Sequential(network, nn.Threshold(torch.inf, torch.nan))
    broken(image)  # nobody looks
    seen = pytest.raises(UnusableInput, match="logits are NaN or infinite in 1 passes")
    with seen, finite_under_attack(broken):
        broken(torch.rand(2, 1, 8, 8))
    broken(torch.rand(2, 1, 8, 8))
    assert not broken._forward_hooks
