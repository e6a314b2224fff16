"""A bad study gets one sentence that names the key, the value and what is allowed."""

import pytest

from thin_ice.margins import analysis
from thin_ice.study import checks, plan
from thin_ice.study.load import study_from, study_from_file
from thin_ice.study.schema import BadStudy

# key to set, value, what the one message must contain
BAD = [
    ("name", "../elsewhere", ["name", "'../elsewhere'", "small letters"]),
    ("name", "/tmp/x", ["name", "small letters"]),
    ("name", ..., ["'name' is missing"]),
    ("name", "reference", ["name", "'reference' is taken"]),
    ("methods.dense", {"kind": "lwm"}, ["methods.dense", "is taken"]),
    ("methods.second_seed", {"kind": "lwm"}, ["methods.second_seed", "is taken"]),
    ("nmae", "x", ["unknown key 'nmae'", "allowed: name, seeds"]),
    ("selection_on_test", "yes", ["selection_on_test", "'yes'", "boolean"]),
    ("seeds", [], ["seeds", "at least 1"]),
    ("seeds", [0, 0], ["seeds", "without repetitions"]),
    ("seeds", [-1], ["seeds.0", "-1", "0 or more"]),
    ("threat.eps", 8, ["threat.eps", "8 covers the whole", "8/255"]),
    ("threat.eps", 0, ["threat.eps", "more than 0"]),
    ("threat.eps", "eight", ["threat.eps", "'eight'", "8/255"]),
    ("threat.eps", "8/0", ["threat.eps", "'8/0'"]),
    ("threat.norm", "Linfinity", ["threat.norm", "'Linfinity'", "Linf, L2"]),
    ("sparsities", [1.0], ["sparsities.0", "1.0", "less than 1"]),
    ("sparsities", [0.0], ["sparsities.0", "more than 0"]),
    ("sparsities", [95], ["sparsities.0", "95", "less than 1"]),
    ("sparsities", [], ["sparsities", "at least 1"]),
    ("sparsities", [0.912345678912], ["hydra.sparsities", "0.912345678912", "ten decimals"]),
    ("methods.magnitude", {}, ["methods.magnitude.kind", "'magnitude'", "lwm, hydra, radmm"]),
    ("methods.Hydra", {}, ["methods", "'Hydra'"]),
    ("methods.hydra.unit", "filter", ["methods.hydra.unit", "filter", "allowed: weight"]),
    ("methods.hydra.unit", "neuron", ["methods.hydra.unit", "weight, filter, channel"]),
    ("methods.hydra.score", "scaled", ["methods.hydra.score", "unknown key", "scores"]),
    ("methods.hydra.scores", "kaiming", ["methods.hydra.scores", "'kaiming'", "scaled, random"]),
    ("methods.radmm.rho", "much", ["methods.radmm.rho", "'much'", "a number"]),
    ("methods.radmm.periods", 2.5, ["methods.radmm.periods", "2.5", "a whole number"]),
    ("methods.radmm.periods", True, ["methods.radmm.periods", "True", "a whole number"]),
    ("methods.hydra.claimed", "pgd7", ["methods.hydra.claimed", "'pgd7'", "hydra_pgd50"]),
    ("methods.hydra.objectives", ["trades"], ["methods.hydra.objectives", "'trades'", "pgd_at"]),
    ("methods.hydra.sparsities", [2], ["methods.hydra.sparsities.0", "less than 1"]),
    ("methods.hydra.prune", {"epoch": 3}, ["methods.hydra.prune", "'epoch'", "epochs"]),
    ("methods.hydra.prune", {"epochs": "3"}, ["methods.hydra.prune.epochs", "'3'", "integer"]),
    ("methods", {}, ["methods", "at least 1"]),
    ("objectives.pgd", {}, ["objectives.pgd.kind", "natural, pgd_at, trades, mart"]),
    ("objectives.pgd_at.mode", "training", ["objectives.pgd_at.mode", "eval, train"]),
    ("models.resnet", {}, ["models.resnet.kind", "resnet18"]),
    ("models.digits_cnn.width", "wide", ["models.digits_cnn.width", "a whole number"]),
    ("datasets.mnist", {}, ["datasets.mnist.kind", "digits, cifar10"]),
    ("datasets.digits.validation", 1, ["datasets.digits.validation", "less than 1"]),
    ("datasets.digits.limit_test", 5000, ["datasets.digits.limit_test", "719 or less"]),
    ("datasets.digits.test_fraction", 2, ["datasets.digits", "test_fraction", "between 0 and 1"]),
    ("datasets.cifar10", {"folder": "nowhere"}, ["datasets.cifar10", "nowhere", "download: true"]),
    ("training.dense.epochs", 0, ["training.dense.epochs", "1 or more"]),
    ("training.dense.lr", 0, ["training.dense.lr", "more than 0"]),
    ("training.dense.schedule", "linear", ["training.dense.schedule", "cosine"]),
    ("training.dens", {}, ["training", "'dens'", "dense, prune, finetune"]),
    ("autoattack.version", "best", ["autoattack.version", "standard, plus, rand, custom"]),
    ("autoattack.attacks", ["pgd"], ["autoattack.attacks.0", "'pgd'", "apgd-ce"]),
    ("autoattack.attacks", ..., ["autoattack.attacks", "needs a list"]),
    ("autoattack.version", "standard", ["autoattack.attacks", "version: custom"]),
    ("distances", [], ["distances", "at least 1"]),
    ("distances", [{"norm": "L2"}], ["distances.0", "is missing"]),
    ("distances", [{"norm": "L3", "steps": 1, "max_stepsize": 1}], ["distances.0.norm", "L2"]),
    ("resources.gpus", 2, ["resources", "'gpus'", "threads"]),
]


@pytest.mark.parametrize(("key", "value", "parts"), BAD, ids=lambda v: str(v)[:40])
def test_a_bad_study_is_refused_in_one_sentence(altered, key, value, parts):
    with pytest.raises(BadStudy) as caught:
        study_from(altered(key, value))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_checkpoints_cannot_be_chosen_without_epochs(altered):
    study = altered("training.finetune.epochs", 0)
    study_from(study)
    with pytest.raises(BadStudy, match=r"selection_on_test: .*methods.hydra.finetune.*: false"):
        study_from(study | {"selection_on_test": True})


def test_the_labels_taken_are_those_of_the_tables():
    assert (checks.CONTROL, plan.DENSE) == (analysis.CONTROL, analysis.DENSE)


def test_an_objective_whose_networks_nobody_prunes_is_refused(altered):
    altered("objectives.trades", {})
    altered("methods", {"lwm": {"objectives": ["pgd_at"]}})
    with pytest.raises(BadStudy, match=r"objectives\.trades: no method"):
        study_from(altered("seeds", [0]))


def test_a_file_that_is_no_mapping_or_no_yaml_is_refused(tmp_path):
    for text in ("- a\n- b\n", "", "{", "just words"):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        with pytest.raises(BadStudy, match="study: "):
            study_from_file(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadStudy, match="cannot read"):
        study_from_file(tmp_path / "none.yaml")
