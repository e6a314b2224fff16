"""Certificates of smoothed networks against closed forms, simulation and a plain loop."""

import numpy as np
import pytest
import torch
from scipy.special import ndtr, ndtri
from scipy.stats import beta, binom
from torch import nn

from thin_ice.randomness import generator
from thin_ice.verification.smoothing import (
    CHUNK,
    Smoothing,
    certificates,
    certified_curve,
    certify_smoothed,
    clopper_pearson_lower,
)

SIGMA = 0.5


def linear(weight=(3.0, -4.0), bias=0.5):
    """Two classes, of which the first where w.x + b > 0; the boundary lies |w.x + b| / ||w||
    away, for the smoothed network as well.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([weight, (0.0, 0.0)]))
        model[1].bias.copy_(torch.tensor([bias, 0.0]))
    return model


def points(number, seed=0):
    return torch.rand(number, 1, 1, 2, generator=torch.Generator().manual_seed(seed))


def margin(images, weight=(3.0, -4.0), bias=0.5):
    """Signed distance to the linear network's boundary."""
    w = np.asarray(weight)
    return (images.flatten(1).double().numpy() @ w + bias) / np.linalg.norm(w)


def simulated(true_margin, number, smoothing, seed):
    """Certificates of ``number`` equal images whose draws differ."""
    images = torch.full((number, 1, 1, 2), 0.0)
    model = linear((5.0, 0.0), 5.0 * true_margin)
    return certify_smoothed(model, images, smoothing, ("simulated", seed), batch_size=10**5)


def test_a_linear_networks_certificates_come_close_to_the_closed_form_from_below():
    images = points(60)
    found = certify_smoothed(linear(), images, Smoothing(SIGMA, 2000, 20_000), ("linear",))
    truth = margin(images)
    sure = found.prediction >= 0
    assert sure.mean() > 0.75
    assert (np.abs(truth[~sure]) < 0.1 * SIGMA).all()
    assert (found.prediction[sure] == (truth < 0)[sure]).all()
    assert (found.radius <= np.abs(truth) + 1e-9).all()
    near = np.abs(truth) < 2 * SIGMA  # no draw is of another class much farther away
    assert (np.abs(truth)[near & sure] - found.radius[near & sure] < 0.1 * SIGMA).all()


def test_certificates_scale_with_the_noise_and_stop_where_all_draws_agree():
    images, model = torch.zeros(3, 1, 1, 2), linear((1.0, 0.0), 1e6)
    for sigma in (0.25, 1.0):
        found = certify_smoothed(model, images, Smoothing(sigma, 10, 1000), ("far",))
        assert (found.count == 1000).all()
        assert found.radius == pytest.approx(sigma * ndtri(0.001 ** (1 / 1000)))


@pytest.mark.parametrize("p", [0.75, 0.9])
def test_the_stated_confidence_holds_in_simulation_and_is_not_more_than_stated(p):
    smoothing, number = Smoothing(SIGMA, 20, 120, alpha=0.05), 3000
    truth = SIGMA * ndtri(p)
    found = simulated(truth, number, smoothing, seed=int(100 * p))
    wrong = int((found.radius > truth).sum())
    counts = np.arange(121)
    too_high = counts[beta.ppf(0.05, np.maximum(counts, 1), 121 - np.maximum(counts, 1)) > p]
    expected = binom.sf(too_high.min() - 1, 120, p)  # exactly, of a right choice by n0 draws
    assert 0.02 < expected <= 0.05
    assert binom.ppf(1e-4, number, expected) <= wrong <= binom.ppf(1 - 1e-4, number, expected)


def test_the_draws_that_choose_are_not_those_that_bound():
    """Of a fair coin, draws counted twice would favour the class that they chose."""
    found = simulated(0.0, 3000, Smoothing(SIGMA, 50, 50), seed=1)
    assert abs(found.count.mean() - 25) < 5 * np.sqrt(12.5 / 3000)


def test_where_no_class_has_more_than_half_for_sure_it_abstains():
    found = simulated(0.0, 500, Smoothing(SIGMA, 10, 200, alpha=0.05), seed=2)
    abstains = found.prediction == -1
    assert abstains.mean() > 0.9
    assert (found.radius[abstains] == 0).all()
    assert (found.radius[~abstains] > 0).all()
    assert (found.chosen >= 0).all()


