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

from adaloss.theory.perturbation import TINY, UNIT, WIDER, Perturbation

MOST = 4000  # intervals that are held; what comes after them is bounded as a whole
CELLS = 48  # of time, in which the bounds of what a neuron sees are evaluated
BLOCK = 0.05  # of ||z||: as many short steps as change it by so much are taken together
HOPELESS = 1e30  # a bound that has grown so much is none
SIDES = np.array([[-1.0], [1.0]])
OUTWARDS, BELOW = 1 + 4 * UNIT * SIDES, 1e-300 * SIDES


class Method(NamedTuple):
    r"""Steps :math:`\eta/b_{k+1}` with :math:`b_{k+1}^2 = b_k^2 + a^2\|z_k\|^2`; gradient descent has a = 0."""

    eta: float
    b: float
    a: float


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

    ``k``, ``size`` (of z), ``error``, ``b_low`` and ``b_high`` are those of the last step that was followed; ``exit``
    is the first k from which on every step contracts (None: none yet), at the rate ``nu`` per unit of step, where
    ``step`` is the largest step and ``error_at_exit`` the error.
    """

    def __init__(self, perturbation: Perturbation, c: np.ndarray, error: float, method: Method):
        self.perturbation, self.c, self.method, self.rho = perturbation, c, method, perturbation.rho
        self.values, self.vectors = perturbation.centre.values, perturbation.centre.vectors
        self.bottom, self.top = float(self.values[0]), float(self.values[-1])
        self.k, self.error, self.b_low, self.b_high = 0, error, method.b, method.b
        self._unit = max(float(np.abs(c).max()), 1e-300)  # in which squares stay in float64
        part = c / self._unit
        self._squares = np.array([part**2, (part * self.values) ** 2]).T
        self._middles, self._spreads = self.vectors * (part / 2), np.abs(self.vectors) * np.abs(part / 2)
        self._factors = np.array([self.values * (1 + 4 * UNIT), self.values * (1 - 4 * UNIT)])
        self._ends = np.ones((2, len(c)))  # of zbar_q(k) / c_q, least and most
        self._same_signs = True  # no factor was negative so far
        self.least, self.most = self._norms()
        self.size = self.first = (self.most + error) * WIDER
        self.exit, self.nu, self.step, self.error_at_exit = None, -math.inf, math.inf, math.inf
        self.rows = []  # of each block: first k, a bound of ||z_k||, largest step, steps, error, two of ||E z||
        self.between = []  # the ends of zbar_q / c_q in each block
        self.coordinates = []  # the middle and the spread of zbar_j in each block

    @property
    def low(self) -> np.ndarray:
        """The least zbar_q(k) / c_q."""
        return self._ends[0]

    @property
    def high(self) -> np.ndarray:
        """The greatest zbar_q(k) / c_q."""
        return self._ends[1]

    def follow(self, size: float) -> bool:
        """Go on until ||z|| is at most ``size`` from here on for ever; False where that is beyond what is held."""
        with np.errstate(over="ignore", invalid="ignore"):
            while self.exit is None or not self.size <= size:
                if len(self.rows) >= MOST or not self.size <= HOPELESS * self.first:
                    return False
                self._advance()
                if self.exit is None and not self.method.a:
                    return False  # no later step is smaller
        return True

    def _norms(self) -> tuple[float, float]:
        """Return a lower and an upper bound of ||zbar||; keep an estimate of ||A zbar||, on which no bound rests."""
        ends = self._ends
        if not self._same_signs:
            ends = np.array([np.maximum(np.maximum(ends[0], -ends[1]), 0.0), np.maximum(-ends[0], ends[1])])
        (least, _), (most, pace) = ((ends * ends) @ self._squares).tolist()
        rounding = (len(self.c) + 8) * UNIT
        self._pace = math.sqrt(pace) * self._unit
        least = math.sqrt(max(least - TINY, 0.0)) * (1 - rounding) * self._unit
        return least, math.sqrt(most + TINY) * (1 + rounding) * self._unit

    def _advance(self) -> None:
        """One step, or as many as hardly change anything."""
        eta, a, rho = self.method.eta, self.method.a, self.rho
        first_b, least = self.b_low, max(self.least - self.error * WIDER, 0.0)
        b_low = max(math.hypot(self.b_low, a * least) / WIDER, self.b_low)
        large, steps = eta / b_low * WIDER, 1
        if self.exit is None:
            self.nu = self.perturbation.rate(large * WIDER)
            if self.nu > 0:
                self.exit, self.step, self.error_at_exit = self.k, large, self.error
        elif large * self.top < 0.5:  # no factor is negative: the ends of a block bound all of it
            pace = large * (self._pace + self.top * self.error) / max(self.size, 1e-300)
            steps = max(int(min(BLOCK / max(pace, 1e-300), 2.0**40)), 1)
        rounding = 1 + 16 * UNIT * steps
        b_high = math.hypot(self.b_high, a * self.size * math.sqrt(steps)) * WIDER if a else self.b_high
        small = eta / b_high / WIDER
        ends, error, most = self._ends, self.error, self.most
        self._shrink(small, large, steps)
        self.least, self.most = self._norms()
        if steps > 1:
            ends = np.array([np.minimum(ends[0], self.low), np.maximum(ends[1], self.high)])
            error, most = (error + steps * large * rho * self.size) * WIDER, max(most, self.most)
        push, *pushes = self._push(ends, most, error)
        errors, sizes = [], []  # at both ends of the step, by the factors of A alone and by the rate
        for s in (small, large):
            factor = max(abs(1 - s * self.bottom), abs(1 - s * self.top)) + 4 * UNIT * (1 + s * self.top)
            shrinks = (1 - s * self.nu + 4 * UNIT) ** steps
            errors.append((factor**steps * self.error + steps * s * pushes[0], shrinks * self.error + steps * s * push))
            sizes.append(((factor + s * rho) ** steps * self.size, shrinks * self.size))
        self.rows.append((self.k, self.size, large, steps, error, *pushes))
        self.between.append(ends)
        within = error  # the block
        error, size = (min(map(max, zip(*ends, strict=True))) * rounding for ends in (errors, sizes))
        self.k, self.error, self.b_low, self.b_high = self.k + steps, error, b_low, b_high
        if steps > 1:  # in a block ||zbar|| is least at its end
            least = max(self.least - within * WIDER, 0.0)
            self.b_low = max(math.hypot(first_b, a * least * math.sqrt(steps)) / WIDER, self.b_low)
        grown = min((self.most + error) * WIDER, size)
        self.size = grown if self.exit is None else min(grown, self.size)

    def _push(self, ends: np.ndarray, most: float, error: float) -> list[float]:
        """Bounds of ||E zbar||, zbar between the ends, and of ||E z|| and ||(E - E2) z||, z within the error of it."""
        middle, spread = self._middles @ (ends[0] + ends[1]), self._spreads @ (ends[1] - ends[0])
        spread += (2 * self.perturbation.centre.turn + 8 * UNIT) * (most / self._unit)
        self.coordinates.append((middle, spread))
        push, but_second = self.perturbation.push(middle, spread)
        push, but_second = push * self._unit, but_second * self._unit
        off, most = self.rho * error * WIDER, self.rho * self.size * WIDER
        return [push, min((push + off) * WIDER, most), min((but_second + off) * WIDER, most)]

    def _shrink(self, small: float, large: float, steps: int) -> None:
        """Multiply the ends by the factors of ``steps`` steps between small and large."""
        factors = OUTWARDS - np.array([[large], [small]]) * self._factors
        if steps > 1:  # all of them near 1
            factors = factors**steps
        self._same_signs = self._same_signs and large * self.top < 1
        if self._same_signs:
            self._ends = self._ends * (factors * OUTWARDS**4) + BELOW
            return
        ends = (self._ends[:, None] * (factors * OUTWARDS**4 if steps > 1 else factors)).reshape(4, -1)
        ends = np.array([ends.min(axis=0), ends.max(axis=0)])
        self._ends = ends + (2 * UNIT * np.abs(ends)) * SIDES + BELOW

    @property
    def b_limit(self) -> float:
        """A bound of b for ever: b_k + a^2 ||z_k||^2 / (eta nu) at the last step."""
        eta, _, a = self.method
        more = a * self.size
        return (self.b_high + more * (more / (eta * self.nu))) * WIDER if a else self.b_high

    def rest(self, size: float) -> float:
        """Bound the steps after the last one with ||z|| above ``size``: a whole number, inf where float64 ends."""
        if self.size <= size:
            return 0.0
        with np.errstate(over="ignore", divide="ignore"):
            rate = np.float64(self.method.eta) * self.nu / self.b_limit
            return float(np.maximum(np.ceil(np.log(np.float64(self.size) / size) / rate * (1 + 1e-12)), 1.0))

    def sums(self) -> Sums:
        """The sums to infinity, where the last rows are continued by geometric series."""
        k, sizes, large, steps, errors, pushes, but_second = np.array(self.rows).T
        low, high = np.array(self.between).transpose(1, 0, 2)
        weights, after, last = large * steps, k >= self.exit, np.maximum(np.abs(self.low), np.abs(self.high))
        rates = np.minimum(self.values, 2 / (self.step * WIDER) - self.values * WIDER) / WIDER
        rest = self.size / self.nu
        slowest = float(rates.min())
        rest_errors = min(
            (self.error + self.rho * rest) / slowest, (self.error + self.rho * self.most / slowest) / self.nu
        )
        rest_coordinates = np.abs(self.vectors) @ (np.abs(self.c) * last / rates)
        rest_coordinates += 3 * self.perturbation.centre.turn * (rest + rest_errors)
        middle, spread = np.array(self.coordinates).transpose(1, 0, 2) * self._unit
        crosses = self.step * self.values > 1
        final = np.where(crosses, -last, np.minimum(self.low, 0.0)), np.where(crosses, last, np.maximum(self.high, 0.0))
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
