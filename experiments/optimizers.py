"""The torch optimizer of each method of the deep experiments.

Every method starts from the same two numbers, eta and b0: the first step of the SGD methods is about eta / b0, that of
the Adam methods eta / sqrt(b0).
"""

import inspect
import math
from collections.abc import Callable, Iterable

import torch

from adaloss import optim
from adaloss.arguments import number
from adaloss.optim.rule_driven import RuleDriven
from adaloss.stepsizes import RULES
from experiments.runs.schema import Strict

ADAM_BETAS = (0.9, 0.99)  # Algorithm 2's, for Adam too


_MAKE: dict[str, Callable] = {
    "adaloss": optim.AdaLoss,
    "adagrad_norm": optim.AdaGradNorm,
    "adagrad_norm_rowwise": lambda *args, **kwargs: optim.AdaGradNorm(*args, granularity="row", **kwargs),
    "sgd_constant": optim.SGDConstant,
    "sgd_decay_sqrt": optim.SGDDecaySqrt,
    "adam": lambda params, lr, b0, **kwargs: torch.optim.Adam(
        [{"params": params, "b": b0}], lr=lr / b0**0.5, betas=ADAM_BETAS, **kwargs
    ),
    "adamloss": lambda *args, **kwargs: optim.AdamLoss(*args, betas=ADAM_BETAS, **kwargs),
    "adam_sqrt": lambda *args, **kwargs: optim.AdamSqrt(*args, betas=ADAM_BETAS, **kwargs),
}
# Where b0 is all that the optimizer holds, and t the rest of b_t.
_SCHEDULES = {
    ("adam_sqrt", None): lambda b0, t, c_s: b0 + t,
    ("sgd_decay_sqrt", "root"): lambda b0, t, c_s: (b0**2 + t) ** 0.5,
    ("sgd_decay_sqrt", "linear"): lambda b0, t, c_s: b0 + c_s * t**0.5,
}


def _under_rule(name: str) -> type[torch.optim.Optimizer]:
    """Return torch's SGD under a rule of ``adaloss.stepsizes`` without a class in ``adaloss.optim``."""
    taken = inspect.signature(RULES[name]).parameters.values()
    hyper = {p.name: p.default for p in taken if p.kind is p.KEYWORD_ONLY and p.name != "eta"}
    options = RuleDriven.options | dict.fromkeys(hyper, number)
    fields = {"rule": staticmethod(RULES[name]), "hyper": hyper, "options": options}
    return type(name, (optim.LossDriven, torch.optim.SGD), fields)


def make(
    method: Strict, params: Iterable[torch.Tensor], *, eta: float, b0: float, **options: float
) -> torch.optim.Optimizer:
    """Build the optimizer of a method; ``options`` are torch's, such as ``weight_decay``."""
    hyper = method.model_dump(exclude={"name", "c_unit"})
    start = _MAKE.get(method.name) or _under_rule(method.name)
    return start(list(params), lr=eta, b0=b0, **hyper, **options)


def take(optimizer: torch.optim.Optimizer, loss: float | torch.Tensor) -> tuple[float, float]:
    r"""Take one step after ``loss.backward()``; return its size and b_t, nan for an optimizer without one.

    The size is :math:`\eta / b_t` for the methods of SGD's family and :math:`\eta / \sqrt{b_t}` for those of Adam's.
    """
    if isinstance(optimizer, optim.LossDriven):
        optimizer.step(loss=loss)
    else:
        optimizer.step()
    group = optimizer.param_groups[0]
    step, b = group.get("effective_lr", group["lr"]), group.get("b", math.nan)
    schedule = _SCHEDULES.get((group.get("rule"), group.get("form")))
    if schedule is not None:
        b = schedule(b, group["t"], group.get("c_s"))
    return float(step), float(b)
