"""A traced network's passes through torch's compiler; on a GPU they are recorded as CUDA graphs.

Each process compiles for itself: the compiler's caches on disk are pickles, which are not read
here. The first pass, the first without a gradient and the first in which the number of images
changes take seconds to a minute each; from then on that number is free.
A CUDA graph computes into the same memory every time, so what leaves it, logits one way and the
images' gradient the other, is copied out before the next pass overwrites it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, fx

Passes = Callable[[Tensor], Tensor]  # images (N, C, H, W) to logits (N, K)


def compiled(graph: fx.GraphModule) -> Passes:
    """``graph`` in evaluation mode, compiled when it is first called."""
    torch.compiler.config.force_disable_caches = True
    options = {"compile_threads": 1, "triton.cudagraph_skip_dynamic_graphs": True}
    once = torch.compile(graph.forward, options=options)
    recorded = torch.compile(graph.forward, options=options | {"triton.cudagraphs": True})

    def passes(images: Tensor) -> Tensor:
        if not images.is_cuda:
            return once(images)
        torch.compiler.cudagraph_mark_step_begin()
        return recorded(_copied_back(images)).clone()

    return passes


def _copied_back(images: Tensor) -> Tensor:
    """The images, bit for bit, whose gradient is a copy on its way back."""
    return images * 1
