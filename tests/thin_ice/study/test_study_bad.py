"""A bad study gets one sentence that names the key, the value and what is allowed."""

import pytest

from thin_ice.figures import what_was_run
from thin_ice.margins import analysis
from thin_ice.study import checks, plan
from thin_ice.study.load import study_from, study_from_file
from thin_ice.study.schema import BadStudy

# key to set, value, what the one message must contain
FMN = {"kind": "fmn", "norm": "Linf", "steps": 3, "max_stepsize": 1}

BAD = [
    ("name", "../elsewhere", ["name", "'../elsewhere'", "small letters"]),
    ("name", "/tmp/x", ["name", "small letters"]),
    ("name", ..., ["'name' is missing"]),
    ("name", "reference", ["name", "'reference' is taken"]),
    ("methods.dense", {"kind": "lwm"}, ["methods.dense", "is taken"]),
    ("methods.second_seed", {"kind": "lwm"}, ["methods.second_seed", "is taken"]),
    ("methods.dense_again", {"kind": "lwm"}, ["methods.dense_again", "is taken"]),
    ("methods.harp", {"gamma": 0}, ["methods.harp.gamma", "0; allowed: more than 0"]),
    (
        "methods.harp",
        {"alpha": 1},
        ["methods.harp.alpha", "1", "more than 0 and less than 1"],
    ),
    ("methods.harp", {"alpha": -0.1}, ["methods.harp.alpha", "-0.1", "more than 0"]),
    ("methods.harp", {"initial_rate": 1.5}, ["methods.harp.initial_rate", "1.5", "less than 1"]),
    ("objectives.ibp", {"eps": 0}, ["objectives.ibp.eps", "0; allowed: more than 0"]),
    ("objectives.ibp", {"ramp": 1.5}, ["objectives.ibp.ramp", "1.5; allowed: 0 to 1"]),
    ("objectives.ibp", {"kappa_end": -0.1}, ["objectives.ibp.kappa_end", "-0.1; allowed: 0 to 1"]),
    ("objectives.mixtrain", {"growth": 0.5}, ["mixtrain.growth", "0.5; allowed: 1 or more"]),
    ("objectives.mixtrain", {"samples": 0}, ["mixtrain.samples", "0; allowed: more than 0"]),
    ("objectives.smoothing", {"sigma": 0}, ["smoothing.sigma", "0; allowed: more than 0"]),
    ("objectives.smoothing", {"form": "x"}, ["smoothing.form", "'x'", "stability, gaussian"]),
    (
        "methods.hydra.finetune_objective",
        {"kind": "crown_ibp", "beta_end": 2},
        ["methods.hydra.finetune_objective.beta_end", "2; allowed: 0 to 1"],
    ),
    ("methods.radmm", {"periods": 0}, ["methods.radmm.periods", "0; allowed: more than 0"]),
    ("methods.radmm", {"rho": -0.1}, ["methods.radmm.rho", "-0.1; allowed: more than 0"]),
    ("methods.radmm", {"rho_growth": 0}, ["methods.radmm.rho_growth", "0; allowed: more than 0"]),
    ("methods.pwoa", {"periods": 0}, ["methods.pwoa.periods", "0; allowed: more than 0"]),
    ("methods.pwoa", {"rho": 0}, ["methods.pwoa.rho", "0; allowed: more than 0"]),
    ("methods.pwoa", {"rho_growth": 0}, ["methods.pwoa.rho_growth", "0; allowed: more than 0"]),
    ("methods.pwoa", {"rho_limit": 0}, ["methods.pwoa.rho_limit", "0; allowed: more than 0"]),
    ("methods.harp", {"export": "dense"}, ["methods.harp.export", "'dense'", "learned, uniform"]),
    ("methods.harp", {"unit": "filter"}, ["methods.harp.unit", "filter", "weight, channel"]),
    ("dense_again", "yes", ["dense_again", "'yes'", "boolean"]),
    ("rivals.steps", 0, ["rivals.steps", "0", "1 or more"]),
    ("rivals.steps", 2.5, ["rivals.steps", "2.5", "integer"]),
    ("rivals.seed", -1, ["rivals.seed", "-1", "0 or more"]),
    ("rivals.steps", 1001, ["rivals.steps", "1001", "1000 or less"]),
    ("rivals.steps", -1, ["rivals.steps", "-1", "1 or more"]),
    ("rivals.steps", None, ["rivals.steps", "None", "integer"]),
    ("rivals.steps", True, ["rivals.steps", "True", "integer"]),
    ("rivals.seed", "x", ["rivals.seed", "'x'", "integer"]),
    ("rivals", None, ["rivals", "None", "object"]),
    ("rivals.eps", 0.1, ["rivals", "'eps'", "steps, seed"]),
    ("certification.eps", 2, ["certification.eps", "2 covers the whole", "2/255"]),
    ("certification.eps", 0, ["certification.eps", "0", "more than 0"]),
    ("certification.eps", "2/0", ["certification.eps", "'2/0'", "8/255"]),
    ("certification.bounds", [], ["certification.bounds", "at least 1"]),
    ("certification.bounds", ["lp"], ["certification.bounds.0", "'lp'", "ibp, crown_ibp, crown"]),
    ("certification.bounds", ["ibp", "ibp"], ["certification.bounds", "without repetitions"]),
    ("certification.rounds", 17, ["certification.rounds", "17", "16 or less"]),
    ("certification.norm", "L2", ["certification", "'norm'", "eps, bounds, rounds, smoothing"]),
    ("certification", "yes", ["certification", "'yes'", "object or null"]),
    ("certification.smoothing", {}, ["certification.smoothing", "'sigma' is missing"]),
    ("certification.smoothing", {"sigma": 0}, ["smoothing.sigma", "0", "more than 0"]),
    ("certification.smoothing", {"sigma": 1, "alpha": 1}, ["smoothing.alpha", "1", "less than 1"]),
    ("certification.smoothing", {"sigma": 1, "n": 0}, ["smoothing.n", "0", "1 or more"]),
    ("objectives.pgd_at.training", {"dense": {"lr": 0}}, ["pgd_at.training.dense.lr", "0"]),
    (
        "objectives.pgd_at.training",
        {"finetune": {"epochs": 0}},
        ["objectives.pgd_at.training.finetune.epochs", "0; allowed: 1 or more"],
    ),
    (
        "objectives.pgd_at.training",
        {"finetune": {"extra": 1}},
        ["objectives.pgd_at.training.finetune.extra", "digits has no extra images"],
    ),
    ("objectives.pgd_at.training", {"tune": {}}, ["unknown key 'tune'", "dense, prune, finetune"]),
    ("nmae", "x", ["unknown key 'nmae'", "allowed: name, seeds"]),
    ("selection_on_test", "yes", ["selection_on_test", "'yes'", "boolean"]),
    ("seeds", [], ["seeds", "at least 1"]),
    ("seeds", [0, 0], ["seeds", "without repetitions"]),
    ("seeds", [-1], ["seeds.0", "-1", "0 or more"]),
    ("threat.eps", 8, ["threat.eps", "8 covers the whole", "8/255"]),
    ("threat.eps", 0, ["threat.eps", "more than 0"]),
    ("threat.eps", "eight", ["threat.eps", "'eight'", "8/255"]),
    ("threat.eps", "8/0", ["threat.eps", "'8/0'"]),
    ("threat.norm", "Linfinity", ["threat.norm", "'Linfinity'", "Linf, L2, L1"]),
    ("sparsities", [1.0], ["sparsities.0", "1.0", "less than 1"]),
    ("sparsities", [0.0], ["sparsities.0", "more than 0"]),
    ("sparsities", [95], ["sparsities.0", "95", "less than 1"]),
    ("sparsities", [], ["sparsities", "at least 1"]),
    ("sparsities", [0.912345678912], ["hydra.sparsities", "0.912345678912", "ten decimals"]),
    ("methods.magnitude", {}, ["methods.magnitude.kind", "'magnitude'", "lwm, hydra, radmm"]),
    ("methods.Hydra", {}, ["methods", "'Hydra'"]),
    ("methods.hydra.unit", "filter", ["methods.hydra.unit", "filter", "allowed: weight"]),
    ("methods.hydra.unit", "neuron", ["methods.hydra.unit", "weight, filter, channel"]),
    ("methods.mad", {"mask_steps": 0}, ["methods.mad.mask_steps", "0", "more than 0"]),
    ("methods.mad", {"batches": 0}, ["methods.mad.batches", "0", "more than 0"]),
    ("methods.mad", {"batches": 1.5}, ["methods.mad.batches", "1.5", "a whole number, or null"]),
    ("methods.mad", {"mask_lr": 0}, ["methods.mad.mask_lr", "0", "more than 0"]),
    ("methods.mad", {"unit": "filter"}, ["methods.mad.unit", "filter", "allowed: weight"]),
    ("methods.snip", {"batches": -1}, ["methods.snip.batches", "-1", "more than 0"]),
    ("methods.lwm_iterative", {"steps": 0}, ["methods.lwm_iterative.steps", "more than 0"]),
    ("methods.filter_norm", {"unit": "weight"}, ["filter_norm.unit", "filter, channel"]),
    ("methods.filter_norm", {"norm": "l3"}, ["methods.filter_norm.norm", "'l3'", "l1, l2"]),
    ("methods.random_mask", {"draw": "x"}, ["methods.random_mask.draw", "'x'", "whole number"]),
    ("methods.hydra.score", "scaled", ["methods.hydra.score", "unknown key", "scores"]),
    ("methods.hydra.scores", "kaiming", ["methods.hydra.scores", "'kaiming'", "scaled, random"]),
    ("methods.radmm.rho", "much", ["methods.radmm.rho", "'much'", "a number"]),
    ("methods.radmm.periods", 2.5, ["methods.radmm.periods", "2.5", "a whole number"]),
    ("methods.radmm.periods", True, ["methods.radmm.periods", "True", "a whole number"]),
    ("methods.hydra.claimed", "pgd7", ["methods.hydra.claimed", "'pgd7'", "hydra_pgd50"]),
    ("methods.hydra.objectives", ["trades"], ["methods.hydra.objectives", "'trades'", "pgd_at"]),
    ("methods.hydra.seeds", [1, 2], ["methods.hydra.seeds", "no seed 2", "allowed: 0, 1"]),
    ("methods.hydra.seeds", [], ["methods.hydra.seeds", "a list of at least 1"]),
    ("methods.hydra.sparsities", [2], ["methods.hydra.sparsities.0", "less than 1"]),
    ("methods.hydra.prune", {"epoch": 3}, ["methods.hydra.prune", "'epoch'", "epochs"]),
    ("methods.hydra.prune", {"epochs": "3"}, ["methods.hydra.prune.epochs", "'3'", "integer"]),
    ("methods", {}, ["methods", "at least 1"]),
    ("objectives.pgd", {}, ["objectives.pgd.kind", "natural, pgd_at, trades, mart"]),
    ("objectives.pgd_at.steps", 0, ["objectives.pgd_at.steps", "0; allowed: more than 0"]),
    (
        "objectives.cheap",
        {"kind": "n_fgsm", "noise": -1},
        ["cheap.noise", "-1; allowed: 0 or more"],
    ),
    ("objectives.cheap", {"kind": "n_fgsm", "rel_step": 0}, ["cheap.rel_step", "more than 0"]),
    ("objectives.cheap", {"kind": "n_fgsm", "mode": "on"}, ["cheap.mode", "'on'", "eval, train"]),
    ("objectives.cheap", {"kind": "free_at", "replays": 1}, ["cheap.replays", "1; allowed: 2 or"]),
    ("objectives.pgd_at.rel_step", -1, ["objectives.pgd_at.rel_step", "-1; allowed: more than 0"]),
    *(
        (
            f"methods.pwoa.{stage}_objective",
            {"kind": "self_distillation", name: 0},
            [f"methods.pwoa.{stage}_objective.{name}", "0; allowed: more than 0"],
        )
        for stage, name in [("prune", "temperature"), ("finetune", "sigma"), ("prune", "steps")]
    ),
    *(
        (
            f"methods.{kind}.{stage}_objective",
            {"kind": "self_distillation"},
            [
                f"methods.{kind}.{stage}_objective: self_distillation learns from a dense network",
                f"{kind} prunes {when} training, without one; allowed: any other objective",
            ],
        )
        for kind, when, stage in [
            ("imp", "before", "mask"),
            ("rst", "before", "train_masked"),
            ("bcsp", "during", "train_sparse"),
        ]
    ),
    (
        "methods.imp.mask_objective",
        {"kind": "pgd_at", "steps": 0},
        ["methods.imp.mask_objective.steps", "0; allowed: more than 0"],
    ),
    (
        "methods.bcsp.train_sparse_objective",
        "trades",
        ["methods.bcsp.train_sparse_objective", "no objective 'trades'", "allowed: pgd_at, or one"],
    ),
    (
        "methods.bcsp.prune",
        {"epochs": 2},
        ["methods.bcsp.prune: unknown key", "train_sparse, train_sparse_objective, noise, layers"],
    ),
    ("methods.bcsp.finetune_objective", None, ["bcsp.finetune_objective: unknown key", "noise"]),
    (
        "methods.imp.train_sparse",
        {"epochs": 2},
        ["methods.imp.train_sparse: unknown key", "mask, train_masked, mask_objective"],
    ),
    (
        "methods.lwm.mask",
        {"epochs": 2},
        ["methods.lwm.mask: unknown key", "prune, finetune, prune_objective"],
    ),
    ("methods.bcsp.train_sparse", {"epoch": 3}, ["bcsp.train_sparse", "'epoch'", "epochs"]),
    ("methods.imp.mask", {"cycles": 0}, ["methods.imp.mask.cycles", "0", "1 or more"]),
    ("methods.imp.mask", {"extra": 1}, ["methods.imp.mask.extra", "1, but datasets.digits"]),
    ("methods.bcsp.noise", -1, ["methods.bcsp.noise", "-1; allowed: 0 or more"]),
    ("methods.bcsp.unit", "filter", ["bcsp.unit", "cannot prune by filter", "allowed: weight"]),
    ("methods.twinrep.prune_at", 1.5, ["methods.twinrep.prune_at", "1.5; allowed: 0 to 1"]),
    (
        "objectives.pgd_at.training",
        {"train_sparse": {"epochs": 0}},
        ["objectives.pgd_at.training.train_sparse.epochs", "0; allowed: 1 or more"],
    ),
    (
        "training.train_spars",
        {},
        ["training", "'train_spars'", "finetune, mask, train_masked, train_sparse"],
    ),
    ("objectives.pgd_at.mode", "training", ["objectives.pgd_at.mode", "eval, train"]),
    ("models.resnet", {}, ["models.resnet.kind", "resnet18"]),
    ("models.digits_cnn.only_evaluate", True, ["only_evaluate", "with a checkpoint only"]),
    ("models.digits_cnn.checkpoint", {}, ["digits_cnn.checkpoint", "no place", "entry_point"]),
    ("models.digits_cnn.checkpoint", {"url": "x"}, ["digits_cnn.checkpoint", "'url'", "file"]),
    ("models.digits_cnn.checkpoint", {"file": 3}, ["checkpoint.file", "3", "string"]),
    ("models.digits_cnn.checkpoint", "w.pt", ["digits_cnn.checkpoint", "'w.pt'", "object"]),
    ("models.digits_cnn.checkpoint", {"file": "none.pt"}, ["checkpoint", "no file none.pt"]),
    ("models.digits_cnn.checkpoint", {"package": "torch"}, ["checkpoint.path", "is missing"]),
    (
        "models.digits_cnn.checkpoint",
        {"file": "a", "entry_point": "b:c"},
        ["file and entry_point", "one of file, package"],
    ),
    ("models.digits_cnn.checkpoint", {"file": "a", "path": "b"}, ["checkpoint.package", "path"]),
    ("models.digits_cnn.checkpoint", {"file": "a", "mean": [0.5]}, ["checkpoint.std", "mean"]),
    ("models.digits_cnn.checkpoint", {"entry_point": "nets"}, ["'nets'", "module:function"]),
    (
        "models.digits_cnn.checkpoint",
        {"entry_point": "a:b", "under": "net"},
        ["checkpoint.under", "files only"],
    ),
    ("models.digits_cnn.checkpoint", {"file": "a", "sha256": "12"}, ["sha256", "'12'", "64"]),
    ("models.digits_cnn", {"checkpoint": {"file": "a"}, "normalize": True}, ["normalize", "mean"]),
    ("objectives", {}, ["objectives", "at least 1"]),
    ("objectives", ..., ["objectives", "at least 1", "models.digits_cnn"]),
    ("methods", ..., ["methods", "at least 1", "not only_evaluate"]),
    ("sparsities", ..., ["sparsities", "at least 1"]),
    ("objectives.as_it_came", {"kind": "natural"}, ["as_it_came", "is taken"]),
    ("models.digits_cnn.width", "wide", ["models.digits_cnn.width", "a whole number"]),
    ("datasets.mnist", {}, ["datasets.mnist.kind", "digits, cifar10"]),
    ("datasets.digits.validation", 1, ["datasets.digits.validation", "less than 1"]),
    ("datasets.digits.limit_test", 5000, ["datasets.digits.limit_test", "719 or less"]),
    ("datasets.digits.test_fraction", 2, ["datasets.digits", "test_fraction", "between 0 and 1"]),
    ("datasets.cifar10", {"folder": "nowhere"}, ["datasets.cifar10", "nowhere", "download: true"]),
    ("training.dense.epochs", 0, ["training.dense.epochs", "1 or more"]),
    ("training.dense.lr", 0, ["training.dense.lr", "more than 0"]),
    ("training.dense.schedule", "linear", ["training.dense.schedule", "cosine"]),
    ("training.dense.extra", -1, ["training.dense.extra", "-1", "0 or more"]),
    ("training.dense.extra", "1", ["training.dense.extra", "'1'", "number"]),
    (
        "training.dense.extra",
        1,
        ["training.dense.extra", "1, but datasets.digits has no extra", "allowed: 0, or with"],
    ),
    ("training.prune.extra", 0.5, ["methods.hydra.prune.extra", "0.5, but datasets.digits"]),
    ("training.finetune.extra", 2, ["training.finetune.extra", "2, but datasets.digits"]),
    ("methods.lwm.finetune", {"extra": 1}, ["methods.lwm.finetune.extra", "1, but"]),
    ("datasets.digits.extra", "no.npz", ["datasets.digits.extra", "'no.npz'", "an .npz file"]),
    ("datasets.digits.extra", 7, ["datasets.digits.extra", "7", "string or null"]),
    ("training.dens", {}, ["training", "'dens'", "dense, prune, finetune"]),
    ("autoattack.version", "best", ["autoattack.version", "standard, plus, rand, custom"]),
    ("autoattack.attacks", ["pgd"], ["autoattack.attacks.0", "'pgd'", "apgd-ce"]),
    ("autoattack.attacks", ..., ["autoattack.attacks", "needs a list"]),
    ("autoattack.version", "standard", ["autoattack.attacks", "version: custom"]),
    ("autoattack.attacks", ["square"] * 2, ["autoattack.attacks", "without repetitions"]),
    ("autoattack.targets", 9, ["autoattack", "'targets'", "apgd_targets, fab_targets"]),
    ("autoattack.fab_targets", 0, ["autoattack.fab_targets", "1 or more"]),
    ("autoattack.large_repetitions", True, ["large_repetitions", "Linf", "only under L1"]),
    ("autoattack.keep_examples", "no", ["autoattack.keep_examples", "'no'"]),
    ("indicators.samples", 0, ["indicators.samples", "0", "1 or more"]),
    ("indicators.points", 2.5, ["indicators.points", "2.5", "integer"]),
    ("indicators.seed", -1, ["indicators.seed", "-1", "0 or more"]),
    ("indicators.eps", 1, ["indicators", "'eps'", "samples, points, seed"]),
    ("breaking.rounds", -1, ["breaking.rounds", "-1", "0 or more"]),
    ("breaking.rounds", 11, ["breaking.rounds", "11", "10 or less"]),
    ("breaking.rounds", 1.5, ["breaking.rounds", "1.5", "integer"]),
    ("breaking.rounds", 2.0, ["breaking.rounds", "2.0", "integer"]),
    ("breaking.rounds", "x", ["breaking.rounds", "'x'", "integer"]),
    ("breaking.rounds", None, ["breaking.rounds", "None", "integer"]),
    ("breaking", None, ["breaking", "None", "object"]),
    ("breaking", 2, ["breaking", "2", "object"]),
    ("breaking.seed", 1, ["breaking", "'seed'", "rounds"]),
    ("twins", 0, ["twins", "0", "1 or more"]),
    ("twins", -1, ["twins", "-1", "1 or more"]),
    ("twins", 17, ["twins", "17", "16 or less"]),
    ("twins", 1.5, ["twins", "1.5", "integer"]),
    ("twins", None, ["twins", "None", "integer"]),
    ("twins", "some", ["twins", "'some'", "integer"]),
    ("distances", [{"norm": "Linf", "steps": 9}], ["distances: [", "budget: cheap}", "attacks"]),
    ("distances", {"budget": "endless"}, ["distances.budget", "cheap, thorough"]),
    ("distances", {"norms": []}, ["distances.norms", "at least 1"]),
    ("distances", {"norms": ["L3"]}, ["distances.norms.0", "Linf, L2, L1, L0"]),
    ("distances", {"norms": ["L2"]}, ["distances", "none in Linf", "threat model's"]),
    ("distances", {"attacks": []}, ["distances.attacks", "at least 1"]),
    ("distances", {"attacks": [FMN], "budget": "cheap"}, ["distances", "one or the other"]),
    ("distances", {"attacks": [{"norm": "L2"}]}, ["distances.attacks.0", "'kind' is missing"]),
    (
        "distances",
        {"attacks": [FMN, {"kind": "pgd", "norm": "L2"}]},
        ["distances.attacks.1.kind", "'pgd'", "fmn, apgd, fab"],
    ),
    ("distances", {"attacks": [FMN | {"speed": 1}]}, ["attacks.0.speed", "steps, max_stepsize"]),
    ("distances", {"attacks": [FMN | {"steps": 0}]}, ["distances.attacks.fmn", "1 or more"]),
    ("distances", {"attacks": [FMN | {"max_stepsize": 0}]}, ["max_stepsize", "more than 0"]),
    ("distances", {"attacks": [FMN, FMN]}, ["distances.attacks.fmn", "twice"]),
    (
        "distances",
        {"attacks": [FMN, {"kind": "apgd", "norm": "L1"}]},
        ["distances.attacks.apgd", "has no L1", "L2, Linf"],
    ),
    (
        "distances",
        {"attacks": [FMN, {"kind": "fab", "norm": "L2"}]},
        ["in L2 fab alone", "misclassified", "fmn or apgd"],
    ),
    ("resources.gpus", 2, ["resources", "'gpus'", "threads"]),
    ("resources.train_minutes", 60, ["resources", "'train_minutes'", "threads, mem_mb, gflops"]),
    ("resources.attack_minutes", 9, ["resources", "'attack_minutes'", "threads, mem_mb, gflops"]),
    ("resources", {1: 2, "x": 3}, ["resources", "unknown key 1, 'x'", "threads, mem_mb, gflops"]),
    ("resources.scratch", "scratch", ["resources.scratch", "'scratch'", "absolute", "$TMPDIR"]),
    ("resources.scratch", "", ["resources.scratch", "''", "absolute", "$TMPDIR"]),
    ("resources.scratch", 5, ["resources.scratch", "5", "string or null"]),
]


