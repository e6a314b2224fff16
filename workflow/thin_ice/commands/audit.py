"""Hash every artifact of a study again and walk each back to the dataset and the code."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from thin_ice.commands import present
from thin_ice.files import write_json
from thin_ice.provenance import root as root_digest
from thin_ice.provenance.audit import Audit, audit
from thin_ice.provenance.evidence import Evidence, gather
from thin_ice.provenance.finding import Status
from thin_ice.provenance.machine import versions
from thin_ice.provenance.verdict import as_json, as_text
from thin_ice.study.jobs import planned_jobs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument(
        "--key", nargs="+", type=Path, help="public keys (PEM); each record must bear one's mark"
    )
    parser.add_argument("--root", help="the root digest of a published report, to be held against")
    parser.add_argument(
        "--allow",
        nargs="+",
        default=[],
        choices=[str(s) for s in Status if s is not Status.INTACT],
        metavar="STATUS",
        help="findings that do not count for the exit status: %(choices)s",
    )
    parser.add_argument("--json", nargs="?", const="-", help="data instead: to a file, or printed")
    parser.add_argument(
        "--memory", type=Path, help="remember digests in this file by size, time and inode"
    )


def run(options: argparse.Namespace) -> int:
    """0 where nothing was found, 1 where something was."""
    folder, study, file = present.results_and_study(options)
    evidence = gather(folder, options.memory)
    found = audit(evidence, planned_jobs(study), _signatures(options.key, evidence))
    pinned = _root(evidence)
    found.remarks += [f"held against {file}", *_upgraded(evidence), f"root digest {pinned}"]
    other_root = options.root not in (None, pinned)
    if other_root:
        found.remarks.append(f"the root digest is not {options.root}")
    _show(found, pinned, options.json)
    statuses = {finding.status for one in found.artifacts for finding in one.findings}
    return other_root or not statuses <= set(options.allow)


def _signatures(keys: list[Path] | None, evidence: Evidence) -> Mapping[str, str | None] | None:
    """Why each record's signature does not hold; nothing where no keys are given."""
    if not keys:
        return None
    from thin_ice.provenance import signing  # an audit without keys needs no cryptography

    return signing.judge_signatures(evidence, signing.read_public_keys(keys))


def _show(found: Audit, pinned: str | None, data: str | None) -> None:
    """The table, or data in its place where they are to be printed; data to a file beside it."""
    if data == "-":
        print(json.dumps(as_json(found) | {"root": pinned}, indent=2))
        return
    if data:
        write_json(data, as_json(found) | {"root": pinned})
    print(as_text(found), end="")


def _upgraded(evidence: Evidence) -> list[str]:
    """Packages that are installed here in another version than the one that made the results."""
    made: dict[str, set[str]] = {}
    for record in evidence.records.values():
        for name, version in record.software.items():
            made.setdefault(name, set()).add(version)
    here = versions(made)
    return [
        f"made with {name} {', '.join(sorted(made[name]))}; here is {version}"
        for name, version in here.items()
        if name in made and made[name] != {version}
    ]


def _root(evidence: Evidence) -> str | None:
    """Of what the report rests on; None where there is no report."""
    report = str(Path(root_digest.REPORT).parent)
    if report not in evidence.records:
        return None
    return root_digest.digest(evidence.records, evidence.ancestors(report))
