"""A dataset as tensors: the artifact bit for bit, its statistics, and its augmentation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from thin_ice.data import artifact
from thin_ice.data.partition import Partition
from thin_ice.data.raw import Arrays, UnusableData
from thin_ice.data.split import (
    Dataset,
    Split,
    augment,
    load_dataset,
    load_part,
    random_crop,
    random_flip,
)


def arrays(count, seed):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 3, 5, 4), dtype=np.uint8)
    return Arrays(images, generator.integers(0, 2, count), 7 + 2 * np.arange(count))


@pytest.fixture
def parts():
    return Partition("toy", ("cat", "dog"), arrays(50, 0), arrays(3, 1), arrays(4, 2))


@pytest.fixture
def path(parts, tmp_path):
    artifact.save(tmp_path / "dataset.safetensors", parts)
    return tmp_path / "dataset.safetensors"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=64, channels=3, height=8, width=6):
    """Images in which no pixel is 0, so that padding is recognisable."""
    shape = (count, channels, height, width)
    return torch.randint(1, 256, shape, generator=seeded(99), dtype=torch.uint8)


# Loading


def assert_equal(split, arrays):
    for field in ("images", "labels", "ids"):
        tensor, array = getattr(split, field), getattr(arrays, field)
        assert torch.equal(tensor, torch.from_numpy(array))
        assert tensor.dtype == torch.from_numpy(array).dtype


def test_a_dataset_is_the_artifact_bit_for_bit(path, parts):
    dataset = load_dataset(path)
    assert (dataset.name, dataset.classes) == ("toy", ("cat", "dog"))
    assert dataset.input_shape == (3, 5, 4)
    for part in ("train", "validation", "test"):
        assert_equal(getattr(dataset, part), getattr(parts, part))


def test_a_part_alone_is_that_part_and_nothing_else_is_read(path, parts, monkeypatch):
    read = []
    opened = artifact.read_part
    monkeypatch.setattr(
        artifact, "read_part", lambda file, part: read.append(part) or opened(file, part)
    )
    assert_equal(load_part(path, "validation", "cpu"), parts.validation)
    assert read == ["validation"]


def test_a_part_that_there_is_not_is_refused(path):
    with pytest.raises(ValueError, match="no part 'valid'; allowed: train, validation, test"):
        load_part(path, "valid")


def test_a_file_that_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"x" * 100)
    for read in (load_dataset, lambda path: load_part(path, "test")):
        with pytest.raises(UnusableData):
            read(tmp_path / "x")


def test_loading_stays_valid_when_the_file_is_replaced(path, parts):
    split = load_part(path, "train")
    artifact.save(path, Partition("other", ("a", "b"), *(arrays(50, 9) for _ in range(3))))
    assert_equal(split, parts.train)


# Split and Dataset


def test_the_head_is_the_first_samples_or_all(path):
    train = load_part(path, "train")
    assert train.head(3).ids.tolist() == [7, 9, 11]
    assert len(train.head(3)) == 3
    assert len(train.head(1000)) == 50


def test_floats_are_the_grey_levels_over_255():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    floats = Split(levels, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    expected = (torch.arange(256, dtype=torch.float64) / 255).float().reshape(1, 1, 16, 16)
    assert torch.equal(floats.floats(), expected)


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
        ),
    ],
)
def test_a_split_moves_as_a_whole(path, device):
    moved = load_part(path, "train").to(device)
    assert {tensor.device.type for tensor in (moved.images, moved.labels, moved.ids)} == {device}
    assert load_part(path, "train", device).images.device.type == device


@pytest.mark.parametrize("field", ["images", "labels", "ids"])
def test_a_split_of_other_types_or_lengths_is_refused(path, field):
    good = load_part(path, "train")
    values = {name: getattr(good, name) for name in ("images", "labels", "ids")}
    for wrong in (values[field].float(), values[field][:-1], values[field][0]):
        with pytest.raises(ValueError, match="a split"):
            Split(**values | {field: wrong})


def test_mean_and_deviation_are_those_of_train_per_channel(path):
    dataset = load_dataset(path)
    mean, std = dataset.mean_std()
    train = dataset.train.floats().double()
    assert mean.dtype == std.dtype == torch.float32
    torch.testing.assert_close(mean.double(), train.mean((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(std.double(), train.std((0, 2, 3), correction=0), rtol=1e-6, atol=0)


def test_a_constant_channel_has_deviation_0():
    white = torch.full((2, 1, 3, 3), 255, dtype=torch.uint8)
    split = Split(white, torch.zeros(2, dtype=torch.int64), torch.arange(2))
    mean, std = Dataset("white", ("a",), split, split, split).mean_std()
    assert (mean.tolist(), std.tolist()) == ([1.0], [0.0])


# Augmentation


@pytest.mark.parametrize("padding", [1, 4])
def test_every_crop_is_a_window_of_the_padded_image(padding):
    batch = images()
    crops = random_crop(batch, seeded(), padding)
    assert crops.shape == batch.shape
    assert crops.dtype == batch.dtype
    padded = F.pad(batch, (padding,) * 4)
    offsets = {offset_of(crop, image) for crop, image in zip(crops, padded, strict=True)}
    assert offsets <= {(y, x) for y in range(2 * padding + 1) for x in range(2 * padding + 1)}
    assert len(offsets) > 2 * padding + 1  # each sample has its own, in both directions


def offset_of(crop, padded):
    """Where in the padded image the crop is, the same for all channels."""
    _, height, width = crop.shape
    rows, columns = padded.shape[1] - height + 1, padded.shape[2] - width + 1
    for y in range(rows):
        for x in range(columns):
            if torch.equal(crop, padded[:, y : y + height, x : x + width]):
                return y, x
    pytest.fail("the crop is nowhere in the padded image")


def test_all_offsets_are_equally_likely():
    marked = torch.zeros(9000, 1, 5, 5, dtype=torch.uint8)
    marked[:, :, 2, 2] = 1
    where = random_crop(marked, seeded(), padding=1).flatten(1).argmax(1)
    counts = torch.bincount(where, minlength=25).reshape(5, 5)
    assert counts.sum() == counts[1:4, 1:4].sum()
    assert (counts[1:4, 1:4] - 1000).abs().max() < 150  # five standard deviations


def test_a_flip_mirrors_left_and_right_and_is_an_involution():
    batch = images()
    once = random_flip(batch, seeded())
    assert torch.equal(random_flip(once, seeded()), batch)
    flipped = (once != batch).flatten(1).any(1)
    assert 0.25 < flipped.float().mean() < 0.75
    assert torch.equal(once[flipped], batch[flipped].flip(3))


@pytest.mark.parametrize("kind", ["crop", "crop_flip"])
def test_the_same_generator_state_gives_the_same_batch(kind):
    batch, generator = images(), seeded()
    first, second = (augment(batch, kind, generator) for _ in range(2))
    assert torch.equal(augment(batch, kind, seeded()), first)
    assert not torch.equal(first, second)


def test_crop_flip_is_the_crop_and_then_a_flip():
    batch, generator = images(), seeded()
    expected = random_flip(random_crop(batch, generator, 4), generator)
    assert torch.equal(augment(batch, "crop_flip", seeded()), expected)
    assert torch.equal(augment(batch, "crop", seeded()), random_crop(batch, seeded(), 4))


def test_none_returns_the_batch_and_draws_nothing():
    batch, generator = images(), seeded()
    before = generator.get_state()
    assert augment(batch, "none", generator) is batch
    assert torch.equal(generator.get_state(), before)


def test_no_padding_moves_nothing():
    assert torch.equal(augment(images(), "crop", seeded(), padding=0), images())


def test_floats_and_grey_levels_are_augmented_alike():
    floats = augment(images().float() / 255, "crop_flip", seeded())
    assert torch.equal(floats, augment(images(), "crop_flip", seeded()).float() / 255)


def test_augmentation_leaves_its_input_and_the_global_generator_alone():
    batch, before = images(), torch.get_rng_state()
    augment(batch, "crop_flip", seeded())
    assert torch.equal(batch, images())
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="no augmentation 'flip'; allowed: none, crop, crop_flip"):
        augment(images(), "flip", seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_augmentation_waits_for_no_device():
    generator = torch.Generator("cuda").manual_seed(0)
    batch = images().cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(batch, "crop_flip", generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
