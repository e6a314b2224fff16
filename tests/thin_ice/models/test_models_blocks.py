"""The order of operations that the parameter count of a residual block does not show."""

import torch
import torch.nn.functional as F

from thin_ice.models.resnet18 import BasicBlock
from thin_ice.models.wrn import Block


def inputs():
    return torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def normalised(features):
    """What a fresh batch norm in eval mode does."""
    return features / (1 + 1e-5) ** 0.5


def test_a_wide_block_adds_its_raw_input_where_the_shape_stays():
    block, features = Block(4, 4, 1).eval(), inputs()
    torch.nn.init.zeros_(block.conv2.weight)
    assert torch.equal(block(features), features)


def test_a_wide_block_projects_the_activated_input_where_the_shape_changes():
    block, features = Block(4, 8, 2).eval(), inputs()
    torch.nn.init.zeros_(block.conv2.weight)
    expected = block.convShortcut(F.relu(normalised(features)))
    torch.testing.assert_close(block(features), expected)
    assert expected.shape == (2, 8, 3, 3)


def test_the_branch_of_a_wide_block_is_pre_activated():
    block, features = Block(4, 4, 1).eval(), inputs()
    hidden = block.conv1(F.relu(normalised(features)))
    expected = features + block.conv2(F.relu(normalised(hidden)))
    torch.testing.assert_close(block(features), expected)


def test_a_basic_block_activates_after_the_sum():
    block, features = BasicBlock(4, 4, 1).eval(), inputs()
    hidden = F.relu(normalised(block.conv1(features)))
    expected = F.relu(normalised(block.conv2(hidden)) + features)
    torch.testing.assert_close(block(features), expected)
