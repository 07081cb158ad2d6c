"""Training of one text classifier: one row per optimizer step, values at each epoch's end, continued after a kill."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from experiments.data.articles import Corpus
from experiments.data.images import Rows
from experiments.optimizers import take
from experiments.runs.checkpoint import Checkpoint

EVALUATED = 512  # articles of a batch without gradients
EPOCH_COLUMNS = ("train_loss", "validation_accuracy", "test_accuracy")
COLUMNS = ("loss", "step", *EPOCH_COLUMNS)


class Trainer:
    """A model under an optimizer, both on the device of the model's parameters."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, corpus: Corpus, generator: torch.Generator):
        self.model, self.optimizer, self.generator = model, optimizer, generator
        device = next(model.parameters()).device
        self.train_part, self.validation, self.test = (
            tuple(array.to(device) for array in rows) for rows in (corpus.train, corpus.validation, corpus.test)
        )

    def train(
        self, epochs: int, batch: int, checkpoint: Checkpoint, progress: Callable[[Iterable], Iterable]
    ) -> tuple[bool, pd.DataFrame]:
        """Whether all stayed finite, and one row per step: the minibatch's loss before it, and its size.

        An epoch's last row has the loss on all training articles and two accuracies, all after the step. Articles are
        shuffled anew in every epoch. A step that is not finite ends the training; its row has no step.
        """
        rows, order = self._resume(checkpoint)
        n = len(self.train_part[1])
        per_epoch = math.ceil(n / batch)
        finite = True
        for t in progress(range(len(rows), epochs * per_epoch)):
            position = t % per_epoch
            if position == 0:
                order = torch.randperm(n, generator=self.generator)
            rows.append(
                [*self.step(order[position * batch : (position + 1) * batch]), *[math.nan] * len(EPOCH_COLUMNS)]
            )
            finite = math.isfinite(rows[-1][1])
            if finite and position == per_epoch - 1:
                train_loss, _ = self.evaluate(self.train_part)
                finite = math.isfinite(train_loss)
                rows[-1][2:] = [train_loss, *(self.evaluate(part)[1] for part in (self.validation, self.test))]
            if not finite:
                break
            checkpoint.keep(lambda rows=rows, order=order: self._state(rows, order))
        history = pd.DataFrame(rows, columns=COLUMNS)
        history.insert(0, "iteration", range(1, len(rows) + 1))
        history.insert(1, "epoch", [1 + t // per_epoch for t in range(len(rows))])
        return finite, history

    def step(self, chosen: torch.Tensor) -> tuple[float, float]:
        """One step on the articles ``chosen``: their mean loss, and the step's size, nan where none was taken."""
        ids, labels = (array[chosen.to(array.device)] for array in self.train_part)
        loss = functional.cross_entropy(self.model(ids), labels)
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters()])
        if not math.isfinite(loss.item() + norm.item()):
            return loss.item(), math.nan
        return loss.item(), take(self.optimizer, loss.detach())

    @torch.no_grad()
    def evaluate(self, part: Rows) -> tuple[float, float]:
        """The mean loss and the share of articles that are classified correctly."""
        loss = right = 0.0
        for ids, labels in zip(*(array.split(EVALUATED) for array in part), strict=True):
            out = self.model(ids)
            loss += functional.cross_entropy(out, labels, reduction="sum").item()
            right += (out.argmax(dim=1) == labels).sum().item()
        return loss / len(part[1]), right / len(part[1])

    def _state(self, rows: list[list[float]], order: torch.Tensor) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "rows": rows,
            "order": order,
        }

    def _resume(self, checkpoint: Checkpoint) -> tuple[list[list[float]], torch.Tensor | None]:
        """The steps that were taken before, and the order of the articles in the epoch that was under way."""
        found = checkpoint.load()
        if found is None:
            return [], None
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.generator.set_state(found["generator"])
        return found["rows"], found["order"]
