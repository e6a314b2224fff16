"""An audit's findings as a table for people and as data for programs."""

from collections import Counter

from thin_ice.provenance.audit import Audit
from thin_ice.provenance.finding import Artifact, Status

LISTED = 12  # folders that an artifact rests on; the rest are counted


def as_text(found: Audit) -> str:
    """The whole audit: what was found, artifact by artifact, then how many there are of each."""
    lines: list[str] = []
    for artifact in found.artifacts:
        if artifact.findings:
            lines += [f"{artifact.status:<15} {artifact.path}"]
            lines += [f"{'':<16}{one.status}: {one.why}" for one in artifact.findings]
    if shaken := [one for one in found.artifacts if not one.findings and one.rests_on]:
        lines += ["", "Intact in themselves, but made from what is not:"]
        lines += [f"{'':<16}{one.path} <- {_listed(one.rests_on)}" for one in shaken]
    lines += ["", *(f"remark: {remark}" for remark in found.remarks), *_table(found.artifacts)]
    return "\n".join(_printable(line) for line in lines).lstrip("\n") + "\n"


def _printable(line: str) -> str:
    """A name may hold what a terminal obeys, or a line that looks like one of the audit's own."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _table(artifacts: list[Artifact]) -> list[str]:
    counts = Counter(artifact.status for artifact in artifacts)
    rows = [f"{counts[status]:>7} {status:<15} {status.means}" for status in Status]
    return [f"{len(artifacts):>7} artifacts", *rows]


def _listed(folders: list[str]) -> str:
    more = len(folders) - LISTED
    return ", ".join(folders[:LISTED]) + (f" and {more} more" if more > 0 else "")


def as_json(found: Audit) -> dict:
    """Data: the verdict, the number of artifacts by status, and every artifact."""
    counts = Counter(artifact.status for artifact in found.artifacts)
    return {
        "sound": found.sound,
        "counts": {str(status): counts[status] for status in Status},
        "remarks": found.remarks,
        "artifacts": [
            {
                "path": one.path,
                "sha256": one.sha256,
                "status": one.status,
                "sound": one.sound,
                "findings": [{"status": f.status, "why": f.why} for f in one.findings],
                "rests_on": one.rests_on,
            }
            for one in found.artifacts
        ],
    }
