"""One network, each sample: the clean prediction and what the published protocols did to it."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.randomness import generator

BATCH = 500


def clean_table(model: nn.Module, split: Split) -> pd.DataFrame:
    """sample_id, label, prediction, correct and the logit margin of the label (> 0 if right).

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
    """
    logits = checked_logits(model, split.batches(BATCH))
    prediction = logits.argmax(1)
    return pd.DataFrame(
        {
            "sample_id": split.ids.cpu().numpy(),
            "label": split.labels.cpu().numpy(),
            "prediction": prediction.cpu().numpy(),
            "correct": (prediction == split.labels).cpu().numpy(),
            "logit_margin": margin(logits, split.labels).cpu().numpy(),
        }
    )


def protocol_table(
    model: nn.Module,
    split: Split,
    threat: ThreatModel,
    protocols: dict[str, Protocol],
    seed: int,
) -> pd.DataFrame:
    """Per protocol two columns: right at the last iterate, which is what its authors count whatever
    the clean prediction was, and right at every iterate.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
    """
    checked_logits(model, split.batches(BATCH))
    columns: dict[str, NDArray[np.bool_]] = {}
    for name, published in protocols.items():
        protocol = published.scaled(threat.eps)
        stream = generator(split.images.device, seed, "claimed", name)
        outcomes = [
            run_protocol(model, images, labels, threat, protocol, stream)
            for images, labels in split.batches(BATCH)
        ]
        columns[f"claimed_{name}"] = torch.cat([o.robust_last for o in outcomes]).cpu().numpy()
        columns[f"claimed_{name}_any_iterate"] = (
            torch.cat([o.robust_any for o in outcomes]).cpu().numpy()
        )
    return pd.DataFrame(columns)
