"""AdaLoss and AdamLoss: the paper's Algorithms 1 and 2."""

from typing import Any

import torch

from adaloss import stepsizes
from adaloss.optim.loss_driven import LossDriven


class AdaLoss(LossDriven, torch.optim.SGD):
    r"""SGD whose step size falls as the losses add up (paper, Algorithm 1).

    .. math:: b_{t+1}^2 = b_t^2 + \alpha\,|f_t(w_t) - c|, \qquad w_{t+1} = w_t - \frac{\eta}{b_{t+1}} \nabla f_t(w_t)

    With ``momentum``, ``weight_decay`` and so on :math:`\nabla f_t` is replaced by torch.optim.SGD's direction, so that
    weight decay pulls with :math:`(\eta / b)\,` ``weight_decay``.

    Args:
        params: parameters or parameter groups; a group may set ``lr``, ``momentum``, ``weight_decay`` and so on.
        lr: :math:`\eta`: 1 in the paper's theory, 0.1 in its Table 1.
        b0, alpha, c, nonfinite, process_group: see :class:`~adaloss.optim.LossDriven`.
        momentum, dampening, weight_decay, nesterov, maximize, foreach, fused: torch.optim.SGD's. With ``foreach`` and
            ``fused`` left open the fused kernel runs where it is safe.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        b0: float = 1.0,
        alpha: float = 1.0,
        c: float = 0.0,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        nonfinite: str = "raise",
        process_group: Any = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            b0=b0,
            alpha=alpha,
            c=c,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
            foreach=foreach,
            fused=fused,
            nonfinite=nonfinite,
            process_group=process_group,
        )


class AdamLoss(LossDriven, torch.optim.Adam):
    r"""Adam whose step size falls as the losses add up (paper, Algorithm 2).

    .. math:: b_t = b_{t-1} + \alpha\,|f_t(w_t) - c|, \qquad
              w_{t+1} = w_t - \frac{\eta}{\sqrt{b_t}} \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}

    Args:
        params: parameters or parameter groups.
        lr: :math:`\eta`, 1 in the paper.
        b0: the paper's :math:`b_0`; here b is what stands under the root, so the first step is about
            :math:`\eta / \sqrt{b_0}`.
        alpha, c, nonfinite, process_group: see :class:`~adaloss.optim.LossDriven`.
        betas, eps, weight_decay, amsgrad, maximize, foreach, fused, decoupled_weight_decay: torch.optim.Adam's;
            ``decoupled_weight_decay=True`` is AdamW's. With ``foreach`` and ``fused`` left open the fused kernel runs
            where it is safe.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.adamloss)

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        b0: float = 100.0,
        alpha: float = 1.0,
        c: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        nonfinite: str = "raise",
        process_group: Any = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            b0=b0,
            alpha=alpha,
            c=c,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            foreach=foreach,
            fused=fused,
            decoupled_weight_decay=decoupled_weight_decay,
            nonfinite=nonfinite,
            process_group=process_group,
        )
