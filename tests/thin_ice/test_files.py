"""Files appear whole or not at all, and one value has one text."""

import json
import math
import platform

import pytest

from thin_ice.files import atomic_folder, atomic_path, canonical_json, write_json, write_text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # else the rename would not be atomic
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names_in(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_behind(tmp_path, failure):
    def interrupted():
        with atomic_path(tmp_path / "table.csv") as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert names_in(tmp_path) == []


def test_a_failure_leaves_the_earlier_file_as_it_was(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("earlier")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError("row")

    with pytest.raises(KeyError):
        interrupted()
    assert path.read_text() == "earlier"
    assert names_in(tmp_path) == ["table.csv"]


def test_a_block_that_writes_nothing_is_an_error_and_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "table.csv"):
        pass
    assert names_in(tmp_path) == []


def test_a_shorter_file_replaces_a_longer_one_whole(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "a long text")
    write_text(path, "short")
    assert path.read_text() == "short"


def test_whoever_is_reading_the_earlier_file_reads_it_to_its_end(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "the earlier text")
    with path.open() as reader:
        assert reader.read(4) == "the "
        write_text(path, "another one, much longer than it")
        assert reader.read() == "earlier text"


def test_parent_folders_are_made_and_a_path_may_be_text(tmp_path):
    path = tmp_path / "results" / "seed0" / "note.txt"
    write_text(str(path), "here")
    assert path.read_text() == "here"


def test_text_is_utf_8(tmp_path):
    write_text(tmp_path / "note.txt", "Özdenizci ε ≤ 8/255")
    assert (tmp_path / "note.txt").read_bytes() == "Özdenizci ε ≤ 8/255".encode()


def test_json_comes_back_and_ends_with_a_newline(tmp_path):
    value = {"percent": 61.5, "layers": {"conv": [1, 2]}, "none": None}
    write_json(tmp_path / "metrics.json", value)
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text) == value
    assert text.endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_has_no_nan_and_no_infinity(tmp_path, number):
    path = tmp_path / "metrics.json"
    write_json(path, {"percent": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"percent": number})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([number])
    assert json.loads(path.read_text()) == {"percent": 1}
    assert names_in(tmp_path) == ["metrics.json"]


def test_one_value_has_one_canonical_text():
    one = {"b": {"y": 1, "x": [1.5, None]}, "a": True}
    other = {"a": True, "b": {"x": [1.5, None], "y": 1}}
    assert canonical_json(one) == canonical_json(other) == '{"a":true,"b":{"x":[1.5,null],"y":1}}'
    assert json.loads(canonical_json(one)) == one


def test_different_values_have_different_canonical_texts():
    assert len({canonical_json(v) for v in (1, 1.0, "1", True, None, [1], {"1": 1})}) == 7


def test_a_folder_appears_under_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "entry"
    with atomic_folder(path) as temporary:
        (temporary / "half").touch()
        assert not path.exists()
        assert temporary.parent == path.parent  # else the rename would not be atomic
    assert names_in(path.parent) == ["entry"]
    assert names_in(path) == ["half"]


def test_processes_of_two_nodes_with_one_number_do_not_write_into_one_file(tmp_path, monkeypatch):
    with atomic_path(tmp_path / "note.txt") as here:
        monkeypatch.setattr(platform, "node", lambda: "elsewhere")
        with atomic_path(tmp_path / "note.txt") as there:
            assert here != there
            there.touch()
        here.touch()


def test_a_folder_that_another_process_is_writing_is_left_alone(tmp_path):
    with atomic_folder(tmp_path / "entry") as first:
        (first / "half").touch()
        with pytest.raises(FileExistsError), atomic_folder(tmp_path / "entry"):
            pass
        assert names_in(first) == ["half"]
    assert names_in(tmp_path / "entry") == ["half"]
