"""Free adversarial training (Shafahi et al., NeurIPS 2019, algorithm 1): CE(f(x + d), y), whose one
backward pass moves weights and perturbation both. HYDRA's choice for ImageNet.

Each minibatch is replayed m times; a replay takes the gradient at the present weights and d, then

    d <- clip(d + eps sign(grad_d), -eps, eps),        weights <- a step of the optimiser.

d begins at zero and is carried on from batch to batch, image i of a batch with what image i of the
last one had. x + d is clipped to [0, 1], through which no gradient passes back where it clips. Both
as in the released code (ashafahi/free_adv_train; mahyarnajibi/FreeAdversarialTraining). A smaller
batch uses the first of d and leaves the rest as it is, as there; a larger one begins the rest at
zero.
Deviation: the authors divide the number of epochs by m. Here an epoch of a study stays one pass
over the data, with m steps of the optimiser a batch, which schedules count and methods see: set
epochs / m for the cost of natural training.
In other norms, of which the paper says nothing, d takes a step of length eps in the steepest
direction and is projected onto the ball.
Where nobody keeps d, as when a method looks at the loss before training, it is that of a second
replay at the same weights: one step from zero, which is also what accuracy under a single step is
measured with on validation (`thin_ice.objectives.single_step`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.balls import PROJECTION
from thin_ice.attacks.pgd import cross_entropy_of, pgd
from thin_ice.attacks.threat import ThreatModel
from thin_ice.objectives.base import Goal, Loss, Step, correct_count
from thin_ice.objectives.single_step import SingleStep

DELTA = "delta"  # its name in the memory


@dataclass(frozen=True)
class FreeAt(SingleStep):
    """Cross-entropy on images whose perturbation rides along on the weights' own gradients."""

    replays: int = 4  # m: steps of the optimiser that each batch is given

    goal: ClassVar[Goal] = "empirical"
    teacher: ClassVar[bool] = False
    ranges: ClassVar[dict] = {"replays": [2, None]}

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        if step.memory is None:
            adversarial = self.craft(model, images, labels, step)
        else:
            delta = _carried(step.memory, images).requires_grad_(True)
            delta.register_hook(_ascent(step.memory, step.threat))
            adversarial = (images + delta).clamp(0, 1)
        logits = model(adversarial)
        return Loss(F.cross_entropy(logits, labels), correct_count(logits, labels))

    def craft(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """One step of eps from the images themselves, in the ball and the box."""
        loss = cross_entropy_of(labels)
        view = step.views.of(model)
        return pgd(view, images, step.threat, loss, images, 1, step.threat.eps)


def _carried(memory: dict[str, Tensor], images: Tensor) -> Tensor:
    """The perturbation that the batch begins with; what is missing is made, of zeros."""
    known = memory.get(DELTA, images[:0])
    missing = torch.zeros_like(images[len(known) :])
    memory[DELTA] = torch.cat([known, missing])
    return memory[DELTA][: len(images)].clone()


def _ascent(memory: dict[str, Tensor], threat: ThreatModel) -> Callable[[Tensor], None]:
    """What the backward pass does with the perturbation's gradient."""

    def move(gradient: Tensor) -> None:
        delta, rest = memory[DELTA][: len(gradient)], memory[DELTA][len(gradient) :]
        radius = delta.new_full((len(delta),), threat.eps)
        moved = delta + threat.eps * threat.steepest(gradient)
        memory[DELTA] = torch.cat([PROJECTION[threat.norm](moved, radius), rest])

    return move
