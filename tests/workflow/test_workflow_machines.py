"""The same workflow on a cluster, on a workstation and beside itself: what jobs ask for and get."""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from miniature import MINIATURE, REPOSITORY
from planned_resources import planned_resources

from thin_ice.study.cost import STAGES as ON_GPU
from thin_ice.study.site import WARNING, site_from_file

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
RUN = "digits-digits_cnn-pgd_at"
SLURM = ["--profile", str(REPOSITORY / "slurm")]
EXAMPLE = REPOSITORY / "slurm/site.example.yaml"
ON_CPU = {"dataset", "analyse", "report"}
STUDY = MINIATURE | {"seeds": [0, 1, 2, 3], "methods": {"lwm": {}}, "selection_on_test": True}
EVERY_RULE = STUDY | {"methods": {"lwm": {}, "imp": {}, "bcsp": {}}}


def words(folder, *arguments, study=STUDY):
    """Snakemake's command line on a study in ``folder``."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    own = ["-s", REPOSITORY / "Snakefile", "--directory", folder]
    return [str(word) for word in (*own, "--configfile", folder / "study.yaml", *arguments)]


def environment(folder):
    dropped = ("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "THIN_ICE_SITE", "THIN_ICE_GPUS")
    clean = {k: v for k, v in os.environ.items() if k not in dropped}
    return clean | {"TMPDIR": str(folder)}


def by_rule(jobs):
    return {job["rule"]: job["resources"] for job in jobs}


@pytest.fixture(scope="module")
def on_slurm(tmp_path_factory):
    """What jobs ask a cluster for without a site, and with the example's."""
    folder = tmp_path_factory.mktemp("slurm")
    line = words(folder, *SLURM, study=EVERY_RULE)
    named = {"THIN_ICE_SITE": str(EXAMPLE)}
    return [by_rule(planned_resources(folder, line, **one)) for one in ({}, named)]


def test_rules_that_compute_on_networks_ask_for_a_gpu_and_no_others(on_slurm):
    for asked in on_slurm:
        assert {rule for rule, found in asked.items() if found.get("gpu")} == set(ON_GPU)
        assert set(asked) - set(ON_GPU) == ON_CPU | {"all", "study"}


def test_every_job_asks_for_minutes_and_memory_and_a_gpu_job_for_a_warning(on_slurm):
    plain = on_slurm[0]
    for rule in (*ON_GPU, *ON_CPU):
        assert plain[rule]["runtime"] >= 10
        assert plain[rule]["mem_mb"] >= 2000
        assert plain[rule].get("slurm_extra") == (WARNING if rule in ON_GPU else None)
        assert not {"slurm_partition", "gpu_model", "qos"} & set(plain[rule])


def test_a_sites_words_reach_every_rule_of_their_kind(on_slurm):
    site = site_from_file(EXAMPLE)
    for rule in (*ON_GPU, *ON_CPU):
        told = site.slurm(rule in ON_GPU)
        assert {key: on_slurm[1][rule].get(key) for key in told} == told
        assert ("gpu_model" in on_slurm[1][rule]) == (rule in ON_GPU)


def test_a_run_on_this_machine_estimates_nothing(tmp_path):
    jobs = planned_resources(tmp_path, words(tmp_path, "--cores", "1"))
    assert not any(job["torch"] for job in jobs)
    for asked in by_rule(jobs).values():
        assert not {"runtime", "slurm_extra"} & set(asked)


def test_a_bad_site_is_one_sentence_and_runs_nothing(tmp_path):
    (tmp_path / "site.yaml").write_text("gpu: {partition: 7}")
    own = environment(tmp_path) | {"THIN_ICE_SITE": str(tmp_path / "site.yaml")}
    line = [SNAKEMAKE, *words(tmp_path, "--cores", "1")]
    done = subprocess.run(line, capture_output=True, text=True, env=own, check=False)
    assert done.returncode != 0
    assert "site.yaml: gpu.partition: 7; allowed: a name as Slurm knows it" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def dense(seed):
    return f"results/miniature/{RUN}/seed{seed}/dense/model.safetensors"


def records(folder):
    return [json.loads(p.read_text())["predicate"] for p in folder.rglob("provenance.json")]


def test_a_workstation_gives_each_job_a_gpu_of_its_own(tmp_path):
    profile = ["--profile", str(REPOSITORY / "workstation"), "--resources", "gpu=2"]
    goals = [dense(seed) for seed in STUDY["seeds"]]
    line = [SNAKEMAKE, *words(tmp_path, *profile, "--cores", "4", *goals)]
    own = environment(tmp_path)
    done = subprocess.run(line, capture_output=True, text=True, env=own, check=False)
    assert done.returncode == 0, done.stderr
    spans = {}
    for predicate in records(tmp_path / "results"):
        run = predicate["runDetails"]
        facts, told = run["byproducts"][0]["annotations"], run["metadata"]
        stage = predicate["buildDefinition"]["externalParameters"]["stage"]
        assert ("visible_devices" in facts) == (stage in ON_GPU)
        if stage in ON_GPU:
            times = (told["startedOn"], told["finishedOn"])
            spans.setdefault(facts["visible_devices"], []).append(times)
    assert set(spans) == {"0", "1"}
    assert sum(map(len, spans.values())) == len(goals)
    for times in spans.values():
        times.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(times))


LONG = STUDY | {"training": {"dense": {"epochs": 400}, "prune": {}, "finetune": {"epochs": 1}}}


@pytest.fixture
def running(tmp_path):
    """A run of Snakemake that is training, in a folder of its own."""
    (tmp_path / "one").mkdir()
    line = [SNAKEMAKE, *words(tmp_path / "one", "--cores", "1", dense(0), study=LONG)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, env=environment(tmp_path), **pipes)
    checkpoint = (tmp_path / "one" / dense(0)).with_name(".checkpoint.safetensors")
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[1]
    yield process
    process.kill()
    process.wait()


def second_run(folder, tmp_path):
    line = [SNAKEMAKE, *words(folder, "--cores", "1", dense(0), study=LONG)]
    own = environment(tmp_path)
    return subprocess.run(line, capture_output=True, text=True, env=own, check=False)


def test_a_second_run_in_the_same_or_a_shared_folder_refuses_and_harms_nothing(running, tmp_path):
    other = tmp_path / "two"
    other.mkdir()
    (other / "results").symlink_to(tmp_path / "one" / "results")
    same, shared = (second_run(folder, tmp_path) for folder in (tmp_path / "one", other))
    assert running.poll() is None, "the first run ended before the others began"
    assert (same.returncode, shared.returncode) == (1, 1)
    assert "Directory cannot be locked" in same.stderr
    assert f"results/miniature is being made by process {running.pid} on " in shared.stderr
    assert "Traceback" not in shared.stderr
    said = running.communicate()[1]
    assert running.returncode == 0, said
    results = tmp_path / "one" / "results" / "miniature"
    assert (tmp_path / "one" / dense(0)).is_file()
    assert [path for path in results.rglob(".*") if path.is_file()] == []
    assert "Nothing to be done" in second_run(other, tmp_path).stderr
