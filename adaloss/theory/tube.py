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
BLOCK = 0.05  # of ||z||: as many short steps as change it by so much are taken together
HOPELESS = 1e30  # a bound that has grown so much is none


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
        self.low, self.high = np.ones_like(c), np.ones_like(c)
        self.least, self.most = self._norms()
        self.size = self.first = (self.most + error) * WIDER
        self.exit, self.nu, self.step, self.error_at_exit = None, -math.inf, math.inf, math.inf
        self.rows = []  # of each block: first k, a bound of ||z_k||, largest step, steps, error, two of ||E z||
        self.between = []  # the ends of zbar_q / c_q in each block
        self.coordinates = []  # the ends of zbar_j in each block

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
        """Return a lower and an upper bound of ||zbar||."""
        least = self.c * np.maximum(np.maximum(self.low, -self.high), 0.0)
        most = self.c * np.maximum(-self.low, self.high)
        rounding = (len(self.c) + 4) * UNIT
        return math.sqrt(float(least @ least)) * (1 - rounding), math.sqrt(float(most @ most)) * (1 + rounding)

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
            steps = max(int(min(BLOCK / max(large * self._pace(), 1e-300), 2.0**40)), 1)
        rounding = 1 + 16 * UNIT * steps
        b_high = math.hypot(self.b_high, a * self.size * math.sqrt(steps)) * WIDER if a else self.b_high
        small = eta / b_high / WIDER
        ends, error = (self.low, self.high), self.error
        self._shrink(small, large, steps)
        if steps > 1:
            ends = np.minimum(ends[0], self.low), np.maximum(ends[1], self.high)
            error = (error + steps * large * rho * self.size) * WIDER
        push, *pushes = self._push(*ends, error)
        errors, sizes = [], []  # at both ends of the step, by the factors of A alone and by the rate
        for s in (small, large):
            factor = max(abs(1 - s * self.bottom), abs(1 - s * self.top)) + 4 * UNIT * (1 + s * self.top)
            shrinks = (1 - s * self.nu + 4 * UNIT) ** steps
            errors.append((factor**steps * self.error + steps * s * pushes[0], shrinks * self.error + steps * s * push))
            sizes.append(((factor + s * rho) ** steps * self.size, shrinks * self.size))
        self.rows.append((self.k, self.size, large, steps, error, *pushes))
        self.between.append(ends)
        within = error  # the block
        error, size = (float(np.max(ends, axis=0).min()) * rounding for ends in (errors, sizes))
        self.k, self.error, self.b_low, self.b_high = self.k + steps, error, b_low, b_high
        self.least, self.most = self._norms()
        if steps > 1:  # in a block ||zbar|| is least at its end
            least = max(self.least - within * WIDER, 0.0)
            self.b_low = max(math.hypot(first_b, a * least * math.sqrt(steps)) / WIDER, self.b_low)
        grown = min((self.most + error) * WIDER, size)
        self.size = grown if self.exit is None else min(grown, self.size)

    def _pace(self) -> float:
        """Estimate the present rate of z, about ||A z|| / ||z||: a choice that no bound rests on."""
        ahead = np.abs(self.c) * np.maximum(-self.low, self.high)
        return (math.hypot(*(self.values * ahead).tolist()) + self.top * self.error) / max(self.size, 1e-300)

    def _push(self, low: np.ndarray, high: np.ndarray, error: float) -> list[float]:
        """Bounds of ||E zbar||, zbar between these, and of ||E z|| and ||(E - E2) z||, z within the error of it."""
        middle = self.vectors @ (self.c * ((low + high) / 2))
        spread = np.abs(self.vectors) @ (np.abs(self.c) * ((high - low) / 2))
        length = math.hypot(*(self.c * np.maximum(-low, high)).tolist()) * WIDER
        spread += (2 * self.perturbation.centre.turn + 8 * UNIT) * length
        self.coordinates.append((middle - spread, middle + spread))
        push, but_second = self.perturbation.push(middle, spread)
        off, most = self.rho * error * WIDER, self.rho * self.size * WIDER
        return [push, min((push + off) * WIDER, most), min((but_second + off) * WIDER, most)]

    def _shrink(self, small: float, large: float, steps: int) -> None:
        """Multiply the ends by the factors of ``steps`` steps between small and large."""
        pad = 4 * UNIT * (1 + large * np.abs(self.values))
        least, most = 1 - large * self.values - pad, 1 - small * self.values + pad
        if steps > 1:  # all of them near 1
            least, most = least**steps * (1 - 16 * UNIT), most**steps * (1 + 16 * UNIT)
        ends = np.array([self.low, self.low, self.high, self.high]) * np.array([least, most, least, most])
        low, high = ends.min(axis=0), ends.max(axis=0)
        self.low = low - 2 * UNIT * np.abs(low) - 1e-300
        self.high = high + 2 * UNIT * np.abs(high) + 1e-300

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
        low, high = (np.array(ends) for ends in zip(*self.between, strict=True))
        weights, after, last = large * steps, k >= self.exit, np.maximum(np.abs(self.low), np.abs(self.high))
        rates = np.minimum(self.values, 2 / (self.step * WIDER) - self.values * WIDER) / WIDER
        rest = self.size / self.nu
        slowest = float(rates.min())
        rest_errors = min(
            (self.error + self.rho * rest) / slowest, (self.error + self.rho * self.most / slowest) / self.nu
        )
        rest_coordinates = np.abs(self.vectors) @ (np.abs(self.c) * last / rates)
        rest_coordinates += 3 * self.perturbation.centre.turn * (rest + rest_errors)
        least, most = (np.array(ends) for ends in zip(*self.coordinates, strict=True))
        crosses = self.step * self.values > 1
        final = np.where(crosses, -last, np.minimum(self.low, 0.0)), np.where(crosses, last, np.maximum(self.high, 0.0))
        middle = (low + high) / 2
        moves = np.abs(np.diff(middle, axis=0)).max(axis=1, initial=0.0)
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
            above=(weights @ np.maximum(most, 0.0) + rest_coordinates) * rounding,
            below=(weights @ np.maximum(-least, 0.0) + rest_coordinates) * rounding,
            low=np.concatenate([np.minimum.reduceat(low, first), final[0][None]]),
            high=np.concatenate([np.maximum.reduceat(high, first), final[1][None]]),
        )
