"""The stage that stores a pruned network in few bytes; the tool that says what that is worth."""

import csv
import json
import shutil

import pytest
import torch
import yaml
from mini_study import call
from tiny_study import TINY, run_job, tiny_study

from thin_ice.commands.compact import _batch
from thin_ice.data.split import load_part
from thin_ice.models.artifact import save_model
from thin_ice.models.network import Architecture
from thin_ice.models.stored import load_stored
from thin_ice.provenance.statement import read_record
from thin_ice.sparsity.channels import channel_groups, group_masks
from thin_ice.sparsity.parametrizations import export, fix_masks
from thin_ice.study.jobs import planned_jobs

STUDY = tiny_study()
JOBS = planned_jobs(STUDY)
(COMPACT,) = (job for job in JOBS if job.stage == "compact")
ARCHITECTURE = Architecture("digits_cnn", {"width": 8}, (1, 8, 8), 10, normalize=True)
DENSE = 9 * (8 + 8 * 16 + 16 * 32) + 2 * (8 + 16 + 32) + (32 * 4 * 10 + 10)
HALF = 9 * (4 + 4 * 8 + 8 * 16) + 2 * (4 + 8 + 16) + (16 * 4 * 10 + 10)


def network(share):
    """A network with this share of the channels of each group, and its masks."""
    model = ARCHITECTURE.build(seed=0)
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model(images)  # moves the statistics of the norms
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * (parameter == 0))  # their biases, as if trained
    groups = channel_groups(model, images)
    kept = {one.name: torch.arange(one.size) < share * one.size for one in groups}
    masks = group_masks(model, groups, kept)
    fix_masks(model, masks)
    export(model)
    return model.eval(), masks


def finished(root, share):
    """The folder of a finished job on such a network."""
    model, masks = network(share)
    path = root / COMPACT.inputs["model"][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, model, ARCHITECTURE, masks, {"dataset": "digits", "variant": "half"})
    run_job(COMPACT, root)
    return root / COMPACT.folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A folder of results that holds a dataset."""
    root = tmp_path_factory.mktemp("compact") / "tiny"
    (data,) = (job for job in JOBS if job.stage == "dataset")
    run_job(data, root)
    return root


@pytest.fixture(scope="module")
def half(dataset):
    """The folder of the job on a network of which half of the channels are pruned."""
    return finished(dataset, 0.5)


@pytest.fixture
def root(dataset, half, tmp_path):
    """A copy of the study's folder."""
    return shutil.copytree(dataset, tmp_path / "tiny")


def test_the_stored_network_computes_what_the_pruned_one_does(dataset, half):
    stored = load_stored(half / "stored.safetensors")
    assert stored.about == {"dataset": "digits", "variant": "half"}
    assert sum(p.numel() for p in stored.model.parameters()) == HALF
    images = load_part(dataset / COMPACT.inputs["dataset"][0], "test", "cpu").floats()
    torch.testing.assert_close(stored.model(images), network(0.5)[0](images), rtol=0, atol=1e-5)


def test_the_size_is_counted_by_hand(half):
    size = json.loads((half / "size.json").read_text())
    assert size["parameters"] == {"dense": DENSE, "nonzero": HALF, "compact": HALF}
    whole = 64 * 9 * 8 + 16 * 9 * 8 * 16 + 4 * 9 * 16 * 32 + 4 * 32 * 10
    left = 64 * 9 * 4 + 16 * 9 * 4 * 8 + 4 * 9 * 8 * 16 + 4 * 16 * 10
    assert size["multiply_accumulates"] == {"dense": whole, "nonzero": left, "compact": left}
    assert size["bytes"]["stored"] == (half / "stored.safetensors").stat().st_size
    assert 4 * DENSE < size["bytes"]["dense"] < 4 * DENSE + 4000
    assert size["bytes"]["stored"] <= size["bytes"]["compact"] < size["bytes"]["sparse"]
    assert list(size["channels"].values()) == [{"size": 2 * n, "kept": n} for n in (4, 8, 16)]
    assert (size["channels_removed"], size["why_none_removed"]) == (28, None)
    assert size["groups_without_living_channel"] == []


