"""Options, parameter groups and state of an optimizer that a rule drives: check them, keep them, save and load them."""

import copy
import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch.optim.optimizer import ParamsT

from adaloss.arguments import number, one_of
from adaloss.optim.losses import Losses, Value

positive = functools.partial(number, above=0.0)
SKIPS = "nonfinite='skip' leaves such steps out"
KEPT = ("rule", "b", "t", "effective_lr", "unit", "recent")  # what a rule keeps in the groups
JUMP, SETTLED = 3.0, 10  # a loss that multiplies b by more than JUMP after SETTLED steps is worth a warning


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check that takes None as well."""
    return lambda name, value: None if value is None else check(name, value)


def choice(*allowed: str) -> Callable[[str, Any], Any]:
    """Return a check that an option is one of the allowed words."""

    def check(name: str, value: Any) -> Any:
        one_of(name, value, allowed)
        return value

    return check


class InGroups(torch.optim.Optimizer):
    """The part of :class:`~adaloss.optim.rule_driven.RuleDriven` that is about options, groups and state.

    Subclasses set ``rule``, the defaults of its ``hyper`` and the checks of all ``options``.
    """

    rule: ClassVar[Callable[..., Any]]
    of_loss: ClassVar[bool] = False
    of_gradient: ClassVar[bool] = False
    hyper: ClassVar[dict[str, Any]] = {}
    options: ClassVar[dict[str, Callable[[str, Any], Any]]] = {"b0": positive, "nonfinite": choice("raise", "skip")}
    process_group: Any = None
    _key: ClassVar[dict[str, str]]  # what an option is called here

    def __init__(self, params: ParamsT, *args: Any, process_group: Any = None, **kwargs: Any) -> None:
        if process_group is True:
            raise TypeError("process_group=True: should be a process group, None (the default one) or False (none)")
        defaults = {"b0": 1.0, "nonfinite": "raise", **self.hyper}
        self._own = {}  # the defaults that torch's constructor does not know; add_param_group moves them there
        for name, check in self.options.items():
            key = self._key[name]
            self._own[key] = check(key, kwargs.pop(key, defaults.get(name)))
        if "lr" in kwargs:
            kwargs["lr"] = _rate(kwargs["lr"])
        self.process_group = process_group
        self._hooks: list[Any] = []  # in the modules that are watched
        self._ready()
        super().__init__(params, *args, **kwargs)
        if self.defaults.get("differentiable"):
            raise ValueError("differentiable=True: a step size from the loss's value cannot be differentiated through")

    def _ready(self) -> None:
        """Start what is not saved in a state."""
        self._losses = Losses()
        # on the device: the steps of the first non-finite value and of the first jump of b, 0 for none
        self._news: torch.Tensor | None = None
        # they, on their way to the host, and the event that says they are there
        self._arriving: tuple[torch.Tensor, torch.Event] | None = None
        self._warned: set[str] = set()

    # Groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group as torch does. Raises ValueError if its ``b0``, ``alpha``, ... differ from the other groups'."""
        if "_own" in vars(self):
            taken = {*KEPT, *self._own} & {*self.defaults}
            if taken:
                raise TypeError(f"{type(self).__name__} has {', '.join(sorted(taken))} in its groups, as the rule has")
            self.defaults.update(vars(self).pop("_own"))
        super().add_param_group(param_group)
        try:
            self._complete(param_group)
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def _complete(self, group: dict[str, Any]) -> None:
        first = self.param_groups[0]
        if "lr" not in group:
            raise TypeError(f"{type(self).__name__} has no lr that a rule could set")
        group["lr"] = _rate(group["lr"])
        for name, check in self.options.items():
            group[self._key[name]] = check(self._key[name], group[self._key[name]])
        if group is first:
            self._check_range(self._key["b0"], group[self._key["b0"]], group)
        if "rule" in group:  # of an optimizer before: as in torch its options stay, its state does not
            for name in KEPT[1:]:
                group.pop(name, None)
        alike = {name: first[name] for name in self._key.values()} | {"rule": self.rule.__name__}
        alike |= {"b": first[self._key["b0"]], "t": 0} if group is first else {"b": first["b"], "t": first["t"]}
        for name, should in alike.items():
            if group.setdefault(name, should) != should:
                raise ValueError(f"{name}={group[name]!r} in a parameter group: it is {should!r} for all groups")
        group.update(self._kept(first), effective_lr=0.0)

    def _kept(self, first: dict[str, Any]) -> dict[str, Any]:
        """Return what a group holds of the losses so far next to b and t, as its ``first`` one does."""
        return {}

    def _check_range(self, name: str, b: float, group: dict[str, Any]) -> None:
        """Raise ValueError if the rule leaves float64 from this b, before any loss came in."""
        hyper = self._hyper(group)
        try:
            after, step = self.rule(b, hyper.get("c", 0.0), 0.0, 1, **hyper)
        except ZeroDivisionError:
            after, step = 0.0, math.inf
        if not (math.isclose(after, b, rel_tol=1e-9) and 0.0 < step < math.inf):
            raise ValueError(f"{name}={b!r}: should be from about 1e-150 to 1e150, so that float64 holds its square")

    def _hyper(self, group: dict[str, Any]) -> dict[str, Any]:
        return {name: _float64(group[self._key[name]]) for name in self.hyper}

    # State

    def __getstate__(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("process_group", "_losses", "_hooks")}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "defaults" not in state:  # load_state_dict calls this with what its hooks have made of the state
            self._accept(state["param_groups"])
        self._ready()
        super().__setstate__(state)
        for hook in vars(self).setdefault("_hooks", []):  # a copy's, too
            hook.optimizers.add(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo[id(self.process_group)] = self.process_group  # which cannot be copied
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def _accept(self, groups: list[dict[str, Any]]) -> None:
        """Raise ValueError if the groups to load are of another rule, or differ in what all groups have in common.

        They keep ``nonfinite`` as it is here.
        """
        for group, ours in zip(groups, self.param_groups, strict=True):
            missing = [name for name in ("b", "t", *self._key.values()) if name not in group]
            if missing:
                raise ValueError(f"the state to load is not of {type(self).__name__}: it has no {', '.join(missing)}")
            rule = group.setdefault("rule", self.rule.__name__)  # version 0.1 did not save it
            if rule != self.rule.__name__:
                raise ValueError(
                    f"the state to load has rule={rule!r}: {type(self).__name__}'s is {self.rule.__name__!r}"
                )
            group["nonfinite"] = ours["nonfinite"]
            for name in ("b", "t", *self._key.values()):
                if group[name] != groups[0][name]:
                    raise ValueError(f"{name}={group[name]!r} in a group to load: the first has {groups[0][name]!r}")

    def state_dict(self) -> dict[str, Any]:
        """Return the state as torch does; every group's ``b`` is a float64 tensor, ``t`` and the last step are numbers.

        So they are on every device: torch.distributed.checkpoint can load them into an optimizer without a step.
        """
        self.raise_failure()
        saved = [self._saved(group) for group in self.param_groups]
        held = [{name: group[name] for name in of} for group, of in zip(self.param_groups, saved, strict=True)]
        try:
            for group, of in zip(self.param_groups, saved, strict=True):
                group.update(of)
            return super().state_dict()
        finally:
            for group, of in zip(self.param_groups, held, strict=True):
                group.update(of)

    def _saved(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return what is saved as tensors, and what as Python numbers, whatever holds it in training."""
        return {"b": scalar(group["b"]), "t": int(group["t"]), "effective_lr": float(group["effective_lr"])}

    def raise_failure(self) -> None:
        """Raise the RuntimeError of a non-finite value that the device met and the host has not seen; waits for it.

        On an accelerator a step with a non-finite loss (or gradient norm) leaves parameters and b as they are without
        telling the host at once. A later step raises as soon as the news has arrived; this call, ``state_dict()`` and
        ``b`` raise now.
        """
        if self._news is None or self.param_groups[0]["nonfinite"] != "raise":
            return
        step = int(self._news[0])
        if step:
            self._news = self._arriving = None
            raise RuntimeError(
                f"step {step}: the {self._what()} or the step size was not finite; that step left parameters and b "
                f"unchanged; {SKIPS}"
            )

    def _warn(self, what: str, text: str) -> None:
        """Warn of ``what`` once."""
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(text, stacklevel=2)

    def _warn_of_jump(self, step: int) -> None:
        self._warn(
            "jump",
            f"step {step}: one {self._what()} multiplied b by more than {JUMP:g}, and b never falls: bound=10 holds "
            "such losses down, and optimizer.b = value sets b",
        )

    def _what(self) -> str:
        return "gradient's norm" if self.of_gradient else "loss"

    @property
    def b(self) -> torch.Tensor:
        """The rule's state :math:`b_t`: a copy, a float64 scalar on the device that holds it.

        Setting it lets the rule go on from there: ``optimizer.b = optimizer.defaults["b0"]``. Raises ValueError where
        it is not above 0, float64 does not hold its square, or each row has a b of its own.
        """
        self.raise_failure()
        return scalar(self.param_groups[0]["b"])

    @b.setter
    def b(self, value: Value) -> None:
        value = positive("b", float(value) if isinstance(value, torch.Tensor) else value)
        self._check_range("b", value, self.param_groups[0])
        for group in self.param_groups:
            group["b"] = value

    @property
    def effective_lr(self) -> list[float]:
        """The step that each group really took last, 0 before the first and where it was skipped.

        Reading it waits for the device.
        """
        return [float(group["effective_lr"]) for group in self.param_groups]

    def numbers(self) -> dict[str, float]:
        r"""Return b and each group's :math:`\eta` and last step, as numbers for a logger; waits for the device.

        The names are ``b``, ``eta`` and ``step``; with several groups ``eta/0``, ``step/0``, ``eta/1``, ...
        """
        found = {"b": float(self.b)}
        for i, (group, step) in enumerate(zip(self.param_groups, self.effective_lr, strict=True)):
            place = f"/{i}" if len(self.param_groups) > 1 else ""
            found |= {f"eta{place}": float(group["lr"]), f"step{place}": step}
        return found


def scalar(b: Value) -> torch.Tensor:
    """Return a copy as float64 tensor, on the device that holds it, whatever the default device is."""
    device = b.device if isinstance(b, torch.Tensor) else "cpu"
    return torch.as_tensor(b, dtype=torch.float64, device=device).clone()


def _float64(value: Any) -> Any:
    """Return a tensor's value as b is computed: in Python's float, or on its device."""
    if not isinstance(value, torch.Tensor):
        return value
    return float(value) if value.device.type == "cpu" else value.double()


def _rate(lr: Any) -> Any:
    """Check a learning rate; torch takes strings, inf, and integers that no float holds, and fails later."""
    return lr if isinstance(lr, torch.Tensor) else number("lr", lr)
