"""The fast view of a network is the network, up to rounding, in whatever state it is."""

import copy
import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from thin_ice import tables
from thin_ice.attacks.fast import Fast, Views, fast
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import version_settings
from thin_ice.checkpoint import Checkpoint
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.models.network import Architecture
from thin_ice.sparsity.masks import top_k_mask
from thin_ice.sparsity.parametrizations import TopKScore, fix_masks
from thin_ice.speed import PLAIN, Speed

# As small as they come; the rest of each are its defaults.
SMALL = {
    "digits_cnn": ({"width": 4}, (1, 8, 8)),
    "resnet18": ({"width": 8}, (3, 16, 16)),
    "wrn": ({"depth": 10, "width": 1}, (3, 16, 16)),
}
BOTH = [Speed(channels_last=False), Speed(channels_last=True)]


def used(model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """The network in evaluation mode after some batches, so that no statistic is its initial one,
    and with scales and shifts of batch norm as training may leave them.
    """
    stream = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(-1, 2, generator=stream)
            module.bias.data.normal_(generator=stream)
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.rand(16, *shape, generator=stream))
    return model.eval()


def pass_through(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of a sum of margins."""
    given = images.clone().requires_grad_(True)
    logits = model(given)
    labels = torch.arange(len(images)) % logits.shape[1]
    (gradient,) = torch.autograd.grad(margin(logits, labels).sum(), given)
    return logits.detach(), gradient


def assert_same(model: nn.Module, view: nn.Module, images: Tensor) -> None:
    """To the rounding of what they compute in: of float32 a ReLU just at its kink may make more."""
    assert isinstance(view, Fast)
    tiny = 1e3 * torch.finfo(images.dtype).eps
    for plain, ours in zip(pass_through(model, images), pass_through(view, images), strict=True):
        scale = float(plain.abs().max())
        assert scale > 0
        torch.testing.assert_close(ours, plain, rtol=tiny, atol=tiny * scale)


@pytest.mark.parametrize("speed", BOTH, ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("kind", tables.TABLES["architectures"])
def test_every_architecture_gives_the_same_logits_and_gradients(kind, normalize, speed):
    options, shape = SMALL.get(kind, ({}, (3, 32, 32)))
    model = used(Architecture(kind, options, shape, 10, normalize).build(3), shape).double()
    images = torch.rand(6, *shape, generator=torch.Generator().manual_seed(1))
    assert_same(model, fast(model, speed), images.double())


def passes(model: nn.Module, kind: type, work: nn.Module, images: Tensor) -> int:
    """How often modules of a kind are called while ``work`` computes."""
    called = []
    handles = [
        module.register_forward_hook(lambda *_: called.append(1))
        for module in model.modules()
        if isinstance(module, kind)
    ]
    work(images)
    for handle in handles:
        handle.remove()
    return len(called)


def test_batch_norms_are_gone(build, images):
    model = used(build(0), (1, 8, 8))
    assert passes(model, nn.BatchNorm2d, model, images) == 3
    assert passes(model, nn.BatchNorm2d, fast(model, Speed()), images) == 0


def test_what_a_residual_reads_too_is_not_folded():
    """Of the two-block WRN the stem and each block's sum are read by a batch norm and by a sum."""
    shape = (3, 16, 16)
    options, _ = SMALL["wrn"]
    model = used(Architecture("wrn", options, shape, 10, False).build(0), shape)
    images, view = torch.rand(2, *shape), fast(model, Speed())
    every = passes(model, nn.BatchNorm2d, model, images)
    assert 0 < passes(model, nn.BatchNorm2d, view, images) < every


def test_in_training_mode_it_is_the_network(build, images):
    model = used(build(0), (1, 8, 8))
    view = fast(model, Speed())
    twin = copy.deepcopy(model).train()
    assert torch.equal(view.train()(images), twin(images))
    assert torch.equal(model.block1.bn.running_mean, twin.block1.bn.running_mean)


def test_parameters_get_no_gradient(build, images, labels):
    model = used(build(0), (1, 8, 8))
    assert all(p.requires_grad for p in model.parameters())
    given = images.clone().requires_grad_(True)
    margin(fast(model, Speed())(given), labels).sum().backward()
    assert given.grad is not None
    assert all(p.grad is None for p in model.parameters())


def test_the_network_is_left_as_it_was(build, images):
    model = used(build(0), (1, 8, 8)).train()
    before, state = copy.deepcopy(model), torch.get_rng_state()
    fast(model, Speed(channels_last=True)).eval()(images)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), before.buffers(), strict=True))
    assert [p.stride() for p in model.parameters()] == [p.stride() for p in before.parameters()]
    assert torch.equal(torch.get_rng_state(), state)


