"""One network, each sample: the clean prediction and what the published protocols did to it."""

import math
import time

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.switches import LAST, returns_last, switched
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.progress import Progress
from thin_ice.randomness import generator

BATCH = 500
Seconds = dict[str, dict[str, float]]  # a sample, by protocol and by switch


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
) -> tuple[pd.DataFrame, Seconds]:
    """What each protocol and each of its switches did, and the seconds that a sample took.

    Per protocol a column for what its authors count, whatever the clean prediction was
    (``claimed_NAME``), one for right at every iterate (``claimed_NAME_any_iterate``) and one a
    switch (``claimed_NAME_SWITCH``, see `thin_ice.attacks.switches`; ``last`` is right at every
    iterate too, where a protocol keeps the last alone). A switched attack starts
    where the claimed one does, so that the two differ by the mechanism and not by a draw.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
    """
    checked_logits(model, split.batches(BATCH))
    columns: dict[str, NDArray[np.bool_]] = {}
    seconds: Seconds = {}
    progress = Progress("batch", _attacks(protocols, threat.eps) * math.ceil(len(split) / BATCH))
    for name, published in protocols.items():
        claimed, column = published.scaled(threat.eps), f"claimed_{name}"
        stream = (seed, "claimed", name)
        last, every, took = _attacked(model, split, threat, claimed, stream, progress)
        columns[column], columns[f"{column}_any_iterate"] = last, every
        seconds[name] = {"claimed": took}
        if returns_last(claimed):
            columns[f"{column}_{LAST}"] = every
        for switch, protocol in switched(claimed, threat.eps).items():
            outcome = _attacked(model, split, threat, protocol, stream, progress)
            columns[f"{column}_{switch}"], seconds[name][switch] = outcome[0], outcome[2]
    progress.close()
    return pd.DataFrame(columns), seconds


def _attacks(protocols: dict[str, Protocol], eps: float) -> int:
    """How often every sample is attacked: by each protocol and each of its switches."""
    scaled = [protocol.scaled(eps) for protocol in protocols.values()]
    return sum(1 + len(switched(protocol, eps)) for protocol in scaled)


def claimed_outcomes(
    model: nn.Module, split: Split, threat: ThreatModel, protocol: Protocol, stream: tuple
) -> NDArray[np.bool_]:
    """Per sample what a protocol's authors count: bool (N,). ``protocol`` as published."""
    return _attacked(model, split, threat, protocol.scaled(threat.eps), stream)[0]


def _attacked(
    model: nn.Module,
    split: Split,
    threat: ThreatModel,
    protocol: Protocol,
    stream: tuple,
    progress: Progress | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """Right at the last iterate, right at every one, and seconds a sample. A batch's draws do not
    depend on how many the batches before it took.
    """
    began, outcomes = time.monotonic(), []
    for batch, (images, labels) in enumerate(split.batches(BATCH)):
        draws = generator(split.images.device, *stream, batch)
        outcomes.append(run_protocol(model, images, labels, threat, protocol, draws))
        if progress:
            progress.advance({"of": stream[-1]})
    last = torch.cat([outcome.robust_last for outcome in outcomes]).cpu().numpy()
    every = torch.cat([outcome.robust_any for outcome in outcomes]).cpu().numpy()
    return last, every, round((time.monotonic() - began) / len(split), 6)
