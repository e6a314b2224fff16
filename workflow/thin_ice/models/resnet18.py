"""ResNet-18 for CIFAR: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

The variant that the robustness papers train on 32x32 images: a 3x3 stem with stride 1 and no
max-pool, four stages of two basic blocks with widths w, 2w, 4w, 8w and strides 1, 2, 2, 2, a 1x1
projection where a block changes shape, global average pooling, one linear layer.
Names in the state dict are those of the usual CIFAR checkpoints (``layer1.0.conv1``,
``shortcut.0``, ``linear``), so that published weights load strictly.

Deviations from the paper: stem and widths as above; torch's default initialisation. From the
usual CIFAR code: the pooling is global and not over 4x4, the same thing on 32x32 images.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.models.checks import require_images, require_positive

STAGE_STRIDES = (1, 2, 2, 2)
SMALLEST_IMAGE_PIXELS = 8  # three halvings leave one pixel


@dataclass(frozen=True)
class ResNet18:
    """Options of the CIFAR ResNet-18."""

    width: int = 64  # channels of the stem and the first stage; the others have 2, 4 and 8 times it

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; images (N, C, H, W) in [0, 1] to logits (N, classes).

        Raises:
            ValueError: images below 8x8 pixels, or a size below 1.
        """
        require_images("resnet18", input_shape, SMALLEST_IMAGE_PIXELS)
        require_positive("resnet18", width=self.width, classes=classes)
        return ResNet18Network(input_shape[0], self.width, classes)


class ResNet18Network(nn.Module):
    """The network; see the module's docstring."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = (width, width, 2 * width, 4 * width, 8 * width)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(before, after, stride)
            for (before, after), stride in zip(pairwise(widths), STAGE_STRIDES, strict=True)
        )
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(images)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
        return self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))


class BasicBlock(nn.Module):
    """ReLU(shortcut(x) + BN conv ReLU BN conv x), two 3x3 convolutions."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = _shortcut(before, after, stride)

    def forward(self, features: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(features)))
        branch = self.bn2(self.conv2(branch))
        return F.relu(branch + self.shortcut(features))


def _shortcut(before: int, after: int, stride: int) -> nn.Module:
    if stride == 1 and before == after:
        return nn.Identity()
    projection = nn.Conv2d(before, after, 1, stride=stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(after))


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(before, after, stride), BasicBlock(after, after, 1))
