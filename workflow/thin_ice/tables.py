"""The tables of things a study can name: one line each, pointing at the class that implements it.

Adding a dataset, an architecture, an objective, a method or an attack that measures distances is
one file and one line here.
An entry is ``"module:Class"``; the class is a frozen dataclass whose fields are the options that
a study may set. The entries are text, so that a study can be checked without importing torch
and a job's code fingerprint holds the module it uses and not its neighbours.
"""

import importlib
from typing import Any

DATASETS = {
    "digits": "thin_ice.data.digits:Digits",
    "cifar10": "thin_ice.data.cifar10:Cifar10",
}

ARCHITECTURES = {
    "digits_cnn": "thin_ice.models.digits_cnn:DigitsCnn",
    "cnn_small": "thin_ice.models.cnn_small:CnnSmall",
    "cnn_large": "thin_ice.models.cnn_large:CnnLarge",
    "resnet18": "thin_ice.models.resnet18:ResNet18",
    "vgg16_bn": "thin_ice.models.vgg16_bn:Vgg16Bn",
    "wrn": "thin_ice.models.wrn:Wrn",
}

OBJECTIVES = {
    "natural": "thin_ice.objectives.natural:Natural",
    "pgd_at": "thin_ice.objectives.pgd_at:PgdAt",
    "trades": "thin_ice.objectives.trades:Trades",
    "mart": "thin_ice.objectives.mart:Mart",
    "n_fgsm": "thin_ice.objectives.n_fgsm:NFgsm",
    "free_at": "thin_ice.objectives.free_at:FreeAt",
    "self_distillation": "thin_ice.objectives.self_distillation:SelfDistillation",
    "ibp": "thin_ice.objectives.ibp:Ibp",
    "crown_ibp": "thin_ice.objectives.crown_ibp:CrownIbp",
    "mixtrain": "thin_ice.objectives.mixtrain:Mixtrain",
    "smoothing": "thin_ice.objectives.smoothing:Smoothing",
}

METHODS = {
    "lwm": "thin_ice.pruning.lwm:Lwm",
    "hydra": "thin_ice.pruning.hydra:Hydra",
    "radmm": "thin_ice.pruning.radmm:Radmm",
    "heracles_hydra": "thin_ice.pruning.heracles:HeraclesHydra",
    "heracles_radmm": "thin_ice.pruning.heracles:HeraclesRadmm",
    "pwoa": "thin_ice.pruning.pwoa:Pwoa",
    "harp": "thin_ice.pruning.harp:Harp",
    "mad": "thin_ice.pruning.mad:Mad",
    "lwm_iterative": "thin_ice.pruning.lwm_iterative:LwmIterative",
    "snip": "thin_ice.pruning.snip:Snip",
    "random_mask": "thin_ice.pruning.random_mask:RandomMask",
    "filter_norm": "thin_ice.pruning.filter_norm:FilterNorm",
    "li20": "thin_ice.pruning.li20:Li20",
    "robust_bird": "thin_ice.pruning.robust_bird:RobustBird",
    "rst": "thin_ice.pruning.rst:Rst",
    "imp": "thin_ice.pruning.imp:Imp",
    "bcsp": "thin_ice.pruning.bcsp:Bcsp",
    "flying_bird": "thin_ice.pruning.flying_bird:FlyingBird",
    "flying_bird_plus": "thin_ice.pruning.flying_bird_plus:FlyingBirdPlus",
    "twinrep": "thin_ice.pruning.twinrep:TwinRep",
}

DISTANCE_ATTACKS = {
    "fmn": "thin_ice.attacks.fmn:Fmn",
    "apgd": "thin_ice.attacks.apgd_bisection:ApgdBisection",
    "fab": "thin_ice.attacks.fab:Fab",
}

TABLES = {
    "datasets": DATASETS,
    "architectures": ARCHITECTURES,
    "objectives": OBJECTIVES,
    "methods": METHODS,
    "distance_attacks": DISTANCE_ATTACKS,
}


def load(table: str, name: str) -> Any:
    """Import the class behind an entry of a table.

    Raises:
        KeyError: the table or the name is not there.
    """
    module, _, attribute = TABLES[table][name].partition(":")
    return getattr(importlib.import_module(module), attribute)
