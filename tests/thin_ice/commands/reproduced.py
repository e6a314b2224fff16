"""A small study run through its commands, its report taken apart, and what its samples say.

What is read here are each network's per-sample tables alone (evaluation, distances, indicators,
rivals, ...), never the analysis.
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
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from tiny_study import TINY

from thin_ice.study.load import study_from

EPS, RESAMPLES, SEED = 0.05, 10, 0
SIGMA = 0.1  # of the noise of smoothed networks
PUBLISHED = {"benign": 93.0, "empirical": 92.5, "verified": 85.0}  # kept at sparsity 0.9
SOUGHT = ("benign", "empirical", "autoattack")  # measures that the study's objective is after
MEASURES = {
    "benign": "benign",
    "empirical": "empirical",
    "autoattack": "AutoAttack",
    "verified": "verified",
    "smoothed": "smoothed",
}
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
            "certification": {
                "bounds": ["ibp", "crown_ibp"],
                "rounds": 3,
                "smoothing": {"sigma": SIGMA, "n0": 5, "n": 50, "alpha": 0.01},
            },
            "selection_on_test": True,
            "indicators": TINY["indicators"] | {"samples": 60},
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
    """The cells of every table whose details have an id; the sentence of every figure, by its id;
    the items of the lists of sections, by theirs; and the alarms.
    """

    def __init__(self):
        super().__init__()
        self.tables, self.name, self.cell = {}, None, None
        self.said, self.place, self.text = {}, None, None

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        if tag in ("section", "figure"):
            self.place = own["id"]
        if tag == "p" and own.get("class") == "alarm":
            self.place = "alarms"
        if tag == "li" or (tag, own.get("class")) in (("p", "finding"), ("p", "alarm")):
            self.text = ""
        if tag == "details" and own.get("id", "").startswith("table-"):
            self.name = own["id"].removeprefix("table-")
            self.tables[self.name] = []
        elif tag == "tr" and self.name:
            self.tables[self.name].append([])
        elif tag in ("td", "th") and self.name:
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag in ("li", "p") and self.text is not None:
            self.said.setdefault(self.place, []).append(self.text)
            self.text = None
        if tag in ("td", "th") and self.name:
            self.tables[self.name][-1].append(self.cell)
            self.cell = None
        elif tag == "details":
            self.name = None


def proved(network):
    """By measure, sample by sample whether it is proved right."""
    rows = list(network.rows("certified").values())
    return {
        "verified": [bool(row["verified"]) for row in rows],
        "smoothed": [row["smoothed_radius"] > 0 for row in rows],
    }


def outcomes(network):
    """By measure, sample by sample whether the network has it right."""
    found = {"benign": network.column("correct"), "autoattack": network.column("robust")}
    if network.method != "dense_again":
        found["empirical"] = network.column(f"claimed_{PROTOCOL}")
    found |= proved(network)
    return {name: [bool(one) for one in values] for name, values in found.items()}


def kept_percents(report, method, sparsity, measure):
    """Of each network of a pair, in percent of its dense one's; NaN where that has nothing."""
    return by_seed(report, method, sparsity, lambda one: kept_of(report, one, measure))


def kept_of(report, network, measure):
    before = outcomes(report.network(network.seed, "dense"))[measure]
    return 100 * sum(outcomes(network)[measure]) / sum(before) if any(before) else hand.NAN


def proved_at(network, radius):
    """Percent of the samples that are proved right, and that no attack flipped, within a radius."""
    distances, proofs = network.rows("distances").values(), network.rows("certified").values()
    within = [row["certified_radius"] > 0 and row["certified_radius"] >= radius for row in proofs]
    beyond = [row["correct"] and row["distance_linf"] > radius for row in distances]
    return 100 * hand.share(within), 100 * hand.share(beyond)


def smoothed_at(network, radius):
    """Percent of the samples that the smoothed network is certified to have right beyond it."""
    rows = network.rows("certified").values()
    return 100 * hand.share(row["smoothed_radius"] > radius for row in rows)


@dataclass
class Report:
    """A finished study: its networks, and what its report says."""

    root: object
    networks: list
    page: dict
    said: dict

    def network(self, seed, variant):
        return next(n for n in self.networks if (n.seed, n.variant) == (seed, variant))

    def table(self, name):
        """A table of the page, a dictionary a row."""
        header, *rows = self.page[name]
        return [dict(zip(header, row, strict=True)) for row in rows]

    def csv(self, name):
        with (self.root / "report" / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))

    def analysed(self, name):
        """A table of the analysis."""
        with (self.root / RUN / "analysis" / f"{name}.csv").open() as file:
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
    if math.isnan(low) and math.isnan(high):
        return shown(value, digits)
    return f"{shown(value, digits)} [{shown(low, digits)}, {shown(high, digits)}]"


