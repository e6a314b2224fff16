"""What each figure shows: one sentence, computed from the table behind it; never a fixed claim."""

import pandas as pd

from thin_ice.attacks.switches import MECHANISMS
from thin_ice.figures.finished import FEW_SAMPLES
from thin_ice.figures.words import counted, listing, number, span
from thin_ice.margins.analysis import CONTROLS, DENSE

MECHANISM_NAMES = {
    "eps": "a smaller ε",
    "steps": "few steps",
    "restarts": "few restarts",
    "loss": "the cross-entropy",
    "last": "the last iterate",
    "mode": "training mode",
    "selection": "selection on test",
}
NO_CONTROL = (
    "there is no control (it takes two seeds), so loss by pruning cannot be told from chance"
)


def accuracy_sentence(points: pd.DataFrame) -> str:
    """``points``: the table behind the figure of accuracies."""
    pruned = points[points.variant != DENSE]
    dense = points[points.variant == DENSE]
    unpruned = f"{_percent(dense, 'clean')} and {_percent(dense, 'autoattack')}"
    if pruned.empty:
        both = "clean and AutoAttack accuracy"
        return f"No pruned network was evaluated; unpruned, {both} are {unpruned}."
    networks = counted(len(pruned[pruned.measure == "clean"]), "pruned network")
    return (
        f"Over {networks}, clean accuracy is {_percent(pruned, 'clean')} and AutoAttack accuracy "
        f"{_percent(pruned, 'autoattack')}; unpruned it is {unpruned}."
    )


def _percent(points: pd.DataFrame, measure: str) -> str:
    return f"{span(points.percent[points.measure == measure].tolist())} %"


def overestimate_sentence(points: pd.DataFrame) -> str:
    """How often a claimed accuracy exceeds AutoAttack's, and by how much."""
    pruned = points.overestimate_points[points.method != DENSE]
    if pruned.empty:
        return "No pruned network was evaluated."
    above, below = int((pruned > 0).sum()), int((pruned < 0).sum())
    sentence = (
        f"The claimed accuracy exceeds AutoAttack's in {above} of "
        f"{counted(len(pruned), 'pruned network')}"
    )
    if below:
        sentence += f" and falls short of it in {below}"
    values = f"{span(pruned.tolist())} points, median {number(pruned.median())}"
    return f"{sentence}; claimed minus AutoAttack is {values}."


def security_sentence(curves: pd.DataFrame) -> str:
    """How the curves stand to AutoAttack's points, and how many samples no attack flipped."""
    checks = curves[curves.above_autoattack.notna()]
    gaps = (checks.robust_percent - checks.autoattack_percent).tolist()
    above = int((checks.above_autoattack == "yes").sum())
    failed = int((checks.failed_percent > 0).sum())
    text = (
        f"At ε the curves of {counted(len(checks), 'network')} lie {span(gaps)} points above "
        f"AutoAttack (below where negative), {above or 'none'} of them above its interval"
    )
    return text + (f"; {failed} have samples that no attack flipped." if failed else ".")


def mechanisms_sentence(rows: pd.DataFrame) -> str:
    """``rows``: the overestimate table. Which mechanism hides most, and in how many rows each
    hides something: its interval is above 0.
    """
    pruned = rows[rows.method != DENSE]
    if pruned.empty:
        return "No pruned network was evaluated."
    sure = {name: _above_zero(pruned, name) for name in MECHANISMS}
    told = {name: counts for name, counts in sure.items() if counts[1]}
    above, total = _above_zero(pruned, "overestimate")
    sentence = f"Pruned networks: the overestimate's interval lies above 0 in {above} of {total}"
    if not told:
        return f"{sentence}; no mechanism was switched."
    each = listing([f"{MECHANISM_NAMES[name]} in {n} of {of}" for name, (n, of) in told.items()])
    means = {name: pruned[f"{name}_points"].mean() for name in told}
    most = max(means, key=lambda name: means[name])
    return (
        f"{sentence}, and what one mechanism alone hides: {each}; "
        f"{MECHANISM_NAMES[most]} hides most, {number(means[most])} points on average."
    )


def _above_zero(rows: pd.DataFrame, name: str) -> tuple[int, int]:
    """In how many rows a difference's interval lies above 0, and how many have it."""
    return int((rows[f"{name}_low"] > 0).sum()), int(rows[f"{name}_points"].notna().sum())


def distances_sentence(pairs: pd.DataFrame) -> str:
    """``pairs``: the thin-ice table in the norm shown. Are the lost nearer, by their medians?"""
    return joined([_nearer(view, here) for view, here in pairs.groupby("correctness")])


