"""Small finished tables, made by hand: any number of runs, methods, sparsities and seeds."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from thin_ice.attacks.distance_budgets import column
from thin_ice.evaluation.certified_curves import COLUMNS as CURVES
from thin_ice.evaluation.certified_curves import CURVE
from thin_ice.evaluation.flags import INDICATORS, LIMITS
from thin_ice.evaluation.mismatch import PERCENT, mismatch_table
from thin_ice.evaluation.overfitting import overfitting_table
from thin_ice.evaluation.preservation import COLUMNS as KEPT
from thin_ice.evaluation.preservation import NETWORK, averages
from thin_ice.evaluation.size_table import size_table
from thin_ice.figures.caveats import DISPROVED
from thin_ice.figures.finished import Finished, Twins

EPS = 8 / 255
FMN = {"kind": "fmn", "norm": "Linf", "options": {"steps": 20, "max_stepsize": 1.0}}
FAB = {"kind": "fab", "norm": "Linf", "options": {"steps": 30, "targets": 3}}
SETS = ("kept", "lost", "rescued", "never")
PROOF = {
    "eps": EPS,
    "bounds": ["ibp", "crown_ibp"],
    "rounds": 10,
    "smoothing": {"sigma": 0.25, "n0": 100, "n": 1000, "alpha": 0.001, "seed": 0},
}
NAMES = ("run", "seed", "variant", "method", "sparsity")
STAGES = {"after": "finetune", "before": "train_masked", "during": "train_sparse"}
GOALS = {"pgd_at": "empirical", "natural": "benign", "ibp": "verified", "smoothing": "smoothed"}
VIEWS = (("clean", "Linf"), ("clean", "L2"), ("robust", "Linf"))


def make_finished(
    runs=1,
    methods=2,
    sparsities=(0.9, 0.99),
    seeds=(0, 1),
    samples=60,
    again=True,
    name="digits-net{}-pgd_at",
    method="m{}",
    pictures=(4, 1, 8),
    objectives=(),
    certified=True,
    pipelines=(),
    **study,
):
    """A study whose lost samples are the nearest to the boundary. ``again``: its dense networks
    are fine-tuned again as a control. ``pictures``: twins a network, their channels and size.
    ``objectives``: every run with each of them, in place of the one in its name. ``certified``:
    its networks are verified and smoothed. ``pipelines``: when each method prunes, after training
    if it is not said.
    """
    when = dict(zip((method.format(index) for index in range(methods)), pipelines, strict=False))

    names = [name.format(run) for run in range(runs)]
    names = [f"{one.rpartition('-')[0]}-{label}" for one in names for label in objectives] or names
    labels = [method.format(index) for index in range(methods)]
    networks = [
        (run, seed, method, sparsity)
        for run in names
        for seed in seeds
        for method, sparsity in [
            ("dense", 0.0),
            *((m, s) for m in labels for s in sparsities),
            *[("dense_again", 0.0)] * again,
        ]
    ]
    points = pd.concat([part for pair in _pairs(networks, seeds) for part in _parts(pair, samples)])
    accuracy = pd.DataFrame([row for network in networks for row in _accuracies(network, labels)])
    accuracy = _proved(accuracy, certified)
    unpruned = accuracy.method.isin(["dense", "dense_again"])
    pipeline = accuracy.method.map(lambda label: when.get(label, "after"))
    accuracy["pipeline"] = pipeline.mask(unpruned, "none")
    kept = preservation_of(accuracy)
    return Finished(
        accuracy=accuracy,
        thin_ice=thin_ice_of(points, when),
        samples=points.reset_index(drop=True),
        curves=pd.concat([_curve(network) for network in networks], ignore_index=True),
        optimality=pd.DataFrame([row for network in networks for row in _optimality(network)]),
        overestimate=overestimate_of(accuracy[accuracy.method != "dense_again"]),
        study=make_study(labels, sparsities, seeds, **study)
        | {"certification": PROOF if certified else None},
        preservation=kept,
        averages=averages(kept),
        mismatch=mismatch_table(accuracy),
        certified=certified_of(networks if certified else []),
        training=training_of(accuracy),
        **more_tables(points),
        sizes=sizes_of([one for one in networks if one[2] in labels]),
        twins=tuple(make_twins(run, seed, *pictures) for run in names for seed in seeds),
    )


def dense_alone():
    """A study that compares no networks: its tables of comparisons have columns and no rows."""
    finished = make_finished(methods=1, seeds=(0,), samples=20, again=False)
    empty = (
        "preservation",
        "averages",
        "mismatch",
        "certified",
        "thin_ice",
        "samples",
        "predictors",
        "thickness",
        "joint",
        "classes",
        "pies",
    )
    tables = {
        name: getattr(finished, name)[:0] for name in (*empty, "overlap", "movement", "sizes")
    }
    accuracy = finished.accuracy.assign(tuned_with=finished.accuracy.trained_with)
    return replace(finished, accuracy=accuracy, twins=(), **tables)


def make_study(methods=("m0",), sparsities=(0.9,), seeds=(0,), eps=EPS, norm="Linf"):
    method = {"kind": "lwm", "unit": "weight", "sparsities": list(sparsities)}
    return {
        "name": "toy",
        "seeds": list(seeds),
        "threat": {"norm": norm, "eps": eps},
        "methods": {label: dict(method, claimed=f"pgd_{label}") for label in methods},
        "autoattack": {"version": "standard", "seed": 7, "batch_size": 50, "shard_size": 100},
        "distances": {"attacks": [FMN, FAB]},
    }


def _accuracies(network, labels):
    """One row a protocol: the method's own, or all of them for the dense network."""
    run, seed, method, sparsity = network
    clean, robust = 90 - 20 * sparsity + seed, 50 - 20 * sparsity + seed
    for label in labels if method == "dense" else [method]:
        yield {
            **{"method": method, "run": run, "seed": seed, "sparsity": sparsity},
            "variant": _variant(method, sparsity),
            "unit": "weight" if sparsity else "none",
            **_objectives(run, method, labels),
            **{"dataset": "digits", "test_samples": 60, "sparsity_of_prunable": sparsity},
            **{"collapse": "none", "guessing_percent": 10.0, "most_predicted_percent": 12.0},
            "empty_layers": 0,
            **_interval("clean", clean),
            "protocol": "none" if method == "dense_again" else f"pgd_{label}",
            **_interval("claimed", np.nan if method == "dense_again" else robust + 5),
            **_interval("autoattack", robust),
            **{"autoattack_warnings": "", "autoattack_unconfirmed": 0},
            "overestimate_points": np.nan if method == "dense_again" else 5.0,
            "attacked_for_indicators": 57,
            **_indicators("claimed", incomplete_optimisation=0.08 * (method != "dense_again")),
            **_indicators("apgd"),
        }


