"""An AutoAttack job attacks its own shard, as the study declares, and says whose its files are."""

import hashlib
import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from mini_study import DATASET, RUN, run, steps

from thin_ice.attacks.versions import CascadeSettings, version_settings
from thin_ice.commands.autoattack import settings_of
from thin_ice.data.split import load_part
from thin_ice.evaluation.examples import read_examples
from thin_ice.models.artifact import load_model

torch.set_num_threads(1)

FOLDER = f"{RUN}/seed0/dense"
STEPS = {step.folder: step for step in steps()}
SHARDS = [STEPS[f"{FOLDER}/autoattack/shard{number}"] for number in (0, 1)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    for step in (STEPS["data/digits"], STEPS[FOLDER], *SHARDS):
        run(step, folder)
    return folder


def checks_of(root, shard):
    return json.loads((root / shard.folder / "checks.json").read_text())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_job_has_its_own_slice_of_the_test_split(root):
    ids = load_part(root / DATASET, "test").ids.tolist()
    tables = [pd.read_parquet(root / shard.folder / "outcomes.parquet") for shard in SHARDS]
    assert [table.sample_id.tolist() for table in tables] == [ids[:20], ids[20:]]
    assert [checks_of(root, shard)["shard"] for shard in SHARDS] == [0, 1]


def test_what_is_beside_a_table_says_whose_it_is_and_how_it_was_made(root):
    checks = checks_of(root, SHARDS[1])
    folder = root / SHARDS[1].folder
    assert checks["model_sha256"] == sha256(root / FOLDER / "model.safetensors")
    assert checks["dataset_sha256"] == sha256(root / DATASET)
    names = ("outcomes.parquet", "examples.safetensors")
    assert checks["files"] == {name: sha256(folder / name) for name in names}
    assert checks["threat"] == {"norm": "Linf", "eps": 0.1}
    assert checks["protocol"]["shard_size"] == 20
    assert checks["settings"]["attacks"] == ["apgd-ce", "square"]
    assert checks["settings"]["square_queries"] == 20
    assert list(checks["flags"]) == ["apgd-ce", "square"]
    assert checks["samples"] == 10


def test_stored_examples_are_of_the_broken_samples_and_fool_the_network(root):
    folder = root / SHARDS[0].folder
    table = pd.read_parquet(folder / "outcomes.parquet").set_index("sample_id")
    examples, about = read_examples(folder / "examples.safetensors")
    checks = checks_of(root, SHARDS[0])
    assert json.loads(about["of"]).items() <= checks.items()
    broken = table[table.broken_by.isin(["apgd-ce", "square"]) & table.confirmed]
    assert examples.ids.tolist() == broken.index.tolist() != []
    assert checks["examples_stored"] == checks["examples_confirmed"] == len(broken)
    assert checks["examples_unconfirmed"] == (~table.confirmed).sum()
    test = load_part(root / DATASET, "test")
    places = torch.isin(test.ids, examples.ids)
    model = load_model(root / FOLDER / "model.safetensors").model
    assert (model(examples.images).argmax(1) != test.labels[places]).all()
    assert ((examples.images - test.floats()[places]).abs() <= 0.1 + 1e-6).all()


def test_examples_that_nobody_wants_are_counted_and_not_stored(root):
    shard = SHARDS[0]
    job = json.loads(shard.job)
    job["parameters"]["autoattack"]["keep_examples"] = False
    other = replace(shard, job=json.dumps(job), folder="without")
    run(other, root)
    examples, _ = read_examples(root / "without" / "examples.safetensors")
    assert examples.images.shape == (0, 1, 8, 8)
    kept, bare = checks_of(root, shard), checks_of(root, other)
    assert bare["examples_stored"] == 0 < bare["examples_confirmed"] == kept["examples_confirmed"]
    outcomes = [(root / folder / "outcomes.parquet") for folder in (shard.folder, "without")]
    assert outcomes[0].read_bytes() == outcomes[1].read_bytes()


def test_a_version_sets_everything_and_custom_is_as_the_study_spells_it_out():
    assert settings_of({"version": "plus"}, "Linf") == version_settings("plus", "Linf")
    assert settings_of({"version": "standard"}, "L1") == version_settings("standard", "L1")
    spelled = {"version": "custom", "attacks": ["square", "fab"]} | {
        "apgd_restarts": 2,
        "eot_iterations": 3,
        "apgd_targets": 4,
        "fab_targets": 5,
        "fab_restarts": 6,
        "square_queries": 7,
        "large_repetitions": False,
    }
    expected = CascadeSettings(("square", "fab"), 2, 3, 4, 5, 6, 7, False)
    assert settings_of(spelled, "Linf") == expected
