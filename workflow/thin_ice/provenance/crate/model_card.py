"""A card for each trained network, in Markdown with the front matter that model hubs read.

Everything in it comes from the records and from metrics.json; nothing is typed in.
"""

from posixpath import basename
from typing import Any

import yaml

from thin_ice.provenance.crate.networks import Network
from thin_ice.provenance.crate.runs import commit
from thin_ice.provenance.crate.study import FinishedJob, FinishedStudy
from thin_ice.provenance.crate.values import accuracies

CARD = "model_card.md"
Tree = dict[str, Any]


def model_card(network: Network, study: FinishedStudy, license: str) -> str:
    """The card of a network."""
    front = yaml.safe_dump(_front_matter(network, license), sort_keys=False)
    sections = [
        f"# {network.name}",
        _what_it_is(network),
        _how_it_was_trained(network),
        _numbers(network, study),
        _where_it_comes_from(network, study),
        _use_and_limits(network),
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(network: Network, license: str) -> Tree:
    wanted = network.job.parameters
    front: Tree = {
        "license": license.lower(),
        "pipeline_tag": "image-classification",
        "tags": [
            "adversarial-robustness",
            wanted["model"]["kind"],
            *([network.objective["kind"]] if network.objective else []),
            *_pruning_tags(network),
            network.variant,
        ],
        "datasets": [network.dataset],
        "metrics": ["accuracy"],
    }
    if network.numbers:
        front["model-index"] = [_model_index(network.name, network.numbers)]
    return front


def _pruning_tags(network: Network) -> list[str]:
    """Of a network in whose making a method took part; fine-tuning alone prunes nothing."""
    if network.unit is None:
        return []
    return ["pruning", *(["structured-pruning"] if network.unit != "weight" else [])]


def _model_index(name: str, numbers: Tree) -> Tree:
    dataset = {"name": numbers["dataset"], "type": numbers["dataset"], "split": "test"}
    metrics = [
        {"type": "accuracy", "name": name, "value": found["percent"], "args": _args(found, numbers)}
        for name, found in accuracies(numbers)
    ]
    result = {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": metrics}
    return {"name": name, "results": [result]}


def _args(found: Tree, numbers: Tree) -> Tree:
    low, high = found["low_percent"], found["high_percent"]
    return {"low_percent": low, "high_percent": high, "samples": numbers["samples"]}


def _what_it_is(network: Network) -> str:
    wanted = network.job.parameters
    return _list(
        "What it is",
        {
            "architecture": _kind(wanted["model"]),
            "dataset": network.dataset,
            **_origin(network),
            "variant": network.variant,
            "threat model": network.threat,
            **_method(network),
        },
    )


def _origin(network: Network) -> Tree:
    """What trained it; or, of a network from elsewhere, which file it is."""
    if network.objective:
        return {"objective": _kind(network.objective), "seed": network.job.parameters["seed"]}
    return {"taken as it came from": _files(network.job)}


def _files(job: FinishedJob) -> str:
    return ", ".join(f"{name} (SHA-256 {digest})" for name, digest in job.sources.items())


def _method(network: Network) -> Tree:
    """The method and sparsity that were asked for, and the sparsity that was reached."""
    found: Tree = {}
    for job in (network.job, *network.history):
        if "method" in job.parameters:
            wanted = job.parameters["method"]
            found["method"] = _kind({key: wanted[key] for key in ("kind", "options")})
            found["unit of pruning"] = wanted["unit"]
            found["sparsity asked for"] = f"{job.parameters['sparsity']} of the {wanted['unit']}s"
    if network.numbers:
        reached = network.numbers["sparsity"]
        found["sparsity of prunable weights"] = f"{reached['prunable']:.6g}"
        found["sparsity of all parameters"] = f"{reached['all_parameters']:.6g}"
        found["parameters"] = reached["parameters"]
        # Results of earlier versions were not looked at for it.
        if signs := network.numbers.get("collapse", {}).get("signs"):
            found["signs of collapse"] = ", ".join(signs).replace("_", " ")
    return found


def _how_it_was_trained(network: Network) -> str:
    jobs = reversed((network.job, *network.history))
    return _list("How it was trained", {job.stage: _stage(job) for job in jobs})


def _stage(job: FinishedJob) -> str:
    if "plan" in job.parameters:
        return _options(job.parameters["plan"])
    return f"taken as it came from {_files(job)}; how it was trained is not known here"


def _numbers(network: Network, study: FinishedStudy) -> str:
    numbers = network.numbers
    if numbers is None:
        return (
            "## Evaluation\n\nNot evaluated: no record of the study evaluates this file, "
            f"which {network.job.stage} made."
        )
    rows = [
        f"| {name} | {found['percent']:.2f} | {found['low_percent']:.2f} to "
        f"{found['high_percent']:.2f} | {numbers['samples']} |"
        for name, found in accuracies(numbers)
    ]
    attack = study.resolved["autoattack"]
    attacks = ", ".join(attack.get("attacks") or [])
    table = ["| accuracy | % | 95 % interval | test samples |", "|---|---|---|---|", *rows]
    note = f"AutoAttack: {attack['version']}" + (f" ({attacks})" if attacks else "")
    return "## Evaluation\n\n" + "\n".join(table) + f"\n\n{note}; threat model {network.threat}."


def _where_it_comes_from(network: Network, study: FinishedStudy) -> str:
    record = network.job.record
    software = ", ".join(f"{name} {version}" for name, version in record.software.items())
    return _list(
        "Where it comes from",
        {
            "SHA-256": study.digests[network.path],
            "record": basename(network.job.record_path),
            "code fingerprint": record.code,
            "repository": commit(network.job),
            "software": software,
            "device": record.run.get("device"),
        },
    )


def _use_and_limits(network: Network) -> str:
    if network.numbers is None:
        measured = "Nothing is known of its accuracy or robustness"
    else:
        measured = (
            f"Its robustness is measured against the threat model {network.threat} only, on "
            f"{network.numbers['samples']} test samples of {network.numbers['dataset']}"
        )
    return (
        "## Use and limits\n\nMeant for research on the robustness of pruned networks, not for "
        f"use in products. {measured}; nothing is said of other attacks, norms or data."
    )


def _list(title: str, entries: Tree) -> str:
    lines = [f"- {name}: {value}" for name, value in entries.items()]
    return f"## {title}\n\n" + "\n".join(lines)


def _kind(entry: Tree) -> str:
    """An entry of a study in words: its kind with its options."""
    options = {key: value for key, value in entry.items() if key not in ("kind", "options")}
    found = _options(options | entry["options"])
    return f"{entry['kind']} ({found})" if found else entry["kind"]


def _options(options: Tree) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
