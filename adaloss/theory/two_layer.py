r"""Two-layer ReLU networks (paper, Section 4): the network, and its linearised dynamics with explicit bounds.

:math:`f(W, a, x) = \tfrac1{\sqrt m}\sum_r a_r\,\mathrm{relu}(w_r^\top x)`; W is (m, d) and trained, a (m,) has entries
-1 and 1 and stays; the rows of x (n, d) have length 1. With z = u - y the residual and H the kernel (the infinite-width
one, or the empirical one at the start), gradient descent follows :math:`z_{k+1} = (I - \mathrm{step}_k H)z_k` exactly
in the limit of infinite width; that is what the bounds below are about. What is certain of the network itself, of
whatever width and at any step of a training, :func:`certify` says, in five lines of a training loop
(:mod:`adaloss.theory.finite_width`).

``eigenvalues`` are those of H in any order, ``z0`` the coordinates of the first residual along their eigenvectors.

Every function raises ValueError, naming the argument, for what is not an array of finite real numbers of the shape that
it names, or outside of what it allows. Where a value leaves float64 the result is inf or nan.
"""

import math

import numpy as np

from adaloss.arguments import real, shaped, whole
from adaloss.theory.finite_width import certify as certify
from adaloss.theory.linear_regression import ROUNDING
from adaloss.theory.roots import log_ratio


def predict(w: np.ndarray, a: np.ndarray, x: np.ndarray) -> np.ndarray:
    r"""The predictions u (n,), :math:`u_i = \tfrac1{\sqrt m}\sum_r a_r\,\mathrm{relu}(w_r^\top x_i)`."""
    w, a, x = _network(w, a, x)
    with np.errstate(all="ignore"):
        return np.maximum(x @ w.T, 0.0) @ a / math.sqrt(len(a))


def loss(u: np.ndarray, y: np.ndarray) -> float:
    r"""The quadratic loss :math:`\tfrac12\|u - y\|^2`."""
    u, y = real("u", u, axes=1), real("y", y, axes=1)
    shaped("y", y, u.shape)
    with np.errstate(all="ignore"):
        return 0.5 * float((u - y) @ (u - y))


