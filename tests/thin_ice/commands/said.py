"""What a report says in sentences, again from the tables of samples, by plain loops.

A function a sentence; those that speak of bins or bars read the CSV behind their figure, which is
itself held against the samples.
"""

import csv
import json
import math
from dataclasses import dataclass
from statistics import mean, median, stdev

import by_hand as hand
import numpy as np
from reproduced import (
    CONTROLS,
    EPS,
    FEW,
    INDICATORS,
    MEASURES,
    MECHANISMS,
    PROTOCOL,
    PUBLISHED,
    RESAMPLES,
    RUN,
    SEED,
    SIGMA,
    SOUGHT,
    VIEWS,
    Report,
    class_tests,
    differences,
    indicator_values,
    joint,
    judged,
    kept_percents,
    lost_sets,
    minus,
    moved,
    name_of,
    networks_shown,
    overestimate_points,
    pair_keys,
    partition,
    percent,
    proved,
    proved_at,
    selection,
    shown,
    shown_interval,
    smoothed_at,
    values_of,
    views,
)
from safetensors.numpy import load_file
from scipy.stats import t as student

BY_PRUNING, BY_CONTROL = "comparison", "control"
NO_CONTROL = "there is no control"
MECHANISM_NAMES = {
    "eps": "a smaller ε",
    "steps": "few steps",
    "restarts": "few restarts",
    "loss": "the cross-entropy",
    "last": "the last iterate",
    "selection": "selection on test",
}


def span(values, digits=1):
    low, high = shown(min(values), digits), shown(max(values), digits)
    return low if low == high else f"{low} to {high}"


def counted(count, what):
    return f"{count} {what}{'s' * (count != 1)}"


def listing(items):
    *most, last = map(str, items)
    return f"{', '.join(most)} and {last}" if most else last


def sentence(*parts):
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def by_view(say):
    return sentence(*(f"{view}: {say(view)}" for view in VIEWS))


def pruned(networks):
    return [one for one in networks if one.method not in ("dense", "dense_again")]


def dense(networks):
    return [one for one in networks if one.method == "dense"]


def kinds(pairs, method=lambda pair: pair[0]):
    """Pruned ones, and then controls."""
    return (
        (BY_PRUNING, [pair for pair in pairs if method(pair) not in CONTROLS]),
        (BY_CONTROL, [pair for pair in pairs if method(pair) in CONTROLS]),
    )


def accuracy(report):
    made, before = pruned(report.networks), dense(report.networks)

    def of(networks, column):
        return f"{span([percent(column)(one) for one in networks])} %"

    return (
        f"Over {counted(len(made), 'pruned network')}, clean accuracy is {of(made, 'correct')} and "
        f"AutoAttack accuracy {of(made, 'robust')}; unpruned it is {of(before, 'correct')} and "
        f"{of(before, 'robust')}."
    )


def history_of(network):
    """Robust accuracy of the validated epochs, from the network's own history."""
    with (network.folder / "history.csv").open() as file:
        told = [row["validation_robust"] for row in csv.DictReader(file)]
    return [float(value) for value in told if value]


def lost_points(network):
    robust = history_of(network)
    return 100 * (max(robust) - robust[-1])


def with_student(values):
    if len(values) < 3:
        return shown(mean(values), 1)
    half = student.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return shown_interval(mean(values), mean(values) - half, mean(values) + half, 1)


def overfitting(report):
    before = {one.seed: lost_points(one) for one in dense(report.networks)}
    after = [one for one in pruned(report.networks) if one.seed in before]
    again = [lost_points(one) for one in report.networks if one.method == "dense_again"]
    lost = [lost_points(one) for one in after]
    less = [before[one.seed] - points for one, points in zip(after, lost, strict=True)]
    return sentence(
        f"dense networks lose {with_student([*before.values()])} points of their best robust "
        "accuracy",
        f"those fine-tuned after pruning lose {with_student(lost)}, {with_student(less)} less than "
        f"the dense network of the same seed ({counted(len(less), 'network')})",
        f"dense ones fine-tuned again lose {with_student(again)}",
    )


def overestimate(report):
    points = [round(overestimate_points(one), 9) for one in pruned(report.networks)]
    above, below = (sum(sign * value > 0 for value in points) for sign in (1, -1))
    short = f" and falls short of it in {below}" if below else ""
    return (
        f"The claimed accuracy exceeds AutoAttack's in {above} of "
        f"{counted(len(points), 'pruned network')}{short}; claimed minus AutoAttack is "
        f"{span(points)} points, median {shown(median(points), 1)}."
    )


