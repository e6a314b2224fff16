"""The rivals of distance against plain computations, a sample at a time."""

import math

import pytest
import torch
from torch import nn

from thin_ice.attacks.checks import UnusableInput
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.margins.rivals import (
    Probe,
    attacked,
    confidence_variance,
    cross_entropy,
    gradient_norm,
    rival_table,
)

THREAT = ThreatModel("Linf", 0.1)
COLUMNS = [
    *("sample_id", "label", "logit_margin", "confidence_variance", "gradient_norm"),
    *("steps_to_flip", "adversarial_loss"),
]


@pytest.fixture(scope="module")
def some(digits):
    return digits["test"].head(60)


def plain_loss(model, image, label):
    """-log softmax of one image, (C, H, W), in float64."""
    logits = model(image[None])[0].double()
    return -(logits[label] - torch.logsumexp(logits, 0))


def plain_gradient(model, image, label):
    image = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(plain_loss(model, image, label), image)
    return gradient


def test_margin_and_confidence_are_those_of_the_softmax(trained, some):
    table = rival_table(trained, some, THREAT, Probe(3, 0))
    assert list(table.columns) == COLUMNS
    assert table.sample_id.tolist() == some.ids.tolist()
    assert table.label.tolist() == some.labels.tolist()
    for row, image in zip(table.itertuples(), some.floats(), strict=True):
        logits = trained(image[None])[0].double().tolist()
        others = [z for j, z in enumerate(logits) if j != row.label]
        assert row.logit_margin == pytest.approx(logits[row.label] - max(others), abs=1e-4)
        p = math.exp(logits[row.label]) / sum(map(math.exp, logits))
        assert row.confidence_variance == pytest.approx(p * (1 - p), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize(
    ("norm", "dual"),
    [
        ("Linf", lambda g: g.abs().sum()),
        ("L2", lambda g: g.square().sum().sqrt()),
        ("L1", lambda g: g.abs().max()),
    ],
)
def test_the_gradient_is_measured_in_the_dual_norm(trained, some, norm, dual):
    table = rival_table(trained, some, ThreatModel(norm, 0.1), Probe(1, 0))
    for row, image in zip(table.itertuples(), some.floats(), strict=True):
        expected = dual(plain_gradient(trained, image, row.label)).item()
        assert row.gradient_norm == pytest.approx(expected, rel=1e-3, abs=1e-7)


def plain_pgd(model, image, label, start, steps):
    """Steps withstood before the first wrong iterate, and the loss at the last: a loop by hand."""
    low, high = (image - THREAT.eps).clamp(min=0), (image + THREAT.eps).clamp(max=1)
    at, withstood = start, 0
    unbroken = model(at[None]).argmax().item() == label
    for _ in range(steps):
        sign = plain_gradient(model, at, label).sign()
        at = torch.minimum(torch.maximum(at + 2.5 * THREAT.eps / steps * sign, low), high)
        unbroken = unbroken and model(at[None]).argmax().item() == label
        withstood += unbroken
    return withstood, plain_loss(model, at, label).item()


def test_steps_to_flip_and_the_last_loss_are_those_of_a_loop_by_hand(trained, some):
    images, labels, steps = some.floats(), some.labels, 10
    start = THREAT.random_start(images, torch.Generator().manual_seed(5))
    kappa, loss = attacked(trained, images, labels, start, THREAT, steps)
    expected = [
        plain_pgd(trained, image, label, x, steps)
        for image, label, x in zip(images, labels.tolist(), start, strict=True)
    ]
    agree = [found == withstood for found, (withstood, _) in zip(kappa, expected, strict=True)]
    assert sum(agree) >= 59  # a tie in float32 may fall otherwise
    losses = torch.tensor([value for _, value in expected])
    assert torch.allclose(loss, losses.float(), rtol=1e-2, atol=1e-3)
    assert {0, steps} < set(kappa.tolist())  # some at once, some never, some between


class Rises(nn.Module):
    """One pixel; class 1 wins above 1/2, and again loses above 3/4."""

    def forward(self, images):
        x = images.flatten(1)[:, 0]
        other = 4 * (x - 0.5) * (x < 0.75)
        return torch.stack([torch.zeros_like(x), other], 1)


def test_a_sample_that_comes_back_has_flipped():
    """From 0.4 by steps of 0.125: wrong at the first, and right again beyond 3/4."""
    image, label = torch.full((1, 1, 1, 1), 0.4), torch.tensor([0])
    threat = ThreatModel("Linf", 0.4)
    kappa, _ = attacked(Rises().eval(), image, label, image, threat, 8)
    assert kappa.tolist() == [0]


def test_a_sample_wrong_from_the_start_withstands_nothing(trained, some):
    false = Split(some.images, (some.labels + 1) % 10, some.ids)
    table = rival_table(trained, false, THREAT, Probe(10, 0))
    wrong = table[table.logit_margin < -4]  # more than a start can move
    assert len(wrong) > 10
    assert (wrong.steps_to_flip == 0).all()


def test_a_confident_sample_keeps_its_rank():
    """1 - p is 1e-20 and 1e-30: in float32 both are certain, and neither loss is 0."""
    logits = torch.tensor([[46.05, 0.0], [69.08, 0.0]])
    labels = torch.tensor([0, 0])
    found = confidence_variance(logits, labels)
    assert found.tolist() == pytest.approx([1e-20, 1e-30], rel=0.01, abs=0)
    wrong = confidence_variance(logits, 1 - labels)
    assert wrong.tolist() == pytest.approx([1e-20, 1e-30], rel=0.01, abs=0)
    close = cross_entropy(torch.tensor([[20.0, 0.0], [46.05, 0.0]]), labels)
    assert close.dtype == torch.float64
    assert close.tolist() == pytest.approx([math.exp(-20), 1e-20], rel=0.01, abs=0)
    other = cross_entropy(torch.tensor([[0.0, 20.0], [0.0, 46.05]]), labels)
    assert other.tolist() == pytest.approx([20, 46.05], rel=1e-6)


@pytest.mark.parametrize(("norm", "eps", "slope"), [("Linf", 0.24, 2), ("L2", 0.48, 1)])
@pytest.mark.parametrize("scale", [1, 300, 2000])
def test_pgd_and_the_gradients_rank_outlive_any_confidence(norm, eps, slope, scale):
    """Two classes, z = scale (mean - 1/2) and -z, from a mean of 0.6: the second step of eps / 4
    passes 1/2, and the ball ends at 0.36, whatever the scale.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        model[1].weight.copy_(scale * torch.tensor([[0.25], [-0.25]]).expand(2, 4))
        model[1].bias.copy_(scale * torch.tensor([-0.5, 0.5]))
    image, label = torch.full((1, 1, 2, 2), 0.6), torch.tensor([0])
    threat = ThreatModel(norm, eps)
    kappa, loss = attacked(model, image, label, image, threat, 10)
    assert kappa.tolist() == [1]
    against = 0.28 * scale
    assert loss.item() == pytest.approx(against + math.log1p(math.exp(-against)), rel=1e-4)
    found, odds = gradient_norm(model, image, label, threat).item(), math.exp(-0.2 * scale)
    smallest = 1e-45  # of float32
    assert found == pytest.approx(scale * slope * odds / (1 + odds), rel=1e-3, abs=smallest)


@pytest.mark.parametrize("threat", [THREAT, ThreatModel("L2", 0.5)], ids=["Linf", "L2"])
def test_the_size_of_batches_changes_nothing(trained, some, threat):
    """The start least of all: one that is drawn batch by batch would be another in L2."""
    whole = rival_table(trained, some, threat, Probe(10, 0))
    pieces = rival_table(trained, some, threat, Probe(10, 0), batch=7)
    assert whole.sample_id.equals(pieces.sample_id)
    assert (whole.steps_to_flip == pieces.steps_to_flip).sum() >= 59
    for name in ("logit_margin", "confidence_variance", "gradient_norm", "adversarial_loss"):
        assert pieces[name].to_numpy() == pytest.approx(whole[name].to_numpy(), rel=0.01, abs=1e-4)


def test_equal_seeds_give_equal_tables_and_others_other_ones(trained, some):
    first, again, other = (rival_table(trained, some, THREAT, Probe(10, s)) for s in (0, 0, 1))
    assert first.equals(again)
    assert not first.adversarial_loss.equals(other.adversarial_loss)
    assert first.gradient_norm.equals(other.gradient_norm)


def test_the_network_is_left_as_it_was_and_frozen_while_gradients_are_taken(build, some):
    model, frozen = build(seed=0).eval(), []

    def look(module, given):
        if given[0].requires_grad:
            frozen.append(not any(p.requires_grad for p in module.parameters()))

    model.register_forward_pre_hook(look)
    rival_table(model, some, THREAT, Probe(2, 0))
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert frozen == [True] * 3


def test_a_network_in_training_mode_or_with_too_few_classes_is_refused(build, some):
    with pytest.raises(UnusableInput, match="in training mode"):
        rival_table(build(seed=0).train(), some, THREAT, Probe(2, 0))
    strange = Split(some.images, some.labels + 10, some.ids)
    with pytest.raises(UnusableInput, match="has 10 classes"):
        rival_table(build(seed=0).eval(), strange, THREAT, Probe(2, 0))
