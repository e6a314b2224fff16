"""One network's per-sample table: clean predictions, claimed protocols, AutoAttack's verdicts."""

import json
from pathlib import Path

import pandas as pd

from thin_ice.attacks.fast import fast
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.data.split import Split
from thin_ice.device import prepare
from thin_ice.errors import ThinIceError
from thin_ice.evaluation.claimed import clean_table, protocol_table
from thin_ice.evaluation.collapse import collapse
from thin_ice.evaluation.metrics import join_shards, metrics
from thin_ice.evaluation.outcomes import TRAINED
from thin_ice.evaluation.shards import Shard, Subject, autoattack_numbers, require_shards
from thin_ice.files import sha256, write_json
from thin_ice.sparsity.accounting import account
from thin_ice.speed import Speed

PREPARE = prepare
INPUTS = ("dataset", "model", "shards", "checks")


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    loaded, test = load_subject(job)
    shards = _shards(job, test)
    protocols = {name: Protocol(**fields) for name, fields in wanted["protocols"].items()}
    threat = ThreatModel(**wanted["threat"])
    clean = clean_table(loaded.model, test)
    view = fast(loaded.model, Speed(**wanted["speed"]))
    claimed, seconds = protocol_table(view, test, threat, protocols, wanted["seed"])
    job.facts["claimed"] = {"seconds_per_sample": seconds}
    tables = [shard.table for shard in shards]
    samples = join_shards(pd.concat([clean, claimed], axis=1), tables)
    report = account(loaded.model, loaded.masks)
    outputs = [job.folder / "samples.parquet", job.folder / "metrics.json"]
    write_parquet(outputs[0], samples)
    about = {"dataset": loaded.about["dataset"], "origin": loaded.about.get("origin", TRAINED)}
    numbers = about | metrics(samples, list(protocols)) | autoattack_numbers(shards, samples)
    sparsity = report.as_dict()
    kept = {"sparsity": sparsity, "collapse": collapse(samples, sparsity)}
    write_json(outputs[1], numbers | kept)
    return outputs


def _shards(job: Job, test: Split) -> list[Shard]:
    """The network's AutoAttack shards, before anything is computed: a foreign one ends the job."""
    tables, checks = job.inputs["shards"], job.inputs["checks"]
    if [path.parent for path in tables] != [path.parent for path in checks]:
        raise ThinIceError(
            f"--shards names {len(tables)} files and --checks {len(checks)}; allowed: a table and "
            "the checks.json beside it for each shard, in one order"
        )
    shards = [
        Shard(str(table), sha256(table), pd.read_parquet(table), json.loads(check.read_text()))
        for table, check in zip(tables, checks, strict=True)
    ]
    digests = [sha256(job.input(name)) for name in ("model", "dataset")]
    require_shards(shards, Subject(*digests, job.parameters["threat"], test.ids.tolist()))
    return shards
