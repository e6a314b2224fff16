"""What a pruning method is: options, and a `Pruner` that acts through the training loop's hooks.

A method decides what carries a mask, what is trained meanwhile, what is added to the loss and what
happens between steps. It never mentions the objective.
"""

from typing import ClassVar, Protocol

from torch import nn

from thin_ice.sparsity.masks import Masks
from thin_ice.training.hooks import Hooks


class Pruner(Hooks):
    """One run of a method on one network. The hooks in between are those of `Hooks`."""

    def attach(self, model: nn.Module) -> None:
        """Before training: put parametrizations on, say what is trainable."""

    def finish(self, model: nn.Module) -> Masks:
        """After training: leave the network computing with masked weights, and return the masks
        by parameter name, bool, True where kept.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say which weights stay")


class Method(Protocol):
    """An entry of the table of methods: a frozen dataclass of options."""

    units: ClassVar[tuple[str, ...]]  # what it can prune: weight, filter, channel
    claimed: ClassVar[str]  # the protocol by which its authors measured robustness
    prune_plan: ClassVar[dict]  # its published plan of pruning, as far as it departs from `Plan`
    finetune_plan: ClassVar[dict]  # and of fine-tuning

    def pruner(self, sparsity: float) -> Pruner:
        """A fresh pruner that reaches ``sparsity``, the pruned share of the prunable weights."""
        ...
