"""What objectives share that train against a single step of an adversary.

A network can learn to withstand that step alone (catastrophic overfitting,
`thin_ice.catastrophe`). So its robust accuracy on validation, by which checkpoints are chosen, is
that under PGD of ten steps; beside it the accuracy under the step that trains it is measured, and
where the two come apart the training says so.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from thin_ice.objectives.base import NoAdversary, Step, UnderAttack, correct


class SingleStep(NoAdversary, UnderAttack, ABC):
    """They lend PGD's ten steps to whoever wants adversarial images, and withstand these."""

    @abstractmethod
    def craft(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """Images as the training adversary leaves them, against the model in the mode it is in."""

    def withstands_one_step(
        self, model: nn.Module, images: Tensor, labels: Tensor, step: Step
    ) -> Tensor:
        """Which inputs are right under the training adversary, the model in evaluation mode: bool
        (N,).
        """
        return correct(model, self.craft(model, images, labels, step), labels)