def mechanisms(report):
    claimed = f"claimed_{PROTOCOL}"
    changes = {"overestimate": minus(claimed, "robust")}
    changes |= {name: minus(claimed, f"{claimed}_{name}") for name in MECHANISMS.values()}
    changes["selection"] = selection
    found = {
        name: [
            hand.paired_points(differences(report, *key, change), RESAMPLES, SEED)
            for key in sorted({(n.method, n.sparsity) for n in pruned(report.networks)})
        ]
        for name, change in changes.items()
        if name == "overestimate" or all(switched(report, name))
    }
    sure = {name: sum(low > 0 for _, low, _ in rows) for name, rows in found.items()}
    total = len(found.pop("overestimate"))
    means = {name: mean(value for value, _, _ in rows) for name, rows in found.items()}
    most = max(means, key=means.get)
    each = [
        f"{MECHANISM_NAMES[name]} in {sure[name]} of {total}"
        for name in MECHANISM_NAMES
        if name in found
    ]
    return (
        f"Pruned networks: the overestimate's interval lies above 0 in {sure['overestimate']} of "
        f"{total}, and what one mechanism alone hides: {listing(each)}; {MECHANISM_NAMES[most]} "
        f"hides most, {shown(means[most], 1)} points on average."
    )


def switched(report, name):
    """Whether each pruned network was attacked with this mechanism switched."""
    for one in pruned(report.networks):
        row = next(iter(one.rows("evaluation", "samples").values()))
        yield name == "selection" or f"claimed_{PROTOCOL}_{name}" in row


def standing(network):
    """In percent: right and farther than ε, and right without a found flip."""
    rows = network.rows("distances").values()
    robust = [row["correct"] and row["distance_linf"] > EPS for row in rows]
    failed = [row["correct"] and math.isinf(row["distance_linf"]) for row in rows]
    return 100 * hand.share(robust), 100 * hand.share(failed)


def autoattack(network):
    flags = network.column("robust")
    return [100 * value for value in hand.wilson(sum(map(bool, flags)), len(flags))]


def security(report):
    networks = report.networks
    gaps = [standing(one)[0] - autoattack(one)[0] for one in networks]
    above = sum(standing(one)[0] > autoattack(one)[2] for one in networks)
    failed = sum(standing(one)[1] > 0 for one in networks)
    tail = f"; {failed} have samples that no attack flipped." if failed else "."
    return (
        f"At ε the curves of {counted(len(networks), 'network')} lie {span(gaps)} points above "
        f"AutoAttack (below where negative), {above or 'none'} of them above its interval{tail}"
    )


def densities(report):
    bins = {}
    for row in report.csv("densities"):
        key = row["correctness"], (row["method"], float(row["sparsity"])), row["set"]
        bins.setdefault(key, []).append(row)

    def shared(view, pair):
        """Percent of area, or None of too few."""
        lost, kept = (bins.get((view, pair, name), []) for name in ("lost", "kept"))
        if min(sum(int(row["samples"]) for row in rows) for rows in (lost, kept)) < FEW:
            return None
        both = zip(lost, kept, strict=True)
        return 100 * sum(min(float(a["share"]), float(b["share"])) for a, b in both)

    def part(view, what, pairs):
        areas = [shared(view, pair) for pair in pairs]
        told = [area for area in areas if area is not None]
        if not told:
            return f"too few samples to say in {counted(len(areas), what)}"
        return f"{span(told, 0)} % in {counted(len(told), what)}"

    def say(view):
        parts = (part(view, *kind) for kind in kinds(pair_keys(report)))
        return f"area that the histograms of lost and kept samples share: {', '.join(parts)}"

    return by_view(say)


def sizes(report, view):
    """Of every pair its method, and the distances of lost and of kept samples."""
    for first, other, method in report.pairs():
        found = partition(first, other, view)
        yield method, values_of(found, "lost"), values_of(found, "kept")


def left_out(count):
    return f" ({count} more with fewer than {FEW} lost or kept samples left out)" * (count > 0)


def enough(rows):
    return [row for row in rows if min(len(row[1]), len(row[2])) >= FEW]