def _indicators(prefix, **values):
    """As the analysis writes them: the values, and which are above their limit."""
    found = {name: values.get(name, 0.0) for name in INDICATORS}
    raised = [f"I{n}" for n, name in enumerate(INDICATORS, 1) if found[name] > LIMITS[name]]
    numbered = {f"{prefix}_i{n}": value for n, value in enumerate(found.values(), 1)}
    return numbered | {f"{prefix}_flags": " ".join(raised) or "none"}


def _curve(network):
    """A straight fall, two points below AutoAttack's accuracy at eps."""
    run, seed, method, sparsity = network
    radii = EPS * np.arange(41) / 20
    clean, robust = 90 - 20 * sparsity + seed, 50 - 20 * sparsity + seed
    curve = pd.DataFrame({"norm": "Linf", "eps": radii})
    curve["robust_percent"] = (clean + (robust - 2 - clean) * radii / EPS).clip(0)
    curve["failed_percent"] = 0.0
    here = np.isclose(radii, EPS)
    counts = {"broken": 20, "broken_but_farther": 0, "standing": 25, "standing_but_flipped": 0}
    numbers = {f"autoattack_{name}": count for name, count in counts.items()}
    for name, value in (_interval("autoattack", robust) | numbers).items():
        curve[name] = np.where(here, value, np.nan)
    curve["above_autoattack"] = pd.Series(np.where(here, "no", None), dtype=object)
    names = {"run": run, "seed": seed, "variant": _variant(method, sparsity)}
    return curve.assign(**names, method=method, sparsity=sparsity)


