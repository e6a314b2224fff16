"""Lies that agree with one another: the next link tells, then the report, then only a key."""

import re
import shlex
import shutil
from datetime import datetime, timedelta

import pytest
from falsification import (
    ANALYSIS,
    DENSE,
    DISTANCES,
    EVALUATION,
    PAGE,
    PRUNED,
    REPORT,
    RUN,
    SHARD,
    TUNED,
    Copy,
    accused,
    dependencies,
    details,
    folders,
    internal,
    job,
    planned,
    planned_with,
    run,
)
from tiny_study import run_job

from thin_ice.provenance import fingerprint, machine, outdated, record
from thin_ice.provenance.audit import audit
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.graph import with_followers
from thin_ice.provenance.planned import PlannedJob
from thin_ice.provenance.root import digest
from thin_ice.provenance.signing import new_key, read_private_key, sign_all
from thin_ice.study import plan

PARQUET, TABLE = f"{DISTANCES}/distances.parquet", f"{ANALYSIS}/accuracy.csv"
MODEL = f"{DENSE}/model.safetensors"


def outputs(copy: Copy, names) -> set[str]:
    return {f"{name}/{one['name']}" for name in names for one in copy.statement(name)["subject"]}


def all_as(status, paths):
    return dict.fromkeys(paths, status)


def measured(*stages):
    """Folders of all jobs that measure distances, or of other stages."""
    return {job.folder for job in planned() if job.stage in (stages or ("distances",))}


def followers(*names):
    """The folders of jobs and of all that follow from them, in the order of the plan."""
    reached = with_followers(planned(), names)
    return [folder for folder in folders() if folder in reached]


def root_of(copy: Copy) -> str:
    evidence = gather(copy.root)
    return digest(evidence.records, evidence.ancestors(REPORT))


def signed(copy: Copy, tmp_path):
    """The public key that a study is signed by."""
    public = new_key(tmp_path / "key")
    sign_all(gather(copy.root), read_private_key(tmp_path / "key"))
    return public


def test_a_table_with_its_record_unsealed(copy):
    copy.raise_accuracy()
    copy.edit(ANALYSIS, lambda statement: copy.fix_outputs(statement, ANALYSIS))
    assert copy.found() == all_as("forged", outputs(copy, [ANALYSIS])) | {PAGE: "forged"}


def test_a_table_with_its_record_sealed_is_told_by_the_record_of_the_report(copy):
    copy.raise_accuracy()
    copy.reseal(ANALYSIS, lambda statement: copy.fix_outputs(statement, ANALYSIS))
    assert copy.found() == all_as("forged", outputs(copy, [ANALYSIS])) | {PAGE: "forged"}


def test_a_table_with_all_records_sealed_is_told_by_the_report(copy):
    copy.raise_accuracy()
    copy.rewrite([ANALYSIS, REPORT])
    assert copy.found() == {PAGE: "forged"}


