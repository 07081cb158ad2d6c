"""Linear regression with one bad batch: in one step the targets are 1000 times as large. Gradients are clipped."""

from dataclasses import replace
from typing import Literal

from experiments.compare.problems import Task, noisy_regression
from experiments.runs.schema import Count, Positive


class Config(noisy_regression.Config):
    """The fields of ``noisy_regression``; ``bad_step`` is that of the bad batch, ``clip`` the largest gradient norm."""

    name: Literal["spoiled_regression"]
    bad_step: Count
    clip: Positive


def load(config: Config, seed: int) -> Task:
    """Draw what ``noisy_regression`` draws."""
    return replace(noisy_regression.load(config, seed), bad_step=config.bad_step, clip=config.clip)
