"""A finished study as its records tell it: what a crate is made from."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from posixpath import join
from typing import Any

from thin_ice.provenance.code_store import FOLDER as CODE
from thin_ice.provenance.code_store import kept
from thin_ice.provenance.evidence import Evidence
from thin_ice.provenance.outdated import inputs_of
from thin_ice.provenance.planned import RECORD, PlannedJob
from thin_ice.provenance.statement import Record

STUDY = "study"  # folder of the job that saves the resolved study


@dataclass(frozen=True)
class FinishedJob:
    """A job that has run. Paths are below the study's folder."""

    folder: str
    record: Record

    @property
    def stage(self) -> str:
        return self.record.job["stage"]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.record.job["parameters"]

    @property
    def record_path(self) -> str:
        return join(self.folder, RECORD)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Files of the study that it read, with their digests."""
        return inputs_of(self.record, self.folder)

    @cached_property
    def sources(self) -> dict[str, str]:
        """Files from outside the study that it read, by name, with their digests."""
        return {one.name: one.sha256 for one in self.record.dependencies if one.source}

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Files that it wrote, with their digests."""
        return {join(self.folder, name): digest for name, digest in self.record.subjects.items()}

    @property
    def started(self) -> str:
        """As the record has it: ISO 8601, UTC."""
        return self._times["startedOn"]

    @property
    def finished(self) -> str:
        """As the record has it: ISO 8601, UTC."""
        return self._times["finishedOn"]

    @property
    def _times(self) -> dict[str, str]:
        return self.record.statement["predicate"]["runDetails"]["metadata"]


@dataclass(frozen=True)
class FinishedStudy:
    """The jobs of a study by their folder, and where its files lie."""

    root: Path
    jobs: dict[str, FinishedJob]

    @property
    def resolved(self) -> dict[str, Any]:
        """The study with every default filled in."""
        return self.jobs[STUDY].parameters["study"]

    @property
    def started(self) -> str:
        return min(self.jobs.values(), key=lambda job: job.record.began).started

    @property
    def finished(self) -> str:
        return max(self.jobs.values(), key=lambda job: job.record.ended).finished

    @cached_property
    def digests(self) -> dict[str, str]:
        """Every artifact with its digest."""
        return {path: made for job in self.jobs.values() for path, made in job.outputs.items()}

    @cached_property
    def kept_code(self) -> frozenset[str]:
        """Those fingerprints of code that ran whose sources are kept. Raises `DamagedCode`."""
        ran = {job.record.code for job in self.jobs.values()}
        return frozenset(one for one in ran if kept(self.root / CODE, one) is not None)

    def versions(self, package: str) -> list[str]:
        """Every version of a package that jobs ran with."""
        found = {job.record.versions.get(package) for job in self.jobs.values()}
        return sorted(version for version in found if version)


def finished_study(evidence: Evidence, jobs: Iterable[PlannedJob]) -> FinishedStudy:
    """The jobs of a study that an audit has found whole; leftovers of other studies stay out."""
    folders = [job.folder for job in jobs]
    found = {folder: FinishedJob(folder, evidence.records[folder]) for folder in folders}
    return FinishedStudy(evidence.root, found)
