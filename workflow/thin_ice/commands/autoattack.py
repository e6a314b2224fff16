"""Attack one shard of the test split with AutoAttack, attack by attack."""

from pathlib import Path

from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings, version_settings
from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.evaluation.cascade import Cascade, ShardResult, run_shard
from thin_ice.evaluation.examples import write_examples
from thin_ice.evaluation.shards import PROTOCOL
from thin_ice.files import canonical_json, sha256, write_json
from thin_ice.speed import Speed

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    cascade = cascade_of(job)
    loaded, test = load_subject(job)
    shard = test.shard(job.parameters["shard"], job.parameters["autoattack"]["shard_size"])
    result = run_shard(loaded.model, shard, cascade, checkpoint_of(job))
    job.facts["autoattack"] = {"settings": vars(result.settings), **result.facts}
    return _write(job, result)


def cascade_of(job: Job) -> Cascade:
    """The protocol that the job's parameters spell out."""
    wanted, threat = job.parameters["autoattack"], ThreatModel(**job.parameters["threat"])
    settings, speed = settings_of(wanted, threat.norm), Speed(**job.parameters["speed"])
    return Cascade(threat, settings, wanted["seed"], wanted["batch_size"], speed)


def settings_of(wanted: dict, norm: str) -> CascadeSettings:
    """The settings of a declared version, or those that the study spells out."""
    if wanted["version"] != "custom":
        return version_settings(wanted["version"], norm)
    names = CascadeSettings.__dataclass_fields__
    return CascadeSettings(
        **{name: wanted[name] for name in names} | {"attacks": tuple(wanted["attacks"])}
    )


def _write(job: Job, result: ShardResult) -> list[Path]:
    """The table, the examples, and last what ties them to each other and to the network."""
    names = ("outcomes.parquet", "examples.safetensors", "checks.json")
    outcomes, examples, checks = (job.folder / name for name in names)
    wanted = job.parameters["autoattack"]
    whose = {
        "model_sha256": sha256(job.input("model")),
        "dataset_sha256": sha256(job.input("dataset")),
        "shard": job.parameters["shard"],
        "threat": job.parameters["threat"],
        "protocol": {name: wanted[name] for name in PROTOCOL},
    }
    write_parquet(outcomes, result.table)
    kept = result.examples if wanted["keep_examples"] else result.examples.head(0)
    write_examples(examples, kept, {"of": canonical_json(whose)})
    found = {
        "settings": vars(result.settings) | {"attacks": list(result.settings.attacks)},
        "flags": result.flags,
        "samples": len(result.table),
        "examples_confirmed": len(result.examples.ids),
        "examples_stored": len(kept.ids),
        "examples_unconfirmed": int((~result.table.confirmed).sum()),
        "files": {path.name: sha256(path) for path in (outcomes, examples)},
    }
    write_json(checks, whose | found)
    return [outcomes, examples, checks]
