"""Tiny CIFAR-10s for the tests: random images in each layout that the reader knows.

The archive's pickles are assembled opcode by opcode, as Python 2 wrote them (protocol 2), because
this project neither reads nor writes pickles, not even in its tests.
"""

import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def random_images(count, seed=0):
    """uint8 (count, 3, 32, 32)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


# The parquet layout


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(file, kind)
    return file.getvalue()


def write_shard(path, images, labels, kind="PNG"):
    rows = [{"bytes": encoded(image, kind), "path": None} for image in images]
    struct_type = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"img": pa.array(rows, struct_type), "label": pa.array(labels, pa.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_hub(folder, train, test, kind="PNG"):
    """Both parts, one shard each; labels count up from 0."""
    for part, images in (("train", train), ("test", test)):
        labels = np.arange(len(images)) % 10
        write_shard(Path(folder) / f"{part}-00000-of-00001.parquet", images, labels, kind)


# The official archive


class Python2Pickle:
    """Opcodes of protocol 2, memoised as Python 2 does: everything but integers."""

    def __init__(self):
        self.code = bytearray(b"\x80\x02")
        self.memo = {}
        self.memo_size = 0

    def put(self, key=None):
        self.memo_size += 1
        if key is not None:
            self.memo[key] = self.memo_size
        small = self.memo_size < 256
        self.code += struct.pack("<cB" if small else "<cI", b"q" if small else b"r", self.memo_size)

    def get(self, key):
        index = self.memo[key]
        self.code += struct.pack(
            "<cB" if index < 256 else "<cI", b"h" if index < 256 else b"j", index
        )

    def string(self, text):
        if text in self.memo:
            return self.get(text)
        short = len(text) < 256
        self.code += struct.pack("<cB" if short else "<ci", b"U" if short else b"T", len(text))
        self.code += text
        return self.put(text)

    def integer(self, value):
        if 0 <= value < 256:
            self.code += struct.pack("<cB", b"K", value)
        elif 0 <= value < 65536:
            self.code += struct.pack("<cH", b"M", value)
        else:
            self.code += struct.pack("<ci", b"J", value)

    def list_of(self, write, values):
        """An empty list and then groups of 1000 items, as Python 2 wrote them."""
        self.code += b"]"
        self.put()
        for start in range(0, len(values), 1000):
            self.code += b"("
            for value in values[start : start + 1000]:
                write(value)
            self.code += b"e"

    def reduced(self, name, write_arguments, end):
        self.code += b"c" + name + b"\n"
        self.put(name)
        write_arguments()
        self.code += end
        self.put()
        self.code += b"R"
        self.put()

    def array(self, raw, shape, dtype=b"u1", column_order=b"\x89"):
        def empty():
            self.code += b"cnumpy\nndarray\n"
            self.put()
            self.integer(0)
            self.code += b"\x85"
            self.put()
            self.string(b"b")

        def code():
            self.string(dtype)
            self.integer(0)
            self.integer(1)

        self.reduced(b"numpy.core.multiarray\n_reconstruct", empty, b"\x87")
        self.code += b"(K\x01"
        for side in shape:
            self.integer(side)
        self.code += b"\x86"
        self.put()
        self.reduced(b"numpy\ndtype", code, b"\x87")
        self.code += b"(K\x03"
        self.string(b"|")
        self.code += b"NNN"
        for value in (-1, -1, 0):
            self.integer(value)
        self.code += b"t"
        self.put()
        self.code += b"b" + column_order
        self.string(raw)
        self.code += b"t"
        self.put()
        self.code += b"b"


def batch_bytes(images, labels, **array_options):
    """One batch file of the archive. ``array_options`` falsify its array."""
    names = [b"image_%d.png" % (number % 300) for number in range(len(labels))]
    options = {"raw": images.tobytes(), "shape": (len(images), 3072)} | array_options
    pickle = Python2Pickle()
    pickle.code += b"}"
    pickle.put()
    pickle.code += b"("
    pickle.string(b"batch_label")
    pickle.string(b"training batch 1 of 5")
    pickle.string(b"labels")
    pickle.list_of(pickle.integer, labels)
    pickle.string(b"data")
    pickle.array(**options)
    pickle.string(b"filenames")
    pickle.list_of(pickle.string, names)
    return bytes(pickle.code + b"u.")


def write_archive(path, members):
    """A tar.gz with ``members`` (name -> bytes) in the archive's folder; gives its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tiny_members(per_batch=4):
    """Members of a tiny archive, in an order that is not that of the ids, and all images."""
    images = random_images(per_batch * len(BATCHES))
    labels = [number % 10 for number in range(len(images))]
    slices = [slice(start, start + per_batch) for start in range(0, len(images), per_batch)]
    members = {
        name: batch_bytes(images[rows], labels[rows])
        for name, rows in zip(BATCHES, slices, strict=True)
    }
    return {"batches.meta": b"not read", **dict(reversed(members.items()))}, images, labels
