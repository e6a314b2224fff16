"""What each job costs at most, in passes through the network: what a cluster is asked for.

A pass is one image's forward pass. Passes and batches are counted as the code of each stage makes
them, as if no sample fell to an attack before the last one; they say nothing of the device. Knows
no torch: the size of a network, which takes building it, is asked for by `seconds` alone.
Networks and the attacks' own arithmetic take the rest of the time, of which a batch costs what a
GPU takes to be told about it: that is why `CALL` and `LAUNCH` stand beside the passes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from thin_ice import tables
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.switches import switched
from thin_ice.attacks.versions import CascadeSettings, version_settings
from thin_ice.study.plan import Network, Study

Tree = dict[str, Any]

# There and back in passes: the backward one costs one to two, with respect to the images alone or
# to the weights as well; two, so that a job is not asked for too short a time.
GRADIENT = 3
BATCH = 500  # of validation, claimed protocols, distances and rivals
SENSITIVITY_BATCH = 250
COMPACT_IMAGES = 256  # whose logits are compared
COMPACT_TIMED = (1, 64)  # images at a time, of which latency is measured
COMPACT_ROUNDS = 10
CERTIFY_BATCH = 250
CROWN_NEURONS = 10_000  # as HYDRA's small network has on CIFAR-10, and more
JVP = 3  # a forward pass with tangents
STEPS_AUTOATTACK = 100  # of APGD and FAB, in every version
STEPS_INDICATORS = 100  # of the APGD among the indicators' attacks
NOISE, BOUNDARY = 96 + 11, 11  # forward passes that FMN's starts take
CALL = 3e-4  # seconds a pass of a batch takes beside the network: the attack's own arithmetic
FACTORS = 10  # K-FAC's A of a 3x3 convolution with as many channels in as out, 9 passes, and G
LAUNCH = 2e-5  # seconds a layer of a network takes to be launched, in eager mode


@dataclass(frozen=True)
class Work:
    """``passes`` of single images; ``batches`` that these come in, one after another."""

    passes: float = 0
    batches: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.passes + other.passes, self.batches + other.batches)

    def __mul__(self, times: float) -> "Work":
        return Work(self.passes * times, self.batches * times)


def over(images: int, batch: int, passes: float) -> Work:
    """So many passes of each image, in batches."""
    return Work(images * passes, math.ceil(images / batch) * passes)


def work(study: Study, stage: str, network: Network) -> Work:
    """The work of one job of a stage that computes on networks.

    Raises:
        KeyError: no such stage.
    """
    return STAGES[stage](study, network)


def seconds(done: Work, flops: float, layers: int, gflops: float) -> float:
    """How long work takes at ``gflops`` (1e9 operations a second, sustained).

    ``flops`` of a forward pass and ``layers``: as `thin_ice.models.flops.size` counts them.
    """
    return done.passes * flops / (gflops * 1e9) + done.batches * (CALL + LAUNCH * layers)


# Training: the adversary, then the loss on what it found, there and back, and bounds likewise.


def training_passes(objective: Tree, batch: int, classes: int) -> float:
    """Passes of each image of a batch of ``batch`` images in training, over all its replays."""
    kind, options = objective["kind"], objective["options"]
    steps = 0 if kind in CLEAN else options.get("steps", 0)
    loss = LOSS.get(kind, max(LOSS.values()))
    if kind not in BOUNDED and kind in LOSS:
        return (GRADIENT * steps + loss) * options.get("replays", 1)
    bounds = bound_passes(BOUNDED.get(kind, "crown_ibp"), classes)
    if "samples" in options:  # of which the network's own logits are taken again
        bounds = (1 + bounds) * min(1, options["samples"] / batch)
    return GRADIENT * (steps + bounds) + loss


def validation_passes(objective: Tree, classes: int) -> float:
    """Passes of each validation image: clean, and in the objective's sense of robustness."""
    kind = objective["kind"]
    if kind in BOUNDED:
        return 1 + 2 + bound_passes(BOUNDED[kind], classes)  # two: in either precision
    if kind in NOISY:
        return 1 + 1
    if kind in SINGLE_STEP:
        return 1 + GRADIENT * LENT_STEPS + 1 + GRADIENT + 1
    steps = objective["options"].get("steps", 0)
    return 1 + (GRADIENT * steps + 1 if steps else 0)


def adversary_steps(objective: Tree) -> int:
    """Of the adversary that an objective lends to whoever wants adversarial images."""
    if objective["kind"] in (*BOUNDED, *NOISY, *SINGLE_STEP):
        return LENT_STEPS
    return objective["options"].get("steps", 0)


