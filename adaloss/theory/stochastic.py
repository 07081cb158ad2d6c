r"""Stochastic linear regression with interpolation: bounds of b and of the error for single-row gradients.

Setting (paper, equations (9)-(10)): rows :math:`x_1, \dots, x_n`, :math:`y = Xw^*`, and iteration t draws a row
:math:`\xi` uniformly,

.. math:: w_{t+1} = w_t - \frac{\eta}{b_{t+1}}\, r_t x_\xi, \quad r_t = x_\xi^\top w_t - y_\xi, \qquad
          b_{t+1}^2 = b_t^2 + \|x_\xi\|^{2(p-1)} r_t^2

with p = 1 for AdaLoss and p = 2 for AdaGrad-Norm. The bounds need only

* ``s_max``: :math:`S = \max_i \|x_i\|^2`;
* ``d0``: :math:`D_0 = \|w_0 - w^*\|^2`, and for rates ``mu_n``: :math:`\mu_n = \lambda_{\min}(X^\top X) / n`, both in
  the row space where X'X is singular (docs B8); :func:`of_rows` computes them;
* ``b0``, ``eta``, ``p``.

Everything is scale free in :math:`x = b_0 / (\eta S)`. All arguments may be arrays that broadcast, except p. What is
said of b and of :math:`D_t = \|w_t - w^*\|^2` without "expected" holds on every path, not only with high probability.
Statements and proofs: docs/theory.md, section B. Every function raises ValueError, naming the argument, for a p that is
neither 1 nor 2, for ``b0``, ``eta``, ``s_max`` that are not from 1e-100 to 1e100, an ``eps`` that is not positive and
finite, ``d0``, ``mu_n`` that are negative or not finite, a ``delta`` outside (0, 1), and shapes that do not broadcast.
Where an intermediate value leaves float64, a bound is inf, which is true if useless.
"""

import numpy as np

from adaloss.arguments import HUGE, MODERATE, broadcast, power_of, real, shaped
from adaloss.theory.linear_regression import ROUNDING, _bound, growth
from adaloss.theory.roots import EPS, hroot, log_ratio


