"""What else than distance may tell which samples pruning loses, measured on the dense network.

logit_margin: logit of the label minus the best other.
confidence_variance: p(1 - p), p the softmax probability of the label. Tran et al. (2022) take it
for closeness to the boundary: it is largest at p = 1/2.
gradient_norm: of the cross-entropy with respect to the image, in the norm dual to the threat
model's: how fast the loss can grow there a unit of perturbation, to first order.
steps_to_flip: the geometry value of Zhang et al. (2021, GAIRAT), how many steps of PGD a sample
withstands. It ends at the first wrong iterate, as in their text; their code goes on counting where
a sample comes back.
adversarial_loss: the cross-entropy at that PGD's last iterate.

All but the margin follow from the odds (1 - p) / p against the label, whose logarithm o is computed
in float64 from the network's float32 logits: the cross-entropy is log(1 + e^o). Of samples that are
classified with confidence log p leaves nothing but zeros, which could not be ranked, and gradients
so small that PGD would stand still. So PGD ascends o, whose gradient has the same direction, and
the cross-entropy's own gradient is 1 - p times that of o.
"""

from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.balls import DUAL_NORM
from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.pgd import pgd
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.progress import Progress
from thin_ice.randomness import generator

BATCH = 500
REACH = 2.5  # all steps together, as a multiple of eps


@dataclass(frozen=True)
class Probe:
    """PGD's number of steps, and the seed of its uniform start."""

    steps: int
    seed: int


def rival_table(
    model: nn.Module, split: Split, threat: ThreatModel, probe: Probe, batch: int = BATCH
) -> pd.DataFrame:
    """sample_id, label, then logit_margin, confidence_variance, gradient_norm, adversarial_loss
    (float32) and steps_to_flip (int, 0 to ``probe.steps``), a row a sample in the split's order.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
    """
    logits = checked_logits(model, split.batches(batch))
    # Drawn for all samples at once, so that no start depends on the size of batches.
    draws = generator(split.images.device, probe.seed, "rivals")
    starts = threat.random_start(split.floats(), draws).split(batch)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    progress = Progress("batch", len(starts))
    with under_attack(model):
        batches = zip(split.batches(batch), starts, strict=True)
        for (images, labels), start in progress.each(batches):
            slope = gradient_norm(model, images, labels, threat)
            parts.append((slope, *attacked(model, images, labels, start, threat, probe.steps)))
    progress.close()
    slopes, steps, losses = (torch.cat(values) for values in zip(*parts, strict=True))
    columns = {
        "sample_id": split.ids,
        "label": split.labels,
        "logit_margin": margin(logits, split.labels),
        "confidence_variance": confidence_variance(logits, split.labels),
        "gradient_norm": slopes,
        "steps_to_flip": steps,
        "adversarial_loss": losses,
    }
    return pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """log((1 - p) / p), float64 (N,)."""
    logits, own = logits.double(), labels[:, None]
    others = logits.scatter(1, own, -torch.inf).logsumexp(1)
    return others - logits.gather(1, own).squeeze(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """One value a sample, float64 (N,)."""
    return F.softplus(log_odds(logits, labels))


def confidence_variance(logits: Tensor, labels: Tensor) -> Tensor:
    """p(1 - p), float32 (N,)."""
    odds = log_odds(logits, labels)
    return (odds.sigmoid() * (-odds).sigmoid()).float()


def gradient_norm(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
    """Dual norm of each image's gradient of the cross-entropy, float32 (N,)."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        odds = log_odds(model(images), labels)
        (gradient,) = torch.autograd.grad(odds.sum(), images)
    return (odds.detach().sigmoid() * DUAL_NORM[threat.norm](gradient)).float()


def attacked(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    threat: ThreatModel,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """How many of PGD's ``steps`` each sample withstands, int64 (N,), none where it is wrong at
    the start already; and the cross-entropy at the last iterate, float32 (N,).

    The logits behind each gradient are the verdict on the point that it is taken at, too.
    """
    right: list[Tensor] = []

    def loss(logits: Tensor) -> Tensor:
        right.append(logits.detach().argmax(1) == labels)
        return log_odds(logits, labels).sum()

    last = pgd(model, images, threat, loss, start, steps, REACH * threat.eps / steps)
    with torch.no_grad():
        logits = model(last)
    verdicts = torch.stack([*right, logits.argmax(1) == labels])  # of x_0 ... x_steps
    withstood = verdicts.long().cumprod(0)[1:].sum(0)
    return withstood, cross_entropy(logits, labels).float()