def bound_passes(bound: str, classes: int) -> float:
    """One way, beside the network's own: middle and radius of intervals, and the margins through
    the last layer. Linear bounds pass back once for each class, CROWN's from every neuron on both
    sides as well; how many those are is not known here, so they are taken for `CROWN_NEURONS`.
    """
    crown_ibp = classes + 0.5
    back = {"ibp": 0, "crown_ibp": crown_ibp, "crown": 2 * (crown_ibp + CROWN_NEURONS)}
    return 3 + back[bound]


LOSS = {  # of the objectives that are known here, but for bounds; any other is taken for dear
    "natural": GRADIENT,
    "pgd_at": GRADIENT,
    "trades": 1 + 2 * GRADIENT,  # the adversary's target, then clean and adversarial
    "mart": 2 * GRADIENT,
    "n_fgsm": 2 * GRADIENT,  # its one step, and the loss
    "free_at": GRADIENT,  # of each replay
    "self_distillation": 1 + 2 * GRADIENT,  # the teacher's, its own, and kernels of small networks
    "ibp": GRADIENT,
    "crown_ibp": GRADIENT,
    "mixtrain": GRADIENT,
    "smoothing": 2 * GRADIENT,  # clean and noisy
}
BOUNDED = {"ibp": "ibp", "crown_ibp": "crown_ibp", "mixtrain": "crown_ibp"}  # by which bounds
NOISY = ("smoothing",)  # validated on one noisy copy
CLEAN = ("self_distillation",)  # attacks images where it is validated alone
SINGLE_STEP = ("n_fgsm", "free_at")  # validated with as many steps as are lent, and with their one
LENT_STEPS = 10  # of objectives that train without an adversary, or with a single step


def training(study: Study, network: Network, stage: str) -> Work:
    """A stage of training by its plan."""
    objective, plan = study.objective(network, stage), study.plan(network, stage)
    images, held_out = training_images(study, network.parts[0])
    number = classes(study, network.parts[0])
    epoch = over(images, plan["batch_size"], training_passes(objective, plan["batch_size"], number))
    epoch = replace(epoch, passes=epoch.passes * (1 + plan["extra"]))  # in as many batches
    looks = over(held_out, BATCH, validation_passes(objective, number))
    return epoch * plan["epochs"] + looks * _validations(plan)


def _validations(plan: Tree) -> int:
    return math.ceil(plan["epochs"] / plan["validate_every"])


def training_images(study: Study, dataset: str) -> tuple[int, int]:
    """How many images a network is trained on, and how many are held out."""
    entry = study.resolved["datasets"][dataset]
    images = entry["limit_train"] or _reader(entry).train_size()
    held_out = study.validation_images(dataset)
    return images - held_out, held_out


def test_images(study: Study, dataset: str) -> int:
    """How many images a network is attacked on."""
    entry = study.resolved["datasets"][dataset]
    return entry["limit_test"] or _reader(entry).test_size()


def _reader(entry: Tree) -> Any:
    return tables.load("datasets", entry["kind"])(**entry["options"])


def _prune(study: Study, network: Network) -> Work:
    method = study.resolved["methods"][network.method]
    looks = LOOKS[method["kind"]](study, network) if method["kind"] in LOOKS else Work()
    return looks + training(study, network, "prune")


def _rate_search(study: Study, network: Network) -> Work:
    """Trials: some training, and a look at all of validation."""
    method = study.resolved["methods"][network.method]
    options, objective = method["options"], study.objective(network, "prune")
    images, held_out = training_images(study, network.parts[0])
    size = study.plan(network, "prune")["batch_size"]
    number = classes(study, network.parts[0])
    tuned = over(images, size, training_passes(objective, size, number))
    trial = tuned * options["tuning"] + over(held_out, BATCH, validation_passes(objective, number))
    return trial * options["trials"]


def _mad(study: Study, network: Network) -> Work:
    """Of each image the adversary, the soft mask and K-FAC's factors."""
    steps = study.resolved["methods"][network.method]["options"]["mask_steps"]
    adversary = adversary_steps(study.objective(network, "prune"))
    return _batches(study, network, GRADIENT * (adversary + steps + 1) + FACTORS)


def _snip(study: Study, network: Network) -> Work:
    """A step of training, but for the step."""
    size = study.plan(network, "prune")["batch_size"]
    objective, number = study.objective(network, "prune"), classes(study, network.parts[0])
    return _batches(study, network, training_passes(objective, size, number))


def _batches(study: Study, network: Network, passes: float) -> Work:
    """So many passes of each image in the batches that a method looks at: an epoch, if it does not
    say how many.
    """
    method = study.resolved["methods"][network.method]
    images, _ = training_images(study, network.parts[0])
    size = study.plan(network, "prune")["batch_size"]
    number = method["options"]["batches"] or math.ceil(images / size)
    return over(number * size, size, passes)


