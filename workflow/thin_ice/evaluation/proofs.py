"""What was proved of a network, as columns of the table of accuracies. Needs no torch."""

import math

import pandas as pd

from thin_ice.evaluation.metrics import accuracy

UNPROVED = {"percent": math.nan, "low_percent": math.nan, "high_percent": math.nan}


def proof_columns(certified: pd.DataFrame | None, eps: float | None) -> dict[str, float]:
    """``certification_eps``; the samples verified at it by any bound, and those that the smoothed
    network classifies with a certificate and rightly, in percent with 95 % intervals; all NaN where
    nothing was to be proved.

    Args:
        certified: what was proved of the network, a row a test sample.
        eps: at which samples were verified.
    """
    outcomes: dict[str, pd.Series | None] = {"verified": None, "smoothed": None}
    if certified is not None:
        outcomes["verified"] = certified.verified
        if "smoothed_radius" in certified:  # 0 where it abstains, negative where it is wrong
            outcomes["smoothed"] = certified.smoothed_radius > 0
    found: dict[str, float] = {"certification_eps": math.nan if certified is None else eps}
    for name, rows in outcomes.items():
        values = UNPROVED if rows is None else accuracy(rows)
        found |= {f"{name}_{end}": value for end, value in values.items()}
    return found
