"""Every job of a study with what it reads and where it writes: the graph that the rules spell out.

Snakemake has the same graph from `workflow/rules/`; a test holds the two together. This one serves
whoever cannot ask Snakemake: the audit, the explanation of what is out of date, the export.
"""

from collections.abc import Iterator
from pathlib import Path

from thin_ice import outside, tables
from thin_ice.data import extra
from thin_ice.provenance.planned import PlannedJob
from thin_ice.study.pipelines import PRUNES
from thin_ice.study.plan import DENSE, DENSE_AGAIN, Network, Study

Files = tuple[str, ...]
ANALYSED = (  # tables of the analysis that the report reads, in its order
    *("accuracy.csv", "overestimate.csv", "thin_ice.csv", "samples.parquet", "curves.csv"),
    *("optimality.csv", "predictors.csv", "thickness.csv", "joint.csv", "classes.csv"),
    *("pies.csv", "overlap.csv", "movement.csv", "sizes.csv", "preservation.csv"),
    *("certified.csv", "training.csv"),
)


def planned_jobs(study: Study) -> list[PlannedJob]:
    """The jobs of a study, each after those whose files it reads."""
    jobs = [PlannedJob("study", "study", study.study_job())]
    jobs += [_dataset(study, label) for label in study.resolved["datasets"]]
    watched, certified = study.watched_networks(), study.certified_networks()
    for network in study.networks():
        jobs += _training(study, network)
        jobs += [_selection(study, network)] if network in watched else []
        jobs += _evaluation(study, network)
        jobs += [_beside_distances(study, network)]
        jobs += [_compact(study, network)] if network.pruned else []
        jobs += [_certification(study, network)] if network in certified else []
        jobs += _thin_ice(study, network) if network.variant == DENSE else []
    jobs += [_analysis(study, run) for run in study.runs()]
    return [*jobs, _report(study)]


def _dataset(study: Study, label: str) -> PlannedJob:
    entry = study.resolved["datasets"][label]
    reader = tables.load("datasets", entry["kind"])(**entry["options"])
    named = reader.sources() | (extra.sources(Path(entry["extra"])) if entry["extra"] else {})
    sources = {name: path for name, path in named.items() if path.is_file()}
    return PlannedJob("dataset", f"data/{label}", study.dataset_job(label), sources=sources)


def _training(study: Study, network: Network) -> Iterator[PlannedJob]:
    folder, data = network.folder, _data(network)
    if network.variant == DENSE and study.external(network):
        yield _external(study, network, data)
        return
    if network.variant == DENSE:
        yield PlannedJob("dense", folder, study.dense_job(network), data)
        return
    inputs = data | {"model": _model(network.dense.folder)}
    if network.variant == DENSE_AGAIN:
        inputs |= {"teacher": ()}
        yield PlannedJob("finetune", folder, study.finetune_job(network), inputs)
        return
    yield from PIPELINES[study.pipeline(network)](study, network)


def _after(study: Study, network: Network) -> Iterator[PlannedJob]:
    """Dense -> prune -> finetune"""
    folder, data = network.folder, _data(network)
    inputs = data | {"model": _model(network.dense.folder)}
    yield PlannedJob("prune", f"{folder}/pruned", study.prune_job(network), inputs)
    inputs = data | {"model": _model(f"{folder}/pruned"), "teacher": _teacher(study, network)}
    yield PlannedJob("finetune", folder, study.finetune_job(network), inputs)


def _before(study: Study, network: Network) -> Iterator[PlannedJob]:
    """Mask -> train_masked"""
    folder, data = network.folder, _data(network)
    yield PlannedJob("mask", f"{folder}/pruned", study.mask_job(network), data)
    inputs = data | {"model": _model(f"{folder}/pruned")}
    yield PlannedJob("train_masked", folder, study.train_masked_job(network), inputs)


def _during(study: Study, network: Network) -> Iterator[PlannedJob]:
    """train_sparse"""
    job = study.train_sparse_job(network)
    yield PlannedJob("train_sparse", network.folder, job, _data(network))


PIPELINES = {"after": _after, "before": _before, "during": _during}


def _external(study: Study, network: Network, data: dict[str, Files]) -> PlannedJob:
    checkpoint = study.resolved["models"][network.parts[1]]["checkpoint"]
    try:
        sources = {outside.source_name(checkpoint): outside.weights_file(checkpoint)}
    except outside.MissingWeights:  # whoever only looks at results needs no checkpoint
        sources = {}
    return PlannedJob("external", network.folder, study.external_job(network), data, sources)


