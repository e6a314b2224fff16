"""``python -m thin_ice STAGE ...``: run one stage of a study."""

import sys
from collections.abc import Sequence

from thin_ice.commands import warm_start


def in_this_process(arguments: Sequence[str]) -> int:
    """The exit status of a command, with all that it has to import."""
    from thin_ice.commands.cli import main

    return main(arguments)


sys.exit(warm_start.run(sys.argv[1:], in_this_process))
