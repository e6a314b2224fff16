"""The trained networks of a finished study: how each came about and what was measured of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import basename, join

from thin_ice.provenance.crate.entities import Tree
from thin_ice.provenance.crate.study import FinishedJob, FinishedStudy

MODEL, METRICS = "model.safetensors", "metrics.json"
EVALUATE = "evaluate"


@dataclass(frozen=True)
class Network:
    """A trained network with what is known of it.

    Attributes:
        name: ``STUDY/FOLDER``.
        path: of its file, below the study's folder.
        job: that made it.
        history: the jobs that made the networks it was made from, the nearest first.
        threat: of the study: ``Linf, eps 0.2``.
        dataset: name of the dataset as it was really read.
        numbers: contents of its metrics.json; None if it was not evaluated.
    """

    name: str
    path: str
    job: FinishedJob
    history: tuple[FinishedJob, ...]
    threat: str
    dataset: str
    numbers: Tree | None

    @property
    def variant(self) -> str:
        return self.job.parameters["variant"]

    @property
    def unit(self) -> str | None:
        """What its method pruned by; None of a network that no method pruned."""
        units = [
            job.parameters["method"]["unit"]
            for job in (self.job, *self.history)
            if "method" in job.parameters
        ]
        return units[0] if units else None

    @property
    def objective(self) -> Tree | None:
        """What trained it; None of a network that was taken as it came."""
        return self.job.parameters.get("objective")


def networks(study: FinishedStudy, numbers: dict[str, Tree]) -> Iterator[Network]:
    """Every network of a study. ``numbers``: path of a network to what its metrics.json says."""
    threat = "{norm}, eps {eps:g}".format_map(study.resolved["threat"])
    makers = {path: job for job in study.jobs.values() for path in job.outputs}
    for path in sorted(path for path in makers if basename(path) == MODEL):
        history = tuple(_history(makers, path))
        read = [makers[file] for file in history[0].inputs]
        dataset = next(job.record.run["dataset"] for job in read if "dataset" in job.record.run)
        name = f"{study.resolved['name']}/{history[0].folder}"
        yield Network(name, path, history[0], history[1:], threat, dataset, numbers.get(path))


def _history(makers: dict[str, FinishedJob], path: str | None) -> Iterator[FinishedJob]:
    """The job that made a network, then that of the network it started from, and so on."""
    while path is not None:
        yield makers[path]
        path = next((file for file in makers[path].inputs if basename(file) == MODEL), None)


def evaluated(study: FinishedStudy) -> dict[str, str]:
    """Path of each evaluated network to the metrics.json that measures it."""
    return {
        file: join(job.folder, METRICS)
        for job in study.jobs.values()
        if job.stage == EVALUATE
        for file in job.inputs
        if basename(file) == MODEL
    }
