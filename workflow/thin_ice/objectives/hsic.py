"""HSIC, the Hilbert-Schmidt independence criterion (Gretton et al., ALT 2005), of a batch.

Kernels K and L of two sets of N samples are compared after centring, Kc = H K H with
H = I - 1/N: the biased estimator tr(Kc Lc) / (N - 1)^2 is near 0 where the two are independent.
HBaR (Wang et al., NeurIPS 2021) trains with the normalised one, tr(R_K R_L) with
R_K = Kc (Kc + 1e-5 N I)^-1: it counts in how many directions, at most N - 1, the samples of both
vary together, whatever their scale. Its code centres from one side only, with the same trace.
"""

import torch
from torch import Tensor

RIDGE = 1e-5  # of the normalised estimator, times the number of samples; HBaR's code


def gaussian_kernel(samples: Tensor, sigma: float) -> Tensor:
    """exp(-||x_i - x_j||^2 / (2 sigma^2 d)) for samples (N, d), as a matrix (N, N) in float64.

    The width is scaled by the root of the dimension d, so that one sigma serves every layer.
    """
    squares = samples.square().sum(1)
    distances = (squares[:, None] + squares - 2 * samples @ samples.T).clamp_min(0)
    return (distances.double() / (-2 * sigma**2 * samples.shape[1])).exp()


def linear_kernel(samples: Tensor) -> Tensor:
    """The inner products of samples (N, d), as a matrix (N, N) in float64."""
    return (samples @ samples.T).double()


def centred(kernel: Tensor) -> Tensor:
    """H K H, for one kernel or a stack of them (..., N, N)."""
    rows, columns = kernel.mean(-1, keepdim=True), kernel.mean(-2, keepdim=True)
    return kernel - rows - columns + kernel.mean((-2, -1), keepdim=True)


def hsic(kernel: Tensor, other: Tensor) -> Tensor:
    """The biased estimator of two kernels (..., N, N) of the same samples; shape (...)."""
    return (centred(kernel) * centred(other)).sum((-2, -1)) / (kernel.shape[-1] - 1) ** 2


def normalized_hsic(kernel: Tensor, other: Tensor) -> Tensor:
    """The normalised estimator of two kernels (..., N, N) of the same samples; shape (...)."""
    return (_told(kernel) * _told(other)).sum((-2, -1))


def _told(kernel: Tensor) -> Tensor:
    """Kc (Kc + c I)^-1 = I - c (Kc + c I)^-1, symmetric."""
    size = kernel.shape[-1]
    identity = torch.eye(size, dtype=kernel.dtype, device=kernel.device)
    ridge = RIDGE * size
    # Not `inv`, which looks on the host whether the matrix was singular: the ridge sees to it.
    return identity - ridge * torch.linalg.inv_ex(centred(kernel) + ridge * identity).inverse


ESTIMATORS = {"normalized": normalized_hsic, "biased": hsic}