def distances(report):
    def say(view):
        (_, rows), _ = kinds(list(sizes(report, view)))
        told = enough(rows)
        nearer = sum(median(lost) < median(kept) for _, lost, kept in told)
        return (
            "the median lost sample stands nearer to the boundary than the median kept one in "
            f"{nearer} of {counted(len(told), 'comparison')}{left_out(len(rows) - len(told))}"
        )

    return by_view(say)


def loss_by_distance(report):
    lines = {}
    for row in report.csv("loss_by_distance"):
        key = row["correctness"], (row["method"], float(row["sparsity"]))
        lines.setdefault(key, {})[int(row["bin"])] = row

    def steeper(view, pairs):
        bins = [lines[view, pair] for pair in pairs]
        return sum(float(b[min(b)]["low"]) > float(b[max(b)]["high"]) for b in bins)

    def say(view):
        texts = [
            f"{steeper(view, pairs)} of {counted(len(pairs), what)}"
            for what, pairs in kinds(pair_keys(report))
        ]
        return (
            "the nearest bin loses more than the farthest, their intervals apart, in "
            f"{texts[0]} and in {texts[1]}"
        )

    return by_view(say)


def thickness(report):
    found = {}
    for _, first, other, method, view in views(report):
        lost, scores = judged(report, first, other, method, view)
        value = hand.thickness(scores["distance"], lost, 0.2)
        found.setdefault(view, []).append((method, value))

    def part(what, rows):
        some = [value for _, value in rows if value > 0]
        none = len(rows) - len(some)
        text = f"{span(some, 3) if some else 0} in {counted(len(some) or none, what)}"
        return f"{text} (0 in {none} more)" if some and none else text

    def say(view):
        parts = (part(*kind) for kind in kinds(found[view]))
        return f"the ice thickness at 20 % lost is {', '.join(parts)}"

    return by_view(say)


def auroc(report):
    def ends(row):
        return [float(row[f"auroc_lost{end}"]) for end in ("_low", "", "_high")]

    def told(rows):
        return [r for r in rows if min(int(r["lost_samples"]), int(r["kept_samples"])) >= FEW]

    def say(view):
        rows = [row for row in report.csv("auroc") if row["correctness"] == view]
        (_, made), (_, control) = kinds(rows, method=lambda row: row["method"])
        low = sum(ends(row)[0] > 0.5 for row in told(made))
        high = sum(ends(row)[2] < 0.5 for row in told(made))
        text = (
            f"in {low} of {counted(len(told(made)), 'pair')} the interval of the AUROC for lost "
            f"samples lies above 0.5{f', in {high} below it' * (high > 0)}"
            f"{left_out(len(made) - len(told(made)))}"
        )
        values = [ends(row)[1] for row in told(control)]
        above = sum(ends(row)[0] > 0.5 for row in told(control))
        if not values:
            few = f"in the {counted(len(control), 'control')} too few samples are lost to compare"
            return f"{text}; {few}"
        meaning = {
            len(values): "so closeness predicts churn without pruning too",
            0: "and no interval lies above 0.5, so closeness is not seen to predict churn there",
        }.get(above, f"with {above} of {len(values)} intervals above 0.5")
        return (
            f"{text}; in the {counted(len(values), 'control')} AUROC is {span(values, 2)}"
            f"{left_out(len(control) - len(values))}, {meaning}"
        )

    return by_view(say)


RIVAL_NAMES = {
    "breaking_distance": "AutoAttack's breaking ε",
    "certified_radius": "certified radius",
    "smoothed_radius": "smoothed radius",
    "logit_margin": "logit margin",
    "confidence_variance": "confidence p(1−p)",
    "gradient_norm": "gradient norm",
    "steps_to_flip": "PGD steps to flip",
    "adversarial_loss": "adversarial loss",
    "normalised_distance": "distance / predicted change",
}


def rivals(report):
    def say(view):
        found, gains = {}, []
        for row in report.csv("rivals"):
            few = min(int(row["lost_samples"]), int(row["kept_samples"])) < FEW
            if row["correctness"] != view or row["method"] in CONTROLS or few:
                continue
            found.setdefault(row["predictor"], []).append(float(row["auroc"]))
            if row["predictor"] in RIVAL_NAMES:
                gains.append([float(row[f"auroc_gain_{end}"]) for end in ("low", "high")])
        means = {name: mean(values) for name, values in found.items()}
        best = max(RIVAL_NAMES.keys() & means.keys(), key=means.get)
        ahead, behind = sum(low > 0 for low, _ in gains), sum(high < 0 for _, high in gains)
        return (
            f"distance has an AUROC of {span(found['distance'], 2)} (mean "
            f"{shown(means['distance'], 2)}), measured on the other seed's network a mean of "
            f"{shown(means['other_seed_distance'], 2)}, the best rival, {RIVAL_NAMES[best]}, a "
            f"mean of {shown(means[best], 2)}; the 95 % interval of distance's gain lies above 0 "
            f"in {ahead} and below 0 in {behind} of {counted(len(gains), 'pairing')}, not "
            "corrected for their number"
        )

    return by_view(say)


