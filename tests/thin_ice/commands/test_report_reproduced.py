"""Every number of a report again from the tables of samples, by plain loops, with no code of ours.

A small study is run through its commands. What is expected comes from each network's per-sample
tables alone (evaluation, distances, indicators, rivals, ...), never from the analysis, and is held
against what stands on the page and in the CSV behind each figure.
"""

import math
import re
from statistics import mean

import by_hand as hand
import numpy as np
import pytest
import said
from reproduced import (
    ENOUGH,
    EPS,
    FMN,
    MEASURES,
    MECHANISMS,
    PROTOCOL,
    PUBLISHED,
    RESAMPLES,
    RUN,
    SEED,
    SETS,
    SIGMA,
    SOUGHT,
    VIEWS,
    Network,
    Page,
    Report,
    assert_row,
    by_seed,
    class_tests,
    differences,
    indicator_values,
    joint,
    judged,
    kept_of,
    kept_percents,
    lost_sets,
    minus,
    moved,
    name_of,
    networks_shown,
    outcomes,
    overestimate_points,
    pair_keys,
    partition,
    percent,
    pooled,
    proved,
    proved_at,
    pruned_keys,
    resampled,
    right,
    same_text,
    selection,
    shown,
    shown_interval,
    smoothed_at,
    split,
    study,
    told,
    values_of,
    views,
)
from safetensors.numpy import load_file
from tiny_study import run_study

from thin_ice.figures import theme
from thin_ice.figures.gallery import EXHIBITS


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
    return Report(root, networks, page.tables, page.said)


def zero_share(network):
    """Of the weights of convolutions and linear layers, the share that is zero, in percent."""
    prunable = said.prunable(network)
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
            "verified (%)": verified,
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
        same_text(row["remark"], remark(report, method, sparsity))


def verified(network):
    return 100 * hand.share(proved(network)["verified"])


def remark(report, method, sparsity):
    """Seeds whose clean accuracy is not above guessing or that predict one class alone, and what
    AutoAttack warns of in any seed.
    """
    assert not sum(by_seed(report, method, sparsity, unconfirmed))
    signs = by_seed(report, method, sparsity, said.collapse)
    chance, constant = (sum(one[place] for one in signs) for place in (0, 1))
    assert not any(empty for _, _, empty in signs)
    texts = [
        what + f" in {count} of 2 seeds" * (count == 1)
        for what, count in (("at chance", chance), ("constant prediction", constant))
        if count
    ]
    kinds = sorted(set().union(*by_seed(report, method, sparsity, said.warned_of)))
    if kinds:
        texts.append(f"AutoAttack warns: {said.listing(kind.replace('_', ' ') for kind in kinds)}")
    return "; ".join(texts)


def unconfirmed(network):
    rows = network.rows("evaluation", "samples").values()
    return sum(
        row["broken_by"] not in ("", "none", None) and row["confirmed"] is False for row in rows
    )


def test_the_indicators_are_means_over_attacked_samples_and_mark_the_headline(report):
    printed = report.page["indicators"][1:]
    columns = {"apgd_ce": "AutoAttack (%)", PROTOCOL: "claimed (%)"}
    marks = {(key, column): "" for key in networks_shown(report) for column in columns.values()}
    counted = 0
    for network in report.networks:
        own = [] if network.method == "dense_again" else [(PROTOCOL, PROTOCOL)]
        for attack, name_of_attack in [*own, ("apgd_ce", "AutoAttack's APGD")]:
            values, attacked, raised = indicator_values(network, attack)
            name = name_of(network.method, network.sparsity)
            (row,) = [r for r in printed if r[:3] == [name, str(network.seed), name_of_attack]]
            assert row[3] == str(attacked)
            for cell, value in zip(row[4:10], values, strict=True):
                same_text(cell, shown(value, 1))
            assert row[10] == raised
            marks[(network.method, network.sparsity), columns[attack]] += raised
            counted += 1
    assert counted == len(printed)
    assert any("I" in raised for raised in marks.values())
    rows = {row["network"]: row for row in report.table("headline")}
    for (key, column), raised in marks.items():
        numbers = sorted(set(re.findall(r"I(\d)", raised)))
        cell = rows[name_of(*key)][column]
        assert sorted(str("¹²³⁴⁵⁶".index(c) + 1) for c in cell if c in "¹²³⁴⁵⁶") == numbers


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
        chosen = "–"
        if key in pruned_keys(report):
            found = hand.paired_points(differences(report, *key, selection), RESAMPLES, SEED)
            chosen = shown_interval(*found, digits=1)
        same_text(row["selection on test"], chosen)
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


