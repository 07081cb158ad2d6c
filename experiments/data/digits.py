"""scikit-learn's digits (1797 real images of 8 x 8), scaled to length 1; the label 0..9 becomes y = (2 label - 9) / 9.

y lies in [-1, 1]. The images come with scikit-learn; the seed chooses which ``n`` of them are taken, and in what order.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from sklearn.datasets import load_digits

from experiments.runs.schema import Strict

DATA_STREAM = 0


class Config(Strict):
    """``n`` of the 1797 images."""

    name: Literal["digits"]
    n: Annotated[int, Field(ge=1, le=1797)]


def load(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return rows (n, 64), labels (n,), and the checksum of the raw images and labels taken."""
    images, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng([seed, DATA_STREAM]).permutation(len(images))[: config.n]
    x, y = images[chosen], labels[chosen].astype(np.float64)
    checksum = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()[:12]
    return x / np.linalg.norm(x, axis=1, keepdims=True), (2 * y - 9) / 9, checksum
