"""The replay of pruning before and during training: the same weights, and the same after a kill."""

import json

import pandas as pd
import pytest
from tiny_study import arguments_of, run_job

from thin_ice.commands import selection
from thin_ice.commands.cli import main
from thin_ice.commands.selection import Watch
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

RUN = "digits-digits_cnn-pgd_at"
# A way each through the stages; MEASURED: the epochs after which a replay looks at test.
METHODS = {
    "imp": {"mask": {"epochs": 2, "cycles": 2, "batch_size": 32}},  # train_masked is replayed
    "rst": {"mask": {"epochs": 3, "batch_size": 32, "validate_every": 1}},  # mask is
    "twinrep": {"prune_at": 0.5, "train_sparse": {"validate_every": 1}},  # pruned after two epochs
    "flying_bird_plus": {  # looks at validation itself, and prunes by what it sees
        **{"begin": 0, "updates": 12, "window": 1, "drop_more": 1, "grow_more": 1},
        "train_sparse": {"validate_every": 1},
    },
}
MEASURED = {"imp": [2, 4], "rst": [1, 2, 3], "twinrep": [3, 4], "flying_bird_plus": [1, 2, 3, 4]}
REPLAYED = {"imp": "train_masked", "rst": "mask"}


def study():
    plan = {"epochs": 4, "validate_every": 2, "batch_size": 32}
    return study_from(
        {
            "name": "replays",
            "seeds": [0],
            "threat": {"norm": "Linf", "eps": 0.1},
            "datasets": {"digits": {"validation": 0.2, "limit_train": 120, "limit_test": 30}},
            "models": {"digits_cnn": {"width": 4}},
            "objectives": {"pgd_at": {"steps": 1}},
            "training": {"dense": plan},
            "methods": {label: {"claimed": "rst_pgd7"} | own for label, own in METHODS.items()},
            "sparsities": [0.5],
            "selection_on_test": True,
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The jobs that make the networks and replay them, by folder, and where they have run."""
    root = tmp_path_factory.mktemp("replays")
    stages = ("dataset", "mask", "train_masked", "train_sparse", "selection")
    jobs = {job.folder: job for job in planned_jobs(study()) if job.stage in stages}
    for job in jobs.values():
        run_job(job, root)
    return jobs, root


def folder_of(label):
    return f"{RUN}/seed0/{label}-0.5"


def history_of(root, label):
    """Of the stage that chose the checkpoint."""
    within = "pruned/" * (REPLAYED.get(label) == "mask")
    return pd.read_csv(root / folder_of(label) / within / "history.csv")


def test_no_dense_network_is_needed(made):
    _, root = made
    assert not (root / RUN / "seed0/dense").exists()


@pytest.mark.parametrize("label", METHODS)
def test_the_replay_ends_with_the_weights_of_the_stage_that_chose_the_checkpoint(made, label):
    jobs, root = made
    folder = f"{folder_of(label)}/selection"
    wanted = json.loads(jobs[folder].text)["parameters"]
    assert wanted["replays"] == REPLAYED.get(label, "train_sparse")
    record = json.loads((root / folder / "provenance.json").read_text())
    found, _ = record["predicate"]["runDetails"]["byproducts"]
    assert found["annotations"]["replay"] == {"same_weights": True, "largest_difference": 0}


@pytest.mark.parametrize("label", METHODS)
def test_the_epochs_that_might_be_chosen_are_measured_and_are_those_of_the_history(made, label):
    _, root = made
    history = history_of(root, label)
    table = pd.read_csv(root / folder_of(label) / "selection/selection.csv")
    assert table.epoch.tolist() == MEASURED[label]
    told = history[history.validation_robust.notna() & (history.eligible == 1)]
    assert table.epoch.tolist() == told.epoch.tolist()
    scores = told.validation_robust.tolist()
    assert table.validation_score.tolist() == pytest.approx(scores, abs=1e-5)
    best = told.sort_values(["validation_robust", "validation_clean", "epoch"]).epoch.iloc[-1]
    assert table.epoch[table.chosen_on_validation].tolist() == [best]
    samples = pd.read_parquet(root / folder_of(label) / "selection/samples.parquet")
    at = {name: table.test_claimed_percent[table[name]].item() for name in samples.columns[1:]}
    assert {name: 100 * samples[name].mean() for name in at} == pytest.approx(at, abs=1e-3)


def test_epochs_before_the_network_is_pruned_are_validated_and_may_not_be_chosen(made):
    _, root = made
    history = history_of(root, "twinrep")
    assert history.validation_robust.notna().all()
    assert history.eligible.tolist() == [0, 0, 1, 1]
    assert history_of(root, "rst").eligible.tolist() == [1, 1, 1]


@pytest.mark.parametrize("label", METHODS)
def test_a_killed_replay_ends_the_same(made, tmp_path, monkeypatch, label):
    jobs, root = made
    job = jobs[f"{folder_of(label)}/selection"]
    arguments = arguments_of(job, root)
    record = tmp_path / "again" / "provenance.json"
    arguments[arguments.index("--record") + 1] = str(record)
    calls, (first, second, *rest) = [], MEASURED[label]

    class Killed(Watch):
        def after_validation(self, model, epoch, row):
            calls.append(epoch + 1)
            if calls == [first, second]:
                raise KeyboardInterrupt
            super().after_validation(model, epoch, row)

    monkeypatch.setattr(selection, "Watch", Killed)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert not record.exists()
    assert main(arguments) == 0
    assert calls == [first, second, second, *rest]  # the interrupted one is made again
    for file in ("selection.csv", "samples.parquet"):
        assert (record.parent / file).read_bytes() == (root / job.folder / file).read_bytes()
    found, _ = json.loads(record.read_text())["predicate"]["runDetails"]["byproducts"]
    assert found["annotations"]["replay"]["same_weights"]
