"""What a finished study measured of each network, gathered from its records and finished tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import join
from typing import Any

import pandas as pd

from thin_ice.provenance.crate.networks import MODEL, Network, networks
from thin_ice.provenance.crate.study import FinishedStudy
from thin_ice.provenance.crate.values import read_numbers

DISTANCES = "distances/distances.parquet"
UNPRUNED = ("dense", "dense_again")
EMPTY_LAYER = "empty_layer"  # a sign of collapse whose layers are named
FULL_TEST = 10_000  # samples of CIFAR-10's test set
GREY_LEVELS = 255


@dataclass(frozen=True)
class Measured:
    """An evaluated network of a finished study.

    Attributes:
        network: how it came about; ``numbers`` are there.
        study: resolved.
        sha256: of its file.
        distance_robust_percent: share of test samples that are right and farther than the threat
            model's eps from the boundary, by minimum-norm attacks; None where none were run on it
            in the threat model's norm.
    """

    network: Network
    study: dict[str, Any]
    sha256: str
    distance_robust_percent: float | None

    @property
    def numbers(self) -> dict[str, Any]:
        return self.network.numbers

    @property
    def folder(self) -> str:
        """``RUN/seedN/VARIANT``."""
        return self.network.path.removesuffix(f"/{MODEL}")

    @property
    def labels(self) -> tuple[str, str, str]:
        """Labels of dataset, model and objective."""
        dataset, model, objective = self.folder.split("/")[0].split("-")
        return dataset, model, objective

    @property
    def seed(self) -> int:
        return int(self.folder.split("/")[1].removeprefix("seed"))

    @property
    def method(self) -> str:
        """Label of the method; ``dense`` or ``dense_again`` where it is not pruned."""
        return self.network.variant.partition("-")[0]

    @property
    def pruned(self) -> bool:
        return self.method not in UNPRUNED

    @property
    def sparsity(self) -> float:
        return float(self.network.variant.partition("-")[2] or 0)

    @property
    def model(self) -> dict[str, Any]:
        return self.study["models"][self.labels[1]]

    @property
    def eps(self) -> float:
        return self.study["threat"]["eps"]

    @property
    def norm(self) -> str:
        return self.study["threat"]["norm"]

    @property
    def eps_name(self) -> str:
        """``8/255`` where it is a whole number of grey levels; else a decimal."""
        levels = self.eps * GREY_LEVELS
        if self.norm == "Linf" and abs(levels - round(levels)) < 1e-6:
            return f"{round(levels)}/{GREY_LEVELS}"
        return f"{self.eps:g}"

    @property
    def came(self) -> bool:
        """Whether its dense network is from elsewhere."""
        return self.model["checkpoint"] is not None

    @property
    def normalises(self) -> bool:
        """Whether it normalises images itself, inside the network."""
        checkpoint = self.model["checkpoint"]
        return self.model["normalize"] or bool(checkpoint and checkpoint["mean"])

    def departures(self) -> Iterator[str]:
        """How a network and its measurement differ from those of the leaderboards, which know the
        training and run AutoAttack's standard version on the whole test set.
        """
        attack = self.study["autoattack"]
        if self.came:
            yield "the dense network is as it came; its training is not known here"
        if attack["version"] != "standard":
            attacks = f" ({', '.join(attack['attacks'])})" if attack.get("attacks") else ""
            yield f"AutoAttack's version is {attack['version']}{attacks}, not standard"
        if (samples := self.numbers["samples"]) != FULL_TEST:
            yield f"{samples} test samples were attacked, not {FULL_TEST}"
        # Results of earlier versions were not looked at for a collapse.
        collapse = self.numbers.get("collapse", {"signs": [], "empty_layers": []})
        if signs := [sign for sign in collapse["signs"] if sign != EMPTY_LAYER]:
            yield f"the network has collapsed ({', '.join(signs).replace('_', ' ')})"
        if collapse["empty_layers"]:
            yield f"no weight is left in {', '.join(collapse['empty_layers'])}"
        if self.numbers["dataset"].endswith("-jpeg"):
            yield "the images are a JPEG copy of the dataset, on which accuracies are others"


def measured(study: FinishedStudy) -> Iterator[Measured]:
    """Every evaluated network of a study, in the order of their folders."""
    numbers = {
        join(job.folder.removesuffix("/evaluation"), MODEL): read_numbers(
            study.root / job.folder / "metrics.json"
        )
        for job in study.jobs.values()
        if job.stage == "evaluate"
    }
    for network in networks(study, numbers):
        if network.numbers is not None:
            share = _robust_by_distance(study, network.path.removesuffix(f"/{MODEL}"))
            yield Measured(network, study.resolved, study.digests[network.path], share)


def _robust_by_distance(study: FinishedStudy, folder: str) -> float | None:
    """In percent. Misclassified samples have a negative signed distance, and those for which no
    adversarial was found an infinite one: they count as robust, as the attack left them.
    """
    path, threat = join(folder, DISTANCES), study.resolved["threat"]
    if path not in study.digests:
        return None
    table, column = pd.read_parquet(study.root / path), f"signed_distance_{threat['norm'].lower()}"
    return 100 * float((table[column] > threat["eps"]).mean()) if column in table else None
