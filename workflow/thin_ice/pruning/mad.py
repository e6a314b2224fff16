"""MAD, masking adversarial damage (Lee, Kim, Ro, CVPR 2022).

On each batch of the training set, adversarial images x' are made by the run's own adversary on the
dense network (evaluation mode), and a soft mask m = softplus(mu) on every weight and bias of
convolutions and linear layers is fitted to lower the cross-entropy on x': mu starts at m = 1, 20
steps of Adam, lr 0.1, after each m is clamped to [1e-4, 1]. With dW = W - W * m and K-FAC's A and
G of the masked network on x' (see `kfac`) the damage that a weight does is its share of
1/2 dw^T (G (x) A) dw with G taken as diagonal,

    S = 1/2 diag(G)[:, None] * dW * (dW A),

averaged over the batches of one epoch. The weights of least S are pruned, signs included: all
convolutions together, and in a linear layer the same number in every row, so that no class loses
its last weight. Then MART with beta 0.5, lr 0.1, for 60 epochs.
Published: PGD-10 with steps of 0.23 eps, eps 0.03. Fine-tuned with a learning rate divided by 10
at 50 % and 75 %, weight decay 2e-4.
Deviations: eps is the study's. Biases are masked and have their column in A as in the paper, but
stay, as with every method here. The released code prunes the first linear layer only (its networks
have one) and forms an outer product per output channel of which it keeps the diagonal, the same
numbers. A row's budget is rounded such that the layer's is exact. ``batches`` other than an epoch
and ``allocation: layer``, the same share for each convolution, are not the paper's.
Small networks: where 20 steps fit a batch (its loss falls to a tenth and below) the gradients of
the masked network vanish, and G with them; fewer ``mask_steps`` mend that. S has the scale of
G_ii A_jj, so that what stays gathers in few channels; of a small network at 99 % hardly any path
is left.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from thin_ice.pruning import kfac
from thin_ice.pruning.base import Pruner
from thin_ice.sparsity.masks import ALLOCATIONS, Masks, kept_count, row_mask
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.training.optimizers import EagerAdam
from thin_ice.training.setting import Setting

LEAST, MOST = 1e-4, 1.0  # of a soft mask


@dataclass(frozen=True)
class Mad:
    """Saliency by K-FAC of the adversarial loss, global over the convolutions."""

    mask_steps: int = 20  # of Adam, for the soft mask of a batch
    mask_lr: float = 0.1  # its learning rate
    batches: int | None = None  # of training data; null: one epoch
    allocation: Literal["global", "layer"] = "global"  # of the convolutions' budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"mask_steps": [0, None], "mask_lr": [0, None], "batches": [0, None]}
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "saliency by K-FAC of the adversarial loss; fine-tunes with MART"
    paper: ClassVar[str] = "Lee et al., CVPR 2022"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "mad_pgd30"
    prune_plan: ClassVar[dict] = {"epochs": 0}
    finetune_plan: ClassVar[dict] = {
        "epochs": 60,
        "lr": 0.1,
        "weight_decay": 0.0002,
        "schedule": "step",
        "milestones": [0.5, 0.75],
    }
    finetune_objective: ClassVar[dict] = {"kind": "mart", "beta": 0.5, "rel_step": 0.23}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return MadPruner(self, sparsity)


class MadPruner(Pruner):
    """Holds the sum of the saliencies so far, by parameter name, in the weights' shapes."""

    def __init__(self, options: Mad, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.saliencies: dict[str, Tensor] = {}

    def looks(self, setting: Setting) -> int:
        return self.options.batches or setting.batches_per_epoch

    def look(self, model: nn.Module, setting: Setting, number: int) -> None:
        images, labels = setting.batch(number)
        adversarial = setting.adversarial(model, images, labels, number)
        modules = prunable_modules(model, self.options.layers)
        tensors = masked_tensors(model, modules)
        masks = fit_soft_masks(
            model, tensors, adversarial, labels, self.options.mask_steps, self.options.mask_lr
        )
        damage = masked_damage(model, modules, tensors, masks, adversarial, labels)
        for name, values in damage.items():
            self.saliencies[name] = self.saliencies.get(name, 0) + values

    def finish(self, model: nn.Module) -> Masks:
        modules = prunable_modules(model, self.options.layers)
        linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
        convolutions = {n: s for n, s in self.saliencies.items() if n not in linear}
        masks = ALLOCATIONS[self.options.allocation](convolutions, self.sparsity)
        for name in linear:
            scores = self.saliencies[name]
            masks[name] = row_mask(scores, kept_count(scores.numel(), self.sparsity))
        fix_masks(model, masks)
        return {name: masks[name] for name in modules}

    def state(self) -> dict[str, Tensor]:
        return self.saliencies

    def restore(self, state: dict[str, Tensor]) -> None:
        self.saliencies = dict(state)


def inverse_softplus(value: float) -> float:
    """The x with log(1 + e^x) = value."""
    return math.log(math.expm1(value))


def masked_tensors(model: nn.Module, modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Weights and biases of the given layers, by parameter name, without their graph."""
    names = {weight.removesuffix("weight") + kind for weight in modules for kind in KINDS}
    return {n: p.detach() for n, p in model.named_parameters() if n in names}


KINDS = ("weight", "bias")


def fit_soft_masks(
    model: nn.Module,
    tensors: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    steps: int,
    rate: float,
) -> dict[str, Tensor]:
    """Masks in [LEAST, MOST] on ``tensors`` that lower the cross-entropy on the images, in the
    tensors' shapes. The network's own parameters are not touched.
    """
    lowest, highest = inverse_softplus(LEAST), inverse_softplus(MOST)
    mu = {n: torch.full_like(t, highest).requires_grad_() for n, t in tensors.items()}
    adam = EagerAdam(mu.values(), lr=rate)
    for _ in range(steps):
        masked = {name: tensors[name] * F.softplus(value) for name, value in mu.items()}
        loss = F.cross_entropy(functional_call(model, masked, (images,)), labels)
        adam.zero_grad()
        loss.backward(inputs=list(mu.values()))
        adam.step()
        with torch.no_grad():
            for value in mu.values():
                value.clamp_(lowest, highest)
    return {name: F.softplus(value.detach()) for name, value in mu.items()}


def masked_damage(
    model: nn.Module,
    modules: dict[str, nn.Module],
    tensors: dict[str, Tensor],
    masks: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
) -> dict[str, Tensor]:
    """S of every weight of the layers on one batch, in the weights' shapes."""
    masked = {name: (tensors[name] * masks[name]).requires_grad_() for name in tensors}
    with kfac.recording(modules) as seen:
        logits = functional_call(model, masked, (images,))
    loss = F.cross_entropy(logits, labels, reduction="sum")
    found = {}
    for name, (a, g) in kfac.layer_factors(modules, seen, loss).items():
        removed = {n: t * (1 - masks[n]) for n, t in _of_layer(tensors, name).items()}
        weight, *bias = removed.values()
        change = torch.cat([weight.flatten(1), *(b[:, None] for b in bias)], dim=1)
        saliency = damage(change, a, g)
        found[name] = saliency[:, : weight[0].numel()].view_as(weight)
    return found


def _of_layer(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weight of this name, and its layer's bias if it has one."""
    names = [name.removesuffix("weight") + kind for kind in KINDS]
    return {n: tensors[n] for n in names if n in tensors}


def damage(change: Tensor, a: Tensor, g: Tensor) -> Tensor:
    """1/2 diag(G)[:, None] * dW * (dW A) for a change dW (outputs, inputs [+ 1])."""
    return 0.5 * g.diagonal()[:, None] * change * (change @ a)