def test_times_are_in_the_record_and_in_no_file(half):
    noted = read_record(half / "provenance.json").run
    assert set(noted["latency_ms"]) == {"1", "64"}
    for times in noted["latency_ms"].values():
        assert set(times) == {"dense", "compact"}
        assert all(0 < time < 1000 for time in times.values())
    assert 0 <= noted["largest_logit_difference"] <= 1e-5
    assert noted["largest_logit_difference_float64"] is None  # float32 was enough


def test_the_same_network_gives_the_same_bytes(root, half):
    shutil.rmtree(root / COMPACT.folder)
    run_job(COMPACT, root)
    for name in ("stored.safetensors", "size.json"):
        assert (root / COMPACT.folder / name).read_bytes() == (half / name).read_bytes()


def test_of_a_whole_network_nothing_is_removed_and_it_says_why(root):
    folder = finished(root, 1)
    size = json.loads((folder / "size.json").read_text())
    assert size["channels_removed"] == 0
    assert size["why_none_removed"] == "every channel is read through a weight that is not zero"
    assert set(size["parameters"].values()) == {DENSE}
    times = read_record(folder / "provenance.json").run["latency_ms"]
    assert [set(one) for one in times.values()] == [{"dense"}] * 2
    status, _ = call(["sizes", str(root), "--study", study_file(root), "--to", f"{root}/out.csv"])
    assert status == 0
    (row,) = csv.DictReader((root / "out.csv").open())
    assert row["batch_of_64_compact_ms"] == ""


def test_a_group_without_a_living_channel_is_told(root):
    size = json.loads((finished(root, 0) / "size.json").read_text())
    assert size["groups_without_living_channel"] == list(size["channels"])
    assert [one["kept"] for one in size["channels"].values()] == [1, 1, 1]


def test_a_batch_has_as_many_images_as_it_says_however_few_there_are():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    for size in (1, 3, 7):
        batch = _batch(images, size)
        assert batch[:, 0, 0, 0].tolist() == [number % 3 for number in range(size)]


def study_file(root):
    """The resolved study, as its first job would save it."""
    run_job(JOBS[0], root)
    return str(root / "study/study.yaml")


def test_the_tool_prints_a_row_a_network_with_its_latencies(root, capsys):
    status, _ = call(["sizes", str(root), "--study", study_file(root)])
    assert status == 0
    header, _, row = capsys.readouterr().out.strip().splitlines()[-3:]
    found = dict(zip(cells_of(header), cells_of(row), strict=True))
    noted = read_record(root / COMPACT.folder / "provenance.json").run
    times = noted["latency_ms"]["64"]
    assert found["network"] == "lwm 0.5"
    assert found["logits differ by"] == f"{noted['largest_logit_difference']:.1g}"
    assert found["parameters"] == f"{DENSE:,}"
    assert found["parameters compact (%)"] == f"{100 * HALF / DENSE:.1f}"
    assert (found["device"], found["threads"]) == ("cpu", "1")
    assert found["ms, batch of 64"] == f"{times['dense']:.3f}"
    assert found["times faster, of 64"] == f"{times['dense'] / times['compact']:.2f}"


def cells_of(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_tool_writes_numbers_as_they_are_to_csv_and_text_to_markdown(root, capsys):
    study = study_file(root)
    assert call(["sizes", str(root), "--study", study])[0] == 0
    printed = capsys.readouterr().out
    for name in ("out.csv", "out.md"):
        assert call(["sizes", str(root), "--study", study, "--to", f"{root}/{name}"])[0] == 0
    assert (root / "out.md").read_text().strip() in printed
    (row,) = csv.DictReader((root / "out.csv").open())
    assert (row["variant"], row["parameters_compact"]) == ("lwm-0.5", str(HALF))


def test_the_tool_says_what_is_missing(root):
    study = study_file(root)
    status, errors = call(["sizes", str(root), "--study", study, "--to", "out.txt"])
    assert (status, errors.strip()) == (2, "--to out.txt; allowed: FILE.md and FILE.csv")
    more = root / "more.yaml"
    more.write_text(yaml.safe_dump(TINY | {"sparsities": [0.5, 0.9]}))
    status, errors = call(["sizes", str(root), "--study", str(more)])
    assert (status, errors.strip()) == (1, "1 of 2 networks have no size yet")
    shutil.rmtree(root / COMPACT.folder)
    status, errors = call(["sizes", str(root), "--study", study])
    assert status == 2
    assert "no pruned network whose size was counted; run the study" in errors
