"""Which networks a study has and which jobs make them, with the parameters each job reads."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from thin_ice import tables
from thin_ice.attacks.distance_budgets import column
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.files import canonical_json
from thin_ice.provenance.fingerprint import fingerprint
from thin_ice.provenance.machine import packages_used, versions
from thin_ice.study.options import entry
from thin_ice.study.pipelines import PRUNES, STAGES, shared_with_dense

DENSE = "dense"
DENSE_AGAIN = "dense_again"  # the dense network fine-tuned once more: what training alone changes
UNPRUNED = "none"  # unit and pipeline of a network that no method pruned
UNTUNED = "none"  # stands for the objective of a network that was not fine-tuned
UNKNOWN_GOAL = "unknown"
AS_IT_CAME = "as_it_came"  # stands for the objective of a network that is only evaluated
UNSAID = ("resources", "rerun_on_upgrade")  # no result depends on them, so no report names them
Tree = dict[str, Any]


@dataclass(frozen=True, order=True)
class Network:
    """One network of a study; its three names are the folders it lives in."""

    run: str  # DATASET-MODEL-OBJECTIVE
    seed: int
    variant: str  # dense, dense_again, or METHOD-SPARSITY

    @property
    def parts(self) -> tuple[str, str, str]:
        """Labels of dataset, model and objective."""
        dataset, model, objective = self.run.split("-")
        return dataset, model, objective

    @property
    def method(self) -> str:
        """Label of the method, or ``dense`` or ``dense_again``."""
        return self.variant.partition("-")[0]

    @property
    def sparsity(self) -> float:
        return float(self.variant.partition("-")[2] or 0)

    @property
    def pruned(self) -> bool:
        return self.variant not in (DENSE, DENSE_AGAIN)

    @property
    def dense(self) -> "Network":
        """The dense network of the same run and seed: itself, what it was made from, or, where it
        was pruned before or during training, its counterpart.
        """
        return Network(self.run, self.seed, DENSE)

    @property
    def folder(self) -> str:
        """Below the study's folder."""
        return f"{self.run}/seed{self.seed}/{self.variant}"

    @property
    def names(self) -> Tree:
        return {
            "run": self.run,
            "seed": self.seed,
            "variant": self.variant,
            "method": self.method,
            "sparsity": self.sparsity,
        }


def written(sparsity: float) -> str:
    """A sparsity as it stands in the name of a folder: ``0.95``, at most ten decimals."""
    return f"{sparsity:.10f}".rstrip("0")


