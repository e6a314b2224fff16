"""How near each distance attack comes to the envelope: AttackBench's local optimality
(Cinà et al. 2025).

With A the area under robust accuracy against eps, from 0 to d*, the largest distance of the
envelope that is finite, and A* the envelope's own area,
    xi = 1 - (A - A*) / (clean accuracy * d* - A*):
1 for the envelope, 0 for an attack that breaks nothing. Only correct samples count; a failed attack
stands for no flip anywhere.
Deviation: the area under a curve of steps is the mean of min(d, d*), and is computed as that, where
the benchmark's code joins the steps by the trapezoidal rule. Needs no torch.
"""

import numpy as np
import pandas as pd

COLUMNS = ("failed_percent", "best_percent", "median_distance", "optimality")


def optimality_table(distances: pd.DataFrame, members: dict[str, list[str]]) -> pd.DataFrame:
    """One row a norm and attack for one network.

    Args:
        distances: a network's table; misclassified samples are left out.
        members: columns of the attacks by norm.

    Columns: norm, attack, samples (correct ones), failed_percent, best_percent (no other nearer,
    ties included), median_distance (infinite where most fail) and optimality, empty where no
    sample is correct or the envelope is empty, and where it has one distance alone that this attack
    does not meet: then no area tells the attacks apart.
    """
    correct = distances[distances.correct]
    rows = [
        {"norm": norm, "attack": attack, "samples": len(correct)}
        | _standing(correct[attack].to_numpy(float), correct[names].min(axis=1).to_numpy(float))
        for norm, names in members.items()
        for attack in names
    ]
    return pd.DataFrame(rows)


def _standing(found: np.ndarray, envelope: np.ndarray) -> dict[str, float]:
    if not len(found):
        return dict.fromkeys(COLUMNS, np.nan)
    broken = np.isfinite(found)
    best = broken & (found <= envelope)
    values = (~broken, best)
    shares = [100 * float(np.mean(value)) for value in values]
    return dict(zip(COLUMNS, [*shares, np.median(found), _xi(found, envelope)], strict=True))


def _xi(found: np.ndarray, envelope: np.ndarray) -> float:
    """Every area is divided by the clean accuracy, which cancels."""
    finite = envelope[np.isfinite(envelope)]
    if not len(finite):
        return np.nan
    farthest = finite.max()
    area, least = np.minimum(found, farthest).mean(), np.minimum(envelope, farthest).mean()
    if farthest == least:
        return 1.0 if (found <= envelope).all() else np.nan
    return float(1 - (area - least) / (farthest - least))
