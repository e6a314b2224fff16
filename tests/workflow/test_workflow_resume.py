"""A job killed at any moment and started again ends with what an uninterrupted one ends with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from miniature import MINIATURE, REPOSITORY

from thin_ice.files import sha256
from thin_ice.study.load import study_from

LONGER = {"epochs": 60}  # long enough to be killed in the middle
SPARSE = {stage: {"epochs": 15} for stage in ("mask", "train_masked", "train_sparse")}
STUDY = MINIATURE | {
    "seeds": [0],
    "training": {"dense": LONGER, "prune": LONGER, "finetune": LONGER} | SPARSE,
    "methods": MINIATURE["methods"] | {"imp": {"mask": {"cycles": 3}}, "flying_bird_plus": {}},
    "autoattack": MINIATURE["autoattack"] | {"shard_size": 60, "square_queries": 2000},
}
DENSE, RADMM = "dense", "radmm-0.9"


def command(stage, job, record, **inputs):
    """The command line that a rule runs."""
    words = [sys.executable, "-m", "thin_ice", stage, "--job", job, "--record", record]
    for name, path in inputs.items():
        words += [f"--{name}", path]
    return [str(word) for word in words]


def environment():
    return os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}


def run(words):
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr


def run_and_kill(words, checkpoint, by=signal.SIGKILL, saves=1):
    """Start, wait until the job has saved its state so often, and end it: by default without
    warning. What it said.
    """
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment())
    deadline, seen = time.monotonic() + 60, set()
    while len(seen) < saves and process.poll() is None and time.monotonic() < deadline:
        if checkpoint.exists():
            seen.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.005)
    process.send_signal(by)
    said = process.communicate()[1]
    expected = -by if by == signal.SIGKILL else 128 + by
    assert process.returncode == expected, "the job ended before it could be killed"
    return said


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Each stage's command line without its record, after uninterrupted runs; and its folder."""
    root = tmp_path_factory.mktemp("chain")
    study = study_from(STUDY)
    networks = {network.variant: network for network in study.networks()}
    dataset = root / "dataset" / "dataset.safetensors"
    stages = {}

    def add(name, stage, job, **inputs):
        folder = root / name
        run(command(stage, job, folder / "provenance.json", **inputs))
        stages[name] = (stage, job, inputs, folder)
        return folder / "model.safetensors"

    add("dataset", "dataset", study.dataset_job("digits"))
    dense = add("dense", "dense", study.dense_job(networks[DENSE]), dataset=dataset)
    for method in ("hydra", "radmm"):
        job = study.prune_job(networks[f"{method}-0.9"])
        pruned = add(f"prune-{method}", "prune", job, dataset=dataset, model=dense)
    job = study.mask_job(networks["imp-0.9"])
    ticket = add("mask", "mask", job, dataset=dataset)
    job = study.train_masked_job(networks["imp-0.9"])
    add("train_masked", "train_masked", job, dataset=dataset, model=ticket)
    job = study.train_sparse_job(networks["flying_bird_plus-0.9"])
    add("train_sparse", "train_sparse", job, dataset=dataset)
    job = study.finetune_job(networks[RADMM])
    tuned = add("finetune", "finetune", job, dataset=dataset, model=pruned)
    job = study.autoattack_job(networks[RADMM], 0)
    add("autoattack", "autoattack", job, dataset=dataset, model=tuned)
    shard, both = root / "autoattack", {"dataset": dataset, "model": tuned}
    tables = {"shards": shard / "outcomes.parquet", "checks": shard / "checks.json"}
    add("evaluate", "evaluate", study.evaluate_job(networks[RADMM]), **both, **tables)
    add("distances", "distances", study.distances_job(networks[RADMM]), **both)
    found = {"samples": root / "evaluate" / "samples.parquet"}
    found |= {"distances": root / "distances" / "distances.parquet"}
    add("breaking", "breaking", study.breaking_job(networks[RADMM]), **both, **found)
    return stages


STAGES = (
    *("dense", "prune-hydra", "prune-radmm", "finetune", "autoattack"),
    *("mask", "train_masked", "train_sparse"),
)
LIKE_OTHERS = ("prune-hydra", "finetune", "train_masked")  # of which one way is killed already
KILLED = [
    *((name, signal.SIGKILL, 1) for name in STAGES if name not in LIKE_OTHERS),
    *(pytest.param(name, signal.SIGKILL, 1, marks=pytest.mark.heavy) for name in LIKE_OTHERS),
    ("breaking", signal.SIGKILL, 3),
]
ASKED = [
    ("dense", signal.SIGTERM, 1),
    ("prune-radmm", signal.SIGINT, 1),
    ("autoattack", signal.SIGUSR1, 1),
]


@pytest.mark.parametrize(("name", "by", "saves"), KILLED + ASKED)
def test_a_killed_job_resumes_and_ends_the_same(chain, tmp_path, name, by, saves):
    """The search for breaking radii in its second call of AutoAttack or later."""
    stage, job, inputs, uninterrupted = chain[name]
    words = command(stage, job, tmp_path / "provenance.json", **inputs)
    checkpoint = tmp_path / ".checkpoint.safetensors"
    said = run_and_kill(words, checkpoint, by, saves)
    assert ("goes on from what it saved" in said) == (by != signal.SIGKILL)
    assert "Traceback" not in said
    assert not (tmp_path / "provenance.json").exists()
    outputs = ("model", "outcomes", "examples", "checks", "breaking")
    assert not any(path.name.startswith(outputs) for path in tmp_path.iterdir())
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert "going on after" in done.stderr
    for artifact in artifacts(uninterrupted):
        assert sha256(tmp_path / artifact) == sha256(uninterrupted / artifact), artifact
    assert not checkpoint.exists()


def artifacts(folder):
    statement = json.loads((folder / "provenance.json").read_text())
    return [subject["name"] for subject in statement["subject"]]


def test_a_checkpoint_of_another_job_is_not_taken(chain, tmp_path):
    stage, job, inputs, _ = chain["dense"]
    run_and_kill(
        command(stage, job, tmp_path / "provenance.json", **inputs),
        tmp_path / ".checkpoint.safetensors",
    )
    other = job.replace('"seed":0', '"seed":1')
    assert other != job
    words = command(stage, other, tmp_path / "provenance.json", **inputs)
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert "checkpoint of another job" in done.stderr
    assert "going on after" not in done.stderr


def test_the_command_of_a_finished_artifact_is_in_its_record(chain):
    for stage, _, _, folder in chain.values():
        record = json.loads((Path(folder) / "provenance.json").read_text())
        line = record["predicate"]["buildDefinition"]["internalParameters"]["command"]
        assert line.startswith(f"python -m thin_ice {stage} --job ")
