"""Safetensors files are the same bytes for the same contents, and whole safetensors files."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

from thin_ice.tensors import write_tensors

TENSORS = {
    "mask": np.array([True, False, True]),
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "labels": np.array([7], dtype=np.int64),
}
NOTES = {"format": "test", "architecture": '{"a":1}', "about.dataset": "Ziffern äöü", "x": ""}
WRITE = (
    "import sys, numpy as np\nfrom safetensors.numpy import save\n"
    "from thin_ice.tensors import write_tensors\n"
    "write_tensors(sys.argv[1], save({'b': np.ones(3), 'a': np.zeros(2)}),"
    " {c: c for c in 'hgfedcba'})\n"
)


def written(path, tensors=TENSORS, notes=NOTES):
    write_tensors(path, save(tensors), notes)
    return path.read_bytes()


def test_the_same_contents_give_the_same_bytes_whatever_the_order_of_the_notes(tmp_path):
    texts = {
        written(tmp_path / "file", TENSORS, dict(notes))
        for notes in itertools.permutations(NOTES.items())
    }
    assert len(texts) == 1


def test_two_processes_write_the_same_bytes(tmp_path):
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", WRITE, str(tmp_path / seed)],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            check=True,
        )
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_safetensors_reads_tensors_and_notes_back(tmp_path):
    written(tmp_path / "file")
    read = load_file(tmp_path / "file")
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert read[name].dtype == tensor.dtype
        np.testing.assert_array_equal(read[name], tensor)
    with safe_open(tmp_path / "file", "numpy") as file:
        assert file.metadata() == NOTES


@pytest.mark.parametrize("length", range(9))
def test_the_header_is_json_padded_to_a_multiple_of_eight_bytes(tmp_path, length):
    data = written(tmp_path / "file", notes={"note": "x" * length})
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    header = json.loads(data[8 : 8 + size])
    assert header["__metadata__"] == {"note": "x" * length}
    assert len(data) == 8 + size + max(e["data_offsets"][1] for e in list(header.values())[1:])


def test_other_notes_or_other_values_give_other_bytes(tmp_path):
    other = TENSORS | {"labels": np.array([8], dtype=np.int64)}
    texts = {
        written(tmp_path / "file"),
        written(tmp_path / "file", TENSORS, NOTES | {"x": "1"}),
        written(tmp_path / "file", other),
    }
    assert len(texts) == 3


def test_a_file_without_tensors_still_has_its_notes(tmp_path):
    written(tmp_path / "file", {})
    with safe_open(tmp_path / "file", "numpy") as file:
        assert list(file.keys()) == []
        assert file.metadata() == NOTES
