"""``python -m thin_ice STAGE ...``: run one stage of a study."""

import sys

from thin_ice.commands.cli import main

sys.exit(main())
