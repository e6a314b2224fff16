"""`snakemake --lint`, held to no complaint but one.

Rules name no conda environment or container: they run in the environment that runs Snakemake.
"""

import re
import subprocess
import sys
from pathlib import Path

TOLERATED = "Specify a conda environment or container for each rule."


def complaints() -> list[str]:
    """The titles of what `snakemake --lint` has to say."""
    snakemake = Path(sys.executable).parent / "snakemake"
    done = subprocess.run([snakemake, "--lint"], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    titles = re.findall(r"^    \* (.*?):?$", text, flags=re.MULTILINE)
    if not titles and done.returncode:
        return [text]
    return [title.rstrip(":") for title in titles]


def main() -> int:
    found = [title for title in complaints() if title != TOLERATED]
    print("\n".join(found) or "snakemake --lint: clean")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
