"""What a job is estimated to cost follows from the study, and is what its code really does."""

from dataclasses import replace

import pytest
import torch
from miniature import MINIATURE, REPOSITORY
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from thin_ice import tables
from thin_ice.attacks.autoattack import attacker, run_attack
from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import LOGITS_NEEDED, VERSIONS, CascadeSettings
from thin_ice.models.flops import size
from thin_ice.models.network import Architecture
from thin_ice.objectives.base import Step
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.randomness import generator
from thin_ice.study import cost, sizing
from thin_ice.study.load import study_from, study_from_file
from thin_ice.study.options import entry
from thin_ice.study.site import Site
from thin_ice.training.validation import validate

FULL = REPOSITORY / "workflow/studies/thin-ice.yaml"
SMALLEST = ThreatModel("Linf", 1e-7)  # in which nothing is found, so that no sample drops out
LEAST = 0.4  # of the estimate: a backward pass with respect to images alone is counted as two


def study(**changes):
    return study_from(MINIATURE | changes)


def a_network(study, variant="dense"):
    return next(one for one in study.networks() if one.variant == variant)


def minutes(study, stage, variant="dense", site=Site(gflops=1e-6)):  # noqa: B008
    """At a speed so low that nothing but passes counts."""
    return sizing.minutes(study, site, stage, a_network(study, variant)) - sizing.BASE_MINUTES


class Counter(TorchDispatchMode):
    """Counts operations as torch's own counter does, which cannot look into autograd.grad."""

    flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        return out


def passes(run, model, images):
    """What ``run`` costs, as a number of forward passes of these images."""
    with Counter() as one, torch.no_grad():
        model(images)
    with Counter() as counter:
        run()
    return counter.flops / one.flops


@pytest.fixture
def network(build):
    return build(0)


def test_every_stage_that_computes_on_networks_has_a_cost_and_no_other():
    methods = MINIATURE["methods"] | {"imp": {}, "bcsp": {}}
    here = study(selection_on_test=True, methods=methods)
    variants = dict.fromkeys(("mask", "train_masked"), "imp-0.9") | {"train_sparse": "bcsp-0.9"}
    for stage in cost.STAGES:
        found = cost.work(here, stage, a_network(here, variants.get(stage, "hydra-0.9")))
        assert found.passes > found.batches > 0, stage
    rest = {"study", "dataset", "external", "analyse", "report"}
    from thin_ice.commands.runner import STAGES

    assert set(STAGES) - set(cost.STAGES) == rest


def test_the_tables_know_every_objective_attack_and_distance():
    assert set(cost.LOSS) == set(tables.OBJECTIVES)
    assert set(cost.SEARCHES) == set(tables.DISTANCE_ATTACKS)
    assert set(cost.CASCADE) >= {*LOGITS_NEEDED, *(a for v in VERSIONS.values() for a in v.attacks)}


def test_what_the_tables_do_not_know_is_taken_for_dear():
    """A new objective or attack must not keep a study from being planned."""
    new = {"kind": "new", "options": {"steps": 2}}
    known = [cost.training_passes(new | {"kind": kind}, 128, 10) for kind in cost.LOSS]
    assert max(known) <= cost.training_passes(new, 128, 10) <= 1.2 * max(known)
    assert cost.distance_passes(new, 10) >= 2 * 10


def whole(kind, **given):
    """An objective as a resolved study has it."""
    options = {name: option.default for name, option in entry("objectives", kind).options.items()}
    return {"kind": kind, "options": options | given}


STEPPED = [  # objectives with an adversary of few steps, where they have one, and with none
    *(whole(k, steps=4) for k in tables.OBJECTIVES if "steps" in entry("objectives", k).options),
    *(whole(k) for k in tables.OBJECTIVES if "steps" not in entry("objectives", k).options),
    whole("mixtrain"),
    whole("mixtrain", samples=1),
    whole("smoothing", form="gaussian"),
]


@pytest.mark.parametrize("given", STEPPED, ids=lambda one: one["kind"])
def test_a_step_of_training_costs_what_is_estimated_or_less(given, network, build, images, labels):
    objective = tables.load("objectives", given["kind"])(**given["options"])
    teacher, memory = build(1).eval(), {}
    step = Step(ThreatModel("Linf", 0.1), generator("cpu", 0), 0.5, teacher, memory=memory)

    def run():
        for _ in range(objective.replays):
            objective.loss(network.train(), images, labels, step).value.backward()

    estimate = cost.training_passes(given, len(images), 10)
    assert LEAST < passes(run, network, images) / estimate <= 1


@pytest.mark.parametrize("given", STEPPED, ids=lambda one: one["kind"])
def test_a_look_at_validation_costs_what_is_estimated_or_less(given, setting, build, network):
    objective = tables.load("objectives", given["kind"])(**given["options"])
    chosen = replace(setting(objective, validation=12), teacher=build(1).eval())
    estimate = cost.validation_passes(given, 10)
    images = chosen.validation.floats()
    assert LEAST < passes(lambda: validate(network, chosen), network, images) / estimate <= 1