def twins(report):
    rows = report.csv("twins")
    away = [float(row["distance"]) for row in rows]
    ways = [f"{row['label_name']} → {row['predicted_name']}" for row in rows]
    most = max(ways, key=lambda way: (ways.count(way), -ways.index(way)))
    return (
        f"The {len(rows)} samples flip within {span(away, 4)} (L∞), "
        f"{span([100 * value / EPS for value in away], 0)} % of ε; most often {most} "
        f"({ways.count(most)} of {len(rows)})."
    )


def classes(report):
    tests = class_tests(getattr(report, "whole", report))  # adjusted over the whole table
    names_left = {name_of(*key) for key in pair_keys(report)}

    def say(view):
        shares = {}
        for row in report.csv("classes"):
            if row["correctness"] == view and row["method"] not in CONTROLS and row["lost_percent"]:
                shares.setdefault(int(row["label"]), []).append(float(row["lost_percent"]))
        means = {label: mean(values) for label, values in sorted(shares.items())}
        most, least = max(means, key=means.get), min(means, key=means.get)
        here = [
            p
            for (name, _, own, _), (_, p) in tests.items()
            if own == view and name in names_left and name not in CONTROLS.values()
            if not math.isnan(p)
        ]
        return (
            f"class {most} loses most, {shown(means[most], 1)} % on average, class {least} least, "
            f"{shown(means[least], 1)} %; {sum(p < 0.05 for p in here)} of "
            f"{counted(len(here), 'test')} of a class against the others stand after correction"
        )

    return by_view(say)


def overlap(report):
    both_pruned = [
        row
        for row in report.csv("overlap")
        if row["jaccard"] and not {row["method_a"], row["method_b"]} & CONTROLS.keys()
    ]
    if not both_pruned:
        return "There are no two pruned networks that lose samples to compare."

    def say(view):
        rows = [row for row in both_pruned if row["correctness"] == view]
        seen, chance = (
            [float(row[name]) for row in rows] for name in ("jaccard", "jaccard_by_chance")
        )
        above = sum(a > b for a, b in zip(seen, chance, strict=True))
        inside, by_chance = [], []
        for seed in (0, 1):
            sets, known = lost_sets(report, seed, view)
            less, more = sets["lwm", 0.5], sets.get(("lwm", 0.9), set())
            if less and ("lwm", 0.9) in sets:
                inside.append(100 * len(less & more) / len(less))
                by_chance.append(100 * len(more) / known)
        order = ""
        if inside:
            order = (
                f"; of what a method loses at a lower sparsity, {span(inside, 0)} % is lost at a "
                f"higher one too ({span(by_chance, 0)} % by chance)"
            )
        return (
            f"lost sets overlap by a Jaccard index of {span(seen, 2)} ({span(chance, 2)} by "
            f"chance), above chance in {above} of {counted(len(rows), 'pair')} of pruned networks"
            f"{order}"
        )

    return by_view(say)


def movement(report):
    clauses = []
    for what, pairs in zip(
        ("pruned", "control"),
        (rows for _, rows in kinds(report.pairs(), method=lambda pair: pair[2])),
        strict=True,
    ):
        changes = {}
        for first, other, _ in pairs:
            for name, both in moved(first, other).items():
                own = [b - a for a, b in both if math.isfinite(a) and math.isfinite(b)]
                if own:
                    changes.setdefault(name, []).append(median(own))
        texts = [f"{name} {span(values, 3)}" for name, values in changes.items()]
        clauses.append(f"on {what} networks by {listing(texts)}")
    return f"The median signed distance changes {', '.join(clauses)}."


