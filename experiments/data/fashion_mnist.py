"""Fashion-MNIST (Xiao et al., 2017) from its four IDX files, as they are or packed by gzip.

``path`` is their folder, or torchvision's root with FashionMNIST/raw below it. All 70,000 images make one pool.
"""

import gzip
import hashlib
import io
import math
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from adaloss.runs import files
from experiments.data import pool
from experiments.data.images import Images
from experiments.runs.schema import ConfigError

PARTS = ("train", "t10k")
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
    folder = path / "FashionMNIST/raw" if (path / "FashionMNIST/raw").is_dir() else path
    x = np.concatenate([_idx(folder / f"{part}-images-idx3-ubyte", 3) for part in PARTS])
    labels = np.concatenate([_idx(folder / f"{part}-labels-idx1-ubyte", 1) for part in PARTS])
    if len(x) != len(labels):
        raise ConfigError(f"data.path={path}: has {len(x)} images and {len(labels)} labels")
    return x, labels.astype(np.int64), hashlib.sha256(x.tobytes() + labels.tobytes()).hexdigest()


def _idx(file: Path, dimensions: int) -> np.ndarray:
    """Return the bytes of an IDX file: 0, 0, 8 (bytes), the number of dimensions, each size, the content."""
    packed = file.with_name(f"{file.name}.gz")
    try:
        content = files.read(packed if packed.exists() else file, MOST_BYTES)
        if packed.exists():
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as unpacked:
                content = unpacked.read(MOST_BYTES)
        head = struct.unpack_from(f">BBBB{dimensions}I", content)
        sizes, first = head[4:], 4 + 4 * dimensions
        if head[:4] != (0, 0, 8, dimensions) or math.prod(sizes) != len(content) - first or 0 in sizes:
            raise ValueError("not an IDX file of bytes, or not whole")
    except (OSError, EOFError, ValueError, zlib.error, struct.error) as error:
        raise ConfigError(f"data.path={file}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return np.frombuffer(content, np.uint8, offset=first).reshape(sizes)
