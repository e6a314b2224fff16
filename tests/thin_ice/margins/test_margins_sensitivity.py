"""The predicted change of margins: exact where it must be, and against finite differences."""

import copy

import pytest
import torch
from torch import nn

from thin_ice.attacks.checks import UnusableInput
from thin_ice.margins.sensitivity import (
    OtherParameters,
    parameter_change,
    predicted_change,
    rivals,
    sensitivity_table,
)


@pytest.fixture(scope="module")
def some(digits):
    return digits["test"].head(100)


def shaken(model, size, seed=0):
    """The same network, every parameter moved by Gaussian noise of this standard deviation."""
    other, stream = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += size * torch.randn(parameter.shape, generator=stream)
    return other


def margins(model, images, labels, others):
    """z_label - z_other of each image, one at a time."""
    rows = zip(images, labels.tolist(), others.tolist(), strict=True)
    with torch.no_grad():
        return torch.stack([(z := model(x[None])[0])[y] - z[j] for x, y, j in rows])


def test_of_a_linear_network_the_prediction_is_the_change(some):
    """Two weight tensors that add up, so nothing is left beyond the first order."""
    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    other = shaken(dense, 1.0)
    table = sensitivity_table(dense, other, some)
    images, labels = some.floats(), some.labels
    others = rivals(dense(images), labels)
    expected = margins(other, images, labels, others) - margins(dense, images, labels, others)
    assert table.predicted_change.to_numpy() == pytest.approx(expected.numpy(), abs=1e-4)
    assert table.predicted_change.abs().min() > 0
    assert table.sample_id.tolist() == some.ids.tolist()
    assert table.label.tolist() == labels.tolist()


def test_the_prediction_is_the_derivative_along_the_change(trained, some):
    """Central differences of the real network in float64, over a short way along the change."""
    dense = copy.deepcopy(trained).double()
    other = shaken(dense, 0.05)
    images, labels = some.floats().double(), some.labels
    others = rivals(dense(images), labels)
    found = predicted_change(dense, parameter_change(dense, other), images, labels, others)
    way = 1e-6
    at = []
    for share in (way, -way):
        point = copy.deepcopy(dense)
        with torch.no_grad():
            for p, q in zip(point.parameters(), other.parameters(), strict=True):
                p += share * (q - p)
        at.append(margins(point, images, labels, others))
    assert torch.allclose(found, (at[0] - at[1]) / (2 * way), rtol=1e-4, atol=1e-6)


def test_float32_says_what_float64_says(trained, some):
    other = shaken(trained, 0.05)
    table = sensitivity_table(trained, other, some)
    images, labels = some.floats().double(), some.labels
    dense = copy.deepcopy(trained).double()
    others = rivals(trained(some.floats()), labels)
    change = parameter_change(dense, copy.deepcopy(other).double())
    exact = predicted_change(dense, change, images, labels, others)
    assert table.predicted_change.to_numpy() == pytest.approx(exact.numpy(), rel=1e-3, abs=1e-4)


def test_buffers_are_the_dense_networks(trained, some):
    other = shaken(trained, 0.05)
    before = sensitivity_table(trained, other, some)
    for buffer in other.buffers():
        buffer.add_(1)
    assert sensitivity_table(trained, other, some).equals(before)


def pruned(model, share):
    """The same network without its smallest weights, one tensor at a time."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.ndim > 1:
                least = parameter.abs().flatten().quantile(share)
                parameter *= parameter.abs() > least
    return other


def test_of_a_network_pruned_a_little_the_signs_are_mostly_right(trained, some):
    other = pruned(trained, 0.1)
    found = torch.tensor(sensitivity_table(trained, other, some).predicted_change)
    images, labels = some.floats(), some.labels
    others = rivals(trained(images), labels)
    real = margins(other, images, labels, others) - margins(trained, images, labels, others)
    assert (found.sign() == real.sign()).float().mean() > 0.9
    assert torch.corrcoef(torch.stack([found, real]))[0, 1] > 0.9


def test_the_same_network_changes_nothing_and_twice_the_change_twice_as_much(trained, some):
    assert (sensitivity_table(trained, copy.deepcopy(trained), some).predicted_change == 0).all()
    other = shaken(trained, 0.05)
    images, labels = some.floats(), some.labels
    others, change = rivals(trained(images), labels), parameter_change(trained, other)
    once = predicted_change(trained, change, images, labels, others)
    double = {name: 2 * value for name, value in change.items()}
    assert torch.allclose(predicted_change(trained, double, images, labels, others), 2 * once)


def test_the_other_class_is_the_dense_networks_best_but_the_label():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert rivals(logits, torch.tensor([0, 1])).tolist() == [2, 0]


def test_the_size_of_batches_changes_nothing(trained, some):
    other = shaken(trained, 0.05)
    whole, pieces = (sensitivity_table(trained, other, some, batch) for batch in (100, 7))
    assert whole.sample_id.equals(pieces.sample_id)
    assert pieces.predicted_change.to_numpy() == pytest.approx(
        whole.predicted_change.to_numpy(), rel=1e-4, abs=1e-4
    )
    assert whole.equals(sensitivity_table(trained, other, some, 100))


def test_networks_are_left_as_they_were(build, some):
    dense, other = build(seed=0).eval(), build(seed=1).eval()
    before = [p.detach().clone() for m in (dense, other) for p in m.parameters()]
    sensitivity_table(dense, other, some)
    after = [p for m in (dense, other) for p in m.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.requires_grad and p.grad is None for p in after)


def test_networks_that_do_not_fit_each_other_are_refused(build, some):
    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    wider = nn.Sequential(nn.Flatten(), nn.Linear(64, 12)).eval()
    with pytest.raises(OtherParameters, match=r"1.weight is \(12, 64\) .*; allowed: \(10, 64\)"):
        sensitivity_table(dense, wider, some)
    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)).eval()
    with pytest.raises(OtherParameters, match=r"1.bias is absent in the other .*\(10,\)"):
        sensitivity_table(dense, bare, some)
    with pytest.raises(OtherParameters, match=r"1.bias is \(10,\) .*allowed: absent"):
        sensitivity_table(bare, dense, some)
    with pytest.raises(UnusableInput, match="in training mode"):
        sensitivity_table(build(seed=0).train(), build(seed=1), some)
