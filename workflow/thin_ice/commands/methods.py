"""Print the table of pruning methods, and of those that were left out, as the README has them: from
what each method's class says of itself.
"""

import argparse
from collections.abc import Iterator

from thin_ice.figures.headline import markdown
from thin_ice.pruning.left_out import LEFT_OUT
from thin_ice.study.options import entry
from thin_ice.study.pipelines import STAGES
from thin_ice.tables import METHODS

HEADER = ("method", "prunes", "what", "how it chooses", "paper", "file")
LEFT_OUT_HEADER = ("left out", "prunes", "paper", "why")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(_: argparse.Namespace) -> int:
    print(methods_table())
    print(left_out_table(), end="")
    return 0


def methods_table() -> str:
    """Markdown: a row a method, by when it prunes: after, before or during training."""
    rows = [row for pipeline in STAGES for row in _rows(pipeline)]
    return markdown(HEADER, rows)


def _rows(pipeline: str) -> Iterator[tuple[str, ...]]:
    for kind in METHODS:
        method = entry("methods", kind)
        says = method.constants
        if says["pipeline"] == pipeline:
            file = f"`{method.module.rpartition('.')[2]}.py`"
            units = ", ".join(says["units"])
            yield f"`{kind}`", f"{pipeline} training", units, says["criterion"], says["paper"], file


def left_out_table() -> str:
    """Markdown: a row a method of the benchmark's taxonomy that is not here."""
    rows = [(one.name, f"{one.pipeline} training", one.paper, one.why) for one in LEFT_OUT]
    return markdown(LEFT_OUT_HEADER, rows)
