"""How things are called in labels and sentences: small pure functions from values to text."""

import math
from collections.abc import Sequence

from thin_ice.margins.analysis import DENSE, DENSE_AGAIN, SECOND_SEED

NORMS = {"Linf": "L∞"}
ATTACKS = {"fmn": "FMN", "apgd": "APGD", "fab": "FAB"}
CONTROL_NAMES = {SECOND_SEED: "second dense seed", DENSE_AGAIN: "dense, fine-tuned again"}
PREDICTORS = {
    "distance": "distance",
    "other_seed_distance": "distance, other seed (control)",
    "breaking_distance": "AutoAttack's breaking ε",
    "logit_margin": "logit margin",
    "confidence_variance": "confidence p(1−p)",
    "gradient_norm": "gradient norm",
    "steps_to_flip": "PGD steps to flip",
    "adversarial_loss": "adversarial loss",
    "normalised_distance": "distance / predicted change",
    "certified_radius": "certified radius",
    "smoothed_radius": "smoothed radius",
}
MEASURES = {  # of a network's accuracy, as the analysis calls them
    "benign": "benign",
    "empirical": "empirical",
    "autoattack": "AutoAttack",
    "verified": "verified",
    "smoothed": "smoothed",
}
BOUNDS = {"ibp": "intervals (IBP)", "crown_ibp": "CROWN-IBP", "crown": "CROWN"}


def norm_name(norm: str) -> str:
    return NORMS.get(norm, norm)


def predictor_name(predictor: str) -> str:
    """What predicts loss, as figures call it."""
    return PREDICTORS.get(predictor, predictor.replace("_", " "))


def attack_name(kind: str, options: dict[str, float | str]) -> str:
    """A distance attack with its options: ``FMN (max_stepsize 10, start noise, steps 200)``."""
    said = [f"{name} {listing([value])}" for name, value in sorted(options.items())]
    return f"{ATTACKS.get(kind, kind)} ({', '.join(said)})"


def pair_name(method: str, sparsity: float) -> str:
    """A network as figures call it: ``hydra 0.9``, ``dense`` or a control."""
    if method in CONTROL_NAMES:
        return CONTROL_NAMES[method]
    return DENSE if method == DENSE else f"{method} {sparsity:g}"


def view_name(view: str, eps: float) -> str:
    return "Clean correctness" if view == "clean" else f"Robust correctness (ε = {eps:.4g})"


def titled(run: str, title: str, runs: Sequence[str]) -> str:
    """A panel's title; the run is named only where there are several."""
    return f"{run}\n{title}" if len(runs) > 1 else title


def eps_name(eps: float) -> str:
    """An eps as a number and in grey levels: ``0.03137 (8/255)``."""
    return f"{eps:.4g} ({eps * 255:.4g}/255)"


def distance_unit(norm: str) -> str:
    return f"{norm_name(norm)}, images on [0, 1]"


def number(value: float, digits: int = 1) -> str:
    """A number for a table; a dash where there is none, ∞ for a failed attack's distance."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else ("∞" if value > 0 else "−∞")


def spread(mean: float, deviation: float, digits: int = 1) -> str:
    """Mean ± deviation; without a deviation (one seed) the mean alone."""
    tail = "" if math.isnan(deviation) else f" ± {deviation:.{digits}f}"
    return number(mean, digits) + tail


def interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """``value [low, high]``; the value alone where it has no interval."""
    if math.isnan(low) and math.isnan(high):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def probability(p: float) -> str:
    """A p-value for a table."""
    if math.isnan(p):
        return number(p)
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def span(values: Sequence[float], digits: int = 1) -> str:
    """``a to b``, or one number where both read the same."""
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"


def listing(items: Sequence[object]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    texts = [f"{item:g}" if isinstance(item, float) else str(item) for item in items]
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"
