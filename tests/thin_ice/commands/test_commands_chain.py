"""Every stage of a study, from its command line alone: its files, its record, and nothing else."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from mini_study import DATASET, METHODS, RUN, STUDY, run, steps
from safetensors import safe_open

import thin_ice
from thin_ice.commands.cli import main
from thin_ice.commands.runner import STAGES
from thin_ice.data.split import load_part
from thin_ice.evaluation.metrics import metrics
from thin_ice.files import sha256
from thin_ice.margins.views import PREDICTORS
from thin_ice.models.artifact import load_model

torch.set_num_threads(1)

STEPS = steps()
WITHOUT_TORCH = [step for step in STEPS if step.stage in ("study", "dataset", "analyse")]
FOLDERS = [step.folder for step in STEPS]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The study's folder after every job of the chain."""
    folder = tmp_path_factory.mktemp("chain") / "results" / "mini"
    for step in STEPS:
        run(step, folder)
    return folder


@pytest.fixture(params=STEPS, ids=FOLDERS)
def step(request):
    return request.param


def record(step, root):
    return json.loads(step.record(root).read_text())


def test_the_chain_has_its_methods_and_every_stage_of_networks_trained_here():
    assert {step.stage for step in STEPS} == set(STAGES) - {"report", "external"}
    acting = ("prune", "mask", "train_sparse")
    pruned = {step.folder.split("/")[2] for step in STEPS if step.stage in acting}
    assert pruned == {f"{name}-0.5" for name in METHODS}


def test_every_stage_that_computes_on_networks_says_how_far_it_is_and_what_is_left(step, root):
    """Up to its last unit, so that units are counted as they were announced."""
    if importlib.import_module(f"thin_ice.commands.{step.stage}").PREPARE is None:
        return
    text = (root / "logs" / f"{step.folder}.log").read_text()
    lines = re.findall(r"INFO (\w+) (\d+)/(\d+)  .*left \S+$", text, flags=re.MULTILINE)
    wanted = json.loads(step.job)["parameters"]
    if not wanted.get("plan", {}).get("epochs", 1):
        return  # a method of one shot
    if step.stage == "evaluate" and not wanted["protocols"]:
        return
    assert lines
    done = [(unit, int(n), int(total)) for unit, n, total in lines]
    assert all(n <= total for _, n, total in done)
    if step.stage != "breaking":  # which may be spared some of its radii
        assert done[-1][1] == done[-1][2]


def test_the_chain_writes_what_it_declares_and_no_other_file(root):
    """No checkpoint and no temporary file either."""
    declared = {path for step in STEPS for path in [*step.outputs(root), step.record(root)]}
    logs = {root / "logs" / f"{step.folder}.log" for step in STEPS}
    assert {path for path in root.rglob("*") if path.is_file()} == declared | logs


def test_a_record_names_the_declared_files_the_inputs_and_their_checksums(step, root):
    found = record(step, root)
    assert [file["name"] for file in found["subject"]] == list(step.files)
    named = found["predicate"]["buildDefinition"]["resolvedDependencies"]
    inputs = [file for file in named if not file.get("annotations", {}).get("source")]
    expected = [root / path for paths in step.inputs.values() for path in paths]
    folder = root / step.folder
    assert [(folder / file["name"]).resolve() for file in inputs] == expected
    for file in found["subject"] + inputs:
        assert sha256(folder / file["name"]) == file["digest"]["sha256"]


