"""What a study costs before it runs, stage by stage, and what its jobs took."""

from collections import Counter
from pathlib import Path

import pytest
import yaml
from miniature import REPOSITORY
from tiny_study import TINY, run_job, tiny_study

from thin_ice.commands.cli import main
from thin_ice.commands.cost import HEADER, of_networks
from thin_ice.study import cost
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from_file
from thin_ice.study.sizing import estimate

STUDIES = [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "workflow/studies").glob("*.yaml"))]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The file of a study in an empty folder, where its results will lie."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tiny_study()


def told(capsys, *words):
    """The rows of the printed table by stage, and the sentences below it."""
    assert main(["cost", *words]) == 0
    table, _, said = capsys.readouterr().out.partition("\n\n")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert tuple(lines[0]) == HEADER
    return {cells[0]: dict(zip(HEADER, cells, strict=True)) for cells in lines[2:]}, said


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_every_job_on_a_network_is_counted_with_its_own(file):
    study = study_from_file(file, with_data=False)
    jobs = planned_jobs(study)
    found = list(of_networks(study, jobs))
    assert [job for job, _ in found] == [job for job in jobs if job.stage in cost.STAGES]
    for job, network in found:
        assert Path(job.folder).is_relative_to(network.folder)
        inner = [n for n in study.networks() if Path(job.folder).is_relative_to(n.folder)]
        assert network == max(inner, key=lambda one: len(one.folder))


def test_rows_are_the_sums_of_the_estimates_of_their_jobs(tiny, capsys):
    rows, said = told(capsys, "--study", "tiny.yaml", "--gflops", "0.001")
    jobs = list(of_networks(tiny, planned_jobs(tiny)))
    assert {s: int(row["jobs"]) for s, row in rows.items() if s != "all"} == Counter(
        job.stage for job, _ in jobs
    )
    for stage, row in rows.items():
        asked = [estimate(tiny, j.stage, n, 0.001) for j, n in jobs if stage in (j.stage, "all")]
        passes, hours = sum(e.passes for e in asked), sum(e.seconds for e in asked) / 3600
        assert float(row["passes (1e6)"]) == pytest.approx(passes / 1e6, rel=1e-3)
        assert float(row["hours at most"]) == pytest.approx(hours, rel=1e-2)
        assert float(row["1e15 operations"]) == pytest.approx(
            sum(e.flop for e in asked) / 1e15, rel=1e-2
        )
        assert row["measured"] == ""
    assert "tiny.yaml" in said
    assert "0.001 GFLOP/s" in said
    assert "have run" not in said


def test_twice_the_speed_halves_what_the_networks_take(tiny, capsys):
    slow, fast = (
        told(capsys, "--study", "tiny.yaml", "--gflops", speed)[0]["dense"]
        for speed in ("1e-4", "2e-4")
    )
    ratio = float(slow["hours at most"]) / float(fast["hours at most"])
    assert ratio == pytest.approx(2, rel=1e-2)
    assert slow["passes (1e6)"] == fast["passes (1e6)"]


def test_without_a_figure_the_device_is_the_studys(tiny, capsys):
    _, said = told(capsys, "--study", "tiny.yaml")
    assert f"{tiny.resources['gflops']:g} GFLOP/s" in said
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY | {"resources": {"gflops": 7}}))
    assert "7 GFLOP/s" in told(capsys, "--study", "tiny.yaml")[1]


def test_jobs_that_have_run_say_what_they_took(tiny, capsys):
    jobs = {job.stage: job for job in reversed(planned_jobs(tiny))}
    for stage in ("dataset", "dense"):
        run_job(jobs[stage], Path(tiny.folder))
    rows, said = told(capsys, "--study", "tiny.yaml")
    assert rows["dense"]["measured"].endswith("(1 of 1)")
    assert rows["autoattack"]["measured"] == ""
    whole = int(rows["all"]["jobs"])
    assert rows["all"]["measured"] == rows["dense"]["measured"].replace("of 1", f"of {whole}")
    assert "The jobs that have run sustained" in said


def test_a_study_that_is_not_there_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["cost", "--study", "none.yaml"]) == 2
    assert "none.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-3", "nan", "inf"])
def test_a_speed_that_no_device_has_is_refused(tiny, capsys, speed):
    assert main(["cost", "--study", "tiny.yaml", "--gflops", speed]) == 2
    assert f"--gflops {speed}; allowed: more than 0" in capsys.readouterr().err
