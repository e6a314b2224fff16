"""One network's per-sample table: clean predictions, claimed protocols, AutoAttack's verdicts."""

from pathlib import Path

import pandas as pd

from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.commands.tables import write_parquet
from thin_ice.data.split import load_part
from thin_ice.device import prepare
from thin_ice.evaluation.claimed import clean_table, protocol_table
from thin_ice.evaluation.metrics import join_shards, metrics
from thin_ice.files import write_json
from thin_ice.models.artifact import load_model
from thin_ice.sparsity.accounting import account

PREPARE = prepare
INPUTS = ("dataset", "model", "shards")


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    test = load_part(job.input("dataset"), "test", job.device)
    loaded = load_model(job.input("model"), job.device)
    protocols = {name: Protocol(**fields) for name, fields in wanted["protocols"].items()}
    threat = ThreatModel(**wanted["threat"])
    clean = clean_table(loaded.model, test)
    claimed, seconds = protocol_table(loaded.model, test, threat, protocols, wanted["seed"])
    job.facts["claimed"] = {"seconds_per_sample": seconds}
    shards = [pd.read_parquet(path) for path in job.inputs["shards"]]
    samples = join_shards(pd.concat([clean, claimed], axis=1), shards)
    report = account(loaded.model, loaded.masks)
    outputs = [job.folder / "samples.parquet", job.folder / "metrics.json"]
    write_parquet(outputs[0], samples)
    numbers = {"dataset": loaded.about["dataset"], **metrics(samples, list(protocols))}
    write_json(outputs[1], numbers | {"sparsity": report.as_dict()})
    return outputs
