"""From the indicators of attack failure of samples to those of a network. Needs no torch.

An indicator is raised for a network and an attack where it holds for more samples than a small
tolerance: more than one, which may be an accident of float32, and more than one in a hundred. A
late gain is no proof of failure by itself, so indicator 4 is tolerated on five in a hundred.
Indicator 2 is the mean of the relative change over samples, held against the paper's 0.1: samples
beside the boundary change much in any network.
"""

import pandas as pd

INDICATORS = (  # columns of the per-sample table, in the paper's order; numbered from 1
    "unavailable_gradients",
    "unstable_predictions",
    "silent_success",
    "incomplete_optimisation",
    "transfer_failure",
    "unconstrained_failure",
)
LIMITS = dict(zip(INDICATORS, (0.01, 0.1, 0.01, 0.05, 0.01, 0.01), strict=True))
MEASURED = {"unstable_predictions": "relative_change"}  # where it is no share of samples
APGD = "apgd_ce"  # AutoAttack's, beside the names of protocols
NONE = "none"
UNKNOWN = {"value": None, "raised": False}


def network_indicators(samples: pd.DataFrame, drawn: int, attacks: list[str]) -> dict:
    """Per attack and indicator its value (a share of the attacked samples; for unstable
    predictions the mean relative change; None where no sample was attacked), the limit, and
    whether it is raised. ``drawn``: how many samples there were before the wrong ones were left.
    """
    found = {name: _of(samples[samples.attack == name]) for name in attacks}
    return {"samples": drawn, "attacked": _attacked(samples), "attacks": found}


def _attacked(samples: pd.DataFrame) -> int:
    return int(samples.sample_id.nunique())


def _of(rows: pd.DataFrame) -> dict:
    return {name: _judged(rows[MEASURED.get(name, name)], LIMITS[name]) for name in INDICATORS}


def _judged(samples: pd.Series, limit: float) -> dict:
    """A share of samples, or the mean of what is measured of them."""
    value = float(samples.mean()) if len(samples) else None
    accident = samples.dtype == bool and samples.sum() <= 1
    raised = value is not None and value > limit and not accident
    return {"value": value, "limit": limit, "raised": raised}


def columns(attack: dict, prefix: str) -> dict:
    """The indicators of one attack as columns of a table: the six values, and which are raised,
    as ``I3 I4`` or ``none``. ``attack`` is empty where there was none: nothing is known.
    """
    found = [attack.get(name, UNKNOWN) for name in INDICATORS]
    values = {f"{prefix}_i{n}": one["value"] for n, one in enumerate(found, 1)}
    raised = [f"I{n}" for n, one in enumerate(found, 1) if one["raised"]]
    return values | {f"{prefix}_flags": " ".join(raised) or NONE}
