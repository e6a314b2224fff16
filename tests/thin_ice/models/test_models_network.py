"""An architecture is plain data that builds the network again."""

import json

import pytest
import torch

from thin_ice.models.network import Architecture
from thin_ice.models.normalize import Normalized

TINY = Architecture("digits_cnn", {"width": 2}, (1, 8, 8), 10, normalize=False)


def test_json_gives_the_same_architecture_back():
    assert Architecture.from_json(TINY.to_json()) == TINY


def test_json_is_canonical():
    first = Architecture("wrn", {"depth": 10, "width": 1}, (3, 8, 8), 10, True)
    second = Architecture("wrn", {"width": 1, "depth": 10}, (3, 8, 8), 10, True)
    assert first.to_json() == second.to_json()
    assert first.to_json() == (
        '{"classes":10,"input_shape":[3,8,8],"kind":"wrn","normalize":true,'
        '"options":{"depth":10,"width":1}}'
    )


@pytest.mark.parametrize("change", [{"extra": 1}, {"classes": None}])
def test_json_with_other_fields_is_refused(change):
    values = json.loads(TINY.to_json()) | change
    values = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(ValueError, match="expected an object with"):
        Architecture.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3"])
def test_what_is_no_architecture_is_refused(text):
    with pytest.raises(ValueError, match=r"not an architecture|Expect"):
        Architecture.from_json(text)


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'resnet1800', allowed are .*resnet18"):
        Architecture("resnet1800", {}, (3, 32, 32), 10, False).build(seed=0)


def test_an_unknown_option_names_the_known_ones():
    with pytest.raises(ValueError, match=r"\['widht'\], allowed are \['depth', 'width'\]"):
        Architecture("wrn", {"widht": 3}, (3, 32, 32), 10, False).build(seed=0)


def test_options_reach_the_network_and_the_others_have_their_defaults():
    model = Architecture("wrn", {"depth": 10}, (3, 32, 32), 10, False).build_empty()
    assert model.fc.in_features == 64 * 4
    assert len(model.block1.layer) == 1


def test_normalize_wraps_the_network_and_leaves_its_weights_alone():
    plain = TINY.build(seed=0).eval()
    normalised = Architecture("digits_cnn", {"width": 2}, (1, 8, 8), 10, True).build(seed=0).eval()
    assert isinstance(normalised, Normalized)
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(normalised(images), plain(2 * images - 1))


def test_building_reseeds_no_accelerator(monkeypatch):
    def reseeded(_seed):
        raise AssertionError("an accelerator was reseeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded)
    TINY.build(seed=0)


def test_building_is_on_the_cpu_whatever_the_default_device():
    with torch.device("meta"):
        model = TINY.build(seed=0)
    assert all(tensor.device.type == "cpu" for tensor in model.state_dict().values())
    expected = TINY.build(seed=0).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
