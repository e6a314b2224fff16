"""The official archive: verified before it is read, and read in the order of its batch numbers."""

import numpy as np
import pytest
from make_cifar10 import batch_bytes, random_images, tiny_members, write_archive

from thin_ice.data import cifar10_archive
from thin_ice.data.cifar10_archive import read_archive
from thin_ice.data.raw import UnusableData


@pytest.fixture
def path(tmp_path):
    return tmp_path / cifar10_archive.ARCHIVE


def test_ids_follow_the_batch_numbers_whatever_the_order_in_the_archive(path):
    members, images, labels = tiny_members()
    train, test = read_archive(path, write_archive(path, members))
    np.testing.assert_array_equal(train.images, images[:20])
    np.testing.assert_array_equal(test.images, images[20:])
    assert train.labels.tolist() == labels[:20]
    assert test.labels.tolist() == labels[20:]
    assert train.ids.tolist() == list(range(20))
    assert test.ids.tolist() == list(range(4))


def test_an_archive_with_a_wrong_checksum_is_not_read(path, monkeypatch):
    write_archive(path, tiny_members()[0])
    monkeypatch.setattr(cifar10_archive.tarfile, "open", lambda **_: pytest.fail("it was read"))
    with pytest.raises(UnusableData, match="SHA-256"):
        read_archive(path)


def test_an_absent_batch_is_named(path):
    members = tiny_members()[0]
    del members["data_batch_3"]
    with pytest.raises(UnusableData, match="it has no cifar-10-batches-py/data_batch_3"):
        read_archive(path, write_archive(path, members))


def test_a_batch_that_would_run_something_is_refused(path, tmp_path):
    target = tmp_path / "executed"
    command = f"touch {target}".encode()
    attack = b"\x80\x02cos\nsystem\nU" + bytes([len(command)]) + command + b"\x85R."
    members = tiny_members()[0] | {"data_batch_1": attack}
    with pytest.raises(UnusableData, match="a batch is a dict"):
        read_archive(path, write_archive(path, members))
    assert not target.exists()


def test_a_batch_with_too_few_labels_is_refused(path):
    members = tiny_members()[0] | {"test_batch": batch_bytes(random_images(3), [0, 1])}
    with pytest.raises(UnusableData, match="3 images but 2 labels"):
        read_archive(path, write_archive(path, members))


@pytest.mark.parametrize("damage", [lambda content: content[:-2000], lambda _: b"no archive"])
def test_a_damaged_archive_is_refused_even_with_the_right_checksum(path, damage, sha256):
    write_archive(path, tiny_members()[0])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnusableData, match="cannot be read"):
        read_archive(path, sha256(path))
