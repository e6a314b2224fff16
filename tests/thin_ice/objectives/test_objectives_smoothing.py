"""Training for randomized smoothing against its formulas."""

import copy

import pytest
import torch
import torch.nn.functional as F

from thin_ice.objectives.smoothing import Smoothing


def noisy(images, sigma, seed):
    noise = torch.empty_like(images).normal_(generator=torch.Generator().manual_seed(seed))
    return images + sigma * noise


def test_the_gaussian_form_is_the_cross_entropy_of_noisy_images(network, images, labels, step):
    other = copy.deepcopy(network)
    found = Smoothing(0.5, "gaussian").loss(network, images, labels, step(seed=3))
    logits = other(noisy(images, 0.5, 3))
    torch.testing.assert_close(found.value, F.cross_entropy(logits, labels))
    assert int(found.correct) == int((logits.argmax(1) == labels).sum())


def test_the_stability_form_adds_beta_mean_kl_from_clean_to_noisy(network, images, labels, step):
    other = copy.deepcopy(network)
    found = Smoothing(0.5, "stability", 2.5).loss(network, images, labels, step(seed=3))
    logits = other(images)
    p, q = logits.softmax(1), other(noisy(images, 0.5, 3)).softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1).mean()
    assert divergence > 1e-3
    expected = F.cross_entropy(logits, labels) + 2.5 * divergence
    torch.testing.assert_close(found.value, expected)
    assert int(found.correct) == int((logits.argmax(1) == labels).sum())


def test_an_input_withstands_where_a_noisy_copy_is_classified_correctly(network, images, step):
    labels = copy.deepcopy(network).eval()(images).argmax(1)
    found = Smoothing(1.0).withstands(network, images, labels, step(seed=3))
    expected = network.eval()(noisy(images, 1.0, 3)).argmax(1) == labels
    assert torch.equal(found, expected)
    assert 0 < int(found.sum()) < len(images)


def test_defaults_are_those_of_hydra():
    chosen = Smoothing()
    assert (chosen.sigma, chosen.form, chosen.beta) == (0.25, "stability", pytest.approx(6.0))