@pytest.mark.parametrize(("key", "value", "parts"), BAD, ids=lambda v: str(v)[:40])
def test_a_bad_study_is_refused_in_one_sentence(altered, key, value, parts):
    with pytest.raises(BadStudy) as caught:
        study_from(altered(key, value))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_extra_images_are_at_least_one_a_batch_and_none_of_a_stage_that_trains_nothing(
    altered, tmp_path
):
    (tmp_path / "more.npz").touch()
    altered("datasets.digits.extra", str(tmp_path / "more.npz"))
    study_from(altered("training.dense.extra", 0.004))
    with pytest.raises(BadStudy, match=r"dense\.extra: 0\.003 adds no image to a batch of 128"):
        study_from(altered("training.dense.extra", 0.003))
    altered("datasets.digits.extra", None)
    altered("training.dense.extra", 0)
    study_from(altered("methods.lwm.prune", {"extra": 1}))  # one shot


def test_checkpoints_cannot_be_chosen_without_epochs(altered):
    study = altered("training.finetune.epochs", 0)
    study_from(study)
    with pytest.raises(BadStudy, match=r"selection_on_test: .*methods.hydra.finetune.*: false"):
        study_from(study | {"selection_on_test": True})


@pytest.mark.parametrize(
    ("methods", "named"),
    [
        ({"bcsp": {"train_sparse": {"epochs": 0}}}, "methods.bcsp.train_sparse.epochs"),
        ({"rst": {"mask": {"epochs": 0}}}, "methods.rst.mask.epochs"),
        (
            {"imp": {"mask": {"epochs": 0}, "train_masked": {"epochs": 0}}},
            "methods.imp.mask.epochs",
        ),
    ],
    ids=["during", "rst", "before"],
)
def test_no_checkpoint_is_chosen_where_a_method_trains_nothing(miniature, methods, named):
    study = miniature | {"methods": methods}
    study_from(study)
    with pytest.raises(BadStudy) as caught:
        study_from(study | {"selection_on_test": True})
    assert str(caught.value) == f"study: selection_on_test: true, but {named} is 0; allowed: false"


