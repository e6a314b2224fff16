"""The audit of a study: every file hashed again, every chain walked back to dataset and code.

What each job is asked stands in `checks`. Then what no record accounts for is named, and what is
planned and not there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import basename, dirname, join
from textwrap import shorten

from thin_ice.errors import ThinIceError
from thin_ice.provenance import checks
from thin_ice.provenance.evidence import ENVELOPE, Evidence
from thin_ice.provenance.finding import Artifact, Finding, Findings, Status
from thin_ice.provenance.planned import RECORD, PlannedJob


@dataclass
class Audit:
    """What an audit found: every artifact, those planned and absent included, and remarks."""

    artifacts: list[Artifact]
    remarks: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return all(artifact.status is Status.INTACT for artifact in self.artifacts)


def audit(
    evidence: Evidence,
    jobs: Sequence[PlannedJob],
    signers: Mapping[str, str | None] | None = None,
) -> Audit:
    """Judge what was gathered.

    Args:
        evidence: of the study's folder.
        jobs: of the present study.
        signers: by folder, why its signature does not hold, or None where it does; no signatures
            are asked for where this is None.
    """
    of_files: Findings = {}
    remarks = [f"{folder}: a job has not finished here" for folder in evidence.unfinished]
    of_jobs = {folder: checks.record(evidence, folder, signers) for folder in evidence.records}
    as_written = {folder for folder, findings in of_jobs.items() if not findings}
    for folder in evidence.records:
        checks.outputs(evidence, folder, of_files)
        checks.chain(evidence, folder, of_jobs, as_written, remarks)
    checks.kept_code(evidence, of_jobs)
    checks.present(evidence, jobs, of_jobs)
    checks.software(evidence, of_jobs)
    checks.pinned(evidence, of_jobs, of_files)
    artifacts = _artifacts(evidence, of_jobs, of_files)
    artifacts += _unaccounted(evidence, jobs, artifacts)
    return Audit(sorted(artifacts, key=lambda artifact: artifact.path), remarks)


class Unsound(ThinIceError):
    """A study is not what its records say, and so not fit for use."""


def require_sound(found: Audit, root: Path, tolerated: Collection[Status]) -> None:
    """Raise `Unsound`, which names the gravest, if anything but these was found."""
    wrong = [one for one in found.artifacts if one.findings and one.status not in tolerated]
    if wrong:
        worst = min(wrong, key=lambda one: list(Status).index(one.status))
        why = next(finding.why for finding in worst.findings if finding.status is worst.status)
        raise Unsound(
            f"{root} is not sound: {worst.path} is {worst.status}: {shorten(why, 200)} "
            f"({len(wrong)} artifacts; python -m thin_ice audit lists them)"
        )


def _artifacts(evidence: Evidence, of_jobs: Findings, of_files: Findings) -> list[Artifact]:
    """Every file that a record accounts for, with what its job and those before it rest on."""
    wrong = {folder for folder, findings in of_jobs.items() if findings}
    wrong |= {dirname(file) for file in of_files} | set(evidence.damaged)
    beneath: dict[str, set[str]] = {}
    artifacts = []
    for folder in evidence.in_order():
        parents = evidence.parents(folder)
        beneath[folder] = set().union(*(beneath.get(p, set()) for p in parents), parents & wrong)
        for name in evidence.records[folder].subjects or [RECORD]:
            path = join(folder, name)
            findings = [*of_files.get(path, []), *of_jobs[folder]]
            rests_on = sorted(beneath[folder])
            artifacts.append(Artifact(path, evidence.digests.get(path), findings, rests_on))
    return artifacts


def _unaccounted(
    evidence: Evidence, jobs: Iterable[PlannedJob], claimed: Iterable[Artifact]
) -> list[Artifact]:
    """Files that no record made, and jobs that are planned and have left nothing."""
    known = {artifact.path for artifact in claimed}
    artifacts = []
    for path, digest in evidence.digests.items():
        folder, name = dirname(path), basename(path)
        if path in known or name == ENVELOPE or (name == RECORD and folder in evidence.records):
            continue
        if folder in evidence.damaged:
            finding = Finding(Status.FORGED, evidence.damaged[folder])
        else:
            finding = Finding(Status.ORPHAN, "no record made it")
        artifacts.append(Artifact(path, digest, [finding]))
    finding = Finding(Status.ORPHAN, "no record made it, and it is no file")
    artifacts += [Artifact(path, None, [finding]) for path in evidence.strays if path not in known]
    there = {*evidence.records, *evidence.damaged}
    absent = [job.folder for job in jobs if job.folder not in there]
    finding = Finding(Status.ABSENT, "the study plans this job and it has no record")
    return artifacts + [Artifact(f"{folder}/", None, [finding]) for folder in absent]
