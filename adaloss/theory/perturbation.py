r"""The matrices that a step of a two-layer network may have while some activities are unknown (docs D1).

A step multiplies the residual by :math:`I - sM`, :math:`M_{ij} = K_{ij}\tfrac1m\sum_r\theta_{ri}I_{rj}` with K = XX',
where the activities I and the shares theta of the step are 0 or 1, or on the *unstable* pairs anywhere in [0, 1]. With
h the activities, 1/2 on the unstable pairs, M is the sum of a centre A, about :math:`K\circ h^\top h/m`, and the parts
of theta (E1), of I (E2) and of both (E3). What is computed here are bounds of E = E1 + E2 + E3, rounding included:
``defect`` is what it adds to all of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

UNIT = 2.0**-53  # the largest relative error of one rounding
WIDER = 1 + 16 * UNIT  # covers up to 15 roundings of a positive expression
TINY = 1e-316  # more than what sums of 1e7 squares lose where float64 ends
TRIED = 32  # values of a free parameter
EXACT = 2**22  # neurons, of which float32 adds up quarters without rounding


def upper_lengths(rows: np.ndarray) -> np.ndarray:
    """Upper bounds of the rows' lengths."""
    scale = np.maximum(np.abs(rows).max(axis=-1), 1e-300)
    return np.sqrt(((rows / scale[..., None]) ** 2).sum(axis=-1)) * scale * (1 + (rows.shape[-1] + 8) * UNIT)


