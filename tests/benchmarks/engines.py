"""How fast the simulators and certificates are, beside what one would write otherwise and their matrix products.

    python -m tests.benchmarks.engines

All in one process and one thread, in turns; the best of several turns counts. What runs one cell at a time is timed for
a few cells and iterations and scaled to all of them, for whole sweeps take minutes. The two-layer engine may be below
its floor, one n x n x m product a step (n x B x m for minibatches): it applies steps to all preactivations at its
refreshes alone.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from functools import partial
from itertools import product

import numpy as np
import torch
from omegaconf import OmegaConf
from scipy.linalg.blas import dgemm

from adaloss.simulate import linear_regression, two_layer
from adaloss.simulate.linear_regression import Cell
from adaloss.theory.finite_width import certify
from adaloss.theory.gram import h_infinity, largest_eigenvalue
from adaloss.theory.two_layer import rule_alpha
from experiments.certificates import Network
from experiments.data import gaussian, sphere
from experiments.record import Record
from experiments.runs.app import CONFIGS
from tests.reference import linear_regression as regression_loops
from tests.reference import two_layer as two_layer_loops
from tests.reference.gram import naive

HYPER = {
    "adaloss": {"eta": 1.0, "alpha": 2.0, "c": 0.0},
    "adagrad_norm": {"eta": 1.0},
    "sgd_constant": {"eta": 1.0},
    "sgd_decay_sqrt": {"eta": 1.0, "c_s": 0.2, "form": "linear"},
}


def timed(run):
    """Seconds of this process, whatever others do, and the result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def table(title, turns, ways, ours):
    """Time (work, factor) pairs in turns, and print the best of each beside ``ours``."""
    print(title)
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(turns):
        for name, (run, factor) in ways.items():
            best[name] = min(best[name], factor * timed(run)[0])
    for name, seconds in best.items():
        print(f"  {name:<60} {seconds:9.3f} s   {seconds / best[ours]:8.2f} x {ours}", flush=True)


def one_by_one(loop, problem, seed, b0, iterations, batch):
    """A few cells by a loop."""
    for method in HYPER:
        loop(problem, seed, Cell(method, b0, HYPER[method]), iterations=iterations, batch=batch)


