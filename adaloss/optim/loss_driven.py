r"""How the loss reaches the rule of an optimizer.

Three ways, for three kinds of training loop::

    optimizer.step(closure)      # the closure computes the loss and its gradient, and returns the loss
    optimizer.step(loss=loss)    # after loss.backward()
    optimizer.observe(loss)      # ... and a bare optimizer.step() later, called by whoever owns the loop

Gradients accumulated over several micro-batches: ``observe`` each one's loss, then step once; the rule sees their mean,
weighted by ``weight`` (their sizes, say). In a process group the mean is taken over all ranks, for a b of its own on
each rank would drive the replicas apart.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from adaloss import stepsizes
from adaloss.optim.rule_driven import RuleDriven, check_number

DISTRIBUTED = dist.is_available()


class LossDriven(RuleDriven):
    r"""Drives any torch optimizer by the AdaLoss rule (Algorithm 1).

    Mixed in before it::

        class AdaLossMuon(LossDriven, torch.optim.Muon): ...

        optimizer = AdaLossMuon(matrices, lr=0.02, b0=1.0)

    .. math:: b_{t+1}^2 = b_t^2 + \alpha\,|f_t(w_t) - c|, \qquad \text{the group's learning rate} = \eta / b_{t+1}

    Args:
        params, *args, **kwargs: the torch optimizer's; ``lr`` is :math:`\eta`, and may differ between groups.
        b0: :math:`b_0 > 0`. The step is :math:`\eta / b`, so :math:`b / \eta` has the unit of a curvature.
        alpha: :math:`\alpha > 0`, how fast b grows.
        c: the loss's optimal value :math:`f^*` where it is known and not 0.
        nonfinite: what a loss that is NaN or infinite does: ``"raise"`` a RuntimeError that names the step, or
            ``"skip"`` the step. Either way parameters, the optimizer's state and b stay as they were.
        process_group: over which the loss is averaged; None is the default group if torch.distributed is initialised,
            False is none.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.adaloss)
    hyper = ("alpha", "c")

    def __init__(
        self,
        params: Any,
        *args: Any,
        b0: float,
        alpha: float = 1.0,
        c: float = 0.0,
        process_group: "dist.ProcessGroup | bool | None" = None,
        **kwargs: Any,
    ) -> None:
        check_number("alpha", alpha, above=0.0)
        check_number("c", c)
        if process_group is True:
            raise TypeError("process_group=True: should be a process group, None (the default one) or False (none)")
        super().__init__(params, *args, b0=b0, alpha=float(alpha), c=float(c), **kwargs)
        self.process_group = process_group

    def _ready(self) -> None:
        super()._ready()
        self.process_group = getattr(self, "process_group", None)
        self._forget()

    def _forget(self) -> None:
        self._seen, self._weights, self._last_operation = 0.0, 0.0, None

    def observe(self, loss: "float | torch.Tensor", weight: float = 1.0) -> None:
        r"""Tell the loss of a (micro-)batch whose gradient is in the coming step, unscaled.

        The rule sees :math:`\sum_i w_i f_i / \sum_i w_i` over all calls since the last step, on all ranks.
        Raises TypeError for what is not a real scalar, ValueError for a ``weight`` that is not above 0.
        """
        check_number("weight", weight, above=0.0)
        self._seen += weight * self._value(loss)
        self._weights += weight

    def step(self, closure: Callable[[], Any] | None = None, *, loss: "float | torch.Tensor | None" = None) -> Any:
        """Take one step; return what the closure returns, or ``loss``.

        Where the closure itself observes, what it returns has no part in the rule. Raises RuntimeError where no loss,
        or two for the same step, came in, or where one was not finite (see ``nonfinite``); parameters and b are
        unchanged then.
        """
        given, observed = loss, self._weights
        if closure is not None:
            if loss is not None:
                raise RuntimeError("step() got a closure and loss=: the loss should come in one way")
            with torch.enable_grad():
                given = closure()
            loss = None if self._weights > observed else given
        if loss is not None:
            if observed:
                self._forget()
                raise RuntimeError("this step's loss was observed and given to step() too: it should come in one way")
            self._seen, self._weights = self._value(loss), 1.0
        elif not self._weights:
            return self._step_without_loss(closure is not None)
        if self._grad_scaler() is not None:
            self._refuse_scaled()
        mean = self._mean()
        self._forget()
        self._advance(mean)
        return given

    def _value(self, loss: "float | torch.Tensor") -> "float | torch.Tensor":
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1 or loss.is_complex():
                kind = f"{'complex ' if loss.is_complex() else ''}tensor of shape {tuple(loss.shape)}"
                raise TypeError(f"loss is a {kind}: should be a real scalar, such as its mean")
            self._last_operation = loss.grad_fn
            if self._on_host():
                return loss.item()
            return loss.detach().to(self._anchor.device, torch.float64).reshape(())
        if isinstance(loss, int | float) and not isinstance(loss, bool):
            return float(loss)
        raise TypeError(f"loss is a {type(loss).__name__}: should be a number or a scalar tensor")

    def _step_without_loss(self, closure: bool) -> None:
        if not closure and all(float(group["lr"]) == 0.0 for group in self.param_groups):
            with torch.no_grad():  # moves nothing: torch.distributed.checkpoint does so to fill the state
                self._torch_update([0.0] * len(self.param_groups), [False] * len(self.param_groups))
            return
        raise RuntimeError(
            f"{'the closure returned None' if closure else 'step() got no loss'}: use step(loss=loss), "
            "step(closure) with a closure that returns the loss, or observe(loss) before step()"
        )

    def _mean(self) -> "float | torch.Tensor":
        """Of what was observed, over the process group."""
        if self.process_group is not False and DISTRIBUTED and dist.is_initialized():
            device = self._anchor.device
            sums = [torch.as_tensor(v, dtype=torch.float64, device=device) for v in (self._seen, self._weights)]
            sums = torch.stack(sums)
            dist.all_reduce(sums, group=self.process_group)
            seen, weights = sums.tolist() if self._on_host() else sums.unbind()
            return seen / weights
        if isinstance(self._seen, float) and not self._on_host():
            return torch.as_tensor(self._seen / self._weights, dtype=torch.float64, device=self._anchor.device)
        return self._seen / self._weights

    def _refuse_scaled(self) -> None:
        """Under a GradScaler, refuse the product of a loss and a constant tensor, which ``scaler.scale(loss)`` is."""
        last = self._last_operation
        if type(last).__name__ != "MulBackward0":
            return
        try:
            factor, scale = last._saved_other, self.grad_scale
            scaled = scale is None or (factor is not None and bool((factor == scale).all()))
        except RuntimeError:  # freed by backward()
            scaled = last.next_functions[1][0] is None
        if scaled:
            self._forget()
            raise RuntimeError(
                "the loss looks like scaler.scale(loss), a product with a constant: observe the loss itself "
                "(loss.detach(), if this is not the scaled one)"
            )
