"""Adversarial training here against a loop as published code has it.

The reference: a DataLoader with workers that augment image by image on the CPU, float32, PGD whose
every step goes back through the weights too, and ``.item()`` in each step.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import Figure, alternately, peak_memory_mib, speed_up
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from thin_ice.attacks.fast import Views
from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.speed import Speed
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

STEPS, EPS, REL_STEP = 10, 8 / 255, 0.25
WORKERS = 2
PADDING = 4


@dataclass(frozen=True)
class Case:
    """A network, how many images of an epoch it is trained on, and by which of our fast paths."""

    name: str
    architecture: Architecture
    images: int
    batch_size: int
    target: str
    speed: Speed
    precision: str = "float32"
    rounds: int = 3


SMALL = Case(
    "training, small CNN",
    Architecture("cnn_small", {}, (3, 32, 32), 10, normalize=False),
    2048,
    128,
    ">= 2",
    Speed(channels_last=True),
    "bfloat16",
    rounds=5,
)
RESNET = Case(
    "training, ResNet-18",
    Architecture("resnet18", {}, (3, 32, 32), 10, normalize=False),
    32,
    32,
    ">= 2.5",
    Speed(channels_last=True),
    "bfloat16",
)


class Augmented(Dataset):
    """One image after another: a crop out of the padded image, and a flip."""

    def __init__(self, split: Split) -> None:
        self.images, self.labels = split.images, split.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        image = F.pad(self.images[place].float() / 255, [PADDING] * 4)
        size = self.images.shape[-1]
        top, left = (int(torch.randint(0, 2 * PADDING + 1, ())) for _ in range(2))
        image = image[:, top : top + size, left : left + size]
        return (image.flip(2) if torch.rand(()) < 0.5 else image), int(self.labels[place])


def reference_attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """PGD in evaluation mode; ``backward`` fills the weights' gradients as well."""
    model.eval()
    adversarial = images + torch.empty_like(images).uniform_(-EPS, EPS)
    for _ in range(STEPS):
        adversarial = adversarial.detach().requires_grad_(True)
        model.zero_grad()
        F.cross_entropy(model(adversarial), labels).backward()
        moved = adversarial.detach() + REL_STEP * EPS * adversarial.grad.sign()
        adversarial = (images + (moved - images).clamp(-EPS, EPS)).clamp(0, 1)
    model.train()
    return adversarial.detach()


def reference_epoch(model: nn.Module, loader: DataLoader, lr: float = 0.05) -> tuple[float, float]:
    """Mean loss and accuracy of one epoch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    losses, right, seen = 0.0, 0.0, 0
    for images, labels in loader:
        logits = model.train()(reference_attack(model, images, labels))
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses += loss.item() * len(labels)
        right += (logits.argmax(1) == labels).float().sum().item()
        seen += len(labels)
    return losses / seen, right / seen


def random_split(count: int, shape: tuple[int, int, int], device: str = "cpu") -> Split:
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), generator=stream, dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,), generator=stream)
    return Split(images.to(device), labels.to(device), torch.arange(count, device=device))


def our_setting(case: Case, split: Split, **plan: object) -> Setting:
    """One epoch of the case's training; it validates one image, since the reference has none."""
    chosen = {"epochs": 1, "batch_size": case.batch_size, "lr": 0.05, "weight_decay": 5e-4}
    chosen |= {"schedule": "constant", "augment": "crop_flip", "precision": case.precision}
    return Setting(
        train=split,
        validation=split.head(1),
        objective=PgdAt(steps=STEPS, rel_step=REL_STEP),
        threat=ThreatModel("Linf", EPS),
        plan=Plan(**chosen | plan),
        stream=(0, "benchmark"),
        views=Views(case.speed),
    )


def our_epoch(model: nn.Module, setting: Setting) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fit(model, setting, Hooks(), Checkpoint(Path(folder) / "checkpoint", "benchmark"))


def epochs_of(case: Case) -> tuple[Callable[[], object], Callable[[], object]]:
    """An epoch by the reference loop and one here, of the same network on the same images."""
    split = random_split(case.images, case.architecture.input_shape)
    theirs = case.architecture.build(0)
    ours = copy.deepcopy(theirs)
    loader = DataLoader(Augmented(split), case.batch_size, shuffle=True, num_workers=WORKERS)
    setting = our_setting(case, split)
    return lambda: reference_epoch(theirs, loader), lambda: our_epoch(ours, setting)


def one_epoch(case: Case, place: int) -> None:
    """The reference's, place 0, or ours, place 1."""
    epochs_of(case)[place]()


def measured(case: Case) -> Figure:
    """How many times faster an epoch is here than by the reference loop."""
    ratio, about = speed_up(*alternately(case.rounds, *epochs_of(case)))
    about["images_per_s"] = round(case.images / about["ours_s"], 1)
    memory = [peak_memory_mib(one_epoch, case, place) for place in range(2)]
    about |= {"reference_peak_mib": memory[0], "ours_peak_mib": memory[1]}
    about |= {"speed": vars(case.speed), "precision": case.precision}
    return Figure(case.name, ratio, "times the reference loop", case.target, about)


def variants(case: Case) -> list[Case]:
    """The case; in float32, which is exact within rounding; and with every switch off."""
    exact = replace(case, name=f"{case.name}, float32", target="", precision="float32")
    plain = replace(exact, name=f"{case.name}, all switches off", speed=Speed(fold=False))
    return [case, exact, plain]


def figures() -> list[Figure]:
    return [measured(one) for case in (SMALL, RESNET) for one in variants(case)]