PLACES = {"block1.conv": 64, "block2.conv": 16, "block3.conv": 4, "linear": 1}  # of outputs


def weights_of(network):
    """The weights of the layers in order, (outputs, inputs, the rest); inputs by channel."""
    found = load_file(network.folder / "model.safetensors")
    layers = [found[f"model.{name}.weight"] for name in PLACES]
    shapes = [(len(w), w.shape[1], -1) for w in layers[:-1]] + [(10, len(layers[-2]), -1)]
    tensors = {name: t for name, t in found.items() if name.startswith("model.")}
    parameters = [t for name, t in tensors.items() if "running" not in name and t.ndim]
    return [w.reshape(s) for w, s in zip(layers, shapes, strict=True)], parameters, tensors


def alive(layers):
    """How many channels of each convolution are read, from the last: by weights of outputs that
    are themselves read. A layer never has none.
    """
    outputs, counts = set(range(10)), []
    for weight in reversed(layers[1:]):
        outputs = {c for c in range(weight.shape[1]) if any(weight[o, c].any() for o in outputs)}
        counts.append(len(outputs))
    return counts[::-1]


def test_the_table_of_sizes_counts_the_weights_of_each_network(report):
    rows = {(row["network"], row["seed"]): row for row in report.table("sizes")}
    pruned = [network for network in report.networks if network.sparsity]
    assert len(rows) == len(pruned)
    for network in pruned:
        row = rows[name_of(network.method, network.sparsity), str(network.seed)]
        layers, parameters, tensors = weights_of(network)
        total = sum(p.size for p in parameters)
        living = alive(layers)
        a, b, c = (max(n, 1) for n in living)
        small = 9 * (a + a * b + b * c) + 2 * (a + b + c) + 4 * c * 10 + 10
        macs = [n * w.size for n, w in zip(PLACES.values(), layers, strict=True)]
        used = [n * (w != 0).sum() for n, w in zip(PLACES.values(), layers, strict=True)]
        left = 9 * (64 * a + 16 * a * b + 4 * b * c) + 4 * c * 10
        whole = sum(t.nbytes for t in tensors.values())
        file = (network.folder / "compact/stored.safetensors").stat().st_size
        size = int(row["bytes"].replace(",", ""))
        assert row["parameters"] == f"{total:,}"
        same_text(
            row["parameters ≠ 0 (%)"], percent_of(sum((p != 0).sum() for p in parameters), total)
        )
        same_text(row["parameters compact (%)"], percent_of(small, total))
        assert row["MACs"] == f"{sum(macs):,}"
        same_text(row["MACs ≠ 0 (%)"], percent_of(sum(used), sum(macs)))
        same_text(row["MACs compact (%)"], percent_of(left, sum(macs)))
        assert 0 < size - whole < 150 * len(tensors)  # names, shapes and places in the header
        same_text(row["bytes stored (%)"], percent_of(file, size))
        same_text(row["times smaller"], shown(size / file, 1))
        assert row["channels kept"] == f"{a + b + c} of {sum(len(w) for w in layers[:-1])}"
        assert row["groups emptied"] == str(living.count(0))


def percent_of(part, whole):
    return shown(100 * part / whole, 1)


