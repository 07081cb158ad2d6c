"""Stochastic linear regression from every b_0: the statements of docs B2 to B8 with their probabilities, on paths.

    python -m experiments.stochastic part=promises p=1 problems=1000
    python -m experiments.stochastic sweep=figure_stochastic                  all parts, both methods

A run is one part for p = 1 (AdaLoss) or 2 (AdaGrad-Norm):

* ``promises``: random problems, a path of each; a row for each problem and statement: what was bounded, what was
  measured and whether the statement ``failed``. One that holds with probability 1 - delta fails in at most a share
  delta of the problems, up to chance; B2 holds on every path.
* ``paths``: many paths of one problem with rows of one length, from several b_0; quantiles of the error, and the level
  below which it stays from there on with probability 1 - delta (B5).
* ``counterexample``: rows of two lengths and the b_0 at which the expected log of a step's factor is 0; the share of
  paths that have risen to ``RISEN`` D_0, for several D_0.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from adaloss.theory import stochastic as theory
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Progress, Seed
from experiments.runs.store import Run

NAME = "stochastic"
METHOD_OF_P = {1: "adaloss", 2: "adagrad_norm"}
MOST_ROWS, MOST_DIMENSIONS = 6, 4
PATHS = 500  # of one problem
FROM = (1e-4, 1e-2, 0.3)  # b_0 / (eta S) of the paths
SQUARED_ROWS, CRITICAL_B0 = (1.0, 0.1), 0.43507811  # E log|1 - x^2 / b_0| = 0, eta = 1
FIRST_ERRORS = (1e-4, 1e-6, 1e-8, 1e-20, 1e-40)
RISEN = 1e4
ROUNDING = 1 + 1e-9
Path = Iterator[tuple[np.ndarray, np.ndarray]]


def follow(
    x: np.ndarray, rows: np.ndarray, error: np.ndarray, b: np.ndarray, eta: np.ndarray, p: int, rng: np.random.Generator
) -> Path:
    """Yield (D_t, b_t), t = 0, 1, ..., of equations (9) and (10), a path of each problem; ``rows`` of each x count."""
    each = np.arange(len(b))
    while True:
        yield np.sum(error**2, axis=1), b
        row = x[each, rng.integers(rows)]
        r, length = np.sum(row * error, axis=1), np.sum(row**2, axis=1)
        b = np.sqrt(b**2 + length ** (p - 1) * r**2)
        error = error - (eta / b * r)[:, None] * row


def random_problem(rng: np.random.Generator, p: int) -> dict:
    """Draw rows of one length or of any, of full rank or not, b_0 on both sides of eta S / 2, an error and an eps."""
    n, d = int(rng.integers(1, MOST_ROWS + 1)), int(rng.integers(1, MOST_DIMENSIONS + 1))
    x = rng.normal(size=(n, d))
    x *= 10.0 ** rng.uniform(-0.5, 0.5) / np.linalg.norm(x, axis=1, keepdims=True)
    equal = bool(rng.integers(2))
    if not equal:
        x *= rng.uniform(0.4, 1, (n, 1))
    eta, s_max = 10.0 ** rng.uniform(-1, 1), float(np.max(np.sum(x**2, axis=1)))
    error = rng.normal(size=d) * eta * s_max ** (1 - p / 2) * 10.0 ** rng.uniform(-0.8, 0.5)
    error = np.linalg.pinv(x) @ (x @ error)  # the rest never moves
    x0 = 10.0 ** rng.uniform(-3, -0.4) if rng.integers(2) else rng.uniform(0.3, 1.5)
    known = dict(zip(("s_max", "d0", "mu_n", "mu_p"), theory.of_rows(x, error, p), strict=True))
    eps = known["d0"] * 10.0 ** rng.uniform(-2, 0.3)
    padded, whole = np.zeros((MOST_ROWS, MOST_DIMENSIONS)), np.zeros(MOST_DIMENSIONS)
    padded[:n, :d], whole[:d] = x, error
    return {
        "x": padded,
        "rows": n,
        "error": whole,
        "equal": equal,
        "eta": eta,
        "b0": x0 * eta * s_max,
        "eps": eps,
    } | known


def promises(rng: np.random.Generator, p: int, problems: int, delta: float, max_steps: int) -> pd.DataFrame:
    """Return a row for each problem and statement whose T is at most ``max_steps``."""
    drawn = [random_problem(rng, p) for _ in range(problems)]
    x, rows, error, equal, eta, b0, eps, s_max, d0, mu_n, mu_p = (
        np.array([one[name] for one in drawn]) for name in drawn[0]
    )
    common = (b0, eta, s_max, d0)
    limits = theory.error_limit(*common, p), theory.b_limit(*common, p)
    last, first, total = np.zeros(problems), np.full(problems, np.inf), np.zeros(problems)
    left = np.zeros(problems, dtype=bool)  # B2's bounds
    for t, (d, b) in enumerate(islice(follow(x, rows, error, b0, eta, p, rng), max_steps + 1)):
        last = np.where(d > eps, t + 1.0, last)
        first = np.where(d <= eps, np.minimum(first, t), first)
        total += d
        left |= (d > limits[0] * ROUNDING) | (b > limits[1] * ROUNDING)
    last = np.where(2 * b < eta * s_max, np.inf, last)  # D may rise yet
    below = 2 * b0 < eta * s_max
    bounds = {  # of the step from which on, or at which, D is at most eps; of sum D
        "B2": (np.zeros(problems), left * 1.0, True),
        "B3": (theory.iterations(*common, mu_n, p, eps, delta), last, ~below),
        "B5": (theory.iterations_of_equal_rows(*common, mu_n, p, eps, delta), last, equal & below),
        "B6": (theory.iterations_to_a_minimum(*common, mu_n, mu_p, p, eps, delta), first, below),
        "B7": (theory.error_sum_limit(*common, mu_p, p) / delta, total, True),
    }
    tables = []
    for name, (bound, measured, meant) in bounds.items():
        table = pd.DataFrame({"statement": name, "x0": b0 / (eta * s_max), "bound": bound, "measured": measured})
        tables.append(table[meant & ((bound <= max_steps) | (name == "B7"))])
    table = pd.concat(tables, ignore_index=True)
    return table.assign(failed=table.measured > table.bound)


def paths(rng: np.random.Generator, p: int, problems: int, delta: float, max_steps: int) -> pd.DataFrame:
    """Return the quantiles of D_t / D_0 and B5's level, for each b_0 at about 40 steps; the problem has eta = S = 1."""
    x = rng.normal(size=(MOST_ROWS, 2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    error = np.array([0.5, 0.5])
    s_max, d0, mu_n, _ = theory.of_rows(x, error, p)
    seen, levels, tables = _seen(max_steps), np.geomspace(1e-12, 1e3, 600), []
    for b0 in FROM:
        within = theory.iterations_of_equal_rows(b0, 1.0, s_max, d0, mu_n, p, levels * d0, delta)
        proved = [float(levels[within <= t].min(initial=np.inf)) for t in seen]
        found = np.array([d for d, _ in islice(_many(x, error, b0, p, rng), max_steps + 1)])[seen] / d0
        median, high = np.quantile(found, [0.5, 1 - delta], axis=1)
        tables.append(pd.DataFrame({"b0": b0, "iteration": seen, "median": median, "high": high, "proved": proved}))
    return pd.concat(tables, ignore_index=True)


def counterexample(rng: np.random.Generator, p: int, problems: int, delta: float, max_steps: int) -> pd.DataFrame:
    """Return the share of paths that have risen to RISEN D_0 by each of about 40 steps, for each D_0."""
    x, seen, tables = np.sqrt(SQUARED_ROWS)[:, None], _seen(max_steps), []
    for d0 in FIRST_ERRORS:
        path = islice(_many(x, np.array([d0**0.5]), CRITICAL_B0, p, rng), max_steps + 1)
        highest = np.maximum.accumulate([d for d, _ in path], axis=0)[seen]
        tables.append(pd.DataFrame({"d0": d0, "iteration": seen, "risen": np.mean(highest > RISEN * d0, axis=1)}))
    return pd.concat(tables, ignore_index=True)


def _many(x: np.ndarray, error: np.ndarray, b0: float, p: int, rng: np.random.Generator) -> Path:
    """PATHS paths of one problem with eta = 1."""
    rows, ones = np.full(PATHS, len(x)), np.ones(PATHS)
    return follow(np.broadcast_to(x, (PATHS, *x.shape)), rows, np.tile(error, (PATHS, 1)), b0 * ones, ones, p, rng)


def _seen(max_steps: int) -> np.ndarray:
    return np.unique(np.geomspace(1, max_steps, 40).astype(int))


PARTS: dict[str, Callable[..., pd.DataFrame]] = {
    "promises": promises,
    "paths": paths,
    "counterexample": counterexample,
}


class Stochastic(Experiment):
    """One job: one part for one p. The fields are explained in configs/experiment/stochastic.yaml."""

    part: Literal["promises", "paths", "counterexample"]
    p: Annotated[int, Field(ge=1, le=2)]
    seed: Seed
    problems: Count
    delta: Annotated[float, Field(gt=0, lt=1)]
    max_steps: Count

    def runs(self) -> list[Run]:
        """Return the one run."""
        label = f"{METHOD_OF_P[self.p]}_{self.part}_seed={self.seed}"
        code = code_hash(f"experiments.{NAME}")
        return [Run(experiment=NAME, label=label, config=self.model_dump(), code=code, data="generated")]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Compute it."""
        for run in progress(runs, desc=NAME):
            rng = np.random.default_rng([self.seed, self.p, [*PARTS].index(self.part)])
            yield Outcome(run, PARTS[self.part](rng, self.p, self.problems, self.delta, self.max_steps), {})


EXPERIMENT = Stochastic

if __name__ == "__main__":
    app.main(NAME)
