"""Certified accuracy against the radius, beside what attacks left standing. Needs no torch.

A sample is certified at a radius where it is classified correctly and its certified radius is not
smaller: a proof holds on the whole closed ball. The attacked curve counts as `curves` does, so that
no sample can be in the first and not in the second unless a proof or a distance is wrong. Of the
smoothed network the ball is open (Cohen, Rosenfeld and Kolter 2019), and nothing attacked it.
"""

import numpy as np
import pandas as pd

CURVE = tuple(step / 8 for step in range(33))  # radii of the smoothed curve, in sigma
COLUMNS = ["proof", "norm", "eps", "certified_percent", "robust_percent", "at_eps"]
BOUNDS, SMOOTHING = "bounds", "smoothing"


def certified_curves(
    certified: pd.DataFrame | None,
    distances: pd.DataFrame,
    norm: str,
    radii: np.ndarray,
    eps: float,
    sigma: float | None,
) -> pd.DataFrame:
    """One network's curves, a row a kind of proof and radius; empty where no radius was certified.

    Args:
        certified: its table of certificates, None where nothing was to be proved.
        distances: its table of distances, of the same samples.
        norm: the threat model's, of the bounds.
        radii: where to look in it, one of them ``eps``.
        eps: the study's.
        sigma: of the smoothing noise, None where there was none.

    Columns: proof (bounds or smoothing), norm, eps (the radius), certified_percent, robust_percent
    (NaN for smoothing) and at_eps, yes at the study's eps and no elsewhere.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    if certified is not None and "certified_radius" in certified:
        parts.append(_bounds(certified, distances, norm, radii, eps))
    if certified is not None and "smoothed_radius" in certified:
        parts.append(_smoothing(certified.smoothed_radius.to_numpy(float), sigma))
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]


def _bounds(
    certified: pd.DataFrame, distances: pd.DataFrame, norm: str, radii: np.ndarray, eps: float
) -> pd.DataFrame:
    proved = certified.certified_radius.to_numpy(float)
    found = distances[f"distance_{norm.lower()}"].to_numpy(float)
    correct = distances.correct.to_numpy(bool)
    rows = {
        "proof": BOUNDS,
        "norm": norm,
        "eps": radii,
        # Nothing at all is proved of a sample whose radius is 0.
        "certified_percent": [_percent((proved > 0) & (proved >= radius)) for radius in radii],
        "robust_percent": [_percent(correct & (found > radius)) for radius in radii],
        "at_eps": np.where(np.isclose(radii, eps, rtol=1e-9, atol=0), "yes", "no"),
    }
    return pd.DataFrame(rows)[COLUMNS]


def _smoothing(radii: np.ndarray, sigma: float) -> pd.DataFrame:
    points = sigma * np.array(CURVE)
    certified = [_percent(radii > point) for point in points]
    rows = {"proof": SMOOTHING, "norm": "L2", "eps": points, "certified_percent": certified}
    return pd.DataFrame(rows | {"robust_percent": np.nan, "at_eps": "no"})[COLUMNS]


def _percent(flags: np.ndarray) -> float:
    return 100 * float(np.mean(flags))
