"""PwoA (Jian, Wang et al., ICDM 2022): pruning a robust network without adversarial examples.

ADMM (`thin_ice.pruning.admm`) on clean images, with self-distillation from the network before it
was pruned and the HSIC bottleneck (`thin_ice.objectives.self_distillation`), then fine-tuning
under the mask with the same objective.
Published, in the released scripts for CIFAR-10 (the paper's own figures are not verified): 50
epochs with an update of the duals every 3, rho 0.01, times 1.35 at each update and at most 1,
lr 0.01 restarted at each update and divided by 10 after each third of a period; fine-tuning for 100
epochs (50 in the configuration's defaults), lr 0.005, cosine; convolutions and the classifier.
``targets: epoch`` reproduces the released code, which projects W anew before every epoch, so that
Z belongs to U only in the epochs that begin with an update. U is detached there.
Having no adversary costs robustness at high sparsity: in the benchmark of Piras et al. (2024),
ResNet-18 on CIFAR-10 has 83 % clean and 45 % under AutoAttack at 90 %, and 76 % and 29 % at 99 %.
Deviations: ties are broken by index; filters, and a stage of fewer epochs than periods, as for
R-ADMM (`thin_ice.pruning.radmm`): rho then ends far below its limit. The paper prunes weights;
filters are its released code's and the benchmark's.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from thin_ice.pruning.admm import AdmmPruner, Duals
from thin_ice.pruning.base import Pruner


@dataclass(frozen=True)
class Pwoa:
    """ADMM without an adversary, one-shot, per layer."""

    rho: float = 0.01  # weight of the penalty at the start
    rho_growth: float = 1.35  # factor at each update
    rho_limit: float = 1.0  # what it never grows beyond
    periods: int = 17  # the duals are updated at the start of each but the first
    targets: Literal["period", "epoch"] = "period"  # Z: the paper's, or the released code's
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {
        "rho": [0, None],
        "rho_growth": [0, None],
        "rho_limit": [0, None],
        "periods": [0, None],
    }
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "ADMM and self-distillation, without adversarial examples"
    paper: ClassVar[str] = "Jian et al., ICDM 2022"
    units: ClassVar[tuple[str, ...]] = ("weight", "filter")
    claimed: ClassVar[str] = "pwoa_pgd10"
    prune_plan: ClassVar[dict] = {
        "epochs": 50,
        "lr": 0.01,
        "schedule": "step",
        "milestones": [1 / 3, 2 / 3],
        "cycles": 17,
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.005, "schedule": "cosine"}
    prune_objective: ClassVar[dict] = {"kind": "self_distillation"}
    finetune_objective: ClassVar[dict] = {"kind": "self_distillation"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        duals = Duals(
            rho=self.rho,
            growth=self.rho_growth,
            limit=self.rho_limit,
            periods=self.periods,
            refreshed=self.targets == "epoch",
        )
        return AdmmPruner(duals, self.layers, sparsity, unit)
