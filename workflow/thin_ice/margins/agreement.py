"""Do two searches for the same flips agree: minimum-norm distances, and AutoAttack at eps?

Neither is exact, and each bounds the other: a sample has a flip within eps or it has none.
"""

import pandas as pd

from thin_ice.evaluation.same_samples import require_same_samples


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
