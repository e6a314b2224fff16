"""Wide residual networks: Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016.

WRN-d-k for CIFAR: a 3x3 stem with 16 channels, three groups of n = (d - 4) / 6 blocks with 16k,
32k and 64k channels and strides 1, 2, 2, then batch norm, ReLU, global average pooling and one
linear layer. A block is pre-activated: BN ReLU conv BN ReLU conv, added to its input. Where the
channels change, the shortcut is a 1x1 convolution of the activated input.
Names in the state dict are those of the TRADES line of checkpoints (``block1.layer.0.conv1``,
``convShortcut``, ``fc``).

Deviations: no dropout, torch's default initialisation. From the TRADES code and HYDRA's: without
the ``sub_block1`` that they make, save and never use.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.errors import ModelError
from thin_ice.models.checks import require_images, require_positive

STEM_CHANNELS = 16
SMALLEST_IMAGE_PIXELS = 4  # two halvings leave one pixel


@dataclass(frozen=True)
class Wrn:
    """Options of a wide residual network; the default is HYDRA's WRN-28-4."""

    depth: int = 28  # d = 6 n + 4 convolutions, the three projections included
    width: int = 4  # k, factor on the widths 16, 32 and 64 of the groups

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; images (N, C, H, W) in [0, 1] to logits (N, classes).

        Raises:
            ValueError: a depth that is not 6 n + 4, images below 4x4 pixels, or a size below 1.
        """
        require_images("wrn", input_shape, SMALLEST_IMAGE_PIXELS)
        require_positive("wrn", width=self.width, classes=classes)
        return WideResNet(input_shape[0], self._blocks_per_group(), self.width, classes)

    def _blocks_per_group(self) -> int:
        blocks, rest = divmod(self.depth - 4, 6)
        if rest or blocks < 1:
            raise ModelError(
                f"wrn: depth is {self.depth}, allowed is 6 n + 4 with n >= 1: 10, 16, 22, 28, ..."
            )
        return blocks


class WideResNet(nn.Module):
    """The network; see the module's docstring."""

    def __init__(self, channels: int, blocks: int, width: int, classes: int) -> None:
        super().__init__()
        first, second, third = (STEM_CHANNELS * factor * width for factor in (1, 2, 4))
        self.conv1 = nn.Conv2d(channels, STEM_CHANNELS, 3, padding=1, bias=False)
        self.block1 = Group(STEM_CHANNELS, first, blocks, stride=1)
        self.block2 = Group(first, second, blocks, stride=2)
        self.block3 = Group(second, third, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(third)
        self.fc = nn.Linear(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.block3(self.block2(self.block1(self.conv1(images))))
        features = F.relu(self.bn1(features))
        return self.fc(F.adaptive_avg_pool2d(features, 1).flatten(1))


class Group(nn.Module):
    """Blocks of one width; the first one changes channels and resolution."""

    def __init__(self, before: int, after: int, blocks: int, stride: int) -> None:
        super().__init__()
        rest = (Block(after, after, 1) for _ in range(blocks - 1))
        self.layer = nn.Sequential(Block(before, after, stride), *rest)

    def forward(self, features: Tensor) -> Tensor:
        return self.layer(features)


class Block(nn.Module):
    """Pre-activated basic block with two 3x3 convolutions."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.convShortcut = _shortcut(before, after, stride)

    def forward(self, features: Tensor) -> Tensor:
        activated = F.relu(self.bn1(features))
        branch = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        if self.convShortcut is None:
            return features + branch
        return self.convShortcut(activated) + branch


def _shortcut(before: int, after: int, stride: int) -> nn.Conv2d | None:
    """Nothing where the shape stays (stride 2 comes with twice the channels)."""
    if before == after:
        return None
    return nn.Conv2d(before, after, 1, stride=stride, bias=False)
