r"""The residual of a two-layer network between bounds, step by step (docs D2): what certificates are made of.

While no activity changes but those of a known set, :math:`z_{k+1} = (I - s_k(M + E_k))z_k` with a fixed symmetric M and
:math:`\|E_k\| \le \rho`. With :math:`\bar z` the same recursion without E, z stays within e of :math:`\bar z`, and b,
the step and each coordinate of :math:`\bar z` stay in intervals. Gradient descent is the case in which b does not move.

Every interval is widened by what its arithmetic may have rounded (docs D5), so that the bounds hold for real numbers.
Nothing is checked here: the caller does.
"""

import math
from typing import NamedTuple

import numpy as np

from adaloss.theory.perturbation import UNIT, WIDER, Perturbation

MOST = 4000  # intervals that are held; what comes after them is bounded as a whole
CELLS = 48  # of time, in which the bounds of what a neuron sees are evaluated
HOPELESS = 1e30  # a bound that has grown so much is none


class Method(NamedTuple):
    r"""Steps :math:`\eta/b_{k+1}` with :math:`b_{k+1}^2 = b_k^2 + a^2\|z_k\|^2`; gradient descent has a = 0."""

    eta: float
    b: float
    a: float


class Start(NamedTuple):
    """The first residual in the eigenbasis of A, in a ``unit`` in which squares stay in float64."""

    unit: float
    squares: np.ndarray  # (2, n), of zbar_q and of lambda_q zbar_q
    middles: np.ndarray  # times the sum of the ends: the middle of zbar
    spreads: np.ndarray  # times their difference: its spread
    values: np.ndarray


class State(NamedTuple):
    """Where a tube is: bounds of ||z_k||, of its error, of b_k and of ||zbar_k||, and how many rows it has.

    ``pace`` estimates ||A zbar||, and no bound rests on it; ``same_signs``: no factor was negative so far.
    """

    k: int
    size: float
    error: float
    b_low: float
    b_high: float
    least: float
    most: float
    pace: float
    same_signs: bool
    rows: int


class Sums(NamedTuple):
    r"""Sums over all k to infinity, s_k the steps, e_k the error of :math:`\bar z_k`, N the exit."""

    total: float  # of s_k ||z_k||
    errors: float  # of s_k e_k
    errors_before: float  # the same over k < N
    after: float  # of s_k ||z_k|| over k >= N
    pushes: float  # of s_k ||E_k z_k|| over k >= N
    but_second: float  # the same for E but its part E2
    above: np.ndarray  # of s_k max(zbar_k,j, 0), (n,)
    below: np.ndarray  # of s_k max(-zbar_k,j, 0), (n,)
    low: np.ndarray  # zbar_q(k) / zbar_q(0) in eigenbasis: in each cell of time between ``low`` and ``high`` (cells, n)
    high: np.ndarray


