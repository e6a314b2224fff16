"""The frame around every stage: arguments, log, device, threads, record, errors."""

import argparse
import importlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from thin_ice import gpus, interruption, joblog
from thin_ice.commands.job import Job, parse_job
from thin_ice.commands.terminal import log_to
from thin_ice.errors import ThinIceError
from thin_ice.provenance import share
from thin_ice.provenance.code_store import keep
from thin_ice.provenance.fingerprint import fingerprint
from thin_ice.provenance.machine import git_state
from thin_ice.provenance.materials import Material, identity, material, source
from thin_ice.provenance.record import now, write_record
from thin_ice.provenance.scratch import near
from thin_ice.provenance.statement import read_record
from thin_ice.study.cost import STAGES as ON_GPU

if TYPE_CHECKING:
    from thin_ice.device import Device

STAGES = (
    "study",
    "dataset",
    "dense",
    "external",
    "prune",
    "finetune",
    "mask",
    "train_masked",
    "train_sparse",
    "selection",
    "autoattack",
    "evaluate",
    "distances",
    "breaking",
    "twins",
    "indicators",
    "rivals",
    "sensitivity",
    "compact",
    "certify",
    "analyse",
    "report",
)
Inputs = dict[str, list[Path]]  # by the name of the argument that gave them
SHARED = ("dense",)  # whose results other studies and users may take
SHARE = "THIN_ICE_SHARE"

log = logging.getLogger("thin_ice")


def main(stage: str, arguments: Sequence[str]) -> int:
    """Run one stage; the exit status is 0, 1 after a message, or that of a job which a signal
    ended.
    """
    try:
        gpus.settle(stage in ON_GPU)  # before the command brings torch
    except ThinIceError as error:
        log.error("%s", error)
        return 1
    command = importlib.import_module(f"thin_ice.commands.{stage}")
    options = _parser(stage, command).parse_args(arguments)
    log_to(options.log)
    if options.log:
        joblog.say_started()
    interruption.listen()
    try:
        _execute(command, parse_job(options.job, stage), options)
    except ThinIceError as error:
        log.error("%s", error)
        return 1
    except interruption.Interrupted as error:
        log.error("%s; run again, the job goes on from what it saved", error)
        return error.status
    except Exception:
        log.exception("stage %s failed", stage)
        return 1
    return 0


def _parser(stage: str, command: ModuleType) -> argparse.ArgumentParser:
    """Each command says in INPUTS which files it reads, and in OPTIONAL_INPUTS of which there may
    be none; the rest is the same for all.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m thin_ice {stage}", description=command.__doc__
    )
    parser.add_argument("--job", required=True, help="canonical JSON: stage, parameters, code")
    for name in command.INPUTS:
        parser.add_argument(f"--{name}", nargs="+", type=Path, required=True)
    for name in _optional(command):
        parser.add_argument(f"--{name}", nargs="*", type=Path, default=[])
    parser.add_argument(
        "--record", type=Path, required=True, help="provenance.json; outputs go beside it"
    )
    parser.add_argument("--code", type=Path, help="folder to keep the sources in that run")
    parser.add_argument("--log", type=Path, help="a file for every line of progress")
    parser.add_argument(
        "--share",
        type=Path,
        default=os.environ.get(SHARE) or None,
        help=f"folder of results shared with others (dense networks); default: {SHARE}",
    )
    parser.add_argument(
        "--scratch", help="folder of this machine's own disk for a copy of the dataset"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="that compute, or draw, on the CPU")
    return parser


def _execute(command: ModuleType, description: dict, options: argparse.Namespace) -> None:
    """Run the stage and write its record last: an artifact without one is not finished."""
    given = _inputs(command, options)
    device = command.PREPARE(options.device, options.threads) if command.PREPARE else None
    inputs, materials = _read_from(given, options.scratch)
    code = _code_of_this_run(description, options.code)
    name = identity(options.job, materials)
    where = device.name if device else "none"
    job = Job(options.job, inputs, options.record, name, where, options.threads)
    gpus.warn_of(job.device)
    seen = device.facts | gpus.visible() if device else {"device": "none"}
    job.facts.update(seen, code=code)
    options.record.unlink(missing_ok=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    may_share = options.share and description["stage"] in SHARED and code["as_planned"]
    if not (may_share and _taken(options.share, job, materials)):
        _made(command, job, materials, device)
        if may_share:
            files = [job.folder / output for output in read_record(job.record).subjects]
            share.offer(options.share, name, description, [job.record, *files])
    job.state.unlink(missing_ok=True)


def _optional(command: ModuleType) -> tuple[str, ...]:
    return getattr(command, "OPTIONAL_INPUTS", ())


def _inputs(command: ModuleType, options: argparse.Namespace) -> Inputs:
    names = (*command.INPUTS, *_optional(command))
    inputs = {name: getattr(options, name) for name in names}
    for path in (path for paths in inputs.values() for path in paths):
        if not path.is_file():
            raise ThinIceError(f"input {path} does not exist")
    return inputs


def _read_from(given: Inputs, scratch: str | None) -> tuple[Inputs, list[Material]]:
    """The files to read, the dataset perhaps a copy in scratch, and the inputs for the record."""
    inputs: Inputs = {name: [] for name in given}
    materials = []
    for name, path in ((name, path) for name, paths in given.items() for path in paths):
        is_near = scratch and name == "dataset"
        file, described = near(path, scratch) if is_near else (path, material(path))
        inputs[name].append(file)
        materials.append(described)
    return inputs, materials


def _made(
    command: ModuleType, job: Job, materials: list[Material], device: "Device | None"
) -> None:
    """Have the command do its work, and record it."""
    job.facts["git"] = git_state()
    began, clock = now(), time.monotonic()
    outputs = command.run(job)
    job.facts["seconds"] = round(time.monotonic() - clock, 3)
    job.facts.update(device.peak_memory() if device else {})
    sources = [source(name, path) for name, path in job.sources.items()]
    write_record(job.record, job.description, materials + sources, outputs, began, job.facts)
    log.info("%s %.1f s: %s", joblog.DONE, job.facts["seconds"], job.record)


def _taken(folder: Path, job: Job, materials: list[Material]) -> bool:
    """Whether somebody has left this very job's result, which is then copied and recorded here."""
    record = share.find(folder, job.identity, job.description)
    if record is None:
        return False
    began = now()
    outputs = share.take(folder, job.identity, record, job.folder)
    facts = share.facts_of(folder, job.identity, record)
    write_record(job.record, job.description, materials, outputs, began, facts, record.versions)
    log.info("%s %s: %s", joblog.TAKEN, folder, job.record)
    return True


def _code_of_this_run(description: dict, folder: Path | None) -> dict:
    """What really runs: a command copied from a log may meet later code than it was planned for."""
    planned = description["code"]
    actual = fingerprint(planned["modules"])
    if actual != planned["sha256"]:
        log.warning("this code is not what the job was planned for; the record names both")
    if folder:
        keep(folder, planned["modules"])
    return {"sha256": actual, "as_planned": actual == planned["sha256"]}
