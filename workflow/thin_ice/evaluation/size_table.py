"""The table of sizes: one row a pruned network, from what was counted of each. Knows no torch."""

import pandas as pd

NAMES = ("run", "seed", "variant", "method", "sparsity")
COUNTED = {  # what is counted, by the versions of a network that it is counted of
    "parameters": ("dense", "nonzero", "compact"),
    "multiply_accumulates": ("dense", "nonzero", "compact"),
    "bytes": ("dense", "sparse", "compact", "stored"),
}
CHANNELS = ("channels", "channels_kept", "groups_without_living_channel")
COLUMNS = (
    *NAMES,
    *(f"{what}_{version}" for what, versions in COUNTED.items() for version in versions),
    *CHANNELS,
)


def size_table(names: list[dict], sizes: list[dict]) -> pd.DataFrame:
    """Columns: the network's names, `COUNTED` as ``parameters_dense`` and so on, how many channels
    there were and are, and how many groups of channels have no living one.
    """
    rows = [_row(name, size) for name, size in zip(names, sizes, strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(name: dict, size: dict) -> dict:
    groups = size["channels"].values()
    return {
        **{key: name[key] for key in NAMES},
        **{
            f"{what}_{version}": size[what][version]
            for what, versions in COUNTED.items()
            for version in versions
        },
        "channels": sum(group["size"] for group in groups),
        "channels_kept": sum(group["kept"] for group in groups),
        "groups_without_living_channel": len(size["groups_without_living_channel"]),
    }
