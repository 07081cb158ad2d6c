"""How fast the Gram matrix and its greatest eigenvalue are, beside what one would write otherwise.

    python -m tests.benchmarks.gram

All in one process and one thread. The matrices take turns and the best turn counts; the eigenvalues of n = 5000 are
computed once, for the dense solver takes most of a minute.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time

import numpy as np

from adaloss.theory.gram import h_infinity, largest_eigenvalue
from tests.reference.gram import naive

N, D, TURNS = 5000, 64, 10


def timed(run) -> tuple[float, object]:
    """Seconds and result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def main() -> None:
    """Time everything and print the tables."""
    x = np.random.default_rng(0).normal(size=(N, D))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ways = {
        "X @ X.T alone": lambda: x @ x.T,
        "h_infinity": lambda: h_infinity(x),
        "naive closed form": lambda: naive(x),
    }
    print(f"H-infinity, n = {N}, d = {D}, float64, one thread, best of {TURNS} turns")
    turns = [{name: timed(run)[0] for name, run in ways.items()} for _ in range(TURNS)]
    best = {name: min(turn[name] for turn in turns) for name in ways}
    for name, seconds in best.items():
        print(f"  {name:<24} {1e3 * seconds:8.1f} ms   {seconds / best['X @ X.T alone']:6.2f} x the product")
    print(f"naive / h_infinity: {best['naive closed form'] / best['h_infinity']:.2f}")

    h = h_infinity(x)
    ours, value = timed(lambda: largest_eigenvalue(h))
    dense, values = timed(lambda: np.linalg.eigvalsh(h))
    print(f"greatest eigenvalue, n = {N}: Lanczos {ours:.3f} s, dense eigvalsh {dense:.1f} s, {dense / ours:.0f} times")
    print(f"  the values differ by {abs(value / values[-1] - 1):.1e} of {value:.6f}")


if __name__ == "__main__":
    main()
