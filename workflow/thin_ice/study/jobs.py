"""Every job of a study with what it reads and where it writes: the graph that the rules spell out.

Snakemake has the same graph from `workflow/rules/`; a test holds the two together. This one serves
whoever cannot ask Snakemake: the audit, the explanation of what is out of date, the export.
"""

from collections.abc import Iterator

from thin_ice import tables
from thin_ice.provenance.planned import PlannedJob
from thin_ice.study.plan import DENSE, Network, Study

Files = tuple[str, ...]


def planned_jobs(study: Study) -> list[PlannedJob]:
    """The jobs of a study, each after those whose files it reads."""
    jobs = [PlannedJob("study", "study", study.study_job())]
    jobs += [_dataset(study, label) for label in study.resolved["datasets"]]
    watched = study.watched_networks()
    for network in study.networks():
        jobs += _training(study, network)
        jobs += [_selection(study, network)] if network in watched else []
        jobs += _evaluation(study, network)
    jobs += [_analysis(study, run) for run in study.runs()]
    return [*jobs, _report(study)]


def _dataset(study: Study, label: str) -> PlannedJob:
    entry = study.resolved["datasets"][label]
    reader = tables.load("datasets", entry["kind"])(**entry["options"])
    sources = {name: path for name, path in reader.sources().items() if path.is_file()}
    return PlannedJob("dataset", f"data/{label}", study.dataset_job(label), sources=sources)


def _training(study: Study, network: Network) -> Iterator[PlannedJob]:
    folder, data = network.folder, _data(network)
    if network.variant == DENSE:
        yield PlannedJob("dense", folder, study.dense_job(network), data)
        return
    dense = Network(network.run, network.seed, DENSE)
    inputs = data | {"model": _model(dense.folder)}
    yield PlannedJob("prune", f"{folder}/pruned", study.prune_job(network), inputs)
    inputs = data | {"model": _model(f"{folder}/pruned")}
    yield PlannedJob("finetune", folder, study.finetune_job(network), inputs)


def _selection(study: Study, network: Network) -> PlannedJob:
    models = {"pruned": _model(f"{network.folder}/pruned"), "model": _model(network.folder)}
    return PlannedJob(
        "selection",
        f"{network.folder}/selection",
        study.selection_job(network),
        _data(network) | models,
    )


def _evaluation(study: Study, network: Network) -> Iterator[PlannedJob]:
    folder, inputs = network.folder, _data(network) | {"model": _model(network.folder)}
    shards = [
        PlannedJob(
            "autoattack",
            f"{folder}/autoattack/shard{shard}",
            study.autoattack_job(network, shard),
            inputs,
        )
        for shard in study.shards(network.parts[0])
    ]
    yield from shards
    outcomes = {"shards": tuple(f"{shard.folder}/outcomes.parquet" for shard in shards)}
    yield PlannedJob(
        "evaluate", f"{folder}/evaluation", study.evaluate_job(network), inputs | outcomes
    )
    if network.variant == DENSE:
        yield PlannedJob("distances", f"{folder}/distances", study.distances_job(network), inputs)


def _analysis(study: Study, run: str) -> PlannedJob:
    networks = [network.folder for network in study.networks() if network.run == run]
    dense = [network.folder for network in study.dense_networks() if network.run == run]
    watched = [network.folder for network in study.watched_networks() if network.run == run]
    inputs = {
        "samples": tuple(f"{folder}/evaluation/samples.parquet" for folder in networks),
        "metrics": tuple(f"{folder}/evaluation/metrics.json" for folder in networks),
        "distances": tuple(f"{folder}/distances/distances.parquet" for folder in dense),
        "selection": tuple(f"{folder}/selection/samples.parquet" for folder in watched),
    }
    return PlannedJob("analyse", f"{run}/analysis", study.analyse_job(run), inputs)


def _report(study: Study) -> PlannedJob:
    tables_read = {"accuracy": "accuracy.csv", "thin_ice": "thin_ice.csv"}
    tables_read |= {"samples": "samples.parquet", "overestimate": "overestimate.csv"}
    inputs = {
        name: tuple(f"{run}/analysis/{file}" for run in study.runs())
        for name, file in tables_read.items()
    }
    return PlannedJob("report", "report", study.report_job(), inputs)


def _data(network: Network) -> dict[str, Files]:
    return {"dataset": (f"data/{network.parts[0]}/dataset.safetensors",)}


def _model(folder: str) -> Files:
    return (f"{folder}/model.safetensors",)
