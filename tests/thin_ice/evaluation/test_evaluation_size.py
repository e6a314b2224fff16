"""What sparsity is worth, of a network that has dead channels and single zeros besides."""

import pytest
import torch

from thin_ice.evaluation.size import network_size
from thin_ice.evaluation.size_table import COLUMNS, size_table
from thin_ice.models.network import Architecture
from thin_ice.models.stored import save_stored, stored_bytes
from thin_ice.sparsity.channels import channel_groups, group_masks
from thin_ice.sparsity.compact import compact
from thin_ice.sparsity.parametrizations import export, fix_masks

ARCHITECTURE = Architecture("digits_cnn", {"width": 8}, (1, 8, 8), 10, normalize=False)
ABOUT = {"method": "of both kinds"}
NAMES = {"run": "digits", "seed": 0, "variant": "x-0.5", "method": "x", "sparsity": 0.5}
LEFT = 9 * (4 + 4 * 8 + 8 * 16) + 2 * (4 + 8 + 16) + (16 * 4 * 10 + 10)  # half of the channels
ZEROS = 6 * 8 * 16  # of what is left in the third convolution


@pytest.fixture(scope="module")
def pruned():
    """The network with zeros, and the one without its dead channels."""
    model = ARCHITECTURE.build(seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * (parameter == 0))  # biases, as if trained
    groups = channel_groups(model, torch.zeros(2, 1, 8, 8))
    kept = {one.name: torch.arange(one.size) < one.size // 2 for one in groups}
    fix_masks(model, group_masks(model, groups, kept))
    export(model)
    with torch.no_grad():
        model.block3.conv.weight[:, :, 1:] = 0  # two rows of three
        model.block1.conv.weight[7] = 1  # not zero, and read by nobody
    return model.eval(), compact(model, torch.zeros(2, 1, 8, 8))


@pytest.fixture(scope="module")
def size(pruned):
    return network_size(*pruned, ARCHITECTURE, ABOUT)


def test_parameters_and_multiplications_are_counted_by_hand(size):
    dense = 9 * (8 + 8 * 16 + 16 * 32) + 2 * (8 + 16 + 32) + (32 * 4 * 10 + 10)
    assert size["parameters"] == {"dense": dense, "nonzero": LEFT - ZEROS + 9, "compact": LEFT}
    whole = 64 * 9 * 8 + 16 * 9 * 8 * 16 + 4 * 9 * 16 * 32 + 4 * 32 * 10
    left = 64 * 9 * 4 + 16 * 9 * 4 * 8 + 4 * 9 * 8 * 16 + 4 * 16 * 10
    assert size["multiply_accumulates"] == {
        "dense": whole,
        "nonzero": left - 4 * ZEROS + 64 * 9,
        "compact": left,
    }


def test_bytes_are_those_of_the_files(pruned, size, tmp_path):
    model, made = pruned
    for version, network, sparse in [
        ("dense", model, False),
        ("sparse", model, True),
        ("compact", made.model, False),
        ("stored", made.model, True),
    ]:
        found = size["bytes"][version]
        assert found == stored_bytes(network, ARCHITECTURE, sparse, ABOUT)
        assert found > stored_bytes(network, ARCHITECTURE, sparse)  # the notes are in it
    assert len(set(size["bytes"].values())) == 4
    save_stored(tmp_path / "stored", made.model, ARCHITECTURE, ABOUT)
    assert size["bytes"]["stored"] == (tmp_path / "stored").stat().st_size


def test_what_went_is_told(size):
    assert list(size["channels"].values()) == [{"size": 2 * n, "kept": n} for n in (4, 8, 16)]
    assert (size["channels_removed"], size["why_none_removed"]) == (28, None)
    assert size["same_logits_within"] == 1e-5


def test_the_table_has_a_row_a_network_with_each_number_under_its_name(size):
    told = size | {"groups_without_living_channel": ["block1.conv"]}
    table = size_table([NAMES, NAMES | {"seed": 1}], [size, told])
    assert tuple(table.columns) == COLUMNS
    first, second = table.to_dict("records")
    assert {key: first[key] for key in NAMES} == NAMES
    for what, versions in (("parameters", 3), ("multiply_accumulates", 3), ("bytes", 4)):
        assert {f"{what}_{v}": first[f"{what}_{v}"] for v in size[what]} == {
            f"{what}_{v}": number for v, number in size[what].items()
        }
        assert sum(name.startswith(f"{what}_") for name in table.columns) == versions
    assert (first["channels"], first["channels_kept"]) == (56, 28)
    assert first["groups_without_living_channel"] == 0
    assert (second["seed"], second["groups_without_living_channel"]) == (1, 1)