def _variant(method, sparsity):
    return method if sparsity == 0 else f"{method}-{sparsity:g}"


def _optimality(network):
    run, seed, method, sparsity = network
    for attack, value in ((FMN, 0.9), (FAB, 0.8)):
        yield {
            **{"run": run, "seed": seed, "variant": _variant(method, sparsity)},
            **{"method": method, "sparsity": sparsity, "norm": "Linf", "attack": column(attack)},
            **{"samples": 50, "failed_percent": 2.0, "best_percent": 100 * value - 35},
            **{"median_distance": 0.05, "optimality": value - seed / 100},
        }


def _objectives(run, method, labels):
    """Of every two methods one is fine-tuned after what can be verified; two share a kind."""
    own = run.split("-")[2]
    index = labels.index(method) if method in labels else 1
    tuned = own if index % 2 else "ibp"
    goals = [GOALS.get(one, "empirical") for one in (own, tuned)]
    names = {"kind": f"lwm{index // 2}" if method in labels else method, "trained_with": own}
    names |= {"tuned_with": "none" if method == "dense" else tuned}
    return names | dict(zip(("goal", "tuned_goal"), goals, strict=True))


def _proved(accuracy, certified):
    """Half of what withstands AutoAttack is verified, more where networks were trained for it."""
    share = 0.3 + 0.2 * (accuracy.goal == "verified") + 0.2 * (accuracy.tuned_goal == "verified")
    values = {"verified": share * accuracy.autoattack_percent}
    values["smoothed"] = accuracy.clean_percent - 30
    columns = {"certification_eps": EPS if certified else np.nan}
    for name, percent in values.items():
        for end, change in (("", 0), ("low_", -2), ("high_", 2)):
            columns[f"{name}_{end}percent"] = percent + change if certified else np.nan
    columns |= dict.fromkeys(DISPROVED, 0 if certified else np.nan)
    return accuracy.assign(**columns)


def preservation_of(accuracy):
    """What is kept by the accuracy table's own numbers, with stand-in intervals."""
    rows = []
    dense = accuracy[accuracy.method == "dense"].set_index(["run", "seed", "protocol"])
    before_any = accuracy[accuracy.method == "dense"].groupby(["run", "seed"]).first()
    for row in accuracy[accuracy.method != "dense"].to_dict("records"):
        for measure, name in PERCENT.items():
            key = row["run"], row["seed"]
            empirical = measure == "empirical"
            if math.isnan(row[name]):
                continue
            before = dense.loc[(*key, row["protocol"])] if empirical else before_any.loc[key]
            kept = 100 * row[name] / before[name]
            rows.append(
                {one: row[one] for one in NETWORK}
                | {"collapse": row["collapse"], "dense_collapse": before["collapse"]}
                | {"measure": measure, "protocol": row["protocol"] if empirical else "none"}
                | {"samples": 60, "dense_percent": before[name], "pruned_percent": row[name]}
                | {"kept_percent": kept, "kept_low": kept - 5, "kept_high": kept + 5}
                | _ends("points", before[name] - row[name], 3)
            )
    return pd.DataFrame(rows, columns=KEPT)


def certified_of(networks):
    """Curves that fall twice as fast as those of distances, and steps of the smoothed ones."""
    parts = [pd.DataFrame(columns=[*NAMES, *CURVES])]
    for network in networks:
        curve = _curve(network)
        names = curve[[*NAMES]].iloc[:1].to_dict("records")[0]
        attacked = curve.robust_percent
        proved = (attacked.iloc[0] - 1.9 * (attacked.iloc[0] - attacked)).clip(0)
        here = np.where(curve.autoattack_percent.notna(), "yes", "no")
        bounds = {"proof": "bounds", "norm": "Linf", "eps": curve.eps, "certified_percent": proved}
        parts.append(pd.DataFrame(bounds | {"robust_percent": attacked, "at_eps": here} | names))
        radii = 0.25 * np.array(CURVE)
        smooth = {"proof": "smoothing", "norm": "L2", "eps": radii, "robust_percent": np.nan}
        smooth["certified_percent"] = (attacked.iloc[0] - 30 - 100 * radii).clip(0)
        parts.append(pd.DataFrame(smooth | {"at_eps": "no"} | names))
    return pd.concat(parts[1:] or parts, ignore_index=True)[[*NAMES, *CURVES]]


