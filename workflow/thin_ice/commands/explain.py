"""Say of each artifact that is out of date which key, line of code or input changed."""

import argparse
import json

from thin_ice.commands import present
from thin_ice.provenance.explain import as_json, as_text, explained
from thin_ice.provenance.outdated import outdated
from thin_ice.study.jobs import planned_jobs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print data, not text")


def run(options: argparse.Namespace) -> int:
    """0 where all is up to date, 1 where something is not."""
    root, study, _ = present.results_and_study(options)
    jobs = planned_jobs(study)
    found = explained(root, jobs, outdated(root, jobs))
    print(json.dumps(as_json(found), indent=2) if options.json else as_text(found, jobs), end="")
    return bool(found)
