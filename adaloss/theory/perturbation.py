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

import numpy as np

UNIT = 2.0**-53  # the largest relative error of one rounding
WIDER = 1 + 16 * UNIT  # covers up to 15 roundings of a positive expression


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


class Perturbation:
    r"""The centre A and bounds of E for given activities ``on`` and ``unstable`` pairs, both (m, n).

    kappa / m is added to h'h where both pairs are unstable: at 0 E1 and E2 leave the least for E3, at 1/4 A is in the
    middle; the less ``rho`` is taken. ``rho`` bounds the norm of E, :meth:`push` that of E z. ``inner_error`` bounds
    the error of a row of K in norm, ``size`` the Frobenius norm of X.
    """

    def __init__(self, inner: np.ndarray, on: np.ndarray, unstable: np.ndarray, inner_error: np.ndarray, size: float):
        (m, n), modulus = on.shape, np.abs(inner)
        free, half = unstable.astype(np.float64), np.where(unstable, 0.5, on)
        both, active = free.T @ free / m, half.T @ half / m
        self._second = modulus * (half.T @ free / m) / 2
        self._signed = np.zeros((n, n))  # W of docs D1
        for i in np.flatnonzero(unstable.any(axis=0)):
            rows = half[unstable[:, i]] * inner[i]
            self._signed += len(rows) / m * (rows.T @ rows / m)
        self._top, self._inner_error = Spectrum.of(self._signed).norm, float(inner_error.sum())
        self._loss = 8 * (n + 4) * n * UNIT * self._top  # of a quadratic form of it, per unit of length squared
        self._first = math.sqrt(self._top + self._loss) / 2 * WIDER
        choices = []
        for kappa in (0.0, 0.25):
            centre, third = Spectrum.of(inner * (active + kappa * both)), modulus * both * (0.25 + kappa)
            radius = self._second + self._second.T + modulus * both * (0.25 - kappa)
            defect = (centre.defect + 4 * self._inner_error + 16 * UNIT * size**2) * WIDER
            split = 2 * self._first + Spectrum.of(third).norm
            rho = (min(Spectrum.of(radius).norm, split) + defect) * WIDER
            choices.append((rho, defect, centre, third, radius))
        self.rho, self.defect, self.centre, self._third, self._radius = min(choices, key=lambda choice: choice[0])

    @cached_property
    def sideways(self) -> float:
        r"""A bound s of :math:`|v^\top E_2 z| \le s\|Av\|\|z\|` for all v and z, where A is positive definite."""
        bottom, n = float(self.centre.values[0]), len(self._signed)
        inverse = self.centre.vectors / self.centre.values
        squared = Spectrum.of(inverse.T @ self._signed @ inverse).norm
        squared += (4 * self.centre.turn + 8 * n * n * UNIT) * (self._top / bottom / bottom)
        return (math.sqrt(squared) / 2 + self._inner_error / bottom) * WIDER

    def push(self, middle: np.ndarray, spread: np.ndarray, error: float) -> tuple[float, float]:
        """Bounds of ||E z|| and ||(E - E2) z||, z within ``error`` of a vector within ``spread`` of ``middle``."""
        size = np.abs(middle) + spread
        rows = [middle, spread, size, self._second @ size, self._second.T @ size, self._third @ size]
        lengths = upper_lengths(np.array([*rows, self._radius @ size])).tolist()
        middle_length, spread_length, length, second, first, third, whole = lengths
        quadratic = max(float(middle @ self._signed @ middle), 0.0) + self._loss * middle_length**2
        rest = min(first, math.sqrt(quadratic) / 2 + self._first * spread_length) + third
        other = (self.defect * length + self.rho * error) * WIDER
        slack = 1 + (len(middle) + 16) * UNIT
        return min(rest + min(second, self._first * length), whole) * slack + other, rest * slack + other
