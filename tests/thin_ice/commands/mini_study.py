"""A study small enough to run whole in a test: every kind of method, and the jobs of its chain."""

import contextlib
import io
import logging
import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path

from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

RUN = "digits-digits_cnn-pgd_at"
# For every way through the stages: nothing is trained while pruning, scores are, looks come before,
# the dense network teaches, channels go; a mask is found before training, or moves during it. That
# each method keeps its laws is tested by itself.
METHODS = {
    "lwm": {},
    "hydra": {},
    "heracles_radmm": {"trials": 2},
    "pwoa": {},
    "radmm_filter": {"kind": "radmm", "unit": "filter"},
    "li20": {"mask": {"epochs": 1}},
    "flying_bird": {"updates": 2},
}
STUDY = study_from(
    {
        "name": "mini",
        "seeds": [0],
        "threat": {"norm": "Linf", "eps": 0.1},
        "datasets": {"digits": {"validation": 0.2, "limit_train": 150, "limit_test": 30}},
        "models": {"digits_cnn": {"width": 4}},
        "objectives": {"pgd_at": {"steps": 1}},
        "training": {"dense": {"epochs": 2}, "prune": {"epochs": 1}, "finetune": {"epochs": 1}},
        "methods": METHODS,
        "sparsities": [0.5],
        "selection_on_test": True,
        "autoattack": {
            "version": "custom",
            "attacks": ["apgd-ce", "square"],
            "square_queries": 20,
            "shard_size": 20,
        },
        "distances": {
            "attacks": [
                {"kind": "fmn", "norm": "Linf", "steps": 5, "max_stepsize": 1},
                {"kind": "apgd", "norm": "Linf", "steps": 3, "bisections": 2, "targets": 2},
                {"kind": "fab", "norm": "Linf", "steps": 3, "targets": 2},
            ]
        },
        "certification": {
            "bounds": ["ibp", "crown_ibp"],
            "rounds": 2,
            "smoothing": {"sigma": 0.1, "n0": 5, "n": 30, "alpha": 0.01},
        },
        "breaking": {"rounds": 1},
        "twins": 3,
        "indicators": {"samples": 10, "points": 2},
        "analysis": {"bootstrap": 20},
    }
)


@dataclass(frozen=True)
class Step:
    """One job of the chain: what its rule says of it. Paths are below the study's folder."""

    stage: str
    job: str
    folder: str
    files: tuple[str, ...]  # that it declares, beside its record
    inputs: dict[str, list[str]] = field(default_factory=dict)

    def arguments(self, root: Path) -> list[str]:
        """The words of its command line after ``python -m thin_ice``."""
        words = [self.stage, "--job", self.job]
        for name, paths in self.inputs.items():
            words += [f"--{name}", *(str(root / path) for path in paths)]
        log = root / "logs" / f"{self.folder}.log"
        return [*words, "--record", str(self.record(root)), "--log", str(log), "--device", "cpu"]

    def record(self, root: Path) -> Path:
        return root / self.folder / "provenance.json"

    def outputs(self, root: Path) -> list[Path]:
        return [root / self.folder / name for name in self.files]


DATASET = "data/digits/dataset.safetensors"
MODEL = ("model.safetensors", "history.csv")
FILES = {  # what each stage writes beside its record
    "study": ("study.yaml",),
    "dataset": ("dataset.safetensors",),
    "dense": MODEL,
    "prune": MODEL,
    "finetune": MODEL,
    "mask": MODEL,
    "train_masked": MODEL,
    "train_sparse": MODEL,
    "selection": ("selection.csv", "samples.parquet"),
    "autoattack": ("outcomes.parquet", "examples.safetensors", "checks.json"),
    "evaluate": ("samples.parquet", "metrics.json"),
    "distances": ("distances.parquet",),
    "certify": ("certified.parquet", "certified.json"),
    "breaking": ("breaking.parquet",),
    "twins": ("twins.safetensors", "twins.parquet"),
    "indicators": ("indicators.parquet", "indicators.json"),
    "rivals": ("rivals.parquet",),
    "sensitivity": ("sensitivity.parquet",),
    "compact": ("stored.safetensors", "size.json"),
    "analyse": (
        *("accuracy.csv", "overestimate.csv", "thin_ice.csv", "curves.csv", "optimality.csv"),
        *("predictors.csv", "thickness.csv", "joint.csv", "classes.csv", "pies.csv"),
        *("overlap.csv", "movement.csv", "sizes.csv", "preservation.csv", "certified.csv"),
        *("training.csv", "samples.parquet"),
    ),
}


def steps() -> list[Step]:
    """Every job up to the analysis, in an order that serves each one's inputs."""
    return [
        Step(
            job.stage,
            job.text,
            job.folder,
            FILES[job.stage],
            {name: list(files) for name, files in job.inputs.items()},
        )
        for job in planned_jobs(STUDY)
        if job.stage in FILES
    ]


def call(arguments: list[str]) -> tuple[int, str]:
    """What ``python -m thin_ice ARGUMENTS`` does, in this process: its status and its stderr."""
    before, errors = sys.argv, io.StringIO()
    sys.argv = ["thin_ice", *map(str, arguments)]
    try:
        with contextlib.redirect_stderr(errors):
            runpy.run_module("thin_ice", run_name="__main__")
    except SystemExit as end:
        return end.code, errors.getvalue()
    finally:
        sys.argv = before
        log = logging.getLogger("thin_ice")
        log.handlers.clear()
        log.propagate = True
        log.setLevel(logging.NOTSET)
    raise AssertionError("the command did not end by sys.exit")


def run(step: Step, root: Path) -> None:
    status, errors = call(step.arguments(root))
    assert status == 0, f"{step.folder}: {errors}"
