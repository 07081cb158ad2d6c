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
        momentum, dampening, weight_decay, nesterov, and by keyword maximize, foreach, fused: torch.optim.SGD's. On the
            CPU ``fused=True`` runs torch's fused kernel where that computes what the others do.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    def __init__(
        self,
        params: Any,
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
    r"""Adam whose step size falls as the losses add up (paper, Algorithm 2).

    .. math:: b_t = b_{t-1} + \alpha\,|f_t(w_t) - c|, \qquad
              w_{t+1} = w_t - \frac{\eta}{\sqrt{b_t}} \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}

    Args:
        params: parameters or parameter groups.
        lr: :math:`\eta`, 1 in the paper.
        b0: the paper's :math:`b_0`; here b is what stands under the root, so the first step is about
            :math:`\eta / \sqrt{b_0}`.
        alpha, c, nonfinite, process_group: see :class:`~adaloss.optim.LossDriven`.
        betas, eps, weight_decay, amsgrad, and by keyword maximize, foreach, fused, capturable, decoupled_weight_decay:
            torch.optim.Adam's; ``decoupled_weight_decay=True`` is AdamW's. ``fused`` as in :class:`AdaLoss`.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.adamloss)

    def __init__(
        self,
        params: Any,
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
