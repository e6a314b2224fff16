"""The thin-ice analysis of a run with all its seeds and methods: who is lost and what might have
told; its table of accuracies and what pruning preserved of them, its security curves, and how well
each distance attack did.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.commands.tables import write_csv, write_parquet
from thin_ice.evaluation import collapse
from thin_ice.evaluation.certified_curves import certified_curves
from thin_ice.evaluation.curves import grid, security_curve
from thin_ice.evaluation.optimality import optimality_table
from thin_ice.evaluation.overestimate import Evaluated, overestimate_table
from thin_ice.evaluation.overfitting import overfitting_table
from thin_ice.evaluation.preservation import Measured, preservation_table
from thin_ice.evaluation.proofs import proof_columns
from thin_ice.evaluation.size_table import size_table
from thin_ice.evaluation.summary import accuracy_table
from thin_ice.margins.agreement import certificates_against_attacks, contradictions
from thin_ice.margins.analysis import (
    DENSE,
    DENSE_AGAIN,
    SECOND_SEED,
    Network,
    analyse,
    pairs_of,
)
from thin_ice.margins.tables import run_tables
from thin_ice.margins.views import Setting

PREPARE = None
NAMES = ("run", "seed", "variant", "method", "sparsity")
INPUTS = ("samples", "metrics", "distances", "indicators")
OF_DENSE = ("rivals", "breaking")  # one a dense network, or none
OF_MADE = ("sensitivity",)  # one a network made from a dense one, or none
OF_PRUNED = ("selection", "sizes")  # one a pruned network, or none
OF_ALL = ("certified",)  # one a network, or none
OF_TRAINED = ("histories",)  # one a network that was trained here
OPTIONAL_INPUTS = (*OF_PRUNED, *OF_ALL, *OF_DENSE, *OF_MADE, *OF_TRAINED)
# What the dense network of its run and seed is to a network, by when this one was pruned: what it
# was made from, or one of the same architecture, objective and seed that was trained apart.
ANCESTOR, COUNTERPART = "ancestor", "counterpart"
DENSE_IS = {"before": COUNTERPART, "during": COUNTERPART}


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    names = wanted["networks"]
    networks = list(_networks(job))
    measured = [network.distances for network in networks]
    metrics = [json.loads(path.read_text()) for path in job.inputs["metrics"]]
    indicators = [json.loads(path.read_text()) for path in job.inputs["indicators"]]
    threat = wanted["threat"]
    norms = tuple(wanted["distances"])
    resamples, seed = wanted["analysis"]["bootstrap"], wanted["analysis"]["seed"]
    setting = Setting(norms, threat["norm"], threat["eps"], resamples, seed)
    samples, statistics = analyse(
        pairs_of(networks), list(norms), threat["norm"], threat["eps"], resamples, seed
    )
    optimality = [optimality_table(table, wanted["distances"]) for table in measured]
    evaluated = _evaluated(job, networks, metrics)
    outcomes = list(_measured(names, networks, metrics))
    outputs = {
        "accuracy.csv": accuracy_table(names, metrics, indicators, _proofs(job, networks)),
        "overestimate.csv": overestimate_table(evaluated, resamples, seed),
        "thin_ice.csv": _with_ancestry(statistics, names),
        "curves.csv": _of_networks(names, _curves(networks, measured, metrics, threat)),
        "optimality.csv": _of_networks(names, optimality),
        **{f"{name}.csv": table for name, table in run_tables(networks, setting).items()},
        "sizes.csv": _sizes(job),
        "preservation.csv": preservation_table(outcomes, resamples, seed),
        "certified.csv": _of_networks(names, _certified(networks, measured, wanted)),
        "training.csv": _training(job),
    }
    for name, table in outputs.items():
        write_csv(job.folder / name, table)
    write_parquet(job.folder / "samples.parquet", samples)
    return [*(job.folder / name for name in outputs), job.folder / "samples.parquet"]


def _networks(job: Job) -> Iterator[Network]:
    """Every network of the run with those per-sample tables that it has."""
    names = job.parameters["networks"]
    dense = [n for n, name in enumerate(names) if name["variant"] == DENSE]
    made = [n for n, name in enumerate(names) if name["variant"] != DENSE]
    owners = dict.fromkeys(("samples", "distances", *OF_ALL), range(len(names)))
    owners |= dict.fromkeys(OF_DENSE, dense) | dict.fromkeys(OF_MADE, made)
    files = {
        (table, n): path
        for table, numbers in owners.items()
        if job.inputs[table]
        for n, path in zip(numbers, job.inputs[table], strict=True)
    }
    for n, named in enumerate(names):
        name = {key: named[key] for key in NAMES}
        own = {table: pd.read_parquet(files[table, n]) for table in owners if (table, n) in files}
        yield Network(**name, **own)


def _proofs(job: Job, networks: list[Network]) -> list[dict]:
    """What was proved of each network, and how often an attack contradicts it."""
    threat, wanted = job.parameters["threat"], job.parameters["certification"]
    at = wanted["eps"] if wanted else None
    checked = (
        certificates_against_attacks(
            one.certified, at, one.samples, one.distances, threat["norm"], threat["eps"]
        )
        for one in networks
    )
    return [
        proof_columns(network.certified, at) | counts
        for network, counts in zip(networks, checked, strict=True)
    ]


def _measured(
    names: list[dict], networks: list[Network], metrics: list[dict]
) -> Iterator[Measured]:
    for name, network, numbers in zip(names, networks, metrics, strict=True):
        signs = collapse.columns(numbers["collapse"])["collapse"]
        protocols = tuple(numbers["claimed"])
        yield Measured(name, signs, protocols, network.samples, network.certified)


def _curves(
    networks: list[Network], measured: list[pd.DataFrame], metrics: list[dict], threat: dict
) -> list[pd.DataFrame]:
    """A security curve a network, all over the same radii."""
    norm, eps = threat["norm"], threat["eps"]
    radii = grid(measured, norm, eps)
    return [
        security_curve(
            distances,
            norm,
            radii,
            eps,
            numbers["autoattack"] | contradictions(distances, network.samples, norm, eps),
        )
        for network, distances, numbers in zip(networks, measured, metrics, strict=True)
    ]


def _certified(
    networks: list[Network], measured: list[pd.DataFrame], wanted: dict
) -> list[pd.DataFrame]:
    """What is certified of each network against the radius, over the radii of security curves."""
    norm, eps = wanted["threat"]["norm"], wanted["threat"]["eps"]
    noise = (wanted["certification"] or {}).get("smoothing")
    sigma = noise["sigma"] if noise else None
    radii = grid(measured, norm, eps)
    return [
        certified_curves(network.certified, distances, norm, radii, eps, sigma)
        for network, distances in zip(networks, measured, strict=True)
    ]


def _of_networks(names: list[dict], tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of many, each row with the names of its network."""
    named = [
        table.assign(**name)[[*NAMES, *table.columns]]
        for name, table in zip(names, tables, strict=True)
    ]
    return pd.concat(named, ignore_index=True)