def test_what_is_kept_is_counted_on_the_samples_of_each_network_and_its_dense_one(report):
    printed = report.analysed("preservation")
    expected = set()
    for network in report.networks:
        if network.method == "dense":
            continue
        before = outcomes(report.network(network.seed, "dense"))
        for measure, after in outcomes(network).items():
            own = network.variant, str(network.seed), measure
            expected.add(own)
            (row,) = [r for r in printed if (r["variant"], r["seed"], r["measure"]) == own]
            first = before[measure]
            lost = [float(a) - float(b) for a, b in zip(first, after, strict=True)]
            kept = hand.kept_percent(first, after, RESAMPLES, SEED)
            points = hand.paired_points(lost, RESAMPLES, SEED)
            ends = ("kept_percent", "kept_low", "kept_high")
            assert_row(row, **dict(zip(ends, kept, strict=True)))
            ends = ("points", "points_low", "points_high")
            assert_row(row, **dict(zip(ends, points, strict=True)))
            assert_row(row, dense_percent=100 * hand.share(first), samples=len(first))
            assert_row(row, pruned_percent=100 * hand.share(after))
            protocol = PROTOCOL if measure == "empirical" else "none"
            objective = dict.fromkeys(("trained_with", "tuned_with"), "pgd_at")
            assert_row(row, protocol=protocol, kind=network.method, **objective)
    assert len(printed) == len(expected)


def test_the_table_of_what_is_kept_is_that_of_the_analysis(report):
    cells = report.table("preservation")
    assert len(cells) == len(report.analysed("preservation"))
    for cell, row in zip(cells, report.analysed("preservation"), strict=True):
        assert cell["network"] == name_of(row["method"], float(row["sparsity"]))
        assert (cell["seed"], cell["measure"]) == (row["seed"], MEASURES[row["measure"]])
        kept = [number(row[name]) for name in ("kept_percent", "kept_low", "kept_high")]
        same_text(cell["kept (%)"], shown_interval(*kept, digits=1))
        points = [number(row[name]) for name in ("points", "points_low", "points_high")]
        same_text(cell["lost (points)"], shown_interval(*points, digits=1))
        for name in ("dense", "pruned"):
            same_text(cell[f"{name} (%)"], shown(float(row[f"{name}_percent"]), 1))


def number(printed):
    return float(printed) if printed else hand.NAN


def test_the_averages_are_means_of_the_networks_ratios(report):
    cells = report.table("averages")
    keys = [key for key in networks_shown(report) if key[0] != "dense"]
    measures = {key: outcomes(report.network(0, variant_of(*key))) for key in keys}
    own = [(key, measure) for key in keys for measure in measures[key] if measure in SOUGHT]
    everyone = [(key, measure, "all") for key in keys for measure in measures[key]]
    for key, measure, over in [*everyone, *((*one, "trained for it") for one in own)]:
        told = name_of(*key), MEASURES[measure], over
        (cell,) = [c for c in cells if (c["networks"], c["measure"], c["over"]) == told]
        kept = kept_percents(report, *key, measure)
        found = [value for value in kept if not math.isnan(value)] or [hand.NAN]
        same_text(cell["kept (%)"], shown(mean(found), 1))
        same_text(cell["least"], shown(min(found), 1))
        same_text(cell["most"], shown(max(found), 1))
        assert cell["how many"] == "2"
        assert cell["nothing to keep"] == str(sum(map(math.isnan, kept)))
        fallen = [one for one in said.gone(report) if (one.method, one.sparsity) in (key, DENSE)]
        assert cell["collapsed"] == str(len({one.seed for one in fallen}))
        for name, variant in (("dense", "dense"), ("pruned", variant_of(*key))):
            values = [
                100 * hand.share(outcomes(report.network(seed, variant))[measure])
                for seed in (0, 1)
            ]
            same_text(cell[f"{name} (%)"], shown(mean(values), 1))
        published = PUBLISHED.get(measure, hand.NAN) if key[1] == 0.9 else hand.NAN
        assert cell["published (%)"] == shown(published, 1)
    assert len(cells) == len(everyone) + len(own)


DENSE = ("dense", 0.0)


def variant_of(method, sparsity):
    return f"{method}-{sparsity:g}" if sparsity else method