def preservation(report):
    """At the sparsity of the published averages."""
    parts = []
    for measure, name in MEASURES.items():
        kept = kept_percents(report, "lwm", 0.9, measure)
        found = [value for value in kept if not math.isnan(value)]
        if not found:
            continue
        own = "" if measure in SOUGHT else ", none"
        beside = f"; published {shown(PUBLISHED[measure], 1)} %" if measure in PUBLISHED else ""
        networks = counted(len(found), "network")
        parts.append(f"{name} {shown(mean(found), 1)} % ({networks}{own} trained for it{beside})")
    fallen = {one.seed for one in gone(report) if one.sparsity == 0.9 or one.method == "dense"}
    tail = f"; {counted(len(fallen), 'network')} among them collapsed or came from one that did"
    return f"At sparsity 0.9 1 method keeps on average: {', '.join(parts)}{tail * bool(fallen)}."


def certified(report):
    within, beyond = zip(*(proved_at(one, EPS) for one in report.networks), strict=True)
    unknown = [b - a for a, b in zip(within, beyond, strict=True)]
    return (
        f"At ε = {EPS:g} ({255 * EPS:g}/255), {span(within)} % of the samples of "
        f"{counted(len(within), 'network')} are proved robust and no attack flips {span(beyond)} "
        f"%, so that of {span(unknown)} % it is unknown."
    )


def smoothed(report):
    there = [[smoothed_at(one, radius) for one in report.networks] for radius in (0, SIGMA)]
    return (
        f"Of {counted(len(report.networks), 'smoothed network')}, certified accuracy is "
        f"{span(there[0])} % at radius 0 and {span(there[1])} % at {SIGMA:g}, the deviation of "
        "the noise."
    )


ABSENT = {"mismatch": "Every network was fine-tuned with the objective that trained it"}
FIGURES = (
    *(
        accuracy,
        overfitting,
        overestimate,
        mechanisms,
        security,
        densities,
        distances,
        loss_by_distance,
    ),
    *(preservation, certified, smoothed),
    *(thickness, auroc, rivals, twins, classes, overlap, movement),
)


def what_was_run(report):
    """The sentences with numbers of what was counted, as patterns' beginnings."""
    made = len(pruned(report.networks))
    again = sum(one.method == "dense_again" for one in report.networks)
    samples = {len(one.column("correct")) for one in report.networks}
    sparsities = sorted({one.sparsity for one in pruned(report.networks)})
    before = len(dense(report.networks))
    return [
        f"{counted(before, 'dense network')} and {made} pruned from them, {again} fine-tuned again "
        f"without pruning as a control, seeds 0 and 1, evaluated on {listing(samples)} test "
        "samples: digits_cnn on digits, trained by pgd_at.",
        f"lwm prunes by weight, to sparsity {listing(sparsities)} and claims by {PROTOCOL}.",
        f"Threat model: L∞, ε = {EPS:g} ({255 * EPS:g}/255) on images scaled to [0, 1].",
        "AutoAttack: version custom (apgd-ce and square), seed 0, batches of 100, shards of 100 "
        "samples; its verdicts depend on all of these.",
        "While attacked, networks are computed with their batch norms folded into the convolutions "
        "before them: equal within rounding. What AutoAttack finds is confirmed on the networks "
        "themselves.",
    ]


def in_order(networks):
    """As the study lists them."""
    variants = ["dense", "lwm-0.5", "lwm-0.9", "dense_again"]
    return sorted(networks, key=lambda one: (one.seed, variants.index(one.variant)))


def names(networks):
    return listing(f"{one.variant} of {RUN}, seed {one.seed}" for one in in_order(networks))


def caveats(report):
    """All that the samples call for, in order."""
    return [
        *at_chance(report),
        *raised(report),
        *warnings(report),
        "2 seeds, fewer than 5: the numbers describe these networks and make no claim about the "
        "population of networks trained this way.",
        *few_lost(report),
        *strong_controls(standing_of(report)),
        *few_for_pies(report),
        *separated(report),
        *unfound(report),
        *disagreements(report),
        *alarms(report),
        f"Verified accuracy is a lower bound ({counted(len(report.networks), 'network')}, "
        f"{span([100 * hand.share(proved(one)['verified']) for one in report.networks])} %): a "
        "sample that is not verified need not be breakable, since bounds may be loose, most of all "
        "on networks that were not trained for them.",
        "Smoothing certifies another network than the one that is attacked and verified: what that "
        f"one predicts most often under Gaussian noise of σ = {SIGMA:g}, in L2. Each certificate "
        "may be wrong with probability 0.01.",
        f"AutoAttack ran at the study's ε = {EPS:g} ({255 * EPS:g}/255); robust means robust to "
        "that, not to every attack.",
        "The claimed protocols are published for 8/255; their ε and step sizes are multiplied by "
        f"{EPS / (8 / 255):.4g} to the study's ε = {EPS:g} ({255 * EPS:g}/255).",
    ]


