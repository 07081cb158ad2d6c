r"""The step-size rules, each defined once.

Every rule is one function with the same signature::

    rule(b, loss, grad_norm_sq, t, *, eta=1.0, ...) -> (b, step)

``b`` is the rule's state :math:`b_t` before iteration ``t`` (``b0`` before the first), ``loss`` the value
:math:`f_{\xi_t}(w_t)` and ``grad_norm_sq`` the value :math:`\|\nabla f_{\xi_t}(w_t)\|^2`, both at the point where
the gradient of this iteration is taken; ``t`` counts iterations from 1. The returned ``step`` multiplies the gradient
(or Adam's normalised direction) of the *same* iteration: the current loss enters ``b`` before the step is taken.

The bodies use only operators that Python floats, NumPy arrays and torch tensors share, so one definition serves all
three, for any shape (one value per cell; hyperparameters broadcast). Nothing is converted or moved: no host
synchronisation is added to a CUDA tensor. Nothing is checked either; the callers (``adaloss.simulate``,
``experiments``) refuse bad values before any work starts.

Arguments that a rule does not use are accepted and ignored (their type is ``object``), so that every caller can drive
every rule alike. Equations and algorithms are those of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch

Number = TypeVar("Number", float, "np.ndarray", "torch.Tensor")


def adaloss(
    b: Number,
    loss: Number,
    grad_norm_sq: object,
    t: object,
    *,
    eta: float | Number = 1.0,
    alpha: float | Number = 1.0,
    c: float | Number = 0.0,
) -> tuple[Number, Number]:
    r"""Apply AdaLoss: :math:`b_{t+1}^2 = b_t^2 + \alpha\,|f - c|`, step :math:`\eta / b_{t+1}`.

    With a loss of :math:`\tfrac12\|\cdot\|^2`, ``alpha=2`` gives the paper's
    :math:`b_{t+1}^2 = b_t^2 + \|Xw_t - y\|^2`.

    Args:
        b: :math:`b_t > 0`.
        loss: the loss f of this iteration.
        grad_norm_sq: ignored.
        t: ignored.
        eta: :math:`\eta > 0`, the scale of the step.
        alpha: :math:`\alpha > 0`, how fast b grows.
        c: the optimal value :math:`f^*` of the loss, 0 when the data can be fitted exactly.

    Returns:
        :math:`b_{t+1}` and the step.

    Examples:
        >>> from adaloss.stepsizes import adaloss
        >>> adaloss(3.0, 16.0, None, 1, eta=10.0)
        (5.0, 2.0)

    References:
        Algorithm 1.
    """
    b = (b * b + alpha * abs(loss - c)) ** 0.5
    return b, eta / b


def adagrad_norm(
    b: Number, loss: object, grad_norm_sq: Number, t: object, *, eta: float | Number = 1.0
) -> tuple[Number, Number]:
    r"""Apply AdaGrad-Norm: :math:`b_{t+1}^2 = b_t^2 + \|\nabla f\|^2`, step :math:`\eta / b_{t+1}`.

    Args:
        b: :math:`b_t > 0`.
        loss: ignored.
        grad_norm_sq: the squared norm of the gradient of this iteration.
        t: ignored.
        eta: :math:`\eta > 0`, the scale of the step.

    Returns:
        :math:`b_{t+1}` and the step.

    Examples:
        >>> from adaloss.stepsizes import adagrad_norm
        >>> adagrad_norm(3.0, None, 16.0, 1, eta=10.0)
        (5.0, 2.0)

    References:
        Equations (1) and (2).
    """
    b = (b * b + grad_norm_sq) ** 0.5
    return b, eta / b


def sgd_constant(
    b: Number, loss: object, grad_norm_sq: object, t: object, *, eta: float | Number = 1.0
) -> tuple[Number, Number]:
    r"""Apply SGD-Constant: b stays at :math:`b_0`, the step is :math:`\eta / b_0`.

    Args:
        b: :math:`b_0 > 0`.
        loss: ignored.
        grad_norm_sq: ignored.
        t: ignored.
        eta: :math:`\eta > 0`, the scale of the step.

    Returns:
        :math:`b_0` and the step.

    Examples:
        >>> from adaloss.stepsizes import sgd_constant
        >>> sgd_constant(4.0, None, None, 1)
        (4.0, 0.25)

    References:
        The baseline of Figure 1 and Table 1.
    """
    return b, eta / b


def sgd_decay_sqrt(
    b: Number,
    loss: object,
    grad_norm_sq: object,
    t: float | Number,
    *,
    eta: float | Number = 1.0,
    c_s: float | Number = 1.0,
    form: Literal["linear", "root"] = "linear",
) -> tuple[Number, Number]:
    r"""Apply SGD-DecaySqrt: b stays at :math:`b_0`, the step falls like :math:`1 / \sqrt t`.

    Args:
        b: :math:`b_0 > 0`.
        loss: ignored.
        grad_norm_sq: ignored.
        t: the iteration, 1 for the first.
        eta: :math:`\eta > 0`, the scale of the step.
        c_s: :math:`c_s > 0`, how fast the step of ``form="linear"`` falls.
        form: "linear" (Figure 1) for the step :math:`\eta / (b_0 + c_s\sqrt t)`, "root" (Table 1) for
            :math:`\eta / \sqrt{b_0^2 + t}`, where ``c_s`` has no part.

    Returns:
        :math:`b_0` and the step.

    Raises:
        ValueError: for any other form.

    Examples:
        >>> from adaloss.stepsizes import sgd_decay_sqrt
        >>> sgd_decay_sqrt(1.0, None, None, 9)
        (1.0, 0.25)
        >>> sgd_decay_sqrt(4.0, None, None, 9, form="root")
        (4.0, 0.2)

    References:
        The baseline of Figure 1 and Table 1.
    """
    if form == "linear":
        return b, eta / (b + c_s * t**0.5)
    if form == "root":
        return b, eta / (b * b + t) ** 0.5
    raise ValueError(f"form={form!r}: allowed are 'linear' and 'root'")


def adamloss(
    b: Number,
    loss: Number,
    grad_norm_sq: object,
    t: object,
    *,
    eta: float | Number = 1.0,
    alpha: float | Number = 1.0,
    c: float | Number = 0.0,
) -> tuple[Number, Number]:
    r"""Apply AdamLoss: :math:`b_t = b_{t-1} + \alpha\,|f - c|`, Adam's step size :math:`\eta / \sqrt{b_t}`.

    It is AdaLoss with :math:`b^2` renamed to b.

    Args:
        b: :math:`b_{t-1} > 0`.
        loss: the loss f of this iteration.
        grad_norm_sq: ignored.
        t: ignored.
        eta: :math:`\eta > 0`, the scale of the step; 1 in the paper.
        alpha: :math:`\alpha > 0`, how fast b grows.
        c: the optimal value :math:`f^*` of the loss; 0 in the paper.

    Returns:
        :math:`b_t` and the step.

    Examples:
        >>> from adaloss.stepsizes import adamloss
        >>> adamloss(9.0, 16.0, None, 1, eta=10.0)
        (25.0, 2.0)

    References:
        Algorithm 2.
    """
    b = b + alpha * abs(loss - c)
    return b, eta / b**0.5


def adam_sqrt(
    b: Number, loss: object, grad_norm_sq: object, t: float | Number, *, eta: float | Number = 1.0
) -> tuple[Number, Number]:
    r"""Apply AdamSqrt: b stays at :math:`b_0`, Adam's step size is :math:`\eta / \sqrt{b_0 + t}`.

    Args:
        b: :math:`b_0 > 0`.
        loss: ignored.
        grad_norm_sq: ignored.
        t: the iteration, 1 for the first.
        eta: :math:`\eta > 0`, the scale of the step.

    Returns:
        :math:`b_0` and the step.

    Examples:
        >>> from adaloss.stepsizes import adam_sqrt
        >>> adam_sqrt(7.0, None, None, 9)
        (7.0, 0.25)

    References:
        The baseline of Section 5.
    """
    return b, eta / (b + t) ** 0.5


RULES: dict[str, Callable[..., tuple[Any, Any]]] = {
    rule.__name__: rule for rule in (adaloss, adagrad_norm, sgd_constant, sgd_decay_sqrt, adamloss, adam_sqrt)
}
OF_GRADIENT = {"adagrad_norm"}  # the rules that need grad_norm_sq; the others may be given None
