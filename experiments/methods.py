"""The methods that set SGD's step, as fields of a configuration; the rules themselves are in adaloss/stepsizes.py."""

from typing import Literal

from experiments.runs.schema import Finite, Positive, Strict


class AdaLoss(Strict):
    """Algorithm 1. ``c`` counts in units of the loss, or of f* where ``c_unit`` says so."""

    name: Literal["adaloss"]
    alpha: Positive
    c: Finite
    c_unit: Literal["absolute", "f_star"]


class AdaGradNorm(Strict):
    """Equations (1)-(2)."""

    name: Literal["adagrad_norm"]


class SGDConstant(Strict):
    """The step eta / b0."""

    name: Literal["sgd_constant"]


class SGDDecaySqrt(Strict):
    """The step eta / (b0 + c_s sqrt t), or eta / sqrt(b0^2 + t), where c_s has no part."""

    name: Literal["sgd_decay_sqrt"]
    form: Literal["linear", "root"]
    c_s: Positive


SGD_METHODS = {
    "adaloss": AdaLoss,
    "adagrad_norm": AdaGradNorm,
    "sgd_constant": SGDConstant,
    "sgd_decay_sqrt": SGDDecaySqrt,
}
