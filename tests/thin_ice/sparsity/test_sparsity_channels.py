"""Which channels stand or fall together, and what vanishes with one."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL, random_kept, small
from torch import nn
from torch.nn.utils import parametrize

from thin_ice import tables
from thin_ice.errors import ModelError
from thin_ice.sparsity.channels import (
    channel_groups,
    column_norms,
    group_masks,
    row_norms,
)
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_weights


def test_every_architecture_is_small_here():
    assert set(SMALL) == set(tables.ARCHITECTURES)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("kind", SMALL)
def test_every_weight_but_the_image_s_columns_and_the_logits_rows_belongs_to_a_group(
    kind, normalize
):
    model, images = small(kind, normalize)
    groups = channel_groups(model, images)
    weights = prunable_weights(model)
    first, *_, last = weights
    written = {f"{side.module}.weight" for group in groups for side in group.producers}
    read = {f"{side.module}.weight" for group in groups for side in group.consumers}
    assert written == set(weights) - {last}
    assert read == set(weights) - {first}


@pytest.mark.parametrize("kind", SMALL)
def test_nothing_upstream_of_a_pruned_channel_reaches_the_logits(kind):
    """What stands before the zero columns of a pruned channel may be anything."""
    model, images = small(kind)
    groups = channel_groups(model, images)
    kept = random_kept(groups)
    columns = [replace(group, producers=(), norms=()) for group in groups]
    masks = group_masks(model, columns, kept)
    weights = prunable_weights(model)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)
        before = model(images)
        for group in groups:
            for side in (*group.producers, *group.norms):
                rows = side.index[~kept[group.name]].flatten()
                for values in model.get_submodule(side.module).parameters():
                    values[rows] += 3
        for name, mask in masks.items():  # a row crosses columns that must stay zero
            weights[name].mul_(mask)
    assert torch.equal(model(images), before)


def residual():
    """X -> a = relu(conv1 x); a + conv2 a, flattened (2x2 pixels), then a linear layer."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 2, 3, padding=1)
            self.conv2 = nn.Conv2d(2, 2, 3, padding=1, bias=False)
            self.linear = nn.Linear(8, 3)

        def forward(self, images):
            first = self.conv1(images).relu()
            return self.linear((first + self.conv2(first)).flatten(1))

    return Residual(), torch.zeros(1, 1, 2, 2)


def test_groups_by_hand_of_a_shortcut_before_a_flattened_map():
    (group,) = channel_groups(*residual())
    assert (group.name, group.size, group.norms) == ("conv1", 2, ())
    rows, columns = [[0], [1]], [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [(s.module, s.index.tolist()) for s in group.producers] == [
        ("conv1", rows),
        ("conv2", rows),
    ]
    assert [(s.module, s.index.tolist()) for s in group.consumers] == [
        ("conv2", rows),
        ("linear", columns),
    ]


def test_norms_by_hand_run_over_all_producers_and_all_consumers():
    model, images = residual()
    with torch.no_grad():
        model.conv1.weight.fill_(0)
        model.conv1.weight[1, 0, 0, 0] = 3.0
        model.conv2.weight.fill_(0)
        model.conv2.weight[1, 0, 2, 2] = -4.0
        model.linear.weight.fill_(0)
        model.linear.weight[2, 3] = 12.0
    (group,) = channel_groups(model, images)
    assert row_norms(group, model).tolist() == [0, 5]
    assert row_norms(group, model, order=1).tolist() == [0, 7]
    assert column_norms(group, model, order=1).tolist() == [16, 0]


def test_masks_by_hand_of_one_pruned_channel():
    model, images = residual()
    masks = group_masks(
        model, channel_groups(model, images), {"conv1": torch.tensor([True, False])}
    )
    assert set(masks) == {"conv1.weight", "conv1.bias", "conv2.weight", "linear.weight"}
    assert masks["conv1.weight"].flatten(1).all(1).tolist() == [True, False]
    assert masks["conv1.bias"].tolist() == [True, False]
    kept = torch.tensor([[True, False], [False, False]])  # neither its row nor its column
    assert torch.equal(masks["conv2.weight"], kept[:, :, None, None].expand(2, 2, 3, 3))
    assert masks["linear.weight"].tolist() == [[True] * 4 + [False] * 4] * 3


def test_a_group_that_is_not_named_keeps_every_channel_and_still_has_masks():
    model, images = small("digits_cnn")
    groups = channel_groups(model, images)
    masks = group_masks(model, groups, {})
    assert all(mask.all() for mask in masks.values())
    assert set(prunable_weights(model)) < set(masks)


def test_the_network_is_left_as_it_was():
    model, images = small("resnet18")
    model.train().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    channel_groups(model, images)
    assert model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_channels_of_a_network_whose_weights_carry_parametrizations():
    model, images = small("resnet18")
    plain = channel_groups(model, images)
    masks = group_masks(model, plain, random_kept(plain))
    fix_masks(model, {n: m for n, m in masks.items() if n in prunable_weights(model)})
    masked = channel_groups(model, images)
    assert [group.name for group in masked] == [group.name for group in plain]
    gone = ~random_kept(plain)[plain[0].name]
    assert torch.equal(row_norms(masked[0], model) == 0, gone)


def test_layers_that_compute_a_weight_are_no_part_of_the_network():
    model, images = residual()
    parametrize.register_parametrization(model.linear, "weight", nn.Linear(8, 8))
    (group,) = channel_groups(model, images)
    assert [side.module for side in group.consumers] == ["conv2", "linear"]


def test_without_linear_layers_no_group_is_written_by_one():
    model, images = small("cnn_large")
    found = [group.name for group in channel_groups(model, images, "convolutions")]
    assert found == [f"network.conv{number}" for number in (1, 2, 3, 4)]


def refused(kept):
    model, images = residual()
    with pytest.raises(ModelError) as caught:
        group_masks(model, channel_groups(model, images), kept)
    return str(caught.value)


def test_what_is_kept_must_name_a_group_and_have_its_size():
    assert "'conv2', allowed are conv1" in refused({"conv2": torch.ones(2, dtype=torch.bool)})
    assert "allowed is torch.bool (2,)" in refused({"conv1": torch.ones(3, dtype=torch.bool)})
    assert "allowed is torch.bool (2,)" in refused({"conv1": torch.ones(2)})


def test_layers_that_are_not_understood_are_refused_by_name():
    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="0 has 2 groups"):
        channel_groups(grouped, torch.zeros(1, 4, 3, 3))
    prelu = nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="pass through 1, a PReLU"):
        channel_groups(prelu, torch.zeros(1, 3))


def test_a_layer_that_reads_more_than_channels_is_refused():
    class Beside(nn.Module):
        """The classifier reads the features and the images."""

        def __init__(self):
            super().__init__()
            self.features, self.linear = nn.Linear(3, 4), nn.Linear(7, 2)

        def forward(self, images):
            return self.linear(torch.cat([self.features(images), images], dim=1))

    with pytest.raises(ModelError, match="4 of the 7 inputs of linear"):
        channel_groups(Beside(), torch.zeros(1, 3))
