r"""A torch optimizer whose step size comes from a rule of ``adaloss.stepsizes``.

:class:`RuleDriven` is mixed in before any torch optimizer. At every step it lets the rule turn the group's ``lr``
(the paper's :math:`\eta`) into the step, sets that as the group's ``lr`` while torch's own update runs, and puts
:math:`\eta` back. So momentum, weight decay, ``maximize``, ``foreach`` and ``fused`` are torch's, and every torch
learning-rate scheduler acts on :math:`\eta`.

What the rule remembers lies in the parameter groups, where ``state_dict`` saves it as it is: ``b`` (float64), ``t``
(steps taken) and ``effective_lr`` (the last step). ``b`` and ``t`` belong to the optimizer; all groups hold the same.

They are Python numbers where the parameters are on the CPU, which is fastest there. On an accelerator, and under
``torch.compile``, they are tensors on the parameters' device, and no step waits for the device.
"""

import functools
import inspect
import math
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch.optim import optimizer as torch_optimizer

from adaloss.optim.implementation import contiguous, fused_is_safe, fusible

SHARED = ("b", "t")
NUMBERS_ON_THE_HOST = ("cpu", "mps")  # mps has no float64


class RuleDriven:
    """See the module. Subclasses set ``rule`` and name hyperparameters in ``hyper``, other options in ``settings``."""

    rule: ClassVar[Callable]
    hyper: ClassVar[tuple[str, ...]] = ()
    of_gradient: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ("nonfinite",)
    _step_supports_amp_scaling = True  # GradScaler then always calls step(): no observed loss is ever left over

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if issubclass(cls, torch.optim.LBFGS):
            raise TypeError("LBFGS evaluates its closure several times a step: no rule of one loss a step can drive it")
        owner = next((k for k in cls.__mro__ if "step" in vars(k) and not issubclass(k, RuleDriven)), None)
        if owner is not None:
            # Without the wrappers that torch puts around it: hooks and profiling are those of our own step.
            cls._torch_step = staticmethod(inspect.unwrap(owner.step))
        if "step" in vars(cls):
            cls.step = _hooked_on_demand(cls.step)

    def __init__(self, params: Any, *args: Any, b0: float, nonfinite: str = "raise", **kwargs: Any) -> None:
        check_number("b0", b0, above=0.0)
        if isinstance(kwargs.get("lr"), int | float):  # torch takes inf, and integers that no float holds
            check_number("lr", kwargs["lr"])
        if nonfinite not in ("raise", "skip"):
            raise ValueError(f"nonfinite={nonfinite!r}: allowed are 'raise' and 'skip'")
        given = {**kwargs, "nonfinite": nonfinite}
        own = {"b0": float(b0)} | {name: given.pop(name) for name in (*self.hyper, *self.settings)}
        super().__init__(params, *args, **given)
        if self.defaults.get("differentiable"):
            raise ValueError("differentiable=True: a step size from the loss's value cannot be differentiated through")
        for group in self.param_groups:
            _complete(group, own | {"b": own["b0"], "t": 0})
        self._ready()

    def _ready(self) -> None:
        """What is not saved."""
        parameters = [p for group in self.param_groups for p in group["params"]]
        self._anchor = parameters[0]  # its device is where b lives
        self._fused_allowed = all(map(fusible, parameters)) and all(map(contiguous, self.state.values()))
        self._failed = None  # device scalar: the step of the first non-finite value, 0 for none yet
        self._arriving = None  # a copy of it on its way to the host, and the event that says it is there

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; raises ValueError where the group names what is the optimizer's (``b0``, ``alpha``, ...)."""
        super().add_param_group(param_group)
        if hasattr(self, "_anchor"):  # not while torch's own constructor runs
            try:
                names = ("b0", *self.hyper, *self.settings, *SHARED)
                _complete(param_group, {name: self.param_groups[0][name] for name in names})
            except ValueError:
                self.param_groups.pop()
                raise
            self._fused_allowed &= all(map(fusible, param_group["params"]))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; raises ValueError where the state is of an optimizer without a step-size rule."""
        if not all(name in group for group in state_dict["param_groups"] for name in SHARED):
            raise ValueError(f"the state to load has no b: it was not saved by {type(self).__name__}")
        super().load_state_dict(state_dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._ready()

    def state_dict(self) -> dict[str, Any]:
        """As torch's; ``b`` of every group is a float64 tensor, whatever holds it while training."""
        self.raise_failure()
        saved = super().state_dict()
        for group in saved["param_groups"]:
            group["b"] = self.b
        return saved

    @property
    def b(self) -> torch.Tensor:
        """The rule's state :math:`b_t`: a copy, a float64 scalar on the device that holds it."""
        self.raise_failure()
        return torch.as_tensor(self.param_groups[0]["b"], dtype=torch.float64).clone()

    @property
    def effective_lr(self) -> list[float]:
        """The step that each group really took last, 0 before the first and where it was skipped.

        Reading it waits for the device.
        """
        return [float(group["effective_lr"]) for group in self.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; return what ``closure``, which computes the gradient, returns."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        self._advance(None)
        return value

    def _advance(self, loss: float | torch.Tensor | None) -> None:
        """One step of rule and update. ``loss`` is what the rule sees, None if it needs none."""
        with torch.no_grad():
            if self._on_host():
                self._advance_on_host(loss)
            else:
                self._advance_on_device(loss)

    def _on_host(self) -> bool:
        return self._anchor.device.type in NUMBERS_ON_THE_HOST and not torch.compiler.is_compiling()

    def _grad_norm_sq(self) -> float | torch.Tensor | None:
        """What a rule of the gradient's norm sees; None for the others, which see the loss."""
        return None

    def _advance_on_host(self, loss: float | None) -> None:
        groups = self.param_groups
        first = groups[0]
        b, t = float(first["b"]), int(first["t"]) + 1
        if self._grad_scaler() is not None:
            if float(self.found_inf):
                return self._taken(b, t - 1, [0.0] * len(groups))
            self._unscale()
        norm_sq = self._grad_norm_sq() if self.of_gradient else None
        seen = norm_sq if loss is None else loss
        if seen is not None and not math.isfinite(seen):
            self._taken(b, t - 1, [0.0] * len(groups))
            if first["nonfinite"] == "raise":
                what = "gradient's norm" if self.of_gradient else "loss"
                raise RuntimeError(f"step {t}: the {what} is {seen}; the parameters and b={b} are unchanged")
            return None
        hyper, steps, fused = {name: first[name] for name in self.hyper}, [], []
        for group in groups:
            after, step = self.rule(b, loss, norm_sq, t, eta=group["lr"], **hyper)
            steps.append(step)
            fused.append(self._fuses(group))
        self._torch_update(steps, fused)
        return self._taken(after, t, steps)

    def _advance_on_device(self, loss: torch.Tensor | None) -> None:
        self._raise_arrived_failure()
        groups, device = self.param_groups, self._anchor.device
        first = groups[0]
        b = torch.as_tensor(first["b"], dtype=torch.float64, device=device)
        t = torch.as_tensor(first["t"], dtype=torch.int64, device=device)
        found_inf = self._grad_scaler()
        fused = [self._fuses(group) for group in groups]
        if found_inf is not None and (self.of_gradient or not all(fused)):
            self._unscale()
        norm_sq = self._grad_norm_sq() if self.of_gradient else None
        seen = norm_sq if loss is None else loss
        good = torch.ones((), dtype=torch.bool, device=device) if found_inf is None else (found_inf == 0).reshape(())
        failed = torch.zeros_like(good)
        if seen is not None:
            failed = good & ~torch.isfinite(seen)  # where GradScaler skips the step there is nothing to tell
            good = good & ~failed
        hyper = {name: first[name] for name in self.hyper}
        after, steps = b, []
        for group in groups:
            after, step = self.rule(b, loss, norm_sq, t + 1, eta=group["lr"], **hyper)
            steps.append(torch.where(good, step, 0.0).float())  # what the fused kernels take
        if all(fused):
            self._torch_update(steps, fused, ~good)
        elif good:  # waits for the device: only a fused kernel can be told there to leave everything as it is
            # Only a number suits torch's Adam with foreach=True, unless it is capturable.
            wants_number = [group.get("foreach") and not group.get("capturable", True) for group in groups]
            self._torch_update([float(s) if w else s for s, w in zip(steps, wants_number, strict=True)], fused)
        before = torch.zeros_like(t) if self._failed is None else self._failed
        self._failed = torch.where((before == 0) & failed, t + 1, before)
        self._send_failure()
        self._taken(torch.where(good, after, b), t + good, steps)

    def _taken(self, b: Any, t: Any, steps: list[Any]) -> None:
        for group, step in zip(self.param_groups, steps, strict=True):
            group["b"], group["t"], group["effective_lr"] = b, t, step

    def _fuses(self, group: dict[str, Any]) -> bool:
        """Whether this step of the group runs torch's fused kernel: where asked for or left open, and if it is safe."""
        if not self._fused_allowed or "fused" not in group:
            return False
        if not group["fused"] and (group["fused"] is False or group["foreach"] is not None):
            return False
        # Once unsafe, for good: what the other implementations leave in the state may be laid out differently.
        self._fused_allowed = fused_is_safe(group["params"])
        return self._fused_allowed

    def _torch_update(self, steps: list[Any], fused: list[bool], skip: torch.Tensor | None = None) -> None:
        """Run torch's own update with ``steps`` as learning rates; fused kernels do nothing where ``skip`` holds."""
        groups = self.param_groups
        etas = [group["lr"] for group in groups]
        asked = [group.get("fused") for group in groups]
        of_scaler = self._grad_scaler()
        if skip is not None:
            self.found_inf = skip.float()
        try:
            for group, step in zip(groups, steps, strict=True):
                group["lr"] = step
            if fused != asked:
                for group, fuse in zip(groups, fused, strict=True):
                    if fuse or group.get("fused"):
                        group["fused"] = fuse or None
            self._torch_step(self)
        finally:
            for group, eta, fuse in zip(groups, etas, asked, strict=True):
                group["lr"] = eta
                if "fused" in group:
                    group["fused"] = fuse
            if skip is not None:
                self.found_inf = of_scaler

    def _grad_scaler(self) -> torch.Tensor | None:
        """Whether the GradScaler that called met an infinity; None if none called."""
        return self.__dict__.get("found_inf")

    def _unscale(self) -> None:
        """Divide the gradients by GradScaler's scale, which it leaves to this step; it has looked for infinities."""
        if self.grad_scale is not None:
            grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            torch._foreach_mul_(grads, 1.0 / self.grad_scale)
        self.grad_scale = self.found_inf = None

    def _send_failure(self) -> None:
        device = self._failed.device
        if device.type != "cpu" and not torch.compiler.is_compiling() and self.param_groups[0]["nonfinite"] == "raise":
            event = torch.Event(device)
            self._arriving = self._failed.to("cpu", non_blocking=True), event
            event.record()

    def _raise_arrived_failure(self) -> None:
        if self._arriving is not None and self._arriving[1].query() and self._arriving[0]:
            self.raise_failure()

    def raise_failure(self) -> None:
        """Raise the RuntimeError of a non-finite value that the device met and the host has not heard of; waits for it.

        On an accelerator and under ``torch.compile`` a step with a non-finite loss (or gradient norm) leaves parameters
        and b as they are without telling the host at once. A later step raises as soon as the news has arrived;
        this call, ``state_dict()`` and ``b`` raise now.
        """
        if self._failed is None or self.param_groups[0]["nonfinite"] != "raise":
            return
        step, self._failed, self._arriving = int(self._failed), None, None
        if step:
            what = "gradient's norm" if self.of_gradient else "loss"
            raise RuntimeError(f"step {step}: the {what} was not finite; that step left parameters and b unchanged")


def _complete(group: dict[str, Any], own: dict[str, Any]) -> None:
    """Add what is the optimizer's to one of its groups."""
    for name, value in own.items():
        if name in group:
            raise ValueError(f"{name}={group[name]!r} in a parameter group: the optimizer has one for all groups")
        group[name] = value
    group["effective_lr"] = 0.0


def _hooked_on_demand(step: Callable) -> Callable:
    """``step`` with torch's hooks and profiler around it where there are any; that costs as much as a small update."""
    hooked = torch.optim.Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def wrapper(self: RuleDriven, *args: Any, **kwargs: Any) -> Any:
        if (
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


def check_number(name: str, value: Any, *, above: float | None = None) -> None:
    """Raise TypeError or ValueError, naming it, unless ``value`` is a finite number (greater than ``above``)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r}: should be a number")
    if not abs(value) <= sys.float_info.max or (above is not None and value <= above):  # nan and huge integers too
        raise ValueError(
            f"{name}={value!r}: should be finite" + ("" if above is None else f" and greater than {above}")
        )
