"""Two equations that the bounds are solved by, over arrays, and rounded to the safe side.

Nothing is checked: the callers do, and nan gives nan or inf.
"""

import numpy as np

EPS = np.finfo(np.float64).eps


def log_ratio(above: np.ndarray, *below: np.ndarray) -> np.ndarray:
    """The logarithm of ``above`` over the product of ``below``, and no less: each log has an error of its own."""
    logs = [np.log(above), *(-np.log(value) for value in below)]
    return sum(logs) + 4 * EPS * sum(map(np.abs, logs))


def hroot(k: np.ndarray) -> np.ndarray:
    r"""The larger root x >= 1/2 of 2x - log x = K, K >= 1 + log 2: :math:`-\tfrac12 W_{-1}(-2 e^{-K})`.

    Newton's method from max(K - 1, 1), which is never below the root: as the function is convex, every iterate stays
    at or above it, but for the rounding of 2x - log x - K, of at most 8 ulp of K with what K itself has rounded. Adding
    the t with h(x + t) - h(x) above that makes the result an upper bound for every K (where exp(-K) has long left
    float64 too): h = 2x - log x is convex, and h(1/2 + t) - h(1/2) >= 1.9 t^2 for t <= 1/30.
    """
    k = np.asarray(k, dtype=np.float64)
    x = np.maximum(k - 1, 1.0)
    with np.errstate(all="ignore"):
        while True:
            after = np.maximum(x - (2 * x - np.log(x) - k) / np.maximum(2 - 1 / x, 1e-300), 0.5)
            if not np.any(after < x):  # but for rounding they fall, down to the root; a double root takes the longest
                break
            x = np.minimum(after, x)
        error = 8 * EPS * k
        by_slope = error / np.maximum(2 - 1 / x, 1e-300)
        x = x + np.where(x < 1, np.minimum(by_slope, np.sqrt(error / 1.9)), by_slope)
    x = np.where(k > 1e300, np.inf, x)
    return x * (1 + 4 * EPS)


def steps_until(start: np.ndarray, rho: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """The least whole k >= 0 with sum_i start_i rho_i^(2k) <= eps, over the last axis; inf where none exists.

    ``start`` and ``rho`` (..., d) nonnegative, ``eps`` (...) positive. By bisection on the logarithm of the sum, which
    has to be below log(eps) by more than its own rounding.
    """
    with np.errstate(all="ignore"):
        log_start, log_rho = np.log(start), np.log(np.maximum(rho, 1e-300))
        slowest = np.max(np.where(start > 0, log_rho, -np.inf), axis=-1)
        total = np.sum(start, axis=-1) * (1 + (start.shape[-1] - 1) * EPS)
        target = np.log(eps)
        largest = np.max(np.where(start > 0, np.abs(log_start), 0.0), axis=-1)
        target = target - (16 + 2 * start.shape[-1]) * EPS * (1 + np.abs(target) + largest)
        high = np.ceil(np.maximum(np.log(total) - target, 0) / (-2 * slowest)) + 1
        there = total <= eps
        possible = (slowest < 0) | there
        high = np.where(possible & np.isfinite(high), high, 0.0)
        low = np.full_like(high, -1.0)  # the sum is above eps at low and not above it at high
        log_start, log_rho = (np.broadcast_to(log, (*high.shape, log.shape[-1])) for log in (log_start, log_rho))
        target = np.broadcast_to(target, high.shape)
        for _ in range(64):
            middle = np.floor((low + high) / 2)
            between = (low < middle) & (middle < high)  # elsewhere low and high are next to each other
            if not between.any():
                break
            at = middle[between]
            below = np.logaddexp.reduce(log_start[between] + 2 * at[:, None] * log_rho[between], axis=-1)
            below = below <= target[between]
            low[between] = np.where(below, low[between], at)
            high[between] = np.where(below, at, high[between])
    return np.where(there, 0.0, np.where(possible, np.maximum(high, 0.0), np.inf))
