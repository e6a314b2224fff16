"""Each objective against its formula, written out here without the library."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from thin_ice.objectives.mart import Mart, boosted_cross_entropy
from thin_ice.objectives.natural import Natural
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.objectives.trades import Trades, kl_to

EPS = 16 / 255


@pytest.fixture
def network(network):
    """In double precision, so that rounding turns no sign of a small gradient."""
    return network.double()


@pytest.fixture
def images(images):
    return images.double()


def kl(p, q):
    """Sum over classes of p (log p - log q), per sample, from probabilities."""
    return (p * (p.log() - q.log())).sum(1)


def ascend(model, images, start, loss, steps, step_size):
    """Signed gradient ascent in the ball and the box, the network in evaluation mode."""
    model = copy.deepcopy(model).eval()
    x = start
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(model, x), x)
        x = x.detach() + step_size * gradient.sign()
        x = torch.maximum(torch.minimum(x, images + EPS), images - EPS).clamp(0, 1)
    return x.detach()


def gaussian_start(images, seed):
    noise = torch.empty_like(images).normal_(generator=torch.Generator().manual_seed(seed))
    return images + 0.001 * noise


def cross_entropy(labels):
    return lambda model, x: F.cross_entropy(model(x), labels, reduction="sum")


def assert_same(found, expected, network, other):
    """Equal losses with equal gradients."""
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for mine, plain in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad)


def test_natural_is_the_cross_entropy_of_clean_images(network, images, labels, step):
    other = copy.deepcopy(network)
    loss = Natural().loss(network, images, labels, step())
    assert_same(loss.value, F.cross_entropy(other(images), labels), network, other)
    assert torch.equal(Natural().perturb(network, images, labels, step()), images)


def test_trades_is_clean_cross_entropy_plus_beta_mean_kl_from_clean_to_adversarial(
    network, images, labels, step
):
    other = copy.deepcopy(network)
    with torch.no_grad():
        target = copy.deepcopy(network).eval()(images).softmax(1)
    adversarial = ascend(
        network,
        images,
        gaussian_start(images, seed=2),
        lambda model, x: kl(target, model(x).softmax(1)).sum(),
        steps=3,
        step_size=0.25 * EPS,
    )
    logits = other(images)
    divergence = kl(logits.softmax(1), other(adversarial).softmax(1)).mean()
    expected = F.cross_entropy(logits, labels) + 4.0 * divergence
    loss = Trades(beta=4.0, steps=3, rel_step=0.25).loss(network, images, labels, step(seed=2))
    assert divergence > 1e-3
    assert int(loss.correct) == int((logits.argmax(1) == labels).sum())
    assert_same(loss.value, expected, network, other)


def test_trades_without_its_robust_term_is_natural_training(network, images, labels, step):
    plain = Natural().loss(copy.deepcopy(network), images, labels, step()).value
    trades = Trades(beta=0.0, steps=1).loss(network, images, labels, step()).value
    torch.testing.assert_close(trades, plain)


def test_the_kl_runs_from_the_clean_to_the_attacked_prediction():
    clean, attacked = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.5, 0.5]])
    there = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    back = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert abs(there - back) > 0.1
    assert kl_to(clean.log())(attacked.log()).item() == pytest.approx(there, rel=1e-5)


def test_the_kl_is_summed_over_samples():
    logits = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])
    other = torch.tensor([[0.0, 0.5, -1.0], [1.0, 1.0, 0.0]])
    single = sum(kl_to(logits[i : i + 1])(other[i : i + 1]) for i in range(2))
    torch.testing.assert_close(kl_to(logits)(other), single)


def test_mart_is_boosted_cross_entropy_plus_kl_weighted_by_doubt(network, images, labels, step):
    other = copy.deepcopy(network)
    adversarial = ascend(
        network, images, gaussian_start(images, 2), cross_entropy(labels), 3, 0.25 * EPS
    )
    clean, attacked = other(images).softmax(1), other(adversarial).softmax(1)
    rows = torch.arange(len(labels))
    wrong = attacked.clone()
    wrong[rows, labels] = 0
    boosted = -attacked[rows, labels].log() - (1.0001 - wrong.max(1).values).log()
    doubt = 1 - clean[rows, labels]
    expected = boosted.mean() + 2.5 * (kl(clean, attacked) * doubt).mean()
    loss = Mart(beta=2.5, steps=3, rel_step=0.25).loss(network, images, labels, step(seed=2))
    assert int(loss.correct) == int((attacked.argmax(1) == labels).sum())
    assert_same(loss.value, expected, network, other)


def test_boosted_cross_entropy_stays_finite_where_a_wrong_class_is_certain():
    logits = torch.tensor([[0.0, 200.0]], requires_grad=True)
    value = boosted_cross_entropy(logits, torch.tensor([0]))
    assert value.item() == pytest.approx(200 - math.log(0.0001), rel=1e-3)


def test_pgd_at_is_the_cross_entropy_of_its_perturbed_images(network, images, labels, step):
    other, objective = copy.deepcopy(network), PgdAt(steps=3)
    attacked = objective.perturb(copy.deepcopy(network), images, labels, step(seed=2))
    loss = objective.loss(network, images, labels, step(seed=2))
    logits = other(attacked)
    assert int(loss.correct) == int((logits.argmax(1) == labels).sum())
    assert_same(loss.value, F.cross_entropy(logits, labels), network, other)


def test_pgd_at_ascends_from_a_uniform_start(network, images, labels, step):
    start = step(seed=2).threat.random_start(images, torch.Generator().manual_seed(2))
    expected = ascend(network, images, start, cross_entropy(labels), 3, 0.25 * EPS)
    found = PgdAt(steps=3).perturb(network, images, labels, step(seed=2))
    torch.testing.assert_close(found, expected)


def test_pgd_at_in_training_mode_moves_batch_norm_at_every_attack_step(
    network, images, labels, step
):
    before = int(network.block1.bn.num_batches_tracked)
    PgdAt(steps=5, mode="train").loss(network, images, labels, step())
    assert int(network.block1.bn.num_batches_tracked) - before == 5 + 1
    assert all(module.training for module in network.modules())


def test_pgd_at_in_training_mode_is_still_validated_in_evaluation_mode(
    network, images, labels, step
):
    before = {name: b.clone() for name, b in network.named_buffers()}
    attacked = PgdAt(steps=3, mode="train").perturb(network, images, labels, step(seed=2))
    assert all(torch.equal(b, before[name]) for name, b in network.named_buffers())
    same = PgdAt(steps=3).perturb(network, images, labels, step(seed=2))
    assert torch.equal(attacked, same)


def test_crafting_in_training_mode_gives_other_images_than_in_evaluation_mode(
    network, images, labels, step
):
    losses = [
        PgdAt(steps=3, mode=mode).loss(copy.deepcopy(network), images, labels, step()).value
        for mode in ("eval", "train")
    ]
    assert not torch.equal(*losses)


@pytest.mark.parametrize(
    ("objective", "beta", "rel_step"),
    [(Trades(), 6.0, 0.0078 / 0.031), (Mart(), 5.0, 0.25), (PgdAt(), None, 0.25)],
)
def test_defaults_are_the_published_ones(objective, beta, rel_step):
    assert objective.steps == 10
    assert objective.rel_step == pytest.approx(rel_step, rel=1e-3)
    assert getattr(objective, "beta", None) == beta
