"""Two tight clusters of unit rows, the worst conditioned case: neighbours are nearly parallel, lambda_0 is close to 0.

x_i = (c_k + spread g_i) / |c_k + spread g_i| with k = i mod 2, two random unit centres c_0, c_1 and g_i ~ N(0, I / d),
so that ``spread`` is about the distance from the centre. Labels are +1 or -1 by a fair coin, whatever the cluster:
neighbours disagree. Drawn separately for every seed.
"""

import hashlib
from typing import Literal

import numpy as np

from experiments.runs.schema import Count, Positive, Strict

DATA_STREAM = 0


class Config(Strict):
    """``n`` rows, ``d`` columns, ``spread`` of the clusters."""

    name: Literal["clusters"]
    n: Count
    d: Count
    spread: Positive


def load(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return rows (n, d), labels (n,), and the checksum of what was drawn."""
    rng = np.random.default_rng([seed, DATA_STREAM])
    centres = rng.normal(size=(2, config.d))
    offsets = config.spread / np.sqrt(config.d) * rng.normal(size=(config.n, config.d))
    y = rng.choice([-1.0, 1.0], size=config.n)
    checksum = hashlib.sha256(centres.tobytes() + offsets.tobytes() + y.tobytes()).hexdigest()[:12]
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    x = centres[np.arange(config.n) % 2] + offsets
    return x / np.linalg.norm(x, axis=1, keepdims=True), y, checksum
