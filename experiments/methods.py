"""The methods: for each one entry, the fields of its configuration and how every figure and table shows it.

The rules themselves are in adaloss/stepsizes.py, the values of each in configs/method.yaml. Nothing here is
a number in a run, so that a colour may change and the runs stay.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from experiments.runs.schema import Finite, Positive, Strict


class Look(NamedTuple):
    """A method's name in figures and tables, and how they draw it."""

    label: str
    color: str
    marker: str


METHODS: dict[str, Look] = {}  # all, in the order of the legends
# by what takes them: the simulated problems, torch's SGD and torch's Adam
SGD_METHODS: dict[str, type[Strict]] = {}
SGD_FAMILY: dict[str, type[Strict]] = {}
ADAM_FAMILY: dict[str, type[Strict]] = {}


def method(label: str, color: str, marker: str, *families: dict[str, type[Strict]]) -> Callable:
    """Register the fields of a configuration as the method of their ``name``, in these families.

    The colours are Okabe and Ito's and a violet: colour-blind readers tell them apart, and grey print the markers.
    """

    def enter(fields: type[Strict]) -> type[Strict]:
        [name] = get_args(fields.model_fields["name"].annotation)
        METHODS[name] = Look(label, color, marker)
        for family in families:
            family[name] = fields
        return fields

    return enter


@method("AdaLoss", "#D55E00", "o", SGD_METHODS, SGD_FAMILY)
class AdaLoss(Strict):
    """Algorithm 1. ``c`` counts in units of the loss, or of f* where ``c_unit`` says so."""

    name: Literal["adaloss"]
    alpha: Positive
    c: Finite
    c_unit: Literal["absolute", "f_star"]


@method("AdaGrad-Norm", "#0072B2", "s", SGD_METHODS, SGD_FAMILY)
class AdaGradNorm(Strict):
    """Equations (1)-(2)."""

    name: Literal["adagrad_norm"]


@method("AdaGrad-Norm, by row", "#56B4E9", "P", SGD_FAMILY)
class AdaGradNormRowwise(Strict):
    """AdaGrad-Norm with one b for each output neuron (footnote 8)."""

    name: Literal["adagrad_norm_rowwise"]


@method("SGD-Constant", "#009E73", "^", SGD_METHODS, SGD_FAMILY)
class SGDConstant(Strict):
    """The step eta / b0."""

    name: Literal["sgd_constant"]


@method("SGD-DecaySqrt", "#CC79A7", "D", SGD_METHODS, SGD_FAMILY)
class SGDDecaySqrt(Strict):
    """The step eta / (b0 + c_s sqrt t), or eta / sqrt(b0^2 + t), where c_s has no part."""

    name: Literal["sgd_decay_sqrt"]
    form: Literal["linear", "root"]
    c_s: Positive


@method("Adam", "black", "x", ADAM_FAMILY)
class Adam(Strict):
    """Adam with the step eta / sqrt(b0)."""

    name: Literal["adam"]


@method("AdamLoss", "#6A3D9A", "o", ADAM_FAMILY)
class AdamLoss(Strict):
    """Algorithm 2."""

    name: Literal["adamloss"]
    alpha: Positive
    c: Finite


@method("AdamSqrt", "#E69F00", "^", ADAM_FAMILY)
class AdamSqrt(Strict):
    """Adam with the step eta / sqrt(b0 + t)."""

    name: Literal["adam_sqrt"]
