"""What a stage trains with, and what may be seen of it outside the loop."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.attacks.fast import AS_THEY_ARE, Views
from thin_ice.attacks.modes import buffers_put_back
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split, augment
from thin_ice.objectives.base import Objective, Step
from thin_ice.randomness import generator
from thin_ice.training.plan import Plan


@dataclass(frozen=True)
class Setting:
    """What a stage trains with, apart from the network and the method.

    ``stream`` names its random numbers, e.g. ``(seed, "finetune", "hydra", 0.95)``. ``teacher``:
    the frozen dense network, in evaluation mode, where the objective learns from it. ``extra``:
    pseudo-labelled images, where the plan mixes such into the loop's batches; nothing else sees
    them. ``pretrained``: whether the network was trained before; pruning and fine-tuning say so
    themselves. ``views``: networks as the adversaries of the stage compute them.
    """

    train: Split
    validation: Split
    objective: Objective
    threat: ThreatModel
    plan: Plan
    stream: tuple
    teacher: nn.Module | None = None
    extra: Split | None = None
    pretrained: bool = False
    views: Views = AS_THEY_ARE

    @property
    def batches_per_epoch(self) -> int:
        return math.ceil(len(self.train) / self.plan.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Of the optimiser, which takes as many with each batch as the objective replays it."""
        return self.batches_per_epoch * self.objective.replays

    @property
    def device(self) -> torch.device:
        return self.train.images.device

    @property
    def example(self) -> Tensor:
        """Two black images, float32, for whoever traces a network's graph."""
        return torch.zeros(2, *self.train.images.shape[1:], device=self.device)

    def step(
        self, *names: str | int, progress: float, memory: dict[str, Tensor] | None = None
    ) -> Step:
        """What the objective may know of a moment whose random numbers have these names."""
        stream = generator(self.device, *self.stream, *names)
        return Step(
            self.threat, stream, progress, self.teacher, self.pretrained, memory, self.views
        )

    def shuffled(self, stream: torch.Generator) -> tuple[Tensor, ...]:
        """Indices of the training samples in a random order, in an epoch's batches of nearly equal
        size: no lone sample for batch norm.
        """
        order = torch.randperm(len(self.train), generator=stream, device=self.device)
        return order.tensor_split(self.batches_per_epoch)

    def extra_in(self, labelled: int) -> int:
        """How many pseudo-labelled images join a batch of so many labelled ones."""
        return round(self.plan.extra * labelled)

    @property
    def images_per_epoch(self) -> int:
        """All that are trained on in an epoch, which is one pass over the labelled ones; replays
        count once.
        """
        smaller, larger = divmod(len(self.train), self.batches_per_epoch)
        batches = {smaller: self.batches_per_epoch - larger, smaller + 1: larger}
        return sum(count * (size + self.extra_in(size)) for size, count in batches.items())

    def augmented(self, split: Split, places: Tensor, stream: torch.Generator) -> Tensor:
        """The images at these places as floats in [0, 1], augmented as the plan says."""
        images = split.images[places].float() / 255
        return augment(images, self.plan.augment, stream, self.plan.padding)

    def with_extra(self, images: Tensor, labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Batch ``number`` of the stage and, after it, pseudo-labelled images drawn with
        replacement.

        Their random numbers are named by the batch, so that none have to be kept for a resume and
        the labelled batches are the same with and without them.
        """
        if not (count := self.extra_in(len(labels))):
            return images, labels
        stream = generator(self.device, *self.stream, "extra", number)
        places = torch.randint(len(self.extra), (count,), generator=stream, device=self.device)
        more = self.augmented(self.extra, places, stream)
        return torch.cat([images, more]), torch.cat([labels, self.extra.labels[places]])

    # What a method sees of the data before training. Each number gives the same at every call, so
    # that a killed job can go on anywhere.

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Batch ``number`` (0-based) of augmented float images and labels; every
        ``batches_per_epoch`` of them hold each training sample once.
        """
        epoch, place = divmod(number, self.batches_per_epoch)
        order = self.shuffled(generator(self.device, *self.stream, "look", "order", epoch))[place]
        stream = generator(self.device, *self.stream, "look", "data", number)
        return self.augmented(self.train, order, stream), self.train.labels[order]

    def adversarial(self, model: nn.Module, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """The batch as the objective's own adversary leaves it, of the network as it stands."""
        step = self.step("look", "attack", number, progress=0.0)
        return self.objective.perturb(model, images, labels, step).detach()

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, number: int) -> Tensor:
        """The objective's loss on the batch, a scalar with its graph."""
        step = self.step("look", "loss", number, progress=0.0)
        with buffers_put_back(model):  # an adversary in training mode moves them
            return self.objective.loss(model, images, labels, step).value
