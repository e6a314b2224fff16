"""Watch an attack through the forward passes of the network that it attacks.

Whatever the attack is, the points where it asks for a gradient are its path. A wrapper around the
network notes what happens at each, and gives the attack the very values that it would get
without. Nothing is read on the host.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.attacks.modes import under_attack

SampleLoss = Callable[[Tensor, Tensor], Tensor]  # logits (N, K), labels (N,) -> (N,), to increase


@dataclass(frozen=True)
class Trajectory:
    """What N samples went through. The T points are those with a gradient, in order, and the last
    one that the network saw.
    """

    losses: Tensor  # (T, N)
    wrong: Tensor  # (T, N) bool: misclassified there
    no_gradient: Tensor  # (N,) bool: all zero, or not finite, at some point
    last: Tensor  # (N, C, H, W)


class Watched(nn.Module):
    """A network that notes what an attack on ``labels`` does. The attack must keep the samples
    and their order from pass to pass.

    With ``cut``, its gradients cannot be had: the attack gets zero instead, and goes on.
    """

    def __init__(self, model: nn.Module, labels: Tensor, loss: SampleLoss, cut: bool) -> None:
        super().__init__()
        self.model, self.labels, self.loss, self.cut = model, labels, loss, cut
        self.losses: list[Tensor] = []
        self.wrong: list[Tensor] = []
        self.no_gradient: list[Tensor] = []
        self.last: tuple[Tensor, Tensor, bool] | None = None  # images, logits, with a gradient

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        on_path = torch.is_grad_enabled() and images.requires_grad
        if on_path and self.cut:
            logits = logits.detach() + 0 * images.flatten(1).sum(1, keepdim=True)
        if on_path:
            self._note(logits.detach())
            images.register_hook(self._note_gradient)
        # A copy: attacks go on to change their iterates in place.
        self.last = images.detach().clone(), logits.detach(), on_path
        return logits

    def trajectory(self) -> Trajectory:
        """What was noted so far, which must be at least one pass."""
        images, logits, on_path = self.last
        if not on_path:
            self._note(logits)
        no_gradient = torch.zeros_like(self.labels, dtype=torch.bool)
        if self.no_gradient:
            no_gradient = torch.stack(self.no_gradient).any(0)
        return Trajectory(torch.stack(self.losses), torch.stack(self.wrong), no_gradient, images)

    def _note(self, logits: Tensor) -> None:
        self.losses.append(self.loss(logits, self.labels))
        self.wrong.append(logits.argmax(1) != self.labels)

    def _note_gradient(self, gradient: Tensor) -> None:
        values = gradient.flatten(1)
        self.no_gradient.append((values == 0).all(1) | ~values.isfinite().all(1))


def gradients_interrupted(
    model: nn.Module, images: Tensor, labels: Tensor, loss: SampleLoss
) -> bool:
    """Whether autograd refuses the gradient of the loss with respect to the images."""
    with under_attack(model), torch.enable_grad():
        probe = images.detach().clone().requires_grad_(True)
        try:
            torch.autograd.grad(loss(model(probe), labels).sum(), probe)
        except (RuntimeError, NotImplementedError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            return True
    return False
