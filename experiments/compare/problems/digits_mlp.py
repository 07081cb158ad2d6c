"""Digits by a network with one hidden layer of ReLUs, cross entropy."""

from typing import Literal

from torch import nn
from torch.nn import functional

from experiments.compare.problems import Task
from experiments.data.digit_split import CLASSES, SIZE, TestSize, split
from experiments.runs.schema import Count, Strict


class Config(Strict):
    """``test`` images are kept for the test; ``hidden`` is the width, ``batch`` the images of a minibatch."""

    name: Literal["digits_mlp"]
    test: TestSize
    hidden: Count
    batch: Count


def load(config: Config, seed: int) -> Task:
    """Load the digits; the seed chooses the test images and the initial weights."""
    return Task(
        build=lambda: nn.Sequential(
            nn.Linear(SIZE * SIZE, config.hidden), nn.ReLU(), nn.Linear(config.hidden, CLASSES)
        ),
        criterion=functional.cross_entropy,
        metric="accuracy",
        seed=seed,
        facts={},
        **split(config.test, seed),
    )
