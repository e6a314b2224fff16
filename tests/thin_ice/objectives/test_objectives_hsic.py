"""HSIC: kernels and estimators against loops, and against what must come out."""

import math

import numpy as np
import pytest
import torch

from thin_ice.objectives.hsic import (
    ESTIMATORS,
    RIDGE,
    gaussian_kernel,
    hsic,
    linear_kernel,
    normalized_hsic,
)


def samples(n=9, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def gaussian_by_hand(x, sigma):
    n, d = x.shape
    kernel = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            distance = sum((x[i, k].item() - x[j, k].item()) ** 2 for k in range(d))
            kernel[i, j] = math.exp(-distance / (2 * sigma**2 * d))
    return kernel


def hsic_by_hand(k, m):
    """(N - 1)^-2 sum_ij H K H M in four sums over pairs, without a centring matrix."""
    n = len(k)
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += k[i, j] * m[i, j]
            total += k.sum() / n**2 * m[i, j]
            total -= 2 / n * sum(k[i, q] * m[i, j] for q in range(n))
    return total / (n - 1) ** 2


def normalized_by_hand(k, m):
    """As released: centred from one side only, a general inverse, float64."""
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n
    told = [a @ h @ np.linalg.inv(a @ h + RIDGE * n * np.eye(n)) for a in (k, m)]
    return (told[0] * told[1].T).sum()


@pytest.mark.parametrize("sigma", [0.5, 5.0])
def test_the_gaussian_kernel_s_width_grows_with_the_root_of_the_dimension(sigma):
    x = samples(d=7)
    kernel = gaussian_kernel(x, sigma)
    np.testing.assert_allclose(kernel, gaussian_by_hand(x, sigma), rtol=1e-5)
    repeated = gaussian_kernel(x.repeat(1, 3), sigma)
    torch.testing.assert_close(repeated, kernel, rtol=1e-5, atol=1e-7)


def test_the_linear_kernel_is_the_inner_product():
    x = samples()
    expected = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in x] for p in x]
    np.testing.assert_allclose(linear_kernel(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seeds", [(0, 1), (0, 0)])
def test_the_biased_estimator_is_the_double_sum(seeds):
    k, m = (gaussian_kernel(samples(seed=seed), 1.0) for seed in seeds)
    assert hsic(k, m).item() == pytest.approx(hsic_by_hand(k.numpy(), m.numpy()), rel=1e-9)


@pytest.mark.parametrize("seeds", [(0, 1), (0, 0)])
def test_the_normalised_estimator_is_the_one_of_the_released_code(seeds):
    k = gaussian_kernel(samples(seed=seeds[0]), 1.0)
    m = linear_kernel(samples(seed=seeds[1]))
    expected = normalized_by_hand(k.numpy(), m.numpy())
    assert normalized_hsic(k, m).item() == pytest.approx(expected, rel=1e-6)


def test_the_normalised_estimator_of_two_classes_and_themselves_is_one_direction():
    labels = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    kernel = linear_kernel(labels)  # centred: one eigenvalue, 1
    share = 1 / (1 + 4 * RIDGE)
    assert normalized_hsic(kernel, kernel).item() == pytest.approx(share**2, rel=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_constant_tells_nothing(name):
    constant = gaussian_kernel(torch.ones(9, 3), 1.0)
    assert ESTIMATORS[name](constant, gaussian_kernel(samples(), 1.0)).item() == pytest.approx(0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_independent_samples_score_near_zero_and_dependent_ones_above(name):
    estimate = ESTIMATORS[name]
    x, other = samples(200, 1), samples(200, 1, seed=1)
    unrelated = estimate(linear_kernel(x), linear_kernel(other))
    same = estimate(linear_kernel(x), linear_kernel(x))
    opposite = estimate(linear_kernel(x), linear_kernel(-2 * x))
    curved = estimate(gaussian_kernel(x, 1.0), gaussian_kernel(x**2, 1.0))
    apart = estimate(gaussian_kernel(x, 1.0), gaussian_kernel(other**2, 1.0))
    assert unrelated < 0.05 * same
    assert opposite > 0.9 * same
    assert curved > 1.5 * apart > 0


@pytest.mark.parametrize("name", ESTIMATORS)
def test_stacked_kernels_score_as_each_by_itself(name):
    kernels = torch.stack([gaussian_kernel(samples(seed=seed), 1.0) for seed in (1, 2, 3)])
    other = linear_kernel(samples())
    one_by_one = torch.stack([ESTIMATORS[name](kernel, other) for kernel in kernels])
    torch.testing.assert_close(ESTIMATORS[name](kernels, other), one_by_one)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_gradient_is_that_of_small_changes(name):
    x, other = samples(6, 3).double(), linear_kernel(samples(6, 2, seed=1))

    def score(x):
        return ESTIMATORS[name](gaussian_kernel(x, 0.7), other)

    assert torch.autograd.gradcheck(score, x.requires_grad_(True), atol=1e-5, rtol=1e-3)