def _interval(what, percent):
    return {
        f"{what}_percent": percent,
        f"{what}_low_percent": percent - 2,
        f"{what}_high_percent": percent + 2,
    }


def _pairs(networks, seeds):
    for run, seed, method, sparsity in networks:
        if method != "dense":
            yield run, seed, _variant(method, sparsity), method, sparsity
        elif len(seeds) > 1:
            following = seeds[(list(seeds).index(seed) + 1) % len(seeds)]
            yield run, seed, f"dense, seed {following}", "second_seed", 0.0


def _parts(pair, samples):
    """The per-sample rows of a pair in every view; the farther pruned, the more are lost."""
    run, seed, other, method, sparsity = pair
    rng = np.random.default_rng(seed)
    for correctness, norm in VIEWS:
        boundary = 0.0 if correctness == "clean" else EPS
        signed = rng.normal(boundary + 0.02, 0.03, samples)
        away = signed - boundary
        flips = np.abs(away) < 0.012 + 0.02 * sparsity
        names = np.where(away > 0, np.where(flips, "lost", "kept"), "never")
        names = np.where((away <= 0) & flips & (rng.random(samples) < 0.3), "rescued", names)
        yield pd.DataFrame(
            {
                "sample_id": np.arange(samples) * 3,
                "label": np.arange(samples) % 10,
                "set": pd.Categorical(names, categories=SETS),
                "signed_distance": signed.astype("float32"),
                "boundary_distance": np.abs(away).astype("float32"),
                "other_signed_distance": (0.8 * signed - 0.005).astype("float32"),
                **{"run": run, "seed": seed, "other": other, "method": method},
                **{"sparsity": sparsity, "correctness": correctness, "norm": norm},
            }
        )


def overestimate_of(accuracy):
    """The overestimate table of an accuracy table: most is hidden by the loss, the mode is sound,
    and selection was measured of pruned networks.
    """
    hidden = {"eps": 0.5, "steps": 0.0, "restarts": 1.0, "loss": 3.0, "last": 0.2}
    keys = ["run", "method", "sparsity", "protocol"]
    rows = []
    for names, here in accuracy.groupby(keys, sort=False):
        row = dict(zip(keys, names, strict=True)) | {"seeds": here.seed.nunique(), "samples": 60}
        points = {"overestimate": 5.0, **hidden, "mode": np.nan, "train_mode": 8.0}
        points["selection"] = np.nan if row["method"] == "dense" else 0.4
        for name, value in points.items():
            row |= {f"{name}_points": value, f"{name}_low": value - 1, f"{name}_high": value + 1}
        row |= {"overestimate_min": 4.5, "overestimate_max": 5.5}
        row["overestimate_sd"] = 0.5 if row["seeds"] > 1 else np.nan
        row["claimed_percent"] = here.claimed_percent.mean()
        row["autoattack_percent"] = here.autoattack_percent.mean()
        rows.append(row)
    return pd.DataFrame(rows)


def training_of(accuracy):
    """From made-up histories: dense networks lose 6 points of their best accuracy, others 2."""
    names = accuracy.drop_duplicates(["run", "seed", "variant"]).to_dict("records")
    stages = [STAGES.get(name["pipeline"], "dense") for name in names]
    lost = [0.06 if name["variant"] == "dense" else 0.02 for name in names]
    return overfitting_table(names, stages, [_history(points) for points in lost], 200)


def _history(lost):
    """Three validated epochs of four, the second the best."""
    robust = [0.3, np.nan, 0.5, 0.5 - lost]
    return pd.DataFrame(
        {
            "epoch": range(1, 5),
            "train_accuracy": [0.3, 0.5, 0.6, 0.7],
            "validation_clean": [0.6, np.nan, 0.8, 0.8],
            "validation_robust": robust,
            "eligible": 1,
        }
    )


