r"""The width at which Theorems 2 and 3 hold with high probability over a Gaussian start, every constant written out."""

import math

import numpy as np

from adaloss.arguments import real, shaped
from adaloss.theory.gram import extreme_eigenvalues, h_infinity


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
    bottom = found.lambda_min - found.residual_min
    if not bottom > 0:
        return math.inf
    size = float(np.linalg.norm(y)) + math.sqrt(n) * (1 + math.sqrt(2 * math.log(5 / delta)))
    row, norm = float(np.linalg.norm(inner, axis=1).max()), float(np.linalg.norm(np.abs(inner), 2))
    rate = 140 * (row * norm * size) ** 2 / bottom**4
    return float(math.ceil(max(rate, 9 * math.log(5 * n / delta) ** 2) * (1 + 1e-9)))
