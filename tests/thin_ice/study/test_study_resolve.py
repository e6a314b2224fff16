"""The resolved study says everything, and resolving changes only what was left out."""

import json
from dataclasses import fields

import pytest
import yaml
from miniature import REPOSITORY

from thin_ice import tables
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from, study_from_file
from thin_ice.study.options import entry
from thin_ice.study.pipelines import ALL, STAGES
from thin_ice.study.plan import Network
from thin_ice.study.schema import BadStudy, schema
from thin_ice.training.plan import Plan

LWM = Network("digits-digits_cnn-pgd_at", 1, "lwm-0.9")
TRAINED = ("prune", "finetune", "selection")
STUDIES = [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "workflow/studies").glob("*.yaml"))]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_published_study_is_sound(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    study = study_from_file(path)
    assert len(study.dense_networks()) > 0
    pruned = [network for network in study.networks() if network.pruned]
    assert bool(pruned) == any(not m["only_evaluate"] for m in study.resolved["models"].values())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_resolved_study_is_a_study_and_resolves_to_itself(path):
    """The copy saved with the results can be run, and audited against, wherever they go."""
    resolved = study_from_file(path, with_data=False).resolved
    saved = yaml.safe_load(yaml.safe_dump(resolved))
    again = study_from(saved, with_data=False)
    assert again.resolved == resolved
    first = study_from(resolved, with_data=False)
    assert planned_jobs(again) == planned_jobs(first)  # in the order of labels, whatever is saved


def test_the_schema_describes_every_field_of_a_plan_with_its_choices():
    described = schema()["$defs"]["plan"]["properties"]
    assert set(described) == {field.name for field in fields(Plan)}


def test_a_fraction_is_a_number(altered):
    assert study_from(altered("threat.eps", "8/255")).resolved["threat"]["eps"] == 8 / 255


def test_numbers_take_the_type_of_their_option(altered):
    resolved = study_from(altered("methods.radmm.rho", 1)).resolved
    assert repr(resolved["methods"]["radmm"]["options"]["rho"]) == "1.0"


def test_a_method_prunes_by_the_first_of_its_units_unless_told_otherwise(altered):
    def unit(**given):
        study = study_from(altered("methods", {"filter_norm": given, "snip": {}}))
        return {label: m["unit"] for label, m in study.resolved["methods"].items()}

    assert unit() == {"filter_norm": "filter", "snip": "weight"}
    assert unit(unit="channel")["filter_norm"] == "channel"


def test_a_methods_published_plan_holds_unless_the_study_departs_from_it(altered):
    hydra = study_from(altered("methods.hydra.prune", {"lr": 0.3})).resolved["methods"]["hydra"]
    assert hydra["prune"]["schedule"] == "cosine_per_epoch"  # published
    assert hydra["prune"]["epochs"] == 2  # the study's, for all methods
    assert hydra["prune"]["lr"] == 0.3  # the study's, for this method
    assert hydra["prune"]["select"] == "last"


def test_a_one_shot_method_trains_nothing_while_it_prunes(miniature):
    methods = study_from(miniature).resolved["methods"]
    assert methods["lwm"]["prune"]["epochs"] == 0
    assert methods["lwm"]["finetune"]["epochs"] == 2


def test_one_method_may_appear_twice_under_two_labels(altered):
    study = study_from(altered("methods.lwm_global", {"kind": "lwm", "allocation": "global"}))
    variants = {network.variant for network in study.networks()}
    assert {"lwm-0.9", "lwm_global-0.9"} <= variants


def test_a_method_prunes_only_the_networks_of_its_objectives(altered):
    altered("objectives.trades", {"steps": 2})
    study = study_from(altered("methods.hydra.objectives", ["trades"]))
    runs = {network.run for network in study.networks() if network.method == "hydra"}
    assert runs == {"digits-digits_cnn-trades"}


def test_a_networks_names_are_its_folders():
    network = Network("cifar10-resnet18-trades", 2, "hydra-0.95")
    assert network.folder == "cifar10-resnet18-trades/seed2/hydra-0.95"
    assert (network.method, network.sparsity) == ("hydra", 0.95)
    assert network.parts == ("cifar10", "resnet18", "trades")


def test_the_dense_network_fine_tuned_again_is_made_as_pruned_ones_are_tuned(altered):
    study = study_from(altered("training.finetune", {"epochs": 3, "lr": 0.02}))
    (again,) = [n for n in study.networks() if n.variant == "dense_again" and n.seed == 1]
    assert (again.method, again.sparsity, again.pruned) == ("dense_again", 0, False)
    assert study.protocols(again) == []
    assert again not in study.watched_networks()
    tuned = [json.loads(study.finetune_job(n))["parameters"] for n in (again, LWM)]
    assert tuned[0] == tuned[1] | {"variant": "dense_again"}


def test_a_study_may_leave_the_dense_networks_as_they_are(altered):
    study = study_from(altered("dense_again", False))
    assert "finetune" not in study.resolved["training"]
    assert {n.method for n in study.networks()} == {"dense", "lwm", "hydra", "radmm"}


def test_the_analysis_knows_the_unit_of_every_network(miniature):
    study = study_from(miniature)
    named = json.loads(study.analyse_job(study.runs()[0]))["parameters"]["networks"]
    units = {one["variant"]: one["unit"] for one in named}
    assert units.pop("dense") == units.pop("dense_again") == "none"
    assert set(units.values()) == {"weight"}
    study.resolved["methods"]["lwm"]["unit"] = "filter"
    named = json.loads(study.analyse_job(study.runs()[0]))["parameters"]["networks"]
    assert {one["method"] for one in named if one["unit"] == "filter"} == {"lwm"}


def test_shards_cover_the_test_split(altered):
    assert study_from(altered("autoattack.shard_size", 60)).shards("digits") == [0]
    assert study_from(altered("autoattack.shard_size", 59)).shards("digits") == [0, 1]


def jobs(study):
    """Every job of a study by its stage and network."""
    found = {}
    for network in study.networks():
        stages = ["autoattack", "evaluate", "distances", "indicators"]
        stages += {
            "dense": ["dense", "rivals", "breaking", "twins"],
            "dense_again": ["finetune", "sensitivity"],
        }.get(network.variant, [*TRAINED, "sensitivity", "compact"])
        stages = [*stages, "certify"]
        for stage in stages:
            arguments = (network, 0) if stage == "autoattack" else (network,)
            found[stage, network.folder] = getattr(study, f"{stage}_job")(*arguments)
    found["dataset", "digits"] = study.dataset_job("digits")
    found["analyse", ""] = study.analyse_job("digits-digits_cnn-pgd_at")
    return found


def test_a_job_is_canonical_json_whatever_the_order_of_the_keys(miniature):
    backwards = yaml.safe_load(json.dumps(dict(reversed(miniature.items()))))
    assert jobs(study_from(miniature)) == jobs(study_from(backwards))
    for text in jobs(study_from(miniature)).values():
        value = json.loads(text)
        assert text == json.dumps(value, sort_keys=True, separators=(",", ":"))
        assert set(value) == {"stage", "parameters", "code"}


CHANGES = {
    "autoattack.square_queries": (30, {"autoattack", "breaking"}),
    "autoattack.keep_examples": (False, {"autoattack"}),
    "breaking.rounds": (2, {"breaking"}),
    "twins": (4, {"twins"}),
    "certification.rounds": (3, {"certify", "analyse"}),
    "methods.hydra.scores": ("random", {"prune hydra"}),
    "methods.radmm.rho": (0.01, {"prune radmm"}),
    "training.finetune.lr": (0.3, {"finetune", "selection"}),
    "selection_on_test": (True, set()),
    "training.dense.lr": (0.3, {"dense"}),
    "datasets.digits.partition_seed": (1, {"dataset"}),
    "analysis.bootstrap": (60, {"analyse"}),
    "methods.lwm.claimed": (
        "bcsp_pgd50",
        {
            *(
                f"{stage} {what}"
                for stage in ("evaluate", "indicators")
                for what in ("lwm", "dense")
            ),
            "selection lwm",
        },
    ),
    "indicators.points": (6, {"indicators"}),
    "rivals.steps": (5, {"rivals"}),
    "rivals.seed": (1, {"rivals"}),
    "dense_again": (False, {"analyse"}),
    "resources.mem_mb": (900, set()),
    "resources.scratch": ("$TMPDIR", set()),
    "resources.warm_start": (False, set()),
    "sparsities": ([0.9, 0.99], {"analyse"}),  # old jobs stay; new ones are added
}


def names_of(stage, folder):
    """How a job may be meant above: by its stage, or by stage and method."""
    method = folder.split("/")[-1].split("-")[0]
    return {stage, f"{stage} {method}"}


def test_breaking_radii_of_dense_networks_are_looked_for_unless_there_are_no_rounds(altered):
    def searched(rounds):
        jobs = planned_jobs(study_from(altered("breaking.rounds", rounds)))
        return [job.folder for job in jobs if job.stage == "breaking"]

    assert searched(0) == []
    run = "digits-digits_cnn-pgd_at"
    assert searched(2) == [f"{run}/seed{seed}/dense/breaking" for seed in (0, 1)]


def test_twins_are_of_the_threats_norm_alone(miniature):
    study = study_from(miniature)
    network, _ = study.dense_networks()
    wanted = json.loads(study.twins_job(network))["parameters"]["distances"]
    assert [attack["norm"] for attack in wanted] == ["Linf"]
    assert len(study.resolved["distances"]["attacks"]) == 2


@pytest.mark.parametrize("key", CHANGES)
def test_a_change_touches_just_the_jobs_that_read_it(altered, miniature, key):
    before = jobs(study_from(miniature))
    value, expected = CHANGES[key]
    after = jobs(study_from(altered(key, value)))
    touched = {name for name in before if before[name] != after.get(name, before[name])}
    assert touched == {name for name in before if expected & names_of(*name)}


def test_a_method_may_be_fine_tuned_with_an_objective_of_its_own(miniature):
    label = next(iter(miniature["methods"]))
    miniature["methods"][label] = {"kind": "lwm", "finetune_objective": {"kind": "mart", "beta": 2}}
    study = study_from(miniature)
    own = study.resolved["methods"][label]
    assert own["prune_objective"] is None
    assert own["finetune_objective"]["kind"] == "mart"
    assert own["finetune_objective"]["options"]["beta"] == 2.0
    (network, *_) = [one for one in study.networks() if one.method == label]
    jobs = {stage: json.loads(getattr(study, f"{stage}_job")(network)) for stage in TRAINED}
    kinds = {stage: job["parameters"]["objective"]["kind"] for stage, job in jobs.items()}
    dense = network.parts[2]
    assert kinds == {"prune": dense, "finetune": "mart", "selection": "mart"}
    reached = {stage: job["code"]["modules"] for stage, job in jobs.items()}
    assert "thin_ice.objectives.mart:Mart" in reached["finetune"]
    assert "thin_ice.objectives.mart:Mart" not in reached["prune"]
    assert study_from(study.resolved).resolved == study.resolved


def with_objectives(miniature, **methods):
    """Networks trained with each of two objectives, pruned by these methods."""
    return study_from(
        miniature | {"objectives": {"pgd_at": {"steps": 2}, "natural": {}}, "methods": methods}
    )


def test_a_method_may_be_fine_tuned_with_another_objective_of_the_study(miniature):
    study = with_objectives(miniature, lwm={}, back={"kind": "lwm", "finetune_objective": "pgd_at"})
    wanted = study.resolved["methods"]["back"]["finetune_objective"]
    assert wanted == study.resolved["objectives"]["pgd_at"]
    assert study_from(study.resolved).resolved == study.resolved


def test_networks_are_named_by_the_objectives_that_trained_and_tuned_them(miniature):
    study = with_objectives(
        miniature,
        lwm={},
        back={"kind": "lwm", "finetune_objective": "pgd_at"},
        mad={},  # brings an objective that the study does not list
    )

    def said(variant, of="natural"):
        run = f"digits-digits_cnn-{of}"
        (network,) = [n for n in study.networks() if n.run == run and n.variant == variant][:1]
        names = study.names(network)
        return [names[key] for key in ("kind", "trained_with", "tuned_with", "goal", "tuned_goal")]

    assert said("lwm-0.9") == ["lwm", "natural", "natural", "benign", "benign"]
    assert said("back-0.9") == ["lwm", "natural", "pgd_at", "benign", "empirical"]
    assert said("back-0.9", "pgd_at") == ["lwm", "pgd_at", "pgd_at", "empirical", "empirical"]
    assert said("mad-0.9") == ["mad", "natural", "mart", "benign", "empirical"]
    assert said("dense")[:3] == ["dense", "natural", "none"]
    assert said("dense_again")[:3] == ["dense_again", "natural", "natural"]


def plan_of(study, stage, variant, objective="natural"):
    network = next(n for n in study.networks() if n.variant == variant and n.parts[2] == objective)
    return json.loads(getattr(study, f"{stage}_job")(network))["parameters"]["plan"]


def test_an_objective_has_plans_of_its_own_that_win(miniature):
    """Verifiable training takes another optimiser than adversarial training."""
    words = {"dense": {"lr": 1, "optimizer": "adam"}, "prune": {"epochs": 7}, "finetune": {"lr": 2}}
    miniature |= {
        "objectives": {"pgd_at": {"steps": 2}, "natural": {"training": words}},
        "methods": {
            "hydra": {"finetune": {"lr": 3}},
            "lwm": {},
            "lwm_natural": {"kind": "lwm", "finetune_objective": "natural"},
        },
        "selection_on_test": True,
    }
    study = study_from(miniature)
    dense = plan_of(study, "dense", "dense")
    assert (dense["lr"], dense["optimizer"], dense["epochs"]) == (1.0, "adam", 3)
    assert plan_of(study, "dense", "dense", "pgd_at")["lr"] == 0.05
    assert plan_of(study, "prune", "hydra-0.9")["epochs"] == 7
    assert plan_of(study, "prune", "lwm-0.9")["epochs"] == 0  # one shot
    for variant in ("hydra-0.9", "lwm-0.9", "dense_again"):
        assert plan_of(study, "finetune", variant)["lr"] == 2.0
    assert plan_of(study, "selection", "hydra-0.9")["lr"] == 2.0
    assert plan_of(study, "finetune", "hydra-0.9", "pgd_at")["lr"] == 3.0
    assert plan_of(study, "finetune", "lwm_natural-0.9", "pgd_at")["lr"] == 2.0
    assert study_from(study.resolved).resolved == study.resolved


def test_nothing_is_certified_unless_a_study_asks_for_it(miniature, altered):
    def certified(study):
        return [job for job in planned_jobs(study) if job.stage == "certify"]

    study = study_from(miniature)
    assert [job.folder for job in certified(study)] == [
        f"{network.folder}/certified" for network in study.networks()
    ]
    assert study_from(study.resolved).resolved == study.resolved
    assert certified(study_from(altered("certification", ...))) == []


def test_certificates_are_for_the_threat_models_eps_unless_they_have_their_own(altered):
    assert study_from(altered("certification", {})).resolved["certification"]["eps"] == 0.1
    own = altered("certification", {"eps": "1/50", "bounds": ["crown", "ibp"]})
    wanted = study_from(own).resolved["certification"]
    assert wanted["eps"] == 0.02
    assert wanted["bounds"] == ["ibp", "crown"]
    assert wanted["smoothing"] is None


@pytest.mark.parametrize("name", ["methods", "methods-smoke"])
def test_the_studies_of_methods_have_every_method_in_each_of_its_units(name):
    study = study_from_file(REPOSITORY / f"workflow/studies/{name}.yaml", with_data=False)
    units = {
        (kind, unit)
        for kind in tables.METHODS
        for unit in entry("methods", kind).constants["units"]
    }
    assert units == {(m["kind"], m["unit"]) for m in study.resolved["methods"].values()}


def test_a_method_may_prune_the_networks_of_some_seeds_only(altered):
    study = study_from(altered("methods.hydra.seeds", [1]))
    seeds = {
        name: [one.seed for one in study.networks() if one.method == name]
        for name in ("lwm", "hydra")
    }
    assert seeds == {"lwm": [0, 1], "hydra": [1]}
    assert study_from(study.resolved).resolved == study.resolved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"kind": "nothing"},
            r"finetune_objective\.kind: unknown kind .nothing.; allowed",
        ),
        (
            {"kind": "mart", "gamma": 1},
            r"finetune_objective\.gamma: unknown key; allowed: training, beta",
        ),
        ({"beta": 1}, r"finetune_objective: 'kind' is missing"),
        ("mart", r"finetune_objective: no objective 'mart' in this study; allowed: pgd_at, or one"),
        (3, r"finetune_objective: 3; allowed: a value of type object or string or null"),
    ],
)
def test_a_bad_objective_of_a_method_is_refused(miniature, given, message):
    label = next(iter(miniature["methods"]))
    miniature["methods"][label] = {"kind": "lwm", "finetune_objective": given}
    with pytest.raises(BadStudy, match=message):
        study_from(miniature)


