"""How far the change of the parameters should move each sample's margin, to first order.

A sample is lost when its margin changes by more than there is of it, so distance alone leaves out
how much a sample's margin answers to the parameters that pruning and fine-tuning changed. With m
the dense network's margin, logit of the label minus the best other, and theta all its floating
parameters, the answer is
    dm/dtheta . (theta_other - theta_dense),
one directional derivative for all samples at once by forward-mode differentiation: no gradient a
sample is formed. A pruned network's parameters are its exported ones, with zeros.

Which class is the best other is settled by the dense network and held fixed, since the maximum has
no derivative where it changes. Buffers (running statistics of batch norm) stay the dense network's.
"""

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.modes import under_attack
from thin_ice.data.split import Split
from thin_ice.errors import ThinIceError
from thin_ice.progress import Progress

BATCH = 250  # tangents double the memory of a forward pass
Parameters = dict[str, Tensor]


class OtherParameters(ThinIceError):
    """Two networks whose parameters cannot be subtracted."""


def sensitivity_table(
    dense: nn.Module, other: nn.Module, split: Split, batch: int = BATCH
) -> pd.DataFrame:
    """sample_id, label and predicted_change (float32), a row a sample in the split's order.

    Raises:
        OtherParameters: the networks' parameters have other names or shapes.
        UnusableInput: images, labels, the dense network's mode or its logits are not what they
            must be.
    """
    change = parameter_change(dense, other)
    logits = checked_logits(dense, split.batches(batch)).split(batch)
    progress = Progress("batch", len(logits))
    with under_attack(dense):
        batches = zip(split.batches(batch), logits, strict=True)
        changes = [
            predicted_change(dense, change, images, labels, rivals(before, labels))
            for (images, labels), before in progress.each(batches)
        ]
    progress.close()
    columns = {
        "sample_id": split.ids,
        "label": split.labels,
        "predicted_change": torch.cat(changes).float(),
    }
    return pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})


def parameter_change(dense: nn.Module, other: nn.Module) -> Parameters:
    """theta_other - theta_dense by name.

    Raises:
        OtherParameters: the names or shapes differ.
    """
    before, after = _parameters(dense), _parameters(other)
    shapes = [{name: tuple(t.shape) for name, t in one.items()} for one in (before, after)]
    if shapes[0] != shapes[1]:
        names = [n for n in {**before, **after} if shapes[0].get(n) != shapes[1].get(n)]
        raise OtherParameters(
            f"the parameter {names[0]} is {shapes[1].get(names[0], 'absent')} in the other "
            f"network; allowed: {shapes[0].get(names[0], 'absent')}, as in the dense one"
        )
    return {name: after[name] - tensor for name, tensor in before.items()}


def _parameters(model: nn.Module) -> Parameters:
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.is_floating_point()
    }


def rivals(logits: Tensor, labels: Tensor) -> Tensor:
    """The class with the highest logit but the label, int64 (N,)."""
    return logits.scatter(1, labels[:, None], -torch.inf).argmax(1)


def predicted_change(
    dense: nn.Module, change: Parameters, images: Tensor, labels: Tensor, others: Tensor
) -> Tensor:
    """Derivative of each margin z_label - z_other in the direction ``change``, (N,).

    The network is in evaluation mode. ``labels`` and ``others`` int64 (N,).
    """

    def margins(parameters: Parameters) -> Tensor:
        logits = functional_call(dense, parameters, (images,))
        places = torch.stack([labels, others], 1)
        pair = logits.gather(1, places)
        return pair[:, 0] - pair[:, 1]

    with torch.no_grad():
        return jvp(margins, (_parameters(dense),), (change,))[1]
