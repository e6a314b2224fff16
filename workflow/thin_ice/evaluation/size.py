"""What a pruned network's sparsity is worth: parameters, multiply-accumulates and bytes, as they
are, without what is zero, and without the channels that nobody reads.
"""

from typing import Any

from torch import nn

from thin_ice.models.network import Architecture
from thin_ice.models.stored import stored_bytes
from thin_ice.sparsity.compact import TOLERANCE, Compact
from thin_ice.sparsity.macs import multiply_accumulates

Tree = dict[str, Any]
NOTHING_DEAD = "every channel is read through a weight that is not zero"


def network_size(
    model: nn.Module, made: Compact, architecture: Architecture, about: dict[str, str]
) -> Tree:
    """As plain data. Of each number ``dense`` is that of the network with its zeros, ``compact``
    that of the network without its dead channels, zeros and all.

    Args:
        model: plain, with zeros where pruned.
        made: the same network without its dead channels, whose logits were compared.
        architecture: what the model was built as.
        about: the notes of the stored file.
    """
    whole, small = (
        multiply_accumulates(one, architecture.input_shape) for one in (model, made.model)
    )
    return {
        "parameters": {
            "dense": _parameters(model),
            "nonzero": sum(int(p.count_nonzero()) for p in model.parameters()),
            "compact": _parameters(made.model),
        },
        "multiply_accumulates": {
            "dense": whole.all,
            "nonzero": whole.nonzero,
            "compact": small.all,
        },
        "bytes": {
            "dense": stored_bytes(model, architecture, sparse=False, about=about),
            "sparse": stored_bytes(model, architecture, sparse=True, about=about),
            "compact": stored_bytes(made.model, architecture, sparse=False, about=about),
            "stored": stored_bytes(made.model, architecture, sparse=True, about=about),
        },
        "channels": {
            name: {"size": len(kept), "kept": int(kept.sum())} for name, kept in made.kept.items()
        },
        "channels_removed": made.removed,
        "why_none_removed": None if made.removed else NOTHING_DEAD,
        "groups_without_living_channel": list(made.emptied),
        "same_logits_within": TOLERANCE,
    }


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