@pytest.mark.parametrize("given", STEPPED, ids=lambda one: one["kind"])
def test_a_lent_adversary_has_the_steps_that_are_counted(given, network, images, labels):
    objective = tables.load("objectives", given["kind"])(**given["options"])
    step = Step(ThreatModel("Linf", 0.1), generator("cpu", 0), 0.5)
    found = passes(lambda: objective.perturb(network, images, labels, step), network, images)
    estimate = cost.GRADIENT * cost.adversary_steps(given)
    assert (found, estimate) == (0, 0) or LEAST < found / estimate <= 1


@pytest.mark.parametrize("kind", sorted(cost.LOOKS))
def test_what_a_method_looks_at_costs_what_is_estimated_or_less(kind, network, setting):
    few = {"mask_steps": 4, "batches": 2, "trials": 1, "layers": "all"}
    options = {name: few[name] for name in entry("methods", kind).options if name in few}
    training = MINIATURE["training"] | {"prune": {"batch_size": 16}}
    objectives = {"pgd_at": {"steps": 3}}
    here = study(methods={kind: options}, objectives=objectives, training=training)
    train, held_out = cost.training_images(here, "digits")
    chosen = setting(PgdAt(steps=3), train=train, validation=held_out, batch_size=16)
    pruner = tables.load("methods", kind)(**options).pruner(0.9)

    def run():
        for number in range(pruner.looks(chosen)):
            pruner.look(network.eval(), chosen, number)

    estimate = cost.LOOKS[kind](here, a_network(here, f"{kind}-0.9"))
    assert LEAST < passes(run, network, chosen.example[:1]) / estimate.passes <= 1


