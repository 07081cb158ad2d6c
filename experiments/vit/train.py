"""Fine-tuning of one model: one row per optimizer step, evaluated at the end of each epoch, continued after a kill."""

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import pandas as pd
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from experiments.data.images import Images, Rows
from experiments.optimizers import take
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.schema import Strict
from experiments.vit import ranks as ranks

EVALUATED = 512  # images of a batch without gradients
EPOCH_COLUMNS = ("train_loss", "validation_accuracy", "test_accuracy")
COLUMNS = ("loss", "step", *EPOCH_COLUMNS)


class WeightDecay(Strict):
    """``value`` is wd in w <- w - s wd w; ``by`` says what s is.

    step: the method's own step eta / b, as torch.optim.SGD does under it. eta: eta alone, as in the authors' code,
    which divides the loss by b and leaves the rest to SGD(lr=eta, weight_decay=wd):
    w - eta (g / b + wd w) = (1 - eta wd) w - (eta / b) g.
    """

    value: Annotated[float, Field(ge=0, lt=1)]
    by: Literal["eta", "step"]


class Tuner:
    """A model under an optimizer; ``shrink`` multiplies the parameters before each step: 1 - eta wd, or 1."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        images: Images,
        *,
        shrink: float,
        precision: Literal["float32", "bfloat16"],
        generator: torch.Generator,
    ):
        self.model, self.optimizer, self.images = model, optimizer, images
        self.shrink, self.precision, self.generator = shrink, precision, generator
        self.device = ranks.device()

    def train(
        self, epochs: int, batch: int, checkpoint: Checkpoint, progress: Callable[[Iterable], Iterable]
    ) -> tuple[bool, pd.DataFrame]:
        """Whether all stayed finite, and one row per step: loss before it, its size; at an epoch's end its values.

        Images are shuffled anew in every epoch. A step that is not finite ends the training; its row has no step.
        """
        rows, order = self._resume(checkpoint)
        parallel = ranks.wrapped(self.model)
        train = [part.to(self.device) for part in self.images.train]
        n = len(train[1])
        per_epoch = math.ceil(n / batch)
        finite = True
        for t in progress(range(len(rows), epochs * per_epoch)):
            position = t % per_epoch
            if position == 0:
                order = torch.randperm(n, generator=self.generator)
            loss, step = self.step(parallel, train, order[position * batch : (position + 1) * batch])
            rows.append([loss, step, *[math.nan] * len(EPOCH_COLUMNS)])
            finite = math.isfinite(step)
            if finite and position == per_epoch - 1:
                measured = [self.accuracy(part) for part in (self.images.validation, self.images.test)]
                finite = all(map(math.isfinite, measured))
                rows[-1][2:] = [_mean([row[0] for row in rows[-per_epoch:]], n, batch), *measured]
            if not finite:
                break
            if ranks.index() == 0:
                checkpoint.keep(lambda rows=rows, order=order: self._state(rows, order))
        history = pd.DataFrame(rows, columns=COLUMNS)
        history.insert(0, "iteration", range(1, len(rows) + 1))
        history.insert(1, "epoch", [1 + t // per_epoch for t in range(len(rows))])
        return finite, history

    def step(self, parallel: nn.Module, train: Rows, chosen: torch.Tensor) -> tuple[float, float]:
        """One optimizer step on the images ``chosen``: their mean loss, and the step's size, nan where none was taken.

        Every process sees its part of them: it differentiates (processes) sum_i loss_i / n over its part, so that the
        mean of the gradients over the processes is that of the mean loss, however uneven the parts.
        """
        draws = self.images.draw(len(chosen), self.generator)
        part = ranks.part(len(chosen))
        mine = chosen[part].to(self.device)
        inputs = self.images.augment(train[0][mine], draws[part].to(self.device))
        with self._autocast():
            loss = functional.cross_entropy(parallel(inputs), train[1][mine], reduction="sum") / len(chosen)
        self.optimizer.zero_grad()
        (ranks.count() * loss).backward()
        [mean] = ranks.total(loss.item())
        parameters = list(self.model.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters]).item()
        if not (math.isfinite(mean) and math.isfinite(norm)):
            return mean, math.nan
        if self.shrink != 1.0:
            with torch.no_grad():
                torch._foreach_mul_(parameters, self.shrink)
        return mean, take(self.optimizer, torch.tensor(mean, dtype=torch.float64))

    @torch.no_grad()
    def accuracy(self, rows: Rows) -> float:
        """The share of images that are classified correctly, nan where an output is not finite."""
        part = ranks.part(len(rows[1]))
        right = broken = 0
        for images, labels in zip(*(values[part].split(EVALUATED) for values in rows), strict=True):
            with self._autocast():
                out = self.model(self.images.plain(images.to(self.device)))
            right += int((out.argmax(dim=1) == labels.to(self.device)).sum())
            broken += int((~torch.isfinite(out)).sum())
        right, broken = ranks.total(right, broken)
        return math.nan if broken else right / len(rows[1])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _state(self, rows: list[list[float]], order: torch.Tensor) -> dict:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "rows": rows,
            "order": order,
        }

    def _resume(self, checkpoint: Checkpoint) -> tuple[list[list[float]], torch.Tensor | None]:
        """The steps that were taken before, and the order of the images in the epoch that was under way."""
        found = checkpoint.load()
        if found is None:
            return [], None
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.generator.set_state(found["generator"])
        return found["rows"], found["order"]


def best_epoch(history: pd.DataFrame) -> pd.Series | None:
    """The row that ends the epoch with the highest validation accuracy, the first of equals; None where none ended."""
    ends = history.dropna(subset=["validation_accuracy"])
    return ends.loc[ends["validation_accuracy"].idxmax()] if len(ends) else None


def _mean(losses: list[float], n: int, batch: int) -> float:
    """Over the n images, from the means of their batches."""
    sizes = [min(batch, n - first) for first in range(0, n, batch)]
    return sum(size * loss for size, loss in zip(sizes, losses, strict=True)) / n
