"""Images to fine-tune on: what every data set of the vision transformer's experiment hands over."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from experiments.runs.schema import ConfigError

Rows = tuple[torch.Tensor, torch.Tensor]  # images (n, channels, ...) as they are stored, labels (n,)


@dataclass(frozen=True, eq=False)
class Images:
    """Three parts, and how a batch of each becomes what the model sees: (n, ``channels``, ``size``, ``size``).

    ``draw(n, generator)`` makes the random numbers of n augmentations, (n, k); ``augment(images, draws)`` applies them.
    So the numbers of a batch are the same however its images are dealt to processes. ``plain`` is for evaluation.
    """

    train: Rows
    validation: Rows
    test: Rows
    classes: int
    channels: int
    size: int
    draw: Callable[[int, torch.Generator], torch.Tensor]
    augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    plain: Callable[[torch.Tensor], torch.Tensor]
    checksum: str


def balanced_split(labels: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows into two disjoint sets: the second has ``share`` of each class, rounded."""
    first, second = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        size = round(share * len(rows))
        second.append(rows[:size])
        first.append(rows[size:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def validation_split(
    labels: np.ndarray, share: float, rng: np.random.Generator, source: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Split the images to train on from those to validate on. Raises ConfigError if either set is empty."""
    train, validation = balanced_split(labels, share, rng)
    if not (len(train) and len(validation)):
        raise ConfigError(f"data.validation={share}: leaves no image{source} to train or validate on")
    return train, validation