def _nearer(view: str, pairs: pd.DataFrame) -> str:
    pruned = pairs[~pairs.method.isin(CONTROLS)]
    told = pruned[~too_few(pruned)]
    if told.empty:
        return f"{view}: {_none_told(pruned)}"
    nearer = int((told.lost_median_distance < told.kept_median_distance).sum())
    return (
        f"{view}: the median lost sample stands nearer to the boundary than the median kept one in "
        f"{nearer} of {counted(len(told), 'comparison')}{_left_out(pruned)}"
    )


def loss_sentence(shares: pd.DataFrame) -> str:
    """``shares``: the table of losses by bin. Are more of the nearest lost than of the farthest?"""
    if shares.empty:
        return "The dense networks have no sample right, so none can be lost."
    parts = [_view_losses(view, here) for view, here in shares.groupby("correctness")]
    tail = "" if shares.method.isin(CONTROLS).any() else f"; {NO_CONTROL}"
    return joined(parts, tail)


def _view_losses(view: str, shares: pd.DataFrame) -> str:
    if shares.bin.max() == 1:
        return f"{view}: too few samples for more than one bin"
    control = shares.method.isin(CONTROLS)
    text = (
        f"{view}: the nearest bin loses more than the farthest, their intervals apart, in "
        f"{_steeper(shares[~control], 'comparison')}"
    )
    return f"{text} and in {_steeper(shares[control], 'control')}" if control.any() else text


def _steeper(shares: pd.DataFrame, what: str) -> str:
    """Of how many lines the first bin's interval lies above the last bin's."""
    lines = [line.sort_values("bin") for _, line in shares.groupby(["run", "method", "sparsity"])]
    steep = sum(line.low.iloc[0] > line.high.iloc[-1] for line in lines)
    return f"{steep} of {counted(len(lines), what)}"


def auroc_sentence(rows: pd.DataFrame) -> str:
    """How many intervals lie above chance, by pruning and in the controls."""
    parts = [_above_chance(view, here) for view, here in rows.groupby("correctness")]
    tail = "" if rows.method.isin(CONTROLS).any() else f"; {NO_CONTROL}"
    return joined(parts, tail)


def _above_chance(view: str, rows: pd.DataFrame) -> str:
    control = rows.method.isin(CONTROLS)
    text = f"{view}: {_pruned_above(rows[~control])}"
    return f"{text}; {_control_above(rows[control])}" if control.any() else text


def _pruned_above(rows: pd.DataFrame) -> str:
    told = rows[~too_few(rows)]
    if told.empty:
        return _none_told(rows)
    above = int((told.auroc_lost_low > 0.5).sum())
    below = int((told.auroc_lost_high < 0.5).sum())
    text = (
        f"in {above} of {counted(len(told), 'pair')} the interval of the AUROC for lost samples "
        "lies above 0.5"
    )
    return text + (f", in {below} below it" if below else "") + _left_out(rows)


def _control_above(rows: pd.DataFrame) -> str:
    """What the controls say of chance: three outcomes and too few."""
    told = rows[~too_few(rows)]
    if told.empty:
        return f"in the {counted(len(rows), 'control')} too few samples are lost to compare"
    above = int((told.auroc_lost_low > 0.5).sum())
    controls = (
        f"in the {counted(len(told), 'control')} AUROC is {span(told.auroc_lost.tolist(), 2)}"
    )
    if above == len(told):
        meaning = "so closeness predicts churn without pruning too"
    elif above == 0:
        meaning = "and no interval lies above 0.5, so closeness is not seen to predict churn there"
    else:
        meaning = f"with {above} of {len(told)} intervals above 0.5"
    return f"{controls}{_left_out(rows)}, {meaning}"


def too_few(rows: pd.DataFrame) -> pd.Series:
    """Which comparisons have fewer lost or kept samples than say anything."""
    return rows[["lost_samples", "kept_samples"]].min(axis=1) < FEW_SAMPLES


def _none_told(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "no pruned network was compared"
    return f"too few samples to say ({counted(len(rows), 'comparison')})"


def _left_out(rows: pd.DataFrame) -> str:
    few = int(too_few(rows).sum())
    return f" ({few} more with fewer than {FEW_SAMPLES} lost or kept samples left out)" * (few > 0)


def joined(parts: list[str], tail: str = "") -> str:
    """Clauses of one sentence, with a capital and a full stop."""
    text = "; ".join(parts or ["no networks were compared"]) + tail
    return f"{text[0].upper()}{text[1:]}."
