"""What the README tells a stranger to do works as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import bench
import measure
import pandas as pd
import pytest
import yaml
from miniature import MINIATURE, REPOSITORY

from thin_ice import tables
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.commands.cli import TOOLS, main
from thin_ice.commands.cost import of_networks
from thin_ice.commands.methods import left_out_table, methods_table
from thin_ice.figures import overfitting
from thin_ice.figures.standing import collapsed_networks
from thin_ice.files import sha256
from thin_ice.provenance.finding import Status
from thin_ice.provenance.statement import parse_record
from thin_ice.pruning.left_out import LEFT_OUT
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from_file
from thin_ice.study.pipelines import STAGES
from thin_ice.study.sizing import estimate

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def example_method():
    """The example's file name, its source, and its line of the table, out of the README."""
    path = re.search(r"in\n`workflow/(thin_ice/pruning/\w+\.py)`", README)[1]
    source = re.search(r"```python\n(\"\"\"LAMP.*?)```", README, flags=re.DOTALL)[1]
    line = re.search(r"```python\n( +\"\w+\": \"thin_ice\.pruning\..*?)```", README, re.DOTALL)[1]
    return path, source, line


USE = """
import sys, torch, yaml
from thin_ice import tables
from thin_ice.models.network import Architecture
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.study.load import study_from
study = study_from(yaml.safe_load(sys.stdin))
network = next(n for n in study.networks() if n.method == "lamp")
assert '"allocation":"layer"' in study.prune_job(network)
model = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(0)
masks = tables.load("methods", "lamp")("layer").pruner(0.9).finish(model)
kept = {name: (int(mask.sum()), mask.numel()) for name, mask in masks.items()}
assert all(a == n - n * 9 // 10 for a, n in kept.values()), kept
print("kept", sum(a for a, _ in kept.values()))
"""


