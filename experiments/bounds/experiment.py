"""Every bound of the linear regression theory compared with its trajectory, over random problems.

    python -m experiments.bounds p=1 d=5 problems=100 seed=0

One run is one (p, d, seed), p = 1 for AdaLoss and 2 for AdaGrad-Norm: ``problems`` random problems of dimension d run
together by equation (7). The history has a row per problem: what was measured, what was bounded, and how often a proved
statement was violated (the columns ``violations_*``, all 0 unless a bound is false).
"""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Annotated

import numpy as np
from pydantic import Field

from adaloss.theory.linear_regression import State
from experiments.bounds.measure import Measurement
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, CountList, Experiment, Outcome, Progress, SeedList
from experiments.runs.store import Run

NAME = "bounds"
METHOD_OF_P = {1: "adaloss", 2: "adagrad_norm"}


def random_problems(rng: np.random.Generator, count: int, d: int, p: int) -> tuple[State, np.ndarray]:
    """Draw problems of all regimes, and the targets eps relative to Psi_0 (count, 2) for q = 0 and 1.

    Condition 1 to 1e4 in three shapes of spectrum, lambda_1 over 6 decades, eta over 4, errors over 13; b_0 / (eta
    lambda_1) from 1e-6 to 1e6, a quarter of them about the threshold 1/2 and as near to it as 1e-6; eps 1e-12 to 1.
    """

    def decades(low: float, high: float, *shape: int) -> np.ndarray:
        return 10.0 ** rng.uniform(low, high, shape or (count,))

    top, condition, eta = decades(-3, 3), decades(0, 4), decades(-2, 2)
    place = rng.uniform(size=(count, d))
    shape = rng.integers(3, size=count)[:, None]
    bottom = 1 / condition[:, None]
    spectrum = np.where(shape == 0, bottom**place, bottom + (1 - bottom) * place)
    spectrum = np.where(
        (shape == 2) & (d > 2), np.where(place < 0.5, bottom, 1.0) * (1 + 1e-3 * place) / 1.001, spectrum
    )
    spectrum[:, 0] = 1.0
    if d > 1:
        spectrum[:, -1] = bottom[:, 0]
    eigenvalues = top[:, None] * np.sort(spectrum, axis=1)[:, ::-1]
    s = decades(-9, 4)[:, None] * rng.exponential(size=(count, d)) * 10.0 ** rng.uniform(-1, 1, (count, d))
    regime = rng.integers(4, size=count)
    near = 0.5 * (1 + rng.choice([-1.0, 1.0], count) * decades(-6, -0.3))
    beta = np.select([regime == 0, regime == 1], [near, decades(-4, 1.5)], decades(-6, 6))
    return State(eigenvalues, s, beta * eta * top, eta, p), decades(-12, 0, count, 2)


class Bounds(Experiment):
    """One job: all combinations of ``d`` and ``seed`` for one p. Trajectories end after ``max_steps``."""

    p: Annotated[int, Field(ge=1, le=2)]
    d: CountList
    seed: SeedList
    problems: Count
    max_steps: Count

    def runs(self) -> list[Run]:
        """Return one run per (d, seed)."""
        code = code_hash(__name__)
        return [
            Run(
                experiment=NAME,
                label=f"{METHOD_OF_P[self.p]}_d={d}_seed={seed}",
                config=self.model_dump() | {"d": d, "seed": seed},
                code=code,
                data="generated",
            )
            for d, seed in product(self.d, self.seed)
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Measure the problems of each run."""
        for run in runs:
            d, seed = run.config["d"], run.config["seed"]
            rng = np.random.default_rng([seed, d, self.p])
            state, targets = random_problems(rng, self.problems, d, self.p)
            measured = Measurement(state, targets, self.max_steps)
            measured.run(partial(progress, desc=run.label))
            table = measured.table()
            violations = {name: int(table[name].sum()) for name in table if name.startswith("violations_")}
            yield Outcome(run, table, violations | {"stopped": int(table.stopped.sum())})


EXPERIMENT = Bounds
