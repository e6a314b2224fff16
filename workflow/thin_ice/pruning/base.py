"""What a pruning method is: options, and a `Pruner` that acts through the stage's hooks.

A method decides what carries a mask, what is trained meanwhile, what is added to the loss and what
happens between steps. It never mentions the objective; where its authors prescribe one, its table
entry says so and a study may say otherwise.
"""

from typing import ClassVar, Protocol

from torch import Tensor, nn

from thin_ice.sparsity.masks import Masks
from thin_ice.training.hooks import Hooks
from thin_ice.training.setting import Setting


class Pruner(Hooks):
    """One run of a method on one network: `look` so many times at data, `attach`, training with
    the hooks of `Hooks`, `finish`.
    """

    def looks(self, setting: Setting) -> int:
        """How many times the method looks at data before the network is touched."""
        return 0

    def look(self, model: nn.Module, setting: Setting, number: int) -> None:
        """Look ``number`` (0-based): measure something on ``setting.batch(number)``. It changes
        what `state` gives and leaves the network, in evaluation mode, as it was. A killed job goes
        on after the last look that its checkpoint has.
        """

    def attach(self, model: nn.Module, setting: Setting) -> None:
        """Before training: put parametrizations on, say what is trainable."""

    def finish(self, model: nn.Module) -> Masks:
        """After training: leave the network computing with masked weights, and return the masks
        by parameter name, bool, True where kept.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say which weights stay")


class Method(Protocol):
    """An entry of the table of methods: a frozen dataclass of options."""

    units: ClassVar[tuple[str, ...]]  # what it can prune: weight, filter, channel, column
    claimed: ClassVar[str]  # the protocol by which its authors measured robustness
    prune_plan: ClassVar[dict]  # its published plan of pruning, as far as it departs from `Plan`
    finetune_plan: ClassVar[dict]  # and of fine-tuning

    # These may be absent. What its authors prune and fine-tune it with, a kind of objective and its
    # options, where that is not the one which trained the network; and for numeric options, what
    # they must be above and below (None: no limit).
    prune_objective: ClassVar[dict]
    finetune_objective: ClassVar[dict]
    limits: ClassVar[dict]

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        """A fresh pruner that reaches ``sparsity``: the pruned share of the prunable weights, or of
        a layer's filters or channels.
        """
        ...


def detached(weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The values of weights, without their graph."""
    return {name: weight.detach() for name, weight in weights.items()}
