"""What the numbers of this study cannot carry, from the tables themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from thin_ice.attacks.flags import MEANING
from thin_ice.attacks.protocol import PUBLISHED_FOR_EPS
from thin_ice.evaluation.collapse import AT_CHANCE, CONSTANT, collapsed, has
from thin_ice.evaluation.flags import NONE
from thin_ice.evaluation.summary import NO_PROTOCOL
from thin_ice.figures.finished import FEW_SAMPLES, FEW_SEEDS, Finished
from thin_ice.figures.headline import kinds_of
from thin_ice.figures.indicator_cells import APGD_NAME, NAMES, NETWORK
from thin_ice.figures.sentences import too_few
from thin_ice.figures.words import counted, eps_name, listing, norm_name, span
from thin_ice.margins.analysis import CONTROLS, SECOND_SEED

COUNTED = ("broken", "broken_but_farther", "standing", "standing_but_flipped")
SEPARATED = 0.99  # an AUROC from which on a joint model has next to nothing left to tell
PUBLISHED_FOR_NORM = "Linf"  # the threat model of the claimed protocols
DISPROVED = {  # columns of the accuracy table that count samples
    "verified_but_broken": "verified and yet broken by AutoAttack within the same ε",
    "certified_beyond_distance": "with a certified radius beyond a flip that was found",
}
REENCODED = "-jpeg"  # ends the name of a dataset read from a JPEG copy


def caveats(finished: Finished) -> list[str]:
    """Every caveat that applies, the gravest first."""
    return [
        *unsound(finished.accuracy),
        *jpeg_copy(finished.accuracy),
        *degenerate(finished.accuracy),
        *empty_layers(finished.accuracy),
        *catastrophic(finished.training),
        *attack_failures(finished.accuracy),
        *warned(finished.accuracy),
        *unconfirmed(finished.accuracy),
        *few_seeds(finished.accuracy),
        *no_control(finished.thin_ice),
        *few_lost(finished.thin_ice),
        *strong_controls(finished.standing.main_pairs),
        *few_seeds_for_pies(finished.pies),
        *separated(finished.joint),
        *failed_distances(finished.samples),
        *disagreements(finished.curves),
        *too_robust_curves(finished.curves),
        *lower_bounds(finished.accuracy),
        *another_network(finished.study),
        same_eps(finished.eps),
        *scaled_protocols(finished.accuracy, finished.study["threat"]),
        POOLED,
    ]


POOLED = (
    "Intervals speak of the test samples, not of training again. Where seeds are pooled, the same "
    "test sample counts once a seed, so those intervals are too narrow."
)


def jpeg_copy(accuracy: pd.DataFrame) -> list[str]:
    names = sorted(name for name in accuracy.dataset.unique() if name.endswith(REENCODED))
    if not names:
        return []
    return [
        f"The images of {listing(names)} are a JPEG re-encoded copy of the dataset: no figure here "
        "is comparable to published ones."
    ]


def degenerate(accuracy: pd.DataFrame) -> list[str]:
    """Networks that classify no better than guessing, or predict one class alone."""
    networks = accuracy.drop_duplicates(["run", "variant", "seed"])
    gone = networks[collapsed(networks)]
    if gone.empty:
        return []
    texts = [f"{row.variant} of {row.run}, seed {row.seed}" for row in gone.itertuples()]
    signs = [
        f"{count} {what}"
        for sign, what in (
            (AT_CHANCE, "at or near chance, by clean accuracy"),
            (CONSTANT, "predicting one class for more than 99 % of the samples"),
        )
        if (count := int(has(gone.collapse, sign).sum()))
    ]
    return [
        f"{counted(len(texts), 'network')} collapsed ({listing(signs)}): {listing(texts)}. "
        "What such a network gets right, loses or survives means nothing: it stands in the tables "
        "and figures, and the sentences on overestimates and on who is lost leave it out."
    ]


def empty_layers(accuracy: pd.DataFrame) -> list[str]:
    """Networks with a prunable layer that keeps no weight."""
    networks = accuracy.drop_duplicates(["run", "variant", "seed"])
    rows = networks[networks.empty_layers > 0]
    if rows.empty:
        return []
    texts = [
        f"{row.variant} of {row.run}, seed {row.seed} ({row.empty_layers})"
        for row in rows.itertuples()
    ]
    return [
        f"{counted(len(texts), 'network')} with layers pruned to nothing: {listing(texts)}, how "
        "many in brackets. Such a layer gives the same whatever comes in; a network without a way "
        "around it is constant."
    ]


def catastrophic(training: pd.DataFrame) -> list[str]:
    """Networks whose training overfitted to the single step that it was against."""
    if "catastrophic_epoch" not in training:
        return []
    texts = [
        f"{row.variant} of {row.run}, seed {row.seed} ({int(row.catastrophic_epoch)} of "
        f"{row.epochs})"
        for row in training.dropna(subset="catastrophic_epoch").itertuples()
    ]
    if not texts:
        return []
    return [
        f"Catastrophic overfitting in the training of {counted(len(texts), 'network')}: "
        f"{listing(texts)}, the first such epoch in brackets. There accuracy on validation under "
        "PGD was below half of its best so far, while under the single step that trains the "
        "network it was not. A checkpoint that PGD chose is not of such an epoch; the last may be."
    ]


def attack_failures(accuracy: pd.DataFrame) -> list[str]:
    """Where indicators of attack failure are raised: by the claimed protocols, and by APGD."""
    networks = accuracy.drop_duplicates(NETWORK)
    evaluated = accuracy[accuracy.protocol != NO_PROTOCOL]
    claimed = _raised(evaluated.claimed_flags, "a claimed protocol")
    apgd = _raised(networks.apgd_flags, APGD_NAME)
    return [
        *(f"{said}: such a claimed accuracy may be owed to the attack." for said in claimed),
        *(f"{said}: AutoAttack's accuracy rests on its other attacks there." for said in apgd),
    ]


def _raised(flags: pd.Series, what: str) -> list[str]:
    """How many networks an indicator is raised for, and which; nothing where none is."""
    counts = {name: int(flags.str.contains(flag).sum()) for flag, name in NAMES.items()}
    told = [f"{name} in {count}" for name, count in counts.items() if count]
    if not told:
        return []
    raised = int((flags != NONE).sum())
    return [
        f"Indicators of attack failure are raised in {raised} of "
        f"{counted(len(flags), 'evaluation')} by {what} ({listing(told)})"
    ]


def warned(accuracy: pd.DataFrame) -> list[str]:
    """A sentence a kind of AutoAttack's own warnings: of which networks its verdict is in doubt."""
    networks = accuracy.drop_duplicates(["run", "variant", "seed"])
    return [_warning(kind, networks) for kind in kinds_of(networks.autoattack_warnings)]


