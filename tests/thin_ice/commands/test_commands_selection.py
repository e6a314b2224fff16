"""The replay of fine-tuning: the same weights, and the same end after a kill."""

import json

import pandas as pd
import pytest
import torch
from mini_study import STUDY
from tiny_study import arguments_of, run_job

from thin_ice.commands import selection
from thin_ice.commands.cli import main
from thin_ice.commands.selection import Watch, compared
from thin_ice.models.artifact import load_model
from thin_ice.models.network import Architecture
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

RUN = "digits-digits_cnn-pgd_at"


def longer():
    """The study of these tests: four epochs, of which every second and the last are validated."""
    plan = {"epochs": 5, "validate_every": 2, "lr": 0.05, "batch_size": 32}
    return study_from(
        {
            "name": "selection",
            "seeds": [0],
            "threat": {"norm": "Linf", "eps": 0.1},
            "datasets": {"digits": {"validation": 0.2, "limit_train": 200, "limit_test": 60}},
            "models": {"digits_cnn": {"width": 4}},
            "objectives": {"pgd_at": {"steps": 1}},
            "training": {"dense": plan, "prune": {"epochs": 1}, "finetune": plan},
            "methods": {"lwm": {"claimed": "radmm_pgd10"}},
            "sparsities": [0.5],
            "selection_on_test": True,
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The jobs up to the replay, by stage, and the folder in which they have run."""
    root = tmp_path_factory.mktemp("selection")
    wanted = ("study", "dataset", "dense", "prune", "finetune", "selection")
    every = [job for job in planned_jobs(longer()) if not job.folder.endswith("dense_again")]
    jobs = {job.stage: job for job in every if job.stage in wanted}
    for job in jobs.values():
        run_job(job, root)
    return jobs, root


def facts(root):
    record = json.loads((root / RUN / "seed0/lwm-0.5/selection/provenance.json").read_text())
    run, _ = record["predicate"]["runDetails"]["byproducts"]
    return run["annotations"]


def test_the_replay_ends_with_the_weights_of_fine_tuning(made):
    _, root = made
    assert facts(root)["replay"] == {"same_weights": True, "largest_difference": 0}


def test_validated_epochs_are_measured_and_those_of_the_history(made):
    _, root = made
    folder = root / RUN / "seed0/lwm-0.5"
    history = pd.read_csv(folder / "history.csv").dropna(subset="validation_robust")
    table = pd.read_csv(folder / "selection/selection.csv")
    assert table.epoch.tolist() == history.epoch.tolist() == [2, 4, 5]
    assert table.validation_score.tolist() == pytest.approx(
        history.validation_robust.tolist(), abs=1e-5
    )
    samples = pd.read_parquet(folder / "selection/samples.parquet")
    at = {name: table.test_claimed_percent[table[name]].item() for name in samples.columns[1:]}
    found = {name: 100 * samples[name].mean() for name in at}
    assert found == pytest.approx(at, abs=1e-3)
    assert at["best_on_test"] == table.test_claimed_percent.max()


def test_a_killed_replay_ends_the_same(made, tmp_path, monkeypatch):
    jobs, root = made
    arguments = arguments_of(jobs["selection"], root)
    record = tmp_path / "again" / "provenance.json"
    arguments[arguments.index("--record") + 1] = str(record)
    calls = []

    class Killed(Watch):
        def after_validation(self, model, epoch, row):
            calls.append(epoch)
            if calls == [1, 3]:
                raise KeyboardInterrupt
            super().after_validation(model, epoch, row)

    monkeypatch.setattr(selection, "Watch", Killed)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert not record.exists()
    assert main(arguments) == 0
    assert calls == [1, 3, 3, 4]  # the first was kept, the interrupted one made again
    for file in ("selection.csv", "samples.parquet"):
        whole = root / RUN / "seed0/lwm-0.5/selection" / file
        assert (record.parent / file).read_bytes() == whole.read_bytes()


def test_another_network_is_told_from_the_replay(made):
    _, root = made
    tuned = load_model(root / RUN / "seed0/lwm-0.5/model.safetensors").model
    assert compared(tuned, tuned) == {"same_weights": True, "largest_difference": 0}
    with torch.no_grad():
        other = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=0)
        other.load_state_dict(tuned.state_dict())
        other.linear.bias[3] += 0.25
    found = compared(other, tuned)
    assert not found["same_weights"]
    assert found["largest_difference"] == pytest.approx(0.25)
    assert compared(tuned, other) == found  # whichever is the larger


def test_a_study_that_does_not_ask_for_it_has_no_such_job():
    without = study_from(json.loads(json.dumps(STUDY.resolved)) | {"selection_on_test": False})
    assert "selection" not in {job.stage for job in planned_jobs(without)}
    assert {job.stage: job for job in planned_jobs(without)}["analyse"].inputs["selection"] == ()
    asked = [job.folder for job in planned_jobs(STUDY) if job.stage == "selection"]
    assert asked == [f"{n.folder}/selection" for n in STUDY.networks() if n.sparsity]
