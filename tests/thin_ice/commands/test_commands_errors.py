"""A command that cannot do its job says so in one line and leaves nothing that looks finished."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mini_study import DATASET, call, run, steps

import thin_ice
from thin_ice.models.artifact import save_model
from thin_ice.models.network import Architecture

torch.set_num_threads(1)

STEPS = {(step.stage, step.folder): step for step in steps()}
NAMED = {step.stage: step for step in reversed(STEPS.values())}
DENSE = NAMED["dense"]


@pytest.fixture
def root(tmp_path):
    """The study's folder with its dataset only."""
    run(NAMED["dataset"], tmp_path)
    return tmp_path


def files(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".log")


def changed(step, **parameters):
    """The same step with other parameters in its job."""
    job = json.loads(step.job)
    job["parameters"] |= parameters
    return replace(step, job=json.dumps(job))


def plan(**words):
    return json.loads(DENSE.job)["parameters"]["plan"] | words


def fails_with_one_line(step, root, words):
    status, errors = call(step.arguments(root))
    assert status == 1
    (line,) = errors.splitlines()
    assert words in line
    assert not step.record(root).exists()


WRONG_JOBS = {
    "not JSON": ("{stage: dense}", "--job is not JSON"),
    "a list": ("[1, 2]", "--job must be an object with stage, parameters and code"),
    "code as text": (
        '{"stage": "dense", "parameters": {}, "code": "x"}',
        "must be an object with modules and sha256",
    ),
    "a key missing": ('{"stage": "dense"}', "must be an object with stage, parameters and code"),
    "another stage's": (NAMED["prune"].job, "--job is for stage 'prune', not 'dense'"),
}


@pytest.mark.parametrize("name", WRONG_JOBS)
def test_a_wrong_job_ends_with_one_line_and_no_outputs(root, name):
    text, words = WRONG_JOBS[name]
    fails_with_one_line(replace(DENSE, job=text), root, words)
    assert not (root / DENSE.folder).exists()


@pytest.mark.parametrize("stage", ["dense", "prune", "evaluate", "analyse"])
def test_a_missing_input_ends_with_one_line_that_names_it_and_no_outputs(tmp_path, stage):
    step = NAMED[stage]
    first = next(iter(step.inputs.values()))[0]
    fails_with_one_line(step, tmp_path, f"input {tmp_path / first} does not exist")
    assert not (tmp_path / step.folder).exists()


