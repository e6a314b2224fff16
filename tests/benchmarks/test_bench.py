"""The benchmarks' own words: targets, the table, and what is measured by whom."""

import importlib
import json
import types
from datetime import UTC, datetime

import bench
import pytest
from measure import HEADER, Figure, alternately, peak_memory_mib, speed_up, table
from study_time import at_once


@pytest.mark.parametrize(
    ("value", "target", "reached"),
    [(2.0, ">= 2", "yes"), (1.99, ">= 2", "no"), (5.0, "<= 5", "yes"), (5.01, "<= 5", "no")],
)
def test_a_target_is_reached_or_not(value, target, reached):
    assert Figure("one", value, "times", target).reached == reached
    assert Figure("one", value, "times").reached == ""


def test_rounds_go_in_turn_and_the_first_does_not_count():
    order = []
    seconds = alternately(2, lambda: order.append("a"), lambda: order.append("b"))
    assert order == ["a", "b"] * 3
    assert [len(one) for one in seconds] == [2, 2]


def test_a_ratio_is_the_median_of_the_rounds_own():
    ratio, about = speed_up([2.0, 9.0, 4.0], [1.0, 1.0, 4.0])
    assert ratio == 2.0
    assert (about["lowest"], about["highest"]) == (1.0, 9.0)
    assert (about["reference_s"], about["ours_s"]) == (4.0, 1.0)


def test_every_group_has_a_module_that_measures():
    for name in bench.GROUPS.values():
        assert callable(importlib.import_module(name).figures)


def test_the_table_and_the_file_say_the_same(monkeypatch, tmp_path, capsys):
    found = [Figure("one", 2.5, "times", ">= 2", {"lowest": 2.1}), Figure("two", 3.0, "ms")]
    known = types.SimpleNamespace(
        import_module=lambda _: types.SimpleNamespace(figures=lambda: found)
    )
    monkeypatch.setattr(bench, "importlib", known)
    monkeypatch.setattr(bench.torch, "set_num_threads", lambda _: None)
    file = tmp_path / "there" / "bench.json"
    bench.main(["--only", "audit", "--json", str(file)])
    assert capsys.readouterr().out == f"{HEADER}\n{table(found, header=False)}\n"
    report = json.loads(file.read_text())
    assert [one["name"] for one in report["figures"]] == ["one", "two"]
    assert report["figures"][0]["reached"] == "yes"
    assert report["figures"][0]["about"] == {"lowest": 2.1}
    assert report["cores"] >= 1


def test_a_miss_is_printed_with_what_was_measured_beside_it():
    stages = {"autoattack": 300.0, "distances": 96.0, "study": 4.0}
    missed = [
        Figure("study", 9.5, "min", "<= 5", stages),
        Figure("ratio", 1.2, "times", ">= 2", {"lowest": 1.1}),
        Figure("other", 3.0, "times", ">= 2", {"lowest": 2.9}),
    ]
    assert bench.explained(missed).splitlines() == [
        "Missed: study, 9.5 min (target <= 5): autoattack 75 %, distances 24 %, study 1 %.",
        "Missed: ratio, 1.2 times (target >= 2): lowest 1.1.",
    ]


def test_what_is_not_known_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--only", "training,luck"])
    assert "luck: allowed are training," in capsys.readouterr().err


def test_how_many_jobs_ran_at_once():
    """One from 0 to 10 s, one from 2 to 5 s, one from 20 to 21 s."""
    spans = [(moment(0), moment(10)), (moment(20), moment(21)), (moment(2), moment(5))]
    assert at_once(spans) == {0: 10.0, 1: 8.0, 2: 3.0}


def moment(second):
    return datetime(2026, 1, 1, second=second, tzinfo=UTC)


def fill(megabytes):
    bytearray(megabytes * 2**20)


def test_memory_is_that_of_the_work_alone():
    """Whatever this process has had before."""
    little, much = (peak_memory_mib(fill, size) for size in (1, 400))
    assert 350 < much - little < 450
