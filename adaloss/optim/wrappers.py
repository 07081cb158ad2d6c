"""Wrappers of methods: torch's hooks and profiler on demand, a way around torch.compile; and of whole optimizers."""

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch.optim import optimizer as torch_optimizer

P = ParamSpec("P")
R = TypeVar("R")
Driven = TypeVar("Driven", bound=torch.optim.Optimizer)


def uncompiled(method: Callable[P, R]) -> Callable[P, R]:
    """Have torch.compile run ``method`` as it is, between two graphs, as it does torch's own ``zero_grad``."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            plain: Callable[P, R] = torch.compiler.disable(method)
            return plain(*args, **kwargs)
        return method(*args, **kwargs)

    return wrapper


def hooked_on_demand(step: Callable[Concatenate[Driven, P], R]) -> Callable[Concatenate[Driven, P], R]:
    """Wrap ``step`` in torch's hooks and profiler if there are any; they cost as much as a small update.

    Where a subclass has a step of its own, torch puts them around that.
    """
    hooked = torch.optim.Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def wrapper(self: Driven, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            plain: Callable[Concatenate[Driven, P], R] = torch.compiler.disable(wrapper)
            return plain(self, *args, **kwargs)
        hooks = type(self).step is wrapper and (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()  # type: ignore[attr-defined]
        )
        try:
            return hooked(self, *args, **kwargs) if hooks else step(self, *args, **kwargs)
        except BaseException:
            for name in ("found_inf", "grad_scale"):  # GradScaler deletes them where the step returns, else multiplies
                vars(self).pop(name, None)
            raise

    wrapper.hooked = True  # type: ignore[attr-defined] # tells torch.optim.Optimizer that it need not wrap it
    return wrapper


def around(optimizer: torch.optim.Optimizer) -> str:
    """Return what to write instead if another library's wrapper of the optimizer is among the callers, else ``""``."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if caller is not None and caller is not optimizer and hasattr(caller, "__dict__"):
            names = [name for name, value in vars(caller).items() if value is optimizer]
            if names:
                kind, name = type(caller).__name__, names[0].lstrip("_")
                return f"; under {kind} write wrapper.{name}.observe(loss), where wrapper is the {kind}"
        frame = frame.f_back
    return ""
