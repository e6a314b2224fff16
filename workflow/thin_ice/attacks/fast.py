"""A network in evaluation mode as attacks compute it: the same function in fewer passes of memory.

In evaluation mode batch norm is an affine map of each channel, and a convolution that only it
reads can take it over:
    w' = w gamma / sqrt(var + eps),   b' = beta + (b - mean) gamma / sqrt(var + eps).
ReLUs work in place where nobody else reads what they are given. All weights are constants: nothing
but the images gets a gradient. Logits and gradients are the network's up to rounding.

The network is traced by torch.fx, which tells who reads what. A network that cannot be traced, or
that draws random numbers, is computed as it is.
"""

import logging
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from thin_ice.attacks.compiled import compiled
from thin_ice.attacks.modes import in_mode
from thin_ice.sparsity.parametrizations import weights_computed_once
from thin_ice.speed import PLAIN, Speed

RELUS = (F.relu, torch.relu)
# What makes a tensor of its own that its backward pass does not look at again.
FRESH = (torch.conv2d, F.linear, F.batch_norm, operator.add, torch.add)

log = logging.getLogger("thin_ice")


class Fast(nn.Module):
    """The network's logits, (N, C, H, W) -> (N, K): computed fast in evaluation mode, by the
    network itself in training mode. `refresh` reads its weights anew.
    """

    def __init__(self, network: nn.Module, speed: Speed) -> None:
        super().__init__()
        self.network = network
        self.train(network.training)
        graph, self._layers = _rewritten(network)
        # Not a submodule: its parts are the network's own.
        self._compute = compiled(graph) if speed.compile else graph.forward
        self._format = torch.channels_last if speed.channels_last else torch.contiguous_format
        self.refresh()

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self.network(images)
        return self._compute(images.contiguous(memory_format=self._format))

    @torch.no_grad()
    def refresh(self) -> None:
        """Take the weights that the network has now, once for all passes until the next time; in
        half precision where this is called under autocast.
        """
        with weights_computed_once(self.network):
            for layer in self._layers:
                layer.refresh(self._format)


def fast(model: nn.Module, speed: Speed) -> nn.Module:
    """``model`` as attacks are to compute it: `Fast`, or itself where it cannot be or ``speed``
    does not ask for it.
    """
    if not speed.fold:
        return model
    try:
        with in_mode(model, "eval"):
            return Fast(model, speed)
    except Untraceable as error:
        log.info("attacked as it is, without folding: %s", error)
        return model


class Untraceable(Exception):
    """A network of which torch.fx cannot say what it computes."""


class Views:
    """The networks of a stage of training as its adversaries compute them, traced once each."""

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._seen: dict[int, tuple[list[nn.Module], nn.Module]] = {}

    def of(self, model: nn.Module) -> nn.Module:
        """``model`` with the weights that it has now; itself in training mode."""
        if model.training or not self._speed.fold:
            return model
        parts = list(model.modules())
        known, view = self._seen.get(id(model), ([], None))
        # A list keeps its modules alive, so that no other network can take over an id.
        if len(known) != len(parts) or any(a is not b for a, b in zip(known, parts, strict=True)):
            view = fast(model, self._speed)
            self._seen[id(model)] = (parts, view)
        elif isinstance(view, Fast):
            view.refresh()
        return view


AS_THEY_ARE = Views(PLAIN)


@dataclass
class _Layer:
    """A convolution, with the batch norm that it takes over, or a linear layer; ``owner`` holds the
    weight and the bias that the graph reads, under names that begin with ``name``.
    """

    owner: nn.Module
    name: str
    layer: nn.Module
    norm: nn.Module | None

    def refresh(self, memory_format: torch.memory_format) -> None:
        weight, bias = self.layer.weight, self.layer.bias
        if self.norm is not None:
            weight, bias = _folded(weight, bias, self.norm)
        kind = weight.device.type
        if torch.is_autocast_enabled(kind):
            weight = weight.to(torch.get_autocast_dtype(kind))
            bias = None if bias is None else bias.to(weight.dtype)
        if weight.dim() == 4:
            weight = weight.contiguous(memory_format=memory_format)
        constants = {"weight": weight} | ({} if bias is None else {"bias": bias})
        for what, value in constants.items():
            self._hold(f"{self.name}_{what}", value.detach())

    def _hold(self, name: str, value: Tensor) -> None:
        """In memory of its own that stays where it is, since recorded passes read it there."""
        held = getattr(self.owner, name, None)
        if held is not None and _laid_out(held) == _laid_out(value):
            held.copy_(value)
        else:
            self.owner.register_buffer(name, value.clone())


