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

Arguments that a rule does not use are accepted and ignored, so that every caller can drive every rule alike.
"""


def adaloss(b, loss, grad_norm_sq, t, *, eta=1.0, alpha=1.0, c=0.0):
    r"""AdaLoss (Algorithm 1): :math:`b_{t+1}^2 = b_t^2 + \alpha\,|f - c|`, step :math:`\eta / b_{t+1}`.

    ``alpha`` > 0 scales how fast b grows; ``c`` stands for the optimal value :math:`f^*` (0 when the data can be
    fitted exactly). With a loss of :math:`\tfrac12\|\cdot\|^2`, ``alpha=2`` gives the paper's
    :math:`b_{t+1}^2 = b_t^2 + \|Xw_t - y\|^2`.
    """
    b = (b * b + alpha * abs(loss - c)) ** 0.5
    return b, eta / b


def adagrad_norm(b, loss, grad_norm_sq, t, *, eta=1.0):
    r"""AdaGrad-Norm (equations (1)-(2)): :math:`b_{t+1}^2 = b_t^2 + \|\nabla f\|^2`, step :math:`\eta / b_{t+1}`."""
    b = (b * b + grad_norm_sq) ** 0.5
    return b, eta / b


def sgd_constant(b, loss, grad_norm_sq, t, *, eta=1.0):
    r"""SGD-Constant: the step :math:`\eta / b_0` for ever."""
    return b, eta / b


def sgd_decay_sqrt(b, loss, grad_norm_sq, t, *, eta=1.0, c_s=1.0, form="linear"):
    r"""SGD-DecaySqrt; b stays at b0, the step depends on t alone.

    ``form="linear"`` (Figure 1): :math:`\eta / (b_0 + c_s\sqrt t)`.
    ``form="root"`` (Table 1): :math:`\eta / \sqrt{b_0^2 + t}`, where ``c_s`` has no part.
    Raises ValueError for any other form.
    """
    if form == "linear":
        return b, eta / (b + c_s * t**0.5)
    if form == "root":
        return b, eta / (b * b + t) ** 0.5
    raise ValueError(f"form={form!r}: allowed are 'linear' and 'root'")


def adamloss(b, loss, grad_norm_sq, t, *, eta=1.0, alpha=1.0, c=0.0):
    r"""AdamLoss (Algorithm 2): :math:`b_t = b_{t-1} + \alpha\,|f - c|`, Adam's step size :math:`\eta / \sqrt{b_t}`.

    It is AdaLoss with :math:`b^2` renamed to b. The paper has ``eta=1`` and ``c=0``.
    """
    b = b + alpha * abs(loss - c)
    return b, eta / b**0.5


def adam_sqrt(b, loss, grad_norm_sq, t, *, eta=1.0):
    r"""AdamSqrt (Section 5): Adam's step size :math:`\eta / \sqrt{b_0 + t}`."""
    return b, eta / (b + t) ** 0.5


RULES = {rule.__name__: rule for rule in (adaloss, adagrad_norm, sgd_constant, sgd_decay_sqrt, adamloss, adam_sqrt)}
OF_GRADIENT = {"adagrad_norm"}  # the rules that need grad_norm_sq; the others may be given None