def test_what_is_fine_tuned_by_the_dense_network_reads_it(miniature):
    miniature |= {"methods": {"pwoa": {}, "lwm": {}}, "selection_on_test": True}
    jobs = {(job.stage, job.folder): job for job in planned_jobs(study_from(miniature))}
    folder = "digits-digits_cnn-pgd_at/seed0"
    dense = (f"{folder}/dense/model.safetensors",)
    for variant, teacher in (("pwoa-0.9", dense), ("lwm-0.9", ()), ("dense_again", ())):
        assert jobs["finetune", f"{folder}/{variant}"].inputs["teacher"] == teacher
    assert jobs["selection", f"{folder}/pwoa-0.9/selection"].inputs["teacher"] == dense
    for stage, place in (("prune", "/pruned"), ("finetune", "")):
        job = json.loads(jobs[stage, f"{folder}/pwoa-0.9{place}"].text)
        assert job["parameters"]["objective"]["kind"] == "self_distillation"

    miniature["methods"]["pwoa"] = {"finetune_objective": None}
    jobs = {(job.stage, job.folder): job for job in planned_jobs(study_from(miniature))}
    assert jobs["finetune", f"{folder}/pwoa-0.9"].inputs["teacher"] == ()


def test_distillation_from_a_dense_network_cannot_train_it(miniature):
    miniature["objectives"] = {"self_distillation": {}}
    with pytest.raises(BadStudy, match=r"objectives\.self_distillation: .*cannot train one"):
        study_from(miniature)