# Of the methods that look at data before they train.
LOOKS: dict[str, Callable[[Study, Network], Work]] = {
    "heracles_hydra": _rate_search,
    "heracles_radmm": _rate_search,
    "mad": _mad,
    "snip": _snip,
}


def _trained_by(stage: str) -> Callable[[Study, Network], Work]:
    return lambda study, network: training(study, network, stage)


def _selection(study: Study, network: Network) -> Work:
    """The deciding stage once more, and the claimed protocol on test after validated epochs."""
    stage, (claimed,) = study.deciding_stage(network), study.protocols(network)
    passes = protocol_passes(PROTOCOLS[claimed])
    looks = over(test_images(study, network.parts[0]), BATCH, passes)
    return training(study, network, stage) + looks * _validations(study.plan(network, stage))


# Attacks.


def protocol_passes(protocol: Protocol) -> float:
    """Passes of each image: every start's steps, and a look at where it ended."""
    return protocol.restarts * (GRADIENT * (protocol.steps + 1) + 1)


def autoattack_passes(settings: CascadeSettings, classes: int) -> float:
    """Passes of an image that no attack breaks."""
    able = settings.for_classes(classes)
    return 3 + sum(CASCADE[name](able, classes) for name in able.attacks)


def _apgd(settings: CascadeSettings, _classes: int) -> float:
    return settings.apgd_restarts * _apgd_run(settings)


def _apgd_targeted(settings: CascadeSettings, _classes: int) -> float:
    return settings.apgd_targets * _apgd_run(settings)


def _apgd_run(settings: CascadeSettings) -> float:
    return (STEPS_AUTOATTACK + 1) * GRADIENT * settings.eot_iterations + 2


def _fab(settings: CascadeSettings, classes: int) -> float:
    """Each step takes the gradient of every class and looks at where it comes to."""
    step = 2 + (GRADIENT - 1) * classes
    return settings.fab_restarts * STEPS_AUTOATTACK * step


def _fab_targeted(settings: CascadeSettings, _classes: int) -> float:
    return settings.fab_restarts * settings.fab_targets * STEPS_AUTOATTACK * (GRADIENT + 1)


def _square(settings: CascadeSettings, _classes: int) -> float:
    return settings.square_queries + 1


CASCADE: dict[str, Callable[[CascadeSettings, int], float]] = {
    "apgd-ce": _apgd,
    "apgd-dlr": _apgd,
    "apgd-t": _apgd_targeted,
    "fab": _fab,
    "fab-t": _fab_targeted,
    "square": _square,
}


def cascade(study: Study) -> CascadeSettings:
    """AutoAttack's settings as the study has them."""
    wanted, norm = study.resolved["autoattack"], study.resolved["threat"]["norm"]
    if wanted["version"] != "custom":
        return version_settings(wanted["version"], norm)
    settings = version_settings("standard", norm)
    return replace(settings, **{name: wanted[name] for name in vars(settings)})


def _autoattack(study: Study, network: Network) -> Work:
    wanted, dataset = study.resolved["autoattack"], network.parts[0]
    images = min(wanted["shard_size"], test_images(study, dataset))
    passes = autoattack_passes(cascade(study), classes(study, dataset))
    return over(images, wanted["batch_size"], passes)


def _breaking(study: Study, network: Network) -> Work:
    """Each sample at so many radii, pieces of the shard size at a time."""
    rounds, wanted = study.resolved["breaking"]["rounds"], study.resolved["autoattack"]
    images, size = test_images(study, network.parts[0]), wanted["shard_size"]
    call = _autoattack(study, network)
    times = images * (rounds + 2) / min(size, images)
    radii = 3 * 2**rounds - 1
    return Work(call.passes * times, call.batches * max(times, radii))


def _evaluate(study: Study, network: Network) -> Work:
    eps, total = study.resolved["threat"]["eps"], 2.0
    for name in study.protocols(network):
        claimed = PROTOCOLS[name].scaled(eps)
        total += sum(map(protocol_passes, [claimed, *switched(claimed, eps).values()]))
    return over(test_images(study, network.parts[0]), BATCH, total)


def _indicators(study: Study, network: Network) -> Work:
    """Every attack twice, in its own ball and in the whole box; all samples in one batch."""
    wanted = study.resolved["indicators"]
    images = min(wanted["samples"], test_images(study, network.parts[0]))
    attacks = [PROTOCOLS[name] for name in study.protocols(network)]
    attacks.append(Protocol("AutoAttack's APGD", 1, 1, STEPS_INDICATORS))
    each = sum(protocol_passes(one) + 2 * GRADIENT * one.restarts for one in attacks)
    return over(images, images, 3 + wanted["points"] + 2 * each)


# Distances and what stands beside them.