def test_the_example_method_is_one_file_and_one_line(tmp_path):
    shutil.copytree(REPOSITORY / "workflow", tmp_path / "workflow")
    path, source, line = example_method()
    (tmp_path / "workflow" / path).write_text(source)
    table = tmp_path / "workflow/thin_ice/tables.py"
    table.write_text(table.read_text().replace("METHODS = {\n", "METHODS = {\n" + line))
    study = MINIATURE | {"methods": {"lamp": {"allocation": "layer"}}}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        input=yaml.safe_dump(study),
        env=os.environ | {"PYTHONPATH": str(tmp_path / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout


def test_the_tables_of_methods_are_those_that_the_command_prints():
    section = README[README.index("## The methods") : README.index("## What there is")]
    for table in (methods_table(), left_out_table()):
        assert f"\n\n{table}\n" in section


def test_the_command_prints_both_tables(capsys):
    assert main(["methods"]) == 0
    assert capsys.readouterr().out == f"{methods_table()}\n{left_out_table()}"


def test_every_method_has_a_row_and_no_name_of_the_readme_is_unknown():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) training \| ([\w, ]+) \|", README, re.MULTILINE)
    methods = {kind: tables.load("methods", kind) for kind in tables.METHODS}
    told = {kind: (when, tuple(units.split(", "))) for kind, when, units in rows}
    assert told == {kind: (one.pipeline, one.units) for kind, one in methods.items()}
    assert len(rows) == len(told)


def test_no_method_that_is_here_is_said_to_be_left_out():
    names = [one.name.lower().replace("-", "") for one in LEFT_OUT]
    assert len({*names}) == len(names)
    assert not {kind.replace("_", "") for kind in tables.METHODS} & {*names}
    assert {one.pipeline for one in LEFT_OUT} <= {*STAGES}


def test_every_claimed_protocol_is_named_in_the_readme():
    (row,) = re.findall(r"^\| claimed protocols \| (.*) \|$", README, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(PROTOCOLS)


def test_every_file_that_the_readme_names_is_there():
    named = re.findall(r"`((?:workflow|envs|slurm|results/reference)/[\w./-]+)`", README)
    written_by_the_reader = {"workflow/thin_ice/pruning/lamp.py"}
    assert len(named) > 8
    for path in set(named) - written_by_the_reader:
        assert (REPOSITORY / path).exists(), path


def reference(name):
    folder = REPOSITORY / "results/reference/digits/digits-digits_cnn-pgd_at/analysis"
    return pd.read_csv(folder / name)


def test_the_findings_are_those_of_the_reference_study():
    text = " ".join(README.split())
    ice = reference("thin_ice.csv").query("correctness == 'robust'")
    pruned = ice[~ice.method.isin(["second_seed", "dense_again"])]
    above = int((pruned.auroc_lost_low > 0.5).sum())
    low, high = pruned.auroc_lost.min(), pruned.auroc_lost.max()
    assert f"AUROC is {low:.2f} to {high:.2f} over the {len(pruned)} pruned networks" in text
    assert f"the interval above 0.5 in {above}" in text
    for method, what in (
        ("second_seed", "between two dense seeds"),
        ("dense_again", "when a dense network is fine-tuned once more"),
    ):
        seeds = sorted(ice[ice.method == method].auroc_lost)
        assert f"{seeds[0]:.2f} and {seeds[1]:.2f} {what}" in text
    points = reference("accuracy.csv").groupby(reference("accuracy.csv").method == "dense")
    low, high = points.overestimate_points.min(), points.overestimate_points.max()
    assert f"pruned networks by {low[False]:.1f} to {high[False]:.1f} points" in text
    assert f"of the dense ones by {low[True]:.1f} to {high[True]:.1f}" in text


def test_the_rivals_are_those_of_the_reference_study():
    """Means over the pruned networks with enough lost and kept samples, clean correctness."""
    rows = reference("predictors.csv").query("correctness == 'clean' and norm != 'L2'")
    rows = rows[~rows.method.isin(["second_seed", "dense_again"])]
    rows = rows[rows[["lost_samples", "kept_samples"]].min(axis=1) >= 5]
    told = rows[["seed", "other"]].drop_duplicates()
    assert f"The {len(told)} pruned networks that lose at least 5 samples" in " ".join(
        README.split()
    )
    for name, auroc in rows.groupby("predictor").auroc.mean().items():
        assert re.search(rf"\| `{name}` \|.*\| {auroc:.2f} \|", README), (name, auroc)


def of_methods(name):
    folder = REPOSITORY / "results/reference/methods/digits-digits_cnn-pgd_at/analysis"
    return pd.read_csv(folder / name).set_index(["method", "sparsity", "seed"]).sort_index()


def test_the_findings_on_methods_are_those_of_the_reference_study():
    accuracy, text = of_methods("accuracy.csv"), " ".join(README.split())
    robust = accuracy.autoattack_percent.round(1).map("{:.1f}".format)
    for method in ("lwm", "hydra", "harp"):
        seeds = r" \| ".join(robust[method, 0.99])
        row = rf"\| `{method}`.* \| {seeds} \|"
        assert re.search(row, README), row
    dense = accuracy.loc["dense"].autoattack_percent.groupby("seed").first().mean()
    assert f"dense {dense:.1f}" in text

    def at(method, sparsity):
        return robust[method, sparsity, 0]

    hydra, radmm = at("hydra", 0.99), at("radmm", 0.99)
    searched = at("heracles_hydra", 0.99), at("heracles_radmm", 0.99)
    assert "`heracles_hydra` {}, `heracles_radmm` {}".format(*searched) in text
    assert f"against uniform ones ({hydra}, {radmm})" in text
    filters = ("snip_filter", "channel_l2", "filter_l2", "filter_l1", "random_filter")
    found = [at(method, 0.95) for method in filters]
    assert found[0] == found[1]
    told = "`snip_filter` and `channel_l2` keep {1}, `filter_l2` {2}, `filter_l1` {3}, "
    assert (told + "`random_filter` {4}").format(*found) in text
    assert f"(`lwm_iterative_filter`) {at('lwm_iterative_filter', 0.95)} remain" in text
    clean = accuracy.clean_percent["pwoa_filter", 0.95, 0]
    assert f"95 %: {clean:.1f} clean, {at('pwoa_filter', 0.95)} robust" in text
    clean = accuracy.clean_percent["mad", 0.9, 0]
    told = f"collapses** on this network: {at('mad', 0.9)} at 90 % ({clean:.1f} clean), which is "
    assert told + f"less than a random mask keeps ({at('random_mask', 0.9)})" in text
    assert "at_chance" in accuracy.collapse["mad", 0.99, 0]
    assert "at_chance" in accuracy.collapse["harp_uniform", 0.99, 0]
    assert f"at chance at 99 % ({at('harp', 0.99)} as learned)" in text
    pairs = (("harp_reshaped", "harp_channel", 0.5), ("radmm_leaky", "radmm", 0.9))
    for released, paper, sparsity in (*pairs, ("pwoa_targets", "pwoa", 0.9)):
        first = f"{at(released, sparsity)} for {at(paper, sparsity)} at {sparsity:.0%}"
        last = f"{at(released, 0.99)} for {at(paper, 0.99)} at 99 %"
        assert f"{first.replace('%', ' %')}, {last}" in text
    sizes = of_methods("sizes.csv")
    half, one = sizes.loc["filter_l2", 0.5, 0], sizes.loc["lwm", 0.99, 0]
    for what in ("parameters", "multiply_accumulates"):
        share = 100 * half[f"{what}_compact"] / half[f"{what}_dense"]
        assert (
            f"{share:.1f} % of the {what.replace('multiply_accumulates', 'multiplications')}"
            in text
        )
    assert f"a file {one.bytes_dense / one.bytes_stored:.1f} times smaller" in text


NOT_AFTER = ("before", "during")  # training


def test_the_table_of_methods_before_and_during_training_is_that_of_the_reference_study():
    accuracy = of_methods("accuracy.csv").loc[lambda rows: rows.pipeline.isin(NOT_AFTER)]
    robust = accuracy.autoattack_percent.map("{:.1f}".format)
    told = {}
    for line in README.splitlines():
        if found := re.fullmatch(r"\| `(\w+)` \| (before|during) \| (.+) \|", line):
            name, pipeline, numbers = found.groups()
            told[name] = [pipeline, *numbers.split(" | ")]
    assert set(told) == set(accuracy.index.get_level_values("method"))
    for name, (pipeline, *numbers) in told.items():
        rows = accuracy.loc[name]
        assert set(rows.pipeline) == {pipeline}
        here = robust[name].droplevel("seed")
        first = 0.5 if set(rows.unit) == {"filter"} else 0.9
        assert numbers == [here.get(sparsity, "–") for sparsity in (first, 0.95, 0.99)], name
    of_weights = accuracy[accuracy.unit == "weight"].overestimate_points
    assert {group.idxmax()[0] for _, group in of_weights.groupby("sparsity")} == {"rst"}
    least, most = of_weights["rst"].min(), of_weights["rst"].max()
    assert f"most** of them, by {least:.1f} to {most:.1f} points" in README


def test_what_is_said_of_robust_overfitting_is_what_the_report_says():
    accuracy, training = of_methods("accuracy.csv"), of_methods("training.csv")
    gone = collapsed_networks(accuracy.reset_index())[["method", "sparsity", "seed"]]
    left = training.drop(index=list(gone.itertuples(index=False, name=None))).reset_index()
    table = overfitting.table(SimpleNamespace(training=left))
    assert overfitting.sentence(table) in " ".join(README.split())


def test_the_reference_outputs_are_what_their_records_say():
    records = sorted((REPOSITORY / "results/reference").rglob("provenance.json"))
    assert records
    for record in records:
        subjects = json.loads(record.read_text())["subject"]
        kept = [s for s in subjects if (record.parent / s["name"]).exists()]
        assert kept, record
        for subject in kept:
            assert sha256(record.parent / subject["name"]) == subject["digest"]["sha256"], subject


def test_every_finding_of_an_audit_is_in_the_readme_as_the_audit_words_it():
    for status in Status:
        assert f"| {status} | {status.means} |" in README


def test_the_findings_on_cheap_training_are_those_of_the_reference_study():
    folder, text = REPOSITORY / "results/reference/cheap_training", " ".join(README.split())
    dense, pruned, seconds = [], [], {}
    for objective in ("pgd_at", "n_fgsm", "n_fgsm_long", "free_at", "free_at_long", "fgsm"):
        run = f"digits-digits_cnn-{objective}"
        robust = pd.read_csv(folder / run / "analysis/accuracy.csv").set_index("variant")
        dense.append(robust.autoattack_percent["dense"].iloc[0])
        pruned.append(robust.autoattack_percent["lwm-0.9"])
        record = json.loads((folder / run / "seed0/dense/provenance.json").read_text())
        seconds[objective] = parse_record(record).run["seconds"]
    said = text[text.index("Cheap training is no bargain") :].split("After LWM at 90 %: ")
    assert re.findall(r"(\d+\.\d) %", said[0]) == [f"{value:.1f}" for value in dense]
    listed = ", ".join(f"{value:.1f}" for value in pruned[:-1])
    assert said[1].startswith(f"{listed} and {pruned[-1]:.1f} %.")
    ratio = seconds["n_fgsm"] / seconds["pgd_at"]
    assert f"which took {ratio:.2f} of the time" in said[0]


def test_what_the_thin_ice_study_costs_is_what_is_estimated():
    study = study_from_file(REPOSITORY / "workflow/studies/thin-ice.yaml", with_data=False)
    hours = Counter()
    for job, network in of_networks(study, planned_jobs(study)):
        hours[job.stage] += estimate(study, job.stage, network, 20_000).seconds / 3600
    said = README[README.index("At 20 TFLOP/s") :].split("\n\n")[0]
    whole, distances, autoattack, finetune = map(
        int, re.findall(r"([\d,]+) (?:GPU|%)", said.replace(",", ""))
    )
    assert whole == pytest.approx(hours.total(), rel=5e-3)
    shares = {stage: round(100 * h / hours.total()) for stage, h in hours.most_common(3)}
    assert shares == {"distances": distances, "autoattack": autoattack, "finetune": finetune}


def test_every_tool_and_make_target_that_the_readme_names_exists():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    tools = set(re.findall(r"python -m thin_ice (\w+)", README))
    assert tools == set(TOOLS)


def test_every_direct_dependency_has_its_line_in_the_readme():
    lines = (REPOSITORY / "envs/requirements.in").read_text().splitlines()
    names = [re.split("[=<>]", line)[0] for line in lines if line and not line.startswith("#")]
    table = README[README.index("## Dependencies") :]
    assert [name for name in names if name not in table] == []


def test_the_lock_pins_every_direct_dependency_and_the_same_torch_as_the_makefile():
    lock = (REPOSITORY / "envs/requirements.txt").read_text().lower()
    wanted = (REPOSITORY / "envs/requirements.in").read_text().splitlines()
    pins = [line for line in wanted if line and not line.startswith("#")]
    makefile = (REPOSITORY / "Makefile").read_text()
    for pin in pins:
        if pin.startswith("torch=="):
            assert pin in makefile
        else:
            name, _, version = pin.partition("==")
            found = re.search(rf"^{re.escape(name)}==(.+)$", lock, flags=re.MULTILINE)
            assert found, name
            assert version in ("", found[1])


def test_the_table_of_targets_is_what_make_bench_last_printed():
    report = json.loads((REPOSITORY / "results/reference/bench/bench.json").read_text())
    fields = ("name", "value", "unit", "target", "about")
    figures = [measure.Figure(**{key: one[key] for key in fields}) for one in report["figures"]]
    printed = measure.table(figures)
    assert printed in README
    said = README[README.index(printed) :].split("\n\n")[1]
    assert bench.explained(figures) in said.replace("\n", " ").replace(" Missed:", "\nMissed:")
