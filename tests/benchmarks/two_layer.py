"""How fast the two-layer engine is beside torch autograd, and its distance to the floor of dense matrix products.

    python -m tests.benchmarks.two_layer

All in one process and one thread, in turns; the best of several turns counts for each. The torch loop runs one cell at
a time; a few iterations of one cell of each method are timed and scaled to all cells, for the whole takes minutes.

The floor is one n x n x m product a step (n x B x m for minibatches) and nothing else: what any engine needs that
applies every step to every preactivation. The engine does so only at its refreshes, so it may be below that floor.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from itertools import product

import numpy as np
import torch
from scipy.linalg.blas import dgemm

from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem, simulate
from tests.reference.two_layer import torch_cell

N, D, M = 50, 50, 1000
ITERATIONS, TURNS = 500, 3
HYPER = {
    "adaloss": {"eta": 1.0, "alpha": 2.0, "c": 0.0},
    "adagrad_norm": {"eta": 1.0},
    "sgd_constant": {"eta": 1.0},
    "sgd_decay_sqrt": {"eta": 1.0, "c_s": 0.2, "form": "linear"},
}
CELLS = [Cell(method, b0, HYPER[method]) for method, b0 in product(HYPER, np.geomspace(0.1, 100, 10))]


def main() -> None:
    """Time everything in turns and print the table."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    problem = Problem(x, rng.choice([-1.0, 1.0], N), rng.normal(size=(M, D)), rng.choice([-1.0, 1.0], M))
    print(f"m = {M}, n = {N}, d = {D}: {len(CELLS)} cells x {ITERATIONS} iterations, float64, one thread")
    for batch in (None, 10):

        def engine(batch: int | None = batch) -> float:
            start = time.perf_counter()
            simulate([problem], [0], CELLS, iterations=ITERATIONS, record=(ITERATIONS,), batch=batch)
            return time.perf_counter() - start

        def alone(batch: int | None = batch) -> float:
            few, short = [Cell(method, 1.0, HYPER[method]) for method in HYPER], 20
            start = time.perf_counter()
            for cell in few:
                torch_cell(problem, 0, cell, iterations=short, batch=batch)
            return (time.perf_counter() - start) * (ITERATIONS / short) * (len(CELLS) / len(few))

        timed = {
            "two products with W a step (what torch does)": lambda b=batch: _products(problem, b, with_w=True),
            "one product with P a step (floor of dense steps)": lambda b=batch: _products(problem, b, with_w=False),
            "engine": engine,
            "one cell at a time, torch autograd and torch.optim": alone,
        }
        turns = [{name: run() for name, run in timed.items()} for _ in range(TURNS)]
        best = {name: min(turn[name] for turn in turns) for name in timed}
        print(f"{'full gradient' if batch is None else f'minibatches of {batch}'}:")
        for name, seconds in best.items():
            print(f"  {name:<56} {seconds:9.2f} s   {seconds / best['engine']:8.2f} x the engine")


def _products(problem: Problem, batch: int | None, with_w: bool, timed: int = 500) -> float:
    """Time of the products of all steps of all cells and no more, from ``timed`` of them."""
    count, w = batch or N, problem.w0.copy()
    signs, state = np.sign(problem.preactivations[:count]), problem.preactivations.copy()
    x, inner = problem.x[:count], problem.inner[:, :count] * 1e-9
    start = time.perf_counter()
    for _ in range(timed):
        if with_w:
            np.matmul(x, w.T, out=state[:count])
            np.matmul(signs.T, x, out=w)
        else:
            dgemm(-1.0, signs.T, inner.T, 1.0, state.T, overwrite_c=True)
    return (time.perf_counter() - start) * len(CELLS) * ITERATIONS / timed


if __name__ == "__main__":
    main()
