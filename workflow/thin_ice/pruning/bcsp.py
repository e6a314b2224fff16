"""BCS-P, Bayesian connectivity sampling for pruning (Ozdenizci and Legenstein, ICML 2021).

Each prunable weight has a parameter theta and a random sign that never changes: it is sign * theta
while theta is positive, and not there otherwise. A step of training
    1. takes a step of SGD (`thin_ice.training.sgdw`) on the thetas that are positive,
    2. adds lr * N(0, (1e-6)^2) to these,
    3. takes for dead whatever is no longer positive, and draws as many connections anew: each in a
       layer with a chance in proportion to the layer's size, there uniformly among those that are
       not connected; a new one begins at theta = 1e-12.
So the number of connections stays what it is while each layer's drifts.

Thetas begin as magnitudes of He's normal weights, under random masks: of the first layers and the
last 60 % are connected, of those after them 20 %, of all others half of the target
(`initial_density`). What is missing then to the target is drawn as in 3.
Published: 200 epochs, rate 0.1 and decay 5e-4, both falling tenfold at half and three quarters,
Keras's momentum, batches of 128, PGD-10 of 2/255 in evaluation mode; TRADES and MART as well. The
decay is decoupled and not multiplied by the rate.
Deviations: the released code moves thetas that are not connected by the momentum they have left,
so that some come back by themselves and the number of connections has a floor, not a fixed value;
here they wait at zero until they are drawn. Where the initial densities together exceed the
target, the released code begins above it; here those of 60 and 20 % are scaled down. A layer that
has no room for all that is drawn for it leaves the rest to the others instead of dropping it.
Initial densities of networks other than VGG-16 and ResNets follow their pattern. Drawing costs a
synchronisation with the device in each step.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner
from thin_ice.randomness import generator
from thin_ice.sparsity.masks import Masks, kept_count, top_k_mask
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.sparsity.rates import Counts
from thin_ice.sparsity.rewiring import SignedRewiring
from thin_ice.training.setting import Setting

NEWBORN = 1e-12  # theta of a connection that was just drawn
DENSE, SPARSER = 0.6, 0.2  # initial densities of the first and last layers, and of early ones


@dataclass(frozen=True)
class Bcsp:
    """Connections that die are drawn anew elsewhere, at random; their number never changes."""

    noise: float = 1e-6  # standard deviation, in units of the learning rate
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    ranges: ClassVar[dict] = {"noise": [0, None]}
    pipeline: ClassVar[str] = "during"
    criterion: ClassVar[str] = "connections that change sign die, others are drawn"
    paper: ClassVar[str] = "Özdenizci & Legenstein, ICML 2021"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "bcsp_pgd50"
    train_sparse_plan: ClassVar[dict] = {
        "epochs": 200,
        "optimizer": "sgdw",
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.5, 0.75],
        "weight_decay": 0.0005,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return BcspPruner(self, sparsity)


def initial_density(name: str, place: int, layers: int) -> float | None:
    """Of the layer at ``place`` (0-based) of so many: published for VGG-16 (two convolutions of 60
    and two of 20 %) and for ResNets (20 % in the first stage, ``layer1``). None: half the target.
    """
    if place in (0, layers - 1) or (place == 1 and name.startswith("features.")):
        return DENSE
    if name.startswith("layer1.") or (place in (2, 3) and name.startswith("features.")):
        return SPARSER
    return None


def initial_counts(sizes: Mapping[str, int], kept: int) -> Counts:
    """How many weights of each layer are connected at first; together no more than ``kept``, to
    which the layers of a density of their own give way.
    """
    half, names = kept / sum(sizes.values()) / 2, list(sizes)
    own = {name: initial_density(name, names.index(name), len(names)) for name in names}
    shares = {name: (own[name] or half) * size for name, size in sizes.items()}
    dense = sum(share for name, share in shares.items() if own[name])
    room = kept - (sum(shares.values()) - dense)
    factor = min(1.0, room / dense)
    return {
        name: math.floor(share * (factor if own[name] else 1)) for name, share in shares.items()
    }


def allot(
    births: int, room: Mapping[str, int], sizes: Mapping[str, int], stream: torch.Generator
) -> Counts:
    """How many of ``births`` new connections each layer gets: drawn one by one in proportion to
    ``sizes``, none in a layer beyond its ``room``.

    ``stream`` lives on the CPU.
    """
    names, given = list(sizes), dict.fromkeys(sizes, 0)
    while births:
        chances = torch.tensor(
            [sizes[n] if given[n] < room[n] else 0 for n in names], dtype=torch.float64
        )
        drawn = torch.multinomial(chances, births, replacement=True, generator=stream)
        for name, count in zip(names, drawn.bincount(minlength=len(names)).tolist(), strict=True):
            taken = min(count, room[name] - given[name])
            given[name] += taken
            births -= taken
    return given


class BcspPruner(Pruner):
    """Each prunable weight carries a `SignedRewiring`; what is counted here are steps."""

    def __init__(self, options: Bcsp, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.step = 0
        self.kept = 0
        self.connected: Masks = {}  # since the last step
        self.modules: dict[str, nn.Module] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.setting: Setting | None = None

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.setting, self.modules = setting, prunable_modules(model, self.options.layers)
        sizes = self._sizes()
        self.kept = kept_count(sum(sizes.values()), self.sparsity)
        for name, count in initial_counts(sizes, self.kept).items():
            self._connect(name, self.modules[name], count)
        self._draw(self._thetas())

    def _connect(self, name: str, module: nn.Module, count: int) -> None:
        weight, stream = module.weight, generator("cpu", *self.setting.stream, "theta", name)
        theta, places, signs = (draw(weight.shape, generator=stream) for draw in DRAWS)
        theta = theta.abs() * math.sqrt(2 / weight[0].numel()) * top_k_mask(places, count)
        with torch.no_grad():
            weight.copy_(theta)
        sign = torch.where(signs < 0.5, -1.0, 1.0).to(weight)
        parametrize.register_parametrization(module, "weight", SignedRewiring(sign))

    def before_training(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.connected = {name: theta > 0 for name, theta in self._thetas().items()}

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        self.step += 1
        rate, thetas = self.optimizer.param_groups[0]["lr"], self._thetas()
        for name, theta in thetas.items():
            stream = generator(theta.device, *self.setting.stream, "noise", self.step, name)
            noise = torch.randn(theta.shape, generator=stream, device=theta.device)
            theta.add_(noise, alpha=rate * self.options.noise)
            theta.mul_(self.connected[name]).clamp_min_(0)
        self._draw(thetas)
        self.connected = {name: theta > 0 for name, theta in thetas.items()}

    @torch.no_grad()
    def _draw(self, thetas: dict[str, Tensor]) -> None:
        """Connect anew, at random, as many as are missing."""
        alive = torch.stack([theta.count_nonzero() for theta in thetas.values()]).tolist()
        sizes = self._sizes()
        room = {name: sizes[name] - count for name, count in zip(thetas, alive, strict=True)}
        stream = generator("cpu", *self.setting.stream, "births", self.step)
        for name, count in allot(self.kept - sum(alive), room, sizes, stream).items():
            if count:
                free = (thetas[name].flatten() == 0).nonzero().squeeze(1)
                chosen = torch.randperm(len(free), generator=stream)[:count].to(free.device)
                thetas[name].view(-1)[free[chosen]] = NEWBORN

    def _thetas(self) -> dict[str, Tensor]:
        return {name: m.parametrizations.weight.original for name, m in self.modules.items()}

    def _sizes(self) -> Counts:
        return {name: module.weight.numel() for name, module in self.modules.items()}

    def finish(self, model: nn.Module) -> Masks:
        return {name: theta.detach() > 0 for name, theta in self._thetas().items()}

    def state(self) -> dict[str, Tensor]:
        return {"step": torch.tensor(self.step)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.step = int(state["step"])


DRAWS = (torch.randn, torch.rand, torch.rand)  # of magnitudes, of places, of signs
