"""How sparse a network is, counted by parameters, never as a mean of per-layer fractions."""

from dataclasses import dataclass

from torch import nn

from thin_ice.sparsity.masks import Masks
from thin_ice.sparsity.prunable import prunable_weights


@dataclass(frozen=True)
class LayerSparsity:
    """One prunable layer: ``kept`` of ``size`` weights."""

    layer: str
    size: int
    kept: int

    @property
    def sparsity(self) -> float:
        return 1 - self.kept / self.size


@dataclass(frozen=True)
class SparsityReport:
    """Sparsity per layer, over the weights that the method may prune, and over all parameters."""

    layers: list[LayerSparsity]
    masked_size: int
    masked_kept: int
    pruned: int  # of all parameters: where channels are pruned, biases and norms among them
    parameters: int

    @property
    def sparsity(self) -> float:
        """Share of pruned weights among those the method may prune (0 for a dense network)."""
        return 1 - self.masked_kept / self.masked_size if self.masked_size else 0.0

    @property
    def sparsity_of_all_parameters(self) -> float:
        """Share of what is pruned among every parameter, biases and norms included."""
        return self.pruned / self.parameters

    def as_dict(self) -> dict:
        """As plain data for metrics files."""
        return {
            "prunable": self.sparsity,
            "all_parameters": self.sparsity_of_all_parameters,
            "parameters": self.parameters,
            "layers": {
                layer.layer: {"size": layer.size, "kept": layer.kept, "sparsity": layer.sparsity}
                for layer in self.layers
            },
        }


def account(model: nn.Module, masks: Masks) -> SparsityReport:
    """Count what is kept of a plain model under its masks, by parameter name (an empty dict for a
    dense network).
    """
    weights = prunable_weights(model)
    layers = [
        LayerSparsity(name, w.numel(), int(masks[name].sum()) if name in masks else w.numel())
        for name, w in weights.items()
    ]
    masked = [layer for layer in layers if layer.layer in masks]
    return SparsityReport(
        layers=layers,
        masked_size=sum(layer.size for layer in masked),
        masked_kept=sum(layer.kept for layer in masked),
        pruned=sum(int((~mask).sum()) for mask in masks.values()),
        parameters=sum(p.numel() for p in model.parameters()),
    )
