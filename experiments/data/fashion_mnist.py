"""Fashion-MNIST (Xiao et al., 2017) from its four IDX files, as they are or packed by gzip.

``path`` is their folder, or torchvision's root with FashionMNIST/raw below it. All 70,000 images make one pool.
"""

import gzip
import hashlib
import io
import math
import zlib
from functools import cache
from os.path import exists, isdir  # which know no error
from pathlib import Path
from typing import Literal

import numpy as np

from adaloss.runs import files
from experiments.data import pool
from experiments.data.images import Images
from experiments.runs.schema import ConfigError

PARTS = ("train", "t10k")
SIDE = 28
MOST_BYTES = 2**26  # the largest file has 47 MB


class Config(pool.PoolConfig):
    """``path`` of the folder."""

    name: Literal["fashion_mnist"]
    path: str


def load(config: Config, split: int) -> Images:
    """Load all into memory. Raises ConfigError if a file is not what it should be."""
    x, labels, checksum = _read(Path(config.path))
    return pool.images(x, labels, config, split, checksum)


@cache
def _read(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Return all images, their labels, and the checksum of both."""
    folder = path / "FashionMNIST/raw" if isdir(path / "FashionMNIST/raw") else path  # noqa: PTH112
    x, labels = map(np.concatenate, zip(*(_part(folder, part) for part in PARTS), strict=True))
    return x, labels.astype(np.int64), hashlib.sha256(x.tobytes() + labels.tobytes()).hexdigest()


def _part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of one pair of files. Raises ConfigError if they are not of each other."""
    x, labels = _idx(folder / f"{part}-images-idx3-ubyte", SIDE, SIDE), _idx(folder / f"{part}-labels-idx1-ubyte")
    if len(x) != len(labels):
        raise ConfigError(f"data.path={folder}: the {part} files have {len(x)} images and {len(labels)} labels")
    return x, labels


def _idx(file: Path, *shape: int) -> np.ndarray:
    """Return the bytes of an IDX file: 0, 0, 8 (bytes), the number of dimensions, each size, the content.

    All sizes but the first should be ``shape``. Raises ConfigError.
    """
    packed = file.with_name(f"{file.name}.gz")
    file = packed if exists(packed) else file  # noqa: PTH110
    try:
        content = files.read(file, MOST_BYTES)
        if file == packed:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as unpacked:
                content = unpacked.read(MOST_BYTES)
        first = 4 * (2 + len(shape))
        sizes = tuple(int.from_bytes(content[k : k + 4]) for k in range(4, first, 4))
        if content[:4] != bytes([0, 0, 8, len(sizes)]) or math.prod(sizes) != len(content) - first or 0 in sizes:
            raise ValueError("not an IDX file of bytes, or not whole")
        if sizes[1:] != shape:
            raise ValueError(f"its images have {' x '.join(map(str, sizes[1:]))} pixels, should have {SIDE} x {SIDE}")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ConfigError(f"data.path={file}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return np.frombuffer(content, np.uint8, offset=first).reshape(sizes)
