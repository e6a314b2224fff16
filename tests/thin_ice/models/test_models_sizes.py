"""Published and hand-counted sizes, layouts and orders of layers."""

from pathlib import Path

import pytest
import torch
from torch import nn

from thin_ice.models.cnn_large import CnnLarge
from thin_ice.models.cnn_small import CnnSmall
from thin_ice.models.digits_cnn import DigitsCnn
from thin_ice.models.resnet18 import ResNet18
from thin_ice.models.vgg16_bn import Vgg16Bn
from thin_ice.models.wrn import Wrn

CIFAR, DIGITS = (3, 32, 32), (1, 8, 8)

CNN_SMALL = (16 * 3 * 16 + 16) + (16 * 16 * 32 + 32) + (32 * 8 * 8 * 100 + 100) + (100 * 10 + 10)
CNN_LARGE = (
    (9 * 3 * 32 + 32)
    + (16 * 32 * 32 + 32)
    + (9 * 32 * 64 + 64)
    + (16 * 64 * 64 + 64)
    + (64 * 8 * 8 * 512 + 512)
    + (512 * 512 + 512)
    + (512 * 10 + 10)
)
DIGITS_CNN = 9 * (1 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + (64 * 2 * 2 * 10 + 10)
VGG16_CONVS = 9 * (
    (3 * 64 + 64 * 64)
    + (64 * 128 + 128 * 128)
    + (128 * 256 + 2 * 256 * 256)
    + (256 * 512 + 5 * 512 * 512)
)
VGG16_BATCH_NORM = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512)
VGG16_HEAD = (2048 * 256 + 256) + (256 * 256 + 256) + (256 * 10 + 10)


@pytest.mark.parametrize(
    ("options", "shape", "parameters"),
    [
        (ResNet18(), CIFAR, 11_173_962),  # the usual CIFAR ResNet-18
        (Wrn(depth=28, width=10), CIFAR, 36_479_194),  # RobustBench's WRN-28-10
        (Wrn(depth=34, width=10), CIFAR, 46_160_474),  # WRN-34-10 of TRADES and its successors
        (Vgg16Bn(), CIFAR, VGG16_CONVS + VGG16_BATCH_NORM + VGG16_HEAD),
        (CnnSmall(), CIFAR, CNN_SMALL),
        (CnnLarge(), CIFAR, CNN_LARGE),
        (DigitsCnn(), DIGITS, DIGITS_CNN),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "build") else None,
)
def test_the_number_of_parameters_is_the_known_one(options, shape, parameters):
    with torch.device("meta"):
        model = options.build(shape, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_the_digits_network_is_small():
    assert 20_000 <= DIGITS_CNN <= 40_000


def test_resnet18_loads_the_checkpoint_that_autoattack_ships():
    pyautoattack = pytest.importorskip("pyautoattack")
    path = Path(pyautoattack.__file__).parent / "examples" / "model_test.pt"
    published = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        model = ResNet18().build(CIFAR, 10)
    ours = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert ours == {name: tensor.shape for name, tensor in published.items()}
    model.load_state_dict(published, strict=True, assign=True)
    logits = model.eval()(torch.rand(2, *CIFAR, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("depth", [4, 9, 27, 30, -2])
def test_a_wide_residual_network_has_depth_6n_plus_4(depth):
    with pytest.raises(ValueError, match=r"depth is -?\d+, allowed is 6 n \+ 4"):
        Wrn(depth=depth).build(CIFAR, 10)


def test_the_depth_counts_the_convolutions_with_the_three_projections():
    with torch.device("meta"):
        model = Wrn(depth=16, width=2).build(CIFAR, 10)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 16
    assert sum(convolution.kernel_size == (1, 1) for convolution in convolutions) == 3


def sizes_on_the_way(model, shape):
    """Shapes (C, H, W) or (units,) after each convolution and linear layer, in order of use."""
    seen = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:])))
    model.eval()(torch.zeros(1, *shape, device="meta"))
    return seen


def test_vgg16_pools_four_times_and_not_after_the_last_convolution():
    with torch.device("meta"):
        seen = sizes_on_the_way(Vgg16Bn().build(CIFAR, 10), CIFAR)
    assert seen == [
        *[(64, 32, 32)] * 2,
        *[(128, 16, 16)] * 2,
        *[(256, 8, 8)] * 3,
        *[(512, 4, 4)] * 3,
        *[(512, 2, 2)] * 3,
        (256,),
        (256,),
        (10,),
    ]


def test_the_cnns_of_hydra_halve_where_hydra_halves():
    with torch.device("meta"):
        small = sizes_on_the_way(CnnSmall().build(CIFAR, 10), CIFAR)
        large = sizes_on_the_way(CnnLarge().build(CIFAR, 10), CIFAR)
    assert small == [(16, 16, 16), (32, 8, 8), (100,), (10,)]
    assert large[:4] == [(32, 32, 32), (32, 16, 16), (64, 16, 16), (64, 8, 8)]
    assert large[4:] == [(512,), (512,), (10,)]


def test_resnet18_keeps_the_resolution_in_the_stem_and_halves_it_three_times():
    with torch.device("meta"):
        seen = sizes_on_the_way(ResNet18().build(CIFAR, 10), CIFAR)
    assert seen[0] == (64, 32, 32)
    assert [size[1] for size in seen[:-1]] == [32] * 5 + [16] * 5 + [8] * 5 + [4] * 5


@pytest.mark.parametrize(
    ("height", "width", "pooled"),
    [(32, 32, False), (40, 47, False), (32, 64, True), (64, 32, True)],
)
def test_vgg16_averages_to_2x2_only_where_there_is_more(height, width, pooled):
    pool = Vgg16Bn(width=1).build((3, height, width), 10).pool
    features = torch.rand(1, 8, height // 16, width // 16)
    assert torch.equal(pool(features), nn.functional.adaptive_avg_pool2d(features, 2))
    assert isinstance(pool, nn.Identity) != pooled


@pytest.mark.parametrize("options", [CnnSmall(2), CnnLarge(2), Vgg16Bn(2), DigitsCnn(2)])
def test_a_relu_follows_every_convolution_and_linear_layer_but_the_last(options):
    with torch.device("meta"):
        model = options.build(CIFAR, 10)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.ReLU)]
    assert all(not isinstance(layer, nn.ReLU) for layer in layers[::2])
    assert all(isinstance(layer, nn.ReLU) for layer in layers[1::2])
    assert isinstance(layers[-1], nn.Linear)


@pytest.mark.parametrize("options", [ResNet18(width=2), Wrn(10, 1), Vgg16Bn(width=2), DigitsCnn(2)])
def test_a_convolution_before_batch_norm_has_no_bias(options):
    convolutions = [m for m in options.build(CIFAR, 10).modules() if isinstance(m, nn.Conv2d)]
    assert all(convolution.bias is None for convolution in convolutions)