def thin_ice_of(points, when=None):
    """The thin-ice table of per-sample rows, with plain stand-ins for the intervals."""
    keys = ["run", "seed", "other", "method", "sparsity", "correctness", "norm"]
    rows = [
        dict(zip(keys, names, strict=True)) | _statistics(here)
        for names, here in points.groupby(keys, sort=False)
    ]
    apart = {"second_seed", *(method for method, one in (when or {}).items() if one != "after")}
    for row in rows:
        row["dense_is"] = "counterpart" if row["method"] in apart else "ancestor"
    return pd.DataFrame(rows)


def _statistics(points):
    by_set = {name: points.boundary_distance[points.set == name].to_numpy() for name in SETS}
    row = {f"{name}_samples": len(values) for name, values in by_set.items()}
    for name, values in by_set.items():
        row[f"{name}_median_distance"] = np.median(values) if len(values) else np.nan
    for name in ("lost", "rescued"):
        wins = by_set[name][:, None] < by_set["kept"][None, :]
        value = wins.mean() if wins.size else np.nan
        row[f"auroc_{name}"] = value
        row[f"auroc_{name}_low"], row[f"auroc_{name}_high"] = value - 0.03, min(value + 0.03, 1)
    return row


LABELS = ["run", "seed", "other", "method", "sparsity", "correctness"]
RIVALS = ("logit_margin", "confidence_variance", "gradient_norm", "steps_to_flip")


