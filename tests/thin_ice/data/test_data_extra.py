"""Extra images are read in two forms, fit the dataset, and are none that networks are judged by."""

import numpy as np
import pytest
from make_cifar10 import random_images, write_shard

from thin_ice.data import artifact, extra
from thin_ice.data.partition import PARTS, Partition
from thin_ice.data.raw import Arrays, UnusableData
from thin_ice.data.split import load_dataset, load_part

FITTING = extra.Fitting((3, 4, 5), 10)


def images(count=6, shape=(3, 4, 5), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_both_orders_of_axes_come_back_as_channels_first(tmp_path):
    first, labels = images(), np.arange(6, dtype=np.int32)
    for name, stored in (("nchw", first), ("nhwc", first.transpose(0, 2, 3, 1))):
        found = extra.read(saved(tmp_path / f"{name}.npz", image=stored, label=labels), FITTING)
        np.testing.assert_array_equal(found.images, first)
        assert found.labels.tolist() == found.ids.tolist() == list(range(6))


def test_images_as_wide_as_they_have_channels_are_not_turned(tmp_path):
    """Where both orders have the same shape they are taken as they are, channels first."""
    square, labels = images(shape=(3, 3, 3)), np.zeros(6, np.int64)
    path = saved(tmp_path / "square.npz", image=square, label=labels)
    found = extra.read(path, extra.Fitting((3, 3, 3), 10))
    np.testing.assert_array_equal(found.images, square)


def test_a_folder_of_shards_is_read_as_the_hub_has_them(tmp_path):
    stored = random_images(5)
    write_shard(tmp_path / "train-00000-of-00001.parquet", stored, [4, 3, 2, 1, 0])
    found = extra.read(tmp_path, extra.Fitting((3, 32, 32), 10))
    np.testing.assert_array_equal(found.images, stored)
    assert found.labels.tolist() == [4, 3, 2, 1, 0]
    assert extra.sources(tmp_path) == {
        "extra/train-00000-of-00001.parquet": tmp_path / "train-00000-of-00001.parquet"
    }
    with pytest.raises(UnusableData, match=r"images are \(3, 32, 32\); allowed: \(3, 4, 5\)"):
        extra.read(tmp_path, FITTING)


LABELS = np.zeros(6, np.int64)
BAD = {
    "no array": ({"images": images(), "label": LABELS}, "has no array 'image'; it holds images"),
    "floats": ({"image": images() / 255, "label": LABELS}, "image is float64 of shape"),
    "flat": ({"image": images().reshape(6, -1), "label": LABELS}, "allowed: uint8, "),
    "other size": ({"image": images(shape=(3, 5, 4)), "label": LABELS}, "allowed: (3, 4, 5), as"),
    "too few": ({"image": images(), "label": LABELS[1:]}, "number for each of the 6 images"),
    "one-hot": ({"image": images(), "label": np.zeros((6, 10), int)}, "label is int64 of shape"),
    "soft": ({"image": images(), "label": np.zeros(6)}, "label is float64"),
    "beyond": ({"image": images(), "label": LABELS + 10}, "has label 10; allowed: 0 to 9"),
    "negative": ({"image": images(), "label": LABELS - 1}, "has label -1; allowed: 0 to 9"),
    "empty": ({"image": images(0), "label": LABELS[:0]}, "holds no images"),
    "objects": ({"image": np.array([None] * 6), "label": LABELS}, "no readable .npz file of plain"),
}


@pytest.mark.parametrize(("arrays", "words"), BAD.values(), ids=BAD)
def test_arrays_that_do_not_fit_are_refused_in_one_sentence(arrays, words, tmp_path):
    path = saved(tmp_path / "more.npz", **arrays)
    with pytest.raises(UnusableData) as refused:
        extra.read(path, FITTING)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_not_there_or_no_archive_is_refused(tmp_path):
    (tmp_path / "damaged.npz").write_bytes(b"PK no archive")
    with pytest.raises(UnusableData, match=r"no readable \.npz file"):
        extra.read(tmp_path / "damaged.npz", FITTING)
    (tmp_path / "more.pickle").touch()
    for name in ("absent.npz", "more.pickle", "."):
        with pytest.raises(UnusableData, match=r"is no extra data; allowed: an \.npz file"):
            extra.read(tmp_path / name, FITTING)
        assert "allowed" in extra.missing(tmp_path / name)


def arrays(count, seed):
    return Arrays(images(count, seed=seed), np.zeros(count, np.int64), np.arange(count))


def test_an_image_that_networks_are_judged_by_is_no_extra_image():
    test, more = arrays(4, 0), arrays(6, 1)
    assert extra.without_leaks(more, {"test": test}) is more
    leaked = more.images.copy()
    leaked[5] = test.images[2]
    leaking = Arrays(leaked, more.labels, more.ids)
    with pytest.raises(UnusableData, match="1 of the 6 extra images are test images"):
        extra.without_leaks(leaking, {"validation": arrays(3, 2), "test": test})


def test_the_artifact_has_a_fourth_part_only_where_there_are_extra_images(tmp_path):
    parts = [arrays(5, 0), arrays(3, 1), arrays(4, 2)]
    for name, more in (("without", ()), ("with", (arrays(7, 3),))):
        artifact.save(tmp_path / name, Partition("toy", ("a",), *parts, *more))
    assert artifact.load(tmp_path / "without").extra is None
    np.testing.assert_array_equal(artifact.load(tmp_path / "with").extra.images, images(7, seed=3))
    with artifact.opened(tmp_path / "without", "numpy") as (_, file):
        names = list(file.keys())
        assert {name.partition(".")[0] for name in names} == set(PARTS)
    assert load_dataset(tmp_path / "with").extra is None
    assert len(load_dataset(tmp_path / "with", extra=True).extra) == 7
    assert len(load_part(tmp_path / "with", "extra")) == 7
    with pytest.raises(UnusableData, match=r"has no extra images, which plan\.extra asks for"):
        load_dataset(tmp_path / "without", extra=True)
