"""Small gray images, dealt in equal numbers of each class, as a network sees them that was pretrained on ImageNet."""

import hashlib

import numpy as np
import torch
from torch.nn import functional

from experiments.data.images import Images
from experiments.runs.schema import ConfigError, Count, Seed, Strict

CHANNELS = 3
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which the pretrained networks expect
PARTS = ("train", "validation", "test")


class PoolConfig(Strict):
    """Numbers of images to train, to validate and to test on, the same of each class; they are disjoint.

    ``split`` is the seed that deals them, the training's own if it is None. Images are resized to ``size`` pixels.
    """

    train: Count
    validation: Count
    test: Count
    split: Seed | None
    size: Count


def images(x: np.ndarray, labels: np.ndarray, config: PoolConfig, split: int, checksum: str) -> Images:
    """Deal square images of bytes (n, side, side). Raises ConfigError if a class has too few images."""
    classes = int(labels.max()) + 1
    rng = np.random.default_rng([split])
    rows = [rng.permutation(np.flatnonzero(labels == label)) for label in range(classes)]
    parts, first = {}, 0
    for name in PARTS:
        size = getattr(config, name)
        last = first + size // classes
        if size % classes or last > min(map(len, rows)):
            raise ConfigError(
                f"data.{name}={size}: should be a multiple of {classes}, the number of classes, and all three parts "
                f"together have at most {min(map(len, rows))} images of each"
            )
        chosen = np.sort(np.concatenate([of_class[first:last] for of_class in rows]))
        parts[name] = torch.from_numpy(x[chosen])[:, None], torch.from_numpy(labels[chosen])
        first = last
    return Images(
        **parts,
        classes=classes,
        channels=CHANNELS,
        size=config.size,
        draw=lambda n, generator: torch.empty(n, 0),
        augment=lambda images, draws: seen(images, config.size),
        plain=lambda images: seen(images, config.size),
        checksum=hashlib.sha256(f"{checksum} {split}".encode()).hexdigest()[:12],
    )


def seen(images: torch.Tensor, size: int) -> torch.Tensor:
    """Map bytes (n, 1, side, side) to three equal channels in the units of ImageNet, (n, 3, ``size``, ``size``)."""
    images = images.float() / 255
    if images.shape[-1] != size:
        images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std
