"""A study with extra images: from the file to the trained network, by its commands."""

import json

import numpy as np
import pytest
import torch
from tiny_study import TINY, arguments_of, call, run_job

from thin_ice.data.split import load_dataset
from thin_ice.models.artifact import load_model
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

COUNT = 40


def more_images(path, seed=0):
    """Noise with labels, as an .npz file."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (COUNT, 8, 8, 1), np.uint8)
    np.savez(path, image=images, label=rng.integers(0, 10, COUNT))
    return path


def jobs_of(path, share):
    """The dataset's job and the dense network's."""
    datasets = {"digits": TINY["datasets"]["digits"] | ({"extra": str(path)} if path else {})}
    training = TINY["training"] | {"dense": {"epochs": 1, "extra": share}}
    study = study_from(TINY | {"datasets": datasets, "training": training})
    return [job for job in planned_jobs(study) if job.stage in ("dataset", "dense")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of a study without extra images, with some that no plan asks for, and with some."""
    root = tmp_path_factory.mktemp("extra")
    path = more_images(root / "more.npz")
    for name, asked in (("without", (None, 0)), ("unused", (path, 0)), ("used", (path, 1))):
        for job in jobs_of(*asked):
            run_job(job, root / name)
    return root


def dense_weights(made, name):
    (file,) = (made / name).glob("*/seed0/dense/model.safetensors")
    return load_model(file).model.state_dict()


def test_the_artifact_holds_them_and_the_record_names_their_file(made):
    found = load_dataset(made / "used/data/digits/dataset.safetensors", extra=True)
    with np.load(made / "more.npz") as file:
        assert torch.equal(found.extra.images[:, 0], torch.from_numpy(file["image"][..., 0]))
        assert found.extra.labels.tolist() == file["label"].tolist()
    record = json.loads((made / "used/data/digits/provenance.json").read_text())
    named = record["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert "extra/more.npz" in {file["name"] for file in named}
    assert set(jobs_of(made / "more.npz", 1)[0].sources) == {
        *("scikit-learn/digits.csv.gz", "extra/more.npz")
    }


def test_the_other_parts_are_the_same_with_and_without_them(made):
    parts = [
        load_dataset(made / f"{name}/data/digits/dataset.safetensors")
        for name in ("without", "used")
    ]
    for part in ("train", "validation", "test"):
        first, second = (getattr(one, part) for one in parts)
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.ids, second.ids)


def test_they_change_a_network_only_where_its_plan_asks_for_them(made):
    without, unused, used = (dense_weights(made, name) for name in ("without", "unused", "used"))
    assert all(torch.equal(without[name], unused[name]) for name in without)
    assert not all(torch.equal(without[name], used[name]) for name in without)


def test_a_dataset_made_without_them_is_refused_by_a_plan_that_asks(made, tmp_path, capsys):
    """As when a command is copied from a log of another study."""
    _, dense = jobs_of(made / "more.npz", 1)
    run_job(jobs_of(None, 0)[0], tmp_path)
    assert call(arguments_of(dense, tmp_path)) == 1
    assert "has no extra images, which plan.extra asks for" in capsys.readouterr().err


def test_a_file_that_does_not_fit_ends_the_job_in_one_line(tmp_path, capsys):
    path = tmp_path / "wide.npz"
    np.savez(path, image=np.zeros((3, 9, 9, 1), np.uint8), label=np.zeros(3, int))
    dataset, _ = jobs_of(path, 1)
    assert call(arguments_of(dataset, tmp_path)) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "images are (9, 9, 1); allowed: (1, 8, 8), as the dataset" in line


@pytest.mark.parametrize("part", ["validation", "test"])
def test_an_image_that_networks_are_judged_by_ends_the_job(made, tmp_path, capsys, part):
    dataset = load_dataset(made / "without/data/digits/dataset.safetensors")
    images = getattr(dataset, part).images[:1].numpy()
    np.savez(tmp_path / "leak.npz", image=images, label=np.zeros(1, int))
    assert call(arguments_of(jobs_of(tmp_path / "leak.npz", 1)[0], tmp_path)) == 1
    assert f"1 of the 1 extra images are {part} images" in capsys.readouterr().err
