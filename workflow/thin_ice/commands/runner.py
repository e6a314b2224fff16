"""The frame around every stage: arguments, log, device, threads, record, errors."""

import argparse
import importlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from thin_ice.commands.job import Job, parse_job
from thin_ice.errors import ThinIceError
from thin_ice.progress import wants_bar
from thin_ice.provenance.code_store import keep
from thin_ice.provenance.fingerprint import fingerprint
from thin_ice.provenance.machine import git_state
from thin_ice.provenance.materials import identity, material, source
from thin_ice.provenance.record import now, write_record

STAGES = (
    "study",
    "dataset",
    "dense",
    "prune",
    "finetune",
    "autoattack",
    "evaluate",
    "distances",
    "analyse",
    "report",
)
LINES_EVERY_S = 30.0  # on a shared terminal; the log has every line

log = logging.getLogger("thin_ice")


def main(stage: str, arguments: Sequence[str]) -> int:
    """Run one stage; the exit status is 0, or 1 after a message."""
    command = importlib.import_module(f"thin_ice.commands.{stage}")
    options = _parser(stage, command).parse_args(arguments)
    _log_to(options.log)
    try:
        _execute(command, parse_job(options.job, stage), options)
    except ThinIceError as error:
        log.error("%s", error)
        return 1
    except Exception:
        log.exception("stage %s failed", stage)
        return 1
    return 0


def _parser(stage: str, command: ModuleType) -> argparse.ArgumentParser:
    """Each command says in INPUTS which files it reads; the rest is the same for all."""
    parser = argparse.ArgumentParser(
        prog=f"python -m thin_ice {stage}", description=command.__doc__
    )
    parser.add_argument("--job", required=True, help="canonical JSON: stage, parameters, code")
    for name in command.INPUTS:
        parser.add_argument(f"--{name}", nargs="+", type=Path, required=True)
    parser.add_argument(
        "--record", type=Path, required=True, help="provenance.json; outputs go beside it"
    )
    parser.add_argument("--code", type=Path, help="folder to keep the sources in that run")
    parser.add_argument("--log", type=Path, help="a file for every line of progress")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    return parser


def _execute(command: ModuleType, description: dict, options: argparse.Namespace) -> None:
    """Run the stage and write its record last: an artifact without one is not finished."""
    inputs = {name: getattr(options, name) for name in command.INPUTS}
    for path in (path for paths in inputs.values() for path in paths):
        if not path.is_file():
            raise ThinIceError(f"input {path} does not exist")
    device, settings = "none", {"device": "none"}
    if command.PREPARE:
        device, settings = command.PREPARE(options.device, options.threads)
    materials = [material(path) for paths in inputs.values() for path in paths]
    job = Job(
        options.job, inputs, options.record, identity(options.job, materials), device, settings
    )
    options.record.unlink(missing_ok=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    job.facts.update(code=_code_of_this_run(description, options.code), git=git_state())
    began, clock = now(), time.monotonic()
    outputs = command.run(job)
    job.facts["seconds"] = round(time.monotonic() - clock, 3)
    materials += [source(name, path) for name, path in job.sources.items()]
    write_record(options.record, description, materials, outputs, began, job.facts)
    job.state.unlink(missing_ok=True)
    log.info("done in %.1f s: %s", job.facts["seconds"], options.record)


def _code_of_this_run(description: dict, folder: Path | None) -> dict:
    """What really runs: a command copied from a log may meet later code than it was planned for."""
    planned = description["code"]
    actual = fingerprint(planned["modules"])
    if actual != planned["sha256"]:
        log.warning("this code is not what the job was planned for; the record names both")
    if folder:
        keep(folder, planned["modules"])
    return {"sha256": actual, "as_planned": actual == planned["sha256"]}


class _Throttle(logging.Filter):
    """Let a progress line through only every so often; warnings always."""

    def __init__(self) -> None:
        super().__init__()
        self.last = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return True
        if time.monotonic() - self.last < LINES_EVERY_S:
            return False
        self.last = time.monotonic()
        return True


def _log_to(path: Path | None) -> None:
    """Every line to the file; to the terminal too, thinned out, unless a bar is drawn there."""
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers.clear()
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="a")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(file)
        console.addFilter(_Throttle())
    if wants_bar():
        console.setLevel(logging.WARNING)
    log.addHandler(console)
