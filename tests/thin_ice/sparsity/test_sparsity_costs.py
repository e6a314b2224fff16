"""The cost of a network in the rates of its parts, and the counts that a budget buys."""

import pytest
import torch
from torch import nn

from thin_ice.errors import ModelError
from thin_ice.models.network import Architecture
from thin_ice.sparsity.channels import ChannelGroup, Side, channel_groups
from thin_ice.sparsity.costs import (
    Term,
    affordable_counts,
    channel_terms,
    cost,
    hardware_loss,
    weight_terms,
)


def rates(**values):
    return {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in values.items()}


def test_hardware_loss_of_weights_and_its_gradient_by_hand():
    terms = weight_terms({"a": 60, "b": 40})
    at = rates(a=0.5, b=0.25)  # 30 + 10 weights stay, the target is 20
    loss = hardware_loss(terms, at, 20)
    assert loss.item() == pytest.approx(40 / 20 - 1)
    loss.backward()
    assert at["a"].grad.item() == pytest.approx(60 / 20)
    assert at["b"].grad.item() == pytest.approx(40 / 20)


def test_below_its_target_a_cost_is_no_loss_and_has_no_gradient():
    at = rates(a=0.1)
    loss = hardware_loss(weight_terms({"a": 100}), at, 20)
    loss.backward()
    assert loss.item() == 0
    assert at["a"].grad.item() == 0


def test_multiplications_of_two_convolutions_by_hand():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),  # 6 x 6 outputs: 36 * 4 * 9 = 1296
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),  # 3 x 3 outputs: 9 * 6 * 36 = 1944
        nn.Flatten(),
        nn.Linear(54, 5),  # 270
    )
    example = torch.zeros(2, 1, 6, 6)
    groups = channel_groups(model, example)
    assert [(group.name, group.size) for group in groups] == [("0", 4), ("2", 6)]
    terms = channel_terms(model, example, groups)
    assert terms == [Term(1296, ("0",)), Term(1944, ("0", "2")), Term(270, ("2",))]
    at = rates(**{"0": 0.5, "2": 0.25})
    total = cost(terms, at)
    assert total.item() == 1296 / 2 + 1944 / 8 + 270 / 4
    loss = hardware_loss(terms, at, 400)
    loss.backward()
    assert at["0"].grad.item() == pytest.approx((1296 + 1944 * 0.25) / 400)
    assert at["2"].grad.item() == pytest.approx((1944 * 0.5 + 270) / 400)


def test_the_terms_are_the_multiplications_of_the_network_that_remains():
    """A ResNet, whose shortcuts tie channels: against the same network built narrower."""
    shape, sizes = (3, 8, 8), {}
    example = torch.zeros(2, *shape)
    for width in (2, 4):
        model = Architecture("resnet18", {"width": width}, shape, 10, False).build(0)
        groups = channel_groups(model, example)
        sizes[width] = channel_terms(model, example, groups)
    everywhere = {group.name: 0.5 for group in groups}
    assert cost(sizes[4], everywhere) == cost(sizes[2], dict.fromkeys(everywhere, 1))


def test_channels_tied_by_a_shortcut_have_one_rate():
    """The stem and both ends of a stage without projection are one part: k appears squared where
    a layer would read and write it.
    """
    shape = (3, 8, 8)
    model = Architecture("resnet18", {"width": 2}, shape, 10, False).build(0)
    example = torch.zeros(2, *shape)
    by_parts = {}
    for term in channel_terms(model, example, channel_groups(model, example)):
        by_parts[term.parts] = by_parts.get(term.parts, 0) + term.size
    assert by_parts[("conv1",)] == 64 * 2 * 27  # reads the image
    # layer1.0.conv1 and layer1.1.conv1 read the stream; the conv2s write it
    assert by_parts[("conv1", "layer1.0.conv1")] == 64 * 2 * 18
    assert by_parts[("layer1.0.conv1", "conv1")] == 64 * 2 * 18
    # the projection and the last convolution of layer2's first block write one stream
    assert by_parts[("conv1", "layer2.0.conv2")] == 16 * 4 * 2
    assert by_parts[("layer2.0.conv1", "layer2.0.conv2")] == 16 * 4 * 36


def test_a_layer_that_reads_several_groups_and_others_is_shared_out():
    model = nn.Sequential(nn.Linear(10, 4))  # reads 3 channels of a, 5 of b and 2 of nobody
    groups = [
        ChannelGroup(name, len(columns), (), (), (Side("0", torch.tensor(columns)[:, None]),))
        for name, columns in (("a", [0, 1, 2]), ("b", [3, 4, 5, 6, 7]))
    ]
    terms = channel_terms(model, torch.zeros(2, 10), groups)
    assert [term.parts for term in terms] == [("a",), ("b",), ()]
    assert [term.size for term in terms] == pytest.approx([12, 20, 8])
    assert cost(terms, {"a": 0.5, "b": 0.25}) == pytest.approx(6 + 5 + 8)


@pytest.mark.parametrize("budget", [3, 7, 100, 257, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_counts_of_weights_use_the_budget_up(seed, budget):
    sizes = {"a": 100, "b": 300, "c": 600}
    drawn = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    shares = dict(zip(sizes, (0.01 + drawn).tolist(), strict=True))
    counts = affordable_counts(weight_terms(sizes), sizes, shares, budget)
    assert sum(counts.values()) == budget
    assert all(1 <= counts[name] <= sizes[name] for name in sizes)
    # One factor makes them all of the rates, each up to less than 1.
    free = [name for name in sizes if 1 < counts[name] < sizes[name]]
    least = [(counts[name] - 1) / (shares[name] * sizes[name]) for name in free]
    most = [(counts[name] + 1) / (shares[name] * sizes[name]) for name in free]
    assert max(least, default=0) < min(most, default=1)


def test_counts_that_are_at_the_budget_stay():
    sizes = {"a": 10, "b": 40}
    shares = {"a": 0.3, "b": 0.25}
    assert affordable_counts(weight_terms(sizes), sizes, shares, 13) == {"a": 3, "b": 10}
    assert 25 * (7 / 25) > 7, "the test needs a count that its share does not give back"
    assert affordable_counts(weight_terms({"a": 25}), {"a": 25}, {"a": 7 / 25}, 7) == {"a": 7}


def test_a_full_part_leaves_the_rest_to_the_others():
    sizes = {"a": 10, "b": 100}
    counts = affordable_counts(weight_terms(sizes), sizes, {"a": 0.9, "b": 0.09}, 60)
    assert counts == {"a": 10, "b": 50}


def test_counts_of_channels_cost_no_more_than_the_budget_and_leave_no_room():
    terms = [Term(10, ("a",)), Term(7, ("a", "b")), Term(5, ("b",))]
    sizes, shares = {"a": 8, "b": 16}, {"a": 0.5, "b": 0.2}
    for target in (3.0, 8.0, 13.7, 21.9):
        counts = affordable_counts(terms, sizes, shares, target)

        def price(counts):
            return cost(terms, {name: counts[name] / sizes[name] for name in sizes})

        assert price(counts) <= target
        for name in sizes:
            if counts[name] < sizes[name]:
                assert price(counts | {name: counts[name] + 1}) > target


def test_a_budget_below_one_of_each_is_an_error():
    sizes = {"a": 10, "b": 10}
    with pytest.raises(ModelError, match="1 of each of 2 parts costs more than 1, the budget"):
        affordable_counts(weight_terms(sizes), sizes, {"a": 0.1, "b": 0.1}, 1)
