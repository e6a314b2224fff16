"""The model artifact: exact, checked, deterministic, and whole or not there."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from thin_ice.models.artifact import load_model, save_model
from thin_ice.models.network import Architecture

TINY = Architecture("digits_cnn", {"width": 2}, (1, 8, 8), 10, normalize=True)
NAME = "network.block2.conv.weight"
ABOUT = {"method": "lwm", "sparsity": "0.5", "stage": "prune", "note": "naïve ≤ ε"}


def tiny():
    return TINY.build(seed=0)


def pruned():
    """A model with half of one layer cut away, and its mask."""
    model = tiny()
    weight = model.get_parameter(NAME)
    mask = weight.abs() > weight.abs().median()
    with torch.no_grad():
        weight.mul_(mask)
    return model, {NAME: mask}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def names(path):
    with safe_open(path, framework="pt") as file:
        return set(file.keys()), file.metadata()


def rewrite(path, tensors=None, **metadata):
    """Forge the artifact: other tensors or other metadata."""
    old = names(path)[1]
    save_file(load_file(path) if tensors is None else tensors, path, metadata=old | metadata)


def test_everything_comes_back(path):
    model, masks = pruned()
    model.network.block1.bn.num_batches_tracked.fill_(2**40 + 1)
    save_model(path, model, TINY, masks, ABOUT)
    loaded = load_model(path)
    assert loaded.architecture == TINY
    assert loaded.about == ABOUT
    assert set(loaded.masks) == set(masks)
    assert torch.equal(loaded.masks[NAME], masks[NAME])
    expected, got = model.state_dict(), loaded.model.state_dict()
    assert list(expected) == list(got)
    for name, tensor in expected.items():
        assert torch.equal(tensor, got[name]), name
        assert tensor.dtype == got[name].dtype, name


def test_a_loaded_model_is_in_eval_mode_and_can_be_trained(path):
    save_model(path, tiny().train(), TINY)
    model = load_model(path).model
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}


def test_loading_leaves_the_callers_random_state_alone(path):
    save_model(path, tiny(), TINY)
    before = torch.get_rng_state()
    load_model(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_leaves_the_model_alone(path):
    model = tiny().train()
    for parameter in model.network.linear.parameters():
        parameter.requires_grad_(False)
    frozen = [parameter.requires_grad for parameter in model.parameters()]
    save_model(path, model, TINY)
    assert model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == frozen


def test_without_masks_and_notes_the_dictionaries_are_empty(path):
    save_model(path, tiny(), TINY)
    assert load_model(path).masks == {}
    assert load_model(path).about == {}


def test_a_loaded_model_does_not_change_with_its_file(path):
    save_model(path, tiny(), TINY)
    loaded = load_model(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(loaded.model.get_parameter(NAME), tiny().get_parameter(NAME))


def test_the_file_is_safetensors_with_the_promised_names(path):
    model, masks = pruned()
    save_model(path, model, TINY, masks, {"method": "lwm"})
    keys, metadata = names(path)
    assert keys == {f"model.{name}" for name in model.state_dict()} | {f"mask.{NAME}"}
    assert load_file(path)[f"mask.{NAME}"].dtype == torch.bool
    assert metadata == {
        "format": "thin-ice-model-1",
        "architecture": TINY.to_json(),
        "about.method": "lwm",
    }


def test_the_tensors_are_aligned(path):
    for note in ("", "x", "xy", "xyz"):
        save_model(path, tiny(), TINY, about={"note": note})
        assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_the_same_model_gives_the_same_bytes(path):
    model, masks = pruned()
    save_model(path, model, TINY, masks, ABOUT)
    expected = path.read_bytes()
    for _ in range(5):
        save_model(path, model, TINY, masks, dict(reversed(ABOUT.items())))
        assert path.read_bytes() == expected
    loaded = load_model(path)
    save_model(path, loaded.model, loaded.architecture, loaded.masks, loaded.about)
    assert path.read_bytes() == expected


def test_the_memory_layout_does_not_reach_the_file(path):
    save_model(path, tiny(), TINY)
    expected = path.read_bytes()
    save_model(path, tiny().to(memory_format=torch.channels_last), TINY)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("value", [1e-45, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_not_zero_where_pruned_is_refused(path, value):
    model, masks = pruned()
    hole = (~masks[NAME]).nonzero()[0]
    with torch.no_grad():
        model.get_parameter(NAME)[tuple(hole)] = value
    with pytest.raises(ValueError, match=rf"{NAME}' has 1 weights that are not zero"):
        save_model(path, model, TINY, masks)
    assert list(path.parent.iterdir()) == []


def test_negative_zero_is_zero_and_zeros_may_be_kept(path):
    model, masks = pruned()
    with torch.no_grad():
        model.get_parameter(NAME)[~masks[NAME]] = -0.0
        model.get_parameter(NAME)[masks[NAME]] = 0.0
    save_model(path, model, TINY, masks)
    assert torch.equal(load_model(path).masks[NAME], masks[NAME])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (NAME, lambda mask: mask.float(), "torch.float32"),
        (NAME, lambda mask: mask[:1], r"allowed is torch.bool \(4, 2, 3, 3\)"),
        ("block2.conv.weight", lambda mask: mask, "no parameter"),
        ("mean", lambda _: torch.ones(1, 1, 1, dtype=torch.bool), "no parameter"),
    ],
)
def test_a_mask_that_fits_no_parameter_is_refused(path, name, change, message):
    model, masks = pruned()
    with pytest.raises(ValueError, match=message):
        save_model(path, model, TINY, {name: change(masks[NAME])})


@pytest.mark.parametrize(
    "other",
    [
        Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, True),
        Architecture("digits_cnn", {"width": 2}, (1, 8, 8), 10, False),
        Architecture("cnn_small", {"width": 2}, (1, 8, 8), 10, True),
    ],
)
def test_a_model_that_is_not_what_the_architecture_builds_is_refused(path, other):
    with pytest.raises(ValueError, match="cannot save") as caught:
        save_model(path, tiny(), other)
    assert other.to_json() in str(caught.value)


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    save_model(path, tiny(), TINY)
    expected = path.read_bytes()
    monkeypatch.setattr("thin_ice.files._flush", lambda _path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_model(path, TINY.build(seed=9), TINY)
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_refused(path, kept):
    save_model(path, tiny(), TINY)
    whole = path.read_bytes()
    end = int(kept * len(whole)) if isinstance(kept, float) else kept
    path.write_bytes(whole[:end])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a model artifact.*expected"):
        load_model(path)


@pytest.mark.parametrize(
    "content", [b"epoch,loss\n1,2\n", b"PK\3\4" * 50, b"\x80\x04}\x94\x8c\x01a\x94K\x01s."]
)
def test_a_foreign_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors is not a model artifact.*expected"):
        load_model(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "thin-ice-model-2"}])
def test_a_safetensors_file_of_another_format_is_refused(path, metadata):
    save_file({"model.a": torch.ones(1)}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"has format .*; expected .*thin-ice-model-1"):
        load_model(path)


def test_a_missing_file_is_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        load_model(path)


def test_missing_unexpected_and_misshapen_names_are_listed(path):
    save_model(path, tiny(), TINY)
    tensors = load_file(path)
    del tensors["model.network.linear.bias"]
    tensors["model.network.fc3.bias"] = torch.ones(2)
    tensors["model.network.block1.bn.bias"] = torch.ones(3)
    rewrite(path, tensors)
    with pytest.raises(ValueError, match=r"model\.safetensors") as caught:
        load_model(path)
    for name in ("network.linear.bias", "network.fc3.bias", "network.block1.bn.bias"):
        assert name in str(caught.value)


def test_names_outside_the_format_are_refused(path):
    save_model(path, tiny(), TINY)
    rewrite(path, load_file(path) | {"optimizer.step": torch.ones(1)})
    with pytest.raises(ValueError, match=r"optimizer\.step.*allowed"):
        load_model(path)


def test_an_integer_weight_is_refused(path):
    save_model(path, tiny(), TINY)
    tensors = load_file(path)
    tensors[f"model.{NAME}"] = tensors[f"model.{NAME}"].int()
    rewrite(path, tensors)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_model(path)


def test_a_pruned_weight_that_came_back_is_refused_on_loading(path):
    model, masks = pruned()
    save_model(path, model, TINY, masks)
    tensors = load_file(path)
    tensors[f"model.{NAME}"] = torch.ones_like(tensors[f"model.{NAME}"])
    rewrite(path, tensors)
    with pytest.raises(ValueError, match=rf"model\.safetensors.*{NAME}.*not zero"):
        load_model(path)


@pytest.mark.parametrize(
    "change", [{"kind": "gone"}, {"options": {"gone": 1}}, {"input_shape": 3}, {"options": None}]
)
def test_an_architecture_that_cannot_be_built_is_refused_with_the_name_of_the_file(path, change):
    save_model(path, tiny(), TINY)
    rewrite(path, architecture=json.dumps(json.loads(TINY.to_json()) | change))
    with pytest.raises(ValueError, match=r"model\.safetensors is not a usable"):
        load_model(path)
