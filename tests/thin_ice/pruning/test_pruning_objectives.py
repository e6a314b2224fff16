"""Any objective times any pruner is a network: also the pairs that no paper has run."""

import pytest
import torch

from thin_ice import tables
from thin_ice.checkpoint import Checkpoint
from thin_ice.pruning.finetune import finetune
from thin_ice.pruning.prune import prune
from thin_ice.study.load import study_from
from thin_ice.study.options import entry
from thin_ice.study.pipelines import acting_stage

GOALS = {name: entry("objectives", name).constants["goal"] for name in tables.OBJECTIVES}
PROVED = [name for name, goal in GOALS.items() if goal in ("verified", "smoothed")]
UNITS = [(n, unit) for n in tables.METHODS for unit in tables.load("methods", n).units]


def new(table, name):
    return tables.load(table, name)()


@pytest.mark.parametrize("objective", PROVED)
@pytest.mark.parametrize(("method", "unit"), UNITS)
def test_a_network_is_pruned_and_tuned_with_what_can_be_proved(
    build, setting, checkpoint, tmp_path, objective, method, unit
):
    model, pruner = build(0), new("methods", method).pruner(0.5, unit)
    acting = acting_stage(new("methods", method).pipeline)
    epochs = min(1, getattr(new("methods", method), f"{acting}_plan").get("epochs", 1))
    trained = new("objectives", objective)
    pruned = prune(model, pruner, setting(trained, epochs=epochs, lr=0.001), checkpoint)
    weights = dict(model.named_parameters())
    before = {name: weights[name].detach().clone() for name in pruned.masks}
    finetune(
        model,
        pruned.masks,
        setting(trained, epochs=1, lr=0.001, stream=(1, "tune")),
        Checkpoint(tmp_path / "tuned", "job"),
    )
    after = dict(model.named_parameters())
    for name, mask in pruned.masks.items():
        assert (after[name][~mask] == 0).all()
    assert any(not torch.equal(before[name], after[name]) for name in pruned.masks)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_study_may_have_every_objective_times_every_method(miniature):
    trainable = [n for n in tables.OBJECTIVES if not entry("objectives", n).constants["teacher"]]
    miniature |= {"seeds": [0], "dense_again": False, "objectives": {n: {} for n in trainable}}
    miniature["methods"] = {
        f"{method}_{unit}": {"kind": method, "unit": unit} for method, unit in UNITS
    }
    networks = study_from(miniature).networks()
    made = {(network.parts[2], network.method) for network in networks if network.pruned}
    assert made == {(n, f"{m}_{unit}") for n in trainable for m, unit in UNITS}
