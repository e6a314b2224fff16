"""The workflow through Snakemake itself: a miniature study from nothing to its report."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from miniature import MINIATURE, REPOSITORY
from only_these import packages, run_with
from tiny_study import arguments_of

from thin_ice.files import sha256
from thin_ice.study.cost import STAGES as ON_GPU
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from
from thin_ice.study.pipelines import ALL as STAGES_OF_METHODS
from thin_ice.study.watching import log_of

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
RUN = "digits-digits_cnn-pgd_at"
WITHOUT_TORCH = ("study", "analyse", "report")
# Two methods are enough here; each network is ten jobs.
STUDY = MINIATURE | {"methods": {name: MINIATURE["methods"][name] for name in ("lwm", "hydra")}}


def snakemake(folder, *arguments, study="study.yaml"):
    """Run Snakemake on the study in ``folder``, as a person would."""
    command = [SNAKEMAKE, "-s", REPOSITORY / "Snakefile", "--directory", folder]
    command += ["--configfile", folder / study, *arguments]
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, env=clean, check=False)


def planned(folder, **changes):
    """How many jobs of each rule a dry run plans, after the changes to the study."""
    (folder / "changed.yaml").write_text(yaml.safe_dump(STUDY | changes))
    done = snakemake(folder, "-n", "--quiet", "rules", study="changed.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    counts = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}
    return {rule: count for rule, count in counts.items() if rule not in ("all", "total")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the miniature study has run."""
    folder = tmp_path_factory.mktemp("miniature")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    done = snakemake(folder, "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def results(finished):
    return finished / "results" / "miniature"


def test_every_network_has_its_artifacts(results):
    for network in study_from(STUDY).networks():
        folder = results / network.folder
        for name in ("model.safetensors", "history.csv", "evaluation/samples.parquet"):
            assert (folder / name).is_file()
    assert (results / "report" / "report.html").stat().st_size > 10_000


def test_the_resolved_study_is_saved_and_says_everything(results):
    saved = yaml.safe_load((results / "study" / "study.yaml").read_text())
    assert saved == study_from(STUDY).resolved


def test_nothing_is_left_lying_about(results):
    hidden = [path for path in results.rglob(".*") if path.is_file()]
    assert hidden == []


def test_the_chain_of_records_is_closed(results):
    """Every input under results/ of every record is the output of another, unchanged."""
    made, used = {}, []
    for path in results.rglob("provenance.json"):
        statement = json.loads(path.read_text())
        named = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        described = [one for one in named if not one.get("annotations", {}).get("source")]
        for entries, add in (
            (statement["subject"], lambda file, digest: made.__setitem__(file, digest)),
            (described, lambda file, digest: used.append((file, digest))),
        ):
            for entry in entries:
                add((path.parent / entry["name"]).resolve(), entry["digest"]["sha256"])
    assert len(made) > 50
    below = [(file, digest) for file, digest in used if file.is_relative_to(results.resolve())]
    assert len(below) > 50
    assert all(made[file] == digest for file, digest in below)
    assert all(sha256(file) == digest for file, digest in made.items())


def test_the_sets_in_the_analysis_follow_from_the_tables_of_the_networks(results):
    samples = pd.read_parquet(results / RUN / "analysis" / "samples.parquet")
    one = samples.query("seed == 0 and other == 'hydra-0.9' and correctness == 'robust'")
    dense = pd.read_parquet(results / RUN / "seed0/dense/evaluation/samples.parquet")
    pruned = pd.read_parquet(results / RUN / "seed0/hydra-0.9/evaluation/samples.parquet")
    lost = dense.sample_id[dense.robust.to_numpy() & ~pruned.robust.to_numpy()]
    assert set(one.sample_id[one.set == "lost"]) == set(lost)


def test_a_second_start_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_another_attack_protocol_reruns_attacks_and_what_follows(finished):
    protocol = STUDY["autoattack"] | {"seed": 1}
    expected = {"autoattack": 16, "evaluate": 8, "breaking": 2}
    expected |= {"analyse": 1, "report": 1, "study": 1}
    assert planned(finished, autoattack=protocol) == expected


def test_a_new_sparsity_adds_jobs_and_trains_nothing_again(finished):
    plan = planned(finished, sparsities=[0.9, 0.5])
    assert plan["prune"] == plan["finetune"] == plan["evaluate"] == 4
    assert "dense" not in plan
    assert plan["distances"] == 4


def test_an_option_of_one_method_reruns_that_method(finished):
    methods = STUDY["methods"] | {"hydra": {"scores": "random"}}
    plan = planned(finished, methods=methods)
    assert plan["prune"] == plan["finetune"] == plan["evaluate"] == 2


def test_a_bad_study_writes_nothing_and_shows_no_traceback(tmp_path):
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump(STUDY | {"threat": {"norm": "Linf", "eps": 8}})
    )
    done = snakemake(tmp_path, "--cores", "1")
    assert done.returncode != 0
    assert "threat.eps" in done.stderr
    assert "8/255" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_the_slurm_profile_plans_the_full_study_from_the_checkout(tmp_path):
    command = [SNAKEMAKE, "-n", "--quiet", "rules", "--profile", "slurm"]
    command += ["--configfile", "workflow/studies/thin-ice.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    total = int(re.search(r"^total\s+(\d+)$", done.stdout, flags=re.MULTILINE)[1])
    assert f"{total:,} jobs" in (REPOSITORY / "README.md").read_text()


def commands(folder, **changes):
    """The words of every command that a dry run of the changed study prints."""
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | changes))
    done = snakemake(folder, "-n", "--printshellcmds")
    lines = [line.partition("Shell command: ")[2] for line in done.stdout.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("python -m thin_ice ")]


