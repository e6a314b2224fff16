"""Do two searches for the same flips agree: minimum-norm distances, and AutoAttack at eps?

Neither is exact, and each bounds the other: a sample has a flip within eps or it has none.

A certificate is a proof that there is none, so no search may find one: whatever contradicts it, the
bound or the attack, is wrong. The radius that smoothing certifies is of another network, the
smoothed one, and is held against nothing here.
"""

import math

import numpy as np
import pandas as pd

from thin_ice.evaluation.same_samples import require_same_samples

UNCHECKED = {"verified_but_broken": math.nan, "certified_beyond_distance": math.nan}
ROUNDING = 1e-6  # relative, of a distance in single precision


def contradictions(
    distances: pd.DataFrame, samples: pd.DataFrame, norm: str, eps: float
) -> dict[str, int]:
    """How often the distances and AutoAttack disagree about a sample of one network.

    broken: correct samples that AutoAttack broke; broken_but_farther: of these, how many have a
    distance above eps, which is then too large. standing: samples that it left standing;
    standing_but_flipped: of these, how many have a flip within eps, which it should have found.

    Args:
        distances: the network's table of distances.
        samples: its evaluation, with ``correct`` and ``robust``.
        norm: the threat model's.
        eps: at which AutoAttack ran.

    Raises:
        DifferentSamples: the tables do not hold the same samples.
    """
    require_same_samples(samples, distances, "a network's evaluation and its distances")
    column = f"distance_{norm.lower()}"
    both = samples[["sample_id", "correct", "robust"]].merge(
        distances[["sample_id", column]], on="sample_id", validate="1:1"
    )
    broken, farther = both.correct & ~both.robust, both[column] > eps
    found = {
        "broken": broken,
        "broken_but_farther": broken & farther,
        "standing": both.robust,
        "standing_but_flipped": both.robust & ~farther,
    }
    return {name: int(rows.sum()) for name, rows in found.items()}


def certificates_against_attacks(
    certified: pd.DataFrame | None,
    certified_eps: float | None,
    samples: pd.DataFrame,
    distances: pd.DataFrame,
    norm: str,
    eps: float,
) -> dict[str, float]:
    """How often an attack contradicts what was proved of one network; 0 if all are right.

    verified_but_broken: samples proved right within eps or farther, by a bound at ``certified_eps``
    or by their certified radius, that are not robust by AutoAttack at ``eps``.
    certified_beyond_distance: samples, right or wrong, with a flip nearer than their certified
    radius, beyond the rounding of single precision; NaN without radii or without distances in
    ``norm``. Both are NaN where nothing was to be proved.

    Args:
        certified: what was proved of the network, if that was asked.
        certified_eps: at which samples were verified.
        samples: its evaluation.
        distances: its table of distances.
        norm: the threat model's, and that of what was proved.
        eps: at which AutoAttack ran.

    Raises:
        DifferentSamples: the tables do not hold the same samples.
    """
    if certified is None:
        return UNCHECKED
    require_same_samples(samples, certified, "a network's evaluation and what was proved of it")
    require_same_samples(samples, distances, "a network's evaluation and its distances")
    proved = certified.set_index("sample_id")
    robust = samples.set_index("sample_id").robust.reindex(proved.index)
    column = f"signed_distance_{norm.lower()}"
    safe = proved.verified & (certified_eps >= eps)
    beyond = math.nan
    if "certified_radius" in proved:
        safe |= proved.certified_radius >= eps
        if column in distances:
            signed = distances.set_index("sample_id")[column].reindex(proved.index).astype(float)
            # Towards the side that was proved: a flip there has the radius's sign.
            flip = signed * np.sign(proved.certified_radius)
            beyond = int((flip < proved.certified_radius.abs() * (1 - ROUNDING)).sum())
    return {
        "verified_but_broken": int((safe & ~robust).sum()),
        "certified_beyond_distance": beyond,
    }