def test_the_figure_of_what_is_kept_draws_each_network_and_mean(report):
    rows = report.csv("preservation")
    networks = [row for row in rows if row["shown"] == "network"]
    assert len(networks) == len(report.analysed("preservation"))
    assert len(rows) - len(networks) == len(report.table("averages"))
    for row in networks:
        one = report.network(int(row["seed"]), variant_of(row["method"], float(row["sparsity"])))
        assert_row(row, kept_percent=kept_of(report, one, row["measure"]))
        assert row["own"] == ("yes" if row["measure"] in SOUGHT else "no")
    for row in rows:
        if row["shown"] == "mean":
            key = row["method"], float(row["sparsity"])
            kept = kept_percents(report, *key, row["measure"])
            found = [value for value in kept if not math.isnan(value)] or [hand.NAN]
            assert_row(row, kept_percent=mean(found))


def test_no_pair_of_objectives_is_shown_where_each_network_keeps_its_own(report):
    assert report.csv("mismatch") == []


def test_the_certified_figure_counts_proofs_and_flips_within_each_radius(report):
    rows = report.csv("certified")
    radii = sorted({float(row["eps"]) for row in rows})
    assert len(rows) == len(radii) * len(report.networks)
    for row in rows:
        variant = variant_of(row["method"], float(row["sparsity"]))
        step = round(float(row["eps"]) / (EPS / 20))
        one = report.network(int(row["seed"]), variant)
        within, beyond = proved_at(one, step * EPS / 20)
        assert_row(row, eps=step * EPS / 20, certified_percent=within, robust_percent=beyond)
        assert row["at_eps"] == ("yes" if step == 20 else "no")


def test_the_smoothed_figure_counts_certificates_beyond_each_radius(report):
    rows = report.csv("smoothed")
    assert len(rows) == 33 * len(report.networks)
    for row in rows:
        variant = variant_of(row["method"], float(row["sparsity"]))
        step = round(8 * float(row["eps"]) / SIGMA)
        one = report.network(int(row["seed"]), variant)
        assert_row(row, eps=SIGMA * step / 8, certified_percent=smoothed_at(one, SIGMA * step / 8))


def test_the_table_of_accuracies_names_objectives_and_what_was_proved(report):
    printed = report.analysed("accuracy")
    assert {(r["variant"], r["seed"]) for r in printed} == {
        (one.variant, str(one.seed)) for one in report.networks
    }
    for row in printed:
        network = report.network(int(row["seed"]), row["variant"])
        assert row["kind"] == network.method
        assert row["trained_with"] == "pgd_at"
        assert row["tuned_with"] == ("none" if network.method == "dense" else "pgd_at")
        assert (row["goal"], row["tuned_goal"]) == ("empirical", "empirical")
        found = proved(network)
        for name in ("verified", "smoothed"):
            ends = [100 * v for v in hand.wilson(sum(found[name]), len(found[name]))]
            columns = (f"{name}_percent", f"{name}_low_percent", f"{name}_high_percent")
            assert_row(row, **dict(zip(columns, ends, strict=True)))
        assert_row(row, certification_eps=EPS, **contradicted(network))


def contradicted(network):
    """How many proofs an attack contradicts; 0 if all is right."""
    samples, distances = network.rows("evaluation", "samples"), network.rows("distances")
    broken = nearer = 0
    for sample, row in network.rows("certified").items():
        proved_right = row["verified"] or row["certified_radius"] >= EPS
        broken += proved_right and not samples[sample]["robust"]
        signed, radius = distances[sample]["signed_distance_linf"], row["certified_radius"]
        flip = signed if radius > 0 else -signed
        nearer += radius != 0 and flip < abs(radius) * (1 - 1e-6)
    return {"verified_but_broken": broken, "certified_beyond_distance": nearer}


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


