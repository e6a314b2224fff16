"""Every number of a report again from the tables of samples, by plain loops, with no code of ours.

A small study is run through its commands. What is expected comes from each network's per-sample
tables alone (evaluation, distances, indicators, rivals, ...), never from the analysis, and is held
against what stands on the page and in the CSV behind each figure.
"""

import csv
import html.parser
import math
import re
from dataclasses import dataclass
from functools import cache
from statistics import mean

import by_hand as hand
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from tiny_study import TINY, run_study

from thin_ice.figures import theme
from thin_ice.study.load import study_from

EPS, RESAMPLES, SEED = 0.05, 10, 0
FMN = {"kind": "fmn", "norm": "Linf", "steps": 10, "max_stepsize": 1}
RUN = "digits-digits_cnn-pgd_at"
SETS = ("kept", "lost", "rescued", "never")
VIEWS = ("clean", "robust")
CONTROLS = {"second_seed": "second dense seed", "dense_again": "dense, fine-tuned again"}
FEW = 5
PROTOCOL = "hydra_pgd10"
INDICATORS = {
    "unavailable_gradients": 0.01,
    "relative_change": 0.1,
    "silent_success": 0.01,
    "incomplete_optimisation": 0.05,
    "transfer_failure": 0.01,
    "unconstrained_failure": 0.01,
}


def study():
    return study_from(
        TINY
        | {
            "seeds": [0, 1],
            "sparsities": [0.5, 0.9],
            "threat": {"norm": "Linf", "eps": EPS},
            "autoattack": TINY["autoattack"] | {"batch_size": 100, "shard_size": 100},
            "distances": {"attacks": [FMN]},
            "datasets": {"digits": {"validation": 0.2, "limit_train": 500, "limit_test": 100}},
            "training": {
                "dense": {"epochs": 8},
                "prune": {"epochs": 1},
                "finetune": {"epochs": 1},
            },
            "analysis": {"bootstrap": RESAMPLES, "seed": SEED},
        }
    )


@cache
def rows_of(path):
    return {row["sample_id"]: row for row in pd.read_parquet(path).to_dict("records")}


@dataclass
class Network:
    """A network's folder, and rows by sample id of whatever stage wrote a table there."""

    folder: object
    seed: int
    variant: str

    @property
    def method(self):
        return self.variant.partition("-")[0]

    @property
    def sparsity(self):
        return float(self.variant.partition("-")[2] or 0)

    def rows(self, stage, file=None):
        """By sample id, in the table's order."""
        return rows_of(self.folder / stage / f"{file or stage}.parquet")

    def column(self, name):
        return [row[name] for row in self.rows("evaluation", "samples").values()]


class Page(html.parser.HTMLParser):
    """The cells of every table whose details have an id."""

    def __init__(self):
        super().__init__()
        self.tables, self.name, self.cell = {}, None, None

    def handle_starttag(self, tag, attributes):
        if tag == "details" and dict(attributes).get("id", "").startswith("table-"):
            self.name = dict(attributes)["id"].removeprefix("table-")
            self.tables[self.name] = []
        elif tag == "tr" and self.name:
            self.tables[self.name].append([])
        elif tag in ("td", "th") and self.name:
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.name:
            self.tables[self.name][-1].append(self.cell)
            self.cell = None
        elif tag == "details":
            self.name = None


@dataclass
class Report:
    """A finished study: its networks, and what its report says."""

    root: object
    networks: list
    page: dict

    def network(self, seed, variant):
        return next(n for n in self.networks if (n.seed, n.variant) == (seed, variant))

    def table(self, name):
        """A table of the page, a dictionary a row."""
        header, *rows = self.page[name]
        return [dict(zip(header, row, strict=True)) for row in rows]

    def csv(self, name):
        with (self.root / "report" / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))

    def pairs(self):
        """Dense network, other network, and the pair's method: each pruned one, the one trained
        on, and the next seed's dense one.
        """
        found = []
        for seed in (0, 1):
            dense = self.network(seed, "dense")
            found += [
                (dense, one, one.method)
                for one in self.networks
                if one.seed == seed and one.variant != "dense"
            ]
            found.append((dense, self.network(1 - seed, "dense"), "second_seed"))
        return found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("reproduced")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 30)
        run_study(study(), root)
    page = Page()
    page.feed((root / "report/report.html").read_text(encoding="utf-8"))
    folders = sorted(path.parent for path in root.glob(f"{RUN}/seed*/*/evaluation"))
    networks = [Network(f, int(f.parent.name.removeprefix("seed")), f.name) for f in folders]
    return Report(root, networks, page.tables)


def close(printed, value):
    """Whether a CSV's number, of six digits, is this one; nothing stands for NaN."""
    if printed in ("", "nan"):
        return math.isnan(value)
    return math.isclose(float(printed), value, rel_tol=2e-5, abs_tol=2e-6)


def assert_row(row, **expected):
    for name, value in expected.items():
        if isinstance(value, str):
            assert row[name] == value, (name, row)
        else:
            assert close(row[name], value), (name, value, row)


