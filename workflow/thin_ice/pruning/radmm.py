"""R-ADMM (Ye et al., ICCV 2019): adversarial training under a sparsity constraint, by ADMM.

min loss(W) + sum_l rho/2 ||W_l - Z_l + U_l||^2 with Z sparse. Training moves W; at the start of
each period rho <- 1.3 rho, Z <- projection(W + U), U <- U + W - Z (at the very start Z is the
projection of W and U is 0). The projection keeps the largest magnitudes of each layer. In the end
W is projected and fine-tuned under its mask.
Published: 10 periods of 20 epochs, rho 1e-3, lr 0.01 restarted each period and divided by 10 at
its epochs 7 and 14; the last epoch counts; fine-tuning for 200 epochs, lr 0.01, divided by 10 at
40 % and 75 %. The released configuration prunes convolutions only (``layers: convolutions``).
``dual_gradient: leaky`` reproduces the released code, which never detaches U from the graph: after
m updates the penalty's gradient is (1 + m) times what the equations say.
Deviations: ties at the projection's threshold are broken by index, so that the budget is exact.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner, detached
from thin_ice.sparsity.masks import Masks, layerwise_masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_weights


@dataclass(frozen=True)
class Radmm:
    """Alternating direction method of multipliers, one-shot, per layer."""

    rho: float = 0.001  # weight of the penalty at the start
    rho_growth: float = 1.3  # factor at each update
    periods: int = 10  # the duals are updated at the start of each but the first
    dual_gradient: Literal["exact", "leaky"] = "exact"  # the paper's, or the released code's
    layers: Literal["all", "convolutions"] = "convolutions"  # which layers may be pruned

    units: ClassVar[tuple[str, ...]] = ("weight",)
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
    prune_objective: ClassVar[dict] = {}
    finetune_objective: ClassVar[dict] = {}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return RadmmPruner(self, sparsity)


class RadmmPruner(Pruner):
    """Holds Z, U, rho and the number of dual updates so far."""

    def __init__(self, options: Radmm, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.rho, self.updates = options.rho, 0
        self.z: dict[str, Tensor] = {}
        self.u: dict[str, Tensor] = {}

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        weights = detached(prunable_weights(model, self.options.layers))
        if epoch == 0:
            self.z = self._project(weights)
            self.u = {name: torch.zeros_like(w) for name, w in weights.items()}
        elif _period(epoch, epochs, self.options.periods) > _period(
            epoch - 1, epochs, self.options.periods
        ):
            self._update_duals(weights)

    def _update_duals(self, weights: dict[str, Tensor]) -> None:
        self.rho *= self.options.rho_growth
        self.updates += 1
        self.z = self._project({name: w + self.u[name] for name, w in weights.items()})
        self.u = {name: self.u[name] + w - self.z[name] for name, w in weights.items()}

    def _project(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The nearest tensors of the wanted sparsity."""
        masks = self._masks(tensors)
        return {name: tensor * masks[name] for name, tensor in tensors.items()}

    def _masks(self, tensors: dict[str, Tensor]) -> Masks:
        return layerwise_masks({name: t.abs() for name, t in tensors.items()}, self.sparsity)

    def penalty(self, model: nn.Module) -> Tensor:
        weights = prunable_weights(model, self.options.layers)
        distances = [
            (w - self.z[name] + self.u[name]).square().sum() for name, w in weights.items()
        ]
        penalty = self.rho / 2 * torch.stack(distances).sum()
        if self.options.dual_gradient == "leaky":
            # The value stays; the gradient is multiplied, as by the attached duals.
            penalty = (1 + self.updates) * penalty - self.updates * penalty.detach()
        return penalty

    def finish(self, model: nn.Module) -> Masks:
        masks = self._masks(detached(prunable_weights(model, self.options.layers)))
        fix_masks(model, masks)
        return masks

    def state(self) -> dict[str, Tensor]:
        counters = {
            "rho": torch.tensor(self.rho, dtype=torch.float64),
            "updates": torch.tensor(self.updates),
        }
        duals = {f"z.{name}": z for name, z in self.z.items()}
        return counters | duals | {f"u.{name}": u for name, u in self.u.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.rho, self.updates = float(state["rho"]), int(state["updates"])
        self.z = {name[2:]: t for name, t in state.items() if name.startswith("z.")}
        self.u = {name[2:]: t for name, t in state.items() if name.startswith("u.")}


def _period(epoch: int, epochs: int, periods: int) -> int:
    """In which of the stage's periods an epoch lies."""
    return epoch * periods // epochs
