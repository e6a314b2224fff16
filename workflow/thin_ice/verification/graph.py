"""A network as a list of steps in the order in which they are computed.

Traced by torch.fx: supported layers are steps, everything else is traced into, down to functions
such as ``relu`` and ``+``. A network may carry parametrizations, or be changed, between two calls:
what was traced is kept as long as nothing that tracing sees has changed.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from thin_ice.verification.linear import Affine, Sum
from thin_ice.verification.operator import CannotBound, Operator
from thin_ice.verification.readers import SUPPORTED, reader_of

# The layer that a function, called with the same arguments after its input, is.
LAYER_OF: dict[Any, Callable[..., nn.Module]] = {
    F.relu: lambda inplace=False: nn.ReLU(),
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    torch.flatten: lambda start_dim=0, end_dim=-1: nn.Flatten(start_dim, end_dim),
    "flatten": lambda start_dim=0, end_dim=-1: nn.Flatten(start_dim, end_dim),
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    F.max_pool2d: nn.MaxPool2d,
    F.dropout: lambda p=0.5, training=True, inplace=False: nn.Dropout(p).train(training),
}
# x + c, x - c, x * c, x / c: scale and shift by the constant.
ARITHMETIC: dict[Any, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    operator.add: lambda c: (torch.ones_like(c), c),
    operator.sub: lambda c: (torch.ones_like(c), -c),
    operator.mul: lambda c: (c, torch.zeros_like(c)),
    operator.truediv: lambda c: (1 / c, torch.zeros_like(c)),
}
SAME_AS = {
    operator.iadd: operator.add,
    torch.add: operator.add,
    "add": operator.add,
    torch.sub: operator.sub,
    torch.mul: operator.mul,
    torch.div: operator.truediv,
}
COMMUTE = (operator.add, operator.mul)


@dataclass(frozen=True)
class Step:
    """One operation; its inputs are numbers of values: 0 the images, k what step k computed."""

    name: str  # where in the network, for messages
    inputs: tuple[int, ...]
    run: Callable[..., Tensor]  # as the network itself computes it
    read: Callable[..., Operator]  # inputs of the present batch and a dtype: the operator now


@dataclass(frozen=True)
class Graph:
    """All steps, numbered from 1, and which of the values are the logits."""

    steps: tuple[Step, ...]
    output: int


def graph_of(model: nn.Module) -> Graph:
    """The steps of a network that takes one batch of images and gives one of logits.

    Raises:
        CannotBound: an operation that is not supported, by name and place.
    """
    if reader_of(model) is not None:
        return _traced(nn.Sequential(model))
    seen, tensors = _seen(model)
    if any(tensor.requires_grad for tensor in tensors):  # what is computed with it has a graph
        return _traced(model)
    if model not in _TRACED or _TRACED[model][0] != seen:
        _TRACED[model] = seen, tensors, _traced(model)
    return _TRACED[model][2]


# Training traces the same network at every step, which takes as long as a pass through a small one.
# The tensors are kept so that no other can get the id that one of them was seen by.
_TRACED: "WeakKeyDictionary[nn.Module, tuple[list[Any], list[Tensor], Graph]]" = WeakKeyDictionary()
PLAIN = (bool, int, float, str, type(None))


def _seen(model: nn.Module) -> tuple[list[Any], list[Tensor]]:
    """What tracing depends on: the layers, and of the modules around them mode, options and tensors
    (which it may compute with). Layers are asked for their own when a graph is used.
    """
    found, tensors, waiting = [], [], [model]
    while waiting:
        module = waiting.pop()
        found.append(ref(module))
        if reader_of(module) is None:
            tensors += [t for t in _own_tensors(module) if t is not None]
            found += [(n, v) for n, v in vars(module).items() if isinstance(v, PLAIN)]
            waiting += module.children()
    return [*found, *((id(tensor), tensor._version) for tensor in tensors)], tensors


def _own_tensors(module: nn.Module) -> Iterator[Tensor | None]:
    return chain(module._parameters.values(), module._buffers.values())


def _traced(model: nn.Module) -> Graph:
    tracer = _Tracer()
    try:
        nodes = list(tracer.trace(model).nodes)
    except Exception as error:  # foreign code runs on stand-ins for tensors; it may raise anything
        raise CannotBound(f"cannot trace {type(model).__name__}: {error}") from error
    numbers: dict[fx.Node, int] = {}
    steps: list[Step] = []
    for node in nodes:
        if node.op == "output":
            return Graph(tuple(steps), _number(node.args[0], numbers))
        if node.op == "placeholder":
            if numbers:
                raise CannotBound(f"{type(model).__name__} has two inputs; allowed is one: images")
            numbers[node] = 0
        elif node.op != "get_attr":
            steps.append(_step(node, model, numbers, tracer.constants))
            numbers[node] = len(steps)
    raise CannotBound(f"{type(model).__name__} gives nothing")


class _Tracer(fx.Tracer):
    """Stops at supported layers; keeps the tensors that are neither input nor inside a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: dict[str, Tensor] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return reader_of(m) is not None

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict) -> Any:
        return attr_val

    def create_arg(self, a: Any) -> Any:
        if not isinstance(a, Tensor):
            return super().create_arg(a)
        name = f"constant{len(self.constants)}"
        self.constants[name] = a
        return self.create_node("get_attr", name, (), {})


