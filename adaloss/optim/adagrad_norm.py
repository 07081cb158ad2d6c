"""AdaGrad-Norm: the step size from the gradient's norm, of all parameters or of each row."""

import math
from typing import Any

import torch

from adaloss import stepsizes
from adaloss.optim.rule_driven import RuleDriven


class AdaGradNorm(RuleDriven, torch.optim.SGD):
    r"""SGD whose step size falls as the squared norms of the gradients add up (paper, equations (1)-(2)).

    .. math:: b_{t+1}^2 = b_t^2 + \|\nabla f_t(w_t)\|^2, \qquad w_{t+1} = w_t - \frac{\eta}{b_{t+1}} \nabla f_t(w_t)

    ``granularity="global"`` is that: one b, the norm over all parameters of all groups. ``granularity="row"`` keeps
    one b for each index of each parameter's first axis (an output neuron, a convolution's channel, one entry of a
    bias), as the paper's Table 1 does (footnote 8): those b are ``optimizer.state[p]["b"]``, and ``optimizer.b`` is
    their root mean square. There the rows' gradients are divided by their b before torch.optim.SGD sees them, so that
    ``momentum`` averages what is already divided and ``weight_decay`` pulls with :math:`\eta\,` ``weight_decay``.

    Args:
        params, lr, b0: parameters or parameter groups, :math:`\eta`, :math:`b_0 > 0`.
        granularity: "global" or "row".
        nonfinite: as :class:`~adaloss.optim.LossDriven`, for a gradient whose norm is not finite.
        **kwargs: torch.optim.SGD's.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.adagrad_norm)
    of_gradient = True
    settings = ("nonfinite", "granularity")

    def __init__(
        self, params: Any, lr: float = 1.0, b0: float = 1.0, granularity: str = "global", **kwargs: Any
    ) -> None:
        if granularity not in ("global", "row"):
            raise ValueError(f"granularity={granularity!r}: allowed are 'global' and 'row'")
        super().__init__(params, lr=lr, b0=b0, granularity=granularity, **kwargs)

    def _gradients(self) -> list[torch.Tensor]:
        return [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]

    def _grad_norm_sq(self) -> float | torch.Tensor:
        norm = _whole(torch.nn.utils.get_total_norm(self._gradients()).double())
        return float(norm) ** 2 if self._on_host() else norm**2

    def _advance(self, loss: None) -> None:
        if self.param_groups[0]["granularity"] == "global":
            super()._advance(loss)
        else:
            with torch.no_grad():
                self._advance_by_row()

    def _advance_by_row(self) -> None:
        """The row-wise step. It waits for the device once, to know whether the gradient is finite."""
        first = self.param_groups[0]
        if self._grad_scaler() is not None:
            if self.found_inf:
                return
            self._unscale()
        t = int(first["t"]) + 1
        gradients = {p: p.grad for group in self.param_groups for p in group["params"] if p.grad is not None}
        if any(gradient.layout is not torch.strided for gradient in gradients.values()):
            raise RuntimeError("granularity='row' knows no sparse gradients; use granularity='global'")
        if not gradients:
            return
        rows = {}
        for p, gradient in gradients.items():
            norm = torch.linalg.vector_norm(_rows(gradient), dim=1, dtype=torch.float64)
            before = self.state[p].get("b", torch.full_like(norm, first["b0"]))
            rows[p] = self.rule(before, None, norm.square(), t)  # b, and 1 / b
        total = torch.stack([_whole(b.square().sum()) for b, _ in rows.values()]).sum()
        mean = math.sqrt(float(total) / sum(b.numel() for b, _ in rows.values()))
        if not math.isfinite(mean):
            if first["nonfinite"] == "raise":
                raise RuntimeError(f"step {t}: the gradient's norm is not finite; the parameters and b are unchanged")
            return
        try:
            for p, (b, inverse) in rows.items():
                self.state[p]["b"] = b
                p.grad = (_rows(p.grad) * inverse.to(p.dtype)[:, None]).reshape(p.shape)
            self._torch_update(
                [group["lr"] for group in self.param_groups], [self._fuses(g) for g in self.param_groups]
            )
        finally:
            for p, gradient in gradients.items():
                p.grad = gradient
        self._taken(mean, t, [float(group["lr"]) / mean for group in self.param_groups])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which casts the state to the parameters' dtype: the rows' b stay float64."""
        super().load_state_dict(state_dict)
        numbers = [i for group in state_dict["param_groups"] for i in group["params"]]
        parameters = [p for group in self.param_groups for p in group["params"]]
        for number, p in zip(numbers, parameters, strict=True):
            if "b" in state_dict["state"].get(number, ()):
                self.state[p]["b"] = state_dict["state"][number]["b"].to(p.device, torch.float64)


def _whole(scalar: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks, where parameters are sharded."""
    return scalar.full_tensor() if hasattr(scalar, "full_tensor") else scalar  # a DTensor


def _rows(gradient: torch.Tensor) -> torch.Tensor:
    """One row for each index of the first axis; a scalar is one row."""
    return gradient.reshape(len(gradient) if gradient.dim() else 1, -1)
