"""The audit names every lie about one job, by its kind, and accuses nobody else."""

import os
import shutil
from posixpath import dirname

import pytest
from falsification import (
    ANALYSIS,
    DATA,
    DENSE,
    DISTANCES,
    EVALUATION,
    MEASURED_FROM,
    OTHER_DENSE,
    PAGE,
    PRUNED,
    REPORT,
    RUN,
    SHARD,
    TUNED,
    dependencies,
    details,
    internal,
    job,
    run,
)

TABLE, MODEL = f"{ANALYSIS}/accuracy.csv", f"{DENSE}/model.safetensors"
OTHER_MODEL, FIGURE = f"{OTHER_DENSE}/model.safetensors", f"{REPORT}/auroc.png"
PARQUET, OUTCOMES = f"{DISTANCES}/distances.parquet", f"{SHARD}/outcomes.parquet"
OTHER_SHARD = f"{OTHER_DENSE}/autoattack/shard0"
UNLINKED = dict.fromkeys((f"{folder}/" for folder in MEASURED_FROM), "missing link")


def expanded(copy, expected):
    """A folder, written with a slash at its end, stands for every output of its job."""
    found = {}
    for name, status in expected.items():
        if not name.endswith("/"):
            found[name] = status
            continue
        outputs = {subject["name"] for subject in copy.statement(name)["subject"]}
        found |= {f"{name}{output}": status for output in outputs}
    return found


def test_nothing_is_found_in_an_honest_study(copy):
    found = copy.audit()
    assert found.sound
    assert copy.found() == {}
    assert found.remarks == []
    assert all(artifact.sound and artifact.sha256 for artifact in found.artifacts)
    files = {p.relative_to(copy.root).as_posix() for p in copy.root.rglob("*") if p.is_file()}
    said = {f for f in files if not f.startswith("code/") and not f.endswith("/provenance.json")}
    assert {artifact.path for artifact in found.artifacts} == said


def test_times_of_files_say_nothing(copy):
    for number, path in enumerate(sorted(copy.root.rglob("*"), reverse=True)):
        os.utime(path, (number * 1e6, number * 1e6))
    assert copy.found() == {}


FILES = {
    "one bit of a model": (lambda copy: copy.flip(MODEL), {MODEL: "altered"}),
    "one bit of a model that was only passed on": (
        lambda copy: copy.flip(f"{PRUNED}/model.safetensors"),
        {f"{PRUNED}/model.safetensors": "altered"},
    ),
    "one bit of a table in parquet": (lambda copy: copy.flip(PARQUET), {PARQUET: "altered"}),
    "one bit of a figure": (lambda copy: copy.flip(FIGURE), {FIGURE: "altered"}),
    "one bit of the report": (lambda copy: copy.flip(PAGE), {PAGE: "altered"}),
    "one bit of the dataset": (
        lambda copy: copy.flip(f"{DATA}/dataset.safetensors"),
        {f"{DATA}/dataset.safetensors": "altered"},
    ),
    "a file cut short": (
        lambda copy: os.truncate(copy / OUTCOMES, (copy / OUTCOMES).stat().st_size - 1),
        {OUTCOMES: "altered"},
    ),
    "a file emptied": (
        lambda copy: os.truncate(copy / f"{DENSE}/history.csv", 0),
        {f"{DENSE}/history.csv": "altered"},
    ),
    "two models in each other's place": (
        lambda copy: copy.swap(MODEL, OTHER_MODEL),
        {MODEL: "altered", OTHER_MODEL: "altered"},
    ),
    "a figure in place of another": (
        lambda copy: shutil.copy(copy / f"{REPORT}/overestimate.png", copy / FIGURE),
        {FIGURE: "altered"},
    ),
    "a number in a table": (lambda copy: copy.raise_accuracy(), {TABLE: "altered"}),
    "a number in the saved study": (
        lambda copy: (copy / "study/study.yaml").write_text("seeds: [7]\n"),
        {"study/study.yaml": "altered"},
    ),
    "a result deleted": (
        lambda copy: (copy / PARQUET).unlink(),
        {PARQUET: "missing link", **UNLINKED},
    ),
    "a model deleted that was only passed on": (
        lambda copy: (copy / f"{PRUNED}/model.safetensors").unlink(),
        {f"{PRUNED}/model.safetensors": "missing link", f"{TUNED}/": "missing link"},
    ),
    "a file that nobody made": (
        lambda copy: (copy / f"{REPORT}/better.png").write_bytes(b"a better figure"),
        {f"{REPORT}/better.png": "orphan"},
    ),
    "a folder that nobody made": (
        lambda copy: shutil.copytree(copy / EVALUATION, copy / "extra", ignore=without_records),
        {"extra/samples.parquet": "orphan", "extra/metrics.json": "orphan"},
    ),
    "a folder behind a link that nobody made": (
        lambda copy: (copy / "extra").symlink_to(copy / EVALUATION, target_is_directory=True),
        {"extra": "orphan"},
    ),
    "a result in place of its folder": (
        lambda copy: (shutil.rmtree(copy / DISTANCES), (copy / DISTANCES).write_bytes(b"")),
        {f"{DISTANCES}/": "absent", DISTANCES: "orphan", **UNLINKED},
    ),
}


