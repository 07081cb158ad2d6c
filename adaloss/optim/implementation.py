"""Whether torch's fused kernels, the fastest, may run: the CPU's do not compare strides and would update wrongly."""

from typing import Any

import torch

PLAIN = (torch.Tensor, torch.nn.Parameter)  # not a subclass such as DTensor, which a fused kernel may not know


def fusible(p: torch.Tensor) -> bool:
    """What stays true of a parameter: a plain real tensor."""
    return type(p) in PLAIN and p.dtype.is_floating_point


def fused_is_safe(params: list[torch.Tensor]) -> bool:
    """What may change between steps: whether all ``params`` and their gradients are dense and contiguous."""
    gradients = [p.grad for p in params]
    tensors = [*params, *[gradient for gradient in gradients if gradient is not None]]
    try:
        return all(map(torch.Tensor.is_contiguous, tensors))
    except RuntimeError:  # a sparse gradient has no strides
        return False


def contiguous(state: dict[Any, Any]) -> bool:
    """Whether every tensor of one parameter's state is contiguous."""
    return all(value.is_contiguous() for value in state.values() if isinstance(value, torch.Tensor))