def _selection(study: Study, network: Network) -> PlannedJob:
    masked = study.deciding_stage(network) not in PRUNES
    models = {
        "model": _model(network.folder),
        "pruned": _model(f"{network.folder}/pruned") if masked else (),
        "teacher": _teacher(study, network),
    }
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
    found = {
        name: tuple(f"{shard.folder}/{file}" for shard in shards)
        for name, file in (("shards", "outcomes.parquet"), ("checks", "checks.json"))
    }
    yield PlannedJob(
        "evaluate", f"{folder}/evaluation", study.evaluate_job(network), inputs | found
    )
    yield PlannedJob("indicators", f"{folder}/indicators", study.indicators_job(network), inputs)
    yield PlannedJob("distances", f"{folder}/distances", study.distances_job(network), inputs)


def _beside_distances(study: Study, network: Network) -> PlannedJob:
    """What else may tell who is lost: of a dense network its rivals of distance, of one made from
    it how far the change of its parameters should move each margin.
    """
    folder, data, model = network.folder, _data(network), {"model": _model(network.folder)}
    if network.variant == DENSE:
        return PlannedJob("rivals", f"{folder}/rivals", study.rivals_job(network), data | model)
    inputs = data | {"dense": _model(network.dense.folder)} | model
    return PlannedJob(
        "sensitivity", f"{folder}/sensitivity", study.sensitivity_job(network), inputs
    )


def _compact(study: Study, network: Network) -> PlannedJob:
    inputs = _data(network) | {"model": _model(network.folder)}
    return PlannedJob("compact", f"{network.folder}/compact", study.compact_job(network), inputs)


def _certification(study: Study, network: Network) -> PlannedJob:
    inputs = _data(network) | {"model": _model(network.folder)}
    folder = f"{network.folder}/certified"
    return PlannedJob("certify", folder, study.certify_job(network), inputs)


def _thin_ice(study: Study, network: Network) -> Iterator[PlannedJob]:
    """What is looked for on dense networks alone, beside the distances."""
    folder, inputs = network.folder, _data(network) | {"model": _model(network.folder)}
    distances = {"distances": (f"{folder}/distances/distances.parquet",)}
    if network in study.breaking_networks():
        read = inputs | {"samples": (f"{folder}/evaluation/samples.parquet",)} | distances
        yield PlannedJob("breaking", f"{folder}/breaking", study.breaking_job(network), read)
    yield PlannedJob("twins", f"{folder}/twins", study.twins_job(network), inputs | distances)


def _analysis(study: Study, run: str) -> PlannedJob:
    def of_run(networks: list[Network], file: str) -> Files:
        return tuple(f"{network.folder}/{file}" for network in networks if network.run == run)

    networks = study.networks()
    inputs = {
        "samples": of_run(networks, "evaluation/samples.parquet"),
        "metrics": of_run(networks, "evaluation/metrics.json"),
        "distances": of_run(networks, "distances/distances.parquet"),
        "indicators": of_run(networks, "indicators/indicators.json"),
        "selection": of_run(study.watched_networks(), "selection/samples.parquet"),
        "sizes": of_run(study.pruned_networks(), "compact/size.json"),
        "certified": of_run(study.certified_networks(), "certified/certified.parquet"),
        "rivals": of_run(study.dense_networks(), "rivals/rivals.parquet"),
        "breaking": of_run(study.breaking_networks(), "breaking/breaking.parquet"),
        "sensitivity": of_run(study.made_networks(), "sensitivity/sensitivity.parquet"),
        "histories": tuple(
            study.history(one) for one in study.trained_networks() if one.run == run
        ),
    }
    return PlannedJob("analyse", f"{run}/analysis", study.analyse_job(run), inputs)


def _report(study: Study) -> PlannedJob:
    inputs = {
        file.partition(".")[0]: tuple(f"{run}/analysis/{file}" for run in study.runs())
        for file in ANALYSED
    }
    dense = [network.folder for network in study.dense_networks()]
    inputs["twins"] = tuple(f"{folder}/twins/twins.parquet" for folder in dense)
    inputs["pictures"] = tuple(f"{folder}/twins/twins.safetensors" for folder in dense)
    return PlannedJob("report", "report", study.report_job(), inputs)


def _data(network: Network) -> dict[str, Files]:
    return {"dataset": (f"data/{network.parts[0]}/dataset.safetensors",)}


def _teacher(study: Study, network: Network) -> Files:
    """The dense network, if the last stage learns from it."""
    return _model(network.dense.folder) if study.taught(network) else ()


def _model(folder: str) -> Files:
    return (f"{folder}/model.safetensors",)