def figure_1():
    """The sweep of Figure 1 at d = 200."""
    scale = OmegaConf.load(CONFIGS / "scale" / "laptop.yaml").figure_1
    sweep = OmegaConf.load(CONFIGS / "sweep" / "figure_1.yaml")
    seeds, iterations, batch = list(scale.seed), sweep.iterations, sweep.batch
    record = Record(**OmegaConf.to_container(sweep.record)).iterations(iterations)
    problems = [gaussian.load(gaussian.Config(name="gaussian", n=1000, d=200, w_star="normal"), s)[0] for s in seeds]
    cells = [Cell(method, b0, HYPER[method]) for method, b0 in product(HYPER, scale.b0)]
    run = partial(linear_regression.simulate, problems, seeds, cells, iterations=iterations, record=record, batch=batch)
    few, short = (problems[0], seeds[0], 100.0, 500, batch), 500
    factor = iterations / short * len(cells) * len(seeds) / len(HYPER)

    def products(tile):
        rng = np.random.default_rng(0)
        x, error = problems[0].x, rng.normal(size=(len(seeds), len(cells) // tile, tile, 200))
        rows = np.stack([x[rng.integers(len(x), size=batch)] for _ in seeds])[:, None]
        residual, gradient = np.empty((*error.shape[:3], batch)), np.empty_like(error)
        for _ in range(iterations // 10):
            np.matmul(error, rows.swapaxes(-1, -2), out=residual)
            np.matmul(residual, rows, out=gradient)

    ways = {
        "the two matrix products alone, all cells of a seed (floor)": (partial(products, len(cells)), 10),
        "the same products in tiles of 32 cells": (partial(products, 32), 10),
        "the engine": (run, 1),
        "one cell at a time, torch autograd and torch.optim": (
            partial(one_by_one, regression_loops.torch_cell, *few), factor
        ),
        "one cell at a time, plain NumPy": (partial(one_by_one, regression_loops.numpy_cell, *few), factor),
    }  # fmt: skip
    count = len(cells) * len(seeds)
    table(f"Figure 1, d = 200: {count} cells x {iterations} iterations, batch {batch}", 5, ways, "the engine")


def network(n=50, d=50, m=1000, iterations=500):
    """The two-layer network, with the full gradient and with minibatches."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    problem = two_layer.Problem(x, rng.choice([-1.0, 1.0], n), rng.normal(size=(m, d)), rng.choice([-1.0, 1.0], m))
    cells = [Cell(method, b0, HYPER[method]) for method, b0 in product(HYPER, np.geomspace(0.1, 100, 10))]

    def products(batch, with_w):
        count, w = batch or n, problem.w0.copy()
        signs, state = np.sign(problem.preactivations[:count]), problem.preactivations.copy()
        rows, inner = problem.x[:count], problem.inner[:, :count] * 1e-9
        for _ in range(iterations):
            if with_w:
                np.matmul(rows, w.T, out=state[:count])
                np.matmul(signs.T, rows, out=w)
            else:
                dgemm(-1.0, signs.T, inner.T, 1.0, state.T, overwrite_c=True)

    for batch in (None, 10):
        run = partial(two_layer.simulate, [problem], [0], cells, iterations=iterations, record=(iterations,))
        few = partial(one_by_one, two_layer_loops.torch_cell, problem, 0, 1.0, 20, batch)
        ways = {
            "two products with W a step (what torch does)": (partial(products, batch, True), len(cells)),
            "one product a step (floor of dense steps)": (partial(products, batch, False), len(cells)),
            "the engine": (partial(run, batch=batch), 1),
            "one cell at a time, torch autograd and torch.optim": (few, iterations / 20 * len(cells) / len(HYPER)),
        }
        title = f"m = {m}, n = {n}, d = {d}: {len(cells)} cells x {iterations} iterations, "
        table(title + ("full gradient" if batch is None else f"minibatches of {batch}"), 3, ways, "the engine")


def gram(n=5000, d=64):
    """H-infinity, and its greatest eigenvalue once: the dense solver takes most of a minute."""
    x = np.random.default_rng(0).normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ways = {
        "X @ X.T alone": (lambda: x @ x.T, 1),
        "h_infinity": (lambda: h_infinity(x), 1),
        "naive closed form": (lambda: naive(x), 1),
    }
    table(f"H-infinity, n = {n}, d = {d}", 10, ways, "h_infinity")
    h = h_infinity(x)
    ours, value = timed(lambda: largest_eigenvalue(h))
    dense, values = timed(lambda: np.linalg.eigvalsh(h))
    print(f"  greatest eigenvalue: Lanczos {ours:.3f} s, dense eigvalsh {dense:.1f} s, {dense / ours:.0f} times")
    print(f"  the values differ by {abs(value / values[-1] - 1):.1e} of {value:.6f}")


def trained(x, y, m, asked, keep):
    """A training to 1e-6 of ||u - y||^2: its steps, and what certify takes at 0, 1, 2, 4, ... of them if ``keep``."""
    training, states = Network(x, y, m, 0), []
    for k, b, size in training.train(asked["eta"], asked["alpha"] * len(y) ** 0.25, 0.01):
        first = size if k == 0 else first  # noqa: F821
        if keep and k & (k - 1) == 0:
            states.append((training.weights(), training.signs, x, y, b))
        if size <= 1e-3 * first:
            break
    return k, states


def certificates(eta=2.0, alpha=0.5):
    """All certificates that are asked for at 0, 1, 2, 4, ... steps until one is given, beside the training."""
    for n, d, m in ((10, 50, 2000), (20, 20, 300), (20, 50, 6400), (20, 20, 10000), (20, 20, 26000)):
        x, y, _ = sphere.load(sphere.Config(name="sphere", n=n, d=d), 0)
        asked = {"eta": eta, "alpha": alpha}
        steps, states = trained(x, y, m, asked, keep=True)
        holds = [certify(w, a, x, y, b=b, **asked).holds for w, a, _, _, b in states]
        states = states[: holds.index(True) + 1]

        def ask(states=states, asked=asked):
            for *arguments, b in states:
                certify(*arguments, b=b, **asked)

        problem = two_layer.Problem(x, y, *states[0][:2])
        cell = Cell("adaloss", 0.01, {"eta": eta, "alpha": rule_alpha(alpha, n), "c": 0.0})
        ways = {
            "the training": (partial(trained, x, y, m, asked, keep=False), 1),
            "by torch": (partial(two_layer_loops.torch_cell, problem, 0, cell, iterations=steps, batch=None), 1),
            f"all {len(states)} certificates": (ask, 1),
            "a certificate": (ask, 1 / len(states)),
        }
        table(f"n = {n}, d = {d}, m = {m}: {steps} steps of AdaLoss", 3, ways, "the training")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in (figure_1, network, gram, certificates):
        part()
