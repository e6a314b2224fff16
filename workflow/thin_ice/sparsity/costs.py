"""What a pruned network costs, as a function of the keep rates of its parts.

A cost is a sum of terms: a size, times the keep rates of the parts that it shrinks with. The
weights of a layer are a term n k. With channels, the multiplications of a layer shrink with the
rate of the channels that it reads and with that of the channels that it writes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from thin_ice.errors import ModelError
from thin_ice.sparsity.channels import COLUMNS, ChannelGroup
from thin_ice.sparsity.macs import multiplications

HALVINGS = 100  # of the interval that holds a factor: to the last bit
ROUNDING = 1e-9  # relative; sums of counts are whole but for this


@dataclass(frozen=True)
class Term:
    """``size`` times the keep rates of ``parts``; a part that stands twice counts twice."""

    size: float
    parts: tuple[str, ...]


def cost(terms: Iterable[Term], rates: Mapping[str, Tensor | float]) -> Tensor | float:
    """The sum of the terms, differentiable where the rates are tensors."""
    return sum(term.size * math.prod(rates[part] for part in term.parts) for term in terms)


def hardware_loss(terms: Iterable[Term], rates: Mapping[str, Tensor], target: float) -> Tensor:
    """HARP's: the share by which a cost exceeds its target, or 0. 0-dim."""
    return (cost(terms, rates) / target - 1).clamp_min(0)


def weight_terms(sizes: Mapping[str, int]) -> list[Term]:
    """The number of weights that stay, of layers with so many weights."""
    return [Term(size, (name,)) for name, size in sizes.items()]


def channel_terms(model: nn.Module, example: Tensor, groups: Iterable[ChannelGroup]) -> list[Term]:
    """The multiplications for one image of convolutions and linear layers, in the rates of the
    groups of channels. Channels in no group, such as the image's, are always all there.

    Args:
        model: plain; left as it is.
        example: float (N, C, H, W), of which only the shape counts.
        groups: of this network.
    """
    groups, terms = list(groups), []
    writes = {side.module: (group.name,) for group in groups for side in group.producers}
    for name, number in multiplications(model, tuple(example.shape[1:])).items():
        rest, inputs = 1.0, model.get_submodule(name).weight.shape[COLUMNS]
        for group in groups:
            for side in (side for side in group.consumers if side.module == name):
                share = side.index.numel() / inputs
                terms.append(Term(share * number, (group.name, *writes.get(name, ()))))
                rest -= share
        if rest > ROUNDING:
            terms.append(Term(rest * number, writes.get(name, ())))
    return terms


def affordable_counts(
    terms: Iterable[Term], sizes: Mapping[str, int], rates: Mapping[str, float], target: float
) -> dict[str, int]:
    """Whole counts, at least 1, that cost at most ``target``, and as much as they can: to no part
    could 1 be added. They stand to each other as ``rates * sizes`` do, as far as whole numbers
    between 1 and the parts' sizes can; 1s are added where rounding down took most.

    Raises:
        ModelError: 1 of each part costs more than the target.
    """
    terms = list(terms)

    def affordable(counts: Mapping[str, float]) -> bool:
        shares = {name: counts[name] / size for name, size in sizes.items()}
        return cost(terms, shares) <= target * (1 + ROUNDING)

    if not affordable(dict.fromkeys(sizes, 1)):
        raise ModelError(f"1 of each of {len(sizes)} parts costs more than {target:g}, the budget")
    low, high = 0.0, 1 / min(rates.values())
    for _ in range(HALVINGS):
        factor = (low + high) / 2
        low, high = (factor, high) if affordable(_scaled(sizes, rates, factor)) else (low, factor)
    real = _scaled(sizes, rates, low)
    counts = {name: math.floor(count) for name, count in real.items()}
    while more := [
        name for name in sizes
        if counts[name] < sizes[name] and affordable(counts | {name: counts[name] + 1})
    ]:  # fmt: skip
        counts[max(more, key=lambda name: real[name] - counts[name])] += 1
    return counts


def _scaled(
    sizes: Mapping[str, int], rates: Mapping[str, float], factor: float
) -> dict[str, float]:
    """Counts at ``factor`` times the rates, not yet whole, within 1 and the sizes."""
    return {name: min(max(factor * rates[name] * n, 1.0), float(n)) for name, n in sizes.items()}
