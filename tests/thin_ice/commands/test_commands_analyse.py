"""The analysis tells networks of the three pipelines apart, and gives each its own history."""

import json

import numpy as np
import pandas as pd
import pytest
from miniature import MINIATURE

from thin_ice.commands.analyse import ANCESTOR, COUNTERPART, _training, _with_ancestry
from thin_ice.commands.job import Job
from thin_ice.commands.training import COLUMNS, write_history
from thin_ice.margins.analysis import NO_PAIRS
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

METHODS = {"lwm": {}, "imp": {}, "rst": {}, "bcsp": {}}


@pytest.fixture(scope="module")
def planned():
    """The job that analyses a study of methods of the three pipelines."""
    jobs = planned_jobs(study_from(MINIATURE | {"methods": METHODS}))
    return next(job for job in jobs if job.stage == "analyse")


def names_of(planned):
    return json.loads(planned.text)["parameters"]["networks"]


def test_the_dense_network_is_the_ancestor_of_what_was_made_from_it_and_else_a_counterpart(planned):
    others = {
        **{"lwm-0.9": "lwm", "imp-0.9": "imp", "rst-0.9": "rst", "bcsp-0.9": "bcsp"},
        **{"dense_again": "dense_again", "dense, seed 1": "second_seed"},
    }
    rows = [(other, method, view) for other, method in others.items() for view in ("clean", "x")]
    table = pd.DataFrame(rows, columns=["other", "method", "correctness"], index=range(5, 17))
    table.insert(2, "sparsity", 0.5)
    found = _with_ancestry(table, names_of(planned))
    assert list(found) == ["other", "method", "sparsity", "dense_is", "correctness"]
    assert dict(zip(found.other, found.dense_is, strict=True)) == {
        **{"lwm-0.9": ANCESTOR, "dense_again": ANCESTOR, "dense, seed 1": COUNTERPART},
        **{"imp-0.9": COUNTERPART, "rst-0.9": COUNTERPART, "bcsp-0.9": COUNTERPART},
    }


def test_a_run_that_compares_nothing_has_the_column_and_no_row():
    found = _with_ancestry(pd.DataFrame(NO_PAIRS), [])
    assert "dense_is" in found
    assert found.empty


def history(lost):
    """Of two epochs, the first better by so much."""
    shares = {"train_accuracy": 0.9, "validation_clean": 0.8, "eligible": 1, "lr": 0.1, "loss": 1.0}
    return [shares | {"epoch": n + 1, "validation_robust": 0.6 - n * lost} for n in range(2)]


def analysed(planned, folder, absent=()):
    """The table of training of histories that lie where the plan has them: each network loses a
    point more than the one before. ``absent``: networks that were not trained here.
    """
    description = json.loads(planned.text)
    wanted, paths = description["parameters"], []
    for place, (name, file) in enumerate(
        zip(wanted["networks"], planned.inputs["histories"], strict=True)
    ):
        if name["variant"] in absent:
            wanted["histories"][place] = None
            continue
        path = folder / file
        path.parent.mkdir(parents=True)
        write_history(path, history(place / 100))
        paths.append(path)
    job = Job(json.dumps(description), {"histories": paths}, folder / "x" / "record.json", "id")
    return _training(job)


def test_each_network_has_the_history_of_the_stage_that_chose_its_checkpoint(planned, tmp_path):
    table, names = analysed(planned, tmp_path), names_of(planned)
    assert table.variant.tolist() == [name["variant"] for name in names]
    assert table.seed.tolist() == [name["seed"] for name in names]
    assert table.overfitting_points.tolist() == pytest.approx(list(range(len(names))))
    stages = {"dense": "dense", "dense_again": "finetune", "lwm-0.9": "finetune", "rst-0.9": "mask"}
    stages |= {"imp-0.9": "train_masked", "bcsp-0.9": "train_sparse"}
    assert dict(zip(table.variant, table.stage, strict=True)) == stages
    assert (table.validation_images == 60).all()
    dense = table[table.variant == "dense"].set_index("seed").overfitting_points
    others = table[table.variant != "dense"]
    cured = dense[others.seed].to_numpy() - others.overfitting_points.to_numpy()
    assert others.cured_points.tolist() == pytest.approx(cured)


def test_a_network_that_came_from_elsewhere_takes_no_others_history(planned, tmp_path):
    names = names_of(planned)
    table = analysed(planned, tmp_path, absent=("dense", "lwm-0.9"))
    left = [n for n, name in enumerate(names) if name["variant"] not in ("dense", "lwm-0.9")]
    assert table.variant.tolist() == [names[n]["variant"] for n in left]
    assert table.overfitting_points.tolist() == pytest.approx(left)
    assert table.cured_points.isna().all()


def test_a_history_has_the_columns_that_the_table_is_made_from(tmp_path):
    write_history(tmp_path / "history.csv", [*history(0.1), {"epoch": 3, "eligible": 0}])
    found = pd.read_csv(tmp_path / "history.csv")
    assert list(found) == list(COLUMNS)
    assert found.eligible.tolist() == [1, 1, 0]
    assert np.isnan(found.validation_robust.iloc[2])
