"""The parquet layout: rows of sorted shards, decoded exactly; anything else is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from make_cifar10 import encoded, random_images, write_shard
from PIL import Image

from thin_ice.data import hub_parquet
from thin_ice.data.raw import UnusableData

SHARD = "train-00000-of-00001.parquet"


def write_column(path, images, **columns):
    rows = pa.array([{"bytes": image, "path": ""} for image in images])
    pq.write_table(pa.table({"img": rows, **columns}), path)


def test_png_images_come_back_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_parquet, "SLAB", 4)  # several tasks, the last one not full
    images, labels = random_images(10), list(range(10))[::-1]
    write_shard(tmp_path / SHARD, images, labels)
    samples, any_jpeg = hub_parquet.read_part(tmp_path, "train")
    np.testing.assert_array_equal(samples.images, images)
    assert samples.labels.tolist() == labels
    assert samples.ids.tolist() == list(range(10))
    assert not any_jpeg


@pytest.mark.parametrize("slab", [1, 100])
def test_one_jpeg_among_png_images_is_noticed(tmp_path, monkeypatch, slab):
    monkeypatch.setattr(hub_parquet, "SLAB", slab)
    image = random_images(1)[0]
    contents = [encoded(image), encoded(image, "JPEG"), encoded(image)]
    write_column(tmp_path / SHARD, contents, label=[0, 1, 2])
    samples, any_jpeg = hub_parquet.read_part(tmp_path, "train")
    assert any_jpeg
    assert samples.images.shape == (3, 3, 32, 32)


def test_ids_count_the_rows_over_the_shards_sorted_by_name(tmp_path):
    images = random_images(5)
    write_shard(tmp_path / "train-00001-of-00002.parquet", images[3:], [3, 4])
    write_shard(tmp_path / "train-00000-of-00002.parquet", images[:3], [0, 1, 2])
    write_shard(tmp_path / "test-00000-of-00001.parquet", images[:1], [9])
    samples, _ = hub_parquet.read_part(tmp_path, "train")
    np.testing.assert_array_equal(samples.images, images)
    assert samples.labels.tolist() == samples.ids.tolist() == [0, 1, 2, 3, 4]


def test_an_incomplete_set_of_shards_is_refused(tmp_path):
    write_shard(tmp_path / "train-00001-of-00002.parquet", random_images(2), [0, 1])
    with pytest.raises(UnusableData, match="not one complete set: train-00001-of-00002"):
        hub_parquet.read_part(tmp_path, "train")
    with pytest.raises(UnusableData, match="not one complete set: none"):
        hub_parquet.read_part(tmp_path, "test")


@pytest.mark.parametrize("left", [0, 10, 200, -1])
def test_a_truncated_shard_is_refused_by_name(tmp_path, left):
    path = tmp_path / SHARD
    write_shard(path, random_images(3), [0, 1, 2])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UnusableData, match=SHARD):
        hub_parquet.read_part(tmp_path, "train")


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [{"bytes": b"x"}], "label": [0]},
        {"img": [b"x"], "label": [0]},
        {"img": [{"path": "x"}], "label": [0]},
        {"img": [{"bytes": b"x"}], "fine_label": [0]},
        {"img": [{"bytes": b"x"}], "label": ["cat"]},
    ],
)
def test_other_columns_are_refused_and_named(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / SHARD)
    with pytest.raises(UnusableData, match=f"it has {next(iter(columns))}"):
        hub_parquet.read_part(tmp_path, "train")


@pytest.mark.parametrize(("image", "label"), [(None, 0), (b"x", None)])
def test_a_row_without_image_or_label_is_refused(tmp_path, image, label):
    kind = pa.struct({"bytes": pa.binary()})
    table = pa.table(
        {"img": pa.array([{"bytes": image}], kind), "label": pa.array([label], pa.int64())}
    )
    pq.write_table(table, tmp_path / SHARD)
    with pytest.raises(UnusableData, match="without an image or without a label"):
        hub_parquet.read_part(tmp_path, "train")


def saved(mode, size, kind, tmp_path):
    path = tmp_path / "image"
    Image.new(mode, size).save(path, kind)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("mode", "size", "kind", "message"),
    [
        ("RGB", (32, 31), "PNG", r"it is RGB \(32, 31\), not RGB \(32, 32\)"),
        ("L", (32, 32), "PNG", r"it is L \(32, 32\), not RGB"),
        ("RGB", (32, 32), "BMP", "cannot identify image"),
    ],
)
def test_an_image_of_another_size_mode_or_format_is_refused(tmp_path, mode, size, kind, message):
    write_column(tmp_path / SHARD, [saved(mode, size, kind, tmp_path)], label=[0])
    with pytest.raises(UnusableData, match=f"an image cannot be used: {message}"):
        hub_parquet.read_part(tmp_path, "train")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_image_is_refused(tmp_path, kind):
    content = encoded(random_images(1)[0], kind)
    write_column(tmp_path / SHARD, [content[: len(content) // 2]], label=[0])
    with pytest.raises(UnusableData, match="an image cannot be used"):
        hub_parquet.read_part(tmp_path, "train")


def test_a_part_without_rows_is_refused(tmp_path):
    write_shard(tmp_path / SHARD, [], [])
    with pytest.raises(UnusableData, match="no images"):
        hub_parquet.read_part(tmp_path, "train")