def _number(node: Any, numbers: dict[fx.Node, int]) -> int:
    if not isinstance(node, fx.Node) or node not in numbers:
        raise CannotBound(f"an output that is no single tensor of logits: {node}")
    return numbers[node]


def _step(
    node: fx.Node, root: nn.Module, numbers: dict[fx.Node, int], constants: dict[str, Tensor]
) -> Step:
    target = SAME_AS.get(node.target, node.target)
    if node.op == "call_module":
        layer, inputs = root.get_submodule(node.target), node.args
    elif target in ARITHMETIC and not node.kwargs:
        return _arithmetic(node, target, numbers, constants)
    elif target in LAYER_OF:
        layer, inputs = LAYER_OF[target](*node.args[1:], **node.kwargs), node.args[:1]
    else:
        raise _unsupported(node)
    if len(inputs) != 1 or inputs[0] not in numbers:
        raise _unsupported(node)
    _require_own_memory(node, layer)
    return Step(node.name, (numbers[inputs[0]],), layer, _reader(node, layer))


def _reader(node: fx.Node, layer: nn.Module) -> Callable[..., Operator]:
    reader = reader_of(layer)

    def read(dtype: torch.dtype, values: Tensor) -> Operator:
        try:
            return reader(layer, values, dtype)
        except CannotBound as error:
            raise CannotBound(f"cannot bound {node.name}: {error}") from None

    return read


def _require_own_memory(node: fx.Node, layer: nn.Module) -> None:
    """A layer that overwrites its input must be its only reader."""
    if getattr(layer, "inplace", False) and len(node.args[0].users) > 1:
        raise CannotBound(
            f"cannot bound {node.name}: it overwrites what others read; allowed is inplace=False"
        )


def _arithmetic(
    node: fx.Node, target: Any, numbers: dict[fx.Node, int], constants: dict[str, Tensor]
) -> Step:
    """A sum of two values, or one value and a constant."""
    if len(node.args) != 2:
        raise _unsupported(node)
    if all(isinstance(arg, fx.Node) and arg in numbers for arg in node.args):
        if target is not operator.add:
            raise _unsupported(node)
        inputs = tuple(numbers[arg] for arg in node.args)
        return Step(node.name, inputs, operator.add, _sum_reader(node))
    value, constant = node.args
    if value not in numbers and target in COMMUTE:
        value, constant = constant, value
    if isinstance(constant, fx.Node):
        constant = constants.get(constant.target)
    if value not in numbers or not isinstance(constant, (int, float, Tensor)):
        raise _unsupported(node)
    return Step(node.name, (numbers[value],), *_with_constant(node, target, constant))


def _sum_reader(node: fx.Node) -> Callable[..., Operator]:
    def read(dtype: torch.dtype, first: Tensor, second: Tensor) -> Operator:
        if first.shape != second.shape:
            shapes = f"{tuple(first.shape[1:])} and {tuple(second.shape[1:])}"
            raise CannotBound(f"cannot bound {node.name}: a sum of {shapes}; allowed is one shape")
        return Sum()

    return read


def _with_constant(
    node: fx.Node, target: Any, constant: float | Tensor
) -> tuple[Callable[..., Tensor], Callable[..., Operator]]:
    def run(values: Tensor) -> Tensor:
        return target(values, constant)

    def read(dtype: torch.dtype, values: Tensor) -> Operator:
        fixed = torch.as_tensor(constant, device=values.device).to(dtype)
        if fixed.dim() == values.dim() and len(fixed) == 1:
            fixed = fixed[0]
        if torch.broadcast_shapes(fixed.shape, values.shape[1:]) != values.shape[1:]:
            raise CannotBound(
                f"cannot bound {node.name}: a constant of shape {tuple(fixed.shape)} for values of "
                f"{tuple(values.shape[1:])}; allowed is what broadcasts to them"
            )
        return Affine(*ARITHMETIC[target](fixed))

    return run, read


def _unsupported(node: fx.Node) -> CannotBound:
    what = getattr(node.target, "__name__", node.target)
    return CannotBound(f"cannot bound {what!r} (at {node.name}); supported are {SUPPORTED}")
