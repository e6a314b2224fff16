"""``python -m thin_ice``: the stages that rules run, and the tools for what they leave behind."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from thin_ice.commands import runner
from thin_ice.errors import ThinIceError

TOOLS = (
    *("methods", "cost", "watch", "explain", "audit"),
    *("sizes", "sign", "export", "leaderboards"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stage or a tool; the exit status.

    0: done, and a tool that judges found nothing; 1: a stage failed, or something was found;
    2: a tool could not do its work.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m thin_ice", description=__doc__)
    parser.add_argument("command", choices=(*TOOLS, *runner.STAGES))
    command = parser.parse_args(words[:1]).command
    if command in runner.STAGES:
        return runner.main(command, words[1:])
    return _run_tool(command, words[1:])


def _run_tool(name: str, words: Sequence[str]) -> int:
    """Each tool says in ``add_arguments`` what it takes; ``run`` gives the exit status."""
    tool = importlib.import_module(f"thin_ice.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m thin_ice {name}", description=tool.__doc__)
    tool.add_arguments(parser)
    options = parser.parse_args(words)
    try:
        return tool.run(options)
    except (ThinIceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