def distance_passes(attack: Tree, classes: int) -> float:
    """Passes of each image in one attack's search for the nearest flip."""
    search = SEARCHES.get(attack["kind"], _any_search)
    return 3 + search(attack["options"], classes)


def _fmn(options: Tree, _classes: int) -> float:
    start = {"sample": 0, "boundary": BOUNDARY, "noise": NOISE}[options["start"]]
    return start + GRADIENT * options["steps"]


def _apgd_bisection(options: Tree, classes: int) -> float:
    targets = min(options["targets"], classes - 1) or 1
    return targets * GRADIENT * (1 + options["bisections"] * (options["steps"] + 1))


def _fab_search(options: Tree, classes: int) -> float:
    targets = min(options["targets"], classes - 1)
    if not targets:
        return options["steps"] * (2 + (GRADIENT - 1) * classes)
    return targets * options["steps"] * (GRADIENT + 1)


def _any_search(options: Tree, classes: int) -> float:
    """Of an attack that is not known here: its steps, towards every class."""
    return GRADIENT * options.get("steps", STEPS_AUTOATTACK) * classes


SEARCHES: dict[str, Callable[[Tree, int], float]] = {
    "fmn": _fmn,
    "apgd": _apgd_bisection,
    "fab": _fab_search,
}


def _distances(study: Study, network: Network) -> Work:
    attacks = study.resolved["distances"]["attacks"]
    return _searched(study, network, attacks, test_images(study, network.parts[0]))


def _twins(study: Study, network: Network) -> Work:
    norm = study.resolved["threat"]["norm"]
    attacks = [one for one in study.resolved["distances"]["attacks"] if one["norm"] == norm]
    return _searched(study, network, attacks, study.resolved["twins"])


def _searched(study: Study, network: Network, attacks: list[Tree], images: int) -> Work:
    passes = sum(distance_passes(one, classes(study, network.parts[0])) for one in attacks)
    return over(images, BATCH, 2 + passes)


def _rivals(study: Study, network: Network) -> Work:
    passes = 2 + GRADIENT * (1 + study.resolved["rivals"]["steps"])
    return over(test_images(study, network.parts[0]), BATCH, passes)


def _sensitivity(study: Study, network: Network) -> Work:
    return over(test_images(study, network.parts[0]), SENSITIVITY_BATCH, 1 + JVP)


def _compact(study: Study, network: Network) -> Work:
    """The network and the one without its dead channels, which is as large at most."""
    images = min(COMPACT_IMAGES, test_images(study, network.parts[0]))
    timed = Work(COMPACT_ROUNDS * sum(COMPACT_TIMED), COMPACT_ROUNDS * len(COMPACT_TIMED))
    return (over(images, images, 1) + timed) * 2


def _certify(study: Study, network: Network) -> Work:
    """Every bound once at eps and, for the radius, at its ends and once a bisection; and
    smoothing's draws.
    """
    wanted, dataset = study.resolved["certification"], network.parts[0]
    rounds, noise = wanted["rounds"], wanted["smoothing"]
    looks = 1 + (rounds + 2 if rounds else 0)
    passes = looks * sum(bound_passes(name, classes(study, dataset)) for name in wanted["bounds"])
    draws = noise["n0"] + noise["n"] if noise else 0
    return over(test_images(study, dataset), CERTIFY_BATCH, 1 + passes + draws)


STAGES: dict[str, Callable[[Study, Network], Work]] = {
    "dense": _trained_by("dense"),
    "prune": _prune,
    "finetune": _trained_by("finetune"),
    "mask": _trained_by("mask"),
    "train_masked": _trained_by("train_masked"),
    "train_sparse": _trained_by("train_sparse"),
    "selection": _selection,
    "autoattack": _autoattack,
    "evaluate": _evaluate,
    "distances": _distances,
    "indicators": _indicators,
    "breaking": _breaking,
    "twins": _twins,
    "rivals": _rivals,
    "sensitivity": _sensitivity,
    "compact": _compact,
    "certify": _certify,
}


# What a network is and how much a table holds.


def classes(study: Study, dataset: str) -> int:
    return _reader(study.resolved["datasets"][dataset]).classes


def architecture(study: Study, network: Network) -> Tree:
    """The fields of the network's `thin_ice.models.network.Architecture`."""
    dataset, model, _ = network.parts
    entry, wanted = study.resolved["datasets"][dataset], study.resolved["models"][model]
    reader = _reader(entry)
    own = {key: wanted[key] for key in ("kind", "options", "normalize")}
    return own | {"input_shape": reader.shape, "classes": reader.classes}


def rows(study: Study, run: str | None = None) -> int:
    """Rows of per-sample tables, one a network and test sample, of a run or of all."""
    networks = [one for one in study.networks() if run in (None, one.run)]
    return sum(test_images(study, one.parts[0]) for one in networks)
