"""Sparsity is counted by parameters."""

import json

import pytest
import torch
from torch import nn

from thin_ice.sparsity.accounting import account


@pytest.fixture
def unequal():
    """A layer of 18 weights and one of 1000, with 2 + 10 biases and 4 norm parameters."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(100, 10))


def first_kept(weight, kept):
    return (torch.arange(weight.numel()) < kept).view(weight.shape)


def test_sparsity_is_weighted_by_parameters_not_a_mean_of_layers(unequal):
    masks = {
        "0.weight": first_kept(unequal[0].weight, 9),
        "3.weight": first_kept(unequal[3].weight, 10),
    }
    report = account(unequal, masks)
    assert report.sparsity == pytest.approx(1 - 19 / 1018)
    mean_of_layers = sum(layer.sparsity for layer in report.layers) / 2
    assert mean_of_layers == pytest.approx(0.745)
    assert report.parameters == 18 + 2 + 4 + 1000 + 10
    assert report.sparsity_of_all_parameters == pytest.approx((1018 - 19) / 1034)


def test_each_layer_is_reported_with_its_own_count(unequal):
    report = account(unequal, {"0.weight": first_kept(unequal[0].weight, 9)})
    found = [(layer.layer, layer.size, layer.kept, layer.sparsity) for layer in report.layers]
    assert found == [("0.weight", 18, 9, 0.5), ("3.weight", 1000, 1000, 0.0)]


def test_layers_outside_the_method_s_set_count_in_all_parameters_only(unequal):
    report = account(unequal, {"0.weight": first_kept(unequal[0].weight, 9)})
    assert report.sparsity == 0.5
    assert report.sparsity_of_all_parameters == pytest.approx(9 / 1034)


def test_pruned_biases_and_norms_count_among_all_parameters_and_not_among_prunable_weights(unequal):
    masks = {
        "0.weight": first_kept(unequal[0].weight, 9),
        "0.bias": first_kept(unequal[0].bias, 1),
        "1.weight": first_kept(unequal[1].weight, 1),
        "1.bias": first_kept(unequal[1].bias, 1),
    }
    report = account(unequal, masks)
    assert report.sparsity == 0.5
    assert [layer.layer for layer in report.layers] == ["0.weight", "3.weight"]
    assert report.sparsity_of_all_parameters == pytest.approx((9 + 3) / 1034)


def test_a_dense_network_has_no_sparsity(unequal):
    report = account(unequal, {})
    assert report.sparsity == report.sparsity_of_all_parameters == 0


def test_the_report_is_plain_data(unequal):
    report = account(unequal, {"0.weight": first_kept(unequal[0].weight, 9)})
    assert json.loads(json.dumps(report.as_dict())) == {
        "prunable": 0.5,
        "all_parameters": 9 / 1034,
        "parameters": 1034,
        "layers": {
            "0.weight": {"size": 18, "kept": 9, "sparsity": 0.5},
            "3.weight": {"size": 1000, "kept": 1000, "sparsity": 0.0},
        },
    }
