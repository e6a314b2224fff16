"""A small network of our own for grey images of 8x8 to 16x16 pixels; it follows no paper.

conv w, conv 2w and conv 4w (3x3, padding 1, the last two with stride 2; batch norm, ReLU), linear
classes. With w = 16 on 8x8 digits it has 25,978 parameters, meant for training on a CPU. It has no
hidden linear layer: at 99 % uniform sparsity a classifier of 32 inputs would keep 4 of its 320
weights, fewer than there are classes.
Convolutions have no bias, since batch norm subtracts it again. Torch's default initialisation.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from thin_ice.models.checks import require_images, require_positive

SMALLEST_IMAGE_PIXELS = 4


@dataclass(frozen=True)
class DigitsCnn:
    """Options of the network for digits."""

    width: int = 16  # channels of the first convolution; each convolution doubles them

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; images (N, C, H, W) in [0, 1] to logits (N, classes).

        Raises:
            ValueError: images below 4x4 pixels, or a size below 1.
        """
        require_images("digits_cnn", input_shape, SMALLEST_IMAGE_PIXELS)
        require_positive("digits_cnn", width=self.width, classes=classes)
        channels, height, width = input_shape
        pixels = _half(_half(height)) * _half(_half(width))
        return nn.Sequential(
            OrderedDict(
                block1=_block(channels, self.width, 1),
                block2=_block(self.width, 2 * self.width, 2),
                block3=_block(2 * self.width, 4 * self.width, 2),
                flatten=nn.Flatten(),
                linear=nn.Linear(4 * self.width * pixels, classes),
            )
        )


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            bn=nn.BatchNorm2d(after),
            relu=nn.ReLU(),
        )
    )


def _half(pixels: int) -> int:
    """What a 3x3 convolution with stride 2 and padding 1 leaves: half, rounded up."""
    return (pixels + 1) // 2
