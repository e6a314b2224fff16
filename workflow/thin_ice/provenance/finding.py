"""What an audit can say of an artifact."""

from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """From the gravest down; an artifact is counted under the first that it has."""

    FORGED = "forged"
    ALTERED = "altered"
    MISSING_LINK = "missing link"
    ORPHAN = "orphan"
    ABSENT = "absent"
    OTHER_CODE = "other code"
    STALE = "stale"
    MIXED_SOFTWARE = "mixed software"
    INTACT = "intact"

    @property
    def means(self) -> str:
        return MEANINGS[self]


MEANINGS = {
    Status.FORGED: "its record is not as it was written, or not signed by a given key",
    Status.ALTERED: "its contents are not those that its record says were made",
    Status.MISSING_LINK: "a file or record between it and the dataset or the code is gone",
    Status.ORPHAN: "no record made it",
    Status.ABSENT: "the study plans it and it is not there",
    Status.OTHER_CODE: "made by other code than the present",
    Status.STALE: "not what the present study plans, or made from what has changed since",
    Status.MIXED_SOFTWARE: "made, with all that it rests on, by more than one version of a package",
    Status.INTACT: "it is what its record says, down to the dataset and the code",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in a sentence."""

    status: Status
    why: str


@dataclass
class Artifact:
    """A file of a study, by its path below the study's folder, and what was found of it.

    ``rests_on``: folders of jobs that it was made from, at any depth, with findings of their own.
    """

    path: str
    sha256: str | None
    findings: list[Finding] = field(default_factory=list)
    rests_on: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        order = list(Status)
        return min((one.status for one in self.findings), key=order.index, default=Status.INTACT)

    @property
    def sound(self) -> bool:
        """Intact, and so is all that it rests on."""
        return self.status is Status.INTACT and not self.rests_on


Findings = dict[str, list[Finding]]  # by folder of a job, or by file
