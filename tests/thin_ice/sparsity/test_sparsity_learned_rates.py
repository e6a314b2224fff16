"""Keep rates and the gradients that teach them, by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from thin_ice.sparsity.channels import Side
from thin_ice.sparsity.learned_rates import (
    ColumnMask,
    LearnedRate,
    WeightMask,
    kappa_of,
    keep_rate,
)
from thin_ice.sparsity.masks import first_ranks, top_k_mask
from thin_ice.sparsity.parametrizations import discard


def test_keep_rate_and_its_slope_by_hand():
    kappa = torch.tensor(math.log(1 / 3), requires_grad=True)  # its sigmoid is 1/4
    rate = keep_rate(kappa, 0.2)
    rate.backward()
    assert rate.item() == pytest.approx(0.2 + 0.8 / 4)
    assert kappa.grad.item() == pytest.approx(0.8 * (1 / 4) * (3 / 4))


@pytest.mark.parametrize(("rate", "least"), [(0.1, 0.001), (0.5, 0.05), (0.011, 0.01)])
def test_kappa_is_that_of_the_rate(rate, least):
    assert keep_rate(torch.tensor(kappa_of(rate, least)), least).item() == pytest.approx(rate)


def test_a_rate_of_one_is_clipped_and_one_at_the_least_is_refused():
    assert kappa_of(1.0, 0.5) == pytest.approx(math.log(99))
    for rate in (0.5, 0.4, 1.1):
        with pytest.raises(ValueError, match=r"allowed: above 0\.5, up to 1"):
            kappa_of(rate, 0.5)


@pytest.mark.parametrize("shape", [(1,), (7,), (5, 3, 2, 2)])
def test_ranks_choose_what_the_threshold_chooses_ties_included(shape):
    scores = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0)).float()
    for keep in range(scores.numel() + 1):
        chosen = first_ranks(scores, torch.tensor(float(keep)))
        assert torch.equal(chosen, top_k_mask(scores, keep))


def test_gradients_of_scores_and_rate_by_hand():
    weight = torch.tensor([[2.0, -1.0], [3.0, 5.0]])
    scores = torch.tensor([[0.4, -0.9], [-0.1, 0.3]])
    learned = LearnedRate(scores, rate=0.5, least=0.1)
    masked = WeightMask(learned)(weight)
    assert torch.equal(masked, torch.tensor([[2.0, -1.0], [0.0, 0.0]]))
    slopes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # of the loss in the masked weight
    masked.backward(slopes)
    by_mask = slopes * weight  # 2, -2, 9, 20
    assert torch.equal(learned.scores.grad, by_mask * scores.sign())
    share = (0.5 - 0.1) / 0.9
    assert learned.kappa.grad.item() == pytest.approx(29 * 0.9 * share * (1 - share), rel=1e-5)


@pytest.mark.parametrize(
    ("rate", "size", "kept"), [(0.5, 10, 5), (0.25, 10, 3), (0.011, 10, 1), (0.99, 10, 10)]
)
def test_a_rate_keeps_what_is_not_cut_and_never_nothing(rate, size, kept):
    learned = LearnedRate(torch.arange(1.0, size + 1), rate, least=0.01)
    assert int(learned().sum()) == kept
    assert torch.equal(learned().bool(), torch.arange(size) >= size - kept)


def test_layers_that_read_the_same_channels_share_scores_rate_and_gradient():
    first, second = nn.Conv2d(2, 1, 1, bias=False), nn.Linear(4, 1, bias=False)
    learned = LearnedRate(torch.tensor([0.2, 0.7]), rate=0.5, least=0.1)
    sides = [
        Side("first", torch.tensor([[0], [1]])),
        Side("second", torch.tensor([[0, 1], [2, 3]])),
    ]
    plain = [layer.weight.detach().clone() for layer in (first, second)]
    for layer, side in zip((first, second), sides, strict=True):
        layer.weight.requires_grad_(False)
        parametrize.register_parametrization(layer, "weight", ColumnMask(learned, side))
    assert torch.equal(first.weight[0, :, 0, 0], plain[0][0, :, 0, 0] * torch.tensor([0.0, 1.0]))
    assert torch.equal(second.weight[0], plain[1][0] * torch.tensor([0.0, 0.0, 1.0, 1.0]))
    (first.weight.sum() + second.weight.sum()).backward()
    by_channel = plain[0][0, :, 0, 0] + plain[1][0].view(2, 2).sum(1)
    torch.testing.assert_close(learned.scores.grad, by_channel)
    share = (0.5 - 0.1) / 0.9
    expected = by_channel.sum().item() * 0.9 * share * (1 - share)
    assert learned.kappa.grad.item() == pytest.approx(expected, rel=1e-5)
    assert len(list(nn.ModuleList([first, second]).parameters())) == 4  # scores and kappa once
    discard(nn.ModuleList([first, second]))
    assert torch.equal(first.weight, plain[0])
    assert torch.equal(second.weight, plain[1])


def test_columns_of_others_stay():
    """A layer that reads a concatenation: the mask of one group leaves the other's columns."""
    layer = nn.Linear(3, 2, bias=False)
    weight = layer.weight.detach().clone()
    learned = LearnedRate(torch.tensor([0.2, 0.7]), rate=0.5, least=0.1)
    masked = ColumnMask(learned, Side("layer", torch.tensor([[2], [0]])))(weight)
    assert torch.equal(masked, weight * torch.tensor([1.0, 1.0, 0.0]))