def without_records(folder, names):
    return {name for name in names if name == "provenance.json"}


def names_itself(copy, expected):
    """The folders of jobs that are gone stand for themselves."""
    gone = {name: status for name, status in expected.items() if status == "absent"}
    return gone | expanded(copy, {n: s for n, s in expected.items() if n not in gone})


@pytest.mark.parametrize("lie", FILES)
def test_a_lie_told_by_a_file_is_named(copy, lie):
    commit, expected = FILES[lie]
    commit(copy)
    assert copy.found() == names_itself(copy, expected)


def test_what_follows_from_a_lie_rests_on_it_and_nothing_else_does(copy):
    copy.flip(f"{PRUNED}/model.safetensors")
    resting = {one.path: one.rests_on for one in copy.audit().artifacts if one.rests_on}
    assert set(map(dirname, resting)) == {
        *(TUNED, ANALYSIS, REPORT),
        *(f"{TUNED}/{stage}" for stage in ("evaluation", "indicators", "distances", "sensitivity")),
        f"{TUNED}/compact",
        *(f"{TUNED}/autoattack/shard{number}" for number in (0, 1)),
    }
    assert set(map(tuple, resting.values())) == {(PRUNED,)}


def earlier(statement):
    details(statement)["metadata"]["startedOn"] = "2020-01-01T00:00:00.000+00:00"


def other_code(statement):
    job(statement)["code"]["sha256"] = "0" * 64


def other_code_ran(statement):
    run(statement)["code"]["sha256"] = "0" * 64


def without_output(statement):
    statement["subject"] = statement["subject"][:1]


def other_input(statement):
    dependencies(statement)[0]["digest"]["sha256"] = "0" * 64


def unsealed(statement):
    details(statement)["byproducts"].pop()


def command_of(words):
    return lambda statement: internal(statement).update(
        command=internal(statement)["command"].replace(*words)
    )


EDITS = {
    "host": lambda statement: run(statement).update(host="elsewhere"),
    "time": earlier,
    "parameter": lambda statement: job(statement)["parameters"].update(distances=[]),
    "planned code": other_code,
    "code that ran": other_code_ran,
    "version": lambda statement: details(statement)["builder"]["version"].update(torch="1.0"),
    "option of the command line": command_of(("--device cpu", "--device cuda")),
    "job of the command line": command_of(('"Linf"', '"L2"')),
    "stage of the command line": command_of(("thin_ice distances", "thin_ice evaluate")),
    "output": lambda statement: statement["subject"][0]["digest"].update(sha256="0" * 64),
    "no input": lambda statement: dependencies(statement).pop(),
    "input": other_input,
    "seed": lambda statement: run(statement).update(seed=9),
    "seal": unsealed,
    "fact more": lambda statement: statement.update(note="checked by the authors"),
    "seal more": lambda statement: details(statement)["byproducts"].append({"name": "seal"}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_record_with_another(copy, edit):
    """... is forged. The report pins the outputs recorded; else no other job is accused."""
    copy.edit(DISTANCES, EDITS[edit])
    expected = {PARQUET: "forged"}
    if edit == "output":
        expected[PAGE] = "forged"
    if edit == "version":  # of what followers rest on
        mixed = (f"{folder}/" for folder in (*MEASURED_FROM, REPORT))
        expected |= expanded(copy, dict.fromkeys(mixed, "mixed software"))
    assert copy.found() == expected


@pytest.mark.parametrize("edit", sorted(EDITS.keys() - {"parameter", "job of the command line"}))
def test_the_last_record_with_another(copy, edit):
    """... is forged: nobody was made from the report, and so nobody else knows its record."""
    if edit == "stage of the command line":
        copy.edit(REPORT, command_of(("thin_ice report", "thin_ice analyse")))
    else:
        copy.edit(REPORT, EDITS[edit])
    assert copy.found() == expanded(copy, {f"{REPORT}/": "forged"})


def test_an_output_taken_out_of_a_record_is_an_orphan_and_the_record_forged(copy):
    copy.edit(DENSE, without_output)
    expected = {MODEL: "forged", f"{DENSE}/history.csv": "orphan", PAGE: "forged"}
    assert copy.found() == expected


@pytest.mark.parametrize("folder", [REPORT, "study"])
def test_a_record_that_owns_to_no_output_does_not_take_its_job_out_of_sight(copy, folder):
    """Also not where the files are gone with it and nobody was made from them."""
    copy.reseal(folder, lambda statement: statement.update(subject=[]))
    for path in (copy / folder).iterdir():
        if path.name != "provenance.json":
            path.unlink()
    assert copy.found() == {f"{folder}/provenance.json": "forged"}


def test_a_record_is_deleted(copy):
    copy.record(DISTANCES).unlink()
    expected = {f"{DISTANCES}/": "absent", PARQUET: "orphan"}
    assert copy.found() == expected | expanded(copy, UNLINKED)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b"{}"])
