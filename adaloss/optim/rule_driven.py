r"""A torch optimizer whose step size comes from a rule of ``adaloss.stepsizes``.

:class:`RuleDriven` is mixed in before any torch optimizer. At every step it lets the rule turn the group's ``lr``
(the paper's :math:`\eta`) into the step, sets that as the group's ``lr`` while torch's own update runs, and puts
:math:`\eta` back. So momentum, weight decay, ``maximize``, ``foreach`` and ``fused`` are torch's, and every torch
learning-rate scheduler acts on :math:`\eta`.

What the rule remembers lies in the parameter groups, where ``state_dict`` saves it: ``b`` (float64), ``t`` (steps
taken), ``effective_lr`` (the last step) and ``rule`` (its name). They belong to the optimizer: all groups hold the same
``b`` and ``t``, and the same ``b0`` and hyperparameters.

They are Python numbers where the parameters are on the CPU, which is fastest there, and tensors on the parameters'
device where that is an accelerator (:mod:`adaloss.optim.on_device`). ``torch.compile`` runs a step as it is.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakSet

import torch

from adaloss.arguments import number
from adaloss.optim.groups import JUMP, SETTLED, SKIPS, positive
from adaloss.optim.losses import Value, averages, mean
from adaloss.optim.on_device import OnDevice
from adaloss.optim.update import entries, whole
from adaloss.optim.wrappers import around, hooked_on_demand, uncompiled


class RuleDriven(OnDevice):
    """See the module."""

    _step_supports_amp_scaling = True  # GradScaler then always calls step(): no observed loss is ever left over

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        at = cls.__mro__.index(RuleDriven)
        for base in cls.__mro__[:at]:
            if issubclass(base, torch.optim.Optimizer) and not issubclass(base, RuleDriven):
                raise TypeError(f"class {cls.__name__}: name what drives before {base.__name__}, which it drives")
        ours = RuleDriven.__mro__
        driven = next((k for k in cls.__mro__[at:] if issubclass(k, torch.optim.Optimizer) and k not in ours), None)
        if driven is None:
            return  # not mixed with an optimizer yet
        if issubclass(driven, torch.optim.LBFGS):
            raise TypeError("LBFGS evaluates its closure several times a step: no rule of one loss a step can drive it")
        if issubclass(driven, torch.optim.Rprop | torch.optim.ASGD):
            says = "only in its first step" if issubclass(driven, torch.optim.Rprop) else "one step late"
            raise TypeError(f"{driven.__name__} uses lr {says}: no rule can drive it")
        owner: Any = next(k for k in cls.__mro__[at:] if "step" in vars(k) and not issubclass(k, RuleDriven))
        cls._skips = owner in (torch.optim.SGD, torch.optim.Adam)
        # Without torch's hooks and profiler, which go around our step. torch's own steps also set the gradient mode, as
        # ours does; what anybody else has put around a step stays.
        whole = owner.step.__wrapped__ if getattr(owner.step, "hooked", False) else owner.step
        cls._torch_step = staticmethod(inspect.unwrap(whole) if owner.__module__.startswith("torch.optim.") else whole)
        taken = set(_arguments(driven))
        cls._key = {name: f"loss_{name}" if name in taken else name for name in cls.options}

    # The loss

    @uncompiled
    def observe(self, loss: Value, weight: Value = 1.0) -> None:
        r"""Tell the loss of a (micro-)batch whose gradient is in the coming step, unscaled.

        The rule sees :math:`\sum_i w_i f_i / \sum_i w_i` over all calls since the last step, on all ranks; a rule that
        needs no loss sees none. ``zero_grad()`` drops what was observed, except a loss whose ``backward()`` runs later.
        Raises TypeError for what is not a real scalar, ValueError for a ``weight`` that is not above 0, which is not
        looked at where it is on an accelerator: to read it the host would have to wait. Warns once
        where gradients are off: such a loss counts in the coming step, and an evaluation's should not.
        """
        if self.of_loss and not torch.is_grad_enabled():
            self._warn("off", "observe() was called where gradients are off; the loss of an evaluation counts too")
        value = self._value(loss)
        share = self._value(weight, "weight") if isinstance(weight, torch.Tensor) else weight
        if not isinstance(share, torch.Tensor):  # the host does not wait for a device's
            share = positive("weight", share)
        if self.of_loss:
            self._losses.add(loss, value, share)

    def watch(self, criterion: Callable[..., Any]) -> Callable[..., Any]:
        """Observe by itself each loss that ``criterion`` computes and whose ``backward()`` runs; return the criterion.

        A torch module is hooked where it is, and its calls count in training mode only; in place of another function
        call what is returned. Its result is the loss, or a mapping with the ``"loss"``. Where gradients are off, or
        there is none in the mapping, nothing is observed. torch.autograd.grad of such a loss counts as its
        ``backward()`` does: compute an attack's or a penalty's with another criterion. Each optimizer watches a
        criterion of its own: one that two of them watch counts for both. A module that is copied or pickled with the
        optimizer is watched by the copy, one that is copied alone by none.
        Raises TypeError for what cannot be called, and at a call whose loss is not a scalar.
        """
        if not callable(criterion):
            raise TypeError(f"criterion is a {type(criterion).__name__}: should be a module or a function")

        if isinstance(criterion, torch.nn.Module):
            self._hooks.append(Hook())
            self._hooks[-1].optimizers.add(self)
            criterion.register_forward_hook(self._hooks[-1])
            return criterion

        @functools.wraps(criterion)
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = criterion(*args, **kwargs)
            self._see(result)
            return result

        return watched

    @uncompiled
    def _see(self, result: Any) -> None:
        loss = result.get("loss") if isinstance(result, Mapping) else result
        if self.of_loss and isinstance(loss, torch.Tensor) and loss.requires_grad:
            self._losses.add(loss, self._value(loss), 1.0, void=True)

    @uncompiled
    def zero_grad(self, *args: Any, **kwargs: Any) -> None:
        """Zero as torch does; the losses observed so far have no part in the coming step (see :meth:`observe`)."""
        super().zero_grad(*args, **kwargs)
        self._losses.make_void()

    def _value(self, loss: Value, name: str = "loss") -> Value:
        """Return a float if the numbers are on the host, else a float64 scalar on the parameters' device."""
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1 or loss.is_complex():
                kind = f"{'complex ' if loss.is_complex() else ''}tensor of shape {tuple(loss.shape)}"
                raise TypeError(f"{name} is a {kind}: should be a real scalar, such as its mean")
            if type(loss) is not torch.Tensor:
                loss = whole(loss)
            if self._on_host():
                return 0.0 if loss.is_meta else float(loss.item())
            return loss.detach().to(self._device, torch.float64, copy=True).reshape(())  # a loop may divide it in place
        try:
            value = number(name, loss, finite=False)
        except TypeError:
            raise TypeError(f"{name} is a {type(loss).__name__}: should be a number or a scalar tensor") from None
        return value if self._on_host() else torch.tensor(value, dtype=torch.float64, device=self._device)

    @hooked_on_demand
    def step(self, closure: Callable[[], Any] | None = None, *, loss: Value | None = None) -> Any:
        """Take one step; return what the closure returns, or ``loss``.

        Where the closure itself observes, what it returns has no part in the rule. Without a loss and without any
        gradient it is no step; with gradients that are all 0 and no state yet it only fills the state, as
        torch.distributed.checkpoint and Horovod ask. A rule that needs no loss ignores it. Raises RuntimeError if a
        loss is needed and none or two came in, or where one was not finite (see ``nonfinite``), ValueError where a
        group's lr is not finite; parameters and b are unchanged then, and what was observed is forgotten.
        """
        before, returned = 0, None
        if closure is not None:
            before = len(self._losses)
            if not callable(closure):
                raise TypeError(
                    f"step({type(closure).__name__}): should be a closure; a loss is given as step(loss=loss)"
                )
            try:
                with torch.enable_grad():
                    returned = closure()
            except BaseException:
                self._losses.forget(before)
                raise
        told = self._told(before, loss, returned) if self.of_loss else None
        if told is not None:
            total, weights = told
            averaged = averages(self.process_group)
            self._advance(mean(total, weights, self._home(), self.process_group) if averaged else total / weights)
        elif not any(p.grad is not None for group in self.param_groups for p in group["params"]):
            return returned  # nothing to do, as in torch
        elif self._fills_state():
            self._step_uncounted()
        elif self.of_loss:
            raise RuntimeError(
                "step() got no loss: use watch(criterion), step(loss=loss), a closure that returns the loss, or "
                f"observe(loss) before step(), with its backward() after the last zero_grad(){around(self)}"
            )
        else:
            if loss is not None:
                self._value(loss)  # raises for what is not a loss
            self._advance(None)
        return loss if returned is None else returned

    def _told(self, before: int, loss: Value | None, returned: Value | None) -> tuple[Value, Value] | None:
        """Return the sums of losses and of weights; the closure was called when there were ``before`` of them."""
        seen = self._losses.take(before) if self._losses else None
        if seen is not None and seen[2]:  # the closure has observed
            returned = None
        given = returned if loss is None else loss
        if given is None:
            return seen and seen[:2]
        if seen is not None or (loss is not None and returned is not None):
            both = "was observed and given to step() too" if seen else "came of a closure and loss= too"
            raise RuntimeError(f"this step's loss {both}: it should come in one way")
        return self._value(given), 1.0

    # The step

    def _fills_state(self) -> bool:
        """Return whether this step is only taken to fill the state.

        Where there is no state yet, torch.distributed.checkpoint does so with every eta and gradient 0, Horovod with
        every gradient 0. A rule that needs no loss cannot tell the latter from a step of the training.
        """
        rates = [group["lr"] for group in self.param_groups]
        if self.state if self.of_loss else any(_waits(lr) or lr != 0.0 for lr in rates):
            return False
        return not any(bool((whole(entries(gradient)) != 0).any()) for gradient in self._gradients())

    def _step_uncounted(self) -> None:
        if self.of_loss:
            with torch.no_grad():
                self._torch_update([0.0] * len(self.param_groups))
            return
        names = ("b", "t", "effective_lr")
        held = [[group[name] for name in names] for group in self.param_groups]
        self._advance(None)
        for group, values in zip(self.param_groups, held, strict=True):
            group.update(zip(names, values, strict=True))

    def _advance(self, loss: Value | None) -> None:
        """Take one step of rule and update. ``loss`` is what the rule sees, None if it needs none."""
        self._check_rates()
        gradients = torch.is_grad_enabled()
        torch.set_grad_enabled(False)  # which takes half the time of no_grad
        try:
            if isinstance(loss, float) or self._on_host():
                self._advance_on_host(loss)
            else:
                self._advance_on_device(loss)
        finally:
            torch.set_grad_enabled(gradients)

    def _check_rates(self) -> None:
        """Raise ValueError for an lr that is not finite, as 0/0 in a schedule is; a device's is not waited for."""
        for i, group in enumerate(self.param_groups):
            if not _waits(group["lr"]) and not math.isfinite(group["lr"]):
                lr = float(group["lr"])
                raise ValueError(f"lr={lr} in parameter group {i}: should be finite; parameters and b are unchanged")

    def _advance_on_host(self, loss: Value | None) -> None:
        groups = self.param_groups
        first = groups[0]
        b, t = float(first["b"]), int(first["t"]) + 1
        if self.found_inf is not None:
            if float(self.found_inf):
                return self._taken(b, t - 1, [0.0] * len(groups))
            if self.of_gradient:
                self._unscale()
        norm_sq = self._grad_norm_sq()
        seen, hyper, kept = self._sees(first, loss)
        taken = [self.rule(b, seen, norm_sq, t, eta=float(group["lr"]), **hyper) for group in groups]
        after, steps = taken[0][0], [step for _, step in taken]
        if not math.isfinite(sum(steps, after)):
            self._taken(b, t - 1, [0.0] * len(groups))
            if first["nonfinite"] == "raise":
                what = f"the {self._what()} is {norm_sq if self.of_gradient else loss}"
                if math.isfinite(after):
                    what = f"the step size is {', '.join(map(str, steps))}"
                raise RuntimeError(f"step {t}: {what}; the parameters and b={b} are unchanged; {SKIPS}")
            return None
        if self.of_loss and t > SETTLED and after > JUMP * b:
            self._warn_of_jump(t)
        if self.found_inf is not None:
            self._unscale()
        self._torch_update(steps)
        return self._taken(after, t, steps, **kept)


class Hook:
    """Lets an optimizer, while there is one, see what a module computes in training.

    The optimizer holds its hooks, so that copies of both belong together, and a module's own copy has no optimizer.
    """

    def __init__(self) -> None:
        self.optimizers: WeakSet[RuleDriven] = WeakSet()  # one, or none

    @uncompiled
    def __call__(self, module: torch.nn.Module, _: Any, result: Any) -> None:
        """See the result, unless the module is in eval mode."""
        if module.training:
            for optimizer in self.optimizers:
                optimizer._see(result)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


def _arguments(driven: type) -> Iterator[str]:
    """Yield the names that a constructor takes, and those of the next one while it passes on what it does not know."""
    for owner in driven.__mro__:
        if "__init__" in vars(owner):
            parameters = inspect.signature(vars(owner)["__init__"]).parameters
            yield from parameters
            if all(of.kind is not of.VAR_KEYWORD for of in parameters.values()):
                return


def _waits(lr: Any) -> bool:
    """Return whether to read it the host would wait for a device."""
    return isinstance(lr, torch.Tensor) and lr.device.type != "cpu"