LINKS = {
    "model": (DENSE, lambda copy: copy.flip(MODEL)),
    "model passed on": (PRUNED, lambda copy: copy.flip(f"{PRUNED}/model.safetensors")),
    "outcomes": (SHARD, lambda copy: copy.flip(f"{SHARD}/outcomes.parquet")),
    "distances": (DISTANCES, lambda copy: copy.flip(PARQUET)),
    "dataset": ("data/digits", lambda copy: copy.flip("data/digits/dataset.safetensors")),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_file_and_its_record_are_told_by_the_next_record(copy, link):
    folder, lie = LINKS[link]
    lie(copy)
    copy.rewrite([folder])
    assert copy.found() == all_as("forged", outputs(copy, [folder])) | {PAGE: "forged"}


@pytest.mark.parametrize("link", LINKS)
def test_a_file_and_every_record_that_follows_are_told_by_the_report(copy, link):
    folder, lie = LINKS[link]
    lie(copy)
    copy.rewrite(followers(folder))
    assert copy.found() == {PAGE: "forged"}


def rewritten(copy: Copy) -> None:
    """Every file that speaks of a model, the report included, agrees that it is another."""
    copy.flip(MODEL)
    copy.rewrite(followers(DENSE))
    copy.print_root()
    copy.rewrite([REPORT])


def test_the_limit_a_study_rewritten_whole_is_not_told_without_a_key_or_a_root(copy):
    rewritten(copy)
    assert copy.found() == {}


def test_a_study_rewritten_whole_has_another_root_than_was_published(copy):
    published = root_of(copy)
    rewritten(copy)
    assert root_of(copy) != published


def test_a_study_rewritten_whole_is_told_by_its_signatures(copy, tmp_path):
    public = signed(copy, tmp_path)
    assert copy.found(keys=[public]) == {}
    rewritten(copy)
    assert copy.found(keys=[public]) == all_as("forged", outputs(copy, followers(DENSE)))


LAST = {
    "a figure": lambda copy: copy.flip(f"{REPORT}/auroc.png"),
    "words of the report": lambda copy: (copy / PAGE).write_text(
        (copy / PAGE).read_text().replace("AutoAttack", "AnotherAttack", 1)
    ),
    "the saved study": lambda copy: (copy / "study/study.yaml").write_text("{}\n"),
}


@pytest.mark.parametrize("lie", LAST)
def test_the_limit_what_nothing_was_made_from_is_told_by_a_signature_alone(copy, tmp_path, lie):
    """The root is of what the report rests on, so it says nothing of these files."""
    public, published = signed(copy, tmp_path), root_of(copy)
    LAST[lie](copy)
    folder = "study" if lie == "the saved study" else REPORT
    copy.rewrite([folder])
    assert copy.found() == {}
    assert root_of(copy) == published
    assert copy.found(keys=[public]) == all_as("forged", outputs(copy, [folder]))


def test_the_limit_a_record_written_anew_with_the_same_result_is_told_by_a_signature_alone(
    copy, tmp_path
):
    """It reads as an honest repetition: later than all that was made from the first."""
    public = signed(copy, tmp_path)

    def lie(statement):
        later = datetime.fromisoformat(details(statement)["metadata"]["finishedOn"])
        for number, key in enumerate(("startedOn", "finishedOn"), start=1):
            details(statement)["metadata"][key] = (later + timedelta(hours=number)).isoformat()
        run(statement)["host"] = "a better machine"

    copy.reseal(DISTANCES, lie)
    assert copy.found() == {}
    assert copy.found(keys=[public]) == {PARQUET: "forged"}


def test_a_report_that_pins_nothing_any_more_is_forged(copy):
    page = copy / PAGE
    page.write_text(re.sub(r'<code id="root">[0-9a-f]*</code>', "", page.read_text()))
    copy.rewrite([REPORT])
    assert copy.found() == {PAGE: "forged"}


def test_a_report_taken_out_of_its_record_is_missed(copy):
    """Without it nothing would pin what the study rests on."""

    def lie(statement):
        statement["subject"] = [s for s in statement["subject"] if s["name"] != "report.html"]

    (copy / PAGE).unlink()
    copy.reseal(REPORT, lie)
    assert copy.found() == all_as("forged", outputs(copy, [REPORT]))


SEALED = {
    "host": (lambda s: run(s).update(host="elsewhere"), "forged"),
    "time": (lambda s: details(s)["metadata"].update(startedOn="2020-01-01T00:00:00Z"), "forged"),
    "parameter": (lambda s: job(s)["parameters"].update(distances=[]), "forged"),
    "version": (lambda s: details(s)["builder"]["version"].update(torch="1.0"), "forged"),
    "no input": (lambda s: dependencies(s).pop(), "forged"),
    "input from outside": (
        lambda s: dependencies(s)[0].update(annotations={"source": True}),
        "forged",
    ),
}


@pytest.mark.parametrize("edit", SEALED)
def test_a_sealed_record_is_told_by_the_next_one(copy, edit):
    change, status = SEALED[edit]
    copy.reseal(DISTANCES, change)
    found = copy.found()
    assert found.pop(PARQUET) == status
    innocent = {"mixed software"} if edit == "version" else set()
    assert set(found.values()) <= innocent | ({"forged"} if PAGE in found else set())
    assert {path for path in found if found[path] == "forged"} <= {PAGE}


def test_an_input_that_the_last_record_does_not_own_to_is_missed(copy):
    copy.reseal(REPORT, lambda statement: dependencies(statement).pop())
    found = copy.found()
    assert found.keys() == outputs(copy, [REPORT])
    assert set(found.values()) <= {"stale", "forged"}


def test_a_record_that_says_it_read_what_is_not_there(copy):
    def lie(statement):
        dependencies(statement)[0]["name"] = "../../nowhere/table.csv"

    copy.reseal(REPORT, lie)
    assert set(copy.found().values()) <= {"missing link"}
    assert copy.found().keys() == outputs(copy, [REPORT])


def with_job(folder: str, jobs) -> PlannedJob:
    (found,) = (job for job in jobs if job.folder == folder)
    return found


FEWER_STEPS = {"attacks": [{"kind": "fmn", "norm": "Linf", "steps": 2, "max_stepsize": 1}]}


@pytest.fixture(scope="module")
def earlier(finished, tmp_path_factory):
    """What an honest run of the distances with other parameters left, before the study's own."""
    root = tmp_path_factory.mktemp("earlier") / "tiny"
    shutil.copytree(finished, root)
    copy = Copy(root)
    run_job(with_job(DISTANCES, planned_with(distances=FEWER_STEPS)), root)

    def long_ago(statement):
        times = details(statement)["metadata"]
        times |= {"startedOn": "2020-01-01T00:00:00Z", "finishedOn": "2020-01-01T00:00:01Z"}

    copy.reseal(DISTANCES, long_ago)
    return copy


def test_an_older_record_is_played_again(copy, earlier):
    shutil.copy(earlier.record(DISTANCES), copy.record(DISTANCES))
    assert copy.found() == {PARQUET: "forged", PAGE: "forged"}
    kinds = {f.status for one in copy.audit().artifacts for f in one.findings}
    assert {"altered", "stale"} < kinds


def test_an_older_record_is_played_again_with_what_it_made(copy, earlier):
    shutil.copytree(earlier / DISTANCES, copy / DISTANCES, dirs_exist_ok=True)
    assert copy.found() == {PARQUET: "forged", PAGE: "forged"}


def test_a_job_made_again_otherwise_is_no_forgery_and_what_followed_is_stale(copy):
    """An honest study that was changed, run anew and interrupted after one job."""
    jobs = planned_with(distances=FEWER_STEPS)
    run_job(with_job(DISTANCES, jobs), copy.root)
    found = copy.found(jobs)
    assert set(found.values()) == {"stale"}
    told = {*measured("distances", "twins"), f"{DENSE}/breaking", ANALYSIS, REPORT, "study"}
    assert found.keys() == outputs(copy, told - {DISTANCES})
    again = {*told, *followers(*measured())} - {DISTANCES}
    for one in jobs:
        if one.folder in again:
            run_job(one, copy.root)
    assert copy.found(jobs) == {}


def test_a_job_made_again_alike_is_remarked_on_and_changes_nothing(copy):
    for folder in (PRUNED, SHARD, ANALYSIS):
        run_job(with_job(folder, planned()), copy.root)
    assert copy.found() == {}
    again = f"{PRUNED}/model.safetensors was made again after {TUNED}, with the same result"
    assert again in copy.audit().remarks


def test_an_interrupted_study_lacks_what_is_planned_and_no_more(copy):
    left = followers(TUNED)
    for folder in left:
        for path in (copy / folder).iterdir():
            if path.is_file():
                path.unlink()
    assert copy.found() == {f"{folder}/": "absent" for folder in left}


def test_a_study_changed_since_it_ran_is_stale(copy):
    jobs = planned_with(threat={"norm": "Linf", "eps": 0.2})
    blind = ("distances", "sensitivity", "twins", "compact")  # they read no eps
    same = {"data/digits", *measured(*blind)}
    assert copy.found(jobs) == all_as("stale", outputs(copy, {*folders()} - same))


def test_the_parameter_that_changed_is_named(copy):
    found = copy.audit(planned_with(distances=FEWER_STEPS))
    (artifact,) = (one for one in found.artifacts if one.path == PARQUET)
    (finding,) = artifact.findings
    assert finding.why == "parameter distances.0.options.steps: 3 -> 2"


def test_jobs_of_a_seed_no_longer_planned_are_stale(copy):
    found = copy.found(planned_with(seeds=[0]))
    gone = [folder for folder in folders() if "/seed1/" in folder]
    assert found == all_as("stale", outputs(copy, [*gone, ANALYSIS, REPORT, "study"]))


def test_jobs_of_a_method_no_longer_planned_are_stale(copy):
    jobs = planned_with(methods={"hydra": {}})
    found = copy.found(jobs)
    gone = [folder for folder in folders() if "/lwm-" in folder]
    assert found.items() >= all_as("stale", outputs(copy, gone)).items()
    assert {path for path in found if found[path] == "absent"} == {
        f"{one.folder}/" for one in jobs if "/hydra-" in one.folder
    }


def test_a_dataset_that_changed_at_its_source_is_stale(copy, tmp_path):
    source = tmp_path / "digits.csv.gz"
    source.write_bytes(b"other images")
    jobs = [
        PlannedJob(one.stage, one.folder, one.text, one.inputs, dict.fromkeys(one.sources, source))
        for one in planned()
    ]
    outdated._digest.cache_clear()
    assert copy.found(jobs) == {"data/digits/dataset.safetensors": "stale"}


def test_a_source_that_is_not_here_accuses_nobody(copy):
    jobs = [PlannedJob(one.stage, one.folder, one.text, one.inputs) for one in planned()]
    assert copy.found(jobs) == {}


@pytest.fixture
def edited_code(tmp_path, monkeypatch):
    """The package with one line more in one module, for whoever fingerprints it."""

    def forget():
        for remembered in (
            *(fingerprint.imported, fingerprint._names_imported, fingerprint._files_of),
            *(plan.code, plan.installed),
        ):
            remembered.cache_clear()

    target = tmp_path / "thin_ice"
    shutil.copytree(fingerprint.ROOT, target, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "ROOT", target)
    with (target / "margins/distance.py").open("a") as file:
        file.write("\nANSWER = 42\n")
    forget()
    yield
    forget()


def test_what_the_present_code_would_make_otherwise_is_named_and_nothing_else(copy, edited_code):
    assert copy.found(planned_with()) == all_as(
        "other code", outputs(copy, measured("distances", "twins"))
    )


def test_code_that_changed_is_seen_on_jobs_that_are_no_longer_planned(copy, edited_code):
    found = copy.found(planned_with(seeds=[0]))
    assert found[f"{RUN}/seed1/dense/distances/distances.parquet"] == "other code"
    assert found[f"{RUN}/seed1/dense/model.safetensors"] == "stale"


def test_an_upgrade_between_two_jobs_is_seen_on_all_that_rests_on_both(copy, monkeypatch):
    installed = machine.versions
    monkeypatch.setattr(record, "versions", lambda packages: installed(packages) | {"torch": "9.9"})
    run_job(with_job(TUNED, planned()), copy.root)
    mixed = [folder for folder in followers(TUNED) if folder != "study"]
    assert copy.found() == all_as("mixed software", outputs(copy, mixed))


def test_a_version_rewritten_in_all_records_that_follow_is_mixed_with_the_rest(copy):
    copy.reseal(
        DENSE, lambda statement: details(statement)["builder"]["version"].update(torch="9.9")
    )
    others = [folder for folder in followers(DENSE) if folder != DENSE]
    copy.rewrite(others)
    assert copy.found() == all_as("mixed software", outputs(copy, others))


def test_a_record_of_a_job_that_was_never_planned_is_named(copy):
    """It can be sealed, and account for files of its own."""
    shutil.copytree(copy / EVALUATION, copy / f"{DENSE}/proof")
    assert set(copy.found().values()) == {"forged"}
    assert copy.found().keys() == {
        f"{DENSE}/proof/{n}" for n in ("samples.parquet", "metrics.json")
    }


def test_records_in_a_circle_are_judged_and_do_not_hang(copy):
    def lie(statement):
        dependencies(statement)[0]["name"] = "../../analysis/accuracy.csv"
        copy.fix_inputs(statement, DENSE)

    copy.reseal(DENSE, lie)
    assert (copy / DENSE / "../../analysis/accuracy.csv").is_file()
    assert copy.found()[MODEL] == "forged"


def test_the_audit_of_an_audit_is_the_same(copy):
    copy.flip(MODEL)
    evidence = gather(copy.root)
    assert accused(audit(evidence, planned())) == accused(audit(evidence, planned()))


def recorded_at(path):
    """A command line that wrote its record there, or that does not say where."""

    def change(statement):
        words = shlex.split(internal(statement)["command"])
        place = words.index("--record")
        words[place : place + 2] = ["--record", path] if path else []
        internal(statement)["command"] = shlex.join(words)

    return change


HERE = [
    "provenance.json",
    "report/provenance.json",
    "../report/provenance.json",
    "",
    "./x/../provenance.json",
]
ELSEWHERE = [
    "other/provenance.json",
    "/somewhere/study/provenance.json",
    "../x/provenance.json",
    "report",
]


@pytest.mark.parametrize("path", HERE)
def test_a_job_may_have_been_run_from_any_folder(copy, path):
    copy.reseal(REPORT, recorded_at(path))
    assert copy.found() == {}


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_record_that_was_written_elsewhere_is_forged(copy, path):
    copy.reseal(REPORT, recorded_at(path))
    assert copy.found() == all_as("forged", outputs(copy, [REPORT]))


COMMANDS = {
    "of another job": lambda words: words.replace('"norm":"Linf"', '"norm":"L2"', 1),
    "of another stage": lambda words: words.replace("thin_ice report", "thin_ice analyse"),
    "of no job": lambda words: words.replace("--job", "--jobs"),
    "that no shell would run": lambda words: words + " '",
    "that is none": lambda words: "",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sealed_record_with_a_command_line(copy, command):
    """... is forged: the command does not make what the record says."""
    words = internal(copy.statement(REPORT))["command"]
    other = COMMANDS[command](words)
    assert other != words
    copy.reseal(REPORT, lambda statement: internal(statement).update(command=other))
    assert copy.found() == all_as("forged", outputs(copy, [REPORT]))
