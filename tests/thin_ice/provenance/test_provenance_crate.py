"""An exported study is a crate that the public validator takes and a stranger can read."""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml
from crate_validation import PROFILES, problems, seeded_cache
from rocrate.rocrate import ROCrate
from tiny_study import TINY, run_study, tiny_study

from thin_ice.commands import export as command
from thin_ice.errors import ThinIceError
from thin_ice.files import write_json
from thin_ice.provenance.crate.export import export as export_crate
from thin_ice.provenance.crate.study import finished_study
from thin_ice.provenance.crate.values import add_hyper_parameters
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.machine import REPOSITORY
from thin_ice.provenance.statement import read_record, sealed
from thin_ice.study.jobs import planned_jobs

RUN = "digits-digits_cnn-pgd_at/seed0"
METADATA = "ro-crate-metadata.json"


def export(results, to, *more):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(results), "--to", str(to), *map(str, more)]))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A finished study."""
    return run_study(tiny_study(), tmp_path_factory.mktemp("results") / "tiny")


@pytest.fixture(scope="module")
def crate(results, tmp_path_factory):
    """Its crate."""
    folder = tmp_path_factory.mktemp("exported") / "crate"
    assert export(results, folder) == 0
    return folder


@pytest.fixture(scope="module")
def graph(crate):
    """The crate's entities by identifier."""
    return {entity["@id"]: entity for entity in metadata(crate)["@graph"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return seeded_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def copy(results, tmp_path):
    """The study again, to be spoilt."""
    return Path(shutil.copytree(results, tmp_path / "copy"))


def metadata(crate):
    return json.loads((crate / METADATA).read_text())


def ids(value):
    """The identifiers that a property refers to."""
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def types(entity):
    return {entity["@type"]} if isinstance(entity["@type"], str) else set(entity["@type"])


def of_type(graph, name):
    return [entity for entity in graph.values() if name in types(entity)]


def records(root):
    return {
        path.parent.relative_to(root).as_posix(): read_record(path)
        for path in root.rglob("provenance.json")
    }


def subjects(root):
    """Every artifact of a study with the digest that its record says."""
    return {
        f"{folder}/{name}": digest
        for folder, record in records(root).items()
        for name, digest in record.subjects.items()
    }


# The validator.


@pytest.mark.parametrize("profile", PROFILES[:-1])
def test_the_validator_finds_nothing_wrong(crate, cache, profile):
    assert problems(crate, profile, cache) == []


def test_the_validator_finds_a_missing_file(crate, cache, tmp_path):
    spoilt = shutil.copytree(crate, tmp_path / "spoilt")
    (spoilt / RUN / "dense" / "model.safetensors").unlink()
    found = problems(spoilt, "ro-crate-1.1", cache)
    assert any("model.safetensors" in line for line in found)


def test_of_the_provenance_profile_only_recommendations_are_left_for_which_we_know_nothing(
    crate, cache
):
    found = problems(crate, PROFILES[-1], cache, "RECOMMENDED")
    assert {line.rpartition(" (")[0] for line in found} <= {
        "The Application SHOULD have a url",
        "The organization SHOULD have a URL.",
        "The SoftwareApplication id SHOULD be an absolute URI",  # asked of schema.org's own terms
        "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
    }


def test_the_crate_says_which_profiles_it_follows(graph):
    base = "https://w3id.org/ro/wfrun"
    wanted = {f"{base}/{name}/0.5" for name in ("process", "workflow", "provenance")}
    wanted.add("https://w3id.org/workflowhub/workflow-ro-crate/1.0")
    assert set(ids(graph["./"]["conformsTo"])) == wanted
    assert "https://w3id.org/ro/crate/1.1" in ids(graph[METADATA]["conformsTo"])


# Files.


def test_every_artifact_is_a_file_of_the_crate_with_its_digest_and_size(results, crate, graph):
    made = subjects(results)
    assert len(made) > 20
    assert {"sha256": "http://schema.org/sha256"} in metadata(crate)["@context"]
    parts = set(ids(graph["./"]["hasPart"]))
    for path, digest in made.items():
        contents = (crate / path).read_bytes()
        assert hashlib.sha256(contents).hexdigest() == digest == graph[path]["sha256"], path
        assert graph[path]["contentSize"] == str(len(contents))
        assert "File" in types(graph[path])
        assert path in parts


def test_every_file_of_the_crate_is_described_and_every_digest_is_of_its_file(crate, graph):
    there = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    files = {entity["@id"]: entity for entity in of_type(graph, "File")}
    assert there - {METADATA} == set(files)
    for path, entity in files.items():
        assert hashlib.sha256((crate / path).read_bytes()).hexdigest() == entity["sha256"], path
        assert entity["encodingFormat"]


def test_records_code_workflow_and_licence_come_along_and_logs_do_not(results, crate):
    for folder, record in records(results).items():
        source = results / folder / "provenance.json"
        assert (crate / folder / "provenance.json").read_bytes() == source.read_bytes()
        assert (crate / "code" / f"{record.code}.json").is_file()
    for name in ("Snakefile", "LICENSE", "workflow/rules/common.smk", "study/study.yaml"):
        assert (crate / name).is_file()
    assert not (crate / "logs").exists()


def test_a_general_reader_opens_the_crate(crate):
    found = ROCrate(crate)
    assert found.mainEntity.id == "Snakefile"
    assert found.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    assert found.license.id == "https://spdx.org/licenses/MIT"
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert found.root_dataset["author"]["name"] == cited["authors"][0]["name"]


# What ran.


def test_every_job_is_one_action_with_what_it_read_wrote_and_when(results, graph):
    jobs = records(results)
    actions = {ids(action["subjectOf"])[0]: action for action in job_actions(graph)}
    assert set(actions) == {f"{folder}/provenance.json" for folder in jobs}
    for folder, record in jobs.items():
        action = actions[f"{folder}/provenance.json"]
        times = record.statement["predicate"]["runDetails"]["metadata"]
        assert action["startTime"] == times["startedOn"]
        assert action["endTime"] == times["finishedOn"]
        assert set(ids(action["result"])) == {f"{folder}/{name}" for name in record.subjects}
        (tool,) = ids(action["instrument"])
        assert graph[tool]["name"] == record.job["stage"]
        assert ids(graph[tool]["isPartOf"])[0] in graph
        (agent,) = ids(action["agent"])
        assert types(graph[agent]) & {"Person", "Organization"}


def job_actions(graph):
    return [action for action in of_type(graph, "CreateAction") if "subjectOf" in action]


def test_what_an_action_read_has_the_digest_that_its_record_says(results, graph):
    jobs = records(results)
    seen = 0
    for action in job_actions(graph):
        record = jobs[ids(action["subjectOf"])[0].removesuffix("/provenance.json")]
        if record.job["stage"] == "study":
            continue
        read = sorted(graph[one]["sha256"] for one in ids(action["object"]))
        assert read == sorted(one.sha256 for one in record.dependencies)
        seen += len(read)
    assert seen > 20


def test_the_engine_run_holds_a_control_action_of_the_right_step_for_every_job(results, graph):
    (engine,) = of_type(graph, "OrganizeAction")
    software = graph[ids(engine["instrument"])[0]]
    versions = {record.versions["snakemake"] for record in records(results).values()}
    assert (software["name"], {software["softwareVersion"]}) == ("Snakemake", versions)
    assert ids(graph[ids(engine["result"])[0]]["instrument"]) == ["Snakefile"]
    controlled = [graph[one] for one in ids(engine["object"])]
    assert len(controlled) == len(records(results))
    for control in controlled:
        action, step = graph[ids(control["object"])[0]], graph[ids(control["instrument"])[0]]
        assert ids(step["workExample"]) == ids(action["instrument"])


def test_steps_stand_in_the_order_in_which_data_flows(results, graph):
    order = {step["name"]: int(step["position"]) for step in of_type(graph, "HowToStep")}
    assert set(order) == {record.job["stage"] for record in records(results).values()}
    assert len(set(order.values())) == len(order)
    steps = [graph[one] for one in ids(graph["Snakefile"]["step"])]
    assert [step["name"] for step in steps] == sorted(order, key=order.get)
    assert ids(graph["Snakefile"]["hasPart"]) == [ids(step["workExample"])[0] for step in steps]
    by_tool = {ids(step["workExample"])[0]: step["name"] for step in of_type(graph, "HowToStep")}
    stage = {
        file: by_tool[ids(action["instrument"])[0]]
        for action in job_actions(graph)
        for file in ids(action["result"])
    }
    for action in job_actions(graph):
        for file in ids(action.get("object", [])):
            if file in stage:
                assert order[stage[file]] < order[by_tool[ids(action["instrument"])[0]]]


def test_the_workflow_run_makes_every_artifact_and_is_mentioned(results, graph):
    (run,) = (one for one in of_type(graph, "CreateAction") if "subjectOf" not in one)
    assert set(ids(run["result"])) == set(subjects(results))
    assert run["@id"] in ids(graph["./"]["mentions"])


def test_the_crate_is_dated_by_its_last_job(results, graph):
    times = [r.statement["predicate"]["runDetails"]["metadata"] for r in records(results).values()]
    assert graph["./"]["datePublished"] == max(one["finishedOn"] for one in times)


# What a machine looks for.


def leaves(value, key=""):
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, below in items for k, v in leaves(below, f"{key}.{name}").items()}
    return {key[1:]: "null" if value is None else value}


def test_every_hyper_parameter_is_a_value_of_a_formal_parameter(crate, graph):
    wanted = leaves(yaml.safe_load((crate / "study/study.yaml").read_text()))
    values = [one for one in of_type(graph, "PropertyValue") if "exampleOfWork" in one]
    assert {one["name"]: one["value"] for one in values} == wanted
    assert wanted["threat.eps"] == 0.1
    inputs = set(ids(graph["Snakefile"]["input"]))
    (run,) = (one for one in of_type(graph, "CreateAction") if "subjectOf" not in one)
    kinds = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}
    for one in values:
        (parameter,) = ids(one["exampleOfWork"])
        assert parameter in inputs
        assert graph[parameter]["additionalType"] == kinds[type(one["value"])]
        assert one["@id"] in ids(run["object"])