def _warning(kind: str, networks: pd.DataFrame) -> str:
    cells = networks.autoattack_warnings.astype(object).fillna("")
    has = cells.map(lambda cell: kind in cell.split(";"))
    names = [f"{row.variant} of {row.run}, seed {row.seed}" for row in networks[has].itertuples()]
    return (
        f"AutoAttack itself warns of {counted(len(names), 'network')} ({kind.replace('_', ' ')}: "
        f"{MEANING[kind]}): {listing(names)}. Its accuracy there may be too high."
    )


def unconfirmed(accuracy: pd.DataFrame) -> list[str]:
    """Samples counted as broken whose adversarial example did not hold when looked at again."""
    networks = accuracy.drop_duplicates(["run", "variant", "seed"])
    count = int(networks.autoattack_unconfirmed.sum())
    if not count:
        return []
    return [
        f"{counted(count, 'sample')} (all networks together) that AutoAttack counts as broken: the "
        "adversarial example, looked at again, was outside ε or [0, 1] or classified correctly. "
        "The verdict stands as AutoAttack gave it."
    ]


def few_seeds(accuracy: pd.DataFrame) -> list[str]:
    """Runs may differ: a network from elsewhere stands under one seed alone."""
    seeds = accuracy.groupby("run", sort=False).seed.nunique()
    few = seeds[seeds < FEW_SEEDS]
    if few.empty:
        return []
    what = "seed" if few.max() == 1 else "seeds"
    count = f"{span(few.tolist(), 0)} {what}{_of_some(few.index, len(seeds))}"
    return [
        f"{count}, fewer than {FEW_SEEDS}: the numbers describe these networks "
        "and make no claim about the population of networks trained this way."
    ]