def gradient(w: np.ndarray, a: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    r"""The loss's gradient in W, (m, d).

    Row r is :math:`\tfrac{a_r}{\sqrt m}\sum_i (u_i - y_i)\,1\{w_r^\top x_i > 0\}\,x_i`.
    """
    (w, a, x), y = _network(w, a, x), real("y", y, axes=1)
    shaped("y", y, x.shape[:1])
    with np.errstate(all="ignore"):
        active = x @ w.T > 0
        residual = predict(w, a, x) - y
        return (active * residual[:, None]).T @ x * (a / math.sqrt(len(a)))[:, None]


def _network(w: np.ndarray, a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    w, a, x = real("w", w, axes=2), real("a", a, axes=1), real("x", x, axes=2)
    shaped("a", a, w.shape[:1])
    shaped("w", w, (len(w), x.shape[1]))
    return w, a, x


def rule_alpha(alpha: float, n: int) -> float:
    r"""The ``alpha`` of the rule ``adaloss`` that makes Theorem 3's update.

    :math:`b_{k+1}^2 = b_k^2 + \alpha^2\sqrt n\,\|u - y\|^2` and the loss is :math:`\tfrac12\|u - y\|^2`, so it is
    :math:`2\alpha^2\sqrt n`. ``alpha`` positive, ``n`` a whole number of at least 1.
    """
    alpha, n = _number("alpha", alpha, above=0.0), whole("n", n, 1)
    return 2.0 * alpha * alpha * math.sqrt(n)


def linearised(eigenvalues: np.ndarray, z0: np.ndarray, steps: np.ndarray) -> np.ndarray:
    r"""The residuals z_0, z_1, ... of :math:`z_{k+1} = (I - \mathrm{step}_k H)z_k`, (len(steps) + 1, n)."""
    eigenvalues, z0, steps = real("eigenvalues", eigenvalues, axes=1), real("z0", z0, axes=1), real("steps", steps)
    shaped("z0", z0, eigenvalues.shape)
    shaped("steps", steps, (steps.size,))
    with np.errstate(all="ignore"):
        factors = 1.0 - steps[:, None] * eigenvalues
        return np.concatenate([z0[None], z0 * np.cumprod(factors, axis=0)])


def linearised_adaloss(
    eigenvalues: np.ndarray, z0: np.ndarray, b0: float, eta: float, alpha: float, n: int, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Theorem 3's method on the linearised network: residuals (iterations + 1, n) and b (iterations + 1,), b[0] = b0.

    :math:`b_{k+1}^2 = b_k^2 + \alpha^2\sqrt n\,\|z_k\|^2` and :math:`z_{k+1} = (I - \tfrac{\eta}{b_{k+1}} H)z_k`.
    """
    eigenvalues, z0 = real("eigenvalues", eigenvalues, axes=1), real("z0", z0, axes=1)
    shaped("z0", z0, eigenvalues.shape)
    b0, eta, alpha = (_number(name, v, above=0.0) for name, v in (("b0", b0), ("eta", eta), ("alpha", alpha)))
    n, iterations = whole("n", n, 1), whole("iterations", iterations)
    z, b = np.empty((iterations + 1, len(z0))), np.empty(iterations + 1)
    z[0], b[0] = z0, b0
    with np.errstate(all="ignore"):
        for k in range(iterations):
            b[k + 1] = np.hypot(b[k], alpha * n**0.25 * np.linalg.norm(z[k]))  # squares may leave float64
            z[k + 1] = (1.0 - eta / b[k + 1] * eigenvalues) * z[k]
    return z, b


def gradient_descent_iterations(eigenvalues: np.ndarray, z0_sq: float, eps: float) -> int:
    r"""Theorem 2, linearised: T such that :math:`\|z_k\|^2 \le \epsilon` for all k >= T with the step 1 / ||H||.

    :math:`T = \lceil \log(\|z_0\|^2/\epsilon) / (2\log\tfrac1{1-\lambda_0/\|H\|}) \rceil \le
    \lceil \tfrac{\|H\|}{2\lambda_0}\log(\|z_0\|^2/\epsilon) \rceil`. Raises ValueError unless H is positive definite
    (its condition in float64's range) and ``eps`` positive.
    """
    eigenvalues, z0_sq = real("eigenvalues", eigenvalues, axes=1), _number("z0_sq", z0_sq, least=0.0)
    eps, least, greatest = _number("eps", eps), float(np.min(eigenvalues)), float(np.max(eigenvalues))
    if not least > 0.0:
        raise ValueError(f"eigenvalues: the least is {least:g}, should be positive (Assumption 2)")
    if not eps > 0.0:
        raise ValueError(f"eps={eps!r}: should be positive")
    if z0_sq <= eps:
        return 0
    if least == greatest:
        return 1
    if not least / greatest > np.finfo(float).tiny:
        raise ValueError(f"eigenvalues: the least, {least:g}, is negligible compared with the greatest, {greatest:g}")
    steps = float(log_ratio(z0_sq, eps)) / (-2.0 * math.log1p(-least / greatest))
    return max(math.ceil(steps * (1.0 + ROUNDING)), 1)


def _number(name: str, value: float, **limits: float) -> float:
    array = real(name, value, **limits)
    shaped(name, array, ())
    return float(array)


def best_constant_step(eigenvalues: np.ndarray) -> float:
    r"""The constant step with the fastest linearised worst case, :math:`2 / (\|H\| + \lambda_0)`."""
    eigenvalues = real("eigenvalues", eigenvalues, least=0.0, axes=1)
    return _inverse(0.5 * eigenvalues.max() + 0.5 * eigenvalues.min())


def critical_step(eigenvalues: np.ndarray) -> float:
    r"""The linearised dynamics converge from every start exactly for constant steps in (0, :math:`2/\|H\|`)."""
    return _inverse(0.5 * real("eigenvalues", eigenvalues, least=0.0, axes=1).max())


def _inverse(value: np.float64) -> float:
    with np.errstate(all="ignore"):
        return float(1.0 / value)


def weights_travelled(eigenvalues: np.ndarray, z0: np.ndarray) -> float:
    r"""How far linearised training moves W: :math:`\|W(\infty) - W(0)\|_F = \sqrt{z_0^\top H^{-1} z_0}`.

    It depends neither on the width nor on the steps, as long as the residual tends to 0.
    """
    eigenvalues, z0 = real("eigenvalues", eigenvalues, above=0.0, axes=1), real("z0", z0, axes=1)
    shaped("z0", z0, eigenvalues.shape)
    _, power = np.frexp(np.abs(z0).max())  # without it squares leave float64
    with np.errstate(all="ignore"):
        return float(np.ldexp(math.sqrt(float(np.sum(np.ldexp(z0, -power) ** 2 / eigenvalues))), power))


def setting_a(
    eigenvalues: np.ndarray, z0_in_eigenbasis: np.ndarray, b0: float, eta: float, alpha: float, n: int
) -> dict[str, np.ndarray | float | int]:
    r"""Theorem 3, linearised, as linear regression with AdaLoss (p = 1): the state that its bounds are stated for.

    With :math:`\kappa = \alpha n^{1/4}`, the quantities :math:`\tilde\eta = \eta/\kappa`, :math:`\tilde b = b/\kappa`
    and :math:`\lambda_i s^{(i)} = (v_i^\top z)^2` obey
    :math:`\tilde b_{k+1}^2 = \tilde b_k^2 + \sum_i \lambda_i s^{(i)}_k` and
    :math:`s^{(i)}_{k+1} = (1 - \tilde\eta\lambda_i/\tilde b_{k+1})^2 s^{(i)}_k`. The target :math:`\|z\|^2` is
    that of q = 1; iterations count alike. ``eigenvalues`` are returned descending.
    """
    eigenvalues, z0 = real("eigenvalues", eigenvalues, above=0.0, axes=1), real("z0", z0_in_eigenbasis, axes=1)
    shaped("z0_in_eigenbasis", z0, eigenvalues.shape)
    b0, eta, alpha = (_number(name, v, above=0.0) for name, v in (("b0", b0), ("eta", eta), ("alpha", alpha)))
    scale = alpha * whole("n", n, 1) ** 0.25
    order = np.argsort(eigenvalues)[::-1]
    descending = eigenvalues[order]
    with np.errstate(all="ignore"):
        s = z0[order] ** 2 / descending
    return {
        "eigenvalues": descending,
        "s": s,
        "b": b0 / scale,
        "eta": eta / scale,
        "p": 1,
    }