def test_an_absolute_path_in_a_study_is_exported_as_a_name():
    found = ROCrate(version="1.1")
    add_hyper_parameters(found, {"folder": "/home/someone/cifar10", "other": "~/data"})
    values = [one["value"] for one in found.get_by_type("PropertyValue")]
    assert values == ["cifar10", "data"]


def test_datasets_models_and_figures_can_be_found(results, graph):
    made = subjects(results)
    kinds = {one["@id"]: one.get("additionalType", "") for one in of_type(graph, "File")}
    models = {path for path in made if path.endswith("model.safetensors")}
    assert {path for path, kind in kinds.items() if kind.endswith("#Model")} == models
    assert len(models) == 4
    datasets = {path for path, kind in kinds.items() if kind.endswith("/Dataset")}
    assert datasets == {"data/digits/dataset.safetensors"}
    assert graph["data/digits/dataset.safetensors"]["name"] == "digits"
    figures = {path for path in made if path.endswith((".png", ".svg"))}
    assert {one["@id"] for one in of_type(graph, "ImageObject")} == figures
    assert figures


@pytest.mark.parametrize("network", ["dense", "lwm-0.5"])
def test_what_was_measured_of_a_network_stands_beside_it(crate, graph, network):
    path = f"{RUN}/{network}/evaluation/metrics.json"
    numbers = json.loads((crate / path).read_text())
    measured = ids(graph[f"{RUN}/{network}/model.safetensors"]["additionalProperty"])
    assert measured == ids(graph[path]["variableMeasured"])
    found = {graph[one]["name"]: graph[one] for one in measured}
    for name in ("clean", "autoattack"):
        one = found[f"accuracy.{name}"]
        interval = numbers[name]["low_percent"], numbers[name]["high_percent"]
        assert (one["value"], one["unitText"]) == (numbers[name]["percent"], "percent")
        assert (one["minValue"], one["maxValue"]) == interval
    (protocol, claimed), *_ = numbers["claimed"].items()
    claim = found[f"accuracy.claimed.{protocol}"]
    assert claim["value"] == claimed["accuracy"]["percent"]
    assert found[f"overestimate.{protocol}"]["value"] == claimed["overestimate_points"]
    assert found["sparsity.prunable"]["value"] == numbers["sparsity"]["prunable"]
    assert found["samples"]["value"] == numbers["samples"] == 30


