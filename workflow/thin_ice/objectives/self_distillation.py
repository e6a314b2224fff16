"""Self-distillation with an HSIC bottleneck (PwoA: Jian, Wang et al., ICDM 2022), on clean images.

T^2 KL(q_T(x) || p_T(x)) + lambda_x sum_j HSIC(x, z_j) - lambda_y sum_j HSIC(y, z_j) per batch,
the KL averaged over samples: q and p are the teacher's and the network's softmax of logits / T,
the z_j its hidden activations. The teacher is the network before it was pruned, in evaluation
mode; robustness is passed on through its soft labels, without an adversary. Kernels are Gaussian
(width sigma) for images and activations, linear for one-hot labels.
The constants are those of the released scripts for CIFAR-10 (the paper's own are not verified):
T = 30; a KL averaged over classes too and weighted by 10 there, by 100 for CIFAR-100's 100
classes, which is the one here; no cross-entropy; the normalised HSIC in batches of 128, which grows
with the batch. There the HSIC terms are switched on for fine-tuning only (lambdas of 0 for pruning
say the same here), and the epoch is chosen by PGD of 10 steps, here on the validation split.
Deviations: z_j are what each convolution and linear layer reads, so that every architecture has
them; there they are the outputs of the first layer and of whole residual blocks, and the pooled
features. MNIST's and CIFAR-100's lambdas are others: 2e-4 and 5e-5, 5e-7 and 2e-6.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.pgd import cross_entropy_of
from thin_ice.objectives.base import Adversary, Goal, Loss, Step, UnderAttack, correct_count
from thin_ice.objectives.hidden import with_hidden
from thin_ice.objectives.hsic import ESTIMATORS, gaussian_kernel, linear_kernel


def distillation(logits: Tensor, soft: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(soft / T) || softmax(logits / T)), mean over the batch; both (N, classes)."""
    own = (logits.float() / temperature).log_softmax(1)
    target = (soft.float() / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(own, target, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class SelfDistillation(UnderAttack):
    """Soft labels of the dense network, and activations that tell labels and hide images."""

    temperature: float = 30.0  # T
    cross_entropy: float = 0.0  # weight of the cross-entropy with the true labels
    lambda_x: float = 2e-5  # weight of what activations tell of the images
    lambda_y: float = 1e-4  # weight of what they tell of the labels
    sigma: float = 5.0  # width of Gaussian kernels, times the root of the dimension
    estimator: Literal["normalized", "biased"] = "normalized"  # of HSIC
    steps: int = 10  # of the adversary that chooses the epoch; training has none
    rel_step: float = 0.25  # its step size, a share of eps

    goal: ClassVar[Goal] = "empirical"
    teacher: ClassVar[bool] = True
    limits: ClassVar[dict] = {
        "temperature": [0, None],
        "sigma": [0, None],
        "steps": [0, None],
        "rel_step": [0, None],
    }

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        logits, hidden = with_hidden(model, images)
        with torch.no_grad():
            soft = step.teacher(images)
        value = distillation(logits, soft, self.temperature)
        if self.cross_entropy:
            value = value + self.cross_entropy * F.cross_entropy(logits, labels)
        if self.lambda_x or self.lambda_y:
            one_hot = F.one_hot(labels, logits.shape[1])
            value = value + self._bottleneck(images, one_hot, hidden).to(value.dtype)
        return Loss(value, correct_count(logits, labels))

    def _bottleneck(self, images: Tensor, one_hot: Tensor, hidden: list[Tensor]) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            seen = gaussian_kernel(images.flatten(1).float(), self.sigma)
            told = linear_kernel(one_hot.float())
            kernels = torch.stack([gaussian_kernel(z.float(), self.sigma) for z in hidden])
            of_images = ESTIMATORS[self.estimator](kernels, seen).sum()
            of_labels = ESTIMATORS[self.estimator](kernels, told).sum()
        return self.lambda_x * of_images - self.lambda_y * of_labels

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        adversary = Adversary(self.steps, self.rel_step, "uniform")
        return adversary.craft(model, images, cross_entropy_of(labels), step)