def test_a_real_process_ends_with_status_1_and_one_line(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(thin_ice.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "thin_ice", *DENSE.arguments(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"input {tmp_path / DATASET} does not exist\n"


def test_the_log_has_the_error_too(tmp_path):
    call(DENSE.arguments(tmp_path))
    assert "does not exist" in (tmp_path / "logs" / f"{DENSE.folder}.log").read_text()


def test_an_input_that_its_record_belies_is_not_built_upon(root):
    (root / DATASET).write_bytes(b"not what was made")
    fails_with_one_line(DENSE, root, f"{DATASET} is not what its record says")
    assert files(root / DENSE.folder) == []


def test_an_input_whose_record_cannot_be_read_is_not_built_upon(root):
    (root / DATASET).with_name("provenance.json").write_text("{}")
    fails_with_one_line(DENSE, root, "is no record of a job")
    assert files(root / DENSE.folder) == []


def test_a_damaged_input_without_a_record_ends_with_one_line(root):
    (root / DATASET).write_bytes(b"not safetensors")
    (root / DATASET).with_name("provenance.json").unlink()
    fails_with_one_line(DENSE, root, "is no readable dataset artifact")
    assert files(root / DENSE.folder) == []


def test_an_input_of_another_kind_ends_with_one_line(root):
    step = NAMED["distances"]
    model = root / step.inputs["model"][0]
    model.parent.mkdir(parents=True)
    model.write_bytes((root / DATASET).read_bytes())
    fails_with_one_line(step, root, "thin-ice-model-1")
    assert files(root / step.folder) == []


def test_an_impossible_parameter_ends_with_one_line(tmp_path):
    step = changed(NAMED["dataset"], limit_test=5)
    fails_with_one_line(step, tmp_path, "each side needs 10")
    assert files(tmp_path) == []


def test_a_diverging_training_ends_with_one_line_and_without_a_model(root):
    diverging = changed(DENSE, plan=plan(lr=1e30))
    fails_with_one_line(diverging, root, "the training loss is nan")
    assert set(files(root / DENSE.folder)) <= {".checkpoint.safetensors"}


def test_a_failing_stage_takes_the_record_of_an_earlier_run_away_first(root):
    run(DENSE, root)
    before = [path.read_bytes() for path in DENSE.outputs(root)]
    assert DENSE.record(root).exists()
    fails_with_one_line(changed(DENSE, plan=plan(lr=1e30)), root, "the training loss is nan")
    assert [path.read_bytes() for path in DENSE.outputs(root)] == before


def test_an_unforeseen_error_ends_with_its_traceback_and_no_record(root):
    status, errors = call(changed(DENSE, plan={"no_such_word": 1}).arguments(root))
    assert status == 1
    assert "Traceback" in errors
    assert "no_such_word" in errors
    assert files(root / DENSE.folder) == []


def test_the_checkpoint_of_another_job_is_neither_used_nor_left(root):
    run(DENSE, root)
    expected = [path.read_bytes() for path in DENSE.outputs(root)]
    left = root / DENSE.folder / ".checkpoint.safetensors"
    left.write_bytes((root / DENSE.folder / "model.safetensors").read_bytes())
    run(DENSE, root)
    assert [path.read_bytes() for path in DENSE.outputs(root)] == expected
    assert not left.exists()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """The study's folder with a dense network whose shards are done."""
    folder = tmp_path_factory.mktemp("attacked")
    for step in STEPS.values():
        if step.stage in ("dataset", "dense") or (
            step.stage == "autoattack" and step.folder.startswith(f"{DENSE.folder}/")
        ):
            run(step, folder)
    return folder


@pytest.fixture
def shards(attacked, tmp_path):
    shutil.copytree(attacked, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_shard_of_another_network_is_refused(shards):
    """Another dense network in place of the one that was attacked."""
    run(changed(DENSE, seed=1), shards)
    evaluate = NAMED["evaluate"]
    fails_with_one_line(evaluate, shards, "shard0/outcomes.parquet attacked another network")
    assert files(shards / evaluate.folder) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda paths: paths[:1], "shard 1 of AutoAttack is missing"),
        (lambda paths: [*paths, paths[0]], "shard 0 of AutoAttack is given 2 times"),
    ],
)
def test_a_missing_or_doubled_shard_is_named(shards, given, words):
    evaluate = NAMED["evaluate"]
    inputs = {
        name: given(paths) if name in ("shards", "checks") else paths
        for name, paths in evaluate.inputs.items()
    }
    fails_with_one_line(replace(evaluate, inputs=inputs), shards, words)
    assert files(shards / evaluate.folder) == []


def test_tables_without_their_checks_are_refused(shards):
    evaluate = NAMED["evaluate"]
    inputs = evaluate.inputs | {"checks": evaluate.inputs["checks"][:1]}
    fails_with_one_line(replace(evaluate, inputs=inputs), shards, "--shards names 2 files")
    swapped = evaluate.inputs | {"checks": evaluate.inputs["checks"][::-1]}
    fails_with_one_line(replace(evaluate, inputs=swapped), shards, "for each shard, in one order")


@pytest.mark.parametrize("stage", ["autoattack", "evaluate", "distances", "rivals"])
@pytest.mark.parametrize(
    ("shape", "classes", "words"),
    [((1, 8, 8), 4, "has 4 classes; allowed: 10"), ((3, 8, 8), 10, "takes images of")],
)
def test_a_network_for_other_data_is_refused(shards, stage, shape, classes, words):
    step = NAMED[stage]
    architecture = Architecture("digits_cnn", {"width": 4}, shape, classes, normalize=False)
    path = shards / step.inputs["model"][0]
    path.with_name("provenance.json").unlink()
    save_model(path, architecture.build(0), architecture, about={"dataset": "digits"})
    before = files(shards / step.folder)
    fails_with_one_line(step, shards, words)
    assert set(files(shards / step.folder)) <= set(before)


@pytest.mark.parametrize(
    ("argument", "shape", "classes", "words"),
    [
        ("dense", (1, 8, 8), 4, "has 4 classes; allowed: 10"),
        ("model", (3, 8, 8), 10, "takes images of"),
        ("model", (1, 8, 8), 10, '"width":3}}; allowed: {"classes":10'),
    ],
)
def test_two_networks_that_do_not_fit_are_refused(shards, argument, shape, classes, words):
    step = NAMED["sensitivity"]
    dense = shards / step.inputs["dense"][0]
    paths = {"dense": dense, "model": shards / step.inputs["model"][0]}
    paths["model"].parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(dense, paths["model"])
    paths[argument].with_name("provenance.json").unlink(missing_ok=True)
    architecture = Architecture("digits_cnn", {"width": 3}, shape, classes, normalize=False)
    save_model(paths[argument], architecture.build(0), architecture, about={"dataset": "digits"})
    fails_with_one_line(step, shards, words)
    assert files(shards / step.folder) == []


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["dense"], ["dense", "--job", "{}", "--record", "x"]]
)
def test_an_incomplete_command_line_is_explained_with_status_2(arguments):
    status, errors = call(arguments)
    assert status == 2
    assert errors.startswith("usage: python -m thin_ice")
