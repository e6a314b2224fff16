"""What lies in a study's folder, read once for an audit: files, digests, records, signatures."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import basename, dirname, join
from typing import NamedTuple

from thin_ice.errors import ThinIceError
from thin_ice.provenance.code_store import FOLDER as CODE
from thin_ice.provenance.many_files import read_all, sha256_of_all
from thin_ice.provenance.outdated import dependencies_of
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import DamagedRecord, Record, record_of

ENVELOPE = "provenance.dsse.json"
LOGS = "logs"
CHECKPOINT = ".checkpoint.safetensors"  # what a job that has not finished leaves


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
    there = sorted(_scan(root)) if root.is_dir() else []
    files = [path for path, is_file in there if is_file]
    if not any(basename(path) == RECORD for path in files):
        raise ThinIceError(f"{root} holds no study: there is no {RECORD} in it")
    artifacts = [path for path in files if _is_artifact(path)]
    texts = _texts_of_records(root, artifacts)
    others = [path for path in artifacts if path not in texts]
    with ThreadPoolExecutor(1) as beside:  # records are parsed while the disk is waited for
        hashing = beside.submit(sha256_of_all, [root / path for path in others], memory)
        records, damaged = _parse(root, texts)
        digests = {path: hashlib.sha256(text).hexdigest() for path, text in texts.items()}
    return Evidence(
        root,
        digests | dict(zip(others, hashing.result().values(), strict=True)),
        records,
        {folder: _links(folder, record) for folder, record in records.items()},
        damaged,
        sorted({dirname(path) for path in files if basename(path) == CHECKPOINT}),
        [path for path, is_file in there if not is_file and _is_artifact(path)],
    )


def _texts_of_records(root: Path, artifacts: Iterable[str]) -> dict[str, bytes]:
    """What the records hold, by their paths: read once, so that what is judged is what was hashed,
    and before all else, since a small file waits long beside many large ones.
    """
    paths = [path for path in artifacts if basename(path) == RECORD]
    return dict(zip(paths, read_all(root / path for path in paths), strict=True))


def _parse(root: Path, texts: Mapping[str, bytes]) -> tuple[dict[str, Record], dict[str, str]]:
    """By folder, the records that can be understood, and why others cannot."""
    records, damaged = {}, {}
    for path, text in texts.items():
        try:
            records[dirname(path)] = record_of(text, root / path)
        except DamagedRecord as error:
            damaged[dirname(path)] = str(error)
    return records, damaged


def _scan(folder: Path, below: str = "") -> Iterator[tuple[str, bool]]:
    """Whatever lies in a folder and is no folder, at any depth, and whether it is a file or leads
    to one. Links to folders are not followed.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            path = join(below, entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from _scan(Path(entry.path), path)
            else:
                yield path, Path(entry.path).is_file() if entry.is_symlink() else entry.is_file()


def _links(folder: str, record: Record) -> dict[str, Link]:
    return {
        file: Link(one.sha256, one.record and one.record[1])
        for file, one in dependencies_of(record, folder).items()
    }


def _is_artifact(path: str) -> bool:
    """Logs are what a job said, not what it made; kept code is checked against its name."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and path.split("/")[0] not in (LOGS, CODE)
