"""Any torch optimizer under the AdaLoss rule."""

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch.optim.optimizer import ParamsT

from adaloss import stepsizes
from adaloss.arguments import number, whole
from adaloss.optim.groups import optional, positive, scalar
from adaloss.optim.losses import Value
from adaloss.optim.outliers import bounded, padded
from adaloss.optim.rule_driven import RuleDriven


class LossDriven(RuleDriven):
    r"""Any torch optimizer, driven by the AdaLoss rule.

    .. math:: b_{t+1}^2 = b_t^2 + \alpha\,|f_t(w_t) - c|, \qquad \text{the group's learning rate} = \eta / b_{t+1}

    It is mixed in before the torch optimizer (see the example). The loss comes in by one of three ways, for three kinds
    of training loop::

        optimizer.step(closure)      # the closure computes the loss and its gradient, and returns the loss
        optimizer.step(loss=loss)    # after loss.backward()
        optimizer.observe(loss)      # ... and a bare optimizer.step() later, called by the loop

    Gradients accumulated over several micro-batches: ``observe`` each one's loss, then step once; the rule sees their
    mean, weighted by ``weight`` (their sizes, say). In a process group the mean is taken over all ranks, for a b of its
    own on each rank would drive the replicas apart.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and the torch optimizer's arguments.
        *args: the torch optimizer's.
        lr: (by keyword) :math:`\eta`, the scale of the step; the torch optimizer's default if left out.
        b0: (by keyword) :math:`b_0 > 0`, where b starts; 1 if left out. The step is :math:`\eta / b`, so
            :math:`b / \eta` has the unit of a curvature.
        alpha: (by keyword) :math:`\alpha > 0`, how fast b grows; 1 if left out.
        c: (by keyword) the optimal value :math:`f^*` of the loss where it is known and not 0.
        bound: (by keyword) k > 1 caps :math:`|f - c|` at k times its running median, over the last 100 losses that are
            not c, so that one bad batch cannot end the training. None, the default, is no bound.
        steps: (by keyword) about how many steps T the training takes: :math:`\alpha` is then divided by
            :math:`\tfrac34 T |f_1 - c|`, with the first loss, so that its scale does not count (see :meth:`like`).
        nonfinite: (by keyword) what a loss that is NaN or infinite does: ``"raise"``, the default, a RuntimeError that
            names the step, or ``"skip"`` the step. Parameters, the optimizer's state and b stay as they were.
        process_group: (by keyword) the ranks over which the loss is averaged: None, the default, is torch.distributed's
            default group where there is one, False is this rank alone.
        **kwargs: the torch optimizer's. Where it has an argument called ``b0``, ``alpha``, ``c`` or ``nonfinite``
            (RMSprop has an ``alpha``), that name is the torch optimizer's, and the rule's is ``loss_alpha``.

    Raises:
        TypeError: naming the argument, for one of the wrong type; for a class over LBFGS, Rprop or ASGD, whose step is
            not that of the present learning rate; for a class that has a ``b`` or ``t`` of its own in its groups.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import LossDriven
        >>> class AdaLossNAdam(LossDriven, torch.optim.NAdam):
        ...     pass
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = AdaLossNAdam([w], lr=1.0, b0=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step(loss=loss)
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0001, b 12.55, step 0.080

    References:
        Algorithm 1 of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022, https://doi.org/10.1609/aaai.v36i8.20848.
        The optimizers: https://docs.pytorch.org/docs/stable/optim.html
    """

    rule = staticmethod(stepsizes.adaloss)
    of_loss = True
    hyper: ClassVar[dict[str, Any]] = {"alpha": 1.0, "c": 0.0}
    options: ClassVar[dict[str, Callable[[str, Any], Any]]] = {
        **RuleDriven.options,
        "alpha": positive,
        "c": number,
        "bound": optional(functools.partial(number, above=1.0)),
        "steps": optional(functools.partial(whole, least=1)),
    }
    beginning: ClassVar[dict[str, Any]] = {"b0": 2 / 3}  # of like: the first step is 1.5 times lr
    degree: ClassVar[int] = 2  # the step is lr over the square root of b to this power

    @classmethod
    def like(cls, params: ParamsT, *, steps: int, bound: float | None = 10.0, **kwargs: Any) -> Self:
        r"""Start from the ``lr`` that is known to be good for the torch optimizer that is driven.

        The step is ``lr`` divided by b (by :math:`\sqrt b` under AdamLoss). With :math:`\beta = b^2` (AdamLoss:
        :math:`\beta = b`), T ``steps`` and :math:`f_1` the first loss,

        .. math:: \beta_0 = \tfrac49, \qquad
                  \beta_{t+1} = \beta_t + \frac{4}{3 T} \frac{|f_t - c|}{|f_1 - c|}, \qquad
                  \text{step} = \frac{\text{lr}}{\sqrt{\beta_{t+1}}}

        On a constant loss :math:`\beta` goes from 4/9 to 16/9, so that the step falls from 1.5 to 0.75 times ``lr``,
        by half, and its mean is :math:`\int_0^1 (\tfrac49 + \tfrac43 u)^{-1/2} du = 1` times ``lr``, but for at most
        0.75 / T. Losses that fall make it fall less: no step is longer than 1.5 ``lr``. In the units of
        ``alpha=1`` this is :math:`\eta = \text{lr} \sqrt{3 T |f_1 - c| / 4}` and :math:`\beta_0 = T |f_1 - c| / 3`.

        The mean stays ``lr`` for any ``b0`` and ``alpha`` that are given: with :math:`g = \tfrac43 \alpha` both
        :math:`\beta_0` and g are divided by :math:`\tfrac14 (\sqrt{\beta_0 + g} + \sqrt{\beta_0})^2`. A large
        ``b0`` makes every step ``lr``. A small one makes the first steps longer, but none longer than 2 ``lr``:
        :math:`\beta_0` is taken as at least g / 8, from where the step falls to 2/3 of ``lr``.

        Args:
            params: parameters or parameter groups. Those of another optimizer, ``other.param_groups``, bring its
                ``lr`` and all its other arguments.
            steps: how many steps the training takes, about.
            bound: see the class; it is on here.
            **kwargs: ``lr``, unless every group has one, and the class's other arguments.

        Raises:
            TypeError: where no ``lr`` is given.
            ValueError: naming the argument, for a value that cannot be used.

        Examples:
            >>> import torch
            >>> from adaloss.optim import AdamLoss
            >>> model = torch.nn.Linear(2, 1)
            >>> optimizer = AdamLoss.like(model.parameters(), lr=1e-3, steps=100)
            >>> for _ in range(100):
            ...     loss = 0 * model(torch.ones(2)).sum() + 5.0
            ...     loss.backward()
            ...     _ = optimizer.step(loss=loss)
            >>> print(f"{optimizer.effective_lr[0]:.6f}")
            0.000750

        References:
            docs/optimizers.md, "A start from a known lr".
        """
        groups: Any = params if isinstance(params, torch.Tensor) else list(params)  # torch refuses one tensor
        if "lr" not in kwargs and not all(isinstance(group, dict) and "lr" in group for group in groups):
            raise TypeError(f"{cls.__name__}.like() got no lr: give the learning rate that is known to be good")
        b0, alpha = (cls._key[name] for name in ("b0", "alpha"))
        if b0 in kwargs or alpha in kwargs:
            growth = 4 / 3 * positive(alpha, kwargs.get(alpha, 1.0))
            root = positive(b0, kwargs.get(b0, cls.beginning["b0"])) ** (cls.degree / 2)  # of beta_0
            root = max(root, math.sqrt(growth / 8))
            scale = (math.hypot(root, math.sqrt(growth)) + root) / 2
            kwargs |= {b0: (root / scale) ** (2 / cls.degree), alpha: 0.75 * growth / scale**2}
        return cls(groups, **(cls.beginning | kwargs), steps=steps, bound=bound)

    def _option(self, group: dict[str, Any], name: str) -> Any:
        """Return an option that a rule of one's own may be without."""
        return group[self._key[name]] if name in self._key else None

    def _kept(self, first: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        if self._option(first, "steps") is not None:
            kept["unit"] = first.get("unit", 0.0)  # of the loss; 0: not known before the first one
        if self._option(first, "bound") is not None:
            kept["recent"] = first.get("recent", [])
        return kept

    def _sees(self, group: dict[str, Any], loss: Value | None) -> tuple[Value | None, dict[str, Any], dict[str, Any]]:
        r"""Return :math:`|f - c|` within the bound and :math:`\alpha` per unit of it, where these are asked for."""
        hyper, bound, steps = self._hyper(group), self._option(group, "bound"), self._option(group, "steps")
        if loss is None or (bound is None and steps is None):
            return loss, hyper, {}
        kept: dict[str, Any] = {}
        gap: Value = abs(loss - hyper["c"])
        if bound is not None:
            recent = group.get("recent", [])  # as below, none where the option was set in the groups later
            if isinstance(gap, torch.Tensor):
                recent = group["recent"] = padded(recent, gap.device)
            gap, kept["recent"] = bounded(gap, recent, bound)
        if steps is not None and isinstance(gap, torch.Tensor):
            before = group["unit"] = torch.as_tensor(group.get("unit", 0.0), dtype=torch.float64, device=gap.device)
            unit = kept["unit"] = torch.where(before > 0.0, before, 0.75 * steps * gap)
            hyper["alpha"] = torch.where(unit > 0.0, hyper["alpha"] / unit, 0.0)
        elif steps is not None:
            kept["unit"] = float(group.get("unit", 0.0)) or 0.75 * steps * gap
            hyper["alpha"] = hyper["alpha"] / kept["unit"] if kept["unit"] else 0.0
        return gap, hyper | {"c": 0.0}, kept

    def _saved(self, group: dict[str, Any]) -> dict[str, Any]:
        saved = super()._saved(group)
        if "recent" in group:
            saved["recent"] = padded(group["recent"]).clone()
        if "unit" in group:
            saved["unit"] = scalar(group["unit"])
        return saved

    def _accept(self, groups: list[dict[str, Any]]) -> None:
        for group in groups:
            for name in {"bound", "steps"} & {*self._key}:
                group.setdefault(self._key[name], None)  # older states have neither
        super()._accept(groups)
