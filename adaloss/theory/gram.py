r"""The Gram matrix of the wide two-layer ReLU network (paper, Definition 1) and its extreme eigenvalues, in float64.

.. math:: H^\infty_{ij} = \mathbb E_{w \sim N(0, I)}\, x_i^\top x_j \mathbf 1\{w^\top x_i \ge 0, w^\top x_j \ge 0\}
          = x_i^\top x_j \, \frac{\pi - \arccos(x_i^\top x_j)}{2\pi}, \qquad \|x_i\| = 1

With :math:`K = XX^\top` it lies between multiples of K: :math:`\max(\|K\|/4, 1/2) \le \|H^\infty\| \le \|K\|/2` and
:math:`\lambda_{\min}(H^\infty) \ge \lambda_{\min}(K)/2`.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adaloss.arguments import whole

try:
    from scipy.linalg import eigh
    from scipy.linalg.blas import dsymv, dsyrk
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
except ModuleNotFoundError:
    raise ModuleNotFoundError("adaloss.theory.gram needs scipy: pip install 'adaloss[theory]'", name="scipy") from None

SMALL = 200  # up to this size one full decomposition gives both ends
NEURONS = 4096  # neurons whose activation patterns h_empirical holds at once


class ExtremeEigenvalues(NamedTuple):
    r"""Both ends of a spectrum, and :math:`\|Hv - \lambda v\|` of their unit vectors v.

    Some eigenvalue of H lies within the residual of each value.
    """

    lambda_min: float
    lambda_max: float
    residual_min: float
    residual_max: float


def h_infinity(x: np.ndarray, *, block: int = 40, max_bytes: int | None = None) -> np.ndarray:
    r""":math:`H^\infty` (n, n) of the unit rows ``x`` (n, d): exactly symmetric, the diagonal exactly 1/2.

    ``block`` rows at a time are held with the result; ``max_bytes`` (default: the memory now available) bounds both.
    Raises, before anything large is allocated, ValueError where ``x`` is not a matrix of finite real numbers or a row
    is not of length 1 up to the rounding of a normalisation in float64, MemoryError where the memory would not do.
    """
    x = _matrix("x", x)
    _refuse_other_lengths(x)
    n = len(x)
    if not isinstance(block, int | np.integer) or block < 1:
        raise ValueError(f"block={block!r}: should be an integer of 1 or more")
    block = min(int(block), n)
    _refuse_too_large(n, 8 * n * (n + block), max_bytes)
    h, work, below = np.empty((n, n)), np.empty(block * n), np.tri(block, dtype=bool)
    # -K into the upper triangle: arccos(-k) is pi - arccos(k) without its cancellation at k = -1.
    dsyrk(-1.0, x.T, beta=0.0, c=h.T, trans=1, lower=1, overwrite_c=1)
    with np.errstate(all="ignore"):
        for start in range(0, n, block):
            stop = min(start + block, n)
            rows = h[start:stop, start:]
            square, lower = rows[:, : stop - start], below[: stop - start, : stop - start]
            np.copyto(square, 0.0, where=lower)  # not written yet
            flat = work[: rows.size]
            angle = np.arccos(rows, out=flat.reshape(rows.shape))
            if np.isnan(flat @ flat):  # rounding took some |k| above 1; this costs less than to clamp every block
                np.arccos(np.clip(rows, -1.0, 1.0, out=rows), out=angle)
            flat *= -1 / (2 * np.pi)
            rows *= angle
            np.copyto(square, square.T, where=lower)
            h[stop:, start:stop] = rows[:, stop - start :].T
    np.fill_diagonal(h, 0.5)  # arccos near 1 would cost up to 1e-8
    return h


def h_empirical(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    r"""The Gram matrix (n, n) of a network of finite width, first layer ``w`` (m, d), rows ``x`` (n, d) of any length.

    .. math:: H_{ij} = x_i^\top x_j \, \frac1m \sum_{r=1}^m \mathbf 1\{w_r^\top x_i \ge 0, w_r^\top x_j \ge 0\}

    Raises ValueError where ``x`` or ``w`` is not a matrix of finite real numbers, or their columns differ in number.
    Where a product leaves float64 the result is inf or nan.
    """
    x, w = _matrix("x", x), _matrix("w", w)
    if w.shape[1] != x.shape[1]:
        raise ValueError(f"w.shape={w.shape}: should be (m, {x.shape[1]}), with as many columns as x")
    both = np.zeros((len(x), len(x)))
    with np.errstate(all="ignore"):
        for start in range(0, len(w), NEURONS):
            active = (x @ w[start : start + NEURONS].T >= 0).astype(np.float32)
            both += active @ active.T  # whole numbers below 2^24: exact in float32
        both /= len(w)
        both *= x @ x.T
    return both


def extreme_eigenvalues(h: np.ndarray) -> ExtremeEigenvalues:
    """The least and the greatest eigenvalue of the symmetric ``h`` (n, n), with their residuals.

    The least one comes from a dense reduction to tridiagonal form: these spectra are clustered at their lower end,
    where iterations without a factorisation stop early or do not converge. The greatest is that of
    :func:`largest_eigenvalue`.
    Raises ValueError where ``h`` is not a symmetric matrix of finite real numbers.
    """
    h, power = _scaled(_symmetric(h))
    if len(h) <= SMALL:
        values, vectors = np.linalg.eigh(h)
        (least, residual_min), (most, residual_max) = (_with_residual(h, values[i], vectors[:, i]) for i in (0, -1))
    else:
        least, residual_min = _dense(h, 0)
        most, residual_max = _largest(h)
    return ExtremeEigenvalues(*(_times(value, power) for value in (least, most, residual_min, residual_max)))


def largest_eigenvalue(h: np.ndarray) -> float:
    """The greatest eigenvalue of the symmetric positive semidefinite ``h`` (n, n), by Lanczos iterations.

    They end at the accuracy of float64, or are replaced by a dense solver. Raises as :func:`extreme_eigenvalues` does.
    """
    h, power = _scaled(_symmetric(h))
    return _times(_largest(h)[0], power)


def marchenko_pastur(n: int, d: int) -> tuple[float, float]:
    r"""The extreme eigenvalues of :math:`H^\infty` that n independent uniform unit rows in d dimensions lead to expect.

    :math:`\tfrac14 + \tfrac14 (1 \mp \sqrt{n/d})^2`, the Marchenko-Pastur law for :math:`K/4 + I/4`: a heuristic for
    large n and d. For n > d the least eigenvalue of K is 0, and the 1/4 returned is an upper end, not an estimate: what
    K/4 + I/4 leaves out takes it below. Raises ValueError where n or d is no whole number of at least 1.
    """
    root = np.sqrt(whole("n", n, 1) / whole("d", d, 1))
    return 0.25 + 0.25 * max(1.0 - root, 0.0) ** 2, 0.25 + 0.25 * (1.0 + root) ** 2


def _largest(h: np.ndarray) -> tuple[float, float]:
    n = len(h)
    if n <= SMALL:
        return _dense(h, n - 1)
    start = np.random.default_rng(0).normal(size=n)  # the same numbers at every call
    # dsymv reads half of h; a product waits for memory alone
    product = LinearOperator(h.shape, matvec=lambda v: dsymv(1.0, h.T, v), dtype=np.float64)
    try:
        [value], vectors = eigsh(product, k=1, which="LA", v0=start)
    except ArpackError:  # ArpackNoConvergence included
        return _dense(h, n - 1)
    value, residual = _with_residual(h, value, vectors[:, 0])
    return (value, residual) if residual <= n * np.finfo(float).eps * value else _dense(h, n - 1)


def _dense(h: np.ndarray, index: int) -> tuple[float, float]:
    [value], vectors = eigh(h, subset_by_index=[index, index], check_finite=False)
    return _with_residual(h, value, vectors[:, 0])


def _with_residual(h: np.ndarray, value: float, vector: np.ndarray) -> tuple[float, float]:
    return float(value), float(np.linalg.norm(h @ vector - value * vector))


def _matrix(name: str, value: np.ndarray) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise ValueError(f"{name}.dtype={value.dtype}: should be real numbers")
    if value.ndim != 2 or 0 in value.shape:
        raise ValueError(f"{name}.shape={value.shape}: should have two axes, neither empty")
    value = np.ascontiguousarray(value, dtype=np.float64)
    finite = np.isfinite(value)
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise ValueError(f"{name}[{i}, {j}]={value[i, j]}: should be finite")
    return value


def _symmetric(h: np.ndarray) -> np.ndarray:
    h = _matrix("h", h)
    if h.shape[0] != h.shape[1]:
        raise ValueError(f"h.shape={h.shape}: should be square")
    off = max(np.abs(h[i : i + 64, i:] - h[i:, i : i + 64].T).max() for i in range(0, len(h), 64))
    if off > 8 * np.finfo(float).eps * np.abs(h).max():
        raise ValueError(f"h: should be symmetric, h and its transpose differ by {off:.3g}")
    return h


def _scaled(h: np.ndarray) -> tuple[np.ndarray, int]:
    """Return h divided by a power of two, and the power, 0 where the squares of its largest entries stay in float64."""
    power = math.frexp(np.abs(h).max())[1]
    return (h, 0) if abs(power) < 400 else (np.ldexp(h, -power), power)


def _times(value: float, power: int) -> float:
    with np.errstate(all="ignore"):
        return float(np.ldexp(value, power))


def _refuse_other_lengths(x: np.ndarray) -> None:
    """Allow what x / norm(x) in float64 may leave: relative errors of d/2 + 2 roundings in x, and d in this product."""
    with np.errstate(all="ignore"):
        off = np.abs(np.vecdot(x, x) - 1)
    tolerance = (x.shape[1] + 4) * np.finfo(float).eps
    if off.max() > tolerance:
        i = int(off.argmax())
        raise ValueError(
            f"x[{i}]: length {math.hypot(*x[i]):.17g} should be 1, its square up to {tolerance:.2g}: "
            "divide the rows by their lengths in float64"
        )


def _refuse_too_large(n: int, needed: int, max_bytes: int | None) -> None:
    allowed = _available_memory() if max_bytes is None else max_bytes
    if needed > allowed:
        raise MemoryError(
            f"x: n={n} rows need {needed / 2**30:.3g} GiB of memory, allowed are {allowed / 2**30:.3g} GiB"
        )


def _available_memory() -> int:
    """Bytes: what Linux could free for a process, elsewhere what the machine has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
