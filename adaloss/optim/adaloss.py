"""AdaLoss and AdamLoss: the paper's Algorithms 1 and 2."""

from typing import Any, ClassVar

import torch
from torch.optim.optimizer import ParamsT

from adaloss import stepsizes
from adaloss.optim.loss_driven import LossDriven


class AdaLoss(LossDriven, torch.optim.SGD):
    r"""SGD whose step size falls as the losses add up.

    .. math:: b_{t+1}^2 = b_t^2 + \alpha\,|f_t(w_t) - c|, \qquad w_{t+1} = w_t - \frac{\eta}{b_{t+1}} \nabla f_t(w_t)

    With ``momentum``, ``weight_decay`` and so on :math:`\nabla f_t` is replaced by torch.optim.SGD's direction.

    The loss comes in by ``step(loss=loss)``, by ``step(closure)``, or by ``observe(loss)`` before a bare ``step()``; of
    several observed micro-batches, and over the ranks that train together, the rule sees the mean.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and torch's arguments.
        lr: :math:`\eta`, the scale of the step: 1 in the paper's theory, 0.1 in its Table 1.
        b0: :math:`b_0 > 0`, where b starts; as the step is :math:`\eta / b`, :math:`b / \eta` is a curvature.
        alpha: :math:`\alpha > 0`, how fast b grows.
        c: the optimal value :math:`f^*` of the loss where it is known and not 0.
        momentum: the share of the last direction that is kept in the next.
        dampening: 1 minus the gradient's factor in a direction with momentum.
        weight_decay: this times the parameter is added to its gradient, so that it pulls with the step size times it.
        nesterov: whether momentum is Nesterov's.
        maximize: (by keyword) whether to go up the gradient instead of down.
        foreach: (by keyword) torch's implementation over lists of tensors; None, the default, lets torch choose.
        fused: (by keyword) torch's fused kernel; on the CPU it runs where it computes what the others do.
        bound: (by keyword) k > 1 caps :math:`|f - c|` at k times its running median, over the last 100 losses that are
            not c, so that one bad batch cannot end the training. None, the default, is no bound.
        steps: (by keyword) about how many steps T the training takes: :math:`\alpha` is then divided by
            :math:`\tfrac34 T |f_1 - c|`, with the first loss, so that its scale does not count (see :meth:`like`).
        nonfinite: (by keyword) what a loss that is NaN or infinite does: ``"raise"``, the default, a RuntimeError that
            names the step, or ``"skip"`` the step. Parameters, the optimizer's state and b stay as they were.
        process_group: (by keyword) the ranks over which the loss is averaged: None, the default, is torch.distributed's
            default group where there is one, False is this rank alone.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import AdaLoss
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = AdaLoss([w], lr=1.0, b0=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step(loss=loss)
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0000, b 5.44, step 0.184

    References:
        Algorithm 1 of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022, https://doi.org/10.1609/aaai.v36i8.20848.
        The update and its other arguments: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1.0,
        b0: float = 1.0,
        alpha: float = 1.0,
        c: float = 0.0,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs |= {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, lr=lr, b0=b0, alpha=alpha, c=c, **kwargs)


class AdamLoss(LossDriven, torch.optim.Adam):
    r"""Adam whose step size falls as the losses add up.

    .. math:: b_t = b_{t-1} + \alpha\,|f_t(w_t) - c|, \qquad
              w_{t+1} = w_t - \frac{\eta}{\sqrt{b_t}} \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}

    The loss comes in by ``step(loss=loss)``, by ``step(closure)``, or by ``observe(loss)`` before a bare ``step()``; of
    several observed micro-batches, and over the ranks that train together, the rule sees the mean.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and torch's arguments.
        lr: :math:`\eta`, the scale of the step, 1 in the paper.
        b0: :math:`b_0 > 0`, where b starts; the first step is about :math:`\eta / \sqrt{b_0}`.
        alpha: :math:`\alpha > 0`, how fast b grows.
        c: the optimal value :math:`f^*` of the loss where it is known and not 0.
        betas: the decay rates of the averages of the gradient and of its square.
        eps: what is added to the denominator.
        weight_decay: this times the parameter is added to its gradient.
        amsgrad: whether the denominator uses the largest :math:`\hat v` so far.
        maximize: (by keyword) whether to go up the gradient instead of down.
        foreach: (by keyword) torch's implementation over lists of tensors; None, the default, lets torch choose.
        fused: (by keyword) torch's fused kernel; on the CPU it runs where it computes what the others do.
        capturable: (by keyword) torch's update for CUDA graphs; a graph of the whole step would keep its first b.
        decoupled_weight_decay: (by keyword) whether weight decay is AdamW's, the step size times it, past the averages.
        bound: (by keyword) k > 1 caps :math:`|f - c|` at k times its running median, over the last 100 losses that are
            not c, so that one bad batch cannot end the training. None, the default, is no bound.
        steps: (by keyword) about how many steps T the training takes: :math:`\alpha` is then divided by
            :math:`\tfrac34 T |f_1 - c|`, with the first loss, so that its scale does not count (see :meth:`like`).
        nonfinite: (by keyword) what a loss that is NaN or infinite does: ``"raise"``, the default, a RuntimeError that
            names the step, or ``"skip"`` the step. Parameters, the optimizer's state and b stay as they were.
        process_group: (by keyword) the ranks over which the loss is averaged: None, the default, is torch.distributed's
            default group where there is one, False is this rank alone.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import AdamLoss
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = AdamLoss([w], lr=1.0, b0=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step(loss=loss)
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0001, b 111.86, step 0.095

    References:
        Algorithm 2 of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022, https://doi.org/10.1609/aaai.v36i8.20848.
        The update and its other arguments: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    rule = staticmethod(stepsizes.adamloss)
    beginning: ClassVar[dict[str, Any]] = {"b0": 4 / 9, "betas": (0.9, 0.999)}  # of like: torch's betas
    degree: ClassVar[int] = 1

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1.0,
        b0: float = 100.0,
        alpha: float = 1.0,
        c: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs |= {"betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, lr=lr, b0=b0, alpha=alpha, c=c, **kwargs)
