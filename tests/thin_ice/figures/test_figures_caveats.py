"""A caveat appears when the tables call for it, and only then."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from make_tables import EPS, make_finished

from thin_ice.figures import caveats as c
from thin_ice.figures.headline import headline_cells, headline_table
from thin_ice.figures.what_was_run import what_was_run


def test_a_jpeg_copy_is_a_caveat_and_its_original_is_none():
    accuracy = make_finished().accuracy
    assert c.jpeg_copy(accuracy.assign(dataset="cifar10")) == []
    (said,) = c.jpeg_copy(accuracy.assign(dataset="cifar10-jpeg"))
    assert "cifar10-jpeg are a JPEG re-encoded copy" in said
    assert "comparable to published ones" in said


def test_networks_at_chance_are_named():
    finished = make_finished()
    assert c.degenerate(finished.accuracy) == []
    accuracy, here = finished.accuracy, finished.accuracy.variant == "m0-0.9"
    accuracy.loc[here, "collapse"] = "at_chance"
    (said,) = c.degenerate(accuracy)
    assert said.startswith("2 networks collapsed (2 at or near chance, by clean accuracy): m0-0.9")
    assert "m0-0.9 of digits-net0-pgd_at, seed 1" in said
    accuracy.loc[here & (accuracy.seed == 1), "collapse"] += ";constant_prediction"
    (said,) = c.degenerate(accuracy)
    assert "2 at or near chance, by clean accuracy and 1 predicting one class for more" in said


def test_networks_with_an_empty_layer_are_named_with_how_many():
    accuracy = make_finished().accuracy
    assert c.empty_layers(accuracy) == []
    accuracy.loc[accuracy.variant == "m1-0.99", "empty_layers"] = 3
    (said,) = c.empty_layers(accuracy)
    assert said.startswith("2 networks with layers pruned to nothing: m1-0.99 of")
    assert "seed 1 (3), how many in brackets" in said
    assert c.degenerate(accuracy) == []


def test_networks_whose_training_overfitted_catastrophically_are_named_with_the_epoch():
    finished = make_finished()
    assert c.catastrophic(finished.training) == c.catastrophic(pd.DataFrame()) == []
    training = finished.training.copy()
    here = (training.variant == "m0-0.9") & (training.seed == 1)
    training.loc[here, "catastrophic_epoch"] = 3.0
    (said,) = c.catastrophic(training)
    assert said.startswith("Catastrophic overfitting in the training of 1 network: m0-0.9 of ")
    assert "seed 1 (3 of 4), the first such epoch in brackets" in said
    assert said in c.caveats(replace(finished, training=training))


def a_run_from_elsewhere(**study):
    """Two runs, the second with one seed and no control."""
    finished = make_finished(runs=2, methods=1, sparsities=(0.9,), samples=10, **study)
    lone = finished.runs[1]

    def cut(table):
        controls = table.method.isin(["second_seed", "dense_again"])
        return table[(table.run != lone) | ((table.seed == 0) & ~controls)]

    return replace(finished, accuracy=cut(finished.accuracy), thin_ice=cut(finished.thin_ice))


@pytest.mark.parametrize(("seeds", "said"), [(1, "1 seed, "), (4, "4 seeds, "), (5, None)])
def test_few_seeds_make_no_claim_about_a_population(seeds, said):
    caveats = c.few_seeds(make_finished(methods=1, samples=5, seeds=range(seeds)).accuracy)
    assert [one.startswith(f"{said}fewer than 5: ") for one in caveats] == [True] * bool(said)


def test_a_run_with_fewer_seeds_than_the_others_is_named():
    (said,) = c.few_seeds(a_run_from_elsewhere(seeds=range(5)).accuracy)
    assert said.startswith("1 seed of digits-net1-pgd_at, fewer than 5")
    (said,) = c.few_seeds(a_run_from_elsewhere(seeds=(0, 1)).accuracy)
    assert said.startswith("1 to 2 seeds, fewer than 5")


def test_one_seed_has_no_control():
    (said,) = c.no_control(make_finished(seeds=(0,)).thin_ice)
    assert said.startswith("One seed a run, hence no second seed as a control")
    (said,) = c.no_control(make_finished(seeds=(0,), again=False).thin_ice)
    assert said.startswith("One seed a run, hence no control")
    assert c.no_control(make_finished(seeds=(0, 1)).thin_ice) == []
    (said,) = c.no_control(a_run_from_elsewhere().thin_ice)
    assert said.startswith("One seed of digits-net1-pgd_at, hence no control")
    assert c.no_control(make_finished().thin_ice[:0]) == []


def test_few_lost_samples_are_counted():
    thin_ice = make_finished().thin_ice.assign(lost_samples=5, kept_samples=9)
    assert c.few_lost(thin_ice) == []
    thin_ice.loc[:1, "lost_samples"] = 4
    assert c.few_lost(thin_ice)[0].startswith(f"In 2 of {len(thin_ice)} rows")


def test_failed_distances_are_counted_once_a_dense_network_and_sample():
    samples = make_finished(seeds=(0, 1), samples=60).samples
    assert c.failed_distances(samples) == []
    broken = (samples.norm == "L2") & (samples.sample_id == 0) & (samples.seed == 0)
    samples.loc[broken, "signed_distance"] = -np.inf
    (said,) = c.failed_distances(samples)
    assert said.startswith("In L2 no adversarial distance was found for 1 of 120 samples")


def test_claimed_protocols_are_said_to_be_scaled_unless_the_threat_model_is_theirs():
    accuracy = make_finished().accuracy
    (same,) = c.scaled_protocols(accuracy, {"norm": "Linf", "eps": 8 / 255})
    assert "are the published ones" in same
    (said,) = c.scaled_protocols(accuracy, {"norm": "Linf", "eps": 0.2})
    assert "multiplied by 6.375" in said
    assert said.endswith("ε = 0.2 (51/255).")
    (elsewhere,) = c.scaled_protocols(accuracy, {"norm": "L2", "eps": 8 / 255})
    assert "published for 8/255 in L∞" in elsewhere
    assert "multiplied by 1 " in elsewhere
    assert elsewhere.endswith(", in L2, a threat model that they were not published for.")


def test_protocols_are_no_caveat_where_nothing_is_claimed():
    finished = make_finished(eps=0.2)
    assert any("claimed protocols" in said for said in c.caveats(finished))
    unclaimed = finished.accuracy.assign(protocol="none")
    assert c.scaled_protocols(unclaimed, finished.study["threat"]) == []


def test_every_study_says_what_eps_autoattack_had():
    assert any("ε = 0.03137 (8/255)" in said for said in c.caveats(make_finished(eps=EPS)))


def test_what_was_run_is_told_from_tables_and_study():
    told = " ".join(what_was_run(make_finished(runs=2, seeds=(0, 1))))
    for fact in (
        *("4 dense networks and 16 pruned from them", "seeds 0 and 1", "60 test samples"),
        *("net0 on digits, trained by pgd_at", "net1 on digits"),
        "m0 (method lwm) prunes by weight, to sparsity 0.9 and 0.99 and claims by pgd_m0.",
        *("ε = 0.03137 (8/255)", "version standard, seed 7, batches of 50, shards of 100"),
    ):
        assert fact in told


@pytest.mark.parametrize(
    ("switches", "said"),
    [
        ({}, None),
        ({"fold": False, "channels_last": True}, None),
        ({"fold": True, "channels_last": False}, "before them: equal within rounding"),
        ({"fold": True, "channels_last": True}, "before them, channels last in memory: equal"),
        (
            {"fold": True, "channels_last": False, "compile": True},
            "before them, compiled by torch: equal",
        ),
    ],
)
def test_what_was_run_says_how_passes_were_computed(switches, said):
    finished = make_finished()
    finished.study["speed"] = switches
    found = [one for one in what_was_run(finished) if "folded" in one]
    assert [said in one for one in found] == [True] * (said is not None)


def test_what_was_run_says_which_networks_were_pruned_before_or_during_their_training():
    first, *told = what_was_run(make_finished(methods=3, pipelines=("before", "during")))
    assert first.startswith(
        "2 dense networks and 4 pruned from them, 8 pruned before or during their own training, "
        "2 fine-tuned again without pruning as a control, seeds 0 and 1"
    )
    for said in (
        "m0 (method lwm) prunes before training by weight, to sparsity 0.9 and 0.99",
        "m1 (method lwm) prunes during training by weight, to sparsity 0.9 and 0.99",
        "m2 (method lwm) prunes by weight, to sparsity 0.9 and 0.99",
    ):
        assert sum(one.startswith(said) for one in told) == 1, said


def test_a_study_that_prunes_after_training_alone_has_no_word_of_other_pipelines():
    told = " ".join(what_was_run(make_finished()))
    for words in ("before", "during", "their own training"):
        assert words not in told


@pytest.mark.parametrize("stage", ["mask", "train_masked", "train_sparse"])
def test_extra_images_of_every_pipelines_stages_are_told(stage):
    finished = make_finished(methods=1, samples=20)
    plan = {"extra": 0.5, "epochs": 3}
    finished.study["methods"]["m0"][stage] = plan
    assert any(f"0.5 (m0's {stage})" in said for said in what_was_run(finished))
    finished.study["methods"]["m0"][stage] = plan | {"epochs": 0}
    assert not any("pseudo-labelled" in said for said in what_was_run(finished))


def test_a_custom_autoattack_names_its_attacks():
    finished = make_finished()
    finished.study["autoattack"] |= {"version": "custom", "attacks": ["apgd-ce", "square"]}
    assert any("version custom (apgd-ce and square)" in said for said in what_was_run(finished))


def contradicted(**counts):
    """Curves of six networks, one of which has these counts."""
    curves = make_finished().curves
    checked = curves.index[curves.above_autoattack.notna()]
    assert len(checked) > 1
    for name, count in counts.items():
        curves.loc[checked[-1], f"autoattack_{name}"] = count
    return curves


def test_a_sample_that_autoattack_broke_beyond_its_distance_is_a_disagreement():
    curves = contradicted(broken_but_farther=3)
    (said,) = c.disagreements(curves)
    assert said.startswith(f"Of {curves.autoattack_broken.sum():.0f} correct samples")
    assert "3 have a distance above" in said


def test_a_sample_that_flips_within_eps_where_autoattack_failed_is_a_disagreement():
    curves = contradicted(standing_but_flipped=2)
    (said,) = c.disagreements(curves)
    assert said.startswith(f"Of {curves.autoattack_standing.sum():.0f} samples that AutoAttack")
    assert "2 flipped within" in said


def test_attacks_that_agree_are_no_caveat():
    assert c.disagreements(contradicted()) == []


def test_autoattack_s_own_warnings_are_named_with_their_networks_and_mark_the_headline():
    finished = make_finished(seeds=(0, 1))
    one = (finished.accuracy.variant == "m0-0.9") & (finished.accuracy.seed == 1)
    finished.accuracy["autoattack_warnings"] = one.map({True: "dynamic;zero_gradients", False: ""})
    finished.accuracy["autoattack_unconfirmed"] = one.map({True: 3, False: 0})
    dynamic, zeros, unconfirmed = [
        text for text in c.caveats(finished) if "AutoAttack itself" in text or "counts as" in text
    ]
    for text, kind in ((dynamic, "dynamic"), (zeros, "zero gradients")):
        assert kind in text
        assert "1 network" in text
        assert "m0-0.9" in text
        assert "seed 1" in text
    assert unconfirmed.startswith("3 samples")
    header, rows = headline_cells(headline_table(finished.accuracy))
    remarks = {row[0]: row[header.index("remark")] for row in rows}
    assert remarks["m0 0.9"] == "AutoAttack warns: dynamic and zero gradients; 3 unconfirmed"
    assert not remarks["m0 0.99"]


def test_a_network_counts_once_however_many_protocols_attack_it():
    accuracy = make_finished(seeds=(0, 1)).accuracy.assign(autoattack_unconfirmed=1)
    # 2 seeds of a dense network, of 4 pruned ones, and of one fine-tuned again
    assert c.unconfirmed(accuracy)[0].startswith("12 samples")
    (said,) = c.warned(accuracy.assign(autoattack_warnings="square"))
    assert said.startswith("AutoAttack itself warns of 12 networks (square: ")


def test_a_table_read_from_a_file_has_no_warnings_where_the_cell_is_empty(tmp_path):
    finished = make_finished()
    finished.accuracy.to_csv(tmp_path / "accuracy.csv", index=False)
    read = pd.read_csv(tmp_path / "accuracy.csv")
    assert read.autoattack_warnings.isna().all()
    assert not headline_table(read).warnings.any()
    assert not any(
        "AutoAttack itself" in text for text in c.caveats(replace(finished, accuracy=read))
    )


def test_a_control_as_strong_as_pruning_is_a_caveat_and_a_weak_one_is_none():
    pairs = make_finished().main_pairs.assign(lost_samples=20, kept_samples=20)
    control = pairs.method.isin(["second_seed", "dense_again"])
    pairs["auroc_lost"] = np.where(control, 0.6, 0.9)
    pairs["auroc_lost_high"] = np.where(control, 0.89, 1.0)
    assert c.strong_controls(pairs) == []
    clean = pairs.correctness == "clean"
    pairs.loc[clean & (pairs.method == "second_seed"), "auroc_lost_high"] = 0.9
    (said,) = c.strong_controls(pairs)
    assert "clean correctness" in said
    assert "in 2 of 4 controls" in said
    assert "reaches 0.90" in said
    assert c.strong_controls(pairs.assign(lost_samples=1)) == []
    assert c.strong_controls(pairs[:0]) == []


def test_pies_of_few_seeds_and_separated_models_are_caveats():
    few, many = make_finished(seeds=(0, 1)), make_finished(seeds=range(5), samples=20)
    assert "rest on 2 seeds in 5 of 5 populations" in c.few_seeds_for_pies(few.pies)[0]
    assert c.few_seeds_for_pies(many.pies) == []
    assert c.few_seeds_for_pies(pd.DataFrame()) == []
    assert c.separated(few.joint) == []
    few.joint.loc[:2, "auroc_with"] = 0.995
    assert c.separated(few.joint)[0].startswith(f"In 3 of {len(few.joint)} joint models")
    assert c.separated(few.joint.assign(likelihood_ratio=np.nan)) == []


def test_a_curve_above_autoattack_s_interval_is_told_with_its_numbers():
    curves = make_finished(seeds=(0,), methods=1, sparsities=(0.9,)).curves
    assert c.too_robust_curves(curves) == []
    here = curves.above_autoattack.notna() & (curves.variant == "m0-0.9")
    curves.loc[here, ["above_autoattack", "robust_percent"]] = "yes", 41.0
    (said,) = c.too_robust_curves(curves)
    assert said.startswith("m0-0.9 of digits-net0-pgd_at, seed 0: ")
    assert "says 41.0 %, above AutoAttack's 32.0 % and its interval's upper end, 34.0 %" in said


def test_extra_images_are_told_with_the_stages_that_train_on_them():
    finished = make_finished(methods=2)
    assert not any("pseudo-labelled" in one for one in what_was_run(finished))
    plan = {"extra": 1.0, "epochs": 2}
    finished.study["training"] = {"dense": plan, "finetune": {"extra": 0.0, "epochs": 1}}
    finished.study["methods"]["m1"] |= {"prune": plan | {"epochs": 0}, "finetune": plan}
    (said,) = [one for one in what_was_run(finished) if "pseudo-labelled" in one]
    assert "for each of them 1 (dense) and 1 (m1's finetune); validation" in said
