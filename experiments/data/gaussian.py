"""Gaussian rows and a Gaussian solution, fitted exactly (f* = 0): the paper's setting.

x_ij ~ N(0, 1), y = X w*, started at w_0 = 0; one for every seed. w*_j ~ N(0, 1), so that the initial error is
about sqrt(d), or that vector scaled to unit length.
"""

import hashlib
from typing import Literal

import numpy as np

from adaloss.simulate.linear_regression import Problem
from experiments.runs.schema import Count, Strict

DATA_STREAM = 0


class Config(Strict):
    """``n`` rows, ``d`` columns, ``w_star`` normal or unit (of length 1)."""

    name: Literal["gaussian"]
    n: Count
    d: Count
    w_star: Literal["normal", "unit"]


def load(config: Config, seed: int) -> tuple[Problem, str]:
    """Return the problem of one seed and the checksum of the drawn rows."""
    rng = np.random.default_rng([seed, DATA_STREAM])
    x = rng.normal(size=(config.n, config.d))
    w_star = rng.normal(size=config.d)
    if config.w_star == "unit":
        w_star /= np.linalg.norm(w_star)
    checksum = hashlib.sha256(x.tobytes() + config.w_star.encode()).hexdigest()[:12]
    return Problem(x=x, noise=np.zeros(config.n), error0=-w_star), checksum
