"""Train a classifier: one row per optimizer step, evaluated at the end of epochs, resumed after a kill.

The loop and its checkpoints are the same for every model. A subclass of :class:`Trainer` says what the loss of a
minibatch is and what is measured at the end of an epoch.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import nn

from experiments import distributed
from experiments.optimizers import take
from experiments.runs.checkpoint import Checkpoint

EVALUATED = 512  # rows of a batch without gradients
EPOCH_COLUMNS = ("train_loss", "validation_accuracy", "test_accuracy")
COLUMNS = ("loss", "step", "b", *EPOCH_COLUMNS)


class Trainer:
    """A model under an optimizer, both on this process's device; ``n`` rows to train on."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator, n: int):
        self.model, self.optimizer, self.generator, self.n = model, optimizer, generator, n

    def loss(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return this rank's part of the mean loss of the rows ``chosen``, with its graph."""
        raise NotImplementedError

    def evaluate(self, mean_loss: float) -> Sequence[float]:
        """Return the values of EPOCH_COLUMNS; ``mean_loss`` is that of the epoch's minibatches."""
        raise NotImplementedError

    def evaluates(self, epoch: int, epochs: int) -> bool:
        """Return whether ``epoch`` (from 1) of ``epochs`` ends with an evaluation; the last does."""
        return True

    def update(self, loss: float) -> tuple[float, float]:
        """Take the optimizer's step; return its size and b."""
        return take(self.optimizer, loss)

    def step(self, chosen: torch.Tensor) -> tuple[float, float, float]:
        """Train on the rows ``chosen``; return their mean loss, the step and b, nan where no step was taken.

        DistributedDataParallel averages the gradients over the ranks: each is multiplied by their number.
        """
        loss = self.loss(chosen)
        self.optimizer.zero_grad()
        (distributed.world_size() * loss).backward()
        [mean] = distributed.all_reduce_sum(loss.item())
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters()]).item()
        if not (math.isfinite(mean) and math.isfinite(norm)):
            return mean, math.nan, math.nan
        return mean, *self.update(mean)

    def train(
        self, epochs: int, batch: int, checkpoint: Checkpoint, progress: Callable[[Iterable], Iterable]
    ) -> tuple[bool, pd.DataFrame]:
        """Return whether all stayed finite, and the history: the loss before each step, and the step.

        The last row of an epoch that is evaluated has the values of its end. Rows are shuffled in every epoch. A
        non-finite value ends the training; a step that was not taken is nan.
        """
        rows, order = self._resume(checkpoint)
        per_epoch = math.ceil(self.n / batch)
        finite = True
        for t in progress(range(len(rows), epochs * per_epoch)):
            position = t % per_epoch
            if position == 0:
                order = torch.randperm(self.n, generator=self.generator)
            rows.append(
                [*self.step(order[position * batch : (position + 1) * batch]), *[math.nan] * len(EPOCH_COLUMNS)]
            )
            finite = math.isfinite(rows[-1][1])
            if finite and position == per_epoch - 1 and self.evaluates(1 + t // per_epoch, epochs):
                rows[-1][3:] = self.evaluate(self._mean([row[0] for row in rows[-per_epoch:]], batch))
                finite = all(map(math.isfinite, rows[-1][3:]))
            if not finite:
                break
            if distributed.rank() == 0:
                checkpoint.keep(lambda rows=rows, order=order: self._state(rows, order))
        history = pd.DataFrame(rows, columns=COLUMNS)
        history.insert(0, "iteration", range(1, len(rows) + 1))
        history.insert(1, "epoch", [1 + t // per_epoch for t in range(len(rows))])
        return finite, history

    def _mean(self, losses: list[float], batch: int) -> float:
        """Return the mean over the rows, from the means of their minibatches."""
        sizes = [min(batch, self.n - first) for first in range(0, self.n, batch)]
        return sum(size * loss for size, loss in zip(sizes, losses, strict=True)) / self.n

    def _state(self, rows: list[list[float]], order: torch.Tensor) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "rows": rows,
            "order": order,
        }

    def _resume(self, checkpoint: Checkpoint) -> tuple[list[list[float]], torch.Tensor | None]:
        """Return the rows so far, and the order of the epoch under way."""
        found = checkpoint.load()
        if found is None:
            return [], None
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.generator.set_state(found["generator"])
        return found["rows"], found["order"]