# Model cards.


def front_matter(card):
    _, front, body = card.read_text().split("---\n", 2)
    return yaml.safe_load(front), body


@pytest.mark.parametrize("network", ["dense", "lwm-0.5"])
def test_a_model_card_says_what_was_measured(crate, graph, network):
    folder = crate / RUN / network
    numbers = json.loads((folder / "evaluation/metrics.json").read_text())
    front, body = front_matter(folder / "model_card.md")
    assert (front["license"], front["datasets"]) == ("mit", [numbers["dataset"]])
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["name"] == numbers["dataset"]
    intervals = {"clean": numbers["clean"], "autoattack": numbers["autoattack"]}
    for protocol, claimed in numbers["claimed"].items():
        intervals[f"claimed.{protocol}"] = claimed["accuracy"]
    found = {
        metric["name"]: {"percent": metric["value"], **metric["args"]}
        for metric in result["metrics"]
    }
    assert found == {name: one | {"samples": 30} for name, one in intervals.items()}
    for name, one in intervals.items():
        assert f"| {name} | {one['percent']:.2f} | {one['low_percent']:.2f} to" in body
    path = f"{RUN}/{network}/model.safetensors"
    for said in (graph[path]["sha256"], "Linf, eps 0.1", "30 test samples of digits", "seed: 0"):
        assert said in body


