"""Torch's own update, with the steps of a rule as learning rates."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from adaloss.optim.fused import exact
from adaloss.optim.groups import InGroups
from adaloss.optim.losses import Value

NUMBERS_ON_THE_HOST = ("cpu", "mps", "meta")  # mps has no float64, meta no values


class TorchUpdate(InGroups):
    """The part of :class:`~adaloss.optim.rule_driven.RuleDriven` that runs the torch optimizer's step."""

    _torch_step: ClassVar[Callable[..., Any]]
    # GradScaler says here, for the time of a step, whether it met an infinity, and what it scaled the loss by.
    found_inf: torch.Tensor | None = None
    grad_scale: torch.Tensor | None  # without a value: GradScaler multiplies one that is there

    def _home(self) -> torch.device | None:
        """Return the first parameter's device, where b lives."""
        p: torch.Tensor
        for group in self.param_groups:
            for p in group["params"]:
                return p.device
        return None

    @property
    def _device(self) -> torch.device:
        return self._home() or torch.device("cpu")

    def _on_host(self) -> bool:
        return self._device.type in NUMBERS_ON_THE_HOST

    def _gradients(self) -> list[torch.Tensor]:
        return [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]

    def _grad_norm_sq(self) -> Value | None:
        """Return the squared norm of the gradient, if the rule needs it."""
        return None

    def _sees(self, group: dict[str, Any], loss: Value | None) -> tuple[Value | None, dict[str, Any], dict[str, Any]]:
        """Return the loss and the hyperparameters as the rule is to see them, and what to keep if the step is taken."""
        return loss, self._hyper(group), {}

    def _taken(self, b: Value, t: Any, steps: Sequence[Value], **kept: Any) -> None:
        for group, step in zip(self.param_groups, steps, strict=True):
            group.update(kept, b=b, t=t, effective_lr=step)

    def _torch_update(self, steps: Sequence[Value]) -> None:
        """Run torch's own update with ``steps`` as learning rates."""
        etas, unfit = [], []
        try:
            for group, step in zip(self.param_groups, steps, strict=True):
                etas.append(group["lr"])
                group["lr"] = step
                # Other devices' kernels refuse what they cannot take.
                if group.get("fused") and self._device.type in ("cpu", "meta") and not exact(group, self.state):
                    unfit.append(group)
                    group["fused"] = False
            self._torch_step(self)
            if any(group["lr"] is not step for group, step in zip(self.param_groups, steps, strict=True)):
                raise TypeError(f"{type(self).__name__}: what is driven sets lr itself, as the rule does")
        finally:
            for group, eta in zip(self.param_groups, etas, strict=False):
                group["lr"] = eta
            for group in unfit:
                group["fused"] = True

    def _unscale(self) -> None:
        """Divide the gradients by GradScaler's scale, which it leaves to this step; it has looked for infinities."""
        if self.grad_scale is not None:
            for gradient in self._gradients():
                gradient.mul_((1.0 / self.grad_scale).to(gradient.device))
        self.grad_scale = self.found_inf = None


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return all of it on every rank, if it is a DTensor."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def entries(gradient: torch.Tensor) -> torch.Tensor:
    """Return the stored entries, if it is sparse."""
    if gradient.layout is torch.sparse_coo:
        gradient = gradient.coalesce()
    return gradient if gradient.layout is torch.strided else gradient.values()
