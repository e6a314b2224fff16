"""HYDRA's small network for verified training (``cifar_model``; Sehwag et al., NeurIPS 2020).

conv w, conv 2w (both 4x4, stride 2, padding 1), linear 100, linear classes, ReLU between; w = 16.
The shape goes back to Wong & Kolter, "Provable defenses against adversarial examples via the
convex outer adversarial polytope", ICML 2018.

Deviations: any image size from 4x4 (the original is for 32x32), torch's default initialisation,
layers have names instead of numbers.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from thin_ice.models.checks import require_images, require_positive

HIDDEN_UNITS = 100
SMALLEST_IMAGE_PIXELS = 4  # each convolution halves, rounding down


@dataclass(frozen=True)
class CnnSmall:
    """Options of HYDRA's small network."""

    width: int = 16  # channels of the first convolution; the second has twice as many

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; images (N, C, H, W) in [0, 1] to logits (N, classes).

        Raises:
            ValueError: images below 4x4 pixels, or a size below 1.
        """
        require_images("cnn_small", input_shape, SMALLEST_IMAGE_PIXELS)
        require_positive("cnn_small", width=self.width, classes=classes)
        channels, height, width = input_shape
        flat = 2 * self.width * (height // 4) * (width // 4)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, self.width, 4, stride=2, padding=1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(self.width, 2 * self.width, 4, stride=2, padding=1),
                relu2=nn.ReLU(),
                flatten=nn.Flatten(),
                fc1=nn.Linear(flat, HIDDEN_UNITS),
                relu3=nn.ReLU(),
                fc2=nn.Linear(HIDDEN_UNITS, classes),
            )
        )