# One method or two of each pipeline: rst trains nothing under its mask.
PIPELINES = {"lwm": {}, "hydra": {}, "imp": {}, "rst": {}, "bcsp": {}, "twinrep": {}}
SHARED = {  # what a study may say of dense training that training from initialisation shares
    "batch_size": 32,
    "precision": "bfloat16",
    "augment": "crop",
    "padding": 2,
    "validate_every": 2,
}


@pytest.fixture
def pipelines(miniature):
    """Makes a study with methods of every pipeline, and words on its training."""

    def make(methods=PIPELINES, objectives=None, **training):
        plans = miniature["training"] | training
        objectives = objectives or miniature["objectives"]
        words = {"methods": methods, "training": plans, "objectives": objectives}
        return study_from(miniature | words)

    return make


def one_of(study, label, objective="pgd_at"):
    """The first network of a method."""
    wanted = (label, objective)
    return next(n for n in study.networks() if (n.method, n.parts[2]) == wanted)


@pytest.mark.parametrize("kind", tables.METHODS)
def test_a_method_has_exactly_the_plans_and_objectives_of_its_pipeline(pipelines, kind):
    method = pipelines({kind: {}}).resolved["methods"][kind]
    stages = STAGES[entry("methods", kind).constants["pipeline"]]
    assert [stage for stage in ALL if stage in method] == [s for s in ALL if s in stages]
    objectives = [stage for stage in ALL if f"{stage}_objective" in method]
    assert objectives == [stage for stage in ALL if stage in stages]
    for stage in stages:
        assert set(method[stage]) == {field.name for field in fields(Plan)}


