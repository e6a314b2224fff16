"""N-FGSM (de Jorge et al., NeurIPS 2022, "Make Some Noise"): one step, from far away, unprojected.

    eta ~ U(-k eps, k eps)^d,    x_adv = x + eta + alpha sign(grad CE(f(x + eta), y))

The loss is CE(f(x_adv), y), with k = 2 and alpha = eps. x_adv is not projected onto the ball of
eps: it is up to (k + 1) eps away, which is what keeps a single step from overfitting
catastrophically. A step of training costs two passes there and back, of PGD with ten steps eleven.
k = 0 is FGSM (Goodfellow et al., ICLR 2015), which does overfit so.
As in the released code (pdejorge/N-FGSM, train.py), x + eta and x_adv are clipped to [0, 1], which
the paper's algorithm leaves out, and the network is in training mode while it is attacked, so that
batch norm's running statistics see the noisy images too. There eps grows over the first five epochs
on SVHN; here it does not.
In other norms, of which the paper says nothing: eta is uniform in a ball k times as large, the step
alpha times the steepest direction of unit length.
Who else wants adversarial images gets PGD's (`thin_ice.objectives.single_step`).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.attacks.pgd import cross_entropy_of, pgd
from thin_ice.attacks.threat import ThreatModel
from thin_ice.objectives.base import Goal, Loss, Step, correct_count
from thin_ice.objectives.single_step import SingleStep


@dataclass(frozen=True)
class NFgsm(SingleStep):
    """Cross-entropy on images that noise and one step have moved."""

    noise: float = 2.0  # k: its size, in eps; 0 is FGSM
    rel_step: float = 1.0  # alpha: the step's size, a share of eps
    mode: Literal["eval", "train"] = "train"  # of the network while it is attacked

    goal: ClassVar[Goal] = "empirical"
    teacher: ClassVar[bool] = False
    limits: ClassVar[dict] = {"rel_step": [0, None]}
    ranges: ClassVar[dict] = {"noise": [0, None]}

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        with in_mode(model, self.mode):
            adversarial = self.craft(model, images, labels, step)
        logits = model(adversarial)
        return Loss(F.cross_entropy(logits, labels), correct_count(logits, labels))

    def craft(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """Both moves, each clipped to [0, 1]. Of the ball that holds whatever they reach nothing
        is projected.
        """
        norm, eps = step.threat.norm, step.threat.eps
        noisy = ThreatModel(norm, self.noise * eps).random_start(images, step.generator)
        reached = ThreatModel(norm, (self.noise + self.rel_step) * eps)
        loss = cross_entropy_of(labels)
        view = step.views.of(model)
        return pgd(view, images, reached, loss, noisy, 1, self.rel_step * eps)
