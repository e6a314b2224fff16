"""All tables of a run together: their rows depend on nothing but their own pair, and those without
rows keep their header.
"""

import io
from dataclasses import replace

import pandas as pd
import planted_run
import pytest

from thin_ice.evaluation.same_samples import DifferentSamples
from thin_ice.margins.tables import run_tables

NAMES = {"predictors", "thickness", "joint", "classes", "pies", "overlap", "movement"}

MEASURED = ("rivals", "breaking", "sensitivity", "certified")  # that a network may lack


def written(tables):
    return {name: table.to_csv(index=False) for name, table in tables.items()}


@pytest.fixture(scope="module")
def run():
    return planted_run.run(samples=120)


@pytest.fixture(scope="module")
def tables(run):
    return run_tables(run, planted_run.setting(20))


def test_a_run_has_every_table(tables):
    assert set(tables) == NAMES
    assert not any(table.empty for table in tables.values())


def test_each_table_of_a_run_is_counted(run, messages):
    found = run_tables(run[:2], planted_run.setting(5))
    lines = [message.rpartition("  left ")[0] for message in messages()]
    assert lines == [f"table {n}/7  after {name}" for n, name in enumerate(found, start=1)]


def test_a_seed_gives_the_same_tables_again_and_another_other_intervals(run, tables):
    assert written(run_tables(run, planted_run.setting(20))) == written(tables)
    other = run_tables(run, planted_run.setting(20, seed=1))
    assert not other["predictors"].auroc_gain_low.equals(tables["predictors"].auroc_gain_low)
    assert other["predictors"].auroc.equals(tables["predictors"].auroc)


def test_a_run_of_one_dense_network_has_tables_without_rows_and_with_their_columns(run, tables):
    alone = run_tables(
        [n for n in run if n.variant == "dense" and n.seed == 0], planted_run.setting()
    )
    assert set(alone) == NAMES
    for name, table in alone.items():
        assert table.empty
        again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
        assert again.columns.tolist() == tables[name].columns.tolist()


@pytest.mark.parametrize("name", sorted(NAMES - {"pies"}))
def test_a_row_depends_on_no_other_pair(run, tables, name):
    """But for the p-values that are adjusted for all."""
    fewer = [n for n in run if n.variant in ("dense", "dense_again", "lwm-0.99")]
    found = run_tables(fewer, planted_run.setting(20))[name]

    whole = tables[name]
    if name == "overlap":
        methods = ["dense_again", "lwm", "second_seed"]
        whole = whole[whole.method_a.isin(methods) & whole.method_b.isin(methods)]
        whole = whole[(whole.sparsity_a != 0.9) & (whole.sparsity_b != 0.9)]
    else:
        whole = whole[whole.other.isin(set(found.other))]
    own = [column for column in found.columns if "adjusted" not in column]

    left, right = (table[own].sort_values(own[:12]).to_csv(index=False) for table in (found, whole))
    assert left == right


def test_what_was_not_measured_is_left_out_of_predictors_alone(run, tables):
    bare = [replace(n, **dict.fromkeys(MEASURED)) for n in run]
    found = run_tables(bare, planted_run.setting(20))
    assert set(found["predictors"].predictor) == {"distance", "other_seed_distance"}
    for name in NAMES - {"predictors", "joint"}:
        assert written(found)[name] == written(tables)[name]


@pytest.mark.parametrize("table", ["rivals", "breaking", "certified"])
def test_a_table_of_other_samples_is_refused(run, table):
    short = [
        replace(n, **{table: getattr(n, table).iloc[1:]}) if n.variant == "dense" else n
        for n in run
    ]
    with pytest.raises(DifferentSamples, match="of 120 and of 119 samples with 119 in common"):
        run_tables(short, planted_run.setting(5))