def test_training_from_initialisation_takes_as_long_as_dense_training_on_the_same_batches(
    pipelines,
):
    words = {"epochs": 7, "lr": 0.3, "schedule": "constant", "weight_decay": 0.25} | SHARED
    methods = pipelines(dense=words, prune={"epochs": 2}).resolved["methods"]
    for label, stage in (("imp", "train_masked"), ("bcsp", "train_sparse")):
        plan = methods[label][stage]
        assert {key: plan[key] for key in SHARED} == SHARED
        assert plan["epochs"] == 7
        published = entry("methods", label).constants[f"{stage}_plan"]
        own = {"lr", "schedule", "weight_decay"}
        expected = {key: published.get(key, getattr(Plan(), key)) for key in own}
        assert {key: plan[key] for key in own} == expected


def test_a_mask_is_looked_for_on_the_same_batches_for_as_long_as_its_method_says(pipelines):
    methods = pipelines(dense={"epochs": 7, "lr": 0.3} | SHARED).resolved["methods"]
    for label in ("imp", "rst"):
        plan = methods[label]["mask"]
        published = entry("methods", label).constants["mask_plan"]
        assert {key: plan[key] for key in SHARED} == SHARED
        assert (plan["epochs"], plan["lr"]) == (published["epochs"], published["lr"])
    assert methods["rst"]["train_masked"]["epochs"] == 0  # trains nothing, whatever is said