@pytest.mark.parametrize(
    "methods",
    [{"rst": {}}, {"imp": {"mask": {"epochs": 0}}}, {"imp": {"train_masked": {"epochs": 0}}}],
    ids=str,
)
def test_one_stage_that_trains_is_enough_to_choose_a_checkpoint(miniature, methods):
    study_from(miniature | {"methods": methods, "selection_on_test": True})


def test_extra_images_are_no_matter_to_a_stage_that_trains_nothing(miniature):
    study_from(miniature | {"methods": {"rst": {"train_masked": {"extra": 1}}}})


def test_the_dense_network_cannot_be_fine_tuned_again_without_epochs(altered):
    study = altered("training.finetune.epochs", 0)
    assert not study_from(study).resolved["dense_again"]
    with pytest.raises(BadStudy, match=r"dense_again: true, .*finetune.epochs is 0; .*: false"):
        study_from(study | {"dense_again": True})


def test_a_dense_network_from_elsewhere_is_not_fine_tuned_again(altered):
    place = {"package": "pyautoattack", "path": "examples/model_test.pt"}
    study = altered("models", {"resnet18": {"checkpoint": place}})
    assert not study_from(study).resolved["dense_again"]
    with pytest.raises(BadStudy, match=r"dense_again: true, .*from elsewhere; allowed: false"):
        study_from(study | {"dense_again": True})


