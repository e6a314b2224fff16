"""From evaluated networks to the thin-ice table, on tables where the answer is planted_run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import plain
import pytest

from thin_ice.errors import ThinIceError
from thin_ice.margins.analysis import DENSE_AGAIN, SECOND_SEED, Network, Pair, analyse, pairs_of
from thin_ice.margins.ice import SETS

EPS = 0.2
SAMPLES = 200


def network(run, seed, variant, samples=None, distances=None):
    method, _, sparsity = variant.partition("-")
    return Network(run, seed, variant, method, float(sparsity or 0), samples, distances)


def names(pairs):
    return [(p.dense.run, p.dense.seed, p.other.variant, p.other.seed) for p in pairs]


def test_every_network_is_paired_with_the_dense_one_it_was_made_from():
    variants = ["dense", "dense_again", "lwm-0.9", "hydra-0.99"]
    networks = [network("a", seed, variant) for seed in (0, 1, 2) for variant in variants]
    pairs = [p for p in pairs_of(networks) if p.other.variant != "dense"]
    assert len(pairs) == 9
    for pair in pairs:
        assert pair.dense.variant == "dense"
        assert (pair.dense.run, pair.dense.seed) == (pair.other.run, pair.other.seed)
        assert pair.following.variant == "dense"
        assert pair.following.seed == (pair.dense.seed + 1) % 3
    assert {p.labels["method"] for p in pairs} == {DENSE_AGAIN, "lwm", "hydra"}


def test_every_dense_network_is_paired_with_the_next_seeds_dense_one():
    pairs = pairs_of([network("a", seed, "dense") for seed in (5, 0, 2)])
    assert [(p.dense.seed, p.other.seed) for p in pairs] == [(0, 2), (2, 5), (5, 0)]
    assert all(p.following is p.other for p in pairs)
    assert {p.labels["method"] for p in pairs} == {SECOND_SEED}


def test_one_seed_alone_has_no_second_and_no_following():
    (pair,) = pairs_of([network("a", 0, "dense"), network("a", 0, "lwm-0.9")])
    assert names([pair]) == [("a", 0, "lwm-0.9", 0)]
    assert pair.following is None


def test_runs_are_kept_apart():
    networks = [
        network(run, seed, variant)
        for run, seeds in {"a": (0, 1), "b": (0,)}.items()
        for seed in seeds
        for variant in ("dense", "lwm-0.9")
    ]
    pairs = pairs_of(networks)
    assert sorted(names(pairs)) == [
        ("a", 0, "dense", 1),
        ("a", 0, "lwm-0.9", 0),
        ("a", 1, "dense", 0),
        ("a", 1, "lwm-0.9", 1),
        ("b", 0, "lwm-0.9", 0),
    ]
    assert all(p.dense.run == p.other.run for p in pairs)
    assert all(p.following.run == p.dense.run for p in pairs if p.following)


def planted(choose, seed=0):
    """A dense network, its distances, and a pruned one that lost the samples ``choose`` picks
    from the positions that the dense one had right, in order of their distance.
    """
    rng = np.random.default_rng(seed)
    ids = rng.permutation(10 * SAMPLES)[:SAMPLES]
    correct = np.arange(SAMPLES) < 160
    linf = np.where(correct, 1, -1) * rng.exponential(0.2, SAMPLES)
    linf[:5] = np.inf
    dense = pd.DataFrame(
        {"sample_id": ids, "label": ids % 10, "correct": correct, "robust": linf > EPS}
    )
    distances = dense[["sample_id"]].assign(
        signed_distance_linf=linf, signed_distance_l2=linf * rng.uniform(1, 4, SAMPLES)
    )
    other = dense.copy()
    for column, boundary in (("correct", 0.0), ("robust", EPS)):
        right = np.flatnonzero(dense[column])
        right = right[np.argsort(np.abs(linf[right] - boundary))]
        other.loc[choose(right, rng), column] = False
    measured = distances.sample(frac=1, random_state=seed)
    moved = other[["sample_id"]].assign(
        signed_distance_linf=linf - 1, signed_distance_l2=distances.signed_distance_l2 - 1
    )
    shuffled = other.sample(frac=1, random_state=seed)
    return Pair(
        network("a", 0, "dense", dense, measured), network("a", 0, "lwm-0.9", shuffled, moved)
    )


def nearest(right, rng):
    return right[:20]


def at_random(right, rng):
    return rng.choice(right, 20, replace=False)


def row_of(rows, correctness, norm):
    (row,) = rows[(rows.correctness == correctness) & (rows.norm == norm)].to_dict("records")
    return row


@pytest.mark.parametrize("correctness", ["clean", "robust"])
def test_where_the_nearest_samples_are_lost_distance_tells_it_perfectly(correctness):
    _, rows = analyse([planted(nearest)], ["Linf"], "Linf", EPS, 50, 0)
    row = row_of(rows, correctness, "Linf")
    assert row["lost_samples"] == 20
    assert row["auroc_lost"] == row["auroc_lost_high"] == 1
    assert 0.8 < row["auroc_lost_low"] < 1
    assert row["lost_median_distance"] < row["kept_median_distance"]


@pytest.mark.parametrize("correctness", ["clean", "robust"])
def test_where_samples_are_lost_at_random_distance_tells_nothing(correctness):
    values = []
    for seed in range(10):
        _, rows = analyse([planted(at_random, seed)], ["Linf"], "Linf", EPS, 10, 0)
        values.append(row_of(rows, correctness, "Linf")["auroc_lost"])
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)


def test_clean_is_looked_at_in_every_norm_and_robust_in_the_threat_models_own():
    _, rows = analyse([planted(nearest)], ["L2", "Linf"], "Linf", EPS, 5, 0)
    views = list(zip(rows.correctness, rows.norm, strict=True))
    assert views == [("clean", "L2"), ("clean", "Linf"), ("robust", "Linf")]
    _, rows = analyse([planted(nearest)], ["L2"], "Linf", EPS, 5, 0)
    assert rows.correctness.tolist() == ["clean"]


def plain_row(pair, column, boundary, distance, resamples, seed):
    """The numbers of a row, sample by sample, with dictionaries."""
    before = dict(zip(pair.dense.samples.sample_id, pair.dense.samples[column], strict=True))
    after = dict(zip(pair.other.samples.sample_id, pair.other.samples[column], strict=True))
    signed = dict(zip(pair.dense.distances.sample_id, pair.dense.distances[distance], strict=True))
    lookup = {(1, 1): "kept", (1, 0): "lost", (0, 1): "rescued", (0, 0): "never"}
    values = {name: [] for name in SETS}
    for sample in pair.dense.samples.sample_id:
        values[lookup[before[sample], after[sample]]].append(abs(signed[sample] - boundary))
    row, rng = {}, np.random.default_rng(seed)
    for name in SETS:
        row[f"{name}_samples"] = len(values[name])
        row[f"{name}_median_distance"] = np.median(values[name]) if values[name] else np.nan
    for name in ("lost", "rescued"):
        near, far = np.array(values[name]), np.array(values["kept"])
        low, high = plain.interval(near, far, resamples, rng)
        row |= {f"auroc_{name}": plain.auroc(near, far), f"auroc_{name}_low": low}
        row[f"auroc_{name}_high"] = high
    return row


VIEWS = [
    ("clean", "L2", "correct", 0.0),
    ("clean", "Linf", "correct", 0.0),
    ("robust", "Linf", "robust", EPS),
]


@pytest.mark.parametrize(("correctness", "norm", "column", "boundary"), VIEWS)
def test_every_number_of_a_row_is_that_of_a_plain_computation(correctness, norm, column, boundary):
    pair = planted(at_random, seed=3)
    wrong = np.flatnonzero(~pair.dense.samples[column])[:7]
    rescued = pair.other.samples.sample_id.isin(pair.dense.samples.sample_id.iloc[wrong])
    pair.other.samples.loc[rescued, column] = True
    _, rows = analyse([pair], ["L2", "Linf"], "Linf", EPS, 40, 11)
    row = row_of(rows, correctness, norm)
    expected = plain_row(pair, column, boundary, f"signed_distance_{norm.lower()}", 40, 11)
    assert expected["rescued_samples"] == 7
    labels = {"run": "a", "seed": 0, "other": "lwm-0.9", "method": "lwm", "sparsity": 0.9}
    labels |= {"correctness": correctness, "norm": norm}
    assert {name: row.pop(name) for name in labels} == labels
    assert row == pytest.approx(expected, abs=2e-6, nan_ok=True)


def test_a_set_without_samples_has_no_median_and_no_auroc():
    _, rows = analyse([planted(nearest)], ["Linf"], "L2", EPS, 5, 0)
    assert rows.rescued_samples.tolist() == [0]
    for column in ("rescued_median_distance", "auroc_rescued", "auroc_rescued_low"):
        assert rows[column].isna().all()


def test_what_was_not_searched_for_is_counted_in_its_set_and_not_in_its_distances():
    """Some attacks leave misclassified samples alone; robustly rescued ones are of both kinds."""
    pair = planted(at_random)
    dense, other = pair.dense.samples, pair.other.samples
    broken = dense.sample_id[dense.correct & ~dense.robust].iloc[:6].tolist()
    rescued = [*broken, *dense.sample_id[~dense.correct].iloc[:5]]
    other.loc[other.sample_id.isin(rescued), "robust"] = True
    measured = pair.dense.distances
    right = measured.sample_id.map(dense.set_index("sample_id").correct)
    measured["signed_distance_linf"] = measured.signed_distance_linf.where(right)
    _, rows = analyse([pair], ["Linf"], "Linf", EPS, 50, 0)
    row = row_of(rows, "robust", "Linf")
    own = measured.signed_distance_linf[measured.sample_id.isin(broken)]
    assert row["rescued_samples"] == 11
    assert row["rescued_median_distance"] == pytest.approx(np.median(np.abs(own - EPS)))
    samples, _ = analyse([pair], ["Linf"], "Linf", EPS, 5, 0)
    kept = samples.query("correctness == 'robust' and set == 'kept'").boundary_distance
    assert row["auroc_rescued"] == pytest.approx(plain.auroc(np.abs(own - EPS), kept))


def test_the_sample_table_has_each_sample_once_a_view_with_its_own_distance():
    pair = planted(nearest)
    samples, rows = analyse([pair], ["L2", "Linf"], "Linf", EPS, 5, 0)
    assert len(samples) == SAMPLES * len(rows)
    for (correctness, norm), table in samples.groupby(["correctness", "norm"]):
        ids = table.set_index("sample_id")
        for network, signed in (
            (pair.dense, ids.signed_distance),
            (pair.other, ids.other_signed_distance),
        ):
            own = network.distances.set_index("sample_id")[f"signed_distance_{norm.lower()}"]
            pd.testing.assert_series_equal(signed, own, check_names=False, check_like=True)
        sizes = row_of(rows, correctness, norm)
        assert {name: sizes[f"{name}_samples"] for name in SETS} == dict(table.set.value_counts())


def test_a_seed_gives_the_same_tables_again():
    first, again = (analyse([planted(at_random)], ["Linf"], "Linf", EPS, 20, 3) for _ in range(2))
    pd.testing.assert_frame_equal(first[0], again[0])
    pd.testing.assert_frame_equal(first[1], again[1])


def test_distances_of_other_samples_are_refused():
    pair = planted(nearest)
    short = replace(pair.dense, distances=pair.dense.distances.iloc[1:])
    with pytest.raises(ThinIceError, match="of 200 and of 199 samples with 199 in common"):
        analyse([Pair(short, pair.other)], ["Linf"], "Linf", EPS, 5, 0)
