"""Sign the records of a finished study, or make a key to sign with.

What is signed is what is there now, so a study is audited first, and one that is not what its
records say is not signed.
"""

import argparse
from pathlib import Path

from thin_ice.commands import present
from thin_ice.provenance.audit import audit, require_sound
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.finding import Status
from thin_ice.provenance.signing import new_key, read_private_key, sign_all
from thin_ice.study.jobs import planned_jobs

TOLERATED = (Status.STALE, Status.OTHER_CODE, Status.MIXED_SOFTWARE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--key", type=Path, help="the private key (PEM, ed25519)")
    keys.add_argument("--new-key", type=Path, help="make a key pair: this file and its .pub")


def run(options: argparse.Namespace) -> int:
    if options.new_key:
        print(f"made {options.new_key} (keep it) and {new_key(options.new_key)} (publish it)")
        return 0
    signer = read_private_key(options.key)
    folder, study, _ = present.results_and_study(options)
    evidence = gather(folder)
    found = audit(evidence, planned_jobs(study))
    require_sound(found, folder, TOLERATED)
    print(f"signed {sign_all(evidence, signer)} records in {folder}")
    return 0