def neurons_of(pairs: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tell of each neuron (m,) whether one of the ``pairs``, places r n + i, is its own."""
    found = np.zeros(shape[0], dtype=bool)
    found[pairs // shape[1]] = True
    return found


def _peak(value: Callable[[float], float], places: list[float]) -> float:
    """Return the place with the greatest value; the values rise and then fall."""
    low, high, known = 0, len(places) - 1, {}

    def at(k: int) -> float:
        return known[k] if k in known else known.setdefault(k, value(places[k]))

    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle) < at(middle + 1) else (low, middle)
    return places[low]


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

    @classmethod
    def of(cls, inner: np.ndarray, on: np.ndarray, unstable: np.ndarray, pairs_on: np.ndarray) -> "Flips":
        """Add up the ``unstable`` pairs (m, n), where ``on`` are the activities and ``pairs_on`` counts on'on."""
        m, n = on.shape
        rows = neurons_of(np.flatnonzero(unstable), unstable.shape)  # far cheaper than any(axis=1)
        unstable = unstable[rows]
        active = on[rows].astype(np.float32 if m < EXACT else np.float64)  # sums of quarters: no rounding
        free, half = unstable.astype(active.dtype), np.where(unstable, active.dtype.type(0.5), active)
        signed, squares = np.zeros((n, n)), pairs_on + (half.T @ half).astype(np.float64) - active.T @ active
        for i in np.flatnonzero(unstable.any(axis=0)):
            seen = half[unstable[:, i]]
            signed += (len(seen) / m * ((seen.T @ seen).astype(np.float64) / m)) * (inner[i][:, None] * inner[i])
        second = np.abs(inner) * ((half.T @ free).astype(np.float64) / m) / 2
        return cls((free.T @ free).astype(np.float64) / m, squares / m, second, signed)


class Bounds(NamedTuple):
    """Matrices and numbers that bound E z: R_2, R_2', R_3 and R of docs D1 over ``top``, and W over ``signed_top``."""

    stacked: np.ndarray
    signed: np.ndarray
    signed_top: float
    first: float  # of ||E_1||
    top: float  # the greatest eigenvalue of A
    bottom: float  # the least
    defect: float
    turn: float  # of A's eigenvectors
    rho: float  # of ||E||


def rate(step: float, bottom: float, top: float, rho: float, form: float) -> float:
    r"""A nu with :math:`\|I - sM\| \le 1 - s\nu` for all s up to ``step``, from a lower bound of D2's form."""
    room = 2 / (step * WIDER) - top * WIDER if step > 0 else math.inf
    nu, long = min(bottom, room) / WIDER - rho * WIDER, 1.5 - step * top * WIDER
    return max(nu, form - 0.75 * step * (rho * rho) / long * WIDER) if long > 0.1 else nu


class Perturbation:
    r"""The centre A and bounds of E for given unstable pairs.

    ``share`` is in [0, 1/4], and so much is added to h'h where both pairs are unstable: at 0 E1 and E2 leave the least
    for E3, at 1/4 A is in the middle. ``rho`` bounds the norm of E, ``bounds`` has what bounds E z. ``inner_error``
    bounds the error of a row of K in norm, ``size`` the Frobenius norm of X, ``top`` and ``both`` the norms of W and of
    R_3 over 1/4 + ``share``.
    """

    def __init__(
        self,
        inner: np.ndarray,
        flips: Flips,
        inner_error: np.ndarray,
        size: float,
        share: float,
        top: float,
        both: float,
    ):
        n, pairs = len(inner), np.abs(inner) * flips.both
        self._second, self._signed, self._top = flips.second, flips.signed, top
        self._inner_error = float(inner_error.sum())
        self.centre = Spectrum.of(inner * (flips.active + share * flips.both))
        self.defect = (self.centre.defect + 4 * self._inner_error + 16 * UNIT * size**2) * WIDER
        self._third = pairs * (0.25 + share)
        self._radius = self._second + self._second.T + pairs * (0.25 - share)
        self._loss = 8 * (n + 4) * n * UNIT * self._top  # of a quadratic form of it, per unit of length squared
        self._first = math.sqrt(self._top + self._loss) / 2 * WIDER
        self._both = both * (0.25 + share) * WIDER
        self.rho = (min(Spectrum.of(self._radius).norm, 2 * self._first + self._both) + self.defect) * WIDER

    @classmethod
    def least(cls, inner: np.ndarray, flips: Flips, inner_error: np.ndarray, size: float) -> "Perturbation":
        """The one of the two ends of ``share`` with the less rho where that makes its rate, else the higher rate."""
        top, both = Spectrum.of(flips.signed).norm, Spectrum.of(np.abs(inner) * flips.both).norm
        middle = Spectrum.of(flips.second + flips.second.T).norm
        # R is least in the middle: at share = 0 rho can be less by E1 and E2 alone.
        ends = (0.0, 0.25) if math.sqrt(top) + both / 4 < middle else (0.25, 0.0)
        tight = cls(inner, flips, inner_error, size, ends[0], top, both)
        if tight.plain > tight._most_form or tight.plain > tight.form:
            return tight
        return max(tight, cls(inner, flips, inner_error, size, ends[1], top, both), key=lambda one: one.rate(0.0))

    @property
    def plain(self) -> float:
        """A lower bound of mu - rho."""
        return float(self.centre.values[0]) / WIDER - self.rho * WIDER

    def rate(self, step: float) -> float:
        r"""A nu, of either sign, with :math:`\|I - sM\| \le 1 - s\nu` for all s up to ``step`` and all E (docs D2)."""
        ends = float(self.centre.values[0]), float(self.centre.values[-1]), self.rho
        nu = rate(step, *ends, -math.inf)
        return nu if nu > self._most_form else rate(step, *ends, self.form)

    @cached_property
    def _most_form(self) -> float:
        """An upper bound of the form, which spares it: its value at the lowest eigenvector, with the best tau."""
        lowest, bottom = self.centre.vectors[:, 0], self.centre.values[0]
        moved = math.sqrt(max(float(lowest @ self._signed @ lowest), 0.0)) if self._top > 0 else math.inf
        return float(bottom - 0.75 * bottom**2 / self.centre.values[-1] - moved - self._both + 1e-9 * abs(bottom))

    @cached_property
    def form(self) -> float:
        r"""A lower bound of :math:`z^\top(M - \tfrac{3}{4L}A^2)z` for all unit vectors z and all E (docs D2)."""
        values, vectors, n = self.centre.values, self.centre.vectors, len(self._signed)
        if not self._top > 0:
            return -math.inf
        signed = vectors.T @ self._signed @ vectors / 2
        shrunk = np.diag(values - 0.75 * values**2 / values[-1])
        shares = (math.sqrt(self._top) * np.geomspace(1e-4, 1, TRIED)).tolist()
        share = _peak(lambda share: float(np.linalg.eigvalsh(shrunk - signed / share)[0]) - share / 2, shares)
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

    @cached_property
    def bounds(self) -> Bounds:
        """Divide the matrices by the centre's top, and W by its own: their products can be squared in float64."""
        top = float(self.centre.values[-1])
        stacked = np.concatenate([self._second, self._second.T, self._third, self._radius]) / top
        return Bounds(
            stacked=stacked,
            signed=self._signed / (self._top or 1.0),
            signed_top=self._top,
            first=self._first,
            top=top,
            bottom=float(self.centre.values[0]),
            defect=self.defect,
            turn=self.centre.turn,
            rho=self.rho,
        )
