"""Where torch's fused kernel computes the same as its other implementations.

The CPU's takes whatever memory it is given: it compares neither shapes nor strides, leaves most bfloat16 and float16
entries as they are (pytorch#191763, torch 2.13), and fails where one parameter has a momentum and another none yet.
Everywhere a first step that the kernel skips leaves a momentum that nobody has written.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch

PLAIN = {torch.Tensor, torch.nn.Parameter}  # not a subclass, such as DTensor
DTYPES = {
    "cpu": {torch.float32, torch.float64},
    "cuda": {torch.float32, torch.float64, torch.float16, torch.bfloat16},
}


kind = attrgetter("shape", "dtype", "device", "layout")


def exact(group: dict[str, Any], state: Mapping[torch.Tensor, Any], *, skips: bool = False) -> bool:
    """Check whether the fused kernel may take this step of the group; with ``skips``, also whether it may skip it.

    For each parameter with a gradient, the gradient and all its state should have its shape, dtype and device, dense
    and contiguous, and its ``step`` be a float32 there; either all of these parameters have a state or none has.
    """
    params = [p for p in group["params"] if p.grad is not None]
    if not params:
        return True
    kept = [state.get(p, {}) for p in params]
    if any(of.keys() != kept[0].keys() for of in kept):
        return False
    columns = [[of[name] for of in kept] for name in kept[0] if name != "step"]
    columns = [column for column in columns if any(value is not None for value in column)]  # an empty momentum
    if skips and group.get("momentum") and not columns:
        return False
    columns = [params, [p.grad for p in params], *columns]
    steps = [of["step"] for of in kept] if "step" in kept[0] else []
    try:
        kinds = list(map(kind, params))
        return (
            set(map(type, params)) <= PLAIN
            and {dtype for _, dtype, _, _ in kinds} <= DTYPES.get(params[0].device.type, set())
            and len({(device, layout) for *_, device, layout in kinds}) == 1
            and all(list(map(kind, column)) == kinds for column in columns[1:])
            and all(all(map(torch.Tensor.is_contiguous, column)) for column in columns)
            and all(step.dtype is torch.float32 and step.device == params[0].device for step in steps)
        )
    except (AttributeError, TypeError, RuntimeError):  # no tensor, or none that is strided
        return False