def test_the_lower_bound_is_the_beta_quantile_and_abstention_is_at_one_half():
    counts = np.arange(51)
    lower = clopper_pearson_lower(counts, 50, 0.01)
    assert lower[0] == 0
    np.testing.assert_allclose(lower[1:], beta.ppf(0.01, counts[1:], 51 - counts[1:]), rtol=1e-9)
    assert lower[50] == pytest.approx(0.01 ** (1 / 50))
    np.testing.assert_allclose(binom.sf(counts[1:] - 1, 50, lower[1:]), 0.01, rtol=1e-6)
    found = certificates(np.full(51, 7), counts, Smoothing(2.0, 1, 50, 0.01))
    assert (found.prediction == np.where(lower > 0.5, 7, -1)).all()
    np.testing.assert_allclose(found.radius, np.maximum(0, 2.0 * ndtri(np.maximum(lower, 0.5))))
    half = certificates(np.array([1]), np.array([1]), Smoothing(1.0, 1, 1, 0.5))
    assert half.prediction == [-1]  # the bound is one half exactly


@pytest.fixture
def network(build):
    model = build(0)
    for seed in range(10):  # so that batch norm knows noisy images
        stream = torch.Generator().manual_seed(seed)
        model(torch.rand(32, 1, 8, 8, generator=stream))
    return model


def fields(found):
    return [found.prediction, found.radius, found.chosen, found.count]


SMALL = Smoothing(0.4, n0=30, n=2 * CHUNK + 30, alpha=0.05)


def test_a_certificate_depends_neither_on_the_batch_nor_on_the_neighbours(network, images):
    whole = certify_smoothed(network, images, SMALL, ("s", 0))
    assert len(set(whole.count.tolist())) > 3
    for size in (1, 100, 300, 10_000):
        again = certify_smoothed(network, images, SMALL, ("s", 0), batch_size=size)
        assert all(map(np.array_equal, fields(again), fields(whole)))
    some = [7, 2, 11]
    alone = certify_smoothed(network, images[some], SMALL, ("s", 0), ids=some)
    assert all(
        np.array_equal(a, b[some]) for a, b in zip(fields(alone), fields(whole), strict=True)
    )


def test_equal_images_have_draws_of_their_own_and_a_stream_has_others(network, images):
    same = images[:1].expand(12, -1, -1, -1)
    counts = certify_smoothed(network, same, SMALL, ("s", 0)).count
    assert len(set(counts.tolist())) > 1
    other = certify_smoothed(network, same, SMALL, ("s", 1)).count
    assert not np.array_equal(counts, other)


def test_the_counts_are_those_of_a_plain_loop_without_clipping(network, images):
    found = certify_smoothed(network, images[:3], SMALL, ("loop",))
    network.eval()
    for place, image in enumerate(images[:3]):
        stream, predictions = generator("cpu", "loop", place), []
        for size in (30, CHUNK, CHUNK, 30):
            noise = torch.empty(size, 1, 8, 8).normal_(generator=stream)
            with torch.no_grad():
                predictions.append(network(image + 0.4 * noise).argmax(1))
        chosen = int(predictions[0].mode().values)
        rest = torch.cat(predictions[1:])
        assert found.chosen[place] == chosen
        assert found.count[place] == int((rest == chosen).sum())


def test_the_network_is_certified_in_evaluation_mode_and_left_as_it_was(network, images):
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    certify_smoothed(network, images, SMALL, ("s",))
    assert network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(torch.equal(v, state[n]) for n, v in network.state_dict().items())


def test_no_images_have_no_certificates(network, images):
    found = certify_smoothed(network, images[:0], SMALL, ("s",))
    assert all(len(field) == 0 for field in fields(found))


def test_a_curve_counts_right_classes_that_are_certified_beyond_a_radius():
    found = certificates(np.array([1, 1, 0, 1]), np.array([100, 90, 100, 50]), Smoothing(1, 1, 100))
    signed = found.signed([1, 1, 1, 1])
    assert (np.sign(signed) == [1, 1, -1, 0]).all()
    radii = [0, signed[1], (signed[0] + signed[1]) / 2, signed[0]]
    assert certified_curve(signed, radii).tolist() == [0.5, 0.25, 0.25, 0]
    assert ndtr(signed[0]) == pytest.approx(0.001 ** (1 / 100))


@pytest.mark.parametrize(
    ("name", "value"), [("sigma", 0.0), ("n0", 0), ("n", -1), ("alpha", 0.0), ("alpha", 1.0)]
)
def test_numbers_out_of_range_are_refused_with_what_is_allowed(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; allowed: more than 0"):
        Smoothing(**{"sigma": 0.5, name: value})
