"""scikit-learn's digits (1797 images of 8 x 8, ten classes) for classification: what the networks share."""

import hashlib
from functools import cache
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from sklearn.datasets import load_digits

DATA_STREAM = 0
IMAGES, SIZE, CLASSES = 1797, 8, 10
TestSize = Annotated[int, Field(ge=1, le=IMAGES - 1)]


@cache
def _all() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def split(test: int, seed: int) -> dict:
    """Return ``train`` and ``test``, images (n, 64) and labels, and the checksum of both; the seed deals the images.

    Pixels are shifted and scaled by one mean and one deviation, those of all pixels of the training images.
    """
    images, labels = _all()
    order = np.random.default_rng([seed, DATA_STREAM]).permutation(IMAGES)
    images, labels = images[order], labels[order].astype(np.int64)
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes() + bytes(str(test), "ascii")).hexdigest()[:12]
    x = torch.from_numpy((images - images[test:].mean()) / images[test:].std()).float()
    y = torch.from_numpy(labels)
    return {"train": (x[test:], y[test:]), "test": (x[:test], y[:test]), "checksum": checksum}