def test_methods_that_look_at_data_have_its_cost_and_others_none(setting):
    able = {name: tables.load("methods", name) for name in tables.METHODS}
    looking = {n for n, kind in able.items() if kind().pruner(0.9, kind.units[0]).looks(setting())}
    assert looking == set(cost.LOOKS)
    methods = {"mad": {}, "few": {"kind": "mad", "batches": 2}, "lwm": {}}
    here = study(methods=methods, sparsities=[0.9], selection_on_test=False)
    mad, few, lwm = (cost.work(here, "prune", a_network(here, f"{n}-0.9")) for n in methods)
    assert lwm.passes == 0
    images, _ = cost.training_images(here, "digits")
    size = here.resolved["methods"]["mad"]["prune"]["batch_size"]
    assert mad.batches / few.batches == pytest.approx(-(-images // size) / 2)


@pytest.mark.parametrize("name", ["hydra_pgd10", "bcsp_pgd50", "harp_fgsm", "harp_apgd50"])
def test_a_claimed_protocol_costs_what_is_estimated_or_less(name, network, images, labels):
    protocol = PROTOCOLS[name].within(SMALLEST.eps)
    network.eval()
    labels = network(images).argmax(1)  # all are right, so the package attacks all

    def run():
        run_protocol(network, images, labels, SMALLEST, protocol, generator("cpu", 0))

    assert LEAST < passes(run, network, images) / cost.protocol_passes(protocol) <= 1


@pytest.mark.parametrize("name", sorted(cost.CASCADE))
def test_an_attack_of_autoattack_costs_what_is_estimated_or_less(name, network, images):
    settings = CascadeSettings((name,), apgd_targets=2, fab_targets=1, square_queries=200)
    network.eval()
    labels = network(images).argmax(1)
    package = attacker(network, "Linf", SMALLEST.eps, 0, settings)

    def run():
        run_attack(package, name, images, labels, len(images))

    found = passes(run, network, images)
    assert LEAST < found / (cost.autoattack_passes(settings, 10) + 20) <= 1  # its own checks


SEARCHES = [
    ("fmn", {"steps": 20, "max_stepsize": 1.0, "start": "sample"}),
    ("fmn", {"steps": 20, "max_stepsize": 1.0, "start": "boundary"}),
    ("fmn", {"steps": 20, "max_stepsize": 1.0, "start": "noise"}),
    ("apgd", {"steps": 5, "bisections": 3, "targets": 2}),
    ("apgd", {"steps": 5, "bisections": 3, "targets": 0}),
    ("fab", {"steps": 10, "targets": 2}),
    ("fab", {"steps": 10, "targets": 0}),
]


@pytest.mark.parametrize(("kind", "options"), SEARCHES)
def test_a_distance_costs_what_is_estimated_or_less(kind, options, network, images):
    attack = tables.load("distance_attacks", kind)(**options)
    network.eval()
    labels = network(images).argmax(1)

    def run():
        with under_attack(network):
            attack.search(network, images, labels, "Linf")

    estimate = cost.distance_passes({"kind": kind, "options": options}, 10)
    assert LEAST < passes(run, network, images) / estimate <= 1


def twice(section, key):
    return {section: MINIATURE[section] | {key: 2 * MINIATURE[section][key]}}


def epochs(stage):
    plan = MINIATURE["training"][stage]
    return {"training": MINIATURE["training"] | {stage: plan | {"epochs": 2 * plan["epochs"]}}}


MORE = [
    ("dense", "dense", epochs("dense"), 2),
    ("prune", "hydra-0.9", epochs("prune"), 2),
    ("finetune", "dense_again", epochs("finetune"), 2),
    ("selection", "hydra-0.9", epochs("finetune"), 2),
    ("breaking", "dense", {"breaking": {"rounds": 4}}, 2),
    ("autoattack", "dense", {"autoattack": MINIATURE["autoattack"] | {"shard_size": 20}}, 0.5),
    ("twins", "dense", {"twins": 6}, 2),
    ("indicators", "dense", {"indicators": {"samples": 40, "points": 5}}, 2),
    ("rivals", "dense", {"rivals": {"steps": 22}}, 2),
    ("certify", "dense", {"certification": {"bounds": ["ibp"], "rounds": 7}}, 2),
]


@pytest.mark.parametrize(("stage", "variant", "change", "factor"), MORE)
def test_minutes_are_in_proportion_to_the_work(stage, variant, change, factor):
    before = minutes(study(), stage, variant)
    assert before > 20
    assert minutes(study(**change), stage, variant) / before == pytest.approx(factor, rel=0.1)


def test_extra_images_are_trained_on_in_as_many_batches(altered, tmp_path):
    (tmp_path / "more.npz").touch()
    altered("datasets.digits.extra", str(tmp_path / "more.npz"))
    plain = study_from(altered("training.dense.extra", 0))
    mixed = study_from(altered("training.dense.extra", 1.5))
    works = [cost.work(one, "dense", a_network(one)) for one in (plain, mixed)]
    images, _ = cost.training_images(plain, "digits")
    passes = cost.training_passes(plain.resolved["objectives"]["pgd_at"], 1, 10)
    assert works[1].batches == works[0].batches
    assert works[1].passes - works[0].passes == 3 * 1.5 * images * passes  # three epochs


def test_minutes_are_in_proportion_to_the_network():
    kinds = {
        "small": ({"width": 16}, "digits_cnn", (1, 8, 8)),
        "narrow": ({"depth": 28, "width": 4}, "wrn", (3, 32, 32)),
        "wide": ({"depth": 34, "width": 10}, "wrn", (3, 32, 32)),
    }
    flops = [size(Architecture(k, o, s, 10, False)).flops for o, k, s in kinds.values()]
    assert flops[1] == pytest.approx(1.69e9, rel=0.01)
    assert flops == sorted(flops)
    data = {"cifar10": {"download": True}}
    found = [
        minutes(
            study(datasets=data, models={"wrn": options}, methods={"lwm": {}}),
            "dense",
            site=Site(gflops=10),
        )
        for options, kind, _ in kinds.values()
        if kind == "wrn"
    ]
    assert found[1] / found[0] == pytest.approx(flops[2] / flops[1], rel=0.05)


def test_a_faster_gpu_takes_less_and_another_attempt_more():
    here = study_from_file(FULL, with_data=False)
    network = a_network(here)
    slow, fast = (
        sizing.minutes(here, Site(gflops=speed), "dense", network) - sizing.BASE_MINUTES
        for speed in (1000, 2000)
    )
    assert slow > 1.8 * fast
    first, third = (sizing.minutes(here, Site(), "dense", network, n) for n in (1, 3))
    assert third == 3 * first
    assert sizing.mem_mb(here, Site(), "dense", network, 2) == 2 * here.resources["mem_mb"]


def test_a_network_from_elsewhere_takes_the_memory_of_a_network():
    here = study()
    here.resources["mem_mb"] = 12345
    assert sizing.mem_mb(here, Site(), "external", a_network(here)) == 12345


def test_a_sites_limits_hold_at_every_attempt():
    here, site = study(), Site(gpu={"max_minutes": 7, "max_mem_mb": 9}, cpu={"max_minutes": 3})
    for attempt in (1, 4):
        assert sizing.minutes(here, site, "dense", a_network(here), attempt) == 7
        assert sizing.mem_mb(here, site, "dense", a_network(here), attempt) == 9
        assert sizing.minutes(here, site, "report", None, attempt) == 3


def test_analysis_and_report_are_asked_more_for_where_there_is_more():
    small, large = study(), study_from_file(FULL, with_data=False)
    for stage in ("analyse", "report"):
        run = [one.runs()[0] if stage == "analyse" else None for one in (small, large)]
        found = [
            (sizing.minutes(one, Site(), stage, of), sizing.mem_mb(one, Site(), stage, of))
            for one, of in zip((small, large), run, strict=True)
        ]
        assert all(more > 2 * less for less, more in zip(*found, strict=True))
        assert found[0][0] <= 12
