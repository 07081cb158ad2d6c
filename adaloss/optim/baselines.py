"""The paper's baselines: step sizes fixed in advance, on torch.optim.SGD and torch.optim.Adam."""

from typing import Any, ClassVar

import torch

from adaloss import stepsizes
from adaloss.optim.groups import choice, positive
from adaloss.optim.rule_driven import RuleDriven


class SGDConstant(RuleDriven, torch.optim.SGD):
    r"""SGD-Constant: the step :math:`\eta / b_0`. ``kwargs`` are torch.optim.SGD's.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.sgd_constant)

    def __init__(self, params: Any, lr: float = 1.0, b0: float = 1.0, **kwargs: Any) -> None:
        super().__init__(params, lr=lr, b0=b0, **kwargs)


class SGDDecaySqrt(RuleDriven, torch.optim.SGD):
    r"""SGD-DecaySqrt: a step size that falls like :math:`1 / \sqrt t`.

    :math:`\eta / \sqrt{b_0^2 + t}` with ``form="root"``, :math:`\eta / (b_0 + c_s \sqrt t)` with ``form="linear"``.
    ``kwargs`` are torch.optim.SGD's.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.sgd_decay_sqrt)
    hyper: ClassVar[dict[str, Any]] = {"c_s": 1.0, "form": "root"}
    options: ClassVar[dict[str, Any]] = {**RuleDriven.options, "c_s": positive, "form": choice("root", "linear")}

    def __init__(
        self, params: Any, lr: float = 1.0, b0: float = 1.0, c_s: float = 1.0, form: str = "root", **kwargs: Any
    ) -> None:
        super().__init__(params, lr=lr, b0=b0, c_s=c_s, form=form, **kwargs)


class AdamSqrt(RuleDriven, torch.optim.Adam):
    r"""AdamSqrt: Adam with the step size :math:`\eta / \sqrt{b_0 + t}`. ``kwargs`` are torch.optim.Adam's.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used.
    """

    rule = staticmethod(stepsizes.adam_sqrt)

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        b0: float = 100.0,
        betas: tuple[float, float] = (0.9, 0.99),
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr=lr, b0=b0, betas=betas, **kwargs)