def more_tables(points):
    """The further tables of the analysis of these per-sample rows, with stand-in intervals."""
    main = points[points.norm == "Linf"]
    groups = [(dict(zip(LABELS, names, strict=True)), here) for names, here in _by(main, LABELS)]
    tables = {
        "predictors": [row for names, here in groups for row in _predictors(names, here)],
        "thickness": [row for names, here in groups for row in _thicknesses(names, here)],
        "joint": [names | _joint(here) for names, here in groups],
        "classes": [row for names, here in groups for row in _class_rows(names, here)],
        "overlap": list(_overlaps(main)),
        "pies": list(_pies(main)),
        "movement": [row for names, here in groups for row in _movements(names, here)],
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def sizes_of(networks):
    """Half of the channels are gone, and of the weights what the sparsity says."""
    names = [
        {"run": run, "seed": seed, "variant": _variant(method, sparsity), "method": method}
        | {"sparsity": sparsity}
        for run, seed, method, sparsity in networks
    ]
    return size_table(names, [_size(name["sparsity"]) for name in names])


def _size(sparsity):
    counts = {"dense": 1000, "nonzero": round(1000 - 1000 * sparsity), "compact": 300}
    return {
        "parameters": counts,
        "multiply_accumulates": {name: 70 * count for name, count in counts.items()},
        "bytes": {"dense": 4500, "sparse": 2000, "compact": 1300, "stored": 900},
        "channels": {"conv1": {"size": 8, "kept": 4}, "conv2": {"size": 16, "kept": 8}},
        "groups_without_living_channel": ["conv2"] if sparsity > 0.95 else [],
    }


def _by(points, keys):
    return list(points.groupby(keys, sort=False, observed=True))


def _ends(name, value, half=0.05):
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def _predictors(names, points):
    counts = {f"{one}_samples": int((points.set == one).sum()) for one in ("kept", "lost")}
    own = "distance", "other_seed_distance"
    for index, predictor in enumerate((*own, *RIVALS)):
        yield {
            **names,
            **{"predictor": predictor, "norm": "Linf" if predictor in own else ""},
            **counts,
            **_ends("auroc", 0.9 - 0.04 * index),
            **_ends("average_precision", 0.6 - 0.04 * index),
            "lost_share": counts["lost_samples"] / max(sum(counts.values()), 1),
            **{"mann_whitney_p": 0.004, "mann_whitney_adjusted_p": 0.03},
            "rank_biserial": 0.8 - 0.08 * index,
            **_ends("auroc_gain", 0.04 * index),
        }


def _thicknesses(names, points):
    right = points[points.set.isin(["kept", "lost"])]
    lost = int((right.set == "lost").sum())
    for share, value in ((0.05, 0.03), (0.2, 0.02), (0.5, 0.0)):
        found = {"thickness": value, "thickness_low": 0.5 * value, "thickness_high": value + 0.01}
        yield {**names, "norm": "Linf", "share": share, **found, "samples": len(right)} | {
            "lost": lost
        }


def _joint(points):
    return {
        **{"samples": int(points.set.isin(["kept", "lost"]).sum())},
        "lost": int((points.set == "lost").sum()),
        **{"auroc_without": 0.8, "auroc_with": 0.85, "gain": 0.05, "gain_low": 0.01},
        **{"gain_high": 0.09, "likelihood_ratio": 12.5, "p": 0.0004, "adjusted_p": 0.004},
        "distance_coefficient": -1.3,
    }


def _class_rows(names, points):
    for label, here in points.groupby("label"):
        right, lost = here.set.isin(["kept", "lost"]).sum(), (here.set == "lost").sum()
        percent = 100 * lost / right if right else np.nan
        yield {
            **names,
            **{"label": label, "right": right, "lost": lost, "lost_percent": percent},
            **{"low": max(percent - 5, 0), "high": percent + 5},
            **{"rescued": (here.set == "rescued").sum(), "dense_percent": 80.0},
            **{"other_percent": 70.0, "difference_p": 0.2, "adjusted_p": 0.04 if label == 3 else 1},
        }


def _overlaps(points):
    for names, here in _by(points, ["run", "seed", "correctness"]):
        sets = {
            pair: set(one.sample_id[one.set == "lost"])
            for pair, one in _by(here, ["method", "sparsity"])
        }
        for a, b in combinations(sets, 2):
            both, either = sets[a] & sets[b], sets[a] | sets[b]
            yield {
                **dict(zip(["run", "seed", "correctness"], names, strict=True)),
                **{"method_a": a[0], "sparsity_a": a[1], "method_b": b[0], "sparsity_b": b[1]},
                **{"lost_a": len(sets[a]), "lost_b": len(sets[b])},
                **{"both": len(both), "either": len(either)},
                "jaccard": len(both) / len(either) if either else np.nan,
                "jaccard_by_chance": 0.2,
                "inside_percent": 100 * len(both) / len(sets[a]) if sets[a] else np.nan,
                **{"inside_low": 50.0, "inside_high": 99.0},
                "inside_by_chance_percent": 30.0,
            }


def _pies(points):
    for names, here in _by(points, ["run", "method", "sparsity"]):
        if names[1] != "second_seed":
            seeds = here.seed.nunique()
            yield {
                **dict(zip(["run", "method", "sparsity"], names, strict=True)),
                **{"seeds": seeds, "samples": 60, "pies": 6, "pie_percent": 10.0},
                **{"low": 4.7, "high": 20.1, "enough_seeds": "yes" if seeds >= 5 else "no"},
                **{"pie_median_distance": 0.01, "other_median_distance": 0.04},
                **_ends("auroc", 0.85),
            }


def _movements(names, points):
    if names["correctness"] == "clean":
        for name in SETS:
            here = points[points.set == name]
            change = here.other_signed_distance - here.signed_distance
            yield {
                **{key: value for key, value in names.items() if key != "correctness"},
                **{"norm": "Linf", "set": name, "samples": len(here), "infinite": 0},
                "dense_median": here.signed_distance.median(),
                "other_median": here.other_signed_distance.median(),
                **_ends("change", change.median(), 0.002),
                "change_median": change.median(),
                "closer_percent": 100 * (change < 0).mean(),
                "spearman": 0.9,
            }


def make_twins(run, seed, count=4, channels=1, size=8):
    """Images and their twins, each a little brighter."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 200, (count, channels, size, size)).astype("uint8")
    distances = 0.001 * np.arange(1, count + 1)
    names = {"sample_id": np.arange(count), "label": range(count), "attack": "fmn_linf"}
    table = pd.DataFrame(names).assign(distance=distances)
    table["label_name"] = [f"c{label}" for label in table.label]
    table["predicted_name"] = [f"c{label + 1}" for label in table.label]
    signs = np.where(np.indices((size, size)).sum(axis=0) % 2, 1, -1)
    twins = np.clip(images / 255 + signs * distances[:, None, None, None], 0, 1)
    return Twins(run, seed, table, images, twins.astype("float32"))