def shown(value, digits):
    """A number as tables write it."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else "∞"


def shown_interval(value, low, high, digits=2):
    if math.isnan(low):
        return shown(value, digits)
    return f"{shown(value, digits)} [{shown(low, digits)}, {shown(high, digits)}]"


def same_text(printed, expected):
    """Equal but for the last digit, which rounding may tip; numbers in the same places."""
    pattern = r"-?\d+\.?\d*"
    assert re.sub(pattern, "#", printed) == re.sub(pattern, "#", expected), (printed, expected)
    for a, b in zip(re.findall(pattern, printed), re.findall(pattern, expected), strict=True):
        digits = len(a.partition(".")[2])
        assert abs(float(a) - float(b)) < 1.01 * 10**-digits, (printed, expected)


def name_of(method, sparsity):
    if method in CONTROLS:
        return CONTROLS[method]
    return "dense" if method == "dense" else f"{method} {sparsity:g}"


def right(row, view):
    return bool(row["correct"] if view == "clean" else row["robust"])


def set_of(before, after):
    if before:
        return "kept" if after else "lost"
    return "rescued" if after else "never"


def partition(dense, other, view):
    """By sample id: set, signed distance and distance to the boundary that matters."""
    before, after = (one.rows("evaluation", "samples") for one in (dense, other))
    distances = dense.rows("distances")
    found = {}
    for sample, row in before.items():
        signed = distances[sample]["signed_distance_linf"]
        name = set_of(right(row, view), right(after[sample], view))
        # In single precision, as distances are stored.
        away = abs(np.float32(signed) - np.float32(0 if view == "clean" else EPS))
        found[sample] = (name, float(signed), float(away), row["label"])
    return found


def values_of(found, *names):
    return [away for name, _, away, _ in found.values() if name in names]


def by_seed(report, method, sparsity, measure):
    networks = [n for n in report.networks if (n.method, n.sparsity) == (method, sparsity)]
    return [measure(n) for n in networks]


def percent(column):
    return lambda network: 100 * hand.share(network.column(column))


def overestimate_points(network):
    return percent(f"claimed_{PROTOCOL}")(network) - percent("robust")(network)


def networks_shown(report):
    return sorted({(n.method, n.sparsity) for n in report.networks})


def zero_share(network):
    """Of the weights of convolutions and linear layers, the share that is zero, in percent."""
    weights = load_file(network.folder / "model.safetensors")
    prunable = [w for name, w in weights.items() if w.ndim > 1 and "mask" not in name]
    return 100 * sum((w == 0).sum() for w in prunable) / sum(w.size for w in prunable)


def test_the_headline_table_is_the_mean_and_spread_of_per_sample_outcomes(report):
    rows = {row["network"]: row for row in report.table("headline")}
    assert len(rows) == len(networks_shown(report))
    for method, sparsity in networks_shown(report):
        row = rows[name_of(method, sparsity)]
        claimed = method != "dense_again"
        columns = {
            "clean (%)": percent("correct"),
            "claimed (%)": percent(f"claimed_{PROTOCOL}") if claimed else None,
            "AutoAttack (%)": percent("robust"),
            "overestimate (points)": overestimate_points if claimed else None,
        }
        for name, measure in columns.items():
            text = "–"
            if measure:
                value, deviation = hand.spread(by_seed(report, method, sparsity, measure))
                text = f"{shown(value, 1)} ± {shown(deviation, 1)}"
            same_text(row[name].partition(" ⁽")[0], text)
        assert row["seeds"] == "2"
        assert row["by protocol"] == (PROTOCOL if claimed else "none")
        reached = mean(by_seed(report, method, sparsity, zero_share))
        same_text(row["sparsity reached (%)"], shown(reached, 2))
        same_text(row["remark"].partition("; AutoAttack")[0], remark(report, method, sparsity))


def remark(report, method, sparsity):
    """Seeds whose clean accuracy is not above guessing, and unconfirmed adversarial examples."""
    low = by_seed(
        report,
        method,
        sparsity,
        lambda n: hand.wilson(sum(n.column("correct")), len(n.column("correct")))[1],
    )
    chance = sum(100 * value <= 10 for value in low)
    assert not sum(by_seed(report, method, sparsity, unconfirmed))
    return {0: "", 2: "at chance"}.get(chance, f"at chance in {chance} of 2 seeds")


def unconfirmed(network):
    rows = network.rows("evaluation", "samples").values()
    return sum(
        row["broken_by"] not in ("", "none", None) and row["confirmed"] is False for row in rows
    )


def indicator_values(network, attack):
    """Percent of each indicator, how many samples were attacked, and which are raised."""
    table = pd.read_parquet(network.folder / "indicators/indicators.parquet")
    rows = [row for row in table.to_dict("records") if row["attack"] == attack]
    values, raised = [], []
    for number, (name, limit) in enumerate(INDICATORS.items(), 1):
        found = [float(row[name]) for row in rows]
        value = mean(found) if found else hand.NAN
        accident = name != "relative_change" and sum(found) <= 1
        values.append(100 * value)
        raised += [f"I{number}"] * (value > limit and not accident)
    return values, len({row["sample_id"] for row in rows}), " ".join(raised) or "none"


def test_the_indicators_are_means_over_attacked_samples_and_mark_the_headline(report):
    printed = report.page["indicators"][1:]
    marks = dict.fromkeys(networks_shown(report), "")
    for network in report.networks:
        own = [] if network.method == "dense_again" else [(PROTOCOL, PROTOCOL)]
        for attack, said in [*own, ("apgd_ce", "AutoAttack's APGD")]:
            values, attacked, raised = indicator_values(network, attack)
            name = name_of(network.method, network.sparsity)
            (row,) = [r for r in printed if r[:3] == [name, str(network.seed), said]]
            assert row[3] == str(attacked)
            for cell, value in zip(row[4:10], values, strict=True):
                same_text(cell, shown(value, 1))
            assert row[10] == raised
            if attack == "apgd_ce":
                marks[network.method, network.sparsity] += raised.replace("none", "")
    for row in report.table("headline"):
        key = next(k for k in marks if name_of(*k) == row["network"])
        numbers = sorted(set(re.findall(r"I(\d)", marks[key])))
        found = sorted(str("¹²³⁴⁵⁶".index(c) + 1) for c in row["AutoAttack (%)"] if c in "¹²³⁴⁵⁶")
        assert found == numbers


MECHANISMS = {
    "smaller ε": "eps",
    "few steps": "steps",
    "few restarts": "restarts",
    "cross-entropy": "loss",
    "last iterate": "last",
}


def differences(report, method, sparsity, change):
    """Sample by sample, the mean over seeds of a difference of two outcomes."""
    columns = by_seed(report, method, sparsity, change)
    return [mean(values) for values in zip(*columns, strict=True)]


def minus(first, second):
    def change(network):
        columns = [network.column(name) for name in (first, second)]
        return [float(a) - float(b) for a, b in zip(*columns, strict=True)]

    return change


def test_the_overestimate_table_is_paired_over_samples(report):
    claimed = f"claimed_{PROTOCOL}"
    for row in report.table("overestimate"):
        (key,) = [k for k in networks_shown(report) if name_of(*k) == row["network"]]
        for name, column in (("claimed (%)", claimed), ("AutoAttack (%)", "robust")):
            same_text(row[name], shown(mean(by_seed(report, *key, percent(column))), 1))
        found = hand.paired_points(
            differences(report, *key, minus(claimed, "robust")), RESAMPLES, SEED
        )
        same_text(row["overestimate (points)"], shown_interval(*found, digits=1))
        _, deviation = hand.spread(by_seed(report, *key, overestimate_points))
        same_text(row["sd over seeds"], shown(deviation, 1))
        for heading in (name for name in row if name in MECHANISMS):
            switched = minus(claimed, f"{claimed}_{MECHANISMS[heading]}")
            found = hand.paired_points(differences(report, *key, switched), RESAMPLES, SEED)
            same_text(row[heading], shown_interval(*found, digits=1))
        mode = differences(report, *key, minus(f"{claimed}_train_mode", claimed))
        same_text(row["training mode would add"], shown(100 * mean(mode), 1))


def test_the_optimality_table_is_the_area_between_curves(report):
    (row,) = report.table("optimality")
    values, best, failed = [], [], []
    for network in report.networks:
        rows = [one for one in network.rows("distances").values() if one["correct"]]
        attack = next(name for name in rows[0] if name.startswith("fmn_"))
        found, least = ([one[name] for one in rows] for name in (attack, "distance_linf"))
        values.append(hand.optimality(found, least))
        best.append(
            100 * hand.share(math.isfinite(a) and a <= b for a, b in zip(found, least, strict=True))
        )
        failed.append(100 * hand.share(math.isinf(a) for a in found))
    values = [value for value in values if not math.isnan(value)]
    same_text(row["optimality"], f"{shown(mean(values), 3)} ({shown(min(values), 3)})")
    same_text(row["nearest (%)"], shown(mean(best), 1))
    same_text(row["failed (%)"], shown(mean(failed), 1))


def test_the_thin_ice_table_and_its_figures_count_samples_and_pairs(report):
    printed = report.table("thin_ice")
    figure = {
        (r["seed"], r["method"], float(r["sparsity"]), r["correctness"]): r
        for r in report.csv("auroc")
    }
    assert len(printed) == len(figure) == len(report.pairs()) * len(VIEWS)
    for dense, other, method in report.pairs():
        sparsity = other.sparsity
        for view in VIEWS:
            found = partition(dense, other, view)
            key = name_of(method, sparsity), str(dense.seed), view
            (row,) = [
                r for r in printed if (r["compared with dense"], r["seed"], r["correctness"]) == key
            ]
            rng = np.random.default_rng(SEED)
            kept = values_of(found, "kept")
            for name in SETS:
                values = values_of(found, name)
                assert row[name] == str(len(values))
                same_text(row[f"median of {name}"], shown(hand.middle(values), 4))
            for name in ("lost", "rescued"):
                values = values_of(found, name)
                ends = hand.auroc_with_interval(values, kept, RESAMPLES, rng)
                same_text(row[f"AUROC {name}"], told(ends, values, kept))
                if name == "lost":
                    drawn = figure[str(dense.seed), method, sparsity, view]
                    names = ("auroc_lost", "auroc_lost_low", "auroc_lost_high")
                    assert_row(drawn, **dict(zip(names, ends, strict=True)))
                    assert_row(drawn, lost_samples=len(values), kept_samples=len(kept))


def told(ends, values, kept):
    if min(len(values), len(kept)) < FEW:
        return "–" if math.isnan(ends[0]) else f"{ends[0]:.2f} (too few)"
    return shown_interval(*ends)


def test_the_accuracy_and_overestimate_figures_hold_each_network(report):
    columns = {"clean": "correct", "claimed": f"claimed_{PROTOCOL}", "autoattack": "robust"}
    rows = report.csv("accuracy")
    assert len(rows) == 3 * sum(n.method != "dense_again" for n in report.networks)
    for row in rows:
        flags = report.network(int(row["seed"]), row["variant"]).column(columns[row["measure"]])
        names = ("percent", "low_percent", "high_percent")
        values = [100 * v for v in hand.wilson(sum(map(bool, flags)), len(flags))]
        assert_row(row, **dict(zip(names, values, strict=True)))
    for row in report.csv("overestimate"):
        one = [n for n in report.networks if n.seed == int(row["seed"])]
        (one,) = [
            n for n in one if (n.method, n.sparsity) == (row["method"], float(row["sparsity"]))
        ]
        assert_row(row, overestimate_points=overestimate_points(one))


def test_the_mechanisms_figure_is_the_overestimate_table(report):
    claimed = f"claimed_{PROTOCOL}"
    for row in report.csv("mechanisms"):
        key = row["method"], float(row["sparsity"])
        switches = {"overestimate": minus(claimed, "robust")}
        switches |= {name: minus(claimed, f"{claimed}_{name}") for name in MECHANISMS.values()}
        for name, switch in switches.items():
            if row[f"{name}_points"]:
                ends = hand.paired_points(differences(report, *key, switch), RESAMPLES, SEED)
                names = (f"{name}_points", f"{name}_low", f"{name}_high")
                assert_row(row, **dict(zip(names, ends, strict=True)))


def test_the_security_curves_count_samples_that_stand_beyond_each_radius(report):
    rows = report.csv("security")
    assert rows
    for row in rows:
        (one,) = [
            n
            for n in report.networks
            if (n.seed, n.method, n.sparsity)
            == (int(row["seed"]), row["method"], float(row["sparsity"]))
        ]
        samples = one.rows("distances").values()
        radius = float(row["eps"])
        beyond = [s["correct"] and s["distance_linf"] > radius for s in samples]
        assert_row(row, robust_percent=100 * hand.share(beyond))
        failed = [s["correct"] and math.isinf(s["distance_linf"]) for s in samples]
        assert_row(row, failed_percent=100 * hand.share(failed))
        if row["above_autoattack"]:
            robust = one.column("robust")
            _, low, high = (100 * v for v in hand.wilson(sum(map(bool, robust)), len(robust)))
            names = {"autoattack_low_percent": low, "autoattack_high_percent": high}
            assert_row(row, autoattack_percent=100 * hand.share(robust), **names)
            above = "yes" if 100 * hand.share(beyond) > high else "no"
            assert row["above_autoattack"] == above


def pooled(report, method, sparsity, view):
    """Sets, signed distances, boundary distances and labels of all seeds of a pair."""
    return [
        sample
        for dense, other, name in report.pairs()
        if (name, other.sparsity) == (method, sparsity)
        for sample in partition(dense, other, view).values()
    ]


def pair_keys(report):
    return sorted({(method, other.sparsity) for _, other, method in report.pairs()})


def test_the_distances_figure_has_each_sets_quantiles(report):
    rows = report.csv("distances")
    assert len(rows) == len(pair_keys(report)) * len(VIEWS) * len(SETS)
    quantiles = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
    for row in rows:
        samples = pooled(report, row["method"], float(row["sparsity"]), row["correctness"])
        signed = [value for name, value, _, _ in samples if name == row["set"]]
        finite = [value for value in signed if math.isfinite(value)]
        assert_row(row, samples=len(signed), infinite=len(signed) - len(finite))
        for name, q in quantiles.items():
            assert_row(row, **{name: hand.quantile(finite, q) if finite else hand.NAN})


def test_the_densities_figure_counts_the_samples_between_its_edges(report):
    groups = {}
    for row in report.csv("densities"):
        key = row["method"], float(row["sparsity"]), row["correctness"], row["set"]
        groups.setdefault(key, []).append(row)
    for (method, sparsity, view, name), rows in groups.items():
        samples = pooled(report, method, sparsity, view)
        finite = [v for one, v, _, _ in samples if one == name and math.isfinite(v)]
        counts = [0] * len(rows)
        for value in finite:
            ends = [float(row["to_distance"]) for row in rows[:-1]]
            counts[sum(value >= end for end in ends)] += 1
        for row, count in zip(rows, counts, strict=True):
            assert_row(row, samples=count, share=count / len(finite))


def test_the_losses_by_distance_are_shares_of_equally_filled_bins(report):
    printed = {}
    for row in report.csv("loss_by_distance"):
        key = row["correctness"], row["method"], float(row["sparsity"])
        printed.setdefault(key, []).append(row)
    for view in VIEWS:
        samples = {k: pooled(report, *k, view) for k in pair_keys(report)}
        judged = {k: [s for s in found if s[0] in ("kept", "lost")] for k, found in samples.items()}
        distinct = sum(
            right(row, view)
            for seed in (0, 1)
            for row in report.network(seed, "dense").rows("evaluation", "samples").values()
        )
        bins = min(10, max(1, distinct // 20))
        edges = hand.equal_bins([s[2] for found in judged.values() for s in found], bins)
        for key, found in judged.items():
            for row in printed[view, *key]:
                number = int(row["bin"])
                here = [s[0] == "lost" for s in found if hand.bin_of(s[2], edges) == number]
                share, low, high = hand.wilson(sum(here), len(here))
                assert_row(row, samples=len(here), lost=sum(here), share=share, low=low, high=high)
                assert_row(row, from_distance=edges[number - 1], to_distance=edges[number])


PREDICTORS = {  # as tables name them; the sign makes low values expect a loss
    "logit margin": ("logit_margin", 1),
    "confidence p(1−p)": ("confidence_variance", -1),
    "gradient norm": ("gradient_norm", -1),
    "PGD steps to flip": ("steps_to_flip", 1),
    "adversarial loss": ("adversarial_loss", -1),
}
ENOUGH = 10


def judged(report, dense, other, method, view):
    """Of the samples that the dense network has right, in order: whether each is lost, and its
    score by each predictor.
    """
    found = partition(dense, other, view)
    ids = [sample for sample, row in found.items() if row[0] in ("kept", "lost")]
    scores = {"distance": [found[sample][2] for sample in ids]}
    if method != "second_seed":
        away = partition(report.network(1 - dense.seed, "dense"), other, view)
        scores["distance, other seed (control)"] = [away[sample][2] for sample in ids]
        changes = other.rows("sensitivity")
        scores["distance / predicted change"] = [
            ratio(found[sample][2], abs(changes[sample]["predicted_change"])) for sample in ids
        ]
    if view == "robust":
        ends = dense.rows("breaking")
        scores["AutoAttack's breaking ε"] = [
            abs((ends[sample]["standing_eps"] + ends[sample]["breaking_eps"]) / 2 - EPS)
            for sample in ids
        ]
    rivals = dense.rows("rivals")
    for name, (column, sign) in PREDICTORS.items():
        scores[name] = [sign * float(rivals[sample][column]) for sample in ids]
    return [found[sample][0] == "lost" for sample in ids], scores


def ratio(distance, change):
    return distance / change if change else math.inf if distance else hand.NAN


def views(report):
    for dense, other, method in report.pairs():
        for view in VIEWS:
            key = (name_of(method, other.sparsity), str(dense.seed), view)
            yield key, dense, other, method, view


def split(values, lost):
    return [
        [value for value, flag in zip(values, lost, strict=True) if flag is wanted]
        for wanted in (True, False)
    ]


def resampled(lost, *scores):
    """For each resample, the lost first and then the kept: AUROC and precision of each score."""
    rng = np.random.default_rng(SEED)
    parts = [split(values, lost) for values in scores]
    for _ in range(RESAMPLES):
        near, far = (hand.drawn(len(part), rng) for part in parts[0])
        for first, second in [(first, second) for first, second in parts]:
            a, b = [first[place] for place in near], [second[place] for place in far]
            flags = [True] * len(a) + [False] * len(b)
            yield hand.auroc(a, b), hand.average_precision([*a, *b], flags)


NOTHING = (hand.NAN,) * 3


def predictor_row(scores, distance, lost):
    """AUROC, average precision and gain of distance, each with its ends; and the p-value."""
    near, far = split(scores, lost)
    if not near or not far:
        return (NOTHING,) * 3 + (hand.NAN,)
    own, best = hand.auroc(near, far), hand.auroc(*split(distance, lost))
    precision = hand.average_precision(scores, lost)
    draws = list(resampled(lost, scores, distance))
    mine, its = draws[0::2], draws[1::2]
    low, high = hand.newcombe(own, len(near), len(far))
    aurocs, precisions = zip(*mine, strict=True)
    _, least, most = hand.wilson(precision * len(near), len(near))
    gains = [theirs[0] - one for theirs, one in zip(its, aurocs, strict=True)]
    ends = (0.025, 0.975)
    return (
        (own, min(hand.quantile(aurocs, ends[0]), low), max(hand.quantile(aurocs, ends[1]), high)),
        (
            precision,
            min(hand.quantile(precisions, ends[0]), least),
            max(hand.quantile(precisions, ends[1]), most),
        ),
        (best - own, *(hand.quantile(gains, q) for q in ends)),
        hand.mann_whitney_p(near, far),
    )


def probability(p):
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def assert_probability(printed, p):
    if printed.startswith("<") or printed == "–":
        assert printed == probability(p) or p < 0.00101
    else:
        assert abs(float(printed) - p) < 0.00101


def test_the_predictors_and_their_figure_rank_the_same_samples(report):
    printed = report.table("predictors")
    figure = report.csv("rivals")
    expected = []
    for key, dense, other, method, view in views(report):
        lost, scores = judged(report, dense, other, method, view)
        for name, values in scores.items():
            expected.append((key, name, lost, predictor_row(values, scores["distance"], lost)))
    assert len(printed) == len(figure) == len(expected)
    enough = [min(sum(lost), len(lost) - sum(lost)) >= ENOUGH for _, _, lost, _ in expected]
    raw = [
        row[3] if told_ else hand.NAN
        for (_, _, _, row), told_ in zip(expected, enough, strict=True)
    ]
    by_key = {}
    for row, drawn in zip(printed, figure, strict=True):
        key = row["compared with dense"], row["seed"], row["correctness"]
        by_key[key, row["predictor"]] = row, drawn
    for (key, name, lost, row), p in zip(expected, hand.adjusted(raw), strict=True):
        cells, drawn = by_key[key, name]
        kept = len(lost) - sum(lost)
        assert (cells["kept"], cells["lost"]) == (str(kept), str(sum(lost)))
        headings = ("AUROC", "average precision", "gain of distance")
        for heading, ends in zip(headings, row[:3], strict=True):
            same_text(cells[heading], told(ends, range(sum(lost)), range(kept)))
        same_text(cells["by chance"], shown(hand.share(lost), 2))
        same_text(cells["rank-biserial"], shown(2 * row[0][0] - 1, 2))
        assert_probability(cells["p (Mann-Whitney, adjusted)"], p)
        for stem, ends in (("auroc", row[0]), ("auroc_gain", row[2])):
            names = (stem, f"{stem}_low", f"{stem}_high")
            assert_row(drawn, **dict(zip(names, ends, strict=True)))


def test_the_ice_thickness_is_where_the_falling_fit_crosses_a_share(report):
    printed = {}
    for row in report.table("thickness"):
        key = row["compared with dense"], row["seed"], row["correctness"]
        printed[*key, float(row["share lost (%)"])] = row
    figure = report.csv("thickness")
    for key, dense, other, method, view in views(report):
        lost, scores = judged(report, dense, other, method, view)
        distances = scores["distance"]
        rng = np.random.default_rng(SEED)
        draws = [hand.drawn(len(lost), rng) for _ in range(RESAMPLES)]
        for q in (0.05, 0.2, 0.5):
            values = [
                hand.thickness([distances[n] for n in draw], [lost[n] for n in draw], q)
                for draw in draws
            ]
            low, high = hand.thickness_bounds(distances, lost, q)
            ends = (
                min(low, hand.rank_quantile(values, 0.025)),
                max(high, hand.rank_quantile(values, 0.975)),
            )
            row = printed[*key, 100 * q]
            text = shown_interval(hand.thickness(distances, lost, q), *ends, digits=4)
            same_text(row["ice thickness"].replace("inf", "∞"), text.replace("inf", "∞"))
            assert (row["samples"], row["lost"]) == (str(len(lost)), str(sum(lost)))
        fit = [
            row
            for row in figure
            if (row["kind"], row["seed"], row["method"], row["correctness"])
            == ("fit", str(dense.seed), method, view)
            and float(row["sparsity"]) == other.sparsity
        ]
        steps = hand.falling_fit(distances, lost)
        assert len(fit) == len(steps)
        for row, (start, end, height, size, hits) in zip(fit, steps, strict=True):
            assert_row(row, from_distance=start, to_distance=end, share=height)
            assert_row(row, samples=size, lost=hits)


def test_the_classes_are_counted_and_tested_one_against_the_others(report):
    printed = {
        (row["compared with dense"], row["seed"], row["correctness"], row["class"]): row
        for row in report.table("classes")
    }
    expected = {}
    for key, dense, other, _, view in views(report):
        rows = list(partition(dense, other, view).values())
        for label in sorted({row[3] for row in rows}):
            own = [row[0] for row in rows if row[3] == label]
            others = [row[0] for row in rows if row[3] != label]
            counts = [part.count(name) for part in (own, others) for name in ("lost", "kept")]
            expected[*key, str(label)] = own, hand.fisher_p(*counts)
    assert printed.keys() == expected.keys()
    p_values = hand.adjusted([p for _, p in expected.values()])
    for (key, (own, _)), p in zip(expected.items(), p_values, strict=True):
        row = printed[key]
        count = {name: own.count(name) for name in SETS}
        right_ = count["kept"] + count["lost"]
        assert (row["right"], row["lost"]) == (str(right_), str(count["lost"]))
        assert row["rescued"] == str(count["rescued"])
        ends = [100 * value for value in hand.wilson(count["lost"], right_)]
        same_text(row["lost (%)"], shown_interval(*ends, digits=1))
        same_text(row["dense accuracy (%)"], shown(100 * right_ / len(own), 1))
        after = count["kept"] + count["rescued"]
        same_text(row["other accuracy (%)"], shown(100 * after / len(own), 1))
        assert_probability(row["p (Fisher, adjusted)"], p)


def test_the_class_bars_pool_the_seeds(report):
    for row in report.csv("classes"):
        samples = pooled(report, row["method"], float(row["sparsity"]), row["correctness"])
        own = [name for name, _, _, label in samples if str(label) == row["label"]]
        lost, right_ = own.count("lost"), own.count("lost") + own.count("kept")
        ends = [100 * value for value in hand.wilson(lost, right_)]
        assert_row(row, right=right_, lost=lost)
        assert_row(row, **dict(zip(("lost_percent", "low", "high"), ends, strict=True)))


def lost_sets(report, seed, view):
    """By name, the lost samples of every network compared with a dense one; and its right ones."""
    found = {}
    for dense, other, method in report.pairs():
        if dense.seed == seed:
            rows = partition(dense, other, view)
            found[method, other.sparsity] = {s for s, row in rows.items() if row[0] == "lost"}
            known = sum(row[0] in ("kept", "lost") for row in rows.values())
    return found, known


def test_the_overlap_of_lost_sets_is_counted_and_held_against_chance(report):
    printed = report.table("overlap")
    figure = {}
    assert len(printed) == 2 * len(VIEWS) * 6
    for row in printed:
        sets, known = lost_sets(report, int(row["seed"]), row["correctness"])
        named = {name_of(*key): (key, members) for key, members in sets.items()}
        (first, a), (second, b) = named[row["a"]], named[row["b"]]
        both = len(a & b)
        assert (row["lost by a"], row["lost by b"]) == (str(len(a)), str(len(b)))
        assert row["both"] == str(both)
        value = both / len(a | b) if a | b else hand.NAN
        chance = hand.jaccard_by_chance(len(a), len(b), known)
        same_text(row["Jaccard"], shown(value, 3))
        same_text(row["by chance"], shown(chance, 3))
        ends = [100 * part for part in hand.wilson(both, len(a))]
        same_text(row["of a's in b's (%)"], shown_interval(*ends, digits=1))
        same_text(row["by chance (%)"], shown(100 * len(b) / known, 1))
        figure.setdefault((row["correctness"], first, second), []).append((value, chance))
    for row in report.csv("overlap"):
        ends = [(row[f"method_{end}"], float(row[f"sparsity_{end}"])) for end in "ab"]
        values = figure[row["correctness"], *ends]
        found = [pair for pair in values if not math.isnan(pair[0])]
        assert_row(row, seeds=len(found))
        means = [mean(part) for part in zip(*found, strict=True)] or [hand.NAN] * 2
        assert_row(row, jaccard=means[0], jaccard_by_chance=means[1])


def moved(dense, other):
    """By set of clean correctness: (signed distance on the dense network, on the other)."""
    there = other.rows("distances")
    found = {name: [] for name in SETS}
    for sample, (name, signed, _, _) in partition(dense, other, "clean").items():
        found[name].append((signed, float(there[sample]["signed_distance_linf"])))
    return found


def test_the_movement_table_has_medians_of_what_changed(report):
    printed = {
        (row["compared with dense"], row["seed"], row["set"]): row
        for row in report.table("movement")
    }
    assert len(printed) == len(report.pairs()) * len(SETS)
    for dense, other, method in report.pairs():
        for name, distances in moved(dense, other).items():
            row = printed[name_of(method, other.sparsity), str(dense.seed), name]
            finite = [pair for pair in distances if all(map(math.isfinite, pair))]
            assert row["samples"] == str(len(finite))
            assert row["at ∞"] == str(sum(any(map(math.isinf, pair)) for pair in distances))
            same_text(row["median on dense"], shown(hand.middle([a for a, _ in finite]), 4))
            same_text(row["on the other"], shown(hand.middle([b for _, b in finite]), 4))
            change = [b - a for a, b in finite]
            text = shown_interval(hand.middle(change), *hand.median_interval(change), digits=4)
            same_text(row["median change"], text)
            same_text(row["closer (%)"], shown(100 * hand.share(c < 0 for c in change), 1))
            both = zip(*finite, strict=True) if finite else ([], [])
            same_text(row["rank correlation"], shown(hand.spearman(*map(list, both)), 2))


def test_the_movement_figure_draws_distances_of_both_networks(report):
    rows = report.csv("movement")
    pairs = {
        (dense.seed, method, other.sparsity): (dense, other)
        for dense, other, method in report.pairs()
    }
    assert rows
    for row in rows:
        dense, other = pairs[int(row["seed"]), row["method"], float(row["sparsity"])]
        sample = int(row["sample_id"])
        name, signed, _, _ = partition(dense, other, "clean")[sample]
        there = float(other.rows("distances")[sample]["signed_distance_linf"])
        assert_row(row, set=name, signed_distance=signed, other_signed_distance=there)


def modal(networks):
    """By sample id, the most frequent prediction; of several the largest."""
    votes = {}
    for network in networks:
        for sample, row in network.rows("evaluation", "samples").items():
            votes.setdefault(sample, []).append(row["prediction"])
    return {sample: max(own, key=lambda v: (own.count(v), v)) for sample, own in votes.items()}


def test_pies_are_samples_whose_most_frequent_predictions_differ(report):
    rows = {row["compared with dense"]: row for row in report.table("pies")}
    populations = {
        key: [n for n in report.networks if (n.method, n.sparsity) == key]
        for key in networks_shown(report)
    }
    dense = populations.pop(("dense", 0.0))
    assert rows.keys() == {name_of(*key) for key in populations}
    distances = [network.rows("distances") for network in dense]
    for key, networks in populations.items():
        row, before, after = rows[name_of(*key)], modal(dense), modal(networks)
        pies = [sample for sample in before if before[sample] != after[sample]]
        assert (row["PIEs"], row["samples"]) == (str(len(pies)), str(len(before)))
        ends = [100 * value for value in hand.wilson(len(pies), len(before))]
        same_text(row["PIEs (%)"], shown_interval(*ends, digits=1))
        away = {
            sample: mean(abs(float(one[sample]["signed_distance_linf"])) for one in distances)
            for sample in before
        }
        near = [away[sample] for sample in before if sample in pies]
        far = [away[sample] for sample in before if sample not in pies]
        same_text(row["median distance of PIEs"], shown(hand.middle(near), 4))
        same_text(row["of the others"], shown(hand.middle(far), 4))
        rng = np.random.default_rng(SEED)
        ends = hand.auroc_with_interval(near, far, RESAMPLES, rng)
        same_text(row["AUROC of distance"], shown_interval(*ends))
        assert (row["seeds"], row["enough seeds"]) == ("2", "no")


def test_the_joint_model_is_that_of_another_solver(report):
    printed = {
        (row["compared with dense"], row["seed"], row["correctness"]): row
        for row in report.table("joint")
    }
    expected = {}
    for key, dense, other, method, view in views(report):
        lost, scores = judged(report, dense, other, method, view)
        expected[key] = joint(lost, scores)
    p_values = hand.adjusted([row[2] if row else hand.NAN for row in expected.values()])
    assert any(expected.values())
    for (key, found), p in zip(expected.items(), p_values, strict=True):
        row = printed[key]
        if not found:
            assert row["likelihood ratio"] == row["gain"] == "–"
            continue
        aurocs, likelihood, _, coefficient = found
        for heading, value in zip(("AUROC of rivals", "with distance"), aurocs, strict=True):
            same_text(row[heading], shown(value, 3))
        same_text(row["gain"].partition(" [")[0], shown(aurocs[1] - aurocs[0], 3))
        same_text(row["likelihood ratio"], shown(likelihood, 1))
        same_text(row["coefficient of distance"], shown(coefficient, 2))
        assert_probability(row["p (adjusted)"], p)


RIDGE = 0.01


def standard(values):
    """Mean 0, deviation 1, what is infinite at the end of what is not; None without spread."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or any(map(math.isnan, values)):
        return None
    clipped = [min(max(value, min(finite)), max(finite)) for value in values]
    middle, size = mean(clipped), len(clipped)
    deviation = math.sqrt(sum((value - middle) ** 2 for value in clipped) / size)
    if deviation <= 1e-12 * max(1, *map(abs, clipped)):
        return None
    return [(value - middle) / deviation for value in clipped]


