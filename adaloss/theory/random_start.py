r"""The width at which Theorems 2 and 3 hold with high probability over a Gaussian start, every constant written out."""

import math

import numpy as np

from adaloss.arguments import real, shaped
from adaloss.theory.gram import extreme_eigenvalues, h_infinity
from adaloss.theory.roots import EPS


def sufficient_width(x: np.ndarray, y: np.ndarray, delta: float) -> float:
    r"""The least m that docs D6 takes, as a whole float; inf where H_inf is not positive definite.

    With independent :math:`w_r \sim N(0, I)` and uniform signs, probability at least 1 - ``delta``. Unit rows ``x``
    (n, d), ``y`` (n,), ``delta`` in (0, 1). Raises ValueError for others.
    """
    h = h_infinity(x)
    x, y, delta = real("x", x), real("y", y, axes=1), real("delta", delta, above=0.0)
    shaped("y", y, x.shape[:1])
    shaped("delta", delta, ())
    if delta >= 1:
        raise ValueError(f"delta={float(delta):g}: should be less than 1")
    n, inner = len(x), x @ x.T
    found = extreme_eigenvalues(h)
    off = (x.shape[1] + 8) * EPS  # of an inner product, which arccos may enlarge to its root where rows are parallel
    wrong = np.minimum(off / np.sqrt(np.maximum(1 - inner**2, off)), math.sqrt(off))
    np.fill_diagonal(wrong, 0.0)
    bottom = found.lambda_min - found.residual_min - np.linalg.norm(wrong)
    if not bottom > 0:
        return math.inf
    row, norm = np.linalg.norm(inner, axis=1).max(), np.linalg.norm(np.abs(inner), 2)
    with np.errstate(all="ignore"):
        size = np.linalg.norm(y) + math.sqrt(n) * (1 + np.sqrt(2 * (math.log(5) - np.log(delta))))
        rate = 140 * (row * norm * size / bottom**2) ** 2
        logarithm = math.log(5 * n) - np.log(delta)
        return float(np.ceil(np.maximum(rate, 9 * logarithm**2) * (1 + 1e-9)))