def _laid_out(tensor: Tensor) -> tuple:
    return tensor.dtype, tensor.device, tensor.shape, tensor.stride()


def _folded(weight: Tensor, bias: Tensor | None, norm: nn.Module) -> tuple[Tensor, Tensor]:
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale if bias is None else (bias - norm.running_mean) * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    return weight * scale.view(-1, 1, 1, 1), shift


def _rewritten(network: nn.Module) -> tuple[fx.GraphModule, list[_Layer]]:
    """The traced network with convolutions and linear layers as functions of constants."""
    traced = _traced(network)
    layers: list[_Layer] = []
    for node in list(traced.graph.nodes):
        module = _module(traced, node)
        if isinstance(module, nn.Linear) or _is_plain_convolution(module):
            layers.append(_as_function(traced, node, module, len(layers)))
    for node in traced.graph.nodes:
        _relu_in_place(traced, node)
    traced.graph.lint()
    traced.recompile()
    return traced, layers


def _traced(network: nn.Module) -> fx.GraphModule:
    """Raises Untraceable where control flow depends on values, or chance is drawn: a trace would
    keep what was drawn while it was made.
    """
    before = torch.get_rng_state()
    try:
        traced = fx.symbolic_trace(network)
    except Exception as error:  # fx lets through whatever the network's own code raises
        raise Untraceable(str(error)) from error
    if not torch.equal(before, torch.get_rng_state()):
        torch.set_rng_state(before)
        raise Untraceable("it draws random numbers")
    return traced


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(node.target) if node.op == "call_module" else None


def _is_plain_convolution(module: nn.Module | None) -> bool:
    if not isinstance(module, nn.Conv2d):
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _as_function(traced: fx.GraphModule, node: fx.Node, module: nn.Module, number: int) -> _Layer:
    """Replace a layer, and the batch norm that alone reads it, by one function."""
    norm_node = _norm_after(traced, node) if isinstance(module, nn.Conv2d) else None
    norm = _module(traced, norm_node) if norm_node else None
    layer = _Layer(traced, f"_constant{number}", module, norm)
    layer.refresh(torch.contiguous_format)  # fx wants what it reads to be there
    function: Callable[..., Tensor] = F.linear
    rest: tuple[Any, ...] = ()
    if isinstance(module, nn.Conv2d):
        function = torch.conv2d
        rest = (module.stride, module.padding, module.dilation, module.groups)
    with traced.graph.inserting_before(node):
        names = (f"{layer.name}_{what}" for what in ("weight", "bias"))
        constants = [traced.graph.get_attr(n) if hasattr(traced, n) else None for n in names]
        called = traced.graph.call_function(function, (*node.args, *constants, *rest))
    for old in (norm_node, node) if norm_node else (node,):
        old.replace_all_uses_with(called)
        traced.graph.erase_node(old)
    return layer


def _norm_after(traced: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The batch norm that is the only reader of a node and keeps running statistics."""
    if len(node.users) != 1:
        return None
    (reader,) = node.users
    module = _module(traced, reader)
    keeps = isinstance(module, nn.BatchNorm2d) and module.running_mean is not None
    return reader if keeps else None


def _relu_in_place(traced: fx.GraphModule, node: fx.Node) -> None:
    module = _module(traced, node)
    if not (isinstance(module, nn.ReLU) or node.target in RELUS):
        return
    (before,) = node.args[:1]
    if len(before.users) == 1 and _is_fresh(traced, before):
        node.op, node.target, node.kwargs, node.args = "call_function", torch.relu_, {}, (before,)


def _is_fresh(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node makes a tensor of its own whose backward pass does not need it."""
    return node.target in FRESH or isinstance(_module(traced, node), nn.BatchNorm2d)
