"""What a pruning method is: options, and a `Pruner` that acts through the stage's hooks.

A method decides what carries a mask, what is trained meanwhile, what is added to the loss and what
happens between steps. It never mentions the objective; where its authors prescribe one, its table
entry says so and a study may say otherwise.
"""

from typing import ClassVar, Protocol

from torch import Tensor, nn

from thin_ice.sparsity.masks import Masks
from thin_ice.sparsity.prunable import Layers, prunable_weights
from thin_ice.training.hooks import Hooks
from thin_ice.training.setting import Setting


class Pruner(Hooks):
    """One run of a method on one network, trained or as initialised: `look` so many times at data,
    `attach`, training with the hooks of `Hooks`, `finish`.
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
    """An entry of the table of methods: a frozen dataclass of options.

    For each stage of its pipeline (`thin_ice.study.pipelines`) it has, as STAGE_plan, its published
    plan as far as that departs from `Plan`; and, where its authors train that stage with another
    objective than the one that is wanted in the end, that one's kind and options as
    STAGE_objective. So a method that prunes after training has ``prune_plan`` and
    ``finetune_plan``.
    """

    pipeline: ClassVar[str]  # when it prunes: after, before or during training
    criterion: ClassVar[str]  # how it chooses, in a few words, for the table of methods
    paper: ClassVar[str]  # whose it is
    units: ClassVar[tuple[str, ...]]  # what it can prune: weight, filter, channel, column
    claimed: ClassVar[str]  # the protocol by which its authors measured robustness

    # These may be absent: for numeric options, what they must be above and below, and ranges whose
    # ends are allowed (None: no limit).
    limits: ClassVar[dict]
    ranges: ClassVar[dict]

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        """A fresh pruner that reaches ``sparsity``: the pruned share of the prunable weights, or of
        a layer's filters or channels.
        """
        ...


def magnitudes(model: nn.Module, layers: Layers) -> dict[str, Tensor]:
    """|w| of each prunable weight as the network computes with it, by name, without its graph."""
    weights = detached(prunable_weights(model, layers))
    return {name: weight.abs() for name, weight in weights.items()}


def detached(weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The values of weights, without their graph."""
    return {name: weight.detach() for name, weight in weights.items()}
