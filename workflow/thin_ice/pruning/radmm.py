"""R-ADMM (Ye et al., ICCV 2019): adversarial training under a sparsity constraint, by ADMM.

The equations are those of `thin_ice.pruning.admm`: the objective plus rho/2 ||W - Z + U||^2, where
rho grows by 1.3 at each update of the duals. In the end W is projected and fine-tuned under its
mask. Units: weights (the paper's irregular pruning), filters and columns.
Published: 10 periods of 20 epochs, rho 1e-3, lr 0.01 restarted each period and divided by 10 at
its epochs 7 and 14; the last epoch counts; fine-tuning for 200 epochs, lr 0.01, divided by 10 at
40 % and 75 %. The released configuration prunes convolutions only (``layers: convolutions``).
``dual_gradient: leaky`` reproduces the released code, which never detaches U from the graph: after
m updates the penalty's gradient is (1 + m) times what the equations say.
Deviations: ties at the projection's threshold are broken by index, so that the budget is exact,
where the released code's percentile keeps or drops all of them. Layers whose outputs are added to
each other lose the same filters, chosen by the norm over all of them; the released code prunes each
by itself, so that a shortcut fills in what was pruned. A filter's batch norm goes with it; there it
stays, and passes on its bias. Pruning by the scales of batch norm alone is not offered. A stage of
fewer epochs than periods updates the duals every epoch, so that rho grows less often. The released
adversary attacks the network in training mode, which is the objective's business here (``pgd_at``
with ``mode: train``).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from thin_ice.pruning.admm import AdmmPruner, Duals
from thin_ice.pruning.base import Pruner


@dataclass(frozen=True)
class Radmm:
    """Alternating direction method of multipliers, one-shot, per layer."""

    rho: float = 0.001  # weight of the penalty at the start
    rho_growth: float = 1.3  # factor at each update
    periods: int = 10  # the duals are updated at the start of each but the first
    dual_gradient: Literal["exact", "leaky"] = "exact"  # the paper's, or the released code's
    layers: Literal["all", "convolutions"] = "convolutions"  # which layers may be pruned

    limits: ClassVar[dict] = {"rho": [0, None], "rho_growth": [0, None], "periods": [0, None]}
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "projections of ADMM during adversarial training"
    paper: ClassVar[str] = "Ye et al., ICCV 2019"
    units: ClassVar[tuple[str, ...]] = ("weight", "filter", "column")
    claimed: ClassVar[str] = "radmm_pgd10"
    prune_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.01,
        "schedule": "step",
        "milestones": [0.35, 0.7],  # epochs 7 and 14 of a period's 20
        "cycles": 10,
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.01,
        "schedule": "step",
        "milestones": [0.4, 0.75],
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        duals = Duals(
            rho=self.rho,
            growth=self.rho_growth,
            limit=math.inf,
            periods=self.periods,
            leaky=self.dual_gradient == "leaky",
        )
        return AdmmPruner(duals, self.layers, sparsity, unit)
