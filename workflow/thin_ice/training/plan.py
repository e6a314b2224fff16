"""The plan of one stage of training: its budget and its optimiser. Knows no torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Plan:
    """What a study may set for a stage. Moments of training are shares of the budget, so that a
    method's schedule scales with the number of epochs.
    """

    epochs: int = 100  # 0: the stage trains nothing
    batch_size: int = 128
    extra: float = 0.0  # pseudo-labelled images added to a batch, as a share of its labelled ones
    optimizer: Literal["sgd", "sgdw", "adam"] = "sgd"  # sgdw: decay apart from the gradient
    lr: float = 0.1
    momentum: float = 0.9  # of SGD
    weight_decay: float = 0.0001  # of sgdw: the share a step takes, not multiplied by the rate
    schedule: Literal["constant", "cosine", "cosine_per_epoch", "step"] = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)  # of the step schedule, shares of a cycle
    gamma: float = 0.1  # of the step schedule: factor at each milestone
    cycles: int = 1  # how often the schedule starts again
    warmup: float = 0.0  # share of the budget over which the rate rises linearly from 0
    precision: Literal["float32", "bfloat16"] = "float32"  # of the training passes (autocast)
    augment: Literal["none", "crop", "crop_flip"] = "none"
    padding: int = 4  # pixels of zeros around an image before a crop
    select: Literal["best", "last"] = "best"  # which epoch's weights the stage ends with
    validate_every: int = 1  # epochs