def _with_ancestry(statistics: pd.DataFrame, names: list[dict]) -> pd.DataFrame:
    """The thin-ice table with what the dense network is to the network compared with it. Another
    seed's dense network was trained apart as well.
    """
    pipelines = {name["variant"]: name["pipeline"] for name in names}
    found = [
        COUNTERPART if method == SECOND_SEED else DENSE_IS.get(pipelines[other], ANCESTOR)
        for method, other in zip(statistics.method, statistics.other, strict=True)
    ]
    place = statistics.columns.get_loc("sparsity") + 1
    statistics.insert(place, "dense_is", pd.Series(found, index=statistics.index, dtype=str))
    return statistics


def _training(job: Job) -> pd.DataFrame:
    """How training went: of the stage that chose each network's checkpoint."""
    wanted, paths = job.parameters, iter(job.inputs["histories"])
    stages = wanted["histories"]
    histories = [pd.read_csv(next(paths)) if stage else None for stage in stages]
    return overfitting_table(wanted["networks"], stages, histories, wanted["validation_images"])


def _sizes(job: Job) -> pd.DataFrame:
    pruned = [one for one in job.parameters["networks"] if _is_pruned(one["method"])]
    sizes = [json.loads(path.read_text()) for path in job.inputs["sizes"]]
    return size_table(pruned if sizes else [], sizes)


def _is_pruned(method: str) -> bool:
    return method not in (DENSE, DENSE_AGAIN)


def _evaluated(job: Job, networks: list[Network], metrics: list[dict]) -> list[Evaluated]:
    """Every network under each protocol that attacked it; pruned ones with their selection."""
    pruned = [(n.run, n.seed, n.variant) for n in networks if _is_pruned(n.method)]
    paths = dict(zip(pruned, job.inputs["selection"], strict=True)) if _watched(job) else {}
    selection = {key: pd.read_parquet(path) for key, path in paths.items()}
    return [
        Evaluated(
            {"run": n.run, "seed": n.seed, "method": n.method, "sparsity": n.sparsity},
            protocol,
            n.samples,
            selection.get((n.run, n.seed, n.variant)),
        )
        for n, numbers in zip(networks, metrics, strict=True)
        for protocol in numbers["claimed"]
    ]


def _watched(job: Job) -> bool:
    return bool(job.inputs["selection"])