def test_the_accuracy_and_overestimate_figures_hold_each_network(report):
    columns = {"clean": "correct", "claimed": f"claimed_{PROTOCOL}", "autoattack": "robust"}
    rows = report.csv("accuracy")
    assert len(rows) == 3 * sum(n.method != "dense_again" for n in report.networks)
    for row in rows:
        flags = report.network(int(row["seed"]), row["variant"]).column(columns[row["measure"]])
        names = ("percent", "low_percent", "high_percent")
        values = [100 * v for v in hand.wilson(sum(map(bool, flags)), len(flags))]
        assert_row(row, **dict(zip(names, values, strict=True)))
    rows = report.csv("overestimate")
    assert len(rows) == sum(n.method != "dense_again" for n in report.networks)
    for row in rows:
        one = [n for n in report.networks if n.seed == int(row["seed"])]
        (one,) = [
            n for n in one if (n.method, n.sparsity) == (row["method"], float(row["sparsity"]))
        ]
        assert_row(row, overestimate_points=overestimate_points(one))


def test_the_mechanisms_figure_is_the_overestimate_table(report):
    claimed = f"claimed_{PROTOCOL}"
    rows = report.csv("mechanisms")
    assert len(rows) == len(networks_shown(report)) - 1
    for row in rows:
        key = row["method"], float(row["sparsity"])
        switches = {"overestimate": minus(claimed, "robust"), "selection": selection}
        switches |= {name: minus(claimed, f"{claimed}_{name}") for name in MECHANISMS.values()}
        for name, switch in switches.items():
            if name == "selection" and key not in pruned_keys(report):
                assert not row["selection_points"]
            else:
                ends = hand.paired_points(differences(report, *key, switch), RESAMPLES, SEED)
                names = (f"{name}_points", f"{name}_low", f"{name}_high")
                assert_row(row, **dict(zip(names, ends, strict=True)))


def test_the_security_curves_count_samples_that_stand_beyond_each_radius(report):
    rows = report.csv("security")
    radii = sorted({float(row["eps"]) for row in rows})
    assert all(math.isclose(r, n * EPS / 20, abs_tol=1e-6) for n, r in enumerate(radii))
    assert len(rows) == len(radii) * len(report.networks)
    assert len(rows) == len(radii) * sum(row["above_autoattack"] != "" for row in rows)
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
    wanted = [
        (*key, view, name)
        for key in pair_keys(report)
        for view in VIEWS
        for name in {one for one, v, _, _ in pooled(report, *key, view) if math.isfinite(v)}
    ]
    assert sorted(groups) == sorted(wanted)


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
            assert sum(int(row["samples"]) for row in printed[view, *key]) == len(found)
            for row in printed[view, *key]:
                number = int(row["bin"])
                here = [s[0] == "lost" for s in found if hand.bin_of(s[2], edges) == number]
                share, low, high = hand.wilson(sum(here), len(here))
                assert_row(row, samples=len(here), lost=sum(here), share=share, low=low, high=high)
                assert_row(row, from_distance=edges[number - 1], to_distance=edges[number])


NOTHING = (hand.NAN,) * 3


def predictor_row(scores, distance, lost):
    """AUROC, average precision and gain of distance, each with its ends; and the p-value."""
    near, far = split(scores, lost)
    if not near or not far:
        return (NOTHING,) * 3 + (hand.NAN,)
    own, best = hand.auroc(near, far), hand.auroc(*split(distance, lost))
    precision = hand.average_precision(scores, lost)
    mine, its = zip(*resampled(lost, scores, distance), strict=True)
    low, high = hand.newcombe(own, len(near), len(far))
    aurocs = [hand.auroc(*one) for one in mine]
    precisions = [
        hand.average_precision([*a, *b], [True] * len(a) + [False] * len(b)) for a, b in mine
    ]
    _, least, most = hand.wilson(precision * len(near), len(near))
    gains = [hand.auroc(*theirs) - one for theirs, one in zip(its, aurocs, strict=True)]
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
            same_text(row["ice thickness"], text)
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
    expected = class_tests(report)
    assert printed.keys() == expected.keys()
    for key, (own, p) in expected.items():
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
    rows = report.csv("classes")
    assert len(rows) == len(pair_keys(report)) * len(VIEWS) * 10
    for row in rows:
        samples = pooled(report, row["method"], float(row["sparsity"]), row["correctness"])
        own = [name for name, _, _, label in samples if str(label) == row["label"]]
        lost, right_ = own.count("lost"), own.count("lost") + own.count("kept")
        ends = [100 * value for value in hand.wilson(lost, right_)]
        assert_row(row, right=right_, lost=lost)
        assert_row(row, **dict(zip(("lost_percent", "low", "high"), ends, strict=True)))


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
    assert len(rows) == sum(  # no set is so large that it is thinned
        math.isfinite(a) and math.isfinite(b)
        for dense, other in pairs.values()
        for both in moved(dense, other).values()
        for a, b in both
    )
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
        assert printed[key]["samples"] == str(len(lost))
        assert printed[key]["lost"] == str(sum(lost))
    p_values = hand.adjusted([row[3] if row else hand.NAN for row in expected.values()])
    assert any(expected.values())
    for (key, found), p in zip(expected.items(), p_values, strict=True):
        row = printed[key]
        if not found:
            assert row["likelihood ratio"] == row["gain"] == "–"
            continue
        aurocs, ends, likelihood, _, coefficient = found
        for heading, value in zip(("AUROC of rivals", "with distance"), aurocs, strict=True):
            same_text(row[heading], shown(value, 3))
        same_text(row["gain"], shown_interval(aurocs[1] - aurocs[0], *ends, digits=3))
        same_text(row["likelihood ratio"], shown(likelihood, 1))
        same_text(row["coefficient of distance"], shown(coefficient, 2))
        assert_probability(row["p (adjusted)"], p)


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


