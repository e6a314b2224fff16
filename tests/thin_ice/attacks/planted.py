"""Networks and attacks with one known fault each, around a network that has none."""

import torch
import torch.nn.functional as F
from torch import nn

from thin_ice.attacks.attempts import Case, apgd_attack, protocol_attack
from thin_ice.attacks.indicators import indicators, relative_change
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.evaluation.flags import INDICATORS, network_indicators
from thin_ice.evaluation.indicators import sample_rows

EPS = 0.1
THREAT = ThreatModel("Linf", EPS)
STEP = 0.1 * 8 / 255  # a tenth of eps


class Around(nn.Module):
    """A network with a fault before or after it."""

    def __init__(self, network):
        super().__init__()
        self.network = network


class Quantised(Around):
    """Sixteen grey levels: a staircase, flat wherever it has a slope."""

    def forward(self, images):
        return self.network((images * 16).round() / 16)


class Saturated(Around):
    """The same predictions, with a softmax that is 0 or 1 in float32."""

    def forward(self, images):
        return 1e4 * self.network(images)


class Hard(Around):
    """The predicted class and nothing else: no gradient passes an argmax."""

    def forward(self, images):
        return F.one_hot(self.network(images).argmax(1), 10).float()


class Detached(Around):
    def forward(self, images):
        return self.network(images.detach())


class _Refusal(torch.autograd.Function):
    @staticmethod
    def forward(_, images):
        return images.clone()

    @staticmethod
    def backward(_, gradient):
        raise NotImplementedError("no gradient of this layer")


class Refusing(Around):
    """A layer whose author wrote no backward pass."""

    def forward(self, images):
        return self.network(_Refusal.apply(images))


class Jumping(Around):
    """Logits that jump from pixel value to pixel value, and not at the test images themselves."""

    def forward(self, images):
        ripple = torch.sin(255 * torch.pi * images).flatten(1)[:, :10]  # zero at each grey level
        return self.network(images) + 20 * ripple


class Reversed(Around):
    """The same logits; their gradient points the other way and leads the attack back."""

    def forward(self, images):
        logits = self.network(images)
        return 2 * logits.detach() - logits


class Dropping(Around):
    """Drops pixels while it is in training mode."""

    def forward(self, images):
        return self.network(F.dropout(images, 0.5, self.training))


def pgd(steps=100, step_size=STEP, eps=EPS, **changes):
    """PGD at the study's eps; with its defaults a sound attack, where any iterate counts."""
    protocol = Protocol("planted", 8 / 255, step_size, steps, **changes)
    return protocol_attack("planted", protocol, eps, seed=0)


def any_iterate(attack):
    """The same attack, by an author who counts any adversarial iterate."""

    def run(case):
        found = attack(case)
        return type(found)(**vars(found) | {"fooled": found.ever_fooled})

    return run


SOUND = {"apgd": apgd_attack(seed=0), "pgd": any_iterate(pgd())}


def case_of(target, split, crafted_on=None, threat=THREAT) -> Case:
    """The samples that the target, and the network that is attacked in its place, have right."""
    crafted_on = target if crafted_on is None else crafted_on
    images, labels = split.floats(), split.labels
    with torch.no_grad():
        right = (target(images).argmax(1) == labels) & (crafted_on(images).argmax(1) == labels)
    return Case(crafted_on, target, images[right], labels[right], threat)


def found_in(attack, case, points=20):
    """The indicators of a network: values and flags, as the study's table has them."""
    stream = torch.Generator().manual_seed(0)
    images, labels = case.images, case.labels
    change = relative_change(case.target, images, labels, case.threat, points, stream)
    ids = list(range(len(labels)))
    rows = sample_rows(ids, "planted", indicators(attack, case, change))
    return network_indicators(rows, len(ids), ["planted"])["attacks"]["planted"]


def raised(found) -> set[int]:
    """The numbers of the indicators that are raised."""
    return {number for number, name in enumerate(INDICATORS, 1) if found[name]["raised"]}
