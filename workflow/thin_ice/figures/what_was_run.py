"""What a study ran, in a few sentences from its tables and its resolved parameters."""

from collections.abc import Iterator

import pandas as pd

from thin_ice.evaluation.outcomes import TRAINED
from thin_ice.figures.finished import Finished
from thin_ice.figures.words import BOUNDS, attack_name, counted, eps_name, listing, norm_name
from thin_ice.margins.analysis import DENSE, DENSE_AGAIN

APART = ("before", "during")  # training, when networks without a dense ancestor are pruned
STAGES = ("prune", "finetune", "mask", "train_masked", "train_sparse")  # of methods
AS_IT_CAME = "as_it_came"  # stands for the objective of a run that is only evaluated


def what_was_run(finished: Finished) -> list[str]:
    return [
        _networks(finished),
        *_methods(finished),
        *_extra(finished),
        _threat(finished),
        _autoattack(finished.study["autoattack"]),
        *_speed(finished.study.get("speed", {})),
        _distances(finished.study["distances"]["attacks"]),
        *_certification(finished.study),
    ]


def _networks(finished: Finished) -> str:
    accuracy = finished.accuracy
    names = accuracy[["run", "seed", "variant", "pipeline"]].drop_duplicates()
    dense = int((names.variant == DENSE).sum())
    again = int((names.variant == DENSE_AGAIN).sum())
    apart = int(names.pipeline.isin(APART).sum())
    pruned = len(names) - dense - again - apart
    runs = [_run_name(run, rows) for run, rows in accuracy.groupby("run", sort=False)]
    samples = listing(sorted(accuracy.test_samples.unique()))
    return (
        f"{counted(dense, 'dense network')} and {pruned} pruned from them"
        f"{f', {apart} pruned before or during their own training' * (apart > 0)}"
        f"{f', {again} fine-tuned again without pruning as a control' * (again > 0)}, "
        f"seed{'s' * (len(finished.seeds) > 1)} {listing(finished.seeds)}, "
        f"evaluated on {samples} test samples: {listing(runs)}."
    )


def _run_name(run: str, rows: pd.DataFrame) -> str:
    """A run's model, data and objective; dataset and origin are what the evaluation recorded."""
    _, model, objective = run.split("-")
    data = f"{model} on {listing(sorted(set(rows.dataset)))}"
    if objective == AS_IT_CAME:
        return f"{data}, as it came"
    if set(rows.get("origin", ())) - {TRAINED}:
        return f"{data}, as it came and trained by {objective} after pruning"
    return f"{data}, trained by {objective}"


def _methods(finished: Finished) -> Iterator[str]:
    """A sentence a method: which method it is, how far it pruned and the protocol it claims by."""
    for label in finished.methods:
        rows = finished.accuracy[finished.accuracy.method == label]
        method = finished.study["methods"][label]
        kind = "" if method["kind"] == label else f" (method {method['kind']})"
        yield (
            f"{label}{kind} prunes {_when(rows)}by {method['unit']}, to sparsity "
            f"{listing(sorted(rows.sparsity.unique().tolist()))} and claims by "
            f"{listing(sorted(rows.protocol.unique()))}."
        )


def _when(rows: pd.DataFrame) -> str:
    """``before training ``, of a method that does not prune what was trained."""
    pipeline = rows.pipeline.iloc[0]
    return f"{pipeline} training " * (pipeline in APART)


def _extra(finished: Finished) -> Iterator[str]:
    """Of stages that train on pseudo-labelled images too: how many, for each labelled one."""
    study = finished.study
    stages = {stage: plan for stage, plan in study.get("training", {}).items() if plan["extra"]}
    for label, method in study["methods"].items():
        plans = {stage: method.get(stage, {}) for stage in STAGES}
        used = {f"{label}'s {k}": v for k, v in plans.items() if v.get("extra") and v["epochs"]}
        stages |= used
    if stages:
        shares = listing([f"{plan['extra']:g} ({stage})" for stage, plan in stages.items()])
        yield (
            f"Batches hold pseudo-labelled images beside the labelled ones, for each of them "
            f"{shares}; validation and test hold none."
        )


def _threat(finished: Finished) -> str:
    norm = norm_name(finished.study["threat"]["norm"])
    return f"Threat model: {norm}, ε = {eps_name(finished.eps)} on images scaled to [0, 1]."


def _autoattack(options: dict) -> str:
    attacks = f" ({listing(options['attacks'])})" if options.get("attacks") else ""
    return (
        f"AutoAttack: version {options['version']}{attacks}, seed {options['seed']}, batches of "
        f"{options['batch_size']}, shards of {options['shard_size']} samples; its verdicts depend "
        "on all of these."
    )


def _speed(switches: dict) -> Iterator[str]:
    """How passes were computed, where it is not as the networks say."""
    if switches.get("fold"):
        order = ", channels last in memory" * switches["channels_last"]
        order += ", compiled by torch" * switches.get("compile", False)
        yield (
            f"While attacked, networks are computed with their batch norms folded into the "
            f"convolutions before them{order}: equal within rounding. What AutoAttack finds is "
            "confirmed on the networks themselves."
        )


def _distances(attacks: list[dict]) -> str:
    norms = sorted({attack["norm"] for attack in attacks})
    texts = [f"{norm_name(norm)} by {listing(_members(attacks, norm))}" for norm in norms]
    return (
        f"Distances, on every network: the smallest found, {'; '.join(texts)}. "
        "They are upper bounds: the attacks may miss a nearer boundary."
    )


def _members(attacks: list[dict], norm: str) -> list[str]:
    return [attack_name(one["kind"], one["options"]) for one in attacks if one["norm"] == norm]


def _certification(study: dict) -> Iterator[str]:
    """What was sought to be proved, if anything."""
    wanted = study.get("certification")
    if not wanted:
        return
    where = f"ε = {eps_name(wanted['eps'])} in {norm_name(study['threat']['norm'])}"
    bounds = " or ".join(BOUNDS[name] for name in wanted["bounds"])
    rounds = f", and its certified radius is sought by {counted(wanted['rounds'], 'bisection')}"
    yield (
        f"Certified, every network: a sample is verified at {where} if {bounds} proves it"
        f"{rounds * (wanted['rounds'] > 0)}."
    )
    if noise := wanted["smoothing"]:
        yield (
            f"Smoothed, every network, by Gaussian noise of σ = {noise['sigma']:g}: "
            f"{counted(noise['n0'], 'draw')} choose a sample's class and {noise['n']} certify its "
            f"L2 radius, wrong with probability at most {noise['alpha']:g} (seed "
            f"{noise['seed']})."
        )
