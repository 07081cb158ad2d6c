r"""The matrices that a step of a two-layer network may have while some activities are unknown (docs D1).

A step multiplies the residual by :math:`I - sM`, :math:`M_{ij} = K_{ij}\tfrac1m\sum_r\theta_{ri}I_{rj}` with K = XX',
where the activities I and the shares theta of the step are 0 or 1, or on the *unstable* pairs anywhere in [0, 1]. With
h the activities, 1/2 on the unstable pairs, M is the sum of a centre A, about :math:`K\circ h^\top h/m`, and the parts
of theta (E1), of I (E2) and of both (E3). What is computed here are bounds of E = E1 + E2 + E3, rounding included:
``defect`` is what it adds to all of them.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

UNIT = 2.0**-53  # the largest relative error of one rounding
WIDER = 1 + 16 * UNIT  # covers up to 15 roundings of a positive expression
TRIED = 32  # values of a free parameter


def upper_lengths(rows: np.ndarray) -> np.ndarray:
    """Upper bounds of the rows' lengths."""
    scale = np.maximum(np.abs(rows).max(axis=-1), 1e-300)
    return np.sqrt(((rows / scale[..., None]) ** 2).sum(axis=-1)) * scale * (1 + (rows.shape[-1] + 8) * UNIT)


@dataclass(frozen=True)
class Spectrum:
    """A symmetric matrix as V diag(values) V', V orthogonal.

    ``vectors`` are within ``turn`` of V in norm, and what the equation leaves out is at most ``defect`` in norm: both
    from the residual and from V'V - I, rounding included.
    """

    values: np.ndarray
    vectors: np.ndarray
    turn: float
    defect: float

    @classmethod
    def of(cls, matrix: np.ndarray) -> "Spectrum":
        """The matrix's spectrum, ascending."""
        n = len(matrix)
        values, vectors = np.linalg.eigh(matrix)
        top = float(np.abs(values).max())
        turn = 1.01 * (float(np.linalg.norm(vectors.T @ vectors - np.eye(n))) + (n + 3) * n * UNIT)
        residual = float(np.linalg.norm(matrix - (vectors * values) @ vectors.T))
        return cls(values, vectors, turn, 1.01 * (residual + (n + 4) * n * UNIT * top + 2 * top * turn))

    @property
    def norm(self) -> float:
        """An upper bound of the matrix's norm."""
        return (float(np.abs(self.values).max()) + self.defect) * WIDER


class Flips(NamedTuple):
    """Sums over the pairs that may flip, for either centre; ``both`` and ``active`` are h'h of docs D1 over m."""

    both: np.ndarray
    active: np.ndarray
    second: np.ndarray
    signed: np.ndarray  # W of docs D1
    top: float  # a bound of its norm

    @classmethod
    def of(cls, inner: np.ndarray, on: np.ndarray, unstable: np.ndarray) -> "Flips":
        """Add up the ``unstable`` pairs (m, n), where ``on`` are the activities."""
        m, n = on.shape
        free, half = unstable.astype(np.float64), np.where(unstable, 0.5, on)
        signed = np.zeros((n, n))
        for i in np.flatnonzero(unstable.any(axis=0)):
            rows = half[unstable[:, i]] * inner[i]
            signed += len(rows) / m * (rows.T @ rows / m)
        second = np.abs(inner) * (half.T @ free / m) / 2
        return cls(free.T @ free / m, half.T @ half / m, second, signed, Spectrum.of(signed).norm)


