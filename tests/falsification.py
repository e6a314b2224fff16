"""A copy of a finished study in the hands of somebody who changes what it says."""

import functools
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from posixpath import dirname, join, normpath

from tiny_study import TINY

from thin_ice.files import sha256
from thin_ice.provenance import root
from thin_ice.provenance.audit import Audit, audit
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.planned import RECORD, PlannedJob
from thin_ice.provenance.signing import judge_signatures, read_public_keys
from thin_ice.provenance.statement import SEAL, sealed
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

TWO_SEEDS = TINY | {"seeds": [0, 1]}
RUN = "digits-digits_cnn-pgd_at"
DATA, ANALYSIS, REPORT = "data/digits", f"{RUN}/analysis", "report"
PAGE = "report/report.html"
DENSE, OTHER_DENSE = f"{RUN}/seed0/dense", f"{RUN}/seed1/dense"
TUNED, PRUNED = f"{RUN}/seed0/lwm-0.5", f"{RUN}/seed0/lwm-0.5/pruned"
DISTANCES, SHARD = f"{DENSE}/distances", f"{DENSE}/autoattack/shard0"
EVALUATION = f"{DENSE}/evaluation"
# Jobs that read the dense network's distances.
MEASURED_FROM = (f"{DENSE}/breaking", f"{DENSE}/twins", ANALYSIS)


@functools.cache
def planned() -> tuple[PlannedJob, ...]:
    """The jobs of the study that was run."""
    return tuple(planned_jobs(study_from(TWO_SEEDS)))


def planned_with(**changes) -> list[PlannedJob]:
    """The jobs of the same study with other values under some of its keys."""
    return planned_jobs(study_from(TWO_SEEDS | changes))


def folders() -> list[str]:
    return [job.folder for job in planned()]


class Copy:
    """A study's folder, to be falsified."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def record(self, folder: str) -> Path:
        return self.root / folder / RECORD

    def statement(self, folder: str) -> dict:
        return json.loads(self.record(folder).read_bytes())

    def write(self, folder: str, statement: dict) -> None:
        self.record(folder).write_text(json.dumps(statement, indent=2) + "\n", encoding="utf-8")

    def edit(self, folder: str, change: Callable[[dict], object]) -> None:
        """Change what a record says and leave its seal as it was."""
        statement = self.statement(folder)
        change(statement)
        self.write(folder, statement)

    def reseal(self, folder: str, change: Callable[[dict], object] = lambda statement: None):
        """Change what a record says and seal it again, as it would have been written."""
        statement = self.statement(folder)
        change(statement)
        details = statement["predicate"]["runDetails"]
        details["byproducts"] = [b for b in details["byproducts"] if b.get("name") != SEAL]
        self.write(folder, sealed(statement))

    def fix_outputs(self, statement: dict, folder: str) -> None:
        """Have a record say what its files are now."""
        for subject in statement["subject"]:
            subject["digest"]["sha256"] = sha256(self.root / folder / subject["name"])

    def fix_inputs(self, statement: dict, folder: str) -> None:
        """Have a record say what the files and records are now that its job read."""
        for entry in dependencies(statement):
            if entry.get("annotations", {}).get("source"):
                continue
            file = normpath(join(folder, entry["name"]))
            entry["digest"]["sha256"] = sha256(self.root / file)
            made = entry["annotations"]["record"]
            made["digest"]["sha256"] = sha256(self.record(dirname(file)))

    def rewrite(self, names: Iterable[str]) -> None:
        """Have the records in these folders, each after those it names, agree with the files."""
        for folder in names:
            statement = self.statement(folder)
            self.fix_outputs(statement, folder)
            self.fix_inputs(statement, folder)
            self.write(folder, statement)
            self.reseal(folder)

    def print_root(self) -> None:
        """Have the report print the root of what it rests on now."""
        page, evidence = self / PAGE, gather(self.root)
        new = root.digest(evidence.records, evidence.ancestors(REPORT))
        page.write_text(page.read_text().replace(root.printed(page), new))

    def flip(self, name: str) -> None:
        """One bit in the middle of a file."""
        content = bytearray((self / name).read_bytes())
        content[len(content) // 2] ^= 1
        (self / name).write_bytes(content)

    def swap(self, one: str, other: str) -> None:
        (self / one).rename(self / "between")
        (self / other).rename(self / one)
        (self / "between").rename(self / other)

    def raise_accuracy(self) -> None:
        """A better figure in the table that the report is made from."""
        table = self / f"{ANALYSIS}/accuracy.csv"
        *lines, last = table.read_text().splitlines()
        assert last.count(",") > 3
        table.write_text("\n".join([*lines, last.replace("0.", "0.9", 1)]) + "\n")

    def audit(
        self, jobs: Sequence[PlannedJob] | None = None, keys: Sequence[Path] | None = None
    ) -> Audit:
        evidence = gather(self.root)
        signers = judge_signatures(evidence, read_public_keys(list(keys))) if keys else None
        return audit(evidence, planned() if jobs is None else jobs, signers)

    def found(self, *arguments, **words) -> dict[str, str]:
        """Every artifact with a finding, and its gravest."""
        return accused(self.audit(*arguments, **words))


def accused(found: Audit) -> dict[str, str]:
    return {one.path: str(one.status) for one in found.artifacts if one.findings}


def copied(finished: Path, target: Path) -> Copy:
    shutil.copytree(finished, target)
    return Copy(target)


def dependencies(statement: dict) -> list[dict]:
    return statement["predicate"]["buildDefinition"]["resolvedDependencies"]


def job(statement: dict) -> dict:
    return statement["predicate"]["buildDefinition"]["externalParameters"]


def internal(statement: dict) -> dict:
    return statement["predicate"]["buildDefinition"]["internalParameters"]


def details(statement: dict) -> dict:
    return statement["predicate"]["runDetails"]


def run(statement: dict) -> dict:
    return details(statement)["byproducts"][0]["annotations"]
