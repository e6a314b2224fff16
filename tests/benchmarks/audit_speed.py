"""What an audit of a gigabyte costs, beside hashing the files and nothing else."""

import tempfile
from pathlib import Path

from make_large_study import make_large_study
from measure import Figure, alternately, speed_up

from thin_ice.provenance.audit import audit
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.many_files import sha256_of_all

ARTIFACTS, BYTES = 1_000, 1_000_000_000


def figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "large"
        make_large_study(root, ARTIFACTS, BYTES)
        files = sorted(root.rglob("*.bin"))
        audited, hashed = alternately(
            3, lambda: audit(gather(root), []), lambda: sha256_of_all(files)
        )
    ratio, about = speed_up(audited, hashed)
    named = {"audit_s": about.pop("reference_s"), "hashing_s": about.pop("ours_s")}
    return [Figure("audit of 1 GB", ratio, "times hashing it", about=about | named)]
