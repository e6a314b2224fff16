"""Export a finished study as an RO-Crate that others can read, check and publish."""

import argparse
from pathlib import Path

from thin_ice.commands import present
from thin_ice.commands.sound import sound_study
from thin_ice.provenance.crate.export import export, require_empty
from thin_ice.provenance.finding import Status
from thin_ice.provenance.machine import REPOSITORY

TOLERATED = (Status.OTHER_CODE, Status.MIXED_SOFTWARE)  # the crate holds the code that ran


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument("--to", type=Path, required=True, help="a new or empty folder")


def run(options: argparse.Namespace) -> int:
    """0 when the crate is written.

    Raises:
        ThinIceError: the target holds something, or the study is not finished or not sound.
    """
    require_empty(options.to)
    finished = sound_study(options, TOLERATED)
    export(finished, REPOSITORY, options.to)
    print(f"exported {len(finished.jobs)} jobs, {len(finished.digests)} artifacts to {options.to}")
    return 0
