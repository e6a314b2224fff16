"""Indicators of attack failure of one network: did its attacks fail for reasons of their own?"""

from pathlib import Path

from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.evaluation.flags import APGD, network_indicators
from thin_ice.evaluation.indicators import Probe, indicator_table
from thin_ice.files import write_json

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    loaded, test = load_subject(job)
    protocols = {name: Protocol(**fields) for name, fields in wanted["protocols"].items()}
    probe = Probe(**wanted["indicators"])
    threat = ThreatModel(**wanted["threat"])
    table, seconds = indicator_table(loaded.model, test, threat, protocols, probe)
    job.facts["indicators"] = {"seconds": seconds}
    outputs = [job.folder / "indicators.parquet", job.folder / "indicators.json"]
    write_parquet(outputs[0], table)
    drawn = min(probe.samples, len(test))
    write_json(outputs[1], network_indicators(table, drawn, [*protocols, APGD]))
    return outputs
