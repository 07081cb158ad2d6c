"""scikit-learn's digits (1797 real images of 8 x 8, ten classes) as images: no augmentation."""

import hashlib
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from experiments.data.digit_split import CLASSES, SIZE, TestSize
from experiments.data.digit_split import split as divided
from experiments.data.images import Images, validation_split
from experiments.runs.schema import Seed, Strict

SPLIT_STREAM = 1  # of the validation images; the test images have a stream of their own


class Config(Strict):
    """``test`` images are kept for the test, ``validation`` is a share of each class of the rest.

    ``split`` is the seed that deals the images; the training's own if it is None.
    """

    name: Literal["digit_images"]
    test: TestSize
    validation: Annotated[float, Field(gt=0, lt=1)]
    split: Seed | None


def load(config: Config, split: int) -> Images:
    """Load all into memory."""
    parts = divided(config.test, split)
    x, y = parts["train"]
    rng = np.random.default_rng([split, SPLIT_STREAM])
    train, validation = (torch.from_numpy(rows) for rows in validation_split(y.numpy(), config.validation, rng))
    x, test = (part.reshape(-1, 1, SIZE, SIZE) for part in (x, parts["test"][0]))
    return Images(
        train=(x[train], y[train]),
        validation=(x[validation], y[validation]),
        test=(test, parts["test"][1]),
        classes=CLASSES,
        channels=1,
        size=SIZE,
        draw=lambda n, generator: torch.empty(n, 0),
        augment=lambda images, draws: images,
        plain=lambda images: images,
        checksum=hashlib.sha256(f"{parts['checksum']} {validation.tolist()}".encode()).hexdigest()[:12],
    )
