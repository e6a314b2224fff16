"""What is gained by choosing a checkpoint on the samples that it is reported on.

Most of the methods' authors kept the epoch with the best accuracy on the test split and reported
that accuracy. Here the claimed protocol is measured on test after every validated epoch; the
inflation is the accuracy of the epoch that is best on test minus that of the epoch chosen on
validation. The maximum over epochs is never below any of them, so the inflation is 0 or more even
where epochs differ by chance alone; that is what it measures.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.evaluation.claimed import claimed_outcomes


@dataclass
class OnTest:
    """The claimed protocol's outcome on every test sample, epoch by epoch.

    Attributes:
        stream: names the attack's draws, the same at every epoch, so that epochs compare.
        outcomes: by epoch (0-based), bool (N,).
    """

    test: Split
    threat: ThreatModel
    protocol: Protocol
    stream: tuple
    outcomes: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def measure(self, model: nn.Module, epoch: int) -> None:
        """Attack ``model`` as it stands; it is left as it was."""
        self.outcomes[epoch] = claimed_outcomes(
            model, self.test, self.threat, self.protocol, self.stream
        )

    def state(self) -> dict[str, Tensor]:
        """All outcomes so far as tensors, by epoch."""
        return {str(epoch): torch.from_numpy(one) for epoch, one in self.outcomes.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.outcomes = {int(epoch): one.cpu().numpy() for epoch, one in state.items()}


def chosen_epoch(scores: dict[int, list[float]], select: str) -> int:
    """The epoch (0-based) that a plan ends with: the last, or the best by its validation scores,
    of equal ones the later. Only validated epochs have scores.
    """
    if select == "last":
        return max(scores)
    return max(scores, key=lambda epoch: (scores[epoch], epoch))


def best_epoch(outcomes: dict[int, NDArray[np.bool_]]) -> int:
    """The epoch that is best on the measured samples; of equal ones the first, since the authors'
    code replaces a checkpoint only by a better one.
    """
    return max(outcomes, key=lambda epoch: (outcomes[epoch].sum(), -epoch))


def epochs_table(
    scores: dict[int, list[float]], outcomes: dict[int, NDArray[np.bool_]], chosen: int
) -> pd.DataFrame:
    """A row a validated epoch, numbered from 1: the validation score that decides first, the
    claimed accuracy on test in percent, and which epoch either split would choose.
    """
    best = best_epoch(outcomes)
    return pd.DataFrame(
        {
            "epoch": [epoch + 1 for epoch in outcomes],
            "validation_score": [scores[epoch][0] for epoch in outcomes],
            "test_claimed_percent": [100 * one.mean() for one in outcomes.values()],
            "chosen_on_validation": [epoch == chosen for epoch in outcomes],
            "best_on_test": [epoch == best for epoch in outcomes],
        }
    )


def samples_table(test: Split, outcomes: dict[int, NDArray[np.bool_]], chosen: int) -> pd.DataFrame:
    """Per test sample the claimed outcome at the epoch chosen on validation and at test's best."""
    return pd.DataFrame(
        {
            "sample_id": test.ids.cpu().numpy(),
            "chosen_on_validation": outcomes[chosen],
            "best_on_test": outcomes[best_epoch(outcomes)],
        }
    )
