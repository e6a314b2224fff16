"""Whoever watches sees which jobs are finished, how far the running ones are, and who failed."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny_study import TINY, arguments_of

import thin_ice
from thin_ice.commands import watch
from thin_ice.commands.cli import main
from thin_ice.joblog import last_attempt
from thin_ice.study import watching
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from
from thin_ice.study.watching import log_of, standings

EPOCHS = 50_000  # so many that none ends while somebody looks
STUDY = study_from(TINY | {"training": TINY["training"] | {"dense": {"epochs": EPOCHS}}})
JOBS = {job.stage: job for job in planned_jobs(STUDY)}


def start(job, root, **environment):
    """A job's process, as a rule starts it."""
    words = [sys.executable, "-m", "thin_ice", *arguments_of(job, root)]
    words += ["--log", str(root / log_of(job))]
    library = {"PYTHONPATH": str(Path(thin_ice.__file__).parents[1])}
    return subprocess.Popen(
        words, stderr=subprocess.DEVNULL, env=os.environ | library | environment
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A study of which the first two jobs are finished."""
    root = tmp_path_factory.mktemp("results") / "tiny"
    for stage in ("study", "dataset"):
        assert start(JOBS[stage], root).wait() == 0
    return root


@pytest.fixture
def dense(root):
    """The training, under way."""
    process = start(JOBS["dense"], root, SLURM_JOB_ID="321")
    log = root / log_of(JOBS["dense"])
    deadline = time.monotonic() + 120
    while not ((found := last_attempt(log)) and found.unit and found.pid == process.pid):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def look(root, capsys, *options):
    status = main(["watch", str(root), *options])
    return status, capsys.readouterr().out


def line_of(stage, printed):
    """The only line about a job of this stage, without the counts."""
    (line,) = [x for x in printed.splitlines() if x.startswith((f"{stage}  ", f"failed: {stage}"))]
    return line


def test_a_running_job_says_how_far_it_is_and_where_it_runs(root, dense, capsys):
    status, printed = look(root, capsys)
    assert status == 0
    assert f"{len(list(planned_jobs(STUDY)))} jobs, 2 finished, 1 running, " in printed
    stage, folder, epoch, *facts, left, host, age = line_of("dense", printed).split("  ")
    assert (stage, folder) == ("dense", JOBS["dense"].folder)
    done, total = map(int, epoch.removeprefix("epoch ").split("/"))
    assert (0 < done < total) == (total == EPOCHS)
    assert any(fact.startswith("loss ") for fact in facts)
    assert left.startswith("left ")
    assert host == f"{platform.node()}, Slurm job 321"
    assert age.startswith("last line 0:")


def test_a_job_that_is_killed_without_a_word_has_failed(root, dense, capsys):
    dense.kill()
    dense.wait()
    status, printed = look(root, capsys)
    assert status == 1
    assert line_of("dense", printed).endswith(str(root / log_of(JOBS["dense"])))
    assert "INFO epoch" in printed
    assert f"its process on {platform.node()} is gone" in printed


def test_a_job_that_ends_while_its_log_is_read_is_finished(tmp_path, monkeypatch):
    job = JOBS["dense"]

    def ends(log):
        (tmp_path / job.record).parent.mkdir(parents=True)
        (tmp_path / job.record).touch()

    monkeypatch.setattr(watching, "last_attempt", ends)
    (standing,) = standings(tmp_path, [job])
    assert standing.state == "finished"


AWAY = "2026-03-01 12:00:00,000 INFO started on node7, pid 7, Slurm job 41\n"
EPOCH = "2026-03-01 12:00:00,000 INFO epoch 3/300  loss 0.5  left 1:02:03\n"


@pytest.mark.parametrize(("text", "where"), [(AWAY, " on node7"), ("", "")])
def test_a_job_killed_on_another_node_is_known_once_the_run_has_ended(tmp_path, text, where):
    log = tmp_path / log_of(JOBS["dense"])
    log.parent.mkdir(parents=True)
    log.write_text(text + 20 * EPOCH)
    found = standings(tmp_path, [JOBS["dense"], JOBS["rivals"]])
    assert list(watch.failures(found)) == []
    _, first, *lines, last = watch.failures(found, ended=True)
    assert first.endswith(str(log))
    assert lines == watch.LINES * [f"    {EPOCH.strip()}"]
    assert last == f"    (its process{where} is gone: killed, or out of memory)"


def test_a_job_that_is_silent_for_long_is_said_to_be(tmp_path):
    log = tmp_path / log_of(JOBS["dense"])
    log.parent.mkdir(parents=True)
    log.write_text(AWAY + EPOCH)
    silences = {
        65: "left 1:00:58  {}  last line 1:05 ago",
        7200: "left 0:00  {}  SILENT for 120 min",
    }
    for age_s, said in silences.items():
        os.utime(log, (time.time() - age_s,) * 2)
        *_, line = watch.lines(tmp_path, standings(tmp_path, [JOBS["dense"]]))
        assert line.endswith("  epoch 3/300  loss 0.5  " + said.format("node7, Slurm job 41"))


def test_a_job_that_was_asked_to_end_waits_to_go_on(root, dense, capsys):
    dense.send_signal(signal.SIGTERM)
    assert dense.wait() == 128 + signal.SIGTERM
    status, printed = look(root, capsys)
    assert status == 0
    assert line_of("dense", printed).endswith("stopped by a signal, goes on when it is run again")
    assert "1 stopped" in printed


def test_a_failed_job_shows_its_log_and_the_end_of_it(root, capsys):
    """Its network is not there."""
    assert start(JOBS["rivals"], root).wait() == 1
    status, printed = look(root, capsys)
    assert status == 1
    log = root / log_of(JOBS["rivals"])
    assert line_of("rivals", printed).endswith(str(log))
    assert "model.safetensors does not exist" in printed
    log.unlink()


def test_a_job_that_crashes_leaves_the_place_in_its_log(root, capsys):
    """As compiled code can: by a signal that no Python code sees."""
    process = start(JOBS["dense"], root)
    log = root / log_of(JOBS["dense"])
    while not ((found := last_attempt(log)) and found.pid == process.pid):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGSEGV)
    process.wait()
    _, printed = look(root, capsys)
    assert "Fatal Python error: Segmentation fault" in log.read_text()
    assert line_of("dense", printed).startswith("failed: ")
    assert "is gone" not in printed


def test_a_finished_job_that_is_made_again_is_running_and_then_finished(root):
    job = JOBS["dataset"]
    (root / job.record).rename(root / "aside.json")
    (standing,) = standings(root, [job])
    assert standing.state == "waiting"
    (root / "aside.json").rename(root / job.record)
    (standing,) = standings(root, [job])
    assert standing.state == "finished"


@pytest.mark.parametrize("key", ["train_minutes", "attack_minutes"])
def test_a_study_that_another_version_saved_is_one_sentence(tmp_path, capsys, key):
    """It says which file, which key, and what to do; with a study of today's it is looked at."""
    saved, now = tmp_path / "tiny/study/study.yaml", tmp_path / "now.yaml"
    saved.parent.mkdir(parents=True)
    saved.write_text(yaml.safe_dump(TINY | {"resources": {key: 60}}))
    now.write_text(yaml.safe_dump(TINY))
    assert main(["watch", str(tmp_path / "tiny")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"study {saved}: resources: unknown key '{key}'; allowed: threads, ")
    assert said.endswith("; or name a study that can be read with --study\n")
    assert look(tmp_path / "tiny", capsys, "--study", str(now))[0] == 0


@pytest.mark.parametrize("every", ["0", "-1", "nan", "inf", "soon"])
def test_a_bad_pause_is_refused(root, every, capsys):
    with pytest.raises(SystemExit):
        main(["watch", str(root), "--follow", "--every", every])
    assert every in capsys.readouterr().err


def test_whoever_follows_ends_it_in_the_middle_of_a_look_too(root, capsys, monkeypatch):
    def interrupted(root, jobs):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "standings", interrupted)
    assert look(root, capsys, "--follow")[0] == 0


def test_following_ends_when_all_is_finished(root, tmp_path, capsys, monkeypatch):
    """And looks again until then."""
    looks = []
    monkeypatch.setattr(watch, "planned_jobs", lambda study: [JOBS["study"], JOBS["dataset"]])
    record = root / JOBS["dataset"].record
    record.rename(tmp_path / "aside.json")

    def sleep(seconds):
        looks.append(seconds)
        (tmp_path / "aside.json").rename(record)

    monkeypatch.setattr(time, "sleep", sleep)
    status, printed = look(root, capsys, "--follow", "--every", "3")
    assert (status, looks) == (0, [3.0])
    assert "2 jobs, 1 finished, 1 waiting" in printed
    assert "2 jobs, 2 finished\n" in printed


def test_the_study_that_runs_is_looked_at_and_not_the_one_of_that_name_here(root, capsys):
    saved = yaml.safe_load((root / "study/study.yaml").read_text())
    assert saved["training"]["dense"]["epochs"] == EPOCHS
    _, printed = look(root, capsys)
    count = len(planned_jobs(STUDY))
    other = root.parent / "other.yaml"
    other.write_text(yaml.safe_dump(TINY | {"seeds": [0, 1]}))
    _, more = look(root, capsys, "--study", str(other))
    assert f": {count} jobs" in printed
    assert f": {count} jobs" not in more
