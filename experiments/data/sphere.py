"""Independent uniform unit rows: Gaussian rows scaled to length 1, with labels +1 or -1 by a fair coin.

The labels are independent of the rows; the two-layer network has to memorise them. Drawn separately for every seed.
"""

import hashlib
from typing import Literal

import numpy as np

from experiments.runs.schema import Count, Strict

DATA_STREAM = 0


class Config(Strict):
    """``n`` rows, ``d`` columns."""

    name: Literal["sphere"]
    n: Count
    d: Count


def load(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return rows (n, d), labels (n,), and the checksum of what was drawn."""
    rng = np.random.default_rng([seed, DATA_STREAM])
    x = rng.normal(size=(config.n, config.d))
    y = rng.choice([-1.0, 1.0], size=config.n)
    checksum = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()[:12]
    return x / np.linalg.norm(x, axis=1, keepdims=True), y, checksum