def joint(lost, scores):
    """AUROCs out of fold without and with distance, likelihood ratio, its p, and coefficient; None
    of too few samples.
    """
    if min(sum(lost), len(lost) - sum(lost)) < ENOUGH:
        return None
    rivals = [scores[name] for name in PREDICTORS]
    if (normal := scores.get("distance / predicted change")) is not None:
        rivals.append([math.log(value) if value else -math.inf for value in normal])
    columns = [column for column in map(standard, rivals) if column]
    both = [*columns, standard(scores["distance"])]
    (_, without), (weights, with_it) = (penalised(np.array(x).T, lost) for x in (columns, both))
    gain = 2 * (with_it - without)
    aurocs = [out_of_fold(np.array(x).T, lost) for x in (columns, both)]
    return aurocs, gain, math.erfc(math.sqrt(max(gain, 0) / 2)), weights[-1]


def fitted(x, lost):
    model = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=10_000)
    return model.fit(x, lost)


def penalised(x, lost):
    """Coefficients, and the log-likelihood less the ridge's penalty."""
    model = fitted(x, lost)
    logits = model.decision_function(x)
    signs = [1 if flag else -1 for flag in lost]
    value = -sum(math.log1p(math.exp(-s * z)) for s, z in zip(signs, logits, strict=True))
    return model.coef_[0], value - RIDGE * sum(model.coef_[0] ** 2) / 2


def out_of_fold(x, lost):
    flags, scores = np.array(lost), np.empty(len(lost))
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    for train, test in folds.split(x, flags):
        scores[test] = fitted(x[train], flags[train]).decision_function(x[test])
    near, far = split(scores.tolist(), lost)
    return hand.auroc(far, near)


def test_the_twins_are_as_far_from_their_samples_as_is_said(report):
    rows = report.csv("twins")
    assert rows
    for row in rows:
        dense = report.network(int(row["seed"]), "dense")
        tensors = load_file(dense.folder / "twins/twins.safetensors")
        place = int(row["place"]) - 1
        image = tensors["images"][place].astype("float32") / np.float32(255)
        largest = float(np.abs(tensors["twins"][place] - image).max())
        assert math.isclose(float(row["distance"]), largest, rel_tol=1e-4, abs_tol=1e-6)
        assert dense.rows("evaluation", "samples")[int(row["sample_id"])]["correct"]
