"""Small networks by name that tests of the room share."""

import torch
from torch import nn

from thin_ice.models.network import Architecture

# Options and images as small as each architecture takes with more than a pixel left.
SMALL = {
    "digits_cnn": ({"width": 2}, (1, 8, 8)),
    "cnn_small": ({"width": 2}, (1, 8, 8)),
    "cnn_large": ({"width": 2}, (3, 8, 8)),
    "resnet18": ({"width": 2}, (3, 8, 8)),
    "vgg16_bn": ({"width": 1}, (3, 16, 16)),
    "wrn": ({"depth": 10, "width": 1}, (3, 8, 8)),
}


def architecture(kind, normalize=False):
    options, shape = SMALL.get(kind, ({}, (3, 32, 32)))
    return Architecture(kind, options, shape, 4, normalize)


def built(kind, normalize=False, dtype=torch.float32):
    """The network in evaluation mode, its batch norms as if trained; images and labels."""
    model = architecture(kind, normalize).build(seed=0)
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3, generator=stream)
                module.running_var.uniform_(0.5, 1.5, generator=stream)
    images = torch.rand(3, *architecture(kind).input_shape, generator=stream, dtype=dtype)
    return model.to(dtype).eval(), images, torch.tensor([0, 3, 1])
