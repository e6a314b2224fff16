"""A method may look at data before the network is touched, and a killed job goes on looking."""

import os
import signal

import pytest
import torch

from thin_ice import interruption
from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning import prune as stage
from thin_ice.pruning.lwm import Lwm, LwmPruner
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.masks import layerwise_masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_weights

LOOKS = 5


class Sums(LwmPruner):
    """Prunes by the sum of the gradients' squares over some batches."""

    def __init__(self, stop_after=None):
        super().__init__(Lwm(), 0.5)
        self.sums, self.seen, self.stop_after = {}, [], stop_after
        self.known_when_attached = None

    def looks(self, setting):
        return LOOKS

    def look(self, model, setting, number):
        assert not model.training
        images, labels = setting.batch(number)
        images = setting.adversarial(model, images, labels, number)
        weights = prunable_weights(model)
        loss = setting.loss(model, images, labels, number)
        for name, gradient in zip(
            weights, torch.autograd.grad(loss, list(weights.values())), strict=True
        ):
            self.sums[name] = self.sums.get(name, 0) + gradient.square()
        self.seen.append(number)
        if number == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    def attach(self, model, setting):
        self.known_when_attached = {name: s.clone() for name, s in self.sums.items()}

    def finish(self, model):
        masks = layerwise_masks(self.sums, self.sparsity)
        fix_masks(model, masks)
        return masks

    def state(self):
        return dict(self.sums)

    def restore(self, state):
        self.sums = state


def same(some, others):
    return all(torch.equal(some[name], others[name]) for name in {*some, *others})


@pytest.fixture
def chosen(setting):
    return setting(PgdAt(steps=1), epochs=2, select="last")


def whole(build, chosen, checkpoint):
    pruner = Sums()
    return pruner, prune(build(0), pruner, chosen, checkpoint)


def test_a_job_that_is_asked_to_end_goes_on_at_the_look_it_was_at(
    build, chosen, tmp_path, listening
):
    _, expected = whole(build, chosen, Checkpoint(tmp_path / "whole", "job"))
    checkpoint, first, second = Checkpoint(tmp_path / "killed", "job"), Sums(2), Sums()
    with pytest.raises(interruption.Interrupted):
        prune(build(0), first, chosen, checkpoint)
    interruption.listen()
    found = prune(build(0), second, chosen, checkpoint)
    assert (first.seen, second.seen) == ([0, 1, 2], [3, 4])
    assert same(found.masks, expected.masks)
    assert found.history == expected.history


def test_what_was_seen_is_known_again_where_training_had_begun(build, chosen, tmp_path, listening):
    pruner, expected = whole(build, chosen, Checkpoint(tmp_path / "whole", "job"))
    checkpoint, killed, resumed = Checkpoint(tmp_path / "killed", "job"), Sums(), Sums()
    killed.after_step = lambda model: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(interruption.Interrupted):
        prune(build(0), killed, chosen, checkpoint)
    interruption.listen()
    found = prune(build(0), resumed, chosen, checkpoint)
    assert resumed.seen == []
    assert same(resumed.known_when_attached, pruner.known_when_attached)
    assert same(found.masks, expected.masks)
    assert found.history == expected.history


def test_looks_are_saved_every_so_often(build, chosen, checkpoint, monkeypatch):
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0)
    pruner, counts = Sums(), []
    attach = pruner.attach

    def watched(model, setting):
        counts.append(checkpoint.load()[1])
        attach(model, setting)

    pruner.attach = watched
    prune(build(0), pruner, chosen, checkpoint)
    assert counts == [{"looks": LOOKS}]


def test_a_look_sees_each_training_sample_once_an_epoch_and_the_same_again(setting):
    chosen = setting(batch_size=10, augment="crop_flip")
    assert chosen.batches_per_epoch == 4
    batches = [chosen.batch(number) for number in range(8)]
    for epoch in (batches[:4], batches[4:]):
        labels = torch.cat([labels for _, labels in epoch])
        assert torch.equal(labels.sort().values, chosen.train.labels.sort().values)
    assert not torch.equal(batches[0][0], batches[4][0])
    again = chosen.batch(5)
    assert all(map(torch.equal, batches[5], again))
    plain = setting(batch_size=10).batch(0)[0]
    assert torch.equal((plain * 255).round() / 255, plain)


def test_a_look_is_given_the_objective_s_own_adversary(build, chosen):
    model = build(0).eval()
    images, labels = chosen.batch(0)
    attacked = chosen.adversarial(model, images, labels, 0)
    assert 0 < (attacked - images).abs().max() <= chosen.threat.eps + 1e-6
    assert torch.equal(chosen.adversarial(model, images, labels, 0), attacked)
    assert not torch.equal(chosen.adversarial(model, images, labels, 1), attacked)
    assert chosen.loss(model, images, labels, 0).requires_grad