def _checked(
    b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, p: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """The four as float64 arrays, and p as int. Raises ValueError where they are no arguments of a bound."""
    p = power_of(p)
    b0, eta, s_max = (real(n, value, **MODERATE) for n, value in (("b0", b0), ("eta", eta), ("s_max", s_max)))
    d0 = real("d0", d0, least=0.0)
    broadcast(b0=b0, eta=eta, s_max=s_max, d0=d0)
    return b0, eta, s_max, d0, p


def _scale_free(b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, p: int) -> tuple:
    """B0 as x = b_0 / (eta S), and f = S^(p-2) sup D / eta^2 of docs B2, both in units in which eta S = 1."""
    x = b0 / (eta * s_max)
    return x, (s_max ** (p - 2) * d0 / eta / eta + growth(x) + 16 * EPS * (x < 0.5 * (1 + 4 * EPS))) * (1 + 16 * EPS)


@_bound
def error_limit(b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, p: int) -> np.ndarray:
    r"""A bound of :math:`D_t` for all t and every b_0 > 0 (docs B2).

    :math:`D_0 + \eta^2 S^{2-p}\,\ell_0(b_0 / (\eta S))`, which is D_0 where 2 b_0 >= eta S: there the error never
    grows (docs B1).
    """
    b0, eta, s_max, d0, p = _checked(b0, eta, s_max, d0, p)
    _, f = _scale_free(b0, eta, s_max, d0, p)
    return np.maximum(f * eta**2 * s_max ** (2 - p) * (1 + 8 * EPS), d0)


@_bound
def b_limit(b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, p: int) -> np.ndarray:
    r"""The sharp bound of :math:`\lim b_t`, for every b_0 > 0 (docs B2).

    :math:`\eta S z` with z the larger root of :math:`2z - \log z = 2x - \log x + f / \kappa`, where
    :math:`x = \max(b_0/(\eta S), \tfrac12)`, :math:`f = S^{p-2}D_0/\eta^2 + \ell_0(b_0/(\eta S))` and
    :math:`\kappa = 1 + x/\sqrt{x^2 + f}`.
    """
    b0, eta, s_max, d0, p = _checked(b0, eta, s_max, d0, p)
    x, f = _scale_free(b0, eta, s_max, d0, p)
    x = np.maximum(x, 0.5)
    kappa = 1 + x / np.sqrt(x**2 + f)
    return np.maximum(eta * s_max * hroot(2 * x - np.log(x) + f / kappa) * (1 + 8 * EPS), b0)


@_bound
def b_limit_headline(b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, p: int) -> np.ndarray:
    r"""The readable bound of :math:`\lim b_t`, for every b_0 > 0 (docs B2).

    :math:`\max(b_0, \eta S) + S^{p-1} D_0 / \eta + \eta S\,\ell_0(b_0 / (\eta S))`; the last term is 0 where
    2 b_0 >= eta S.
    """
    b0, eta, s_max, d0, p = _checked(b0, eta, s_max, d0, p)
    _, f = _scale_free(b0, eta, s_max, d0, p)
    return (np.maximum(b0, eta * s_max) + eta * s_max * f) * (1 + 8 * EPS)


def _least_decrease(
    b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, mu_n: np.ndarray, p: int
) -> np.ndarray:
    """The expected relative decrease of D per step that B3 proves, -inf where 2 b_0 < eta S."""
    b0, eta, s_max, d0, p = _checked(b0, eta, s_max, d0, p)
    limit, mu_n = b_limit(b0, eta, s_max, d0, p), real("mu_n", mu_n, least=0.0)
    broadcast(mu_n=mu_n, b0=limit)
    step, last = eta / b0, eta / limit
    least = np.minimum(step * (2 - s_max * step), last * (2 - s_max * last))
    safe = np.maximum(least - 8 * EPS * (1 + s_max * step) * step, 0)
    return np.where(least >= 0, np.minimum(mu_n * safe, 1), -np.inf)


@_bound
def contraction(
    b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, mu_n: np.ndarray, p: int
) -> np.ndarray:
    r"""The factor rho of :math:`\mathbb E D_T \le \rho^T D_0` (docs B3), inf where 2 b_0 < eta S (no rate is proved).

    :math:`\rho = 1 - \mu_n \min\{g(b_0), g(\bar b)\}` with :math:`g(b) = \tfrac{\eta}{b}(2 - \eta S/b)` and
    :math:`\bar b` of :func:`b_limit`; at most :math:`1 - \eta\mu_n/\bar b` where b_0 >= eta S. ``-log(rho)`` is the
    exponent per step.
    """
    decrease = _least_decrease(b0, eta, s_max, d0, mu_n, p)
    return (1 - decrease) * np.where(decrease > 0, 1 + 2 * EPS, 1)


@_bound
def iterations(
    b0: np.ndarray,
    eta: np.ndarray,
    s_max: np.ndarray,
    d0: np.ndarray,
    mu_n: np.ndarray,
    p: int,
    eps: np.ndarray,
    delta: np.ndarray,
) -> np.ndarray:
    r"""T with :math:`P(D_t \le \epsilon \text{ for all } t \ge T) \ge 1 - \delta` (docs B3), a whole float.

    :math:`T = \lceil \log(D_0/(\epsilon\delta)) / \log(1/\rho) \rceil` with :func:`contraction`'s rho; inf where that
    is not below 1, that is where 2 b_0 <= eta S. ``eps`` positive, ``delta`` in (0, 1).
    """
    decrease = _least_decrease(b0, eta, s_max, d0, mu_n, p)
    (eps, delta), d0 = _probabilities(eps, delta), np.asarray(d0, dtype=np.float64)
    broadcast(eps=eps, delta=delta, b0=decrease)
    needed = log_ratio(d0, eps, delta) / -np.log1p(-decrease)
    steps = np.maximum(np.ceil(needed * (1 + ROUNDING)), 1.0)
    there = (d0 <= eps) & (decrease >= 0) | (error_limit(b0, eta, s_max, d0, p) <= eps) | (d0 == 0)
    return np.where(there, 0.0, np.where(decrease > 0, steps, np.inf))


def _waiting(total: np.ndarray, m: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """N with P(N steps pass and sum X <= total) <= delta, X in [0, 1] of conditional mean at least m (docs B5)."""
    rate = np.geomspace(1e-2, 30, 64)
    steps = (rate * total[..., None] - np.log(delta)[..., None]) / (-np.expm1(-rate) * m[..., None])
    return np.ceil(np.min(steps, axis=-1) * (1 + ROUNDING))


def _probabilities(eps: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    eps, delta = real("eps", eps, above=0.0), real("delta", delta, above=0.0)
    if (delta >= 1).any():
        raise ValueError(f"delta={delta.max():g}: should be less than 1")
    return eps, delta


@_bound
def iterations_of_equal_rows(
    b0: np.ndarray,
    eta: np.ndarray,
    s_max: np.ndarray,
    d0: np.ndarray,
    mu_n: np.ndarray,
    p: int,
    eps: np.ndarray,
    delta: np.ndarray,
) -> np.ndarray:
    r"""T with :math:`P(D_t \le \epsilon \text{ for all } t \ge T) \ge 1 - \delta` from every b_0 > 0 (docs B5).

    For rows of one length, :math:`\|x_i\|^2 = S`; a whole float, inf where no rate is proved (``d0`` or ``mu_n`` 0).
    From a b_0 past the window it is :func:`iterations`, or what is less.
    """
    b0, eta, s_max, d0, p = _checked(b0, eta, s_max, d0, p)
    (eps, delta), mu_n = _probabilities(eps, delta), real("mu_n", mu_n, least=0.0)
    shape = broadcast(b0=b0, eta=eta, s_max=s_max, d0=d0, mu_n=mu_n, eps=eps, delta=delta)
    b0, eta, s_max, d0, mu_n, eps, delta = (np.broadcast_to(v, shape) for v in (b0, eta, s_max, d0, mu_n, eps, delta))
    x, f_bar = _scale_free(b0, eta, s_max, d0, p)
    f, m = s_max ** (p - 2) * d0 / eta / eta, mu_n / s_max
    gamma = np.minimum(np.sqrt(f) / 3, 1 / 6)
    past = (1 + gamma) / 2
    nu = 0.5 * np.geomspace(1e-6, 1, 64, endpoint=False)
    theta = 0.5 - nu
    fast = np.log(f_bar / f)[..., None] / np.log1p(2 * nu / theta**2) + 1
    total = np.where(theta > x[..., None], fast + 3 * (past[..., None] ** 2 - theta**2) / f[..., None], np.inf)
    total = np.minimum(total.min(axis=-1), 3 * (past**2 - x**2) / f)
    end = b_limit(b0, eta, s_max, d0, p) / (eta * s_max)
    c = np.minimum((2 * past - 1) / past**2, (2 * end - 1) / end**2) * (1 - 16 * EPS)
    after = log_ratio(f_bar * eta**2 * s_max ** (2 - p), eps, delta / 2) / -np.log1p(-m * c)
    t = _waiting(total, m, delta / 2) + np.maximum(np.ceil(after * (1 + ROUNDING)), 1.0)
    return np.fmin(np.where((x < past) & (m * c > 0), t, np.inf), iterations(b0, eta, s_max, d0, mu_n, p, eps, delta))


@_bound
def iterations_to_a_minimum(
    b0: np.ndarray,
    eta: np.ndarray,
    s_max: np.ndarray,
    d0: np.ndarray,
    mu_n: np.ndarray,
    mu_p: np.ndarray,
    p: int,
    eps: np.ndarray,
    delta: np.ndarray,
) -> np.ndarray:
    r"""T with :math:`P(\min_{t \le T} D_t \le \epsilon) \ge 1 - \delta` for any rows and every b_0 > 0 (docs B6).

    ``mu_p`` is :math:`\lambda_{\min}(\tfrac1n\sum_i\|x_i\|^{2(p-1)}x_ix_i^\top)`, which is ``mu_n`` at p = 1.
    """
    b0, eta, s_max, d0, p = _checked(b0, eta, s_max, d0, p)
    (eps, delta), mu_n, mu_p = _probabilities(eps, delta), real("mu_n", mu_n, least=0.0), real("mu_p", mu_p, least=0.0)
    broadcast(b0=b0, eta=eta, s_max=s_max, d0=d0, mu_n=mu_n, mu_p=mu_p, eps=eps, delta=delta)
    total = np.maximum(1 - (b0 / (eta * s_max)) ** 2, 0) * eta**2 * s_max ** (2 - p) / eps
    waited = np.where(b0 < eta * s_max, _waiting(total, mu_p / s_max**p, delta / 2), 0.0)
    rate = eta * mu_n / b_limit(b0, eta, s_max, d0, p)
    after = log_ratio(error_limit(b0, eta, s_max, d0, p), eps, delta / 2) / rate
    return np.where(d0 <= eps, 0.0, waited + np.maximum(np.ceil(after * (1 + ROUNDING)), 1.0))


@_bound
def error_sum_limit(
    b0: np.ndarray, eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray, mu_p: np.ndarray, p: int
) -> np.ndarray:
    r"""A bound of :math:`\mathbb E\sum_t D_t`, for any rows and every b_0 > 0: D_t tends to 0 almost surely (docs B7).

    :math:`(\bar b^2 - b_0^2)/\mu_p` with :func:`b_limit`'s :math:`\bar b` and ``mu_p`` as in docs B6.
    """
    limit, mu_p = b_limit(b0, eta, s_max, d0, p), real("mu_p", mu_p, least=0.0)
    broadcast(mu_p=mu_p, b0=limit)
    b0 = np.asarray(b0, dtype=np.float64)
    return (limit - b0) * (limit + b0) / mu_p * (1 + 8 * EPS)


def of_rows(x: np.ndarray, error: np.ndarray, p: int) -> tuple[float, float, float, float]:
    r"""``s_max``, ``d0``, ``mu_n`` and ``mu_p`` of rows x (n, d) and the error :math:`w_0 - w^*` (d,), for any rank.

    They are those of the row space of X: D the squared distance to the nearest solution, and the least eigenvalues
    that are not 0 (docs B8). Singular values below :math:`\max(n, d)` roundings of the largest count as 0; nothing is
    rounded to the safe side. Raises ValueError for arrays of other shapes, entries above 1e100 and rows that are all 0.
    """
    p = power_of(p)
    x, error = real("x", x, most=HUGE, axes=2), real("error", error, most=HUGE, axes=1)
    shaped("error", error, x.shape[1:])
    _, values, directions = np.linalg.svd(x, full_matrices=False)
    seen = values > values[0] * max(x.shape) * EPS
    if not seen.any():
        raise ValueError("x: its rows are all 0")
    lengths, within = np.sum(x**2, axis=1), directions[seen]
    weighted = np.linalg.svd(lengths[:, None] ** ((p - 1) / 2) * x @ within.T, compute_uv=False)
    d0, least = np.sum((within @ error) ** 2), np.array([values[seen][-1], weighted[-1]])
    with np.errstate(all="ignore"):
        return float(lengths.max()), float(d0), *(least**2 / len(x)).tolist()


def proposition_1_gap(eta: np.ndarray, s_max: np.ndarray, d0: np.ndarray) -> np.ndarray:
    r"""What the bound of AdaGrad-Norm's lim b has over that of AdaLoss, exactly :math:`(S - 1) D_0 / \eta` (docs B4).

    It is the difference of :func:`b_limit_headline` at p = 2 and at p = 1, the same for every b_0. It is an improvement
    only where S >= 1, and then at most :math:`(\lambda_1 - 1) D_0 / \eta`. Both are upper bounds: the methods
    themselves may compare the other way.
    """
    eta, s_max, d0 = real("eta", eta, above=0.0), real("s_max", s_max, above=0.0), real("d0", d0, least=0.0)
    broadcast(eta=eta, s_max=s_max, d0=d0)
    with np.errstate(all="ignore"):
        return (s_max - 1) * d0 / eta
