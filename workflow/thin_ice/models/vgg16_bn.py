"""VGG-16 with batch norm for CIFAR, as the pruning papers use it.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015, in the variant of HYDRA (Sehwag et al., NeurIPS 2020) and of those who follow it: 13 3x3
convolutions 64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512, each with batch norm and
ReLU, M a 2x2 max-pool; average pooling to 2x2; linear layers 2048-256-256-classes with ReLU.

Deviations from the paper: four max-pools instead of five, batch norm, the small head, no dropout,
torch's default initialisation. Convolutions have no bias, since batch norm subtracts it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from thin_ice.models.checks import require_images, require_positive

# Multiples of the width; a new tuple starts after a max-pool.
GROUPS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
POOLED_PIXELS = 2
REDUCTION = 2 ** (len(GROUPS) - 1)  # by the max-pools
SMALLEST_IMAGE_PIXELS = REDUCTION


@dataclass(frozen=True)
class Vgg16Bn:
    """Options of the CIFAR VGG-16 with batch norm."""

    width: int = 64  # channels of the first group; every other width is 2, 4 or 8 times it

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; images (N, C, H, W) in [0, 1] to logits (N, classes).

        Raises:
            ValueError: images below 16x16 pixels, or a size below 1.
        """
        require_images("vgg16_bn", input_shape, SMALLEST_IMAGE_PIXELS)
        require_positive("vgg16_bn", width=self.width, classes=classes)
        network = nn.Sequential()
        network.add_module("features", nn.Sequential(*_features(input_shape[0], self.width)))
        network.add_module("pool", _pool(*input_shape[1:]))
        network.add_module("flatten", nn.Flatten())
        network.add_module("classifier", _classifier(self.width, classes))
        return network


def _features(channels: int, width: int) -> Iterator[nn.Module]:
    before = channels
    for index, group in enumerate(GROUPS):
        if index > 0:
            yield nn.MaxPool2d(2)
        for multiple in group:
            after = multiple * width
            yield nn.Conv2d(before, after, 3, padding=1, bias=False)
            yield nn.BatchNorm2d(after)
            yield nn.ReLU()
            before = after


def _pool(height: int, width: int) -> nn.Module:
    """Average to 2x2. Left out where the features are 2x2 already, as on CIFAR.

    Its backward pass on CUDA adds in no fixed order, and CIFAR networks need not pay for that.
    """
    if height // REDUCTION == width // REDUCTION == POOLED_PIXELS:
        return nn.Identity()
    return nn.AdaptiveAvgPool2d(POOLED_PIXELS)


def _classifier(width: int, classes: int) -> nn.Sequential:
    hidden = 4 * width
    return nn.Sequential(
        nn.Linear(GROUPS[-1][-1] * width * POOLED_PIXELS**2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