def test_a_record_is_damaged(copy, content):
    copy.record(DISTANCES).write_bytes(content)
    expected = {PARQUET: "forged", f"{DISTANCES}/provenance.json": "forged"}
    assert copy.found() == expected | expanded(copy, UNLINKED)


def test_a_record_is_cut(copy):
    record = copy.record(DISTANCES)
    os.truncate(record, record.stat().st_size // 2)
    assert copy.found()[PARQUET] == "forged"


PLACES = {
    "of the same stage": (f"{DENSE}/autoattack/shard1", SHARD),
    "of another seed": (f"{OTHER_DENSE}/distances", DISTANCES),
    "of another stage": (EVALUATION, DISTANCES),
    "of the network before": (PRUNED, TUNED),
}


@pytest.mark.parametrize("place", PLACES)
def test_another_jobs_record(copy, place):
    """... in place of a job's own is forged, and so is no other."""
    origin, target = PLACES[place]
    shutil.copy(copy.record(origin), copy.record(target))
    found = copy.found()
    outputs = expanded(copy, {f"{target}/": "forged"})
    assert outputs.items() <= found.items()
    own = {path for path in found if dirname(path) == target}
    assert found.keys() - own <= {PAGE}


def test_two_jobs_in_each_others_place_with_their_records(copy):
    """Neither the dense network that both were made from nor what follows is accused."""
    copy.swap(SHARD, OTHER_SHARD)
    expected = {f"{SHARD}/": "forged", f"{OTHER_SHARD}/": "forged"}
    assert copy.found() == expanded(copy, expected) | {PAGE: "forged"}


def test_all_of_two_seeds_in_each_others_place_with_their_records(copy):
    copy.swap(f"{RUN}/seed0", f"{RUN}/seed1")
    found = copy.found()
    moved = {one.path for one in copy.audit().artifacts if "/seed" in one.path}
    assert {path for path in found if path != PAGE} == moved
    assert set(found.values()) == {"forged"}


def of_this_code(copy, folder):
    """The folders of all jobs that ran the same code as this one."""
    every = [path.parent.relative_to(copy.root).as_posix() for path in records(copy)]
    ran = {name: run(copy.statement(name))["code"]["sha256"] for name in every}
    return [name for name in every if ran[name] == ran[folder]], copy / f"code/{ran[folder]}.json"


def records(copy):
    return copy.root.rglob("provenance.json")


@pytest.mark.parametrize(
    ("do", "status"),
    [
        (lambda path: path.write_text(path.read_text().replace("return", "return 1 +")), "altered"),
        (lambda path: path.write_text("[]"), "altered"),
        (lambda path: path.write_text("[" * 100_000), "altered"),
        (lambda path: path.write_bytes(b"\xff"), "altered"),
        (lambda path: (path.unlink(), path.mkdir()), "missing link"),
        (lambda path: path.unlink(), "missing link"),
    ],
)
def test_the_code_that_ran_is_changed_or_gone(copy, do, status):
    ran, kept = of_this_code(copy, DISTANCES)
    assert len(ran) == 6  # every network's
    do(kept)
    assert copy.found() == expanded(copy, {f"{name}/": status for name in ran})


def test_a_checkpoint_that_was_left_is_remarked_on_and_accuses_nobody(copy):
    (copy / f"{TUNED}/.checkpoint.safetensors").write_bytes(b"half")
    found = copy.audit()
    assert found.sound
    assert found.remarks == [f"{TUNED}: a job has not finished here"]