def test_a_model_card_says_how_the_network_was_made(results, crate):
    made = records(results)[f"{RUN}/lwm-0.5"]
    body = front_matter(crate / RUN / "lwm-0.5" / "model_card.md")[1]
    assert "architecture: digits_cnn (normalize False, width 4)" in body
    assert "objective: pgd_at (" in body
    assert "method: lwm (" in body
    assert "sparsity asked for: 0.5 of the weights" in body
    assert "unit of pruning: weight" in body
    order = [body.index(f"- {stage}: ") for stage in ("dense", "prune", "finetune")]
    assert order == sorted(order)
    assert made.code in body
    assert f"torch {made.versions['torch']}" in body
    commit = made.run["git"]["commit"]
    assert ("git commit " + commit if commit else "no git commit recorded") in body


def test_the_card_of_a_network_that_nobody_evaluated_says_so(crate):
    front, body = front_matter(crate / RUN / "lwm-0.5" / "pruned" / "model_card.md")
    assert "model-index" not in front
    assert "Not evaluated" in body
    assert "Nothing is known of its accuracy or robustness" in body


# The same again, and refusals.


def test_the_metadata_names_no_place_on_this_machine(results, crate):
    text = (crate / METADATA).read_text()
    for place in (results.parent, REPOSITORY, Path.home() / ".", crate.parent):
        assert f"{place}/" not in text
    values = leaves(json.loads(text)["@graph"]).values()
    assert not [v for v in values if isinstance(v, str) and v.startswith(("/", "~", "file:"))]


def test_exporting_a_moved_copy_gives_the_same_crate(crate, copy, tmp_path):
    (tmp_path / "again").mkdir()  # an empty folder will do
    export(copy, tmp_path / "again")
    files = [path.relative_to(crate) for path in crate.rglob("*") if path.is_file()]
    again = tmp_path / "again"
    assert len(files) == len([path for path in again.rglob("*") if path.is_file()])
    for path in files:
        assert (again / path).read_bytes() == (crate / path).read_bytes(), path


