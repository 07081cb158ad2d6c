"""scikit-learn's diabetes data (442 patients, 10 features), standardised: a real regression with f* > 0.

Columns and target have mean 0 and variance 1; the solution is the least-squares one, and w_0 = 0. The data come with
scikit-learn and are the same for every seed, which draws the minibatches alone.
"""

import hashlib
from typing import Literal

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from adaloss.simulate.linear_regression import Problem
from experiments.runs.schema import Strict


class Config(Strict):
    """No choice but the name."""

    name: Literal["diabetes"]


def load(config: Config, seed: int) -> tuple[Problem, str]:
    """Return the problem and the checksum of the raw data."""
    raw_x, raw_y = load_diabetes(return_X_y=True, scaled=False)
    x = StandardScaler().fit_transform(raw_x)
    y = StandardScaler().fit_transform(raw_y[:, None])[:, 0]
    w_star = np.linalg.lstsq(x, y)[0]
    checksum = hashlib.sha256(raw_x.tobytes() + raw_y.tobytes()).hexdigest()[:12]
    return Problem(x=x, noise=y - x @ w_star, error0=-w_star), checksum
