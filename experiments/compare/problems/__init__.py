"""The problems that optimizers are compared on: one module each, with ``Config`` (its fields) and ``load``.

``load(config, seed)`` gives a :class:`Task`. A new problem is a module here and its sizes in
configs/experiment/compare.yaml.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import nn

SPOILED = 1000
BUILD_STREAM = 3  # keeps the initial weights independent of the data of the same seed


@dataclass(frozen=True)
class Task:
    """The data, model and loss of one seed's training, all in memory.

    ``build`` makes the model, ``train`` and ``test`` are (inputs, targets), ``criterion`` the mean loss of a batch.
    ``metric`` says what decides in the end: "accuracy" on ``test``, or "loss" on it. ``facts`` go to the results.
    """

    build: Callable[[], nn.Module]
    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    criterion: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    metric: str
    seed: int
    checksum: str
    facts: dict[str, float]
    bad_step: int | None = None  # whose targets are SPOILED times as large
    clip: float = math.inf  # the largest norm of a gradient

    def model(self) -> nn.Module:
        """Return the model with the seed's initial weights, the same at every call; torch's generator is untouched."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence([self.seed, BUILD_STREAM]).generate_state(1, np.uint64)[0]))
            return self.build()

    def measure(self, model: nn.Module) -> dict[str, float]:
        """Return the loss, and the accuracy if that is the metric."""
        inputs, targets = self.test
        with torch.no_grad():
            out = model(inputs)
            found = {"loss": float(self.criterion(out, targets))}
            if self.metric == "accuracy":
                found["accuracy"] = float((out.argmax(dim=-1) == targets).double().mean())
        return found


def module(name: str) -> ModuleType:
    """Import the module of one problem by name, so that a run depends on the code of its own problem alone."""
    return import_module(f"experiments.compare.problems.{name}")