def test_the_labels_taken_are_those_of_the_tables():
    assert checks.SECOND_SEED == analysis.SECOND_SEED
    assert (plan.DENSE, plan.DENSE_AGAIN) == (analysis.DENSE, analysis.DENSE_AGAIN)
    assert plan.AS_IT_CAME == what_was_run.AS_IT_CAME


def test_methods_without_a_network_to_prune_are_refused(altered):
    place = {"package": "pyautoattack", "path": "examples/model_test.pt"}
    with pytest.raises(BadStudy, match="every model is only_evaluate"):
        study_from(altered("models.digits_cnn", {"checkpoint": place, "only_evaluate": True}))


def test_an_objective_whose_networks_nobody_prunes_is_refused(altered):
    altered("objectives.trades", {})
    altered("methods", {"lwm": {"objectives": ["pgd_at"]}})
    with pytest.raises(BadStudy, match=r"objectives\.trades: no method"):
        study_from(altered("seeds", [0]))


def test_a_file_that_is_no_mapping_or_no_yaml_is_refused(tmp_path):
    for text in ("- a\n- b\n", "", "{", "just words"):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        with pytest.raises(BadStudy, match=r"study: |study .*study\.yaml: "):
            study_from_file(path)


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("name: x\nresources: {train_minutes: 60}\n")
    with pytest.raises(BadStudy) as error:
        study_from_file(path)
    assert str(error.value).startswith(f"study {path}: ")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadStudy, match="cannot read"):
        study_from_file(tmp_path / "none.yaml")


def test_what_only_comes_from_elsewhere_cannot_be_pruned_before_or_during_training(altered):
    place = {"package": "pyautoattack", "path": "examples/model_test.pt"}
    altered("models", {"resnet18": {"checkpoint": place}})
    for kind, pipeline in (("imp", "before"), ("bcsp", "during")):
        with pytest.raises(BadStudy) as raised:
            study_from(altered("methods", {"sparse": {"kind": kind}}))
        said = str(raised.value)
        assert f"methods.sparse: {kind} prunes {pipeline} training, but every model" in said
        assert "allowed: methods that prune after training" in said
    assert study_from(altered("methods", {"lwm": {}}))


def test_a_stage_in_which_a_method_trains_nothing_cannot_be_given_epochs(miniature):
    for methods, key in (
        ({"lwm": {"prune": {"epochs": 3}}}, "methods.lwm.prune.epochs"),
        ({"rst": {"train_masked": {"epochs": 3}}}, "methods.rst.train_masked.epochs"),
    ):
        with pytest.raises(BadStudy) as caught:
            study_from(miniature | {"methods": methods})
        (kind,) = methods
        assert str(caught.value) == (
            f"study: {key}: 3; allowed: 0, {kind} trains nothing in this stage"
        )
