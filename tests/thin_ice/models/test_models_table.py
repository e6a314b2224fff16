"""Laws that every architecture in the table obeys; a new line in the table is tested at once."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from thin_ice import tables
from thin_ice.models.artifact import load_model, save_model
from thin_ice.models.network import Architecture

CLASSES = 7
BATCH = 4
# Options and input shape that keep the tests fast; an entry that is not here runs as it is.
SMALL = {
    "digits_cnn": ({"width": 4}, (1, 8, 8)),
    "cnn_small": ({"width": 4}, (3, 16, 12)),
    "cnn_large": ({"width": 4}, (3, 12, 16)),
    "resnet18": ({"width": 4}, (3, 16, 16)),
    "vgg16_bn": ({"width": 4}, (3, 16, 32)),
    "wrn": ({"depth": 10, "width": 1}, (3, 12, 16)),
}


def architecture(kind, normalize=False):
    options, shape = SMALL.get(kind, ({}, (3, 32, 32)))
    return Architecture(kind, options, shape, CLASSES, normalize)


def images(shape, count=BATCH, seed=0):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=sorted(tables.ARCHITECTURES))
def kind(request):
    return request.param


def test_logits_have_the_right_shape_and_every_parameter_gets_a_gradient(kind):
    chosen = architecture(kind)
    model = chosen.build(seed=1)
    logits = model(images(chosen.input_shape))
    assert logits.shape == (BATCH, CLASSES)
    assert logits.isfinite().all()
    F.cross_entropy(logits, torch.arange(BATCH)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.count_nonzero() > 0, name


def test_logits_are_no_probabilities_and_depend_on_the_image(kind):
    chosen = architecture(kind)
    logits = chosen.build(seed=1).eval()(images(chosen.input_shape))
    assert not torch.allclose(logits.sum(1), torch.ones(BATCH))
    assert not torch.equal(logits[0], logits[1])


def test_one_image_alone_gets_the_logits_it_gets_in_a_batch(kind):
    chosen = architecture(kind, normalize=True)
    model = chosen.build(seed=2).eval()
    batch = images(chosen.input_shape)
    torch.testing.assert_close(model(batch[:1]), model(batch)[:1], rtol=1e-4, atol=1e-5)


def test_the_seed_decides_the_weights_and_the_callers_random_state_stays(kind):
    chosen = architecture(kind)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = chosen.build(seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again, other = chosen.build(seed=3).state_dict(), chosen.build(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def trained_a_little(chosen):
    """A model whose batch-norm statistics are not those of a fresh one."""
    model = chosen.build(seed=6).train()
    with torch.no_grad():
        model(images(chosen.input_shape, seed=1))
    return model.eval()


@pytest.mark.parametrize("normalize", [False, True])
def test_an_artifact_gives_bit_identical_logits(kind, normalize, tmp_path):
    chosen = architecture(kind, normalize)
    model = trained_a_little(chosen)
    save_model(tmp_path / "model.safetensors", model, chosen)
    loaded = load_model(tmp_path / "model.safetensors")
    batch = images(chosen.input_shape)
    assert loaded.architecture == chosen
    assert torch.equal(loaded.model(batch), model(batch))


def test_the_empty_model_has_the_names_and_shapes_of_the_real_one(kind):
    chosen = architecture(kind, normalize=True)
    real, empty = chosen.build(seed=0).state_dict(), chosen.build_empty().state_dict()
    assert {name: tensor.shape for name, tensor in real.items()} == {
        name: tensor.shape for name, tensor in empty.items()
    }
    assert all(tensor.is_meta for tensor in empty.values())


def test_options_are_frozen_and_have_defaults(kind):
    options = tables.load("architectures", kind)()
    assert isinstance(options.build((3, 32, 32), 10), torch.nn.Module)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.width = 3


@pytest.mark.parametrize("shape", [(3, 0, 32), (0, 32, 32), (32, 32), (3, 3, 32), (3, 32, 3)])
def test_an_impossible_input_shape_is_refused_with_what_is_allowed(kind, shape):
    chosen = dataclasses.replace(architecture(kind), input_shape=shape)
    with pytest.raises(ValueError, match=rf"{kind}: .*(at least 1|and larger)"):
        chosen.build(seed=0)


def test_the_smallest_allowed_image_works(kind):
    smallest = {"vgg16_bn": 16, "resnet18": 8}.get(kind, 4)
    for pixels in (smallest, smallest + 1, smallest + 3):
        chosen = dataclasses.replace(architecture(kind), input_shape=(2, pixels, pixels))
        logits = chosen.build(seed=0).eval()(images(chosen.input_shape))
        assert logits.shape == (BATCH, CLASSES)
    with pytest.raises(ValueError, match=f"{smallest}x{smallest} and larger"):
        dataclasses.replace(chosen, input_shape=(2, smallest - 1, 64)).build(seed=0)


@pytest.mark.parametrize("bad", [{"classes": 0}, {"options": {"width": 0}}])
def test_a_width_or_number_of_classes_below_one_is_refused(kind, bad):
    with pytest.raises(ValueError, match="must be at least 1"):
        dataclasses.replace(architecture(kind), **bad).build(seed=0)