def same_text(printed, expected):
    """Equal but for the last decimal, which rounding may tip; numbers in the same places."""
    pattern = r"-?\d+\.?\d*"
    assert re.sub(pattern, "#", printed) == re.sub(pattern, "#", expected), (printed, expected)
    for a, b in zip(re.findall(pattern, printed), re.findall(pattern, expected), strict=True):
        digits = len(a.partition(".")[2])
        assert a == b or (digits and abs(float(a) - float(b)) < 1.01 * 10**-digits), (a, b, printed)


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


def pruned_keys(report):
    return sorted({(n.method, n.sparsity) for n in report.networks if n.sparsity})


def networks_shown(report):
    return sorted({(n.method, n.sparsity) for n in report.networks})


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


def told(ends, values, kept):
    if min(len(values), len(kept)) < FEW:
        return "–" if math.isnan(ends[0]) else f"{ends[0]:.2f} (too few)"
    return shown_interval(*ends)


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
    proofs = dense.rows("certified")
    for name in ("certified_radius", "smoothed_radius"):
        scores[name.replace("_", " ")] = [proofs[sample][name] for sample in ids]
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


def lost_sets(report, seed, view):
    """By name, the lost samples of every network compared with a dense one; and its right ones."""
    found = {}
    for dense, other, method in report.pairs():
        if dense.seed == seed:
            rows = partition(dense, other, view)
            found[method, other.sparsity] = {s for s, row in rows.items() if row[0] == "lost"}
            known = sum(row[0] in ("kept", "lost") for row in rows.values())
    return found, known


def moved(dense, other):
    """By set of clean correctness: (signed distance on the dense network, on the other)."""
    there = other.rows("distances")
    found = {name: [] for name in SETS}
    for sample, (name, signed, _, _) in partition(dense, other, "clean").items():
        found[name].append((signed, float(there[sample]["signed_distance_linf"])))
    return found


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


def selection(network):
    """Sample by sample, the outcome at test's best epoch less that at the one chosen."""
    rows = network.rows("selection", "samples").values()
    return [float(row["best_on_test"]) - float(row["chosen_on_validation"]) for row in rows]


def resampled(lost, *scores):
    """For each resample, the lost and the kept of each score."""
    rng = np.random.default_rng(SEED)
    parts = [split(values, lost) for values in scores]
    for _ in range(RESAMPLES):
        near, far = (hand.drawn(len(part), rng) for part in parts[0])
        yield [([a[place] for place in near], [b[place] for place in far]) for a, b in parts]


def class_tests(report):
    """By pair, seed, kind of correctness and class: the sets of its samples, and the adjusted p of
    its losses against those of all other classes.
    """
    found, p_values = {}, []
    for key, dense, other, _, view in views(report):
        rows = list(partition(dense, other, view).values())
        for label in sorted({row[3] for row in rows}):
            own = [row[0] for row in rows if row[3] == label]
            others = [row[0] for row in rows if row[3] != label]
            counts = [part.count(name) for part in (own, others) for name in ("lost", "kept")]
            found[*key, str(label)] = own
            p_values.append(hand.fisher_p(*counts))
    both = zip(found.items(), hand.adjusted(p_values), strict=True)
    return {key: (own, p) for (key, own), p in both}


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
    """AUROCs out of fold without and with distance, the ends of the second's gain, likelihood
    ratio, its p, and coefficient; None of too few samples.
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
    chances = [out_of_fold(np.array(x).T, lost) for x in (columns, both)]
    aurocs = [hand.auroc(*split(x, lost)) for x in chances]
    draws = [[hand.auroc(*part) for part in parts] for parts in resampled(lost, *chances)]
    gains = [second - first for first, second in draws]
    ends = [hand.quantile(gains, q) for q in (0.025, 0.975)]
    return aurocs, ends, gain, math.erfc(math.sqrt(max(gain, 0) / 2)), weights[-1]


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
    """The log odds of being kept, by models that have not seen the sample."""
    flags, scores = np.array(lost), np.empty(len(lost))
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    for train, test in folds.split(x, flags):
        scores[test] = -fitted(x[train], flags[train]).decision_function(x[test])
    return scores.tolist()