class Study:
    """A resolved study: its networks, and the canonical JSON of each job's parameters."""

    def __init__(self, resolved: Tree) -> None:
        self.resolved = resolved

    @property
    def folder(self) -> str:
        return f"results/{self.resolved['name']}"

    @property
    def resources(self) -> Tree:
        """What a cluster is asked for; no job's parameter."""
        return self.resolved["resources"]

    def dense_networks(self) -> list[Network]:
        """One a run and seed. A network from elsewhere has no seed of its own: it stands, with what
        is pruned from it, under the first seed alone. One that is only evaluated has one run.
        """
        study = self.resolved
        return [
            Network(f"{dataset}-{label}-{objective}", seed, DENSE)
            for dataset in study["datasets"]
            for label, model in study["models"].items()
            for objective in ([AS_IT_CAME] if model["only_evaluate"] else study["objectives"])
            for seed in (study["seeds"][:1] if model["checkpoint"] else study["seeds"])
        ]

    def external(self, network: Network) -> bool:
        """Whether the dense network of this run comes from elsewhere."""
        return self._model(network)["checkpoint"] is not None

    def runs_from(self, elsewhere: bool) -> list[str]:
        """Runs whose dense networks come from elsewhere, or those whose are trained here."""
        return [run for run in self.runs() if self.external(Network(run, 0, DENSE)) is elsewhere]

    def watched_networks(self) -> list[Network]:
        """The pruned networks whose training is replayed and watched on test, if any."""
        return self.pruned_networks() if self.resolved["selection_on_test"] else []

    def pruned_networks(self) -> list[Network]:
        """Of each of which the size is counted."""
        return [network for network in self.networks() if network.pruned]

    def made_networks(self) -> list[Network]:
        """The networks that a dense one of their run and seed is compared with: the pruned ones and
        the fine-tuned.
        """
        return [network for network in self.networks() if network.variant != DENSE]

    def breaking_networks(self) -> list[Network]:
        """The networks whose samples' breaking radii are looked for: the dense ones, or none."""
        return self.dense_networks() if self.resolved["breaking"]["rounds"] else []

    def certified_networks(self) -> list[Network]:
        """The networks of which something is to be proved: all, or none."""
        return self.networks() if self.resolved["certification"] else []

    def runs(self) -> list[str]:
        """Names of the runs, DATASET-MODEL-OBJECTIVE."""
        return list(dict.fromkeys(network.run for network in self.dense_networks()))

    def networks(self) -> list[Network]:
        """Every network, dense ones first."""
        dense = self.dense_networks()
        return dense + [made for network in dense for made in self._made_from(network)]

    def _made_from(self, dense: Network) -> Iterator[Network]:
        """The pruned ones, and last the dense one again where it was trained here. Where it was not
        nothing is trained from initialisation: that would have no counterpart.
        """
        for label, method in self.resolved["methods"].items():
            alone = self.external(dense) and pipeline_of(method["kind"]) != "after"
            here = dense.parts[2] in method["objectives"] and dense.seed in method["seeds"]
            if here and not alone:
                for sparsity in method["sparsities"]:
                    yield Network(dense.run, dense.seed, f"{label}-{written(sparsity)}")
        if self.resolved["dense_again"] and not self.external(dense):
            yield Network(dense.run, dense.seed, DENSE_AGAIN)

    def shards(self, dataset: str) -> list[int]:
        """Numbers of the AutoAttack shards that cover a dataset's test split."""
        entry = self.resolved["datasets"][dataset]
        reader = tables.load("datasets", entry["kind"])(**entry["options"])
        size = entry["limit_test"] or reader.test_size()
        return list(range(math.ceil(size / self.resolved["autoattack"]["shard_size"])))

    def pipeline(self, network: Network) -> str:
        """When the method of a pruned network prunes: after, before or during training."""
        return pipeline_of(self.resolved["methods"][network.method]["kind"])

    def stages(self, network: Network) -> tuple[str, ...]:
        """The stages that make a network, beside those that make one that it begins with."""
        if network.variant == DENSE:
            return (DENSE,)
        return STAGES[self.pipeline(network)] if network.pruned else ("finetune",)

    def trained_networks(self) -> list[Network]:
        """The networks that were trained here, of which there is a history."""
        return [one for one in self.networks() if self.trained_here(one)]

    def trained_here(self, network: Network) -> bool:
        """Whether it is not a dense network from elsewhere."""
        return network.variant != DENSE or not self.external(network)

    def history(self, network: Network) -> str:
        """The history, below the study's folder, of the stage that chose its checkpoint."""
        within = "/pruned" * (self.deciding_stage(network) in ("prune", "mask"))
        return f"{network.folder}{within}/history.csv"

    def validation_images(self, dataset: str) -> int:
        """How many images of a dataset are held out of training."""
        entry = self.resolved["datasets"][dataset]
        reader = tables.load("datasets", entry["kind"])(**entry["options"])
        return round(entry["validation"] * (entry["limit_train"] or reader.train_size()))

    def deciding_stage(self, network: Network) -> str:
        """The stage that chooses a network's checkpoint: the last that trains."""
        stages = self.stages(network)
        trains = [stage for stage in stages if self.plan(network, stage)["epochs"]]
        return (trains or stages)[-1]

    def variants(self, pipeline: str) -> list[str]:
        """Names of the variants that methods of a pipeline make, in any run."""
        pruned = self.pruned_networks()
        return sorted({one.variant for one in pruned if self.pipeline(one) == pipeline})

    def protocols(self, network: Network) -> list[str]:
        """Claimed protocols a network is evaluated by: its method's; for a dense one, all. Of the
        dense one fine-tuned again nobody claims anything.
        """
        methods = self.resolved["methods"]
        if network.variant == DENSE_AGAIN:
            return []
        if network.variant == DENSE:
            return sorted({method["claimed"] for method in methods.values()})
        return [methods[network.method]["claimed"]]

    def objective(self, network: Network, stage: str) -> Tree:
        """What a stage trains a network with: the run's objective, or the one that its method
        prescribes for the stage.
        """
        method = self.resolved["methods"].get(network.method, {}) if network.pruned else {}
        return method.get(f"{stage}_objective") or self.resolved["objectives"][network.parts[2]]

    def plan(self, network: Network, stage: str) -> Tree:
        """How a stage trains a network: the study's or its method's plan, and what the objective
        has otherwise. Where a method trains nothing, no objective does.
        """
        own = network.pruned and stage != "dense"
        whose = self.resolved["methods"][network.method] if own else self.resolved["training"]
        words = self.objective(network, stage)["training"]
        words = shared_with_dense(stage, words.get(DENSE, {})) | words.get(stage, {})
        if not whose[stage]["epochs"]:
            words = {name: value for name, value in words.items() if name != "epochs"}
        return whose[stage] | words

    def taught(self, network: Network) -> bool:
        """Whether the last stage learns from the dense network."""
        kind = self.objective(network, self.stages(network)[-1])["kind"]
        return entry("objectives", kind).constants["teacher"]

    # Parameters of the jobs, a method a stage: exactly what the stage's command reads.

    def study_job(self) -> str:
        return self._job("study", {"study": self.resolved}, [])

    def dataset_job(self, dataset: str) -> str:
        entry = self.resolved["datasets"][dataset]
        return self._job("dataset", entry, [("datasets", entry["kind"])])

    def dense_job(self, network: Network) -> str:
        return self._training_job("dense", network, {})

    def external_job(self, network: Network) -> str:
        model = self._model(network)
        parameters = {
            "variant": network.variant,
            "model": {key: model[key] for key in ("kind", "options")},
            "checkpoint": model["checkpoint"],
        }
        return self._job("external", parameters, [self._architecture(network)])

    def prune_job(self, network: Network) -> str:
        return self._training_job("prune", network, self._pruning(network))

    def finetune_job(self, network: Network) -> str:
        return self._training_job("finetune", network, {})

    def mask_job(self, network: Network) -> str:
        return self._training_job("mask", network, self._pruning(network))

    def train_masked_job(self, network: Network) -> str:
        return self._training_job("train_masked", network, {})

    def train_sparse_job(self, network: Network) -> str:
        return self._training_job("train_sparse", network, self._pruning(network))

    def selection_job(self, network: Network) -> str:
        claimed, replayed = self.protocols(network)[0], self.deciding_stage(network)
        parameters = {"protocol": {claimed: vars(PROTOCOLS[claimed])}, "replays": replayed}
        if replayed in PRUNES:
            parameters |= self._pruning(network)
        return self._training_job("selection", network, parameters)

    def _pruning(self, network: Network) -> Tree:
        """What a stage needs to know in which the method acts."""
        method = self.resolved["methods"][network.method]
        own = {key: method[key] for key in ("kind", "unit", "options")}
        return {"method": own, "sparsity": network.sparsity}

    def _training_job(self, stage: str, network: Network, extra: Tree) -> str:
        model, trained = self._model(network), extra.get("replays", stage)
        objective = self.objective(network, trained)
        parameters = {
            "seed": network.seed,
            "variant": network.variant,
            "model": {key: model[key] for key in ("kind", "normalize", "options")},
            "objective": {key: objective[key] for key in ("kind", "options")},
            "threat": self.resolved["threat"],
            "plan": self.plan(network, trained),
            "speed": self.resolved["speed"],
            **extra,
        }
        entries = [("objectives", objective["kind"]), self._architecture(network)]
        if "method" in extra:
            entries.append(("methods", extra["method"]["kind"]))
        return self._job(stage, parameters, entries)

    def autoattack_job(self, network: Network, shard: int) -> str:
        parameters = {
            "threat": self.resolved["threat"],
            "autoattack": self.resolved["autoattack"],
            "speed": self.resolved["speed"],
            "shard": shard,
        }
        return self._job("autoattack", parameters, [self._architecture(network)])

    def evaluate_job(self, network: Network) -> str:
        names = self.protocols(network)
        parameters = {
            "seed": network.seed,
            "threat": self.resolved["threat"],
            "protocols": {name: vars(PROTOCOLS[name]) for name in names},
            "speed": self.resolved["speed"],
        }
        return self._job("evaluate", parameters, [self._architecture(network)])

    def distances_job(self, network: Network) -> str:
        attacks = self.resolved["distances"]["attacks"]
        entries = [("distance_attacks", attack["kind"]) for attack in attacks]
        entries.append(self._architecture(network))
        parameters = {"distances": attacks, "speed": self.resolved["speed"]}
        return self._job("distances", parameters, entries)

    def breaking_job(self, network: Network) -> str:
        wanted = self.resolved["autoattack"]
        parameters = {
            "threat": self.resolved["threat"],
            "autoattack": {k: v for k, v in wanted.items() if k != "keep_examples"},
            "breaking": self.resolved["breaking"],
            "speed": self.resolved["speed"],
        }
        return self._job("breaking", parameters, [self._architecture(network)])

    def twins_job(self, network: Network) -> str:
        norm = self.resolved["threat"]["norm"]
        attacks = [one for one in self.resolved["distances"]["attacks"] if one["norm"] == norm]
        parameters = {"norm": norm, "distances": attacks, "twins": self.resolved["twins"]}
        entries = [("distance_attacks", attack["kind"]) for attack in attacks]
        return self._job("twins", parameters, [*entries, self._architecture(network)])

    def indicators_job(self, network: Network) -> str:
        names = self.protocols(network)
        parameters = {
            "threat": self.resolved["threat"],
            "protocols": {name: vars(PROTOCOLS[name]) for name in names},
            "indicators": self.resolved["indicators"],
        }
        return self._job("indicators", parameters, [self._architecture(network)])

    def certify_job(self, network: Network) -> str:
        parameters = {
            "norm": self.resolved["threat"]["norm"],
            "certification": self.resolved["certification"],
        }
        return self._job("certify", parameters, [self._architecture(network)])

    def rivals_job(self, network: Network) -> str:
        parameters = {"threat": self.resolved["threat"], "rivals": self.resolved["rivals"]}
        return self._job("rivals", parameters, [self._architecture(network)])

    def sensitivity_job(self, network: Network) -> str:
        return self._job("sensitivity", {}, [self._architecture(network)])

    def compact_job(self, network: Network) -> str:
        return self._job("compact", {}, [self._architecture(network)])

    def analyse_job(self, run: str) -> str:
        networks = [one for one in self.networks() if one.run == run]
        parameters = {
            "networks": [self.names(one) for one in networks],
            "histories": [
                self.deciding_stage(one) if self.trained_here(one) else None for one in networks
            ],
            "validation_images": self.validation_images(networks[0].parts[0]),
            "threat": self.resolved["threat"],
            "certification": self.resolved["certification"],
            "distances": self._members(),
            "analysis": self.resolved["analysis"],
        }
        return self._job("analyse", parameters, [])

    def report_job(self) -> str:
        said = {key: value for key, value in self.resolved.items() if key not in UNSAID}
        dense = [{"run": one.run, "seed": one.seed} for one in self.dense_networks()]
        return self._job("report", {"study": said, "dense": dense}, [])

    def names(self, network: Network) -> Tree:
        """What names a network in tables: its own names, kind and unit of the method that pruned
        it and when, and labels and goals of the objectives that the dense network was trained with
        and that it was itself trained with last.
        """
        method = self.resolved["methods"][network.method] if network.pruned else {}
        last = self.stages(network)[-1]
        trained, tuned = (self._objective_label(network, stage) for stage in (DENSE, last))
        return network.names | {
            "unit": method.get("unit", UNPRUNED),
            "kind": method.get("kind", network.method),
            "pipeline": self.pipeline(network) if network.pruned else UNPRUNED,
            "trained_with": trained,
            "tuned_with": UNTUNED if network.variant == DENSE else tuned,
            "goal": self._goal(network, DENSE),
            "tuned_goal": self._goal(network, last),
        }

    def _objective_label(self, network: Network, stage: str) -> str:
        """The label of the objective that a stage has in this study; of one that only a method has,
        its kind.
        """
        if (own := network.parts[2]) == AS_IT_CAME:
            return own
        wanted = self.objective(network, stage)
        listed = self.resolved["objectives"]
        labels = [name for name in listed if _same(listed[name], wanted)]
        return own if own in labels else next(iter(labels), wanted["kind"])

    def _goal(self, network: Network, stage: str) -> str:
        """What the objective of a stage is after; nobody knows it of a network as it came."""
        if network.parts[2] == AS_IT_CAME:
            return UNKNOWN_GOAL
        kind = self.objective(network, stage)["kind"]
        return entry("objectives", kind).constants["goal"]

    def _members(self) -> Tree:
        """By norm, the columns of the attacks that look for distances."""
        attacks = self.resolved["distances"]["attacks"]
        norms = sorted({attack["norm"] for attack in attacks})
        return {norm: [column(one) for one in attacks if one["norm"] == norm] for norm in norms}

    def _model(self, network: Network) -> Tree:
        return self.resolved["models"][network.parts[1]]

    def _architecture(self, network: Network) -> tuple[str, str]:
        return "architectures", self._model(network)["kind"]

    def _job(self, stage: str, parameters: Tree, entries: list[tuple[str, str]]) -> str:
        """Canonical JSON of a job: its stage, its parameters and the code it can reach for them,
        and the versions of those packages that it can reach and whose upgrade is to rerun it.
        """
        reached = code(stage, tuple(entries))
        job = {"stage": stage, "parameters": parameters, "code": reached}
        watched = tuple(self.resolved["rerun_on_upgrade"])
        if software := installed(tuple(reached["modules"]), watched):
            job["software"] = software
        return canonical_json(job)


def pipeline_of(kind: str) -> str:
    """When a kind of method prunes."""
    return entry("methods", kind).constants["pipeline"]


def _same(objective: Tree, other: Tree) -> bool:
    return all(objective[key] == other[key] for key in ("kind", "options"))


@cache
def code(stage: str, entries: tuple[tuple[str, str], ...]) -> Tree:
    """What a job enters by, its command and the classes of its table entries, and the fingerprint
    of all that they reach.
    """
    chosen = [tables.TABLES[table][kind] for table, kind in entries]
    modules = sorted({f"thin_ice.commands.{stage}", *chosen})
    return {"modules": modules, "sha256": fingerprint(modules)}


@cache
def installed(modules: tuple[str, ...], watched: tuple[str, ...]) -> dict[str, str]:
    """Installed versions of those packages that a job can reach and that are watched."""
    if not watched:
        return {}
    found = versions(packages_used(modules))
    return {name: version for name, version in found.items() if name in watched}
