"""The questions that an audit asks of each job of a study.

Is its record as it was written (`record`)? Are its outputs what the record says (`outputs`)? Is
what it read what the records before it say was made (`chain`), and the code that ran kept
(`kept_code`)? Would the present study and the present code make the same again (`present`)? Was
one version of each package at work (`software`)? Does the report pin what it rests on (`pinned`)?

An honest run that was interrupted has jobs that were made from earlier versions of their inputs.
They are told from forgeries by time: the record of an input that was made again begins after the
job that read the earlier one had ended.
"""

from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename, dirname, join

from thin_ice.provenance import code_store, root
from thin_ice.provenance.evidence import Evidence
from thin_ice.provenance.finding import Finding, Findings, Status
from thin_ice.provenance.fingerprint import fingerprint
from thin_ice.provenance.outdated import outdated
from thin_ice.provenance.planned import RECORD, PlannedJob
from thin_ice.provenance.statement import Record

PRESENT = {  # what a reason to run again says of an artifact that is there
    "parameter": Status.STALE,
    "software": Status.STALE,
    "source": Status.STALE,
    "code": Status.OTHER_CODE,
}


def record(evidence: Evidence, folder: str, signers: Mapping | None) -> list[Finding]:
    """Whether a record is as it was written."""
    job = evidence.records[folder]
    wrong = []
    if not job.sealed:
        wrong.append("it was edited: its seal is broken")
    if not job.command_fits:
        wrong.append("its command line does not run the job that it names")
    if not job.made_in(folder):
        wrong.append("its command line wrote it for another folder")
    if not job.subjects:
        wrong.append("it names no output")
    if any("/" in name or name in ("", RECORD) for name in job.subjects):
        wrong.append("it lays claim to files outside its folder")
    if signers is not None and (why := signers.get(folder, "it has no signature")):
        wrong.append(why)
    return [Finding(Status.FORGED, f"{RECORD}: {why}") for why in wrong]


def outputs(evidence: Evidence, folder: str, of_files: Findings) -> None:
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


def chain(
    evidence: Evidence, folder: str, of_jobs: Findings, as_written: set[str], remarks: list[str]
) -> None:
    """Whether what a job read is what was made.

    ``as_written``: folders whose records are; only those bear witness, of times or against others.
    """
    job = evidence.records[folder]
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
        if {folder, dirname(file)} <= as_written and maker.began >= job.ended:
            if same_file:  # made again since, honestly
                remarks.append(f"{file} was made again after {folder}, with the same result")
            else:
                why = f"{file} was made again since, with another result"
                of_jobs[folder].append(Finding(Status.STALE, why))
        else:
            why = f"{folder} was made from {file} and knows another record of it"
            accused = dirname(file) if folder in as_written else folder
            of_jobs[accused].append(Finding(Status.FORGED, f"{RECORD}: {why}"))


def kept_code(evidence: Evidence, of_jobs: Findings) -> None:
    """Whether the sources that ran are kept; many jobs ran the same."""
    of_code: Findings = {}
    for folder, job in evidence.records.items():
        if job.code not in of_code:
            of_code[job.code] = list(_kept(evidence, job.code))
        of_jobs[folder] += of_code[job.code]


def _kept(evidence: Evidence, ran: str) -> Iterable[Finding]:
    try:
        if code_store.kept(evidence.root / code_store.FOLDER, ran) is None:
            yield Finding(Status.MISSING_LINK, f"the code that ran, {ran}, was not kept")
    except code_store.DamagedCode as error:
        yield Finding(Status.ALTERED, f"the code that ran: {error}")


def present(evidence: Evidence, jobs: Sequence[PlannedJob], of_jobs: Findings) -> None:
    """Whether the present study, with the present code, would run the same job."""
    reasons = outdated(evidence.root, jobs)
    planned = {job.folder: job for job in jobs}
    for folder, job in evidence.records.items():
        if folder not in planned:
            of_jobs[folder].append(Finding(Status.STALE, "the present study has no such job"))
            of_jobs[folder] += _other_code(job)
            continue
        for reason in reasons.get(folder, []):
            if reason.kind in PRESENT:
                of_jobs[folder].append(Finding(PRESENT[reason.kind], str(reason)))
        if set(planned[folder].files) != set(evidence.links[folder]):
            of_jobs[folder].append(Finding(Status.STALE, "it read other files than are planned"))


def pinned(evidence: Evidence, of_jobs: Findings, of_files: Findings) -> None:
    """Whether the report still pins what it rests on."""
    folder, name = dirname(root.REPORT), basename(root.REPORT)
    if folder not in evidence.records:
        return
    recorded = evidence.records[folder].subjects.get(name)
    if recorded is None:
        of_jobs[folder].append(Finding(Status.FORGED, f"{RECORD}: it does not name {name}"))
        return
    printed = root.printed(evidence.root / root.REPORT)
    if finding := _pin(evidence, folder, printed):
        of_files.setdefault(root.REPORT, []).append(finding)
    elif printed is None and evidence.digests.get(root.REPORT) == recorded:
        finding = Finding(Status.FORGED, "it was made without the root digest of what it rests on")
        of_files.setdefault(root.REPORT, []).append(finding)


def _pin(evidence: Evidence, report: str, printed: str | None) -> Finding | None:
    """Whether a printed root is that of what a report rests on."""
    beneath = evidence.ancestors(report)
    found = root.digest(evidence.records, beneath)
    if printed in (None, found):
        return None
    why = f"the report pins {printed}, and what it rests on comes to {found}"
    read = set().union(*(evidence.parents(folder) for folder in (report, *beneath)))
    if not read <= set(evidence.records):
        return None  # a missing link is a finding of its own
    ended = evidence.records[report].ended
    later = any(evidence.records[folder].began >= ended for folder in beneath)
    return Finding(Status.STALE if later else Status.FORGED, why)


def _other_code(record: Record) -> Iterable[Finding]:
    try:
        present = fingerprint(record.modules)
    except (OSError, ValueError, SyntaxError) as error:
        present = f"not to be had: {error}"
    if present != record.code:
        yield Finding(Status.OTHER_CODE, f"code fingerprint: {record.code} -> {present}")


def software(evidence: Evidence, of_jobs: Findings) -> None:
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
