"""The stored network: the same network from fewer bytes, checked, and by torch alone."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from thin_ice import tables
from thin_ice.errors import ModelError
from thin_ice.models import stored
from thin_ice.models.artifact import load_model
from thin_ice.models.network import Architecture
from thin_ice.models.stored import load_stored, save_stored, stored_bytes
from thin_ice.sparsity.channels import channel_groups, group_masks
from thin_ice.sparsity.compact import compact
from thin_ice.sparsity.masks import layerwise_masks
from thin_ice.sparsity.parametrizations import export, fix_masks
from thin_ice.sparsity.prunable import prunable_weights

PIXELS = {"vgg16_bn": 32, "resnet18": 16}
WIDE = Architecture("digits_cnn", {"width": 16}, (1, 8, 8), 10, normalize=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def architecture_of(kind):
    options = {"width": 4} | ({"depth": 10} if kind == "wrn" else {})
    pixels = PIXELS.get(kind, 8)
    return Architecture(kind, options, (2, pixels, pixels), 10, normalize=True)


def sparse(architecture, sparsity=0.9):
    """A network of which most single weights are pruned; it has been used, so its norms moved."""
    model = architecture.build(seed=0)
    model(torch.rand(4, *architecture.input_shape))
    weights = {name: w.detach().abs() for name, w in prunable_weights(model).items()}
    fix_masks(model, layerwise_masks(weights, sparsity))
    export(model)
    return model.eval()


def narrow(architecture):
    """A network without two of three channels of each group."""
    model = architecture.build(seed=0)
    images = torch.rand(4, *architecture.input_shape)
    model(images)
    groups = channel_groups(model, images)
    kept = {group.name: torch.arange(group.size) % 3 == 1 for group in groups}
    fix_masks(model, group_masks(model, groups, kept))
    export(model)
    return compact(model, images).model


def same(found, expected):
    found, expected = found.state_dict(), expected.state_dict()
    assert set(found) == set(expected)
    return all(
        torch.equal(found[n], expected[n]) and found[n].dtype == expected[n].dtype for n in found
    )


@pytest.mark.parametrize("made", [sparse, narrow])
@pytest.mark.parametrize("kind", tables.ARCHITECTURES)
def test_every_architecture_comes_back_to_the_last_bit_and_computes_the_same(made, kind, path):
    architecture = architecture_of(kind)
    model = made(architecture)
    save_stored(path, model, architecture, {"method": "lwm"})
    loaded = load_stored(path)
    assert same(loaded.model, model)
    assert (loaded.architecture, loaded.about) == (architecture, {"method": "lwm"})
    assert not any(module.training for module in loaded.model.modules())
    images = torch.rand(3, *architecture.input_shape)
    assert torch.equal(loaded.model(images), model(images))


def test_modules_say_the_size_that_they_have(path):
    model = narrow(WIDE)
    save_stored(path, model, WIDE)
    assert str(load_stored(path).model) == str(model)


def test_the_same_network_gives_the_same_bytes(path):
    model = sparse(WIDE)
    save_stored(path, model, WIDE)
    expected = path.read_bytes()
    save_stored(path, load_stored(path).model.to(memory_format=torch.channels_last), WIDE)
    assert path.read_bytes() == expected


def test_the_number_of_bytes_is_that_of_the_file(path):
    model = sparse(WIDE)
    save_stored(path, model, WIDE)
    assert path.stat().st_size == stored_bytes(model, WIDE, sparse=True)


def test_what_is_pruned_costs_few_bytes_and_what_is_gone_none():
    dense = stored_bytes(WIDE.build(seed=0), WIDE, sparse=False)
    assert stored_bytes(sparse(WIDE, 0.99), WIDE, sparse=False) == dense
    assert stored_bytes(sparse(WIDE, 0.99), WIDE, sparse=True) < 0.15 * dense
    assert stored_bytes(narrow(WIDE), WIDE, sparse=False) < 0.3 * dense


def test_nothing_but_torch_is_needed_to_load(path):
    save_stored(path, narrow(WIDE), WIDE)
    code = (
        "import sys\nfrom thin_ice.models.stored import load_stored\n"
        f"load_stored({str(path)!r})\nsys.exit('torch_pruning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def forge(path, tensors=(), gone=(), **metadata):
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    kept = {name: tensor for name, tensor in load_file(path).items() if name not in gone}
    save_file(kept | dict(tensors), path, metadata=old | metadata)


def refused(path):
    with pytest.raises(ModelError) as caught:
        load_stored(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


LINEAR = "network.linear.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "thin-ice-model-1"}, "has format 'thin-ice-model-1'; expected"),
        ({"architecture": "{}"}, "not an architecture"),
        ({"shapes": "[]"}, "usable"),
        ({"shapes": "5"}, "usable"),
        ({"shapes": "{}"}, "a dense tensor and a shape, or neither"),
        ({"shapes": json.dumps({LINEAR: [10, 9]})}, "which do not fit|neither"),
        ({"gone": [f"values.{LINEAR}"]}, f"'{LINEAR}' is stored as"),
        ({"gone": ["dense.network.linear.bias"]}, "Missing key"),
        ({"tensors": {"dense.more": torch.zeros(2)}}, "Unexpected key"),
        (
            {"tensors": {f"dense.{LINEAR}": torch.zeros(2)}},
            "a dense tensor and a shape, or neither",
        ),
        ({"tensors": {"dense.network.block1.bn.bias": torch.zeros(3)}}, "size mismatch"),
    ],
)
def test_a_file_that_is_no_stored_network_is_refused_with_its_path(change, said, path):
    save_stored(path, sparse(WIDE), WIDE)
    forge(path, **change)
    message = refused(path)
    assert any(one in message for one in said.split("|")), message


@pytest.mark.parametrize("shape", [[-10, -64], [10**15], [6.4, 100], "10", None])
def test_a_shape_that_no_tensor_has_is_refused(shape, path):
    save_stored(path, sparse(WIDE), WIDE)
    with safe_open(path, framework="pt") as file:
        shapes = json.loads(file.metadata()["shapes"])
    forge(path, shapes=json.dumps(shapes | {LINEAR: shape}))
    refused(path)


def test_a_layer_without_any_weight_is_refused(path):
    save_stored(path, sparse(WIDE), WIDE)
    with safe_open(path, framework="pt") as file:
        shapes = json.loads(file.metadata()["shapes"])
        parts = [name for name in file.keys() if name.partition(".")[2] == LINEAR]  # noqa: SIM118
    forge(path, gone=parts, shapes=json.dumps({n: s for n, s in shapes.items() if n != LINEAR}))
    assert LINEAR in refused(path)


def test_dense_bytes_do_not_depend_on_the_memory_format():
    model = WIDE.build(seed=0)
    expected = stored_bytes(model, WIDE, sparse=False)
    assert stored_bytes(model.to(memory_format=torch.channels_last), WIDE, sparse=False) == expected


def test_a_convolution_in_groups_takes_the_size_of_its_weight():
    convolution = torch.nn.Conv2d(8, 8, 3, groups=2, device="meta")
    stored._take_size(convolution, torch.Size((6, 2, 3, 3)))
    assert str(convolution) == str(torch.nn.Conv2d(4, 6, 3, groups=2))


def test_layers_that_do_not_fit_each_other_are_refused(path):
    model = narrow(WIDE)
    norm = model.network.block2.bn
    for name in ("weight", "bias"):
        setattr(norm, name, torch.nn.Parameter(torch.ones(3)))
    norm.running_mean, norm.running_var = torch.zeros(3), torch.ones(3)
    with pytest.raises(ModelError, match="cannot save"):
        save_stored(path, model, WIDE)
    assert not path.exists()


def test_another_number_of_logits_is_refused(path):
    other = Architecture("digits_cnn", {"width": 16}, (1, 8, 8), 7, normalize=True)
    with pytest.raises(ModelError, match="give 7 logits, allowed: 10"):
        save_stored(path, other.build(seed=0), WIDE)


def test_text_is_no_stored_network_and_a_stored_one_is_no_model_artifact(path):
    path.write_text("no tensors")
    assert "is not a stored network" in refused(path)
    save_stored(path, narrow(WIDE), WIDE)
    with pytest.raises(ModelError, match="thin-ice-stored-1"):
        load_model(path)
