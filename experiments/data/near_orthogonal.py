"""Nearly orthogonal unit rows, the best conditioned case: H-infinity close to I / 2. Labels +1 or -1 by a fair coin.

x_i = (q_i + noise g_i) / |q_i + noise g_i| with orthonormal q_i and g_i ~ N(0, I / d), so that ``noise`` is about the
length of the disturbance: inner products are about noise sqrt(2 / d). Drawn separately for every seed.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from experiments.runs.schema import Count, Strict

DATA_STREAM = 0


class Config(Strict):
    """``n`` rows, ``d`` >= n columns, ``noise`` the length of the disturbance."""

    name: Literal["near_orthogonal"]
    n: Count
    d: Count
    noise: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _room_for_all(self) -> "Config":
        if self.n > self.d:
            raise ValueError(f"data.n={self.n}: should be at most data.d={self.d} (orthogonal rows)")
        return self


def load(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return rows (n, d), labels (n,), and the checksum of what was drawn."""
    rng = np.random.default_rng([seed, DATA_STREAM])
    basis = rng.normal(size=(config.d, config.n))
    noise = config.noise / np.sqrt(config.d) * rng.normal(size=(config.n, config.d))
    y = rng.choice([-1.0, 1.0], size=config.n)
    checksum = hashlib.sha256(basis.tobytes() + noise.tobytes() + y.tobytes()).hexdigest()[:12]
    x = np.linalg.qr(basis).Q.T + noise
    return x / np.linalg.norm(x, axis=1, keepdims=True), y, checksum