def test_what_prunes_after_training_takes_nothing_from_the_words_on_dense_training(pipelines):
    plain = pipelines().resolved["methods"]
    methods = pipelines(dense={"epochs": 7} | SHARED).resolved["methods"]
    assert {key: methods[key] for key in ("lwm", "hydra")} == {
        key: plain[key] for key in ("lwm", "hydra")
    }
    assert methods["bcsp"] != plain["bcsp"]


def test_the_words_on_a_stage_win_over_those_on_dense_training_and_a_methods_over_both(pipelines):
    dense = {"epochs": 7, "batch_size": 32}
    own = {"imp": {"train_masked": {"epochs": 5}, "mask": {"batch_size": 8}}}
    own |= {"li20": {}, "bcsp": {"train_sparse": {"batch_size": 4}}, "twinrep": {}}
    words = {"epochs": 6, "batch_size": 16}
    stages = dict.fromkeys(("mask", "train_masked", "train_sparse"), words)
    methods = pipelines(own, dense=dense, **stages).resolved["methods"]
    found = {
        (label, stage): (methods[label][stage]["epochs"], methods[label][stage]["batch_size"])
        for label in own
        for stage in stages
        if stage in methods[label]
    }
    assert found == {
        ("imp", "mask"): (6, 8),
        ("imp", "train_masked"): (5, 16),
        ("li20", "mask"): (6, 16),
        ("li20", "train_masked"): (6, 16),
        ("bcsp", "train_sparse"): (6, 4),
        ("twinrep", "train_sparse"): (6, 16),
    }
    assert pipelines(own, dense=dense).resolved["methods"]["imp"]["mask"]["epochs"] == 500


