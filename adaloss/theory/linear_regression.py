r"""Full-gradient linear regression: every bound of Lemma 1, Theorem 1 and Corollary 1 with explicit constants.

Setting (paper, equations (3)-(7)): A = X'X has eigenvalues lambda_1 = L >= ... >= lambda_d = mu > 0, and
:math:`s_t^{(i)} = (v_i^\top (w_t - w^*))^2`. AdaGrad-Norm is p = 2, AdaLoss p = 1:

.. math:: b_{t+1}^2 = b_t^2 + G_t, \quad G_t = \sum_i \lambda_i^p s_t^{(i)}, \qquad
          s_{t+1}^{(i)} = (1 - \eta\lambda_i / b_{t+1})^2 s_t^{(i)}

The target is :math:`\Psi_t = \sum_i \lambda_i^q s_t^{(i)}`: q = 0 the squared error, q = 1 twice the loss.
Everything is scale free in :math:`\beta = b / (\eta L)` and :math:`u_t = L^{p-2} s_t^{(1)} / \eta^2`.

A :class:`State` holds one problem or many: all functions work over leading axes. Statements and proofs are in
``docs/theory.md``; each function names the section that it computes. Where an intermediate value leaves float64, the
bound is inf, which is true if useless.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import wraps

import numpy as np

from adaloss.arguments import HUGE, MODERATE, broadcast, one_of, power_of, real, whole
from adaloss.theory.roots import EPS, hroot, steps_until

ROUNDING = 1e-12  # bounds are widened by this relative amount before they are rounded to a whole number of steps
GRID = 64  # values of nu and delta that a bound with a free parameter is minimised over


@dataclass(frozen=True)
class State:
    """Where a trajectory stands.

    ``eigenvalues`` (..., d) descending, the first positive, at most 1e100, ``s`` (..., d) squared errors of at most
    1e100, ``b`` and ``eta`` (...) from 1e-100 to 1e100, ``p`` 2 for AdaGrad-Norm and 1 for AdaLoss. Leading axes
    broadcast. ``s`` and ``b`` may be inf where they have left float64. The arrays are copied. A direction whose
    eigenvalue is 0 never moves: it is kept as one of the least positive eigenvalue without an error, so that all is
    about the distance to the nearest solution (docs, Notation). Raises ValueError, naming the argument, for other
    values or shapes.
    """

    eigenvalues: np.ndarray
    s: np.ndarray
    b: np.ndarray
    eta: np.ndarray
    p: int

    def __post_init__(self):
        object.__setattr__(self, "p", power_of(self.p))
        eigenvalues = real("eigenvalues", self.eigenvalues, least=0.0, most=HUGE)
        s, b = real("s", self.s, least=0.0, infinite=True), real("b", self.b, least=1 / HUGE, infinite=True)
        real("s", s[s < np.inf], most=HUGE)
        real("b", b[b < np.inf], most=HUGE)
        eta = real("eta", self.eta, **MODERATE)
        if not (eigenvalues.ndim and eigenvalues.shape[-1] and s.ndim and s.shape[-1] == eigenvalues.shape[-1]):
            raise ValueError(f"eigenvalues {eigenvalues.shape} and s {s.shape}: should be (..., d) with the same d")
        if not (np.all(eigenvalues[..., 0] > 0) and np.all(np.diff(eigenvalues) <= 0)):
            raise ValueError("eigenvalues: should be in descending order, the first positive")
        still = eigenvalues == 0
        least = np.min(np.where(still, np.inf, eigenvalues), axis=-1, keepdims=True)
        eigenvalues, s = np.where(still, least, eigenvalues), np.where(still, 0.0, s)
        lead = broadcast(eigenvalues=eigenvalues[..., 0], s=s[..., 0], b=b, eta=eta)
        self._set(lead, eigenvalues=eigenvalues, s=s, b=b.copy(), eta=eta.copy())  # a job's b goes on

    def _set(self, lead: tuple[int, ...], **arrays: np.ndarray) -> None:
        """Set these, with the leading axes."""
        for name, value in arrays.items():
            shape = lead + value.shape[-1:] if name in ("eigenvalues", "s") else lead
            object.__setattr__(self, name, np.broadcast_to(value, shape))

    @property
    def top(self) -> np.ndarray:
        """lambda_1 = L."""
        return self.eigenvalues[..., 0]

    @property
    def bottom(self) -> np.ndarray:
        """mu, the least positive eigenvalue: the paper's lambda_0."""
        return self.eigenvalues[..., -1]

    @property
    def beta(self) -> np.ndarray:
        """The scale-free b / (eta L)."""
        return self.b / (self.eta * self.top)

    @property
    def u(self) -> np.ndarray:
        """L^(p-2) s^(1) / eta^2."""
        return self.s[..., 0] / self.eta / self.eta * self.top ** (self.p - 2)

    def weighted(self, power: int) -> np.ndarray:
        """Sum of lambda_i^power s^(i): power p is G, p - 1 is Phi (the paper's Delta), q is Psi."""
        return np.sum(self.eigenvalues**power * self.s, axis=-1)

    @property
    def next_b(self) -> np.ndarray:
        """b_{t+1}, which is known before the step is taken."""
        return np.sqrt(self.b**2 + self.weighted(self.p))


