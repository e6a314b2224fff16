"""Networks from elsewhere in a whole study: taken as they came, evaluated, pruned, recorded."""

import copy
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
from mini_study import call
from miniature import set_key
from safetensors.torch import save_file
from tiny_study import TINY, arguments_of, run_job, run_study

from thin_ice.files import sha256
from thin_ice.models.artifact import load_model
from thin_ice.models.network import Architecture
from thin_ice.provenance import outdated as outdating
from thin_ice.provenance.audit import audit
from thin_ice.provenance.crate.model_card import model_card
from thin_ice.provenance.crate.networks import networks
from thin_ice.provenance.crate.study import finished_study
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.finding import Status
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

torch.set_num_threads(1)

REFERENCE, PRUNED = "digits-reference-as_it_came", "digits-theirs-pgd_at"
ENTRY_POINT = """
import torch
from thin_ice.models.network import Architecture

def network(seed=3):
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed)

def weights():
    return network().state_dict()

class Doubled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = network()

    def state_dict(self):
        return self.network.state_dict()

    def forward(self, images):
        return 2 * self.network(images)

def number():
    return 3
"""


@pytest.fixture(scope="module")
def theirs():
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False).build(5).eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory, theirs):
    """A checkpoint as others save them, and a module with entry points."""
    folder = tmp_path_factory.mktemp("elsewhere")
    wrapped = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"epoch": 9, "net": wrapped}, folder / "theirs.pt")
    save_file(theirs.state_dict(), folder / "theirs.safetensors")
    (folder / "their_nets.py").write_text(ENTRY_POINT)
    return folder


def with_reference(files, *changes):
    """The tiny study of one network from a file, only evaluated, with keys changed."""
    raw = copy.deepcopy(TINY)
    for key in ("objectives", "methods", "sparsities", "training"):
        del raw[key]
    checkpoint = {"file": str(files / "theirs.safetensors")}
    raw["models"] = {
        "reference": {
            "kind": "digits_cnn",
            "width": 4,
            "checkpoint": checkpoint,
            "only_evaluate": True,
        }
    }
    for key, value in changes:
        set_key(raw, key, value)
    return raw


@pytest.fixture(scope="module")
def study(files):
    """Two seeds, two networks from one file, one of them pruned."""
    raw = with_reference(files) | {key: TINY[key] for key in ("objectives", "methods", "training")}
    digest = sha256(files / "theirs.pt")
    place = {"file": str(files / "theirs.pt"), "under": "net", "keys": {"module.": ""}}
    raw["models"]["theirs"] = {
        "kind": "digits_cnn",
        "width": 4,
        "checkpoint": place | {"sha256": digest},
    }
    return study_from(raw | {"seeds": [4, 1], "sparsities": [0.5]})


@pytest.fixture(scope="module")
def root(study, tmp_path_factory):
    return run_study(study, tmp_path_factory.mktemp("results") / "tiny")


def external_job(study):
    return next(job for job in planned_jobs(study) if job.stage == "external")


def test_a_network_from_elsewhere_stands_under_the_first_seed_alone(study):
    folders = [network.folder for network in study.networks()]
    assert folders == [
        f"{REFERENCE}/seed4/dense",
        f"{PRUNED}/seed4/dense",
        f"{PRUNED}/seed4/lwm-0.5",
    ]
    assert not [job for job in planned_jobs(study) if job.stage == "dense"]


def test_it_is_the_network_as_it_came(root, theirs, images):
    for run in (REFERENCE, PRUNED):
        loaded = load_model(root / run / "seed4/dense/model.safetensors")
        assert torch.equal(loaded.model(images), theirs(images))
        assert not loaded.masks
        assert loaded.about["origin"] == "as it came"


def test_its_record_names_the_file_from_outside_with_its_digest(root, files):
    record = json.loads((root / PRUNED / "seed4/dense/provenance.json").read_text())
    named = record["predicate"]["buildDefinition"]["resolvedDependencies"]
    (source,) = [one for one in named if one.get("annotations", {}).get("source")]
    assert source["name"] == "checkpoint/theirs.pt"
    assert source["digest"]["sha256"] == sha256(files / "theirs.pt")


def test_it_is_pruned_and_fine_tuned_like_any_other(root):
    pruned = load_model(root / PRUNED / "seed4/lwm-0.5/model.safetensors")
    assert pruned.masks
    rows = pd.read_csv(root / PRUNED / "analysis/accuracy.csv").set_index("variant")
    assert rows.origin.to_dict() == {"dense": "as it came", "lwm-0.5": "trained"}
    assert rows.sparsity_of_prunable["lwm-0.5"] == pytest.approx(0.5, abs=0.01)


def test_the_tables_of_a_run_without_pruned_networks_are_whole(root):
    rows = pd.read_csv(root / REFERENCE / "analysis/accuracy.csv")
    assert list(rows.origin) == ["as it came"]
    assert rows.autoattack_percent.notna().all()
    mine, other = (root / run / "analysis" for run in (REFERENCE, PRUNED))
    for name, read in (("thin_ice.csv", pd.read_csv), ("samples.parquet", pd.read_parquet)):
        assert len(read(mine / name)) == 0
        assert set(read(mine / name)) == set(read(other / name))


def test_the_report_says_which_networks_are_as_they_came(root):
    table = (root / "report/table-headline.md").read_text().splitlines()[2:]
    marked = [line for line in table if "as it came" in line]
    assert len(marked) == 2
    assert all("| dense |" in line for line in marked)
    page = (root / "report/report.html").read_text()
    assert "reference on digits, as it came" in page
    assert "as it came and trained by pgd_at after pruning" in page


