"""Figures drawn by several processes are those that one draws, and nothing outlives the job."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from make_tables import make_finished

from thin_ice.figures import drawing, gallery, theme
from thin_ice.figures.drawing import show_all

SMALLEST = {"runs": 1, "methods": 1, "sparsities": (0.9,), "seeds": (0,), "samples": 30}
NAMES = ("distances", "auroc", "classes")

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="only there figures are shared")


@pytest.fixture
def finished(monkeypatch):
    monkeypatch.setattr(theme, "DPI", 30)
    return make_finished(**SMALLEST)


def test_the_files_and_what_is_said_do_not_depend_on_how_many_draw(finished, tmp_path):
    pages = []
    for processes in (1, 3):
        folder = tmp_path / str(processes)
        folder.mkdir()
        shown = show_all(NAMES, finished, folder, processes)
        assert [one.name for one in shown] == list(NAMES)
        files = {p.name: p.read_bytes() for one in shown for p in one.files}
        pages.append((files, [(one.sentence, one.drawn, one.exhibit) for one in shown]))
    assert pages[0] == pages[1]
    assert len(pages[0][0]) == 3 * len(NAMES)


@needs_fork
def test_each_is_drawn_in_a_process_of_its_own(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "show", lambda name, *_: time.sleep(0.2) or os.getpid())
    who = show_all(NAMES, finished, tmp_path, len(NAMES))
    assert len(set(who)) == len(NAMES)
    assert os.getpid() not in who


@needs_fork
def test_a_figure_that_cannot_be_drawn_is_an_error_of_the_report(finished, tmp_path, monkeypatch):
    broken = replace(gallery.EXHIBITS["auroc"], table=lambda _: 1 / 0)
    monkeypatch.setitem(gallery.EXHIBITS, "auroc", broken)
    with pytest.raises(ZeroDivisionError):
        show_all(NAMES, finished, tmp_path, 2)


@needs_fork
def test_who_draws_dies_with_a_job_that_is_killed(tmp_path):
    """By a signal that no process can see coming."""
    script = (
        "import os, time, pathlib, sys\n"
        "from thin_ice.figures import drawing\n"
        "def show(name, finished, folder):\n"
        "    (folder / name).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "drawing.show = show\n"
        "drawing.show_all(['a', 'b'], None, pathlib.Path(sys.argv[1]), 2)\n"
    )
    job = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    marks = [tmp_path / "a", tmp_path / "b"]
    _wait_for(lambda: all(mark.exists() and mark.read_text() for mark in marks))
    job.send_signal(signal.SIGKILL)
    job.wait()
    _wait_for(lambda: not any(_lives(int(mark.read_text())) for mark in marks))


def _lives(pid: int) -> bool:
    """A process that has ended and is not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for(holds, seconds=60):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)
