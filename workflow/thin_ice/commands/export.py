"""Export a finished study as an RO-Crate that others can read, check and publish."""

import argparse

from thin_ice.commands.sound import add_arguments, sound_study
from thin_ice.provenance.crate.export import export
from thin_ice.provenance.machine import REPOSITORY

__all__ = ["add_arguments", "run"]


def run(options: argparse.Namespace) -> int:
    """0 when the crate is written.

    Raises:
        ThinIceError: the target holds something, or the study is not finished or not sound.
    """
    finished = sound_study(options)
    export(finished, REPOSITORY, options.to)
    print(f"exported {len(finished.jobs)} jobs, {len(finished.digests)} artifacts to {options.to}")
    return 0