def test_a_record_holds_the_job_and_the_command_that_ran_it(step, root):
    definition = record(step, root)["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == json.loads(step.job)
    words = shlex.split(definition["internalParameters"]["command"])
    assert words == ["python", "-m", "thin_ice", *step.arguments(root)]


def test_a_record_is_written_after_every_output(step, root):
    written = step.record(root).stat().st_mtime_ns
    assert all(path.stat().st_mtime_ns <= written for path in step.outputs(root))


def test_the_same_commands_give_the_same_bytes_in_another_folder(root, tmp_path):
    again = tmp_path / "elsewhere"
    for step in STEPS:
        run(step, again)
        for path, other in zip(step.outputs(root), step.outputs(again), strict=True):
            assert path.read_bytes() == other.read_bytes(), path


def test_the_resolved_study_is_saved_as_it_is(root):
    saved = yaml.safe_load((root / "study" / "study.yaml").read_text())
    assert saved == json.loads(json.dumps(STUDY.resolved))


def test_models_carry_their_masks_from_pruning_to_fine_tuning(root):
    for name in set(METHODS) - {"flying_bird"}:  # whose masks move as long as it is trained
        folder = root / RUN / "seed0" / f"{name}-0.5"
        pruned = load_model(folder / "pruned" / "model.safetensors")
        tuned = load_model(folder / "model.safetensors")
        assert pruned.masks.keys() == tuned.masks.keys()
        assert pruned.masks
        for key, mask in pruned.masks.items():
            assert torch.equal(mask, tuned.masks[key])
            assert not dict(tuned.model.named_parameters())[key][~mask].any()
    with safe_open(root / RUN / "seed0" / "dense" / "model.safetensors", "pt") as file:
        assert not [key for key in file.keys() if key.startswith("mask.")]  # noqa: SIM118


def test_a_network_is_evaluated_on_the_test_split_and_its_metrics_count_the_table(root):
    ids = load_part(root / DATASET, "test").ids.tolist()
    for network in STUDY.networks():
        folder = root / network.folder / "evaluation"
        samples = pd.read_parquet(folder / "samples.parquet")
        assert samples.sample_id.tolist() == ids
        assert not (samples.robust & ~samples.correct).any()
        found = json.loads((folder / "metrics.json").read_text())
        assert found["dataset"] == "digits"
        counted = metrics(samples, STUDY.protocols(network))
        assert {key: found[key] for key in counted} == counted


def test_the_analysis_has_a_row_for_every_network_and_view(root):
    rows = pd.read_csv(root / RUN / "analysis" / "thin_ice.csv")
    others = [*(f"{name}-0.5" for name in METHODS), "dense_again"]
    assert sorted(rows.other) == sorted(2 * others)
    assert set(rows.correctness) == {"clean", "robust"}
    sets = rows[[f"{name}_samples" for name in ("kept", "lost", "rescued", "never")]]
    assert (sets.sum(axis=1) == 30).all()
    accuracy = pd.read_csv(root / RUN / "analysis" / "accuracy.csv")
    assert set(accuracy.variant) == {network.variant for network in STUDY.networks()}
    pruned = accuracy[~accuracy.method.isin(["dense", "dense_again"])]
    of_weights = pruned.unit == "weight"
    assert pruned[of_weights].sparsity_of_prunable.between(0.49, 0.51).all()
    assert (pruned[~of_weights].sparsity_of_prunable > 0.6).all()  # rows and columns both go


def test_the_analysis_has_every_predictor_that_was_measured(root):
    """Of one seed alone there is no other seed's distance."""
    rows = pd.read_csv(root / RUN / "analysis" / "predictors.csv")
    assert set(rows.predictor) == set(PREDICTORS) - {"other_seed_distance"}
    counts = rows.groupby(["other", "correctness"]).size().unstack()
    assert (counts.clean == 9).all()
    assert (counts.robust == 10).all()


def test_every_network_is_held_against_what_was_proved_of_it(root):
    """Each proof is of the evaluated samples, and no attack contradicts one."""
    accuracy = pd.read_csv(root / RUN / "analysis" / "accuracy.csv").set_index("variant")
    assert (accuracy.certification_eps == STUDY.resolved["threat"]["eps"]).all()
    assert (accuracy[["verified_but_broken", "certified_beyond_distance"]] == 0).all(axis=None)
    for network in STUDY.networks():
        proofs = pd.read_parquet(root / network.folder / "certified" / "certified.parquet")
        samples = pd.read_parquet(root / network.folder / "evaluation" / "samples.parquet")
        assert proofs.sample_id.tolist() == samples.sample_id.tolist()
        assert not (proofs.verified & ~samples.robust).any()
        told = accuracy.loc[[network.variant]]
        assert told.verified_percent.to_numpy() == pytest.approx(
            100 * proofs.verified.mean(), rel=1e-5
        )
        certain = 100 * (proofs.smoothed_radius > 0).mean()
        assert told.smoothed_percent.to_numpy() == pytest.approx(certain, rel=1e-5)


def test_what_pruning_preserves_is_told_by_every_measure(root):
    rows = pd.read_csv(root / RUN / "analysis" / "preservation.csv")
    measures = {"benign", "empirical", "autoattack", "verified", "smoothed"}
    for network in STUDY.made_networks():
        own = set(rows.measure[rows.variant == network.variant])
        assert own == measures - ({"empirical"} if network.variant == "dense_again" else set())


def test_where_nothing_is_proved_the_analysis_does_without(root, tmp_path):
    (step,) = (step for step in STEPS if step.stage == "analyse")
    inputs = {
        name: [] if name == "certified" else [str(root / path) for path in paths]
        for name, paths in step.inputs.items()
    }
    run(replace(step, inputs=inputs), tmp_path)
    tables = [
        [pd.read_csv(folder / step.folder / f"{name}.csv") for folder in (root, tmp_path)]
        for name in ("accuracy", "preservation", "predictors")
    ]
    told = [name for name in tables[0][0] if name.startswith(("verified", "smoothed", "certif"))]
    assert len(told) == 9
    assert tables[0][1][told].isna().all(axis=None)
    pd.testing.assert_frame_equal(*(one.drop(columns=told) for one in tables[0]))
    for (whole, without), column in zip(tables[1:], ("measure", "predictor"), strict=True):
        kept = whole[~whole[column].str.contains("verified|smoothed|certified")]
        assert without[column].tolist() == kept[column].tolist()


def test_without_rivals_breaking_radii_and_sensitivities_the_analysis_does_without(root, tmp_path):
    (step,) = (step for step in STEPS if step.stage == "analyse")
    measured = ("rivals", "breaking", "sensitivity")
    inputs = {
        name: [] if name in measured else [str(root / path) for path in paths]
        for name, paths in step.inputs.items()
    }
    run(replace(step, inputs=inputs), tmp_path)
    tables = [root / step.folder, tmp_path / step.folder]
    rows = pd.read_csv(tables[1] / "predictors.csv")
    assert set(rows.predictor) == {"distance", "certified_radius", "smoothed_radius"}
    for name in set(step.files) - {"predictors.csv", "joint.csv"}:
        assert (tables[0] / name).read_bytes() == (tables[1] / name).read_bytes(), name


def test_breaking_radii_and_twins_are_of_the_samples_that_the_dense_network_has_right(root):
    dense = root / RUN / "seed0" / "dense"
    samples = pd.read_parquet(dense / "evaluation" / "samples.parquet")
    found = pd.read_parquet(dense / "breaking" / "breaking.parquet")
    assert found.sample_id.tolist() == samples.sample_id.tolist()
    assert found.breaking_eps.isna().tolist() == (~samples.correct).tolist()
    right, eps = samples.correct, np.float32(STUDY.resolved["threat"]["eps"])
    assert ((found.breaking_eps > eps) == samples.robust)[right].all()
    twins = pd.read_parquet(dense / "twins" / "twins.parquet")
    assert set(twins.sample_id) < set(samples.sample_id[right])
    assert len(twins) == STUDY.resolved["twins"] < right.sum()
    assert (twins.label_name != twins.predicted_name).all()


def in_its_own_process(step, inputs, root, path):
    """Run the real command line on one folder's inputs, writing into another folder."""
    words = step.arguments(inputs)
    words[words.index("--record") + 1] = str(step.record(root))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-m", "thin_ice", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("chosen", WITHOUT_TORCH, ids=lambda step: step.stage)
def test_a_stage_without_networks_runs_where_there_is_no_torch(chosen, root, tmp_path):
    broken = tmp_path / "without"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('there is no torch')")
    path = [broken, Path(thin_ice.__file__).parents[1]]
    done = in_its_own_process(chosen, root, tmp_path, path)
    assert done.returncode == 0, done.stderr
    for mine, other in zip(chosen.outputs(tmp_path), chosen.outputs(root), strict=True):
        assert mine.read_bytes() == other.read_bytes()


def test_training_in_a_process_of_its_own_gives_the_same_bytes(root, tmp_path):
    (dense,) = (step for step in STEPS if step.stage == "dense")
    done = in_its_own_process(dense, root, tmp_path, [Path(thin_ice.__file__).parents[1]])
    assert done.returncode == 0, done.stderr
    for mine, other in zip(dense.outputs(tmp_path), dense.outputs(root), strict=True):
        assert mine.read_bytes() == other.read_bytes()


def test_every_record_says_which_code_and_commit_really_ran(root):
    for path in root.rglob("provenance.json"):
        run, _ = json.loads(path.read_text())["predicate"]["runDetails"]["byproducts"]
        facts = run["annotations"]
        assert facts["git"].keys() == {"commit", "dirty"}
        assert facts["code"]["as_planned"]


def test_a_command_that_meets_other_code_says_so_in_its_record(tmp_path):
    job = json.loads(STUDY.dataset_job("digits"))
    job["code"]["sha256"] = "0" * 64
    record = tmp_path / "provenance.json"
    assert main(["dataset", "--job", json.dumps(job), "--record", str(record)]) == 0
    run, _ = json.loads(record.read_text())["predicate"]["runDetails"]["byproducts"]
    assert not run["annotations"]["code"]["as_planned"]
    assert run["annotations"]["code"]["sha256"] != "0" * 64