class Tube:
    r"""Bounds along a trajectory from the residual V c, known to within ``error`` in norm, V the eigenvectors of M.

    ``k`` and ``size`` (of z) are those of the last step that was followed; ``exit`` is the first k from which on every
    step contracts (None: none yet), at the rate ``nu`` per unit of step, where ``step`` is the largest step and
    ``error_at_exit`` the error. ``rows``, ``between`` and ``coordinates``: those of ``steps.walk``.
    """

    def __init__(self, perturbation: Perturbation, c: np.ndarray, error: float, method: Method):
        from adaloss.theory import steps  # slow to import, with numba

        self._steps, self.perturbation, self.c, self.method = steps, perturbation, c, method
        self.rho, self.values, self.vectors = perturbation.rho, perturbation.centre.values, perturbation.centre.vectors
        self.bottom, self.top = float(self.values[0]), float(self.values[-1])
        unit, vectors = max(float(np.abs(c).max()), 1e-300), np.ascontiguousarray(self.vectors)
        part = c / unit
        squares = np.array([part**2, (part * self.values) ** 2])
        self._start = Start(unit, squares, vectors * (part / 2), np.abs(vectors) * np.abs(part / 2), self.values)
        self._ends = np.ones((2, len(c)))  # of zbar_q(k) / c_q, least and most
        least, most, pace = steps.norms(self._start, self._ends, True)
        self.first = (most + error) * WIDER
        self._state = State(0, self.first, error, method.b, method.b, least, most, pace, True, 0)
        self.exit, self.nu, self.step, self.error_at_exit = None, -math.inf, math.inf, math.inf
        self._rows, self._between = np.empty((MOST, 7)), np.empty((MOST, 2, len(c)))
        self._coordinates = np.empty((MOST, 2, len(c)))

    @property
    def k(self) -> int:
        """The last step that was followed."""
        return self._state.k

    @property
    def size(self) -> float:
        """A bound of ||z_k|| there."""
        return self._state.size

    @property
    def rows(self) -> np.ndarray:
        """Return of each block the first k, a bound of ||z_k||, largest step, steps, error, and two of ||E z||."""
        return self._rows[: self._state.rows]

    def follow(self, size: float) -> bool:
        """Go on until ||z|| is at most ``size`` from here on for ever; False where that is beyond what is held."""
        with np.errstate(all="ignore"):
            while self.exit is None:
                now, (eta, _, a) = self._state, self.method
                if now.rows >= MOST or not now.size <= HOPELESS * self.first:
                    return False
                large = eta / self._steps.next_b(now.b_low, a, now.least, now.error) * WIDER
                self.nu = self.perturbation.rate(large * WIDER)
                if self.nu > 0:
                    self.exit, self.step, self.error_at_exit = now.k, large, now.error
                    self._walk(-math.inf, now.rows + 1, blocks=False)
                elif a:
                    self._walk(-math.inf, MOST, blocks=False)
                else:
                    return False  # no later step is smaller
            self._walk(size, MOST, blocks=True)
        return self.size <= size

    def _walk(self, target: float, last: int, blocks: bool) -> None:
        self._state, self._ends = self._steps.walk(
            self._state,
            self._ends,
            target,
            HOPELESS * self.first,
            last,
            self.nu,
            -math.inf if self.nu > 0 else self.perturbation.form,
            blocks,
            self.method,
            self._start,
            self.perturbation.bounds,
            self._rows,
            self._between,
            self._coordinates,
        )

    @property
    def b_limit(self) -> float:
        """A bound of b for ever: b_k + a^2 ||z_k||^2 / (eta nu) at the last step."""
        eta, _, a = self.method
        more = a * self.size
        return (self._state.b_high + more * (more / (eta * self.nu))) * WIDER if a else self._state.b_high

    def rest(self, size: float) -> float:
        """Bound the steps after the last one with ||z|| above ``size``: a whole number, inf where float64 ends."""
        if self.size <= size:
            return 0.0
        with np.errstate(all="ignore"):
            rate = np.float64(self.method.eta) * self.nu / self.b_limit
            return float(np.maximum(np.ceil(np.log(np.float64(self.size) / size) / rate * (1 + 1e-12)), 1.0))

    def sums(self) -> Sums:
        """The sums to infinity, where the last rows are continued by geometric series."""
        k, sizes, large, steps, errors, pushes, but_second = self.rows.T
        low, high = self._between[: len(k)].transpose(1, 0, 2)
        (ends_low, ends_high), (error, most) = self._ends, (self._state.error, self._state.most)
        weights, after, last = large * steps, k >= self.exit, np.maximum(np.abs(ends_low), np.abs(ends_high))
        rates = np.minimum(self.values, 2 / (self.step * WIDER) - self.values * WIDER) / WIDER
        rest = self.size / self.nu
        slowest = float(rates.min())
        rest_errors = min((error + self.rho * rest) / slowest, (error + self.rho * most / slowest) / self.nu)
        rest_coordinates = np.abs(self.vectors) @ (np.abs(self.c) * last / rates)
        rest_coordinates += 3 * self.perturbation.centre.turn * (rest + rest_errors)
        middle, spread = self._coordinates[: len(k)].transpose(1, 0, 2) * self._start.unit
        crosses = self.step * self.values > 1
        final = np.where(crosses, -last, np.minimum(ends_low, 0.0)), np.where(crosses, last, np.maximum(ends_high, 0.0))
        moves = np.abs(np.diff((low + high) / 2, axis=0)).max(axis=1, initial=0.0)
        place = np.concatenate([[0.0], np.cumsum(moves)])
        first = np.unique(np.floor(place * ((CELLS - 1) / max(place[-1], 1e-300))), return_index=True)[1]
        rounding = 1 + (len(k) + 32) * UNIT
        return Sums(
            total=float((weights @ sizes + rest) * rounding),
            after=float((weights[after] @ sizes[after] + rest) * rounding),
            pushes=float((weights[after] @ pushes[after] + self.rho * rest) * rounding),
            but_second=float((weights[after] @ but_second[after] + self.rho * rest) * rounding),
            errors=float((weights @ errors + rest_errors) * rounding),
            errors_before=float(weights[~after] @ errors[~after] * rounding),
            above=(weights @ np.maximum(middle + spread, 0.0) + rest_coordinates) * rounding,
            below=(weights @ np.maximum(spread - middle, 0.0) + rest_coordinates) * rounding,
            low=np.concatenate([np.minimum.reduceat(low, first), final[0][None]]),
            high=np.concatenate([np.maximum.reduceat(high, first), final[1][None]]),
        )
