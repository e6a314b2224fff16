"""A report of handmade tables, through its command: what stands in a study's folder afterwards."""

import json

from safetensors.numpy import save_file

from thin_ice.commands import report
from thin_ice.commands.job import Job
from thin_ice.provenance.record import now, write_record

TWINS = {"stage": "twins", "parameters": {}, "code": {"modules": [], "sha256": "x"}}
ANALYSIS = {"stage": "analyse", "parameters": {}, "code": {"modules": [], "sha256": "x"}}


def job_of(folder, finished):
    """The command's job: tables in one folder a run, as the analysis leaves them."""
    inputs = {name: [] for name in report.INPUTS}
    for run in finished.runs:
        for name in report.TABLES:
            table = getattr(finished, name)
            rows = table[table.run == run]
            path = folder / run / "analysis" / f"{name}.{'parquet' if name == 'samples' else 'csv'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write = rows.to_parquet if name == "samples" else rows.to_csv
            write(path, index=False)
            inputs[name].append(path)
        outputs = [inputs[name][-1] for name in report.TABLES]
        record = outputs[0].with_name("provenance.json")
        write_record(record, ANALYSIS, [], outputs, now(), {"code": {"sha256": "x"}})
    text = json.dumps(
        {
            "stage": "report",
            "parameters": {
                "study": finished.study,
                "dense": [{"run": one.run, "seed": one.seed} for one in finished.twins],
            },
            "code": {"modules": [], "sha256": "x"},
        }
    )
    for one in finished.twins:
        _write_twins(folder / one.run / f"seed{one.seed}" / "dense" / "twins", one, inputs)
    return Job(text, inputs, folder / "report" / "provenance.json", "identity")


def _write_twins(folder, one, inputs):
    table, pictures = folder / "twins.parquet", folder / "twins.safetensors"
    folder.mkdir(parents=True)
    one.table.to_parquet(table, index=False)
    save_file({"images": one.images, "twins": one.twins}, pictures)
    record = folder / "provenance.json"
    write_record(record, TWINS, [], [table, pictures], now(), {"code": {"sha256": "x"}})
    inputs["twins"].append(table)
    inputs["pictures"].append(pictures)
