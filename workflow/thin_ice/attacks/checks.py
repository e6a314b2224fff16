"""What every evaluation asks of its network and its samples before it attacks anything."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from thin_ice.errors import ThinIceError


class UnusableInput(ThinIceError):
    """Images, labels or a network that no verdict may rest on."""


def checked_logits(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """The network's logits, (N, K), on batches of images and labels, with all of them checked.

    Raises:
        UnusableInput: see `require_evaluation_mode`, `require_images` and `require_logits`.
    """
    require_evaluation_mode(model)
    found = []
    for images, labels in batches:
        require_images(images, labels)
        with torch.no_grad():
            logits = model(images)
        require_logits(logits, labels)
        found.append(logits)
    return torch.cat(found)


def require_evaluation_mode(model: nn.Module) -> None:
    """Raise UnusableInput where a module is in training mode: what it predicts would depend on the
    rest of the batch, or on chance.
    """
    for name, module in model.named_modules():
        if module.training:
            raise UnusableInput(
                f"the network's module {name or type(module).__name__!r} is in training mode; "
                "allowed: evaluation mode throughout"
            )


def require_images(images: Tensor, labels: Tensor) -> None:
    """Raise UnusableInput unless ``images`` are float32 (N, C, H, W) in [0, 1] and ``labels``
    int64 (N,).
    """
    if images.dtype != torch.float32 or images.ndim != 4:
        raise UnusableInput(
            f"images are {images.dtype} with {images.ndim} dimensions; allowed: torch.float32 "
            "with 4, (N, C, H, W)"
        )
    if labels.dtype != torch.int64 or labels.shape != (len(images),):
        raise UnusableInput(
            f"labels are {labels.dtype} {tuple(labels.shape)}; allowed: torch.int64 "
            f"({len(images)},), one an image"
        )
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        low, high = images.aminmax()
        raise UnusableInput(f"images reach from {low:g} to {high:g}; allowed: 0 to 1, no NaN")


def require_logits(logits: Tensor, labels: Tensor) -> None:
    """Raise UnusableInput unless ``logits`` are finite, (N, K), with a column for every label."""
    if logits.ndim != 2 or len(logits) != len(labels):
        raise UnusableInput(
            f"the network gives {tuple(logits.shape)} for {len(labels)} images; allowed: "
            f"({len(labels)}, classes)"
        )
    if not len(labels):
        return
    require_finite(logits)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise UnusableInput(
            f"labels reach from {low} to {high} but the network has {logits.shape[1]} classes; "
            f"allowed: 0 to {logits.shape[1] - 1}"
        )


@contextmanager
def finite_under_attack(model: nn.Module) -> Iterator[None]:
    """Look at every forward and backward pass while the context lasts, without waiting for any.

    An attack does not fall over what is not finite: APGD takes the sign of NaN for 0 and stays
    where it is, and argmax takes NaN for the largest logit, so a sample would seem to withstand.
    A sum is finite if all values are, and costs a pass next to nothing.

    Raises:
        UnusableInput: at the end, where logits or gradients at finite images were NaN or infinite.
    """
    wrong: dict[str, int | Tensor] = {"logits": 0, "gradients": 0}

    def count(what: str, images: Tensor, values: Tensor) -> None:
        ours = images.isfinite()  # an attack's own NaN is not the network's
        wrong[what] = wrong[what] + (ours & ~values.sum().isfinite())

    def look(_: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> None:
        images = given[0].detach().sum()
        count("logits", images, logits.detach())
        if given[0].requires_grad:
            given[0].register_hook(lambda gradient: count("gradients", images, gradient))

    handle = model.register_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()
    for what, number in wrong.items():
        if number:
            raise UnusableInput(
                f"the network's {what} are NaN or infinite in {int(number)} passes under attack; "
                "allowed: finite"
            )


def require_finite(logits: Tensor, where: str = "") -> None:
    """Raise UnusableInput where a logit is NaN or infinite: a comparison with it says nothing."""
    wrong = int((~logits.isfinite().flatten(1).all(1)).sum())
    if wrong:
        raise UnusableInput(
            f"the network's logits are NaN or infinite on {wrong} of {len(logits)} images"
            f"{where}; allowed: finite"
        )
