"""Each operator by itself: exact where it is linear, by hand where it is relaxed."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import MAKE, randomized
from torch import nn

from thin_ice.verification.bounds import network_of
from thin_ice.verification.intervals import Interval
from thin_ice.verification.nonlinear import MaxPool, Relu
from thin_ice.verification.readers import READERS

LINEAR = ("conv", "bn", "average", "adaptive", "dropout", "identity")
SHAPE = (2, 5, 6)
LAWS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def operator_of(layer, values):
    return READERS[type(layer)](layer, values, values.dtype)


def box(stream, *shape):
    ends = torch.randn(2, *shape, generator=stream, dtype=torch.float64).sort(0).values
    return Interval(*ends)


@st.composite
def linear_layers(draw):
    layer = MAKE[draw(st.sampled_from(LINEAR))](draw, list(SHAPE)).double().eval()
    seed = draw(st.integers(0, 2**32 - 1))
    return randomized(layer, seed), torch.Generator().manual_seed(seed)


@LAWS
@given(linear_layers())
def test_a_linear_operator_computes_what_its_layer_computes(drawn):
    layer, stream = drawn
    values = torch.randn(3, *SHAPE, generator=stream, dtype=torch.float64)
    torch.testing.assert_close(operator_of(layer, values).forward(values), layer(values))


@LAWS
@given(linear_layers())
def test_a_linear_bound_passes_a_linear_operator_without_loss(drawn):
    layer, stream = drawn
    value = box(stream, 3, *SHAPE)
    values = value.lower
    outputs = layer(values)
    slopes = torch.randn(3, 4, *outputs.shape[1:], generator=stream, dtype=torch.float64)
    (before,), constant = operator_of(layer, values).backward(slopes, value)
    assert before.shape == (3, 4, *SHAPE)
    expected = torch.einsum("nschw,nchw->ns", slopes, outputs)
    found = torch.einsum("nschw,nchw->ns", before, values) + constant
    torch.testing.assert_close(found, expected)


@LAWS
@given(linear_layers())
def test_the_interval_of_a_linear_operator_is_reached_at_corners_of_the_box(drawn):
    layer, stream = drawn
    value = box(stream, 1, *SHAPE)
    found = operator_of(layer, value.lower).interval(value)
    jacobian = torch.autograd.functional.jacobian(layer, value.lower).flatten(4)
    rows = jacobian.flatten(0, 3)
    low, high = (end.flatten() for end in (value.lower, value.upper))
    constant = (layer(value.lower) - (rows @ low).view_as(found.lower)).detach()
    at_least = torch.where(rows > 0, low, high), torch.where(rows > 0, high, low)
    for end, corner in zip((found.lower, found.upper), at_least, strict=True):
        torch.testing.assert_close(end, (rows * corner).sum(1).view_as(end) + constant)


def of(*values):
    return torch.tensor(values, dtype=torch.float64)


def passed_back(operator, value, slopes):
    """Slopes on the input and constant for one sample and one slope on each output."""
    (before,), constant = operator.backward(slopes[None, None], value)
    return before[0, 0], constant[0, 0]


@pytest.mark.parametrize(
    ("low", "high", "below", "above", "intercept"),
    [
        (1.0, 2.0, 1.0, 1.0, 0.0),  # active
        (-2.0, -1.0, 0.0, 0.0, 0.0),  # dead
        (-1.0, 3.0, 1.0, 0.75, 0.75),  # mostly active: from below x
        (-3.0, 1.0, 0.0, 0.25, 0.75),  # mostly dead: from below 0
        (-1.0, 1.0, 0.0, 0.5, 0.5),
        (0.0, 0.0, 0.0, 0.0, 0.0),  # a pruned channel's
        (0.0, 1.0, 1.0, 1.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_relu_is_relaxed_by_the_chord_and_the_slope_of_least_area(
    low, high, below, above, intercept
):
    value = Interval(of([low]), of([high]))
    slope, constant = passed_back(Relu(), value, of(2.0))
    assert (slope.item(), constant.item()) == (2 * below, 0)
    slope, constant = passed_back(Relu(), value, of(-2.0))
    assert (slope.item(), constant.item()) == pytest.approx((-2 * above, -2 * intercept))


def test_the_narrowest_chords_are_sound_and_have_finite_gradients():
    low = of([-1e-12, -1e-300, -1e-9, -1e-8, 0.0]).requires_grad_(True)
    high = of([1e-12, 1e-300, 1e-8, 1e-12, 1e-300]).requires_grad_(True)
    (before,), constant = Relu().backward(-torch.eye(5).double()[None], Interval(low, high))
    for end in (low, high):
        chords = (before[0] @ end.detach()[0]) + constant[0]
        assert (chords <= -end[0].relu()).all()
    (before.sum() + constant.sum()).backward()
    assert low.grad.isfinite().all()
    assert high.grad.isfinite().all()


WINDOW = MaxPool((1, 3), (1, 3), (0, 0), (1, 1))


def test_a_dominant_entry_stands_for_its_window_in_both_directions():
    value = Interval(of(0.0, 2.0, 1.0).view(1, 1, 1, 3), of(1.0, 3.0, 2.0).view(1, 1, 1, 3))
    for slope in (3.0, -3.0):
        before, constant = passed_back(WINDOW, value, of(slope).view(1, 1, 1))
        assert before.flatten().tolist() == [0, slope, 0]
        assert constant == 0


def test_an_entry_below_zero_dominates_padding_and_all_that_lies_lower():
    value = Interval(of(-9.0, -2.0).view(1, 1, 1, 2), of(-8.0, -1.0).view(1, 1, 1, 2))
    pool = MaxPool((1, 3), (1, 2), (0, 1), (1, 1))  # its one window starts in the padding
    for slope in (3.0, -3.0):
        before, constant = passed_back(pool, value, of(slope).view(1, 1, 1))
        assert (before.flatten().tolist(), constant) == ([0, slope], 0)


def test_a_window_without_one_is_bounded_by_its_largest_bounds():
    value = Interval(of(0.0, 2.0, 1.0).view(1, 1, 1, 3), of(1.0, 3.0, 2.5).view(1, 1, 1, 3))
    before, constant = passed_back(WINDOW, value, of(3.0).view(1, 1, 1))
    assert (before.flatten().tolist(), constant) == ([0, 3, 0], 0)
    before, constant = passed_back(WINDOW, value, of(-3.0).view(1, 1, 1))
    assert (before.flatten().tolist(), constant) == ([0, 0, 0], -9)


def test_an_entry_of_two_windows_gets_the_slopes_of_both():
    pool = MaxPool((1, 2), (1, 1), (0, 0), (1, 1))
    point = Interval(*[of(0.0, 2.0, 1.0).view(1, 1, 1, 3)] * 2)
    before, constant = passed_back(pool, point, of(3.0, -5.0).view(1, 1, 2))
    assert (before.flatten().tolist(), constant) == ([0, -2, 0], 0)


def test_intervals_of_relu_and_max_pool_are_their_values_at_the_ends():
    value = box(torch.Generator().manual_seed(0), 2, 3, 4, 6)
    pool = MaxPool((3, 2), (2, 1), (1, 0), (1, 2))
    layer = nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2))
    for operator, computed in ((Relu(), torch.relu), (pool, layer)):
        found = operator.interval(value)
        assert torch.equal(found.lower, computed(value.lower))
        assert torch.equal(found.upper, computed(value.upper))


def test_a_sum_adds_intervals_and_gives_its_slopes_to_both():
    class Doubled(nn.Module):
        def forward(self, images):
            return (images + images.relu()).flatten(1)

    images = torch.rand(1, 1, 1, 2, dtype=torch.float64)
    added = network_of(Doubled(), images, images.dtype).operators[1]
    one, other = Interval(of([1.0]), of([2.0])), Interval(of([-3.0]), of([5.0]))
    assert added.interval(one, other) == Interval(of([-2.0]), of([7.0]))
    slopes = of([[4.0]])
    assert added.backward(slopes, one, other) == ((slopes, slopes), 0)
