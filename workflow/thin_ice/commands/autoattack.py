"""Attack one shard of the test split with AutoAttack, attack by attack."""

from pathlib import Path

from thin_ice.attacks.autoattack import VERSIONS, CascadeSettings
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.tables import write_parquet
from thin_ice.data.split import load_part
from thin_ice.device import prepare
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.models.artifact import load_model

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    wanted = job.parameters["autoattack"]
    settings = settings_of(wanted)
    cascade = Cascade(
        ThreatModel(**job.parameters["threat"]), settings, wanted["seed"], wanted["batch_size"]
    )
    test = load_part(job.input("dataset"), "test", job.device)
    shard = test.shard(job.parameters["shard"], wanted["shard_size"])
    model = load_model(job.input("model"), job.device).model
    table, facts = run_shard(model, shard, cascade, checkpoint_of(job))
    job.facts["autoattack"] = {"settings": vars(settings), **facts}
    path = job.folder / "outcomes.parquet"
    write_parquet(path, table)
    return [path]


def settings_of(wanted: dict) -> CascadeSettings:
    """The settings of a declared version, or those that the study spells out."""
    if wanted["version"] != "custom":
        return VERSIONS[wanted["version"]]
    names = CascadeSettings.__dataclass_fields__
    return CascadeSettings(
        **{name: wanted[name] for name in names} | {"attacks": tuple(wanted["attacks"])}
    )
