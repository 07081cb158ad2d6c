"""Two equations that the bounds are solved by, over arrays, and rounded to the safe side.

Nothing is checked: the callers do, and nan gives nan or inf.
"""

import numpy as np


def hroot(k: np.ndarray) -> np.ndarray:
    r"""The larger root x >= 1/2 of 2x - log x = K, K >= 1 + log 2: :math:`-\tfrac12 W_{-1}(-2 e^{-K})`.

    Newton's method from max(K - 1, 1), which is never below the root: as the function is convex, every iterate stays
    at or above it, so that the result is an upper bound for every K (where exp(-K) has long left float64 too).
    """
    k = np.asarray(k, dtype=np.float64)
    x = np.maximum(k - 1, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(60):
            x = np.maximum(x - (2 * x - np.log(x) - k) / np.maximum(2 - 1 / x, 1e-300), 0.5)
    x = np.where(np.isposinf(k), np.inf, x)
    return x * (1 + 4 * np.finfo(np.float64).eps)


def steps_until(start: np.ndarray, rho: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """The least whole k >= 0 with sum_i start_i rho_i^(2k) <= eps, over the last axis; inf where none exists.

    ``start`` and ``rho`` (..., d) nonnegative, ``eps`` (...) positive. By bisection on the logarithm of the sum.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_start, log_rho = np.log(start), np.log(np.maximum(rho, 1e-300))
        slowest = np.max(np.where(start > 0, log_rho, -np.inf), axis=-1)
        total = np.sum(start, axis=-1)
        high = np.ceil(np.maximum(np.log(total / eps), 0) / (-2 * slowest)) + 1
        possible = (slowest < 0) | (total <= eps)
        high = np.where(possible & np.isfinite(high), high, 0.0)
        low = np.full_like(high, -1.0)  # the sum is above eps at low and not above it at high
        for _ in range(64):
            middle = np.floor((low + high) / 2)
            log_sum = np.logaddexp.reduce(log_start + 2 * middle[..., None] * log_rho, axis=-1)
            below = log_sum <= np.log(eps)
            low, high = np.where(below, low, middle), np.where(below, middle, high)
    return np.where(possible, np.maximum(high, 0.0), np.inf)