def collapse(network):
    """Whether it is at chance, whether it predicts one class alone, and its empty layers."""
    labels, predictions = network.column("label"), network.column("prediction")
    right = sum(map(bool, network.column("correct")))
    most, guess = (max(map(values.count, values)) / len(values) for values in (predictions, labels))
    low = hand.wilson(right, len(labels))[1]
    empty = sum(not (weights != 0).any() for weights in prunable(network))
    return low <= guess, most > 0.99, empty


def prunable(network):
    """The weights of convolutions and linear layers."""
    weights = load_file(network.folder / "model.safetensors")
    return [w for name, w in weights.items() if w.ndim > 1 and "mask" not in name]


def gone(report):
    """The networks of which nothing can be said."""
    return [one for one in report.networks if any(collapse(one)[:2])]


@dataclass
class Standing(Report):
    """A report without the networks that have collapsed, nor their rows in CSVs."""

    whole: Report = None

    def csv(self, name):
        left = {(one.method, one.sparsity) for one in self.networks} | {("second_seed", 0.0)}
        ends = ("", "_a", "_b")
        return [
            row
            for row in self.whole.csv(name)
            if {
                (row[f"method{end}"], float(row[f"sparsity{end}"]))
                for end in ends
                if f"method{end}" in row
            }
            <= left
        ]


def standing_of(report):
    """What sentences about methods rest on. What pools seeds goes with any of them, so here all
    seeds of a network have to go together.
    """
    poor = gone(report)
    keys = {(one.method, one.sparsity) for one in poor}
    assert len(poor) == 2 * len(keys)
    assert ("dense", 0.0) not in keys
    left = [one for one in report.networks if one not in poor]
    return Standing(report.root, left, report.page, report.said, report)


OF_ALL = (preservation, certified, smoothed, accuracy, security, twins)


def figure_sentence(report, say):
    """What stands under a figure."""
    poor = gone(report)
    if say in OF_ALL or not poor:
        return say(report)
    return f"{say(standing_of(report))} Left out: {counted(len(poor), 'collapsed network')}."


def at_chance(report):
    """Networks whose clean accuracy is not surely above what the largest class gives, or that
    predict one class alone; then those with layers that hold no weight.
    """
    if poor := gone(report):
        counts = [sum(collapse(one)[sign] for one in poor) for sign in (0, 1)]
        what = "at or near chance, by clean accuracy", "predicting one class for more than 99 % of "
        signs = [
            f"{count} {words}{'the samples' * (words[0] == 'p')}"
            for count, words in zip(counts, what, strict=True)
            if count
        ]
        yield (
            f"{counted(len(poor), 'network')} collapsed ({listing(signs)}): {names(poor)}. "
            "What such a network gets right, loses or survives means nothing: it stands in the "
            "tables and figures, and the sentences on overestimates and on who is lost leave it "
            "out."
        )
    if empty := [one for one in in_order(report.networks) if collapse(one)[2]]:
        texts = [f"{one.variant} of {RUN}, seed {one.seed} ({collapse(one)[2]})" for one in empty]
        yield (
            f"{counted(len(texts), 'network')} with layers pruned to nothing: {listing(texts)}, "
            "how many in brackets. Such a layer gives the same whatever comes in; a network "
            "without a way around it is constant."
        )


def raised(report):
    own = [one for one in report.networks if one.method != "dense_again"]
    for networks, attack, what, end in (
        (own, PROTOCOL, "a claimed protocol", "such a claimed accuracy may be owed to the attack."),
        (
            report.networks,
            "apgd_ce",
            "AutoAttack's APGD",
            "AutoAttack's accuracy rests on its other attacks there.",
        ),
    ):
        flags = [indicator_values(one, attack)[2].split() for one in networks]
        each = []
        for number, name in enumerate(INDICATORS, 1):
            if count := sum(f"I{number}" in one for one in flags):
                said = name.replace("relative_change", "unstable_predictions").replace("_", " ")
                each.append(f"{said} in {count}")
        if each:
            several = sum(one != ["none"] for one in flags)
            yield (
                f"Indicators of attack failure are raised in {several} of "
                f"{counted(len(flags), 'evaluation')} by {what} ({listing(each)}): {end}"
            )


