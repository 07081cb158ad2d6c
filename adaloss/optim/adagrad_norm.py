"""AdaGrad-Norm: the step size from the gradient's norm, of all parameters or of each row."""

import itertools
import math
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch.optim.optimizer import ParamsT

from adaloss import stepsizes
from adaloss.optim.groups import SKIPS, choice
from adaloss.optim.losses import Value, averages, served
from adaloss.optim.rows import AnyRows, Rows, planned, real
from adaloss.optim.rule_driven import RuleDriven
from adaloss.optim.update import entries, whole


class AdaGradNorm(RuleDriven, torch.optim.SGD):
    r"""SGD whose step size falls as the squared norms of the gradients add up.

    .. math:: b_{t+1}^2 = b_t^2 + \|\nabla f_t(w_t)\|^2, \qquad w_{t+1} = w_t - \frac{\eta}{b_{t+1}} \nabla f_t(w_t)

    ``granularity="global"`` is that: one b, the norm over all parameters of all groups. ``granularity="row"`` keeps
    one b for each index of each parameter's first axis (an output neuron, a convolution's channel, one entry of a
    bias), as the paper's Table 1 does (footnote 8): those b are ``optimizer.state[p]["b"]``, and ``optimizer.b`` is
    their root mean square. There the rows' gradients are divided by their b before torch.optim.SGD sees them, so that
    ``momentum`` averages what is already divided and ``weight_decay`` pulls with :math:`\eta\,` ``weight_decay``.
    Norms are float64 sums. A loss given to ``step`` or ``observe`` is ignored.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and torch's arguments.
        lr: :math:`\eta`, the scale of the step.
        b0: :math:`b_0 > 0`, where b starts; it has the unit of a gradient.
        granularity: ``"global"`` or ``"row"``.
        momentum: (by keyword) the share of the last direction that is kept in the next.
        dampening: (by keyword) 1 minus the gradient's factor in a direction with momentum.
        weight_decay: (by keyword) this times the parameter is added to its gradient, so that it pulls with the step
            size times it.
        nesterov: (by keyword) whether momentum is Nesterov's.
        maximize: (by keyword) whether to go up the gradient instead of down.
        foreach: (by keyword) torch's implementation over lists of tensors; None, the default, lets torch choose.
        fused: (by keyword) torch's fused kernel; on the CPU it runs where it computes what the others do.
        nonfinite: (by keyword) what a gradient whose norm is NaN or infinite does: ``"raise"``, the default, a
            RuntimeError that names the step, or ``"skip"`` the step. Parameters, the state and b stay as they were.
        process_group: (by keyword) the ranks that train together, for ``granularity="global"``: None, the default, is
            torch.distributed's default group where there is one, False is this rank alone.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.
        RuntimeError: in the first step with ``granularity="global"`` where the ranks see gradients of different norms:
            each would have a b of its own. They do where whole parameters are split among the ranks
            (ZeroRedundancyOptimizer); ``"row"`` suits that.

    Examples:
        >>> import torch
        >>> from adaloss.optim import AdaGradNorm
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = AdaGradNorm([w], lr=1.0, b0=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0000, b 9.53, step 0.105

    References:
        Equations (1) and (2) of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022, https://doi.org/10.1609/aaai.v36i8.20848.
        The update and its other arguments: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    rule = staticmethod(stepsizes.adagrad_norm)
    of_gradient = True
    options: ClassVar[dict[str, Any]] = {**RuleDriven.options, "granularity": choice("global", "row")}

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1.0,
        b0: float = 1.0,
        granularity: Literal["global", "row"] = "global",
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr=lr, b0=b0, granularity=granularity, **kwargs)

    def _ready(self) -> None:
        super()._ready()
        self._compared = False  # with the other ranks
        self._rows: Rows | None = None  # the plan for the last step's gradients

    def _accept(self, groups: list[dict[str, Any]]) -> None:
        super()._accept(groups)
        for group, ours in zip(groups, self.param_groups, strict=True):
            if group["granularity"] != ours["granularity"]:
                raise ValueError(
                    f"the state to load has granularity={group['granularity']!r}: it is {ours['granularity']!r} here"
                )

    def _grad_norm_sq(self) -> Value:
        device, gradients = self._device, self._gradients()
        if not gradients or device.type == "meta":
            return 0.0 if self._on_host() else torch.zeros((), dtype=torch.float64, device=device)
        plan = self._rows = planned(gradients, self._rows)
        norm_sq: Value
        if plan is not None:
            with np.errstate(all="ignore"):  # as torch does
                norm_sq = float(plan.sums(gradients)[0].sum())
        else:
            norms = [_norm(gradient).to(device) for gradient in gradients]
            if len({*map(_mesh, norms)}) > 1:
                norms = [*map(whole, norms)]
            norm_sq = whole(torch.stack(norms).square().sum())
        if not self._compared and averages(self.process_group):
            self._compare(float(norm_sq))
        return float(norm_sq) if self._on_host() else torch.as_tensor(norm_sq, dtype=torch.float64, device=device)

    def _compare(self, norm_sq: float) -> None:
        ends = torch.tensor([norm_sq, -norm_sq], dtype=torch.float64, device=served(self._device, self.process_group))
        dist.all_reduce(ends, op=dist.ReduceOp.MAX, group=self.process_group)
        most, least = ends.tolist()
        self._compared = math.isfinite(most)
        if most + least > 1e-3 * most:
            raise RuntimeError(
                f"the gradient's norm differs between the ranks, {(-least) ** 0.5:g} to {most**0.5:g}: use "
                "granularity='row' where parameters are split among them, process_group=False where each trains alone"
            )

    def _check_range(self, name: str, b: float, group: dict[str, Any]) -> None:
        if name == "b" and group["granularity"] == "row":  # optimizer.b is to be set
            raise ValueError(f"b={b}: with granularity='row' set each row's, optimizer.state[p]['b']")
        super()._check_range(name, b, group)

    def _advance(self, loss: Value | None) -> None:
        if self.param_groups[0]["granularity"] == "global":
            super()._advance(loss)
        else:
            self._check_rates()
            # numbers that are not finite are found at the end, as on other devices
            with torch.no_grad(), np.errstate(all="ignore"):
                self._advance_by_row()

    def _advance_by_row(self) -> None:
        """Take the row-wise step. It waits for the device once, to know whether the gradient is finite."""
        first, nothing = self.param_groups[0], [0.0] * len(self.param_groups)
        if self.found_inf is not None:
            if self.found_inf:
                return self._taken(first["b"], first["t"], nothing)
            self._unscale()
        t = int(first["t"]) + 1
        moving = [[p for p in group["params"] if p.grad is not None] for group in self.param_groups]
        params = list(itertools.chain(*moving))
        gradients: list[torch.Tensor] = [p.grad for p in params]
        self._rows = planned(gradients, self._rows)
        rows: Any = self._rows or AnyRows(gradients)
        if not rows.count:
            return None
        states = [self.state[p] for p in params]
        numbers = zip(rows.b(states, first[self._key["b0"]]), rows.sums(gradients), strict=True)
        after, inverse = zip(*(self.rule(b, None, of, t) for b, of in numbers), strict=True)
        mean = float(first["b"]) if self._device.type == "meta" else math.sqrt(rows.square(after) / rows.count)
        if not math.isfinite(mean):
            self._taken(first["b"], first["t"], nothing)
            if first["nonfinite"] == "raise":
                raise RuntimeError(
                    f"step {t}: the gradient's norm is not finite; the parameters and b are unchanged; {SKIPS}"
                )
            return None
        rows.keep(states, after)
        self._update_rows(moving, gradients, rows.factors(inverse, gradients))
        return self._taken(mean, t, [float(group["lr"]) / mean for group in self.param_groups])

    def _update_rows(
        self, moving: list[list[torch.Tensor]], gradients: list[torch.Tensor], factors: list[torch.Tensor]
    ) -> None:
        """Take the step along the rows times their factors; torch's update takes what is more than that."""
        others: list[tuple[torch.Tensor, ...]] = []
        done = 0
        for group, params in zip(self.param_groups, moving, strict=True):
            of = slice(done, done + len(params))
            done += len(params)
            kinds = {(x.dtype, _mesh(x)) for x in itertools.chain(params, gradients[of], factors[of])}
            if group["momentum"] or group["weight_decay"] or group["maximize"] or len(kinds) > 1:
                others += zip(params, gradients[of], factors[of], strict=True)
            elif params:  # what torch's update would do, in one pass
                torch._foreach_addcmul_(params, gradients[of], factors[of], value=-float(group["lr"]))
        if not others:
            return
        params = list(itertools.chain(*moving))
        try:
            for p in params:
                p.grad = None
            for p, gradient, factor in others:
                p.grad = (gradient * factor).to(gradient.dtype)
            self._torch_update([group["lr"] for group in self.param_groups])
        finally:
            for p, gradient in zip(params, gradients, strict=True):
                p.grad = gradient

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load as torch does, which casts the state to the parameters' dtype, but keep the rows' b in float64."""
        loaded = {}
        # The last of the hooks before, so that it sees what the others have made; the first of those after.
        before = self.register_load_state_dict_pre_hook(lambda _, state: loaded.update(state))
        after = self.register_load_state_dict_post_hook(lambda _: self._restore_rows(loaded), prepend=True)
        try:
            super().load_state_dict(state_dict)
        finally:
            before.remove()
            after.remove()

    def _restore_rows(self, loaded: dict[str, Any]) -> None:
        numbers = [i for group in loaded["param_groups"] for i in group["params"]]
        parameters = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(numbers, parameters, strict=True):
            if "b" in loaded["state"].get(i, ()):
                self.state[p]["b"] = loaded["state"][i]["b"].to(p.device, torch.float64, copy=True)


def _mesh(tensor: torch.Tensor) -> Any:
    """Return the mesh of a DTensor: torch computes neither with two of them at once, nor with it and plain tensors."""
    return getattr(tensor, "device_mesh", None)


def _norm(gradient: torch.Tensor) -> torch.Tensor:
    """Return the norm in float64: squares of float16 overflow, and bfloat16 rounds to 3 digits."""
    norm: torch.Tensor = torch.linalg.vector_norm(real(entries(gradient)), dtype=torch.float64)
    return norm
