"""Fine-tune a vision transformer: its loss on a rank's shard of a minibatch, weight decay, accuracies."""

import math
from typing import Annotated, Literal

import pandas as pd
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from experiments import distributed
from experiments.data.images import Images, Rows
from experiments.runs.schema import Strict
from experiments.training import EVALUATED, Trainer

SETTLING = 4 * EVALUATED  # images of which BatchNorm takes its statistics


class WeightDecay(Strict):
    """``value`` is wd in w <- w - s wd w; ``by`` says what s is.

    step: the method's own step eta / b, as torch.optim.SGD does under it. eta: eta alone, as in the authors' code,
    which divides the loss by b and leaves the rest to SGD(lr=eta, weight_decay=wd):
    w - eta (g / b + wd w) = (1 - eta wd) w - (eta / b) g.
    """

    value: Annotated[float, Field(ge=0, lt=1)]
    by: Literal["eta", "step"]


class VitTrainer(Trainer):
    """A trainer on images; ``shrink`` multiplies the parameters before each step: 1 - eta wd, or 1."""

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
        super().__init__(model, optimizer, generator, len(images.train[1]))
        self.images, self.shrink, self.precision = images, shrink, precision
        self.device = distributed.device()
        self.parallel = distributed.data_parallel(model)
        self.inputs, self.labels = (part.to(self.device) for part in images.train)

    def loss(self, chosen: torch.Tensor) -> torch.Tensor:
        """Sum over this rank's shard and divide by all that are chosen: the ranks' parts add up, however uneven."""
        self.model.train()  # for BatchNorm
        draws = self.images.draw(len(chosen), self.generator)
        shard = distributed.shard(len(chosen))
        mine = chosen[shard].to(self.device)
        inputs = self.images.augment(self.inputs[mine], draws[shard].to(self.device))
        with self._autocast():
            return functional.cross_entropy(self.parallel(inputs), self.labels[mine], reduction="sum") / len(chosen)

    def update(self, loss: float) -> tuple[float, float]:
        """Shrink the parameters, then take the step."""
        if self.shrink != 1.0:
            with torch.no_grad():
                torch._foreach_mul_(list(self.model.parameters()), self.shrink)
        return super().update(loss)

    def evaluate(self, mean_loss: float) -> tuple[float, float, float]:
        """Return the mean loss of the epoch's minibatches and both accuracies."""
        self._settle()
        return mean_loss, self.accuracy(self.images.validation), self.accuracy(self.images.test)

    @torch.no_grad()
    def _settle(self) -> None:
        """Give BatchNorm the statistics of training images under the weights as they are: running ones lag behind."""
        norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        if not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over the batches
        images = self.images.train[0][:SETTLING]
        parts = math.ceil(len(images) / EVALUATED)
        self.model.train()
        for k in range(parts):  # of images in the order of their classes each has some of all
            with self._autocast():
                self.model(self.images.plain(images[k::parts].to(self.device)))

    @torch.no_grad()
    def accuracy(self, rows: Rows) -> float:
        """Return the share of images that are classified correctly, nan where an output is not finite."""
        self.model.eval()
        shard = distributed.shard(len(rows[1]))
        right = broken = 0
        for images, labels in zip(*(values[shard].split(EVALUATED) for values in rows), strict=True):
            with self._autocast():
                out = self.model(self.images.plain(images.to(self.device)))
            right += int((out.argmax(dim=1) == labels.to(self.device)).sum())
            broken += int((~torch.isfinite(out)).sum())
        right, broken = distributed.all_reduce_sum(right, broken)
        return math.nan if broken else right / len(rows[1])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


def best_epoch(history: pd.DataFrame) -> pd.Series | None:
    """Return the last row of the epoch with the highest validation accuracy, the first of equals; None without any."""
    ends = history.dropna(subset=["validation_accuracy"])
    return ends.loc[ends["validation_accuracy"].idxmax()] if len(ends) else None
