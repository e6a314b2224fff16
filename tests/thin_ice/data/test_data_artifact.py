"""The dataset artifact gives back what was saved, bit for bit, or says what is wrong."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from thin_ice import tensors
from thin_ice.data import artifact
from thin_ice.data.partition import PARTS, Partition
from thin_ice.data.raw import Arrays, UnusableData


def part(count, seed):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 3, 5, 4), dtype=np.uint8)
    return Arrays(images, generator.integers(0, 2, count), 7 + 2 * np.arange(count))


@pytest.fixture
def parts():
    return Partition("toy", ("cat", "chien à poil"), part(5, 0), part(3, 1), part(4, 2))


def test_a_partition_comes_back_bit_for_bit(parts, tmp_path):
    artifact.save(tmp_path / "dataset.safetensors", parts)
    found = artifact.load(tmp_path / "dataset.safetensors")
    assert (found.name, found.classes) == (parts.name, parts.classes)
    for name in PARTS:
        for field in artifact.FIELDS:
            saved, loaded = (getattr(getattr(side, name), field) for side in (parts, found))
            assert saved.dtype == loaded.dtype
            np.testing.assert_array_equal(saved, loaded)


def test_images_in_another_memory_order_come_back_right(parts, tmp_path):
    train = parts.train
    strided = Arrays(np.asfortranarray(train.images), train.labels, train.ids[::-1])
    other = Partition(parts.name, parts.classes, strided, parts.validation, parts.test)
    artifact.save(tmp_path / "dataset.safetensors", other)
    found = artifact.load(tmp_path / "dataset.safetensors").train
    np.testing.assert_array_equal(found.images, strided.images)
    np.testing.assert_array_equal(found.ids, strided.ids)


def test_the_same_partition_gives_the_same_bytes(parts, tmp_path):
    for name in range(20):  # an order left to chance would show
        artifact.save(tmp_path / str(name), parts)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_the_tensors_start_at_a_multiple_of_8_bytes(parts, tmp_path):
    artifact.save(tmp_path / "dataset.safetensors", parts)
    length = int.from_bytes((tmp_path / "dataset.safetensors").read_bytes()[:8], "little")
    assert length % 8 == 0


def test_a_failed_save_keeps_what_was_there(parts, tmp_path, monkeypatch):
    path = tmp_path / "dataset.safetensors"
    path.write_bytes(b"before")

    def half_a_file(*_):
        raise OSError("no space left")

    monkeypatch.setattr(tensors, "with_metadata", half_a_file)
    with pytest.raises(OSError, match="no space left"):
        artifact.save(path, parts)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("metadata", [None, {"format": "thin-ice-dataset-0"}])
def test_a_file_of_another_format_is_refused(tmp_path, metadata):
    path = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(1)}, path, metadata)
    with pytest.raises(UnusableData, match=r"other.safetensors is no dataset artifact: its format"):
        artifact.load(path)


@pytest.mark.parametrize("left", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(parts, tmp_path, left):
    path = tmp_path / "dataset.safetensors"
    artifact.save(path, parts)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UnusableData, match="no readable dataset artifact"):
        artifact.load(path)


def test_a_file_without_one_of_its_tensors_is_refused(tmp_path):
    path = tmp_path / "dataset.safetensors"
    metadata = {"format": artifact.FORMAT, "name": "toy", "classes": "[]"}
    save_file({"train.images": np.zeros((1, 1, 2, 2), np.uint8)}, path, metadata)
    with pytest.raises(UnusableData, match="no readable dataset artifact"):
        artifact.load(path)


def test_an_absent_file_is_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        artifact.load(tmp_path / "absent.safetensors")