def test_what_an_objective_says_of_dense_training_reaches_training_from_initialisation(pipelines):
    """As far as it is shared; what it says of a stage wins over that."""
    dense = {"epochs": 9, "batch_size": 24, "lr": 1}
    training = {"dense": dense, "train_masked": {"batch_size": 12, "lr": 2}, "mask": {"epochs": 4}}
    study = pipelines(objectives={"pgd_at": {"steps": 2}, "natural": {"training": training}})

    def plan(label, stage, objective="natural"):
        found = study.plan(one_of(study, label, objective), stage)
        return [found[key] for key in ("epochs", "batch_size", "lr")]

    assert plan("bcsp", "train_sparse") == [9, 24, 0.1]
    assert plan("imp", "train_masked") == [9, 12, 2.0]
    assert plan("imp", "mask") == [4, 24, 0.1]
    assert plan("rst", "train_masked")[0] == 0
    assert plan("hydra", "prune")[1:] == [128, 0.1]
    assert plan("bcsp", "train_sparse", "pgd_at") == [3, 128, 0.1]
    assert plan("imp", "train_masked", "pgd_at") == [3, 128, 0.1]
    job = json.loads(study.train_sparse_job(one_of(study, "bcsp", "natural")))
    assert job["parameters"]["plan"] == study.plan(one_of(study, "bcsp", "natural"), "train_sparse")


def test_resolving_every_pipeline_again_changes_nothing(pipelines):
    words = {"dense": {"epochs": 7} | SHARED, "mask": {"lr": 0.2}, "train_sparse": {"lr": 0.3}}
    training = {"dense": {"epochs": 9, "lr": 1}, "train_masked": {"lr": 2}}
    objectives = {"pgd_at": {"steps": 2}, "natural": {"training": training}}
    methods = PIPELINES | {"li20": {"mask_objective": "natural"}, "robust_bird": {}}
    study = pipelines(methods, objectives, **words)
    again = study_from(yaml.safe_load(yaml.safe_dump(study.resolved)))
    assert again.resolved == study.resolved
    assert planned_jobs(again) == planned_jobs(study)


def made_by(study, label):
    """The jobs that train a method's network of seed 1: stage, folder in the variant's, inputs."""
    (folder,) = {n.folder for n in study.networks() if (n.method, n.seed) == (label, 1)}
    return [
        (job.stage, job.folder.removeprefix(folder), dict(job.inputs))
        for job in planned_jobs(study)
        if job.stage in ALL and f"{job.folder}/".startswith(f"{folder}/")
    ]


def test_each_pipeline_makes_a_network_by_its_stages_from_what_these_begin_with(pipelines):
    study = pipelines()
    data = {"dataset": ("data/digits/dataset.safetensors",)}
    seed = "digits-digits_cnn-pgd_at/seed1"

    def model(folder):
        return {"model": (f"{seed}/{folder}/model.safetensors",)}

    assert made_by(study, "lwm") == [
        ("prune", "/pruned", data | model("dense")),
        ("finetune", "", data | model("lwm-0.9/pruned") | {"teacher": ()}),
    ]
    for label in ("imp", "rst"):
        assert made_by(study, label) == [
            ("mask", "/pruned", data),
            ("train_masked", "", data | model(f"{label}-0.9/pruned")),
        ]
    for label in ("bcsp", "twinrep"):
        assert made_by(study, label) == [("train_sparse", "", data)]


