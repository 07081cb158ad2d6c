"""What goes around a method: torch's hooks and profiler on demand, and nothing of torch.compile's."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import optimizer as torch_optimizer


def uncompiled(method: Callable) -> Callable:
    """``method``, which torch.compile runs as it is, between two graphs, as it does torch's own ``zero_grad``."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(method)(*args, **kwargs)
        return method(*args, **kwargs)

    return wrapper


def hooked_on_demand(step: Callable) -> Callable:
    """``step`` with torch's hooks and profiler around it where there are any; they cost as much as a small update.

    Where a subclass has a step of its own, torch puts them around that.
    """
    hooked = torch.optim.Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def wrapper(self: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(wrapper)(self, *args, **kwargs)
        if type(self).step is wrapper and (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()
        ):
            return hooked(self, *args, **kwargs)
        return step(self, *args, **kwargs)

    wrapper.hooked = True  # tells torch.optim.Optimizer that it need not wrap it
    return wrapper
