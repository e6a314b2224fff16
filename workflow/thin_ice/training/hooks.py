"""What a pruning method may do in the loop. The loop does not know which method is running."""

import torch
from torch import Tensor, nn

Row = dict[str, float | int]  # of a stage's history: an epoch


class Hooks:
    """Does nothing: plain training. A method overrides what it needs."""

    def before_training(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Called once in every attempt of a job, when network, optimiser and `restore` have what
        an earlier attempt left, before the first step.
        """

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        """Called before epoch ``epoch`` (0-based) of ``epochs``; where a killed job goes on within
        an epoch, not again.
        """

    def penalty(self, model: nn.Module) -> Tensor | None:
        """A scalar added to the loss of every step."""
        return None

    def after_step(self, model: nn.Module) -> None:
        """Called after every optimiser step; the step's gradients are still there."""

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        """Called after the last step of epoch ``epoch`` (0-based), before it is validated."""

    @property
    def eligible(self) -> bool:
        """Whether an epoch that ends now may be chosen as the best. If none may, the stage ends
        with the last.
        """
        return True

    @property
    def finished(self) -> bool:
        """Whether the stage ends with the epoch that ends now, before its epochs are over."""
        return False

    def after_validation(self, model: nn.Module, epoch: int, row: Row) -> None:
        """Called after epoch ``epoch`` (0-based) was validated, before its checkpoint is saved.
        ``row``: of its history, with the accuracies in training and on validation.
        """

    def state(self) -> dict[str, Tensor]:
        """Whatever is not in the model and must survive a kill, as tensors."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