def advance(state: State, steps: int = 1) -> State:
    """The state after exact steps of equation (7). Raises ValueError for ``steps`` that are no whole number from 0."""
    for _ in range(whole("steps", steps)):
        with np.errstate(all="ignore"):
            b = state.next_b
            factor = 1 - state.eta[..., None] * state.eigenvalues / b[..., None]
            s = np.where(state.s == 0, 0.0, factor**2 * state.s)
        state = _changed(state, np.where(np.isnan(s), np.inf, s), b)
    return state


def _advance_within(low: State, high: State) -> tuple[State, State]:
    """One step of whatever lies between these two, b and every s: the two between which it lies then."""
    rounding = (low.s.shape[-1] + 8) / 2 * EPS
    with np.errstate(all="ignore"):
        b_low, b_high = low.next_b * (1 - rounding), high.next_b * (1 + rounding)
        most, least = (low.eta[..., None] * low.eigenvalues / b[..., None] for b in (b_low, b_high))
        ends, off = (np.abs(1 - most), np.abs(1 - least)), 4 * EPS * (1 + most)
        smallest = np.where((least < 1) & (most > 1), 0.0, np.maximum(np.minimum(*ends) - off, 0.0))
        s_low, s_high = smallest**2 * low.s * (1 - 8 * EPS), (np.maximum(*ends) + off) ** 2 * high.s * (1 + 8 * EPS)
    return _changed(low, np.where(np.isnan(s_low), 0.0, s_low), b_low), _changed(
        high, np.where(np.isnan(s_high), np.inf, s_high), b_high
    )


def _changed(state: State, s: np.ndarray, b: np.ndarray) -> State:
    """The state with these; what is positive is so by its computation, and not checked."""
    after = copy(state)
    object.__setattr__(after, "s", s)
    object.__setattr__(after, "b", b)
    return after


