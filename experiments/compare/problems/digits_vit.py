"""Digits by a small vision transformer, cross entropy."""

from typing import Literal

from pydantic import model_validator
from torch.nn import functional

from experiments.compare.problems import Task
from experiments.data.digit_split import CLASSES, SIZE, TestSize, split
from experiments.models.vit import VisionTransformer
from experiments.runs.schema import Count, Strict


class Config(Strict):
    """``test`` images are kept for the test; ``patch``, ``width``, ``depth`` and ``heads`` are the transformer's."""

    name: Literal["digits_vit"]
    test: TestSize
    patch: Count
    width: Count
    depth: Count
    heads: Count
    batch: Count

    @model_validator(mode="after")
    def _divide(self) -> "Config":
        if SIZE % self.patch:
            raise ValueError(f"problems.digits_vit.patch={self.patch}: should divide the images' {SIZE} pixels")
        if self.width % self.heads:
            raise ValueError(f"problems.digits_vit.heads={self.heads}: should divide width={self.width}")
        return self


def load(config: Config, seed: int) -> Task:
    """Load the digits; the seed chooses the test images and the initial weights."""
    parts = split(config.test, seed)
    for name in ("train", "test"):
        x, y = parts[name]
        parts[name] = x.reshape(-1, 1, SIZE, SIZE), y
    return Task(
        build=lambda: VisionTransformer(
            size=SIZE,
            patch=config.patch,
            channels=1,
            width=config.width,
            depth=config.depth,
            heads=config.heads,
            classes=CLASSES,
        ),
        criterion=functional.cross_entropy,
        metric="accuracy",
        seed=seed,
        facts={},
        **parts,
    )
