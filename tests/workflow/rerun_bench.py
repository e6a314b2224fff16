"""A finished study in a copy of the checkout, to be edited, and what would run again afterwards."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from dry_runs import in_a_fork
from miniature import REPOSITORY, set_key

from thin_ice.provenance.statement import SEAL, sealed

STUDY = {
    "name": "reruns",
    "seeds": [0, 1],
    "threat": {"norm": "Linf", "eps": 0.1},
    "datasets": {"digits": {"validation": 0.2, "limit_train": 60, "limit_test": 20}},
    "models": {"digits_cnn": {"width": 2}},
    "objectives": {"pgd_at": {"steps": 1}},
    "training": {
        "dense": {"epochs": 1, "lr": 0.05, "momentum": 0.8},
        "prune": {"epochs": 1},
        "finetune": {"epochs": 1},
    },
    "methods": {"lwm": {"sparsities": [0.5, 0.9]}, "hydra": {}},
    "sparsities": [0.5],
    "selection_on_test": True,
    "autoattack": {
        "version": "custom",
        "attacks": ["square"],
        "square_queries": 2,
        "batch_size": 20,
        "shard_size": 20,
    },
    "distances": {"attacks": [{"kind": "fmn", "norm": "Linf", "steps": 2, "max_stepsize": 1}]},
    "certification": {"bounds": ["ibp"], "rounds": 1},
    "breaking": {"rounds": 1},
    "twins": 2,
    "indicators": {"samples": 5, "points": 1},
    "analysis": {"bootstrap": 5},
    "rerun_on_upgrade": ["seaborn"],
}
RUN = "digits-digits_cnn-pgd_at"
DENSE, AGAIN, PRUNED = ("dense",), ("dense_again",), ("lwm-0.5", "lwm-0.9", "hydra-0.5")

FOLDERS = {  # of every stage, below the study's folder: where its record and outputs go
    "study": "study",
    "dataset": "data/{dataset}",
    "dense": "{run}/seed{seed}/dense",
    "prune": "{run}/seed{seed}/{variant}/pruned",
    "finetune": "{run}/seed{seed}/{variant}",
    "selection": "{run}/seed{seed}/{variant}/selection",
    "autoattack": "{run}/seed{seed}/{variant}/autoattack/shard{shard}",
    "evaluate": "{run}/seed{seed}/{variant}/evaluation",
    "distances": "{run}/seed{seed}/{variant}/distances",
    "breaking": "{run}/seed{seed}/dense/breaking",
    "twins": "{run}/seed{seed}/dense/twins",
    "indicators": "{run}/seed{seed}/{variant}/indicators",
    "rivals": "{run}/seed{seed}/{variant}/rivals",
    "sensitivity": "{run}/seed{seed}/{variant}/sensitivity",
    "compact": "{run}/seed{seed}/{variant}/compact",
    "certify": "{run}/seed{seed}/{variant}/certified",
    "analyse": "{run}/analysis",
    "report": "report",
}

ON_DENSE = ("dense", "rivals", "breaking", "twins")  # stages of dense networks alone

Jobs = set[tuple[str, str]]  # stage and folder


def jobs(*stages, seeds=(0, 1), variants=DENSE + PRUNED + AGAIN, shards=(0,), run=RUN) -> Jobs:
    """The jobs of these stages (of all where none is named), written out by hand."""
    names = [
        {"run": run, "dataset": run.split("-")[0], "seed": s, "variant": variant, "shard": n}
        for s in seeds
        for variant in variants
        for n in shards
    ]
    return {
        (stage, FOLDERS[stage].format(**name))
        for stage in stages or FOLDERS
        for name in names
        if _has(name["variant"], stage)
    }


def _has(variant: str, stage: str) -> bool:
    """Whether a network has a job of this stage."""
    if stage in ON_DENSE:
        return variant in DENSE
    if stage in ("prune", "selection", "compact"):
        return variant not in DENSE + AGAIN
    return stage not in ("finetune", "sensitivity") or variant not in DENSE


class Checkout:
    """A copy of the checkout in which the study has run; its methods edit it and ask it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results" / STUDY["name"]
        self.library = folder / "workflow" / "thin_ice"

    def write_study(self, study: dict) -> None:
        (self.folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))

    def change_study(self, changes: dict) -> None:
        """Set keys of the study, ``{"threat.eps": 0.2}``; ``...`` removes one."""
        study = json.loads(json.dumps(STUDY))
        for key, value in changes.items():
            set_key(study, key, value)
        self.write_study(study)

    def append(self, file: str, text: str = "\nADDED = 1\n") -> None:
        """Add a line of code to a file of the library."""
        path = self.library / file
        path.write_text(path.read_text() + text)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.library / file
        assert old in path.read_text(), f"{file} no longer has {old!r}; this test needs another"
        path.write_text(path.read_text().replace(old, new))

    def lose(self, path: str) -> None:
        """Delete a file or a folder of the results."""
        whole = self.results / path
        shutil.rmtree(whole) if whole.is_dir() else whole.unlink()

    def line(self, file: str, text: str) -> tuple[int, str]:
        """Number and text of the line of the library that has ``text``."""
        lines = (self.library / file).read_text().splitlines()
        ((number, line),) = [(n, one) for n, one in enumerate(lines, 1) if text in one]
        return number, line

    def record(self, folder: str) -> Path:
        return self.results / folder / "provenance.json"

    def change_record(self, folder: str, change: Callable[[dict], None]) -> None:
        """Change what a record says, and seal it, as if that had been written."""
        statement = json.loads(self.record(folder).read_text())
        change(statement)
        details = statement["predicate"]["runDetails"]
        details["byproducts"] = [one for one in details["byproducts"] if one["name"] != SEAL]
        self.record(folder).write_text(json.dumps(sealed(statement)))

    def dry_run(self, *arguments: str) -> tuple[int, str]:
        """Its exit status and what it prints."""
        return in_a_fork(self.folder, ["-n", "-p", "--configfile=study.yaml", *arguments])

    def commands(self, *arguments: str) -> list[list[str]]:
        """The words of each command that a dry run plans."""
        status, printed = self.dry_run(*arguments)
        assert status == 0, printed
        lines = re.findall(r"^Shell command: (python .*)$", printed, flags=re.MULTILINE)
        return [shlex.split(line) for line in lines]

    def plan(self, *arguments: str, name: str = STUDY["name"]) -> Jobs:
        """The jobs that a dry run plans."""
        planned = [described(words) for words in self.commands(*arguments)]
        found = {
            (stage, record.removeprefix(f"results/{name}/")) for stage, _, _, record in planned
        }
        assert len(found) == len(planned)
        return {(stage, f"{Path(record).parent}") for stage, record in found}

    def run(self, *arguments: str) -> None:
        done = snakemake(self.folder, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def explain(self, *arguments: str) -> subprocess.CompletedProcess:
        """``python -m thin_ice explain``, as a person asks it."""
        command = [sys.executable, "-m", "thin_ice", "explain", "--study", "study.yaml", *arguments]
        library = os.environ | {"PYTHONPATH": f"{self.folder / 'workflow'}"}
        return subprocess.run(
            command, capture_output=True, text=True, env=library, cwd=self.folder, check=False
        )

    def reasons(self) -> dict[str, list[tuple]]:
        """What is out of date by its folder: (kind, what, old, new)."""
        done = self.explain("--json")
        found = json.loads(done.stdout)
        assert done.returncode == (1 if found else 0), done.stderr
        return {folder: [tuple(one.values()) for one in every] for folder, every in found.items()}


def described(words: list[str]) -> tuple[str, str, dict[str, tuple[str, ...]], str]:
    """Of a job's command: its stage, its JSON, the files of each argument, its record."""
    given: dict[str, list[str]] = {}
    for word in words[4:]:
        if word.startswith("--"):
            given[word.removeprefix("--")] = values = []
        else:
            values.append(word)
    (job,), (record,) = given.pop("job"), given.pop("record")
    files = {name: tuple(v) for name, v in given.items() if name not in ("log", "code", "threads")}
    return words[3], job, files, record


def copy_of(checkout: Checkout, folder: Path) -> Checkout:
    """All of it, Snakemake's memory included."""
    shutil.copytree(checkout.folder, folder, symlinks=True)
    return Checkout(folder)


def copied_checkout(folder: Path) -> Checkout:
    """The files of this checkout that run a study, with the study of these tests."""
    folder.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy2(REPOSITORY / name, folder)
    shutil.copytree(REPOSITORY / "workflow", folder / "workflow")
    shutil.copytree(REPOSITORY / "envs", folder / "envs")  # which Snakemake reads, if only to note
    checkout = Checkout(folder)
    checkout.write_study(STUDY)
    return checkout


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake on the study in ``folder``, as a person would."""
    command = [Path(sys.executable).parent / "snakemake", "--configfile", "study.yaml", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(), cwd=folder, check=False
    )


def clean_environment() -> dict[str, str]:
    """The environment of a person who has set nothing up."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
