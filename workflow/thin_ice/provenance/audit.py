"""The audit of a study: every file hashed again, every chain walked back to dataset and code.

Four questions are asked of each job. Is its record as it was written (`_record`)? Are its outputs
what the record says (`_outputs`)? Is what it read what the records before it say was made, and the
code that ran kept (`_chain`)? Would the present study and the present code make the same again
(`_present`)? Then what no record accounts for is named, and what is planned and not there.

An honest run that was interrupted has jobs that were made from earlier versions of their inputs.
They are told from forgeries by time: the record of an input that was made again begins after the
job that read the earlier one had ended.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import basename, dirname, join
from textwrap import shorten

from thin_ice.errors import ThinIceError
from thin_ice.provenance import code_store, root
from thin_ice.provenance.evidence import ENVELOPE, Evidence
from thin_ice.provenance.finding import Artifact, Finding, Status
from thin_ice.provenance.fingerprint import fingerprint
from thin_ice.provenance.outdated import outdated
from thin_ice.provenance.planned import RECORD, PlannedJob
from thin_ice.provenance.statement import Record

Findings = dict[str, list[Finding]]  # by folder, or by file
PRESENT = {  # what a reason to run again says of an artifact that is there
    "parameter": Status.STALE,
    "software": Status.STALE,
    "source": Status.STALE,
    "code": Status.OTHER_CODE,
}


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
    of_jobs = {folder: _record(evidence, folder, signers) for folder in evidence.records}
    for folder in evidence.records:
        _outputs(evidence, folder, of_files)
        _chain(evidence, folder, of_jobs)
    _present(evidence, jobs, of_jobs)
    _software(evidence, of_jobs)
    _pinned(evidence, of_files)
    artifacts = _artifacts(evidence, of_jobs, of_files)
    artifacts += _unaccounted(evidence, jobs, artifacts)
    remarks = [f"{folder}: a job has not finished here" for folder in evidence.unfinished]
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


def _record(evidence: Evidence, folder: str, signers: Mapping | None) -> list[Finding]:
    """Whether a record is as it was written."""
    record = evidence.records[folder]
    wrong = []
    if not record.sealed:
        wrong.append("it was edited: its seal is broken")
    if not record.command_fits:
        wrong.append("its command line does not run the job that it names")
    if any("/" in name or name in ("", RECORD) for name in record.subjects):
        wrong.append("it lays claim to files outside its folder")
    if signers is not None and (why := signers.get(folder, "it has no signature")):
        wrong.append(why)
    return [Finding(Status.FORGED, f"{RECORD}: {why}") for why in wrong]


def _outputs(evidence: Evidence, folder: str, of_files: Findings) -> None:
    """Whether outputs are what the record says was made."""
    for name, digest in evidence.records[folder].subjects.items():
        path = join(folder, name)
        found = evidence.digests.get(path)
        if found is None:
            finding = Finding(Status.MISSING_LINK, "its record is here and the file is gone")
            of_files.setdefault(path, []).append(finding)
        elif found != digest:
            why = f"SHA-256 {found}, recorded {digest}"
            of_files.setdefault(path, []).append(Finding(Status.ALTERED, why))


def _chain(evidence: Evidence, folder: str, of_jobs: Findings) -> None:
    """Whether what a job read is what was made, and the code that ran is kept."""
    record = evidence.records[folder]
    for file, link in evidence.links[folder].items():
        maker = evidence.records.get(dirname(file))
        name = join(dirname(file), RECORD)
        if file not in evidence.digests or maker is None:
            gone = file if file not in evidence.digests else name
            of_jobs[folder].append(Finding(Status.MISSING_LINK, f"{gone}, which it needs, is gone"))
            continue
        same_file = maker.subjects.get(basename(file)) == link.sha256
        if same_file and evidence.digests[name] == link.record:
            continue
        if maker.began >= record.ended:  # made again since, honestly
            if not same_file:
                why = f"{file} was made again since, with another result"
                of_jobs[folder].append(Finding(Status.STALE, why))
        else:
            why = f"{folder} was made from {file} and knows another record of it"
            of_jobs[dirname(file)].append(Finding(Status.FORGED, f"{RECORD}: {why}"))
    of_jobs[folder] += _kept_code(evidence, record)


def _kept_code(evidence: Evidence, record: Record) -> Iterable[Finding]:
    try:
        if code_store.kept(evidence.root / code_store.FOLDER, record.code) is None:
            yield Finding(Status.MISSING_LINK, f"the code that ran, {record.code}, was not kept")
    except code_store.DamagedCode as error:
        yield Finding(Status.ALTERED, f"the code that ran: {error}")


def _present(evidence: Evidence, jobs: Sequence[PlannedJob], of_jobs: Findings) -> None:
    """Whether the present study, with the present code, would run the same job."""
    reasons = outdated(evidence.root, jobs)
    planned = {job.folder: job for job in jobs}
    for folder, record in evidence.records.items():
        if folder not in planned:
            of_jobs[folder].append(Finding(Status.STALE, "the present study has no such job"))
            of_jobs[folder] += _other_code(record)
            continue
        for reason in reasons.get(folder, []):
            if reason.kind in PRESENT:
                of_jobs[folder].append(Finding(PRESENT[reason.kind], str(reason)))
        if set(planned[folder].files) != set(evidence.links[folder]):
            of_jobs[folder].append(Finding(Status.STALE, "it read other files than are planned"))


def _pinned(evidence: Evidence, of_files: Findings) -> None:
    """Whether the report still pins what it rests on."""
    printed = root.printed(evidence.root / root.REPORT)
    if printed is None or dirname(root.REPORT) not in evidence.records:
        return
    report = evidence.records[dirname(root.REPORT)]
    beneath = evidence.ancestors(dirname(root.REPORT))
    needed = set().union(*(evidence.parents(folder) for folder in beneath))
    if not needed <= set(evidence.records):
        return  # a missing link is a finding of its own
    found = root.digest(evidence.records, beneath)
    if found == printed:
        return
    later = any(evidence.records[folder].began >= report.ended for folder in beneath)
    status = Status.STALE if later else Status.FORGED
    why = f"the report pins {printed}, and what it rests on comes to {found}"
    of_files.setdefault(root.REPORT, []).append(Finding(status, why))


def _other_code(record: Record) -> Iterable[Finding]:
    try:
        present = fingerprint(record.modules)
    except FileNotFoundError as error:
        present = f"without {Path(error.filename).name}"
    if present != record.code:
        yield Finding(Status.OTHER_CODE, f"code fingerprint: {record.code} -> {present}")


def _software(evidence: Evidence, of_jobs: Findings) -> None:
    """Whether a job and all that it rests on were made by one version of each package."""
    used: dict[str, dict[str, frozenset[str]]] = {}
    for folder in evidence.in_order():
        here = {name: frozenset([v]) for name, v in evidence.records[folder].software.items()}
        for parent in evidence.parents(folder):
            for name, versions in used.get(parent, {}).items():
                here[name] = here.get(name, frozenset()) | versions
        used[folder] = here
        mixed = [f"{n} {' and '.join(sorted(v))}" for n, v in sorted(here.items()) if len(v) > 1]
        if mixed:
            of_jobs[folder].append(Finding(Status.MIXED_SOFTWARE, "; ".join(mixed)))


def _artifacts(evidence: Evidence, of_jobs: Findings, of_files: Findings) -> list[Artifact]:
    """Every file that a record accounts for, with what its job and those before it rest on."""
    wrong = {folder for folder, findings in of_jobs.items() if findings}
    wrong |= {dirname(file) for file in of_files} | set(evidence.damaged)
    beneath: dict[str, set[str]] = {}
    artifacts = []
    for folder in evidence.in_order():
        parents = evidence.parents(folder)
        beneath[folder] = set().union(*(beneath.get(p, set()) for p in parents), parents & wrong)
        for name in evidence.records[folder].subjects:
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
    there = {*evidence.records, *evidence.damaged}
    absent = [job.folder for job in jobs if job.folder not in there]
    finding = Finding(Status.ABSENT, "the study plans this job and it has no record")
    return artifacts + [Artifact(f"{folder}/", None, [finding]) for folder in absent]
