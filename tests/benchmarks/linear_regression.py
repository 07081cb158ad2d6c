"""How fast the batched engine is, on the Figure 1 sweep at d = 200, beside what one would write otherwise.

    python -m tests.benchmarks.linear_regression

All in one process and one thread, in turns; the best of several turns counts for each. The alternatives (a) and (b) run
one cell at a time; a few of their cells are timed and scaled to the sweep, for whole sweeps of them take minutes.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from itertools import product

import numpy as np
import torch
from omegaconf import OmegaConf

from adaloss.simulate.linear_regression import Cell, simulate
from experiments.data import gaussian
from experiments.record import Record
from experiments.runs.app import CONFIGS
from tests.reference.linear_regression import numpy_cell, torch_cell

HYPER = {
    "adaloss": {"eta": 1.0, "alpha": 2.0, "c": 0.0},
    "adagrad_norm": {"eta": 1.0},
    "sgd_constant": {"eta": 1.0},
    "sgd_decay_sqrt": {"eta": 1.0, "c_s": 0.2, "form": "linear"},
}
TURNS = 5


def main() -> None:
    """Time everything in turns and print the table."""
    torch.set_num_threads(1)
    scale = OmegaConf.load(CONFIGS / "scale" / "laptop.yaml").figure_1
    sweep = OmegaConf.load(CONFIGS / "sweep" / "figure_1.yaml")
    seeds, iterations, batch = list(scale.seed), sweep.iterations, sweep.batch
    record = Record(**OmegaConf.to_container(sweep.record)).iterations(iterations)
    problems = [gaussian.load(gaussian.Config(name="gaussian", n=1000, d=200, w_star="normal"), s)[0] for s in seeds]
    cells = [Cell(method, b0, HYPER[method]) for method, b0 in product(HYPER, scale.b0)]
    count = len(cells) * len(seeds)
    print(f"Figure 1 sweep at d = 200: {count} cells x {iterations} iterations, batch {batch}, float64, one thread")

    few = [Cell(method, 100.0, HYPER[method]) for method in HYPER]
    short = 500

    def floor(tile: int) -> float:
        return _floor(len(seeds), len(cells), tile, problems[0].x, batch, iterations // 10) * 10

    def alone(run) -> float:
        start = time.perf_counter()
        for cell in few:
            run(problems[0], seeds[0], cell, iterations=short, batch=batch)
        return (time.perf_counter() - start) * (iterations / short) * (count / len(few))

    def engine() -> float:
        start = time.perf_counter()
        simulate(problems, seeds, cells, iterations=iterations, record=record, batch=batch)
        return time.perf_counter() - start

    timed = {
        "the two matrix products alone, all cells of a seed at once (floor)": lambda: floor(len(cells)),
        "the same products in tiles of 32 cells": lambda: floor(32),
        "batched engine": engine,
        "(a) one cell at a time, torch autograd and torch.optim": lambda: alone(torch_cell),
        "(b) one cell at a time, plain NumPy": lambda: alone(numpy_cell),
    }
    turns = [{name: run() for name, run in timed.items()} for _ in range(TURNS)]
    best = {name: min(turn[name] for turn in turns) for name in timed}
    names = list(best)
    ours = best["batched engine"]
    for name in names:
        print(f"  {name:<68} {best[name]:9.2f} s   {best[name] / ours:8.2f} x the engine")
    print(f"engine / floor: {ours / best[names[0]]:.2f} (in tiles: {ours / best[names[1]]:.2f})")
    print(f"torch / engine: {best[names[3]] / ours:.0f}   NumPy / engine: {best[names[4]] / ours:.1f}")


def _floor(seeds: int, cells: int, tile: int, x: np.ndarray, batch: int, iterations: int) -> float:
    rng = np.random.default_rng(0)
    error = rng.normal(size=(seeds, cells // tile, tile, x.shape[1]))
    rows = np.stack([x[rng.integers(len(x), size=batch)] for _ in range(seeds)])[:, None]
    residual, gradient = np.empty((*error.shape[:3], batch)), np.empty_like(error)
    start = time.perf_counter()
    for _ in range(iterations):
        np.matmul(error, rows.swapaxes(-1, -2), out=residual)
        np.matmul(residual, rows, out=gradient)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
