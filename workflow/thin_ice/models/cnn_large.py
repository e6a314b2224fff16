"""HYDRA's large network for verified training (``cifar_model_large``; Sehwag et al., NeurIPS 2020).

conv w 3x3, conv w 4x4 stride 2, conv 2w 3x3, conv 2w 4x4 stride 2 (all padding 1), linear 512,
linear 512, linear classes, ReLU between; w = 32. The shape goes back to Wong et al., "Scaling
provable adversarial defenses", NeurIPS 2018.

Deviations: any image size from 4x4 (the original is for 32x32), torch's default initialisation,
layers have names instead of numbers.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from thin_ice.models.checks import require_images, require_positive

HIDDEN_UNITS = 512
SMALLEST_IMAGE_PIXELS = 4  # two of the convolutions halve, rounding down


@dataclass(frozen=True)
class CnnLarge:
    """Options of HYDRA's large network."""

    width: int = 32  # channels of the first two convolutions; the other two have twice as many

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; images (N, C, H, W) in [0, 1] to logits (N, classes).

        Raises:
            ValueError: images below 4x4 pixels, or a size below 1.
        """
        require_images("cnn_large", input_shape, SMALLEST_IMAGE_PIXELS)
        require_positive("cnn_large", width=self.width, classes=classes)
        channels, height, width = input_shape
        flat = 2 * self.width * (height // 4) * (width // 4)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, self.width, 3, padding=1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(self.width, self.width, 4, stride=2, padding=1),
                relu2=nn.ReLU(),
                conv3=nn.Conv2d(self.width, 2 * self.width, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(2 * self.width, 2 * self.width, 4, stride=2, padding=1),
                relu4=nn.ReLU(),
                flatten=nn.Flatten(),
                fc1=nn.Linear(flat, HIDDEN_UNITS),
                relu5=nn.ReLU(),
                fc2=nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
                relu6=nn.ReLU(),
                fc3=nn.Linear(HIDDEN_UNITS, classes),
            )
        )