class Perturbation:
    r"""The centre A and bounds of E for given unstable pairs.

    ``share`` is in [0, 1/4], and so much is added to h'h where both pairs are unstable: at 0 E1 and E2 leave the least
    for E3, at 1/4 A is in the middle. ``rho`` bounds the norm of E, :meth:`push` that of E z. ``inner_error`` bounds
    the error of a row of K in norm, ``size`` the Frobenius norm of X.
    """

    def __init__(self, inner: np.ndarray, flips: Flips, inner_error: np.ndarray, size: float, share: float):
        n, pairs = len(inner), np.abs(inner) * flips.both
        self._second, self._signed, self._top = flips.second, flips.signed, flips.top
        self._inner_error = float(inner_error.sum())
        self.centre = Spectrum.of(inner * (flips.active + share * flips.both))
        self.defect = (self.centre.defect + 4 * self._inner_error + 16 * UNIT * size**2) * WIDER
        self._third = pairs * (0.25 + share)
        self._radius = self._second + self._second.T + pairs * (0.25 - share)
        self._loss = 8 * (n + 4) * n * UNIT * self._top  # of a quadratic form of it, per unit of length squared
        self._first = math.sqrt(self._top + self._loss) / 2 * WIDER
        self._both = Spectrum.of(self._third).norm
        self.rho = (min(Spectrum.of(self._radius).norm, 2 * self._first + self._both) + self.defect) * WIDER

    @classmethod
    def least(
        cls, inner: np.ndarray, on: np.ndarray, unstable: np.ndarray, inner_error: np.ndarray, size: float
    ) -> "Perturbation":
        """The one of the two ends of ``share`` with the less rho where that makes its rate, else the higher rate."""
        flips = Flips.of(inner, on, unstable)
        both = [cls(inner, flips, inner_error, size, share) for share in (0.0, 0.25)]
        tight = min(both, key=lambda one: one.rho)
        return tight if tight.rate(0.0) > tight._form else max(both, key=lambda one: one.rate(0.0))

    def rate(self, step: float) -> float:
        r"""A nu, of either sign, with :math:`\|I - sM\| \le 1 - s\nu` for all s up to ``step`` and all E (docs D2)."""
        bottom, top = float(self.centre.values[0]), float(self.centre.values[-1])
        room = 2 / (step * WIDER) - top * WIDER if step > 0 else math.inf
        nu, long = min(bottom, room) / WIDER - self.rho * WIDER, 1.5 - step * top * WIDER
        return max(nu, self._form - 0.75 * step * self.rho**2 / long * WIDER) if long > 0.1 else nu

    @cached_property
    def _form(self) -> float:
        r"""A lower bound of :math:`z^\top(M - \tfrac{3}{4L}A^2)z` for all unit vectors z and all E (docs D2)."""
        values, vectors, n = self.centre.values, self.centre.vectors, len(self._signed)
        if not self._top > 0:
            return -math.inf
        signed = vectors.T @ self._signed @ vectors / 2
        shrunk = np.diag(values - 0.75 * values**2 / values[-1])
        shares = math.sqrt(self._top) * np.geomspace(1e-4, 1, TRIED)
        each = np.linalg.eigvalsh(shrunk - signed / shares[:, None, None])[:, 0] - shares / 2
        share = float(shares[np.argmax(each)])
        found = Spectrum.of(shrunk - signed / share)
        rounding = (4 * self.centre.turn + 8 * n * n * UNIT) * self._top + self._loss
        lost = (
            found.defect + 16 * UNIT * float(values[-1]) + rounding / (2 * share) + share / 2 + self._both + self.defect
        )
        return float(found.values[0]) - lost * WIDER

    @cached_property
    def sideways(self) -> float:
        r"""A bound s of :math:`|v^\top E_2 z| \le s\|Av\|\|z\|` for all v and z, where A is positive definite."""
        bottom, n = float(self.centre.values[0]), len(self._signed)
        inverse = self.centre.vectors / self.centre.values
        squared = Spectrum.of(inverse.T @ self._signed @ inverse).norm
        squared += (4 * self.centre.turn + 8 * n * n * UNIT) * (self._top / bottom / bottom)
        return (math.sqrt(squared) / 2 + self._inner_error / bottom) * WIDER

    def push(self, middle: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
        """Bounds of ||E z|| and ||(E - E2) z|| for every z within ``spread`` of ``middle``."""
        size = np.abs(middle) + spread
        rows = [middle, spread, size, self._second @ size, self._second.T @ size, self._third @ size]
        lengths = upper_lengths(np.array([*rows, self._radius @ size])).tolist()
        middle_length, spread_length, length, second, first, third, whole = lengths
        quadratic = max(float(middle @ self._signed @ middle), 0.0) + self._loss * middle_length**2
        rest = min(first, math.sqrt(quadratic) / 2 + self._first * spread_length) + third
        other = self.defect * length * WIDER
        slack = 1 + (len(middle) + 16) * UNIT
        return min(rest + min(second, self._first * length), whole) * slack + other, rest * slack + other
