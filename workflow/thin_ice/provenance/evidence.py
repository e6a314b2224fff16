"""What lies in a study's folder, read once for an audit: files, digests, records, signatures."""

from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import NamedTuple

from thin_ice.errors import ThinIceError
from thin_ice.provenance.code_store import FOLDER as CODE
from thin_ice.provenance.hashing import sha256_of_all
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import DamagedRecord, Record, read_record

ENVELOPE = "provenance.dsse.json"
LOGS = "logs"


class Link(NamedTuple):
    """What a record says of a file that its job read: its digest and its record's."""

    sha256: str
    record: str | None


@dataclass(frozen=True)
class Evidence:
    """A study's folder.

    Attributes:
        root: the folder.
        digests: every file's SHA-256 but those of logs, kept code and hidden files, by its path
            below the root.
        records: by the folder they lie in.
        links: by the same folders, what each job read of the study.
        damaged: folders whose record cannot be read, and why.
        unfinished: folders in which a job has left its state.
        strays: links that lead to no file, and whatever is neither file nor folder.
    """

    root: Path
    digests: dict[str, str]
    records: dict[str, Record]
    links: dict[str, dict[str, Link]]
    damaged: dict[str, str]
    unfinished: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)

    def parents(self, folder: str) -> set[str]:
        """Folders of the jobs that this one read from."""
        return {dirname(file) for file in self.links[folder]}

    def ancestors(self, folder: str) -> set[str]:
        """Folders with records that this one rests on, at any depth, itself left out."""
        found: set[str] = set()
        waiting = [folder]
        while waiting:
            new = self.parents(waiting.pop()) & set(self.records) - found - {folder}
            found |= new
            waiting += new
        return found

    def in_order(self) -> list[str]:
        """Folders with records, each after those that it read from; circles broken anywhere."""
        done: dict[str, None] = {}
        for folder in sorted(self.records):
            self._visit(folder, done)
        return list(done)

    def _visit(self, start: str, done: dict[str, None]) -> None:
        waiting, entered = [start], set()
        while waiting:
            folder = waiting[-1]
            before = [p for p in self.parents(folder) if p in self.records and p not in done]
            if folder in entered or not before:
                done.setdefault(waiting.pop())
            else:
                entered.add(folder)
                waiting += sorted(set(before) - entered)


def gather(root: Path, memory: Path | None = None) -> Evidence:
    """Read a study's folder and hash every artifact in it.

    Args:
        root: the folder, ``results/STUDY``.
        memory: see `sha256_of_all`.

    Raises:
        ThinIceError: the folder is not there or holds no record.
    """
    every = sorted(root.rglob("*")) if root.is_dir() else []
    files = [path for path in every if path.is_file()]
    if not any(path.name == RECORD for path in files):
        raise ThinIceError(f"{root} holds no study: there is no {RECORD} in it")
    below = {path: path.relative_to(root).as_posix() for path in every}
    artifacts = [path for path in files if _is_artifact(below[path])]
    digests = sha256_of_all(artifacts, memory)
    records: dict[str, Record] = {}
    damaged: dict[str, str] = {}
    for path in (path for path in artifacts if path.name == RECORD):
        folder = dirname(below[path])
        try:
            records[folder] = read_record(path)
        except DamagedRecord as error:
            damaged[folder] = str(error)
    state = sorted({dirname(below[p]) for p in files if p.name == ".checkpoint.safetensors"})
    links = {folder: _links(folder, record) for folder, record in records.items()}
    found = {below[path]: digests[path] for path in artifacts}
    strays = [below[path] for path in every if _is_stray(path) and _is_artifact(below[path])]
    return Evidence(root, found, records, links, damaged, state, strays)


def _links(folder: str, record: Record) -> dict[str, Link]:
    return {
        normpath(join(folder, one.name)): Link(one.sha256, one.record and one.record[1])
        for one in record.dependencies
        if not one.source
    }


def _is_stray(path: Path) -> bool:
    return not path.is_file() and (path.is_symlink() or not path.is_dir())


def _is_artifact(path: str) -> bool:
    """Logs are what a job said, not what it made; kept code is checked against its name."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and path.split("/")[0] not in (LOGS, CODE)