def test_masked_weights_and_norms_are_read_as_they_are_computed(build, images):
    model = build(0)
    masks = {
        name: top_k_mask(torch.rand_like(p), p.numel() // 2)
        for name, p in model.named_parameters()
        if name in ("block2.conv.weight", "block1.bn.weight", "block1.bn.bias", "linear.weight")
    }
    model = used(model, (1, 8, 8))
    fix_masks(model, masks)
    assert_same(model, fast(model, Speed()), images)


def test_views_follow_the_weights(build, images):
    """An optimiser's step, a mask that scores choose, and moved statistics are all seen."""
    model = used(build(0), (1, 8, 8))
    weight = model.block2.conv.weight
    nn.utils.parametrize.register_parametrization(
        model.block2.conv, "weight", TopKScore(torch.rand_like(weight), weight.numel() // 3)
    )
    views = Views(Speed())
    first = views.of(model)
    assert_same(model, first, images)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model.train()(images).square().sum().backward()
    optimizer.step()
    assert views.of(model) is model  # in training mode
    model.eval()
    before = first(images)
    assert views.of(model) is first  # traced once
    assert not torch.allclose(before, first(images), atol=1e-3)
    assert_same(model, first, images)


def test_views_see_another_structure(build, images):
    model = used(build(0), (1, 8, 8))
    views = Views(Speed())
    first = views.of(model)
    fix_masks(model, {"linear.weight": torch.rand_like(model.linear.weight) < 0.5})
    assert views.of(model) is not first
    first = views.of(model)
    model.block3.relu = nn.Tanh()
    assert views.of(model) is not first
    assert_same(model, views.of(model), images)


def test_half_precision_under_autocast(build, images):
    model = used(build(0), (1, 8, 8))
    views = Views(Speed())
    exact = views.of(model)(images)
    with torch.autocast("cpu", torch.bfloat16):
        half = views.of(model)
        logits = half(images)
    weights = [b for name, b in half._layers[0].owner.named_buffers() if "_constant" in name]
    assert {one.dtype for one in weights} == {torch.bfloat16}
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.1)
    assert torch.equal(views.of(model)(images), exact)  # and in full again


def test_refreshed_weights_stay_where_they_are_in_memory_of_their_own(build, images):
    """Recorded passes read them there; and nothing that is written there reaches the network."""
    model = build(0)
    model.block1.bn = nn.Identity()  # this convolution's weights are taken as they are
    views = Views(Speed())
    owner = views.of(used(model, (1, 8, 8)))._layers[0].owner
    places = {name: held.data_ptr() for name, held in owner.named_buffers() if "_const" in name}
    assert places
    assert not {p.data_ptr() for p in model.parameters()} & set(places.values())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert_same(model, views.of(model), images)
    assert places.items() <= {name: b.data_ptr() for name, b in owner.named_buffers()}.items()


@pytest.mark.heavy
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs a C++ compiler")
def test_compiled_it_is_the_network_too(build, images, tmp_path, monkeypatch):
    """For any number of images, with and without a gradient, after an optimiser's step; and no
    pickle is left behind.
    """
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = used(build(0), (1, 8, 8))
    views = Views(Speed(compile=True))
    for count in (8, 5, 3):
        assert_same(model, views.of(model), images[:count])
    with torch.no_grad():
        model.block2.conv.weight.mul_(1.5)
        torch.testing.assert_close(views.of(model)(images[:5]), model(images[:5]))
    assert_same(model, views.of(model), images[:8])
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in left} <= {".py", ".cpp", ".so", ".lock", ".h"}


@pytest.mark.parametrize("views", [Views(PLAIN), Views(Speed(fold=False, channels_last=True))])
def test_switched_off_it_is_the_network_itself(build, views):
    model = build(0).eval()
    assert views.of(model) is model
    assert fast(model, PLAIN) is model


class Twice(nn.Module):
    """A convolution whose output two read, one used twice, and a ReLU of what is read again."""

    def __init__(self):
        super().__init__()
        self.conv, self.same = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 10)

    def forward(self, images):
        features = self.conv(images)
        features = features.relu() + torch.relu(features) + self.first(features)
        features = self.second(self.same(features)) + self.first(self.same(features))
        return self.linear(nn.functional.relu(features).mean((2, 3)))


def test_who_else_reads_a_value_is_respected(images):
    torch.manual_seed(0)
    model = used(Twice(), (1, 8, 8))
    assert_same(model, fast(model, Speed()), images)


class ByValue(nn.Sequential):
    def forward(self, images):
        return super().forward(images) if images.sum() > 0 else images


class Random(nn.Sequential):
    def forward(self, images):
        return super().forward(images + 0.1 * torch.randn(1))


@pytest.mark.parametrize(("kind", "why"), [(ByValue, "control flow"), (Random, "random numbers")])
def test_a_network_that_cannot_be_traced_is_attacked_as_it_is(build, messages, kind, why):
    model = kind(build(0)).eval()
    state = torch.get_rng_state()
    assert fast(model, Speed()) is model
    assert torch.equal(torch.get_rng_state(), state)
    assert why in messages()[-1]


def test_autoattack_attacks_the_view_and_its_finds_are_seen_again_on_the_network(
    trained, digits, tmp_path
):
    """The verdicts are those on the network as it is; its own batch norms are only asked for the
    clean logits and for the found examples.
    """
    test = digits["test"].head(40)
    tables, passed = {}, {}
    for speed in (PLAIN, *BOTH):
        settings = replace(version_settings("standard", "Linf"), square_queries=50)
        cascade = Cascade(ThreatModel("Linf", 0.1), settings, 0, 40, speed)
        checkpoint = Checkpoint(tmp_path / str(len(tables)), "job")
        passed[speed] = passes(
            trained,
            nn.BatchNorm2d,
            lambda _, c=cascade, p=checkpoint, s=speed: tables.update(
                {s: run_shard(trained, test, c, p).table}
            ),
            None,
        )
    for speed in BOTH:
        assert tables[speed].robust.equals(tables[PLAIN].robust)
        assert tables[speed].confirmed.all()
        assert passed[speed] == 2 * 3 < passed[PLAIN] / 100
    assert 0 < tables[PLAIN].robust.sum() < tables[PLAIN].broken_by.ne("clean").sum()
