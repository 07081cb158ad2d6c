"""A problem with given eigenvalues of X'X, fitted exactly, with the same squared error in every eigendirection.

X = diag(sqrt(lambda)) V' with V a random rotation of the seed; e_0 = sqrt(s0) V 1.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field
from scipy.stats import ortho_group

from adaloss.simulate.linear_regression import Problem
from experiments.runs.schema import Positive, Strict

DATA_STREAM = 0


def _descending(values: list[float]) -> list[float]:
    if values != sorted(values, reverse=True):
        raise ValueError("eigenvalues should be in descending order")
    return values


class Config(Strict):
    """``eigenvalues`` of X'X in descending order, ``s0`` the initial squared error in each direction."""

    name: Literal["spectrum"]
    eigenvalues: Annotated[list[Positive], Field(min_length=1), AfterValidator(_descending)]
    s0: Positive


def load(config: Config, seed: int) -> tuple[Problem, str]:
    """Return the problem of one seed and the checksum of its eigenvalues, s0 and seed."""
    eigenvalues = np.array(config.eigenvalues)
    d = len(eigenvalues)
    rng = np.random.default_rng([seed, DATA_STREAM])
    v = ortho_group.rvs(d, random_state=rng) if d > 1 else np.ones((1, 1))
    problem = Problem(
        x=np.sqrt(eigenvalues)[:, None] * v.T, noise=np.zeros(d), error0=np.sqrt(config.s0) * v.sum(axis=1)
    )
    return problem, hashlib.sha256(repr((config.eigenvalues, config.s0, seed)).encode()).hexdigest()[:12]
