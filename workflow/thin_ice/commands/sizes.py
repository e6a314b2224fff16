"""Print what the sparsity of each pruned network of a study is worth, with what its job measured of
the network without its dead channels: how far apart logits are in float32, and latencies, by the
clock of the machine it ran on, so no result of the study.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pandas as pd

from thin_ice.commands import present
from thin_ice.errors import ThinIceError
from thin_ice.evaluation.size_table import size_table
from thin_ice.figures.headline import markdown
from thin_ice.figures.more_cells import Column, Row, cells
from thin_ice.figures.size_cells import SIZES
from thin_ice.figures.words import number
from thin_ice.files import write_text
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import read_record
from thin_ice.study.plan import Network

FOLDER, SIZE = "compact", "size.json"
VERSIONS = ("dense", "compact")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument("--to", type=Path, help="a file to write instead, FILE.md or FILE.csv")


def run(options: argparse.Namespace) -> int:
    """0, or 1 where networks of the study have no size yet.

    Raises:
        ThinIceError: no network has one, or ``--to`` names another kind of file.
    """
    write = _writer(options.to)
    root, study, _ = present.results_and_study(options)
    networks = study.pruned_networks()
    done = [one for one in networks if (root / one.folder / FOLDER / RECORD).is_file()]
    if not done:
        raise ThinIceError(f"{root} has no pruned network whose size was counted; run the study")
    write(_table(root, done))
    if missing := len(networks) - len(done):
        print(f"{missing} of {len(networks)} networks have no size yet", file=sys.stderr)
    return int(missing > 0)


def _writer(to: Path | None) -> partial:
    if to is None:
        return partial(_print)
    if to.suffix not in (".md", ".csv"):
        raise ThinIceError(f"--to {to}; allowed: FILE.md and FILE.csv")
    return partial(_write, to)


def _print(table: pd.DataFrame) -> None:
    print(_markdown(table))


def _write(to: Path, table: pd.DataFrame) -> None:
    text = table.to_csv(index=False) if to.suffix == ".csv" else _markdown(table)
    write_text(to, text)


def _markdown(table: pd.DataFrame) -> str:
    batches = [name.split("_")[2] for name in table if name.endswith(f"_{VERSIONS[0]}_ms")]
    return markdown(*cells(table, (*SIZES, *_latency_columns(batches))))


def _table(root: Path, networks: Iterable[Network]) -> pd.DataFrame:
    """The table of sizes, with the largest difference of logits, the device, its threads and the
    medians of each size of batch.
    """
    folders = [root / one.folder / FOLDER for one in networks]
    sizes = [json.loads((folder / SIZE).read_text(encoding="utf-8")) for folder in folders]
    table = size_table([one.names for one in networks], sizes)
    return table.join(pd.DataFrame([_measured(folder) for folder in folders]))


def _measured(folder: Path) -> Row:
    """Of a network from which nothing was removed there is one latency, and no other."""
    noted = read_record(folder / RECORD).run
    return {
        "largest_logit_difference": noted["largest_logit_difference"],
        "device": noted.get("device_name", noted["device"]),
        "threads": noted["threads"],
        **{
            f"batch_of_{size}_{version}_ms": times.get(version, math.nan)
            for size, times in noted["latency_ms"].items()
            for version in VERSIONS
        },
    }


def _latency_columns(batches: Iterable[str]) -> Iterable[Column]:
    yield "logits differ by", lambda row: f"{row['largest_logit_difference']:.1g}"
    yield "device", lambda row: row["device"]
    yield "threads", lambda row: str(row["threads"])
    for size in batches:
        dense, compact = (f"batch_of_{size}_{version}_ms" for version in VERSIONS)
        yield f"ms, batch of {size}", lambda row, name=dense: number(row[name], 3)
        yield f"compact, of {size}", lambda row, name=compact: number(row[name], 3)
        yield f"times faster, of {size}", lambda row, a=dense, b=compact: number(row[a] / row[b], 2)
