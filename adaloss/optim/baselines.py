"""The paper's baselines: step sizes fixed in advance, on torch.optim.SGD and torch.optim.Adam."""

from typing import Any, ClassVar, Literal

import torch
from torch.optim.optimizer import ParamsT

from adaloss import stepsizes
from adaloss.optim.groups import choice, positive
from adaloss.optim.rule_driven import RuleDriven


class SGDConstant(RuleDriven, torch.optim.SGD):
    r"""SGD-Constant: SGD with the step size :math:`\eta / b_0`, whatever the losses are.

    .. math:: w_{t+1} = w_t - \frac{\eta}{b_0} \nabla f_t(w_t)

    A loss given to ``step`` or ``observe`` is ignored, so that one training loop serves all methods.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and torch's arguments.
        lr: :math:`\eta`, the scale of the step.
        b0: :math:`b_0 > 0`, the step's divisor.
        momentum: (by keyword) the share of the last direction that is kept in the next.
        dampening: (by keyword) 1 minus the gradient's factor in a direction with momentum.
        weight_decay: (by keyword) this times the parameter is added to its gradient, so that it pulls with the step
            size times it.
        nesterov: (by keyword) whether momentum is Nesterov's.
        maximize: (by keyword) whether to go up the gradient instead of down.
        foreach: (by keyword) torch's implementation over lists of tensors; None, the default, lets torch choose.
        fused: (by keyword) torch's fused kernel; on the CPU it runs where it computes what the others do.
        nonfinite: (by keyword) what a step size that is NaN or infinite does: ``"raise"``, the default, a RuntimeError
            that names the step, or ``"skip"`` the step.
        process_group: (by keyword) accepted as by the other optimizers; nothing is averaged here.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import SGDConstant
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = SGDConstant([w], lr=1.0, b0=4.0)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0000, b 4.00, step 0.250

    References:
        The baseline of Figure 1 and Table 1 of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022,
        https://doi.org/10.1609/aaai.v36i8.20848.
        The update and its other arguments: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    rule = staticmethod(stepsizes.sgd_constant)

    def __init__(self, params: ParamsT, lr: float | torch.Tensor = 1.0, b0: float = 1.0, **kwargs: Any) -> None:
        super().__init__(params, lr=lr, b0=b0, **kwargs)


class SGDDecaySqrt(RuleDriven, torch.optim.SGD):
    r"""SGD-DecaySqrt: SGD with a step size that falls like :math:`1 / \sqrt t`.

    .. math:: w_{t+1} = w_t - \frac{\eta}{\sqrt{b_0^2 + t}} \nabla f_t(w_t) \quad\text{or}\quad
              w_{t+1} = w_t - \frac{\eta}{b_0 + c_s \sqrt t} \nabla f_t(w_t)

    A loss given to ``step`` or ``observe`` is ignored, so that one training loop serves all methods.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and torch's arguments.
        lr: :math:`\eta`, the scale of the step.
        b0: :math:`b_0 > 0`, which sets the first step.
        c_s: :math:`c_s > 0`, how fast the step of ``form="linear"`` falls.
        form: ``"root"`` for the first update, ``"linear"`` for the second.
        momentum: (by keyword) the share of the last direction that is kept in the next.
        dampening: (by keyword) 1 minus the gradient's factor in a direction with momentum.
        weight_decay: (by keyword) this times the parameter is added to its gradient, so that it pulls with the step
            size times it.
        nesterov: (by keyword) whether momentum is Nesterov's.
        maximize: (by keyword) whether to go up the gradient instead of down.
        foreach: (by keyword) torch's implementation over lists of tensors; None, the default, lets torch choose.
        fused: (by keyword) torch's fused kernel; on the CPU it runs where it computes what the others do.
        nonfinite: (by keyword) what a step size that is NaN or infinite does: ``"raise"``, the default, a RuntimeError
            that names the step, or ``"skip"`` the step.
        process_group: (by keyword) accepted as by the other optimizers; nothing is averaged here.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import SGDDecaySqrt
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = SGDDecaySqrt([w], lr=1.0, b0=1.0)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0000, b 1.00, step 0.100

    References:
        The baseline of Table 1 (``"root"``) and of Figure 1 (``"linear"``) of Wu, Xie, Du and Ward, *AdaLoss*, AAAI
        2022, https://doi.org/10.1609/aaai.v36i8.20848.
        The update and its other arguments: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    rule = staticmethod(stepsizes.sgd_decay_sqrt)
    hyper: ClassVar[dict[str, Any]] = {"c_s": 1.0, "form": "root"}
    options: ClassVar[dict[str, Any]] = {**RuleDriven.options, "c_s": positive, "form": choice("root", "linear")}

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1.0,
        b0: float = 1.0,
        c_s: float = 1.0,
        form: Literal["root", "linear"] = "root",
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr=lr, b0=b0, c_s=c_s, form=form, **kwargs)


class AdamSqrt(RuleDriven, torch.optim.Adam):
    r"""AdamSqrt: Adam with a step size that falls like :math:`1 / \sqrt t`.

    .. math:: w_{t+1} = w_t - \frac{\eta}{\sqrt{b_0 + t}} \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}

    A loss given to ``step`` or ``observe`` is ignored, so that one training loop serves all methods.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and torch's arguments.
        lr: :math:`\eta`, the scale of the step.
        b0: :math:`b_0 > 0`; the first step is :math:`\eta / \sqrt{b_0 + 1}`.
        betas: the decay rates of the averages of the gradient and of its square.
        eps: (by keyword) what is added to the denominator.
        weight_decay: (by keyword) this times the parameter is added to its gradient.
        amsgrad: (by keyword) whether the denominator uses the largest :math:`\hat v` so far.
        maximize: (by keyword) whether to go up the gradient instead of down.
        foreach: (by keyword) torch's implementation over lists of tensors; None, the default, lets torch choose.
        fused: (by keyword) torch's fused kernel; on the CPU it runs where it computes what the others do.
        capturable: (by keyword) torch's update for CUDA graphs; a graph of the whole step would keep its first b.
        decoupled_weight_decay: (by keyword) whether weight decay is AdamW's, the step size times it, past the averages.
        nonfinite: (by keyword) what a step size that is NaN or infinite does: ``"raise"``, the default, a RuntimeError
            that names the step, or ``"skip"`` the step.
        process_group: (by keyword) accepted as by the other optimizers; nothing is averaged here.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import AdamSqrt
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = AdamSqrt([w], lr=1.0, b0=1.0)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0001, b 1.00, step 0.100

    References:
        The baseline of Section 5 of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022,
        https://doi.org/10.1609/aaai.v36i8.20848.
        The update and its other arguments: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    rule = staticmethod(stepsizes.adam_sqrt)

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1.0,
        b0: float = 100.0,
        betas: tuple[float, float] = (0.9, 0.99),
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr=lr, b0=b0, betas=betas, **kwargs)
