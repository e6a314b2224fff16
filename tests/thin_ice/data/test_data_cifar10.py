"""Cifar10 finds the layout that is there, says what is missing, and downloads only with leave."""

from pathlib import Path

import numpy as np
import pytest
from make_cifar10 import random_images, tiny_members, write_archive, write_hub

from thin_ice.data import cifar10
from thin_ice.data.cifar10 import CLASSES, Cifar10, read_folder
from thin_ice.data.fetch import DownloadFailed
from thin_ice.data.hub_parquet import read_part
from thin_ice.data.raw import MissingData, UnusableData

ARCHIVE = "cifar-10-python.tar.gz"
BESIDE_THE_CHECKOUT = Path(__file__).parents[4] / "shared" / "data" / "cifar10"


def test_png_parquet_is_cifar10(tmp_path):
    images = random_images(7)
    write_hub(tmp_path, images[:5], images[5:])
    raw = Cifar10(str(tmp_path)).read()
    assert (raw.name, raw.classes) == ("cifar10", CLASSES)
    np.testing.assert_array_equal(raw.train.images, images[:5])
    np.testing.assert_array_equal(raw.test.images, images[5:])


@pytest.mark.parametrize("lossy", ["train", "test"])
def test_parquet_with_jpeg_in_either_part_has_another_name(tmp_path, lossy):
    images = random_images(3)
    write_hub(tmp_path, images, images)
    write_hub(tmp_path / "jpeg", images, images, "JPEG")
    shard = f"{lossy}-00000-of-00001.parquet"
    (tmp_path / "jpeg" / shard).replace(tmp_path / shard)
    assert Cifar10(str(tmp_path)).read().name == "cifar10-jpeg"


def test_the_archive_is_cifar10(tmp_path):
    members, images, _ = tiny_members()
    sha256 = write_archive(tmp_path / ARCHIVE, members)
    raw = read_folder(tmp_path, download=False, sha256=sha256)
    assert (raw.name, len(raw.train), len(raw.test)) == ("cifar10", 20, 4)
    np.testing.assert_array_equal(raw.test.images, images[20:])


def test_an_archive_other_than_the_official_one_is_refused(tmp_path):
    write_archive(tmp_path / ARCHIVE, tiny_members()[0])
    assert Cifar10(str(tmp_path)).missing() is None
    with pytest.raises(UnusableData, match="expected 6d958be074577803"):
        Cifar10(str(tmp_path)).read()


def test_parquet_wins_over_the_archive(tmp_path):
    write_hub(tmp_path, random_images(3), random_images(2))
    (tmp_path / ARCHIVE).write_bytes(b"not read")
    assert len(Cifar10(str(tmp_path)).read().train) == 3


def test_the_files_that_it_reads_are_named_without_their_folder(tmp_path):
    reader = Cifar10(str(tmp_path), download=True)
    assert reader.sources() == {}
    (tmp_path / ARCHIVE).write_bytes(b"an archive")
    assert reader.sources() == {f"cifar10/{ARCHIVE}": tmp_path / ARCHIVE}
    write_hub(tmp_path, random_images(3), random_images(2))
    shards = [f"{part}-00000-of-00001.parquet" for part in ("train", "test")]
    assert reader.sources() == {f"cifar10/{name}": tmp_path / name for name in shards}


@pytest.mark.parametrize("present", ["nothing", "empty folder", "train only"])
def test_what_is_missing_is_one_sentence_with_place_and_choices(tmp_path, present):
    folder = tmp_path / "cifar10"
    if present != "nothing":
        folder.mkdir()
    if present == "train only":
        write_hub(folder, random_images(2), random_images(2))
        (folder / "test-00000-of-00001.parquet").unlink()
    sentence = Cifar10(str(folder)).missing()
    for word in (f"no CIFAR-10 in {folder}", "train-*.parquet", ARCHIVE, "download: true"):
        assert word in sentence
    with pytest.raises(MissingData) as caught:
        Cifar10(str(folder)).read()
    assert str(caught.value) == sentence


def test_with_leave_to_download_nothing_is_missing(tmp_path):
    assert Cifar10(str(tmp_path / "absent"), download=True).missing() is None


def test_present_data_is_not_downloaded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "fetch", lambda *_: pytest.fail("it was downloaded"))
    members, _, _ = tiny_members()
    sha256 = write_archive(tmp_path / ARCHIVE, members)
    assert len(read_folder(tmp_path, download=True, sha256=sha256).train) == 20


def test_the_archive_is_downloaded_verified_and_kept(served, tmp_path):
    folder, address = served
    sha256 = write_archive(folder / ARCHIVE, tiny_members()[0])
    target = tmp_path / "data" / "cifar10"
    raw = read_folder(target, download=True, url=f"{address}/{ARCHIVE}", sha256=sha256)
    assert len(raw.train) == 20
    assert [path.name for path in target.iterdir()] == [ARCHIVE]
    assert Cifar10(str(target)).missing() is None


def test_a_failed_download_leaves_no_data(served, tmp_path):
    folder, address = served
    write_archive(folder / ARCHIVE, tiny_members()[0])
    target = tmp_path / "data"
    with pytest.raises(DownloadFailed):
        read_folder(target, download=True, url=f"{address}/absent")
    with pytest.raises(UnusableData):
        read_folder(target, download=True, url=f"{address}/{ARCHIVE}")
    assert Cifar10(str(target)).missing()
    assert list(target.iterdir()) == []


def test_the_real_test_images_are_read_where_they_are_found():
    if not (BESIDE_THE_CHECKOUT / "test-00000-of-00001.parquet").is_file():
        pytest.skip(f"no CIFAR-10 parquet in {BESIDE_THE_CHECKOUT}")
    samples, any_jpeg = read_part(BESIDE_THE_CHECKOUT, "test")
    assert any_jpeg
    assert samples.images.shape == (10_000, 3, 32, 32)
    assert np.bincount(samples.labels).tolist() == [1000] * 10
    assert 0.4 < samples.images.mean() / 255 < 0.55