WARNINGS = {
    "square": "the black-box Square attack breaks samples that all gradients left standing",
    "zero_gradients": "some samples have a zero gradient",
}


def warned_of(network):
    """What AutoAttack warned of is in no table of samples, but beside it."""
    metrics = json.loads((network.folder / "evaluation/metrics.json").read_text())
    return {warning["kind"] for warning in metrics["autoattack_warnings"]}


def warnings(report):
    kinds_ = {}
    for one in in_order(report.networks):
        for kind in warned_of(one):
            kinds_.setdefault(kind, []).append(one)
    for kind, networks in sorted(kinds_.items()):
        yield (
            f"AutoAttack itself warns of {counted(len(networks), 'network')} "
            f"({kind.replace('_', ' ')}: {WARNINGS[kind]}): {names(networks)}. Its accuracy there "
            "may be too high."
        )


def few_lost(report):
    rows = [row for view in VIEWS for row in sizes(report, view)]
    if few := len(rows) - len(enough(rows)):
        yield (
            f"In {few} of {counted(len(rows), 'row')} of the thin-ice table fewer than {FEW} "
            "samples are lost or kept: too few to say anything, whatever the interval."
        )


def strong_controls(report):
    for view in VIEWS:
        (_, made), (_, control) = kinds(enough(sizes(report, view)))
        if not made or not control:
            continue
        middle = median(hand.auroc(lost, kept) for _, lost, kept in made)
        highs = [
            hand.auroc_with_interval(lost, kept, RESAMPLES, np.random.default_rng(SEED))[2]
            for _, lost, kept in control
        ]
        if strong := sum(high >= middle for high in highs):
            yield (
                f"Without pruning the effect is as strong ({view} correctness): in {strong} of "
                f"{counted(len(control), 'control')} the interval of distance's AUROC reaches "
                f"{middle:.2f}, the median after pruning. Pruning need not be the cause."
            )


def few_for_pies(report):
    populations = len(networks_shown(report)) - 1
    yield (
        f"Pruning-identified exemplars rest on 2 seeds in {populations} of "
        f"{counted(populations, 'population')}, fewer than 5: with so few a most frequent "
        "prediction is often that of one network."
    )


def separated(report):
    found = [
        joint(*judged(report, first, other, method, view))
        for _, first, other, method, view in views(report)
    ]
    models = [row for row in found if row]
    if apart := sum(max(row[0]) >= 0.99 for row in models):
        yield (
            f"In {apart} of {counted(len(models), 'joint model')} the AUROC is 0.99 or more: lost "
            "and kept samples are nearly separated, and coefficients and tests rest on the ridge "
            "penalty."
        )


def unfound(report):
    rows = [row for one in dense(report.networks) for row in one.rows("distances").values()]
    if count := sum(math.isinf(row["signed_distance_linf"]) for row in rows):
        yield (
            f"In L∞ no adversarial distance was found for {count} of {len(rows)} samples (dense "
            "networks together): they are left out of the distributions, and AUROC and the bins "
            "count them as farthest."
        )


def disagreements(report):
    broken, kept, farther, flipped = 0, 0, 0, 0
    for one in report.networks:
        away = one.rows("distances")
        for sample, row in one.rows("evaluation", "samples").items():
            beyond = away[sample]["distance_linf"] > EPS
            broken += row["correct"] and not row["robust"]
            farther += row["correct"] and not row["robust"] and beyond
            kept += bool(row["robust"])
            flipped += bool(row["robust"]) and not beyond
    if farther:
        yield (
            f"Of {broken} correct samples that AutoAttack broke at ε (all networks together), "
            f"{farther} have a distance above ε: the distance attacks missed a nearer flip, and "
            "these distances are too large."
        )
    if flipped:
        yield (
            f"Of {kept} samples that AutoAttack left standing at ε (all networks together), "
            f"{flipped} flipped within ε under a distance attack: AutoAttack's accuracy is too "
            "high by as much."
        )


def alarms(report):
    for one in in_order(report.networks):
        robust, (value, _, high) = standing(one)[0], autoattack(one)
        if robust > high:
            yield (
                f"{one.variant} of {RUN}, seed {one.seed}: at ε its security curve says "
                f"{robust:.1f} %, above AutoAttack's {value:.1f} % and its interval's upper end, "
                f"{high:.1f} %. Its distances are too large."
            )
