"""Pruning-identified exemplars of populations that are written down."""

from dataclasses import replace

import numpy as np
import pandas as pd
import planted_run
import pytest
from scipy.stats import binomtest

from thin_ice.margins.analysis import Network
from thin_ice.margins.pies import modal_labels, pies_table

IDS = np.array([4, 2, 9, 7])
# By seed, the labels that the networks give to the samples 4, 2, 9, 7.
DENSE = {0: [1, 0, 5, 3], 1: [1, 2, 5, 3], 2: [1, 2, 6, 4]}  # modal: 1 2 5 3
AGAIN = {0: [1, 2, 5, 3], 1: [1, 2, 5, 3], 2: [0, 2, 5, 3]}  # modal: 1 2 5 3, no exemplar
PRUNED = {0: [1, 3, 5, 9], 1: [0, 3, 6, 3], 2: [1, 3, 6, 1]}  # modal: 1 3 6 9, of 7 by the tie
DISTANCE = {4: [0.5, 0.7, 0.9], 2: [-0.1, 0.1, 0.4], 9: [0.3, -0.3, 0.3], 7: [0.1, 0.1, 0.1]}


def network(seed, variant, labels, order):
    samples = pd.DataFrame({"sample_id": IDS, "label": 0, "prediction": labels}).iloc[order]
    distances = pd.DataFrame(
        {"sample_id": list(DISTANCE), "signed_distance_linf": [d[seed] for d in DISTANCE.values()]}
    )
    method, _, sparsity = variant.partition("-")
    own = distances if variant == "dense" else None  # nothing asks for the others'
    return Network("a", seed, variant, method, float(sparsity or 0), samples, own)


def networks(seeds=(0, 1, 2)):
    """Each seed's tables stand in an order of their own."""
    return [
        network(seed, variant, labels[seed], np.roll(np.arange(4), seed))
        for variant, labels in (("dense", DENSE), ("dense_again", AGAIN), ("lwm-0.9", PRUNED))
        for seed in seeds
    ]


def test_modal_labels_of_ties_are_the_largest():
    votes = np.array([[1, 7, 2, 0], [7, 1, 2, 0], [7, 1, 3, 1], [1, 7, 3, 2]])
    assert modal_labels(votes).tolist() == [7, 7, 3, 0]
    assert modal_labels(votes[:1]).tolist() == [1, 7, 2, 0]


def test_exemplars_are_counted_and_their_distance_is_compared():
    table = pies_table(networks(), planted_run.setting(100, norms=("Linf",))).set_index("method")
    row = table.loc["lwm"]
    assert (row.run, row.sparsity, row.seeds, row.samples, row.pies) == ("a", 0.9, 3, 4, 3)
    ends = binomtest(3, 4).proportion_ci(0.95, "wilson")
    assert [row.pie_percent, row.low, row.high] == pytest.approx([75, *(100 * e for e in ends)])
    # Mean absolute distances: 0.7 of sample 4; 0.2, 0.3, 0.1 of the exemplars 2, 9, 7.
    assert row.pie_median_distance == pytest.approx(0.2)
    assert row.other_median_distance == pytest.approx(0.7)
    assert (row.auroc, row.auroc_high) == (1, 1)
    assert row.auroc_low < 1


def test_a_population_that_agrees_has_no_exemplar():
    row = pies_table(networks(), planted_run.setting(20)).set_index("method").loc["dense_again"]
    assert (row.pies, row.pie_percent, row.low) == (0, 0, 0)
    assert row.high > 0
    assert np.isnan([row.pie_median_distance, row.auroc]).all()


@pytest.mark.parametrize(("seeds", "enough"), [(4, "no"), (5, "yes")])
def test_fewer_than_five_seeds_are_marked(seeds, enough):
    table = pies_table(planted_run.run(samples=60, seeds=range(seeds)), planted_run.setting(10))
    assert set(table.enough_seeds) == {enough}
    assert set(table.seeds) == {seeds}


def test_only_the_dense_networks_of_the_same_seeds_are_the_population():
    """With seed 2 alone pruned, it is the dense network of seed 2 that samples are held to: it
    labels 9 as the pruned one does, and stands 0.9 and 0.3 from the samples 4 and 9.
    """
    some = [n for n in networks() if n.variant == "dense" or n.seed == 2]
    row = pies_table(some, planted_run.setting(20)).set_index("method").loc["lwm"]
    assert (row.seeds, row.pies) == (1, 2)
    assert row.other_median_distance == pytest.approx(0.6)


def test_exemplars_whose_distance_one_seed_lacks_are_counted_without_it():
    some = networks()
    some[1].distances.loc[some[1].distances.sample_id == 2, "signed_distance_linf"] = np.nan
    row = pies_table(some, planted_run.setting(20)).set_index("method").loc["lwm"]
    assert (row.pies, row.auroc) == (3, 1)
    assert row.pie_median_distance == pytest.approx(0.2)  # of 0.3 and 0.1


def test_without_distances_in_the_threats_norm_exemplars_are_counted_all_the_same():
    row = pies_table(networks(), replace(planted_run.setting(), norms=("L2",))).set_index("method")
    assert row.pies.tolist() == [0, 3]
    assert row.pie_median_distance.isna().all()
