"""Lower bounds of every logit margin of a batch, and which samples they verify."""

from functools import cached_property

import torch
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.attacks.threat import ThreatModel
from thin_ice.verification.bounds import METHODS as METHODS
from thin_ice.verification.bounds import Bounds, Network, network_of
from thin_ice.verification.region import Region
from thin_ice.verification.rounding import tolerance, widened


class Margins:
    """Bounds of the margins of one batch, for training: as fast as they are, rounding not counted.

    The network is used in the mode that it is in. In training mode batch norm normalises the bounds
    by the statistics of ``images`` and its running statistics move once, as by ``model(images)``.
    Bounds are computed in the images' dtype, without autocast; the logits with it, if it is on.

    Args:
        model: any network that `thin_ice.verification.graph.graph_of` takes.
        images: float (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        threat: the ball.

    Attributes:
        logits: (N, classes), as ``model(images)``.

    Raises:
        CannotBound: the network has an operation without bounds.
    """

    logits: Tensor

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel
    ) -> None:
        self._network = network_of(model, images, images.dtype)
        self.logits = self._network.logits
        self._labels = labels
        self._region = Region(images, threat.norm, images.new_full((len(images),), threat.eps))

    @cached_property
    def _bounds(self) -> Bounds:
        return Bounds(self._network, self._region)

    def lower(self, method: str) -> Tensor:
        """(N, classes): lower bounds of the label's logit less each logit, 0 at the label itself.

        Differentiable with respect to the parameters.

        Raises:
            ValueError: the method is none of `METHODS`.
        """
        return lower_margins(self._bounds, self._labels, method)


def lower_margins(bounds: Bounds, labels: Tensor, method: str) -> Tensor:
    """The same of any bounds, whose region may have another radius for each sample."""
    logits = bounds.network.logits
    with torch.autocast(logits.device.type, enabled=False):
        own = torch.eye(logits.shape[1], dtype=bounds.region.images.dtype, device=logits.device)
        return bounds.least(own[labels].unsqueeze(1) - own, method)


@torch.no_grad()
def certified_margin(
    model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, method: str
) -> Tensor:
    """The least that the label's logit certainly has above every other's all over the ball, less
    what rounding may take: float64 (N,), positive where an image is verified.

    The model is bounded in evaluation mode, in float64 whatever its own precision; for rounding
    see `thin_ice.verification.rounding`. With ``crown_ibp`` the better of it and ``ibp`` counts.

    Raises:
        CannotBound: the network has an operation without bounds.
        ValueError: the method is none of `METHODS`.
    """
    network = exact_network(model, images)
    eps = images.new_full((len(images),), threat.eps, dtype=torch.float64)
    return certain_margin(network, images, labels, threat.norm, eps, method)


def verified(
    model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, method: str
) -> Tensor:
    """Whether each image is certainly classified as its label all over the ball: bool (N,). Raises
    as `certified_margin`.
    """
    return certified_margin(model, images, labels, threat, method) > 0


def exact_network(model: nn.Module, images: Tensor) -> Network:
    """The network in evaluation mode, its operators in float64, its logits as it computes them."""
    with in_mode(model, "eval"), torch.autocast(images.device.type, enabled=False):
        return network_of(model, images, torch.float64)


def certain_margin(
    network: Network, images: Tensor, labels: Tensor, norm: str, eps: Tensor, method: str
) -> Tensor:
    """`certified_margin` within ``eps`` (N,), float64, a radius a sample."""
    exact = images.double()
    bounds = Bounds(network, Region(exact, norm, widened(eps, images, norm)))
    lower = lower_margins(bounds, labels, method)
    if method == "crown_ibp":
        lower = torch.maximum(lower, lower_margins(bounds, labels, "ibp"))
    others = lower.scatter(1, labels.unsqueeze(1), torch.inf).amin(1)
    return others - tolerance(network.logits, network.forward(exact)[-1])