@pytest.mark.parametrize("say", said.FIGURES, ids=lambda say: say.__name__)
def test_every_figures_sentence_says_what_the_samples_say(report, say):
    same_text(report.said[say.__name__][0], said.figure_sentence(report, say))


def test_the_table_of_training_is_of_each_networks_own_history(report):
    rows = {(row["network"], row["seed"]): row for row in report.table("training")}
    assert len(rows) == len(report.networks)
    for network in report.networks:
        row = rows[name_of(network.method, network.sparsity), str(network.seed)]
        robust, lost = said.history_of(network), said.lost_points(network)
        assert row["best (%)"] == shown(100 * max(robust), 1)
        assert row["last (%)"] == shown(100 * robust[-1], 1)
        assert row["robust overfitting (points)"].split()[0] == shown(lost, 1)
        assert row["pruned"] == ("after" if network.sparsity else "–")
        if network.variant != "dense":
            cured = said.lost_points(report.network(network.seed, "dense")) - lost
            assert math.isclose(float(row["cured (points)"]), cured, abs_tol=0.051)


def test_every_figure_has_its_sentence_reproduced(report):
    assert {one.__name__ for one in said.FIGURES} | {*said.ABSENT} == set(EXHIBITS)


def test_what_was_run_is_counted(report):
    *counted, distances, verified_, smoothed, absent, rowless = report.said["run"]
    for text, again in zip(counted, said.what_was_run(report), strict=True):
        same_text(text, again)
    assert f"L∞ by FMN ({listed(FMN | {'start': 'sample'})})" in distances
    assert verified_ == (
        f"Certified, every network: a sample is verified at ε = {EPS:g} ({255 * EPS:g}/255) in L∞ "
        "if intervals (IBP) or CROWN-IBP proves it, and its certified radius is sought by 3 "
        "bisections."
    )
    assert smoothed == (
        f"Smoothed, every network, by Gaussian noise of σ = {SIGMA:g}: 5 draws choose a sample's "
        "class and 50 certify its L2 radius, wrong with probability at most 0.01 (seed 0)."
    )
    assert all(why in absent for why in said.ABSENT.values())
    assert rowless.startswith("Objectives that differ. ")


def listed(attack):
    options = {name: value for name, value in attack.items() if name not in ("kind", "norm")}
    return ", ".join(f"{name} {value}" for name, value in sorted(options.items()))


def test_the_caveats_are_those_that_the_samples_call_for(report):
    printed, expected = report.said["caveats"], said.caveats(report)
    assert printed[-1].startswith("Intervals speak of the test samples")
    assert len(printed) - 1 == len(expected)
    for text, again in zip(printed, expected, strict=False):
        same_text(text, again)
    assert report.said.get("alarms", []) == [text for text in printed if "security curve" in text]