def _bound(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Its values, inf in the place of nan: of a bound that float64 cannot hold, that is true."""

    @wraps(function)
    def bounding(*args: object, **kwargs: object) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = function(*args, **kwargs)
        return np.where(np.isnan(value), np.inf, value)

    return bounding


def _log_excess(x: np.ndarray, constant: float, slope: float) -> np.ndarray:
    """2 log(1 / 2x) + constant + slope x for x < 1/2, and 0 from there on (where it vanishes)."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.where(x >= 0.5, 0.0, -2 * np.log(2 * np.minimum(x, 0.5)) + constant + slope * x)


def growth(x: np.ndarray) -> np.ndarray:
    """ell0(x) = 2 log(1/2x) - 2 + 4x below 1/2: what expansion from b = x eta L can add to an error, in eta^2 units.

    Nothing is checked: nan gives nan.
    """
    return _log_excess(x, -2.0, 4.0)


def growth_from(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """ell1(a, x) = (1 - a^2/x^2)(1 - 2x) + ell0(x) below 1/2: the same when the first b = x follows on a.

    Nothing is checked: nan gives nan.
    """
    a, x = np.asarray(a, dtype=np.float64), np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.where(x >= 0.5, 0.0, (1 - (a / x) ** 2) * (1 - 2 * x)) + growth(x)


def _upper_growth(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """growth_from, whose terms cancel next to 1/2, and no less than it."""
    return growth_from(a, x) * (1 + 8 * EPS) + 16 * EPS * (x < 0.5 * (1 + 16 * EPS))


def exit_bounds(state: State, exact_steps: int = 0) -> dict[str, np.ndarray]:
    """Upper bounds of the exit index N = min{t: b_{t+1} >= eta L / 2} (Lemma 1, docs A1), as real numbers.

    ``lin`` and ``log`` and ``paper`` bound N strictly, ``two`` and ``simple`` weakly; N is 0 where b_1 is large enough.
    ``paper`` is Lemma 1 without its "+ 1". ``best`` is the least whole number that they imply.
    A zero s^(1) gives inf: then b may stay below eta L / 2 for ever.

    Each is the least of k + that bound after k exact steps of equation (7), k = 0..``exact_steps``; where some are
    taken, all bound N weakly. Raises ValueError for ``exact_steps`` that are no whole number from 0.
    """
    bounds, low, high = _exit_bounds(state), state, state
    for k in range(1, whole("exact_steps", exact_steps) + 1):
        low, high = _advance_within(low, high)
        bounds = {name: np.fmin(bounds[name], k + value) for name, value in _exit_bounds(low).items()}
    return bounds


def _exit_bounds(state: State) -> dict[str, np.ndarray]:
    """The same without exact steps."""
    with np.errstate(all="ignore"):
        u, beta = state.u * (1 - 8 * EPS), state.beta
        y, x = (1 - 2 * beta) * (1 + 2 * beta) + 8 * EPS, 4 * u
        strict = {
            "lin": y / x,
            "paper": np.log1p(y) / np.log1p(x),
            "log": np.log1p(y * (2 + x)) / (2 * np.log1p(x)),
        }
        weak = {"two": _two_phases(u, beta), "simple": 1 + (2 + np.log1p(u**-0.5)) / (4 * u**0.5)}
        best = np.minimum(
            np.ceil(np.min([*strict.values()], axis=0) * (1 + ROUNDING)) - 1,
            np.floor(np.min([*weak.values()], axis=0) * (1 + ROUNDING)),
        )
    bounds = strict | weak | {"best": best}
    with np.errstate(all="ignore"):
        below = state.next_b < state.eta * state.top / 2 * (1 + (state.s.shape[-1] + 8) * EPS)
    seen = u > 0
    return {
        name: np.where(below, np.where(seen & ~np.isnan(value), np.maximum(value, 0), np.inf), 0.0)
        for name, value in bounds.items()
    }


def _two_phases(u: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Docs A1 (two): fast growth up to theta = 1/2 - nu, then at most as long as b has room; minimised over nu."""
    nu = np.minimum(0.5 * np.geomspace(1e-9, 1, GRID, endpoint=False), 0.5)
    nu = np.concatenate([np.broadcast_to(nu, (*u.shape, GRID)), np.minimum(u**0.5 / 2, 0.499)[..., None]], axis=-1)
    u, beta, theta = u[..., None], beta[..., None], 0.5 - nu
    rho = 1 / theta - 1
    room = nu * (1 - nu)  # 1/4 - theta^2
    fast = np.log1p((np.maximum(theta**2 - beta**2, 0) + 2 * EPS) * (rho**2 - 1) / u) / (2 * np.log(rho))
    slow = room / (u * np.exp(2 * fast * np.log(rho)))
    bound = 1 + np.maximum(room / u, fast + slow)
    return np.min(np.where(theta > beta, bound, np.inf), axis=-1)


@_bound
def error_bounds(state: State) -> np.ndarray:
    """S_i (..., d), a bound of every s_t^(i) for all t (docs A2); it stays bounded as b_0 -> 0."""
    scale, b1 = state.eta[..., None] * state.eigenvalues, state.next_b[..., None]
    jump = np.where(scale * (1 + 8 * EPS) > 2 * b1, (scale - b1) ** 2 / state.eigenvalues**state.p, 0.0)
    added = state.eta[..., None] ** 2 * state.eigenvalues ** (2 - state.p)
    crept = state.s + added * _upper_growth(state.b[..., None] / scale, b1 / scale)
    limits = np.minimum(np.maximum(state.s, jump), crept) * (1 + (state.s.shape[-1] + 32) * EPS)
    return np.where(state.s > 0, limits, 0.0)


@_bound
def target_bound(state: State, q: int) -> np.ndarray:
    """A bound of Psi_t for all t (docs A3), and with q = p - 1 of Phi_t. Raises ValueError unless q is 0 or 1."""
    one_of("q", q, (0, 1))
    by_direction = np.sum(state.eigenvalues**q * error_bounds(state), axis=-1)
    beta1 = state.next_b / (state.eta * state.top)
    added = state.eta**2 * state.top ** (q + 2 - state.p) * _upper_growth(state.beta, beta1)
    return np.minimum(by_direction, state.weighted(q) + added) * (1 + (state.s.shape[-1] + 32) * EPS)


@_bound
def exit_bound(state: State) -> np.ndarray:
    r"""A bound of Phi_N at an exit N >= 1 that does not grow with the number of large eigenvalues (docs A3).

    The last growth is paid for: :math:`\sum_i \lambda_i^p s_{N-1}^{(i)} \le b_N^2`, so that the directions of any set J
    have :math:`\sum_J \lambda_i^{p-1} s_N^{(i)} \le \max_J (b_N - \eta\lambda_i)^2 / \lambda_i`, convex in b_N,
    between b_1 and eta L / 2. The others keep their own bounds S_i. J holds the largest eigenvalues, as many as make
    the bound least.
    """
    scale, low, high = state.eta[..., None] * state.eigenvalues, state.next_b, state.eta * state.top / 2
    ends = np.maximum((low[..., None] - scale) ** 2, (high[..., None] - scale) ** 2)
    paid = np.maximum.accumulate(ends / state.eigenvalues, axis=-1)
    own = state.eigenvalues ** (state.p - 1) * error_bounds(state)
    rest = np.flip(np.cumsum(np.flip(own, axis=-1), axis=-1), axis=-1) - own
    return np.min(paid + np.maximum(rest, 0) + 4 * EPS * own.sum(axis=-1, keepdims=True), axis=-1) * (1 + 32 * EPS)


@_bound
def b_max(state: State) -> np.ndarray:
    """The sharp bound of b_t for all t (docs A4), by the larger root of 2x - log x = K (Lambert's W_{-1})."""
    unit = state.eta * state.top
    curvature = state.eta**2 * state.top
    beta0, b1 = state.beta, state.next_b
    beta1 = b1 / unit
    f_bar = np.minimum(target_bound(state, state.p - 1), exit_bound(state)) / curvature
    from_below = np.minimum(hroot(2 + f_bar / (1 + 0.5**0.5)), hroot(1 + np.log(2) + f_bar))

    f0 = state.weighted(state.p - 1) / curvature
    _, after = _advance_within(state, state)
    f1 = after.weighted(state.p - 1) / curvature
    h0 = np.where(
        beta0 >= 0.5, 2 * beta0 - np.log(np.maximum(beta0, 0.5)) + f0 / (1 + state.b / b1), 1 + np.log(2) + f0
    )
    h1 = 2 * beta1 - np.log(np.maximum(beta1, 0.5)) + f1 / (1 + b1 / after.next_b)
    from_above = np.minimum(hroot(h0), hroot(np.maximum(h1, 1 + np.log(2))))
    bound = unit * np.where(beta1 < 0.5, from_below, from_above)
    return np.maximum(bound, b1) * (1 + (state.s.shape[-1] + 8) * EPS)


@_bound
def b_max_headline(state: State) -> np.ndarray:
    """The readable bound (docs A4): max(b_0, eta L) + Phi_0 / eta + eta L min{ell(beta_1), tr(A) / L}."""
    unit = state.eta * state.top
    ell = _log_excess(state.next_b / unit, -1.0, 2.0)
    trace = np.sum(state.eigenvalues * (state.s > 0), axis=-1) / state.top
    bound = np.maximum(state.b, unit) + state.weighted(state.p - 1) / state.eta + unit * np.minimum(ell, trace)
    return bound * (1 + (state.s.shape[-1] + 16) * EPS)


@_bound
def iterations(state: State, eps: np.ndarray, q: int, exact_steps: int = 1) -> np.ndarray:
    """T with Psi_t <= eps for ALL t >= T, from this state (Theorem 1 and Corollary 1, docs A5), as whole floats.

    The least of k + T(state after k exact steps of equation (7)), k = 0..``exact_steps``. One exact step is as explicit
    as none (b_1 is known at the start) and far sharper where b_0 is small. Given the state of a running job the number
    is a certificate: from here on, at most T more steps. ``eps`` (...) positive. Raises ValueError for an ``eps`` that
    is not, a q but 0 and 1, or ``exact_steps`` that are no whole number from 0.
    """
    eps, exact_steps = real("eps", eps, above=0.0), whole("exact_steps", exact_steps)
    lead, state = broadcast(eps=eps, state=state.b), copy(state)
    state._set(lead, eigenvalues=state.eigenvalues, s=state.s, b=state.b, eta=state.eta)
    eps = np.broadcast_to(eps, lead)
    best, low, high = _iterations_from(state, state, eps, q), state, state
    for k in range(1, exact_steps + 1):
        low, high = _advance_within(low, high)
        best = np.fmin(best, k + _iterations_from(low, high, eps, q))
    return best


def iterations_at_least(state: State, eps: np.ndarray, q: int) -> np.ndarray:
    """A lower bound of every T with Psi_t <= eps for all t >= T, from this state (docs A5), as whole floats.

    Where eta lambda_i < b_1, no factor of direction i is smaller than its first, 1 - eta lambda_i / b_1: the least k at
    which what such factors leave is at most eps. 0 where there is no such direction. Raises ValueError for an ``eps``
    that is not positive and a q but 0 and 1.
    """
    eps, _ = real("eps", eps, above=0.0), one_of("q", q, (0, 1))
    eps = np.broadcast_to(eps, broadcast(eps=eps, state=state.b))
    with np.errstate(all="ignore"):
        rho = 1 - state.eta[..., None] * state.eigenvalues / state.next_b[..., None]
        rho = rho - (state.s.shape[-1] + 12) / 2 * EPS
        start = np.where(rho > 0, state.eigenvalues**q * state.s, 0.0)
        return steps_until(start, rho, eps * (1 + 1e-8))  # by more than steps_until keeps clear of eps


def _iterations_from(low: State, high: State, eps: np.ndarray, q: int) -> np.ndarray:
    """The same without exact steps, for all states between these two, which are one but for roundings."""
    state = _changed(high, high.s, low.b)  # what grows grows most from the least b
    unit, b1, psi_bar = state.eta * state.top, low.next_b, target_bound(state, q)
    with np.errstate(all="ignore"):
        b_bar = b_max(state) * (high.b / low.b) ** 4  # it is no more sensitive to b than that
    b_bar = np.where(np.isnan(b_bar), np.inf, b_bar)

    # Where b_1 is past eta L / 2 every factor is between those at b_1 and at b_bar, which contract.
    weights = state.eigenvalues**q
    with np.errstate(all="ignore"):
        direct = _contracting(state, weights * state.s, b1, b_bar, eps)
        t = np.where(2 * b1 > unit, direct, np.inf)
        errors = weights * error_bounds(state)
        others = np.where(state.eigenvalues > (state.top - state.bottom)[..., None] * (1 + 4 * EPS), 0.0, errors)
        for waited, held, delta, kept in _windows(low, state, eps, q, b_bar, psi_bar):
            entry = unit * (1 + delta) / 2
            entered = _contracting(state, errors, entry, b_bar, eps)
            if not kept:  # b may still be in the window, then from its lower end on
                entered = np.maximum(entered, _contracting(state, others, entry, b_bar, eps / 2, unit / 2))
            t = np.minimum(t, waited + held + entered)
    return np.where(psi_bar <= eps, 0.0, t)


def _contracting(
    state: State, start: np.ndarray, low: np.ndarray, high: np.ndarray, eps: np.ndarray, *more: np.ndarray
):
    """Steps until sum_i start_i rho_i^(2k) <= eps, rho_i the largest factor for b from low (and ``more``) to high."""
    ratios = [state.eta[..., None] * state.eigenvalues / b[..., None] for b in (low, high, *more)]
    off = EPS * (1 + (state.s.shape[-1] + 8) / 2 * np.max(ratios, axis=0))
    rho = np.max([np.abs(1 - ratio) for ratio in ratios], axis=0) + off
    return steps_until(start * (1 + 4 * EPS), rho, eps)


def _windows(low: State, state: State, eps: np.ndarray, q: int, b_bar: np.ndarray, psi_bar: np.ndarray):
    """Case (b) of docs A5: (steps to the exit, steps to b >= eta L (1 + delta) / 2 after it, delta, whether by K1).

    Two ways to leave the window, each with the delta of a grid that makes its plain total least: by the error that
    direction 1 keeps (K1), or because Psi would otherwise be small already (K3).
    """
    ratio, u = state.bottom / state.top, low.u[..., None] * (1 - 8 * EPS)
    special = np.minimum(np.minimum(ratio, low.u**0.5 / 3), 1 / 6)
    delta = np.concatenate([ratio[..., None] * np.geomspace(1e-9, 1, GRID), special[..., None]], axis=-1)
    unit, waited = (state.eta * state.top)[..., None], exit_bounds(low)["best"]

    u_low = (u * (1 - delta) ** 2 * (1 - 16 * EPS) - delta**2 * (2 + delta) * (1 + 16 * EPS)) / (1 + delta) ** 2
    kept = np.where(u_low > 0, np.floor(1 + delta * (2 + delta) / (4 * u_low) * (1 + ROUNDING)), np.inf)
    outside = np.maximum(state.top - state.bottom, state.bottom)[..., None]
    small = 1 + unit**2 * delta * (2 + delta) / (2 * outside ** (state.p - q) * eps[..., None])
    small = np.floor(small * (1 + ROUNDING))

    shrink = state.eta * state.bottom / b_bar  # a factor 1 - shrink below 0 is the other end's business
    slow = np.where(shrink < 1, -np.log1p(-np.minimum(shrink, 1)), np.inf)
    rate = np.minimum(slow[..., None], np.log((1 + delta) / (1 - delta)))
    for held, excess in ((kept, 1.0), (small, 2.0)):
        plain = held + np.log(np.maximum(excess * psi_bar / eps, 1))[..., None] / (2 * rate)
        best = np.argmin(np.where(np.isnan(plain), np.inf, plain), axis=-1)[..., None]
        chosen = np.take_along_axis(delta, best, -1)[..., 0]
        lead = np.take_along_axis(held, best, -1)[..., 0]
        yield waited, np.where(np.isnan(lead), np.inf, lead), chosen, held is kept