def test_an_audit_finds_the_study_sound_and_its_crate_has_a_card_for_each(root, study):
    evidence, planned = gather(root), planned_jobs(study)
    assert audit(evidence, planned).sound
    finished = finished_study(evidence, planned)
    cards = {n.path: model_card(n, finished, "MIT") for n in networks(finished, {})}
    card = cards[f"{PRUNED}/seed4/lwm-0.5/model.safetensors"]
    assert "external: taken as it came from checkpoint/theirs.pt (SHA-256 " in card
    assert "objective" not in cards[f"{REFERENCE}/seed4/dense/model.safetensors"]


def test_a_study_of_one_network_as_it_came_runs_to_its_report(files, tmp_path):
    study = study_from(with_reference(files))
    run_study(study, tmp_path)
    page = (tmp_path / "report/report.html").read_text()
    assert "No network is compared with a dense one in this study." in page
    assert "Nothing is claimed of the networks of this study." in page
    assert "as it came" in (tmp_path / "report/table-headline.md").read_text()
    assert audit(gather(tmp_path), planned_jobs(study)).sound


def prepared(files, folder, *changes):
    """The job of the reference network, its dataset made; and the study."""
    study = study_from(with_reference(files, *changes))
    run_job(next(job for job in planned_jobs(study) if job.stage == "dataset"), folder)
    return study, external_job(study)


def test_another_file_reruns_it_and_an_audit_sees_it(files, theirs, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(theirs.state_dict(), path)
    key = "models.reference.checkpoint"
    study, job = prepared(files, tmp_path / "r", (key, {"file": str(path)}))
    run_job(job, tmp_path / "r")
    planned = [one for one in planned_jobs(study) if one.folder == job.folder]
    assert job.folder not in outdating.outdated(tmp_path / "r", planned_jobs(study))
    save_file({name: t + 1 for name, t in theirs.state_dict().items()}, path)
    outdating._digest.cache_clear()  # a process asks once
    (reason,) = outdating.outdated(tmp_path / "r", planned_jobs(study))[job.folder]
    assert (reason.kind, reason.change.what) == ("source", "checkpoint/w.safetensors")
    found = audit(gather(tmp_path / "r"), planned)
    statuses = {one.path: one.status for one in found.artifacts}
    assert statuses[f"{job.folder}/model.safetensors"] is Status.STALE


def test_the_same_job_gives_the_same_bytes(files, tmp_path):
    for folder in ("a", "b"):
        _, job = prepared(files, tmp_path / folder)
        run_job(job, tmp_path / folder)
    one, other = (tmp_path / f / job.folder / "model.safetensors" for f in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()


def refused(job, root):
    """The one line that a job ends with; it leaves nothing."""
    status, errors = call(arguments_of(job, root))
    assert status == 1
    (line,) = errors.splitlines()
    assert not [path for path in (root / job.folder).rglob("*") if path.is_file()]
    return line


REFUSED = {
    "checksum": ({"sha256": "0" * 64}, "the study says 000"),
    "channels": ({"mean": [0.1, 0.2], "std": [1, 1]}, "must each have 1 values"),
    "mapping": ({"keys": {"module.": ""}}, "no name of the checkpoint begins with"),
    "key": ({"under": "net"}, "has no key 'net'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_checkpoint_that_does_not_fit_ends_with_one_line_and_no_outputs(files, tmp_path, name):
    changes, words = REFUSED[name]
    keys = [(f"models.reference.checkpoint.{key}", value) for key, value in changes.items()]
    _, job = prepared(files, tmp_path, *keys)
    assert words in refused(job, tmp_path)


def test_another_architecture_than_the_checkpoints_is_refused(files, tmp_path):
    _, job = prepared(files, tmp_path, ("models.reference.width", 5))
    assert "does not fit digits_cnn" in refused(job, tmp_path)


def test_a_file_that_went_away_is_named(files, theirs, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(theirs.state_dict(), path)
    _, job = prepared(files, tmp_path / "r", ("models.reference.checkpoint.file", str(path)))
    path.unlink()
    assert f"there is no file {path}" in refused(job, tmp_path / "r")


@pytest.fixture
def importable(files, monkeypatch):
    """The module of entry points lies in the working folder."""
    monkeypatch.chdir(files)
    monkeypatch.syspath_prepend(files)


def called(files, folder, function):
    place = {"entry_point": f"their_nets:{function}"}
    return prepared(files, folder, ("models.reference.checkpoint", place))[1]


@pytest.mark.parametrize("function", ["network", "weights"])
def test_an_entry_point_gives_its_network(files, importable, tmp_path, images, function):
    job = called(files, tmp_path, function)
    run_job(job, tmp_path)
    loaded = load_model(tmp_path / job.folder / "model.safetensors")
    built = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(3).eval()
    assert torch.equal(loaded.model(images), built(images))
    assert set(job.sources) == {f"their_nets:{function}"}
    assert job.sources[f"their_nets:{function}"] == Path(os.path.realpath(files)) / "their_nets.py"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("Doubled", "computes other logits than digits_cnn"),
        ("number", "returned a int"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_an_entry_point_that_gives_no_such_network_is_refused(
    files, importable, tmp_path, function, words
):
    assert words in refused(called(files, tmp_path, function), tmp_path)
