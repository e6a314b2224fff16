"""`snakemake --lint`, held to no complaint."""

import re
import subprocess
import sys
from pathlib import Path


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
    found = complaints()
    print("\n".join(found) or "snakemake --lint: clean")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
