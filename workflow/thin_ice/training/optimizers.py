"""torch's optimisers without torch's compiler.

They compute what torch's own do, by the same code. But torch wraps their methods for
`torch.compile`, and the first call of such a wrapper imports the compiler and sympy: more than a
second of every job that trains, for what no job here uses. So the wrappers are taken off.
"""

from inspect import unwrap

import torch
from torch.optim import SGD, Adam, Optimizer


class Eager(Optimizer):
    """What all of torch's optimisers share."""

    add_param_group = unwrap(Optimizer.add_param_group)
    zero_grad = unwrap(Optimizer.zero_grad)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)


class EagerSgd(Eager, SGD):
    """torch's SGD."""

    step = torch.no_grad()(unwrap(SGD.step))


class EagerAdam(Eager, Adam):
    """torch's Adam."""

    step = torch.no_grad()(unwrap(Adam.step))
