"""Objectives are told whether the network was trained before the stage began."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from thin_ice import tables
from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.natural import Natural
from thin_ice.pruning.finetune import finetune
from thin_ice.pruning.prune import prune
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks


@dataclass(frozen=True)
class Notes(Natural):
    """Natural training that notes what it is told."""

    told: list = field(default_factory=list)
    goal: ClassVar[str] = "empirical"

    def loss(self, model, images, labels, step):
        self.told.append(step.pretrained)
        return super().loss(model, images, labels, step)

    def withstands(self, model, images, labels, step):
        self.told.append(step.pretrained)
        return super().withstands(model, images, labels, step)


@pytest.fixture
def nowhere(tmp_path):
    return Checkpoint(tmp_path / "checkpoint", "job")


def test_dense_training_begins_with_nothing(build, setting, nowhere):
    objective = Notes()
    fit(build(0), setting(objective, epochs=1), Hooks(), nowhere)
    assert objective.told
    assert not any(objective.told)


@pytest.mark.parametrize("method", ["hydra", "snip"])
def test_pruning_and_what_a_method_looks_at_begin_with_a_trained_network(
    build, setting, nowhere, method
):
    objective = Notes()
    prune(
        build(0),
        tables.load("methods", method)().pruner(0.5),
        setting(objective, epochs=1 if method == "hydra" else 0),
        nowhere,
    )
    assert objective.told
    assert all(objective.told)


def test_fine_tuning_begins_with_a_trained_network(build, setting, nowhere):
    objective = Notes()
    finetune(build(0), {}, setting(objective, epochs=1), nowhere)
    assert objective.told
    assert all(objective.told)