def _of_some(runs: Sequence[str], of: int) -> str:
    """Names runs where they are not all."""
    return f" of {listing(runs)}" if len(runs) < of else ""


def no_control(thin_ice: pd.DataFrame) -> list[str]:
    second = thin_ice.run[thin_ice.method == SECOND_SEED]
    alone = thin_ice[~thin_ice.run.isin(second)]
    if alone.empty:
        return []
    lacking = "no second seed as a" if alone.method.isin(CONTROLS).any() else "no"
    which = _of_some(alone.run.unique(), thin_ice.run.nunique()) or " a run"
    return [
        f"One seed{which}, hence {lacking} control: how much of the loss is churn that a second "
        "dense seed would show as well is unknown."
    ]


def strong_controls(pairs: pd.DataFrame) -> list[str]:
    """Where distance predicts loss in a control as well as after pruning: its interval reaches the
    median AUROC of the pruned networks. ``pairs``: the thin-ice table in the norm shown.
    """
    told = pairs[~too_few(pairs)] if len(pairs) else pairs
    sentences = []
    for view, here in told.groupby("correctness"):
        control = here.method.isin(CONTROLS)
        if control.all() or not control.any():
            continue
        pruned = float(here.auroc_lost[~control].median())
        strong = int((here.auroc_lost_high[control] >= pruned).sum())
        if strong:
            sentences.append(
                f"Without pruning the effect is as strong ({view} correctness): in {strong} of "
                f"{counted(int(control.sum()), 'control')} the interval of distance's AUROC "
                f"reaches {pruned:.2f}, the median after pruning. Pruning need not be the cause."
            )
    return sentences


def few_seeds_for_pies(pies: pd.DataFrame) -> list[str]:
    few = pies[pies.enough_seeds == "no"] if len(pies) else pies
    if few.empty:
        return []
    return [
        f"Pruning-identified exemplars rest on {span(few.seeds.tolist(), 0)} seeds in "
        f"{len(few)} of {counted(len(pies), 'population')}, fewer than {FEW_SEEDS}: with so few "
        "a most frequent prediction is often that of one network."
    ]


def separated(joint: pd.DataFrame) -> list[str]:
    """Joint models that tell lost from kept so well that only their penalty holds them."""
    if joint.empty:
        return []
    models = joint[joint.likelihood_ratio.notna()]
    apart = int((models[["auroc_without", "auroc_with"]].max(axis=1) >= SEPARATED).sum())
    if not apart:
        return []
    return [
        f"In {apart} of {counted(len(models), 'joint model')} the AUROC is {SEPARATED:g} or more: "
        "lost and kept samples are nearly separated, and coefficients and tests rest on the ridge "
        "penalty."
    ]


def few_lost(thin_ice: pd.DataFrame) -> list[str]:
    few = int(too_few(thin_ice).sum())
    if not few:
        return []
    return [
        f"In {few} of {counted(len(thin_ice), 'row')} of the thin-ice table fewer than "
        f"{FEW_SAMPLES} samples are lost or kept: too few to say anything, whatever the interval."
    ]


def failed_distances(samples: pd.DataFrame) -> list[str]:
    """A sentence a norm in which the distance attack failed on some sample of a dense network."""
    clean = samples[samples.correctness == "clean"]
    measured = clean.drop_duplicates(["run", "seed", "norm", "sample_id"])
    failed = measured.assign(failed=np.isinf(measured.signed_distance)).groupby("norm").failed
    return [
        f"In {norm_name(norm)} no adversarial distance was found for {count} of {size} samples "
        "(dense networks together): they are left out of the distributions, and AUROC and the bins "
        "count them as farthest."
        for norm, count, size in zip(failed.sum().index, failed.sum(), failed.size(), strict=True)
        if count
    ]