def test_a_job_of_a_pipeline_says_what_its_stage_needs_to_know(pipelines):
    study = pipelines()
    jobs = {job.folder: json.loads(job.text) for job in planned_jobs(study) if job.stage in ALL}
    seed = "digits-digits_cnn-pgd_at/seed0"
    acting = {"mask": "imp-0.9/pruned", "train_sparse": "bcsp-0.9", "prune": "lwm-0.9/pruned"}
    for stage, folder in acting.items():
        job, kind = jobs[f"{seed}/{folder}"], folder.partition("-")[0]
        assert job["stage"] == stage
        assert job["parameters"]["method"]["kind"] == kind
        assert job["parameters"]["sparsity"] == 0.9
        assert any(f"pruning.{kind}:" in module for module in job["code"]["modules"])
    for stage, folder in {"train_masked": "imp-0.9", "finetune": "lwm-0.9"}.items():
        job = jobs[f"{seed}/{folder}"]
        assert job["stage"] == stage
        assert not {"method", "sparsity"} & set(job["parameters"])
        assert not any("pruning." in module for module in job["code"]["modules"])


def test_variants_are_those_of_a_pipelines_methods(pipelines):
    study = pipelines(PIPELINES | {"imp": {"sparsities": [0.5, 0.9]}})
    assert study.variants("after") == ["hydra-0.9", "lwm-0.9"]
    assert study.variants("before") == ["imp-0.5", "imp-0.9", "rst-0.9"]
    assert study.variants("during") == ["bcsp-0.9", "twinrep-0.9"]
    assert pipelines({"lwm": {}}).variants("before") == []


def test_the_last_stage_that_trains_chooses_the_checkpoint_and_has_the_history(pipelines):
    short = {"kind": "hydra", "finetune": {"epochs": 0}}
    untrained = {"kind": "li20", "train_masked": {"epochs": 0}}
    study = pipelines(PIPELINES | {"short": short, "untrained": untrained})
    expected = {
        "dense": ("dense", ""),
        "dense_again": ("finetune", ""),
        **dict.fromkeys(("lwm", "hydra"), ("finetune", "")),
        "short": ("prune", "/pruned"),
        "imp": ("train_masked", ""),
        **dict.fromkeys(("rst", "untrained"), ("mask", "/pruned")),
        **dict.fromkeys(("bcsp", "twinrep"), ("train_sparse", "")),
    }
    networks = {label: one_of(study, label) for label in expected}
    found = {
        label: (study.deciding_stage(one), study.history(one)) for label, one in networks.items()
    }
    assert found == {
        label: (stage, f"{networks[label].folder}{within}/history.csv")
        for label, (stage, within) in expected.items()
    }


def test_the_analysis_reads_the_history_of_every_network_that_was_trained_here(pipelines):
    study = pipelines()
    (job,) = [one for one in planned_jobs(study) if one.stage == "analyse"]
    wanted = json.loads(job.text)["parameters"]
    pairs = zip(wanted["networks"], wanted["histories"], strict=True)
    stages = {one["variant"]: stage for one, stage in pairs}
    assert stages == {
        **{"dense": "dense", "dense_again": "finetune", "lwm-0.9": "finetune"},
        **{"hydra-0.9": "finetune", "imp-0.9": "train_masked", "rst-0.9": "mask"},
        **{"bcsp-0.9": "train_sparse", "twinrep-0.9": "train_sparse"},
    }
    networks = [f"{one['run']}/seed{one['seed']}/{one['variant']}" for one in wanted["networks"]]
    within = ["/pruned" * (stage == "mask") for stage in wanted["histories"]]
    assert job.inputs["histories"] == tuple(
        f"{folder}{inside}/history.csv" for folder, inside in zip(networks, within, strict=True)
    )
    assert wanted["validation_images"] == 60  # a fifth of 300


def test_a_network_from_elsewhere_has_no_history_and_no_counterpart_is_trained(altered):
    place = {"package": "pyautoattack", "path": "examples/model_test.pt"}
    altered("models.resnet18", {"checkpoint": place})
    study = study_from(altered("methods", {"lwm": {}, "bcsp": {}, "imp": {}}))
    job = json.loads(study.analyse_job("digits-resnet18-pgd_at"))["parameters"]
    assert job["histories"] == [None, "finetune"]
    theirs = [one for one in study.networks() if study.external(one)]
    assert [one.variant for one in theirs] == ["dense", "lwm-0.9"]
    assert [one.variant for one in study.trained_networks() if one in theirs] == ["lwm-0.9"]
    ours = {one.variant for one in study.networks() if not study.external(one)}
    assert {"bcsp-0.9", "imp-0.9", "lwm-0.9"} <= ours


