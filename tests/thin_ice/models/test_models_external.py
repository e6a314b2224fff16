"""Weights from elsewhere: what fits gives the same logits, what does not is refused."""

import importlib.util
import io
import os

import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from thin_ice import outside
from thin_ice.errors import ModelError
from thin_ice.models.external import (
    fitted,
    read_weights,
    renamed,
    require_logits,
    require_same_logits,
)
from thin_ice.models.network import Architecture

SMALL = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False)
NORMALISED = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=True)


@pytest.fixture
def theirs():
    return SMALL.build(7).eval()


def saved(what):
    file = io.BytesIO()
    torch.save(what, file)
    return file.getvalue()


def logits(model, images):
    with torch.no_grad():
        return model(images)


def refusal(call, *arguments):
    """The one sentence that a call is refused with."""
    with pytest.raises(ModelError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


PACKAGED = {
    "entry_point": None,
    "file": None,
    "package": "pyautoattack",
    "path": "examples/model_test.pt",
}


def test_the_resnet_of_autoattacks_package_computes_the_same_here():
    """Its checkpoint in our architecture, against the network of its own examples."""
    path = outside.weights_file(PACKAGED)
    spec = importlib.util.spec_from_file_location("packaged_resnet", path.with_name("resnet.py"))
    packaged = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packaged)
    weights = read_weights(path.read_bytes(), path.name)
    theirs = packaged.ResNet18()
    theirs.load_state_dict(weights)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours = fitted(Architecture("resnet18", {}, (3, 32, 32), 10, False), weights, path.name)
    difference = logits(ours, images) - logits(theirs.eval(), images)
    assert difference.abs().max() <= 1e-4
    assert logits(ours, images).std() > 1  # weights of a trained network, not of a fresh one


@pytest.mark.parametrize(
    ("write", "name"), [(saved, "x.pt"), (save_safetensors, "x.safetensors")], ids=["pt", "st"]
)
def test_a_state_dict_gives_the_network_back_to_the_last_bit(theirs, images, write, name):
    weights = read_weights(write(theirs.state_dict()), name)
    assert torch.equal(logits(fitted(SMALL, weights, name), images), logits(theirs, images))


def test_a_state_dict_may_lie_under_a_key(theirs):
    contents = saved({"epoch": 3, "state_dict": theirs.state_dict()})
    assert read_weights(contents, "x.pt", "state_dict").keys() == theirs.state_dict().keys()
    assert "'epoch', 'state_dict'" in refusal(read_weights, contents, "x.pt", "model")
    assert "under: KEY" in refusal(read_weights, contents, "x.pt")


class Touch:
    """Executed on loading, if a reader executes."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_a_file_is_executed(tmp_path):
    trap = tmp_path / "sprung"
    message = refusal(read_weights, saved({"weight": Touch(trap)}), "x.pt")
    assert "tensors only" in message
    assert not trap.exists()


@pytest.mark.parametrize(
    ("contents", "name", "words"),
    [
        (saved(nn.Linear(2, 2)), "x.pt", "a whole pickled model is never loaded"),
        (b"no checkpoint", "x.pt", "cannot be read as tensors only"),
        (saved({"weight": torch.ones(99)})[:-200], "x.pt", "cannot be read as tensors only"),
        (b"no checkpoint", "x.safetensors", "no readable safetensors file"),
        (saved([torch.ones(2)]), "x.pt", "holds a list"),
        (saved({}), "x.pt", "allowed: names of parameters"),
    ],
    ids=["pickled model", "noise", "cut short", "no safetensors", "list", "empty"],
)
def test_what_is_no_state_dict_is_refused(contents, name, words):
    message = refusal(read_weights, contents, name)
    assert words in message
    assert name in message


def test_names_are_mapped_by_their_longest_beginning(theirs):
    wrapped = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    assert renamed(wrapped, {"module.": ""}).keys() == theirs.state_dict().keys()
    found = renamed({"a.b.w": 1, "a.c": 2, "d": 3}, {"a.": "x.", "a.b.": ""})
    assert found == {"w": 1, "x.c": 2, "d": 3}


@pytest.mark.parametrize(
    ("weights", "keys", "words"),
    [
        ({"a.w": 1, "w": 2}, {"a.": ""}, "two names of the checkpoint become 'w'"),
        ({"w": 1}, {"module.": ""}, "no name of the checkpoint begins with 'module.'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(weights, keys, words):
    assert words in refusal(renamed, weights, keys)


def test_statistics_normalise_inside_the_network(theirs, images):
    ours = fitted(NORMALISED, theirs.state_dict(), "x.pt", ([0.2], [0.4]))
    expected = logits(theirs, (images - 0.2) / 0.4)
    assert torch.allclose(logits(ours, images), expected, atol=1e-5)


def test_statistics_of_other_channels_are_refused(theirs):
    for statistics in (([0.2] * 3, [0.4] * 3), ([0.2], [0.0]), ([], [])):
        assert "one a channel" in refusal(
            fitted, NORMALISED, theirs.state_dict(), "x.pt", statistics
        )


def without_one(weights):
    weights.popitem()


def with_another(weights):
    weights["extra"] = torch.zeros(1)


def of_another_shape(weights):
    weights[next(iter(weights))] = torch.zeros(3)


def not_finite(weights):
    weights[next(iter(weights))][0] = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_one, "does not fit digits_cnn: it lacks"),
        (with_another, "it has 'extra' besides"),
        (of_another_shape, "is of shape (3,), allowed is (4, 1, 3, 3)"),
        (not_finite, "is not finite throughout"),
    ],
)
def test_weights_that_do_not_fit_are_refused(theirs, change, words):
    weights = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    change(weights)
    assert words in refusal(fitted, SMALL, weights, "x.pt")


def test_another_number_of_classes_is_a_wrong_shape(theirs):
    other = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 3, normalize=False)
    assert "is of shape (10" in refusal(fitted, other, theirs.state_dict(), "x.pt")


def test_logits_that_are_none_are_refused(theirs, images):
    assert require_logits(theirs, images, 10, "x").shape == (12, 10)
    assert "not 3 logits" in refusal(require_logits, theirs, images, 3, "x")
    assert "(12, 1, 8, 8)" in refusal(require_logits, nn.Identity(), images, 10, "x")
    for value in ("nan", "inf"):  # in one image alone
        one = images.clone()
        one[3] = float(value)
        assert "NaN" in refusal(require_logits, nn.Flatten(), one, 64, "x")


def test_a_network_that_computes_something_else_is_refused(theirs, images):
    ours = logits(theirs, images)
    require_same_logits(ours, ours + 1e-5, "x", "digits_cnn")
    for theirs_instead in (2 * ours, ours + 1, ours - 1):
        message = refusal(require_same_logits, ours, theirs_instead, "x", "digits_cnn")
        assert "another network" in message
    assert "another network" in refusal(
        require_same_logits, ours, ours * float("nan"), "x", "digits_cnn"
    )
