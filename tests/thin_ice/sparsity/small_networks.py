"""Small networks of every architecture, and channels of them to keep."""

import torch
from torch import nn

from thin_ice.models.network import Architecture

# Options and images as small as each architecture takes; flattened maps have more than a pixel.
SMALL = {
    "digits_cnn": ({"width": 4}, (1, 8, 8)),
    "cnn_small": ({"width": 3}, (1, 8, 8)),
    "cnn_large": ({"width": 3}, (3, 8, 8)),
    "resnet18": ({"width": 4}, (3, 16, 16)),
    "vgg16_bn": ({"width": 2}, (3, 32, 32)),
    "wrn": ({"depth": 16, "width": 1}, (3, 8, 8)),
}


def small(kind, normalize=True):
    """The small network of a kind in eval mode, its batch norms as if trained, and images."""
    options, shape = SMALL[kind]
    model = Architecture(kind, options, shape, 10, normalize).build(seed=0)
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.weight, module.running_var):
                    values.uniform_(0.5, 1.5, generator=stream)
                for values in (module.bias, module.running_mean):
                    values.uniform_(-0.5, 0.5, generator=stream)
    return model.eval(), torch.rand(4, *shape, generator=stream)


def random_kept(groups, seed=2):
    """About half of each group's channels, at least one gone and one kept."""
    stream = torch.Generator().manual_seed(seed)
    kept = {}
    for group in groups:
        keep = torch.rand(group.size, generator=stream) < 0.5
        keep[torch.randperm(group.size, generator=stream)[:2]] = torch.tensor([True, False])
        kept[group.name] = keep
    return kept