def test_names_say_when_a_network_was_pruned(pipelines):
    study = pipelines()
    found = {one.method: study.names(one)["pipeline"] for one in study.networks()}
    assert found == {
        **{"dense": "none", "dense_again": "none", "lwm": "after", "hydra": "after"},
        **{"imp": "before", "rst": "before", "bcsp": "during", "twinrep": "during"},
    }


def test_what_a_network_was_tuned_with_is_its_last_stages_objective(pipelines):
    objectives = {"pgd_at": {"steps": 2}, "trades": {"steps": 2}, "natural": {}}
    methods = {
        "imp": {"train_masked_objective": "trades", "mask_objective": "natural"},
        "robust_bird": {},  # looks for its mask naturally
        "twinrep": {"train_sparse_objective": "trades"},
        "bcsp": {},
    }
    study = pipelines(methods, objectives)
    found = {label: study.names(one_of(study, label))["tuned_with"] for label in methods}
    assert found == {
        "imp": "trades",
        "robust_bird": "pgd_at",
        "twinrep": "trades",
        "bcsp": "pgd_at",
    }
    masks = {label: study.objective(one_of(study, label), "mask")["kind"] for label in methods}
    assert masks["imp"] == masks["robust_bird"] == "natural"


@pytest.mark.parametrize("switch", ["fold", "channels_last", "compile"])
def test_how_passes_are_computed_touches_what_attacks(miniature, switch):
    miniature |= {"methods": PIPELINES, "selection_on_test": True, "breaking": {"rounds": 1}}
    before, after = (study_from(miniature | {"speed": {switch: on}}) for on in (False, True))
    old, new = ({job.folder: job for job in planned_jobs(one)} for one in (before, after))
    touched = {old[folder].stage for folder in old if old[folder].text != new[folder].text}
    attacked = {"autoattack", "evaluate", "distances", "breaking", "selection"}
    assert touched == {"study", "dense", *ALL, *attacked, "report"}


def stages_touched(before, after):
    """Stages of the jobs that a change of the study plans otherwise, among those that train."""
    old, new = ({job.folder: job for job in planned_jobs(one)} for one in (before, after))
    assert old.keys() == new.keys()
    return {
        old[f].stage for f in old if old[f].text != new[f].text and old[f].stage in ("dense", *ALL)
    }


@pytest.mark.parametrize(
    ("training", "touched"),
    [
        ({"dense": {"epochs": 4, "lr": 0.05}}, {"dense", "train_masked", "train_sparse"}),
        ({"dense": {"epochs": 3, "lr": 0.06}}, {"dense"}),
        (
            {"dense": {"epochs": 3, "lr": 0.05, "batch_size": 64}},
            {"dense", "mask", "train_masked", "train_sparse"},
        ),
        ({"mask": {"lr": 0.2}}, {"mask"}),
        ({"train_masked": {"lr": 0.2}}, {"train_masked"}),
        ({"train_sparse": {"lr": 0.2}}, {"train_sparse"}),
        ({"prune": {"epochs": 2, "lr": 0.2}}, {"prune"}),
    ],
)
def test_words_on_training_touch_the_stages_that_heed_them(pipelines, training, touched):
    assert stages_touched(pipelines(), pipelines(**training)) == touched


def test_a_replay_reads_what_its_stage_reads_and_the_network_to_compare_with(miniature):
    miniature |= {"methods": PIPELINES, "selection_on_test": True}
    study = study_from(miniature)
    jobs = {job.folder: job for job in planned_jobs(study) if job.stage == "selection"}
    seed, within = "digits-digits_cnn-pgd_at/seed0", {}
    for label in PIPELINES:
        job = jobs[f"{seed}/{label}-0.9/selection"]
        wanted = json.loads(job.text)["parameters"]
        network = one_of(study, label)
        assert wanted["replays"] == study.deciding_stage(network)
        assert wanted["plan"] == study.plan(network, wanted["replays"])
        assert job.inputs["model"] == (f"{network.folder}/model.safetensors",)
        assert job.inputs["teacher"] == ()
        within[label] = (wanted.get("method", {}).get("kind"), job.inputs["pruned"])
        assert wanted.get("sparsity") == (0.9 if "method" in wanted else None)
    pruned = {label: (f"{seed}/{label}-0.9/pruned/model.safetensors",) for label in PIPELINES}
    assert within == {
        **{label: (None, pruned[label]) for label in ("lwm", "hydra", "imp")},
        **{label: (label, ()) for label in ("rst", "bcsp", "twinrep")},
    }