def test_every_job_has_its_log_where_whoever_watches_looks_for_it(tmp_path):
    named = {line[line.index("--record") + 1]: line[-3] for line in commands(tmp_path)}
    jobs = planned_jobs(study_from(STUDY))
    folder = "results/miniature"
    assert named == {f"{folder}/{job.record}": f"{folder}/{log_of(job)}" for job in jobs}
    assert len({*named.values()}) == len(jobs)


# Methods of each pipeline, each of which has another of its stages replayed.
THREE = {
    **{"seeds": [0], "selection_on_test": True},
    "methods": {"lwm": {}, "imp": {}, "rst": {}, "bcsp": {}},
}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The commands of a study with the three pipelines, by the folder of their record."""
    lines = commands(tmp_path_factory.mktemp("three"), **THREE)
    records = [Path(line[line.index("--record") + 1]) for line in lines]
    folder = Path("results/miniature")
    named = zip(records, lines, strict=True)
    return {str(one.relative_to(folder).parent): line for one, line in named}


def test_a_study_of_three_pipelines_has_the_jobs_of_each_and_no_other(three):
    jobs = {job.folder: job for job in planned_jobs(study_from(STUDY | THREE))}
    assert {folder: line[3] for folder, line in three.items()} == {
        folder: job.stage for folder, job in jobs.items()
    }
    within = f"{RUN}/seed0/"
    trained = {
        folder.removeprefix(within): line[3]
        for folder, line in three.items()
        if line[3] in ("dense", *STAGES_OF_METHODS)
    }
    assert trained == {
        **{"dense": "dense", "dense_again": "finetune"},
        **{"lwm-0.9/pruned": "prune", "lwm-0.9": "finetune"},
        **{"imp-0.9/pruned": "mask", "imp-0.9": "train_masked"},
        **{"rst-0.9/pruned": "mask", "rst-0.9": "train_masked"},
        "bcsp-0.9": "train_sparse",
    }


def test_the_rules_give_each_pipelines_jobs_the_inputs_that_the_plan_has(three):
    """And so no dense network to those that begin without one."""
    folder = "results/miniature"
    jobs = {job.folder: job for job in planned_jobs(study_from(STUDY | THREE))}
    for name, line in three.items():
        job = jobs[name]
        assert line[line.index("--job") + 1] == job.text
        options = {word.removeprefix("--") for word in line if word.startswith("--")}
        assert options - {"job", "threads", "record", "log", "code"} == set(job.inputs), name
        for option, files in job.inputs.items():
            given = line[line.index(f"--{option}") + 1 :][: len(files) or 1]
            assert [one for one in given if one and one[:2] != "--"] == [
                f"{folder}/{file}" for file in files
            ], (name, option)
        if job.stage in ("mask", "train_masked", "train_sparse"):
            assert not any("/dense/" in word for word in line)


def test_the_jobs_of_every_pipeline_have_their_logs_where_whoever_watches_looks_for_them(three):
    jobs = planned_jobs(study_from(STUDY | THREE))
    logs = {folder: line[line.index("--log") + 1] for folder, line in three.items()}
    assert logs == {job.folder: f"results/miniature/{log_of(job)}" for job in jobs}
    assert len({*logs.values()}) == len(jobs)


def test_a_study_with_scratch_has_the_commands_that_read_a_dataset_copy_it_there(tmp_path):
    scratch = {"scratch": "${SCRATCH}/of $USER"}  # what Snakemake may not take for a wildcard
    methods = {"lwm": {}, "imp": {}, "bcsp": {}}
    words = commands(tmp_path, resources=scratch, selection_on_test=True, methods=methods)
    assert {line[3] for line in words if "--scratch" in line} == set(ON_GPU)
    assert all(("--dataset" in line) == ("--scratch" in line) for line in words)
    given = {line[line.index("--scratch") + 1] for line in words if "--scratch" in line}
    assert given == set(scratch.values())


def test_a_failed_job_is_shown_with_its_log_and_the_end_of_it(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"seeds": [0]}))
    assert snakemake(tmp_path, "--cores", "1", "--until", "dataset").returncode == 0
    dataset = tmp_path / "results/miniature/data/digits/dataset.safetensors"
    dataset.write_bytes(bytes(100))
    done = snakemake(tmp_path, "--cores", "1", "--until", "dense")
    assert done.returncode == 1
    printed = (done.stdout + done.stderr).partition("\nfailed: dense  ")[2].splitlines()
    assert printed[0] == f"{RUN}/seed0/dense  results/miniature/logs/{RUN}/seed0/dense.log"
    assert "INFO started on" in printed[1]
    assert "is not what its record says" in printed[2]


def test_the_dry_runs_commands_make_the_same_artifacts_without_snakemake(results, tmp_path):
    small = STUDY | {"seeds": [0], "methods": {"lwm": {}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(small))
    up_to = "results/miniature/{}/seed0/{}/evaluation/samples.parquet"
    wanted = [up_to.format(RUN, variant) for variant in ("dense", "lwm-0.9")]
    done = snakemake(tmp_path, "-n", "--forceall", "--printshellcmds", "--", *wanted)
    lines = done.stdout.splitlines()
    mark = "Shell command: "
    commands = [line.removeprefix(mark) for line in lines if line.startswith(f"{mark}python")]
    (tmp_path / "study.sh").write_text("\n".join(commands))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    library = {"PYTHONPATH": str(REPOSITORY / "workflow"), "PATH": path}
    subprocess.run(["sh", "-e", "study.sh"], cwd=tmp_path, env=os.environ | library, check=True)
    assert len(commands) == 10
    for artifact in ("dense/model.safetensors", "lwm-0.9/evaluation/samples.parquet"):
        alone = tmp_path / "results/miniature" / RUN / "seed0" / artifact
        assert sha256(alone) == sha256(results / RUN / "seed0" / artifact)


def test_study_analysis_and_report_run_alike_where_there_is_no_torch(results, tmp_path):
    assert "torch" not in packages("analysis")
    root = shutil.copytree(results, tmp_path / "miniature")
    jobs = [job for job in planned_jobs(study_from(STUDY)) if job.stage in WITHOUT_TORCH]
    assert len(jobs) == 3
    for job in jobs:
        made = [path for path in (root / job.folder).iterdir() if path.name != "provenance.json"]
        before = {path: sha256(path) for path in made}
        for path in made:
            path.unlink()
        done = run_with("analysis", *arguments_of(job, root))
        assert done.returncode == 0, done.stderr
        assert before == {path: sha256(path) for path in made}