def test_with_a_study_file_only_what_it_plans_is_exported(copy, tmp_path):
    shutil.copytree(copy / RUN, copy / RUN.replace("seed0", "seed9"))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    export(copy, tmp_path / "crate", "--study", tmp_path / "tiny.yaml")
    assert (tmp_path / "crate" / RUN).is_dir()
    assert not (tmp_path / "crate" / RUN.replace("seed0", "seed9")).exists()


def test_the_signature_of_a_record_comes_along(copy, tmp_path):
    (copy / RUN / "dense" / "provenance.dsse.json").write_text("{}")
    export(copy, tmp_path / "crate")
    signatures = list((tmp_path / "crate").rglob("provenance.dsse.json"))
    assert signatures == [tmp_path / "crate" / RUN / "dense" / "provenance.dsse.json"]


def drop(name):
    return lambda study: (study / name).unlink()


def overwrite(name, text="other"):
    return lambda study: (study / name).write_text(text)


def edit_record(study):
    path = study / RUN / "dense/provenance.json"
    path.write_text(path.read_text().replace('"lr": 0.1,', '"lr": 0.2,'))


def run_upstream_again(study):
    """The dense network's table of epochs is not read by anyone; its weights are."""
    path = study / RUN / "dense/provenance.json"
    statement = json.loads(path.read_text())
    (study / RUN / "dense/model.safetensors").write_bytes(b"other")
    for subject in statement["subject"]:
        if subject["name"] == "model.safetensors":
            subject["digest"]["sha256"] = hashlib.sha256(b"other").hexdigest()
    details = statement["predicate"]["runDetails"]
    details["byproducts"] = [one for one in details["byproducts"] if one["name"] != "seal"]
    write_json(path, sealed(statement))


SPOILT = {
    "no records": (lambda study: [p.unlink() for p in study.rglob("provenance.json")], "no study"),
    "missing record": (drop(f"{RUN}/dense/provenance.json"), "is missing link"),
    "missing report": (drop("report/provenance.json"), "report/.* is orphan"),
    "damaged record": (overwrite(f"{RUN}/dense/provenance.json", "{"), "dense/.* is forged"),
    "edited record": (edit_record, "dense/.* is forged: .* seal is broken"),
    "missing artifact": (drop("report/auroc.png"), "auroc.png is missing link"),
    "altered artifact": (overwrite("report/auroc.csv"), "auroc.csv is altered"),
    "altered code": (overwrite("code/{}.json", "{}"), "is altered: the code that ran"),
    "other input": (run_upstream_again, "dense/.* is forged"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_study_that_is_not_whole_is_refused_and_nothing_is_left(copy, tmp_path, name):
    spoil, said = SPOILT[name]
    if name == "altered code":
        spoil = overwrite(next((copy / "code").iterdir()).relative_to(copy), "{}")
    spoil(copy)
    with pytest.raises(ThinIceError, match=said) as caught:
        export(copy, tmp_path / "out" / "crate")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out/*"))


def test_a_job_of_the_study_that_has_not_run_is_refused(copy, tmp_path):
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(TINY | {"seeds": [0, 1]}))
    with pytest.raises(ThinIceError, match=r"seed1/dense/ is absent"):
        export(copy, tmp_path / "crate", "--study", tmp_path / "more.yaml")


def test_a_target_that_holds_something_or_lies_in_the_study_is_refused(copy, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(ThinIceError, match="full exists and is not an empty folder"):
        export(copy, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]
    with pytest.raises(ThinIceError, match="file exists and is not"):
        export(copy, tmp_path / "full" / "file")
    with pytest.raises(ThinIceError, match="own folder"):
        export(copy, copy / "crate")


def test_a_crate_that_cannot_be_finished_does_not_appear(copy, tmp_path):
    study = finished_study(gather(copy), planned_jobs(tiny_study()))
    (copy / "report/auroc.png").unlink()
    (copy / "report/auroc.png").mkdir()  # cannot be copied as a file
    with pytest.raises(OSError, match="auroc"):
        export_crate(study, REPOSITORY, tmp_path / "out" / "crate")
    assert not list((tmp_path / "out").iterdir())
