"""Say of each artifact that is out of date which key, line of code or input changed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from thin_ice.provenance import code_store
from thin_ice.provenance.differences import ABSENT, Change, changed_lines
from thin_ice.provenance.fingerprint import Sources, normalised, sources
from thin_ice.provenance.outdated import FINGERPRINT, NOT_MADE, UPSTREAM, Reason, Reasons
from thin_ice.provenance.planned import PlannedJob

SHORT = 12  # letters of a digest that a person compares


def explained(
    root: Path, jobs: Iterable[PlannedJob], found: Mapping[str, Reasons]
) -> dict[str, Reasons]:
    """The same reasons, with the lines of code in place of fingerprints where they are kept."""
    modules = {job.folder: tuple(job.job["code"]["modules"]) for job in jobs}
    seen: dict[tuple, Reasons] = {}

    def lines(folder: str, reason: Reason) -> Reasons:
        key = (reason.change.old, modules[folder])
        if key not in seen:
            seen[key] = _lines(root, reason, modules[folder])
        return seen[key]

    return {
        folder: [
            one
            for reason in reasons
            for one in (lines(folder, reason) if _is_print(reason) else [reason])
        ]
        for folder, reasons in found.items()
    }


def _is_print(reason: Reason) -> bool:
    return reason.kind == "code" and reason.change.what == FINGERPRINT


def _lines(root: Path, reason: Reason, modules: Sequence[str]) -> Reasons:
    try:
        before = code_store.kept(root / code_store.FOLDER, reason.change.old)
    except code_store.DamagedCode:
        before = None
    if before is None:
        return [reason]
    changes = changed_code(before, sources(modules))
    return [Reason("code", change) for change in changes] or [reason]


def changed_code(old: Sources, new: Sources) -> list[Change]:
    """The lines in which two sets of sources differ, files that count the same left out."""
    changes: list[Change] = []
    for file in sorted({*old, *new}):
        if file not in new:
            changes.append(Change(file, "was reached", ABSENT))
        elif file not in old:
            changes.append(Change(file, ABSENT, "is reached"))
        elif not file.endswith(".py") or normalised(old[file]) != normalised(new[file]):
            changes += changed_lines(file, old[file], new[file])
    return changes


def as_text(found: Mapping[str, Reasons], jobs: Sequence[PlannedJob]) -> str:
    """For people: artifacts that are out of date for the same reasons stand together, and those
    that only follow from others, each with the ones it is made from, at the end.
    """
    titles = {job.folder: f"{job.stage:<12}{job.folder}" for job in jobs}
    groups: dict[tuple[str, ...], list[str]] = {}
    followers = []
    for folder, reasons in found.items():
        if own := tuple(_said(reason) for reason in reasons if reason.kind != UPSTREAM):
            groups.setdefault(own, []).append(titles[folder])
        else:
            followers.append(f"{titles[folder]} <- {_listed(reasons)}")
    lines = [summary(found, jobs)]
    for own, folders in groups.items():
        lines += ["", *folders, *(f"    {reason}" for reason in own)]
    if followers:
        lines += ["", "made from these:", *followers]
    return "\n".join(lines) + "\n"


def _listed(reasons: Reasons) -> str:
    """What a follower is made from; where it is more than a line holds, how many more."""
    first, more = reasons[0].change.what, len(reasons) - 1
    return first + (f" and {more} more" if more else "")


def summary(found: Mapping[str, Reasons], jobs: Sequence[PlannedJob]) -> str:
    """One line: how many jobs of which stage are out of date, and how many not made yet."""
    new = {folder for folder, reasons in found.items() if reasons[0].kind == NOT_MADE}
    parts = []
    for folders, are in ((found.keys() - new, "are out of date"), (new, "are not made yet")):
        if folders:
            stages = Counter(job.stage for job in jobs if job.folder in folders)
            listed = ", ".join(f"{stage} {count}" for stage, count in stages.items())
            parts.append(f"{len(folders)} of {len(jobs)} jobs {are}: {listed}")
    return "; ".join(parts) or f"all {len(jobs)} jobs are up to date"


def as_json(found: Mapping[str, Reasons]) -> dict:
    """For programs: folder to reasons."""
    return {
        folder: [{"kind": reason.kind, **vars(reason.change)} for reason in reasons]
        for folder, reasons in found.items()
    }


def _said(reason: Reason) -> str:
    if reason.kind not in ("input", "source"):
        return str(reason)
    change = reason.change
    return f"{reason.kind} {Change(change.what, change.old[:SHORT], change.new[:SHORT])}"
