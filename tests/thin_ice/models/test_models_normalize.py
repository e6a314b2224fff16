"""Normalisation inside the model."""

import pytest
import torch
from torch import nn

from thin_ice.models.normalize import Normalized
from thin_ice.models.wrn import Wrn

MEAN, STD = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]


def images():
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_it_subtracts_the_mean_and_divides_by_the_std_of_each_channel():
    normalised = Normalized(nn.Identity(), MEAN, STD)(images())
    for channel in range(3):
        expected = (images()[:, channel] - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(normalised[:, channel], expected)


def test_it_calls_the_network_once_on_the_normalised_images():
    network = Wrn(depth=10, width=1).build((3, 4, 4), 5).eval()
    model = Normalized(network, MEAN, STD).eval()
    normalised = Normalized(nn.Identity(), MEAN, STD)(images())
    assert torch.equal(model(images()), network(normalised))


def test_gradients_are_in_the_unit_of_the_images():
    pixels = images().requires_grad_()
    Normalized(nn.Identity(), MEAN, STD)(pixels).sum().backward()
    torch.testing.assert_close(pixels.grad[0, :, 0, 0], 1 / torch.tensor(STD))


def test_the_statistics_are_buffers_that_move_and_save_with_the_model():
    model = Normalized(nn.Linear(1, 1), MEAN, STD)
    assert set(model.state_dict()) == {"mean", "std", "network.weight", "network.bias"}
    assert {name for name, _ in model.named_parameters()} == {"network.weight", "network.bias"}
    assert model.double().mean.dtype == torch.float64


@pytest.mark.parametrize(
    "std", [[0.5, 0.5], [0.5, 0.0, 0.5], [0.5, -1.0, 0.5], [1, 1, float("nan")]]
)
def test_statistics_that_cannot_be_used_are_refused(std):
    with pytest.raises(ValueError, match=r"each channel has one|must be positive"):
        Normalized(nn.Identity(), MEAN, std)
