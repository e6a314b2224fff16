"""The samples on the thinnest ice, each beside its twin: the nearest image that is misclassified.

Distances are kept without the images they belong to. So the attacks of the envelope look again, at
these few samples alone, and the nearest of what all of them find is the twin. Which starts an
attack draws, and which images it may start from, depend on the batch, so a twin may lie a little
nearer or farther than the distance that chose its sample: its own distance is the one given.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor, nn

from thin_ice.attacks.balls import LP_NORM
from thin_ice.attacks.checks import require_evaluation_mode
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.threat import per_sample
from thin_ice.data.split import Split
from thin_ice.margins.distance import Member
from thin_ice.progress import Progress
from thin_ice.tensors import write_tensors

FORMAT = "thin-ice-twins-1"


@dataclass(frozen=True, eq=False)
class Twins:
    """K samples and their twins, the nearest first, on the CPU.

    Attributes:
        images: uint8 (K, C, H, W), as they stand in the dataset.
        twins: float32 (K, C, H, W) in [0, 1].
        table: sample_id, label, label_name, predicted_name (what the twin is taken for), distance
            (of the twin, in the norm) and attack (that found it).
    """

    images: Tensor
    twins: Tensor
    table: pd.DataFrame


def thinnest(distances: pd.DataFrame, norm: str, count: int) -> np.ndarray:
    """Positions, ascending, of the ``count`` correct samples with the smallest distances in
    ``norm``, of equals those with the smaller id. A sample without a flip has none.
    """
    distance = f"distance_{norm.lower()}"
    near = distances.reset_index(drop=True)
    near = near[near.correct & np.isfinite(near[distance])]
    return np.sort(near.sort_values([distance, "sample_id"]).index[:count].to_numpy())


def find_twins(
    model: nn.Module, samples: Split, members: list[Member], classes: tuple[str, ...]
) -> Twins:
    """The twins of correctly classified samples; who has none that holds is left out.

    ``members`` are of one norm; the model must be in evaluation mode.

    Raises:
        UnusableInput: the network is in training mode.
    """
    require_evaluation_mode(model)
    images, labels = samples.floats(), samples.labels
    with under_attack(model):
        twins, distance, attack = _nearest(model, images, labels, members)
        with torch.no_grad():
            predicted = model(twins).argmax(1) if len(labels) else labels
    table = pd.DataFrame(
        {
            "sample_id": samples.ids.cpu().numpy(),
            "label": labels.cpu().numpy(),
            "label_name": [classes[n] for n in labels.tolist()],
            "predicted_name": [classes[n] for n in predicted.tolist()],
            "distance": distance.cpu().numpy(),
            "attack": [members[n].column for n in attack.tolist()],
        }
    )
    held = table[np.isfinite(table.distance)]
    held = held.sort_values(["distance", "sample_id"])
    order = torch.from_numpy(held.index.to_numpy(np.int64, copy=True))
    return Twins(samples.images.cpu()[order], twins.cpu()[order], held.reset_index(drop=True))


def _nearest(
    model: nn.Module, images: Tensor, labels: Tensor, members: list[Member]
) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest flip of each image that any member finds and that holds when it is looked at
    again, (K, C, H, W); its distance, (K,); the number of that member, int64 (K,). The image
    itself, infinite and 0 where there is none.
    """
    twins, distance = images, images.new_full((len(images),), torch.inf)
    attack = torch.zeros_like(labels)
    wanted = members if len(labels) else []
    progress = Progress("search", len(wanted))
    for number, member in enumerate(progress.each(wanted)):
        found = member.attack.search(model, images, labels, member.norm)
        points, size = found.adversarial, LP_NORM[member.norm](found.adversarial - images)
        holds = found.distance.isfinite() & _is_flip(model, points, labels)
        nearer = holds & (size < distance)
        twins = torch.where(per_sample(nearer, points), points, twins)
        distance, attack = torch.where(nearer, size, distance), torch.where(nearer, number, attack)
    progress.close()
    return twins, distance, attack


@torch.no_grad()
def _is_flip(model: nn.Module, points: Tensor, labels: Tensor) -> Tensor:
    """Whether each point is an image, in the box, and misclassified: bool (K,)."""
    in_box = ((points >= 0) & (points <= 1)).flatten(1).all(1)
    return in_box & (model(points).argmax(1) != labels)


def write_twins(path: Path, twins: Twins) -> None:
    """Tensors ``images`` and ``twins``, whole or not at all; bytes depend on contents only."""
    tensors = {"images": twins.images.contiguous(), "twins": twins.twins.contiguous()}
    write_tensors(path, save(tensors), {"format": FORMAT})
