"""Digests are those of the files, whatever their size, and remembered only if asked."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import thin_ice
from thin_ice.files import sha256
from thin_ice.provenance.many_files import sha256_of_all

SIZES = [0, 1, 63, 64, 65, 4_096, 262_143, 262_144, 262_145, 1_000_003]


@pytest.fixture
def files(tmp_path):
    """Many files of many sizes, each of its own contents."""
    paths = [tmp_path / f"files/{number}" for number in range(100)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        size = SIZES[number % len(SIZES)]
        path.write_bytes((number.to_bytes(2) * (size // 2 + 1))[:size])
    return paths


def expected(paths):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_many_files_have_the_digests_of_hashlib_in_any_order(files):
    assert sha256_of_all(files) == expected(files)
    assert sha256_of_all(iter(files[::-1])) == expected(files)
    assert {path: sha256(path) for path in files} == expected(files)


def test_no_files_have_no_digests(tmp_path):
    assert sha256_of_all([]) == {}
    assert sha256_of_all([], tmp_path / "memory.json") == {}


def test_a_file_that_is_gone_is_an_error_and_no_digest(files, tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of_all([*files, tmp_path / "none"])


GROWTH = """
import resource, sys
from pathlib import Path
from thin_ice.files import sha256
from thin_ice.provenance.many_files import sha256_of_all
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
small, *large = map(Path, sys.argv[1:])
sha256_of_all([small] * 3)
before = peak()
print(*sha256_of_all(large).values())
print(sha256(large[0]))
print(peak() - before)
"""


def test_files_are_read_in_pieces(tmp_path):
    """200 MB take no 200 MB, nor do two at a time."""
    (tmp_path / "small").write_bytes(b"small")
    large = [tmp_path / "one", tmp_path / "two"]
    for path in large:
        with path.open("wb") as file:
            file.truncate(200_000_000)
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(tmp_path / "small"), *map(str, large)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(thin_ice.__file__).parents[1])},
    )
    *digests, growth_mib = done.stdout.split()
    zeros = hashlib.sha256()
    for _ in range(200):
        zeros.update(bytes(1_000_000))
    assert set(digests) == {zeros.hexdigest()}
    assert float(growth_mib) < 50


def test_what_is_remembered_is_what_was_found_and_agrees_with_a_fresh_look(files, tmp_path):
    memory = tmp_path / "new/memory.json"
    first = sha256_of_all(files, memory)
    before = memory.read_bytes()
    assert first == sha256_of_all(files, memory) == expected(files)
    assert memory.read_bytes() == before


def changed(path, stat, size=0, time_ns=0):
    """Other contents, more or fewer by ``size``, at the old time or ``time_ns`` later."""
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content + bytes(size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + time_ns))


@pytest.mark.parametrize("change", [{"size": 1}, {"time_ns": 1}, {"time_ns": -1}])
def test_a_change_of_size_or_time_is_seen_with_a_memory(files, tmp_path, change):
    memory = tmp_path / "memory.json"
    sha256_of_all(files, memory)
    changed(files[9], files[9].stat(), **change)
    assert sha256_of_all(files, memory) == expected(files)
    assert sha256_of_all(files, memory) == expected(files)


def test_another_file_in_its_place_is_seen_with_a_memory(files, tmp_path):
    memory = tmp_path / "memory.json"
    sha256_of_all(files, memory)
    status, other = files[9].stat(), tmp_path / "other"
    other.write_bytes(files[9].read_bytes())
    changed(other, status)
    other.replace(files[9])
    assert files[9].stat().st_mtime_ns == status.st_mtime_ns
    assert sha256_of_all(files, memory) == expected(files)


def test_the_limit_a_change_in_place_at_the_old_size_and_time_is_seen_only_without(files, tmp_path):
    memory = tmp_path / "memory.json"
    sha256_of_all(files, memory)
    old, status = expected(files)[files[9]], files[9].stat()
    changed(files[9], status)
    assert files[9].stat().st_ino == status.st_ino
    assert sha256_of_all(files, memory)[files[9]] == old
    assert sha256_of_all(files) == expected(files)


FOREIGN = ["", "{", "[]", "null", "5", '{"files": 5}', "\udcff"]


@pytest.mark.parametrize("content", FOREIGN)
def test_what_is_no_memory_is_forgotten(files, tmp_path, content):
    memory = tmp_path / "memory.json"
    memory.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert sha256_of_all(files, memory) == expected(files)


@pytest.mark.parametrize("entry", [5, None, [], {}, {"stamp": []}, {"stamp": 0, "sha256": "x"}])
def test_an_entry_that_is_none_is_forgotten(files, tmp_path, entry):
    memory = tmp_path / "memory.json"
    memory.write_text(json.dumps({str(path): entry for path in files}))
    assert sha256_of_all(files, memory) == expected(files)


def test_an_entry_without_its_digest_is_forgotten(files, tmp_path):
    memory = tmp_path / "memory.json"
    sha256_of_all(files, memory)
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps({path: {"stamp": one["stamp"]} for path, one in known.items()}))
    assert sha256_of_all(files, memory) == expected(files)
