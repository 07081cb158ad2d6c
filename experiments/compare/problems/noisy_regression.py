"""Linear regression with noise in y, so that f* > 0: the setting of experiments/data/gaussian.py, plus noise.

What is measured in the end is the objective itself, over all rows.
"""

import hashlib
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator
from torch import nn

from experiments.compare.problems import Task
from experiments.data import gaussian
from experiments.runs.schema import Count, Positive, Strict

NOISE_STREAM = 4


class Config(Strict):
    """``n`` rows, ``d`` columns; ``noise`` is the deviation of y around X w*; ``batch`` the rows of a minibatch."""

    name: Literal["noisy_regression"]
    n: Count
    d: Count
    noise: Positive
    batch: Count

    @model_validator(mode="after")
    def _overdetermined(self) -> "Config":
        if self.d >= self.n:
            raise ValueError(f"problems.{self.name}.d={self.d}: should be less than n={self.n} (f* > 0)")
        return self


def _half_mean_square(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return 0.5 * (out[:, 0] - y).square().mean()


def load(config: Config, seed: int) -> Task:
    """Draw rows, w* and noise from the seed; the start is w = 0."""
    problem, _ = gaussian.load(gaussian.Config(name="gaussian", n=config.n, d=config.d, w_star="normal"), seed)
    noise = config.noise * np.random.default_rng([seed, NOISE_STREAM]).normal(size=config.n)
    y = noise - problem.x @ problem.error0
    best = np.linalg.lstsq(problem.x, y)[0]
    rows = torch.from_numpy(problem.x).float(), torch.from_numpy(y).float()

    def build() -> nn.Module:
        model = nn.Linear(config.d, 1, bias=False)
        nn.init.zeros_(model.weight)
        return model

    return Task(
        build=build,
        train=rows,
        test=rows,
        criterion=_half_mean_square,
        metric="loss",
        seed=seed,
        checksum=hashlib.sha256(problem.x.tobytes() + y.tobytes()).hexdigest()[:12],
        facts={"optimal_loss": float(0.5 * np.mean((problem.x @ best - y) ** 2))},
    )