def disagreements(curves: pd.DataFrame) -> list[str]:
    """Where distance attacks and AutoAttack contradict each other about a sample."""
    checked = curves[curves.above_autoattack.notna()]
    counts = {name: int(checked[f"autoattack_{name}"].sum()) for name in COUNTED}
    sentences = []
    if counts["broken_but_farther"]:
        sentences.append(
            f"Of {counts['broken']} correct samples that AutoAttack broke at ε (all networks "
            f"together), {counts['broken_but_farther']} have a distance above ε: the distance "
            "attacks missed a nearer flip, and these distances are too large."
        )
    if counts["standing_but_flipped"]:
        sentences.append(
            f"Of {counts['standing']} samples that AutoAttack left standing at ε (all networks "
            f"together), {counts['standing_but_flipped']} flipped within ε under a distance "
            "attack: AutoAttack's accuracy is too high by as much."
        )
    return sentences


def too_robust_curves(curves: pd.DataFrame) -> list[str]:
    """Networks whose security curve contradicts AutoAttack beyond its interval."""
    above = curves[curves.above_autoattack == "yes"]
    return [
        f"{row.variant} of {row.run}, seed {row.seed}: at ε its security curve says "
        f"{row.robust_percent:.1f} %, above AutoAttack's {row.autoattack_percent:.1f} % and its "
        f"interval's upper end, {row.autoattack_high_percent:.1f} %. Its distances are too large."
        for row in above.itertuples()
    ]


def unsound(accuracy: pd.DataFrame) -> list[str]:
    """Networks of which something was proved that an attack disproved; there must be none."""
    if not {*DISPROVED} <= {*accuracy}:
        return []
    networks = accuracy.drop_duplicates(["run", "variant", "seed"])
    return [
        f"{row['variant']} of {row['run']}, seed {row['seed']}: "
        f"{counted(int(row[name]), 'sample')} {what}. Nothing that is called verified here can be "
        "trusted before that is explained."
        for name, what in DISPROVED.items()
        for row in networks[networks[name] > 0].to_dict("records")
    ]


def lower_bounds(accuracy: pd.DataFrame) -> list[str]:
    """What verified accuracy does not say. The gap is to AutoAttack at the same eps alone."""
    if "verified_percent" not in accuracy:
        return []
    networks = accuracy.drop_duplicates(["run", "variant", "seed"]).dropna(
        subset="verified_percent"
    )
    if networks.empty:
        return []
    return [
        f"Verified accuracy is a lower bound ({counted(len(networks), 'network')}, "
        f"{span(networks.verified_percent.tolist())} %): a sample that is not verified need not be "
        "breakable, since bounds may be loose, most of all on networks that were not trained for "
        "them."
    ]


def another_network(study: dict[str, Any]) -> list[str]:
    """Whom a certificate of smoothing speaks of."""
    noise = (study.get("certification") or {}).get("smoothing")
    if not noise:
        return []
    return [
        "Smoothing certifies another network than the one that is attacked and verified: what that "
        f"one predicts most often under Gaussian noise of σ = {noise['sigma']:g}, in L2. Each "
        f"certificate may be wrong with probability {noise['alpha']:g}."
    ]


def same_eps(eps: float) -> str:
    return (
        f"AutoAttack ran at the study's ε = {eps_name(eps)}; robust means robust to that, not to "
        "every attack."
    )


def scaled_protocols(accuracy: pd.DataFrame, threat: dict[str, Any]) -> list[str]:
    """Published protocols are for 8/255 in L∞; elsewhere they are carried over by the same ratio.
    Nothing where nothing is claimed.
    """
    norm, eps = threat["norm"], threat["eps"]
    if (accuracy.protocol == NO_PROTOCOL).all():
        return []
    if norm == PUBLISHED_FOR_NORM and np.isclose(eps, PUBLISHED_FOR_EPS):
        return ["The claimed protocols are the published ones: the study's ε is their 8/255."]
    where = "" if norm == PUBLISHED_FOR_NORM else f" in {norm_name(PUBLISHED_FOR_NORM)}"
    there = where and f", in {norm_name(norm)}, a threat model that they were not published for"
    return [
        f"The claimed protocols are published for 8/255{where}; their ε and step sizes are "
        f"multiplied by {eps / PUBLISHED_FOR_EPS:.4g} to the study's ε = {eps_name(eps)}{there}."
    ]
