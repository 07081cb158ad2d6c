"""PyTorch Lightning: automatic optimization, with or without accumulated gradients, and manual optimization."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


class Automatic(pl.LightningModule):
    """Lightning owns backward, accumulation, clipping and the step; ``training_step`` tells the optimizer the loss."""

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self.model = problem.network()
        self.every = every

    def configure_optimizers(self) -> AdaLoss:
        """Return the optimizer; a scheduler returned with it would act on lr."""
        return AdaLoss(self.parameters(), lr=1.0, b0=1.0)

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """Return the micro-batch's mean loss; Lightning divides it by ``accumulate_grad_batches`` only afterwards."""
        x, y = batch
        loss = cross_entropy(self.model(x), y)
        self.optimizers().observe(loss)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: list[torch.Tensor], index: int) -> None:
        """Report progress after a batch that ended in a step."""
        if (index + 1) % self.every == 0:
            problem.report(self.trainer.global_step, outputs["loss"], self.trainer.optimizers[0])


class ClippedHalf(Automatic):
    """A module for ``precision="16-mixed"`` with ``gradient_clip_val``, which Lightning refuses there."""

    def configure_gradient_clipping(
        self, optimizer: AdaLoss, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip what the GradScaler has unscaled."""
        self.trainer.precision_plugin.scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)


class Manual(Automatic):
    """``training_step`` does everything itself."""

    def __init__(self, every: int = 1) -> None:
        super().__init__(every)
        self.automatic_optimization = False

    def training_step(self, batch: list[torch.Tensor], index: int) -> dict[str, torch.Tensor]:
        """Run backward, and at the last micro-batch take the step."""
        x, y = batch
        loss = cross_entropy(self.model(x), y)
        self.manual_backward(loss / self.every)
        self.optimizers().observe(loss)
        if (index + 1) % self.every == 0:
            optimizer = self.optimizers()
            optimizer.step()
            optimizer.zero_grad()
        return {"loss": loss.detach()}


class Numbers(pl.Callback):
    """Log b, eta and the step of each optimizer by whatever logger the Trainer has."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Log the numbers of the last step."""
        for i, optimizer in enumerate(trainer.optimizers):
            module.log_dict({f"optimizer_{i}/{name}": value for name, value in optimizer.numbers().items()})


class TwoOptimizers(Manual):
    """Each layer has an optimizer of its own. With several, ``self.optimizers()`` is a list."""

    def configure_optimizers(self) -> list[AdaLoss]:
        """Return both."""
        return [AdaLoss(layer.parameters(), lr=1.0, b0=1.0) for layer in self.model if list(layer.parameters())]

    def training_step(self, batch: list[torch.Tensor], index: int) -> dict[str, torch.Tensor]:
        """Take a step of each; both see the same loss."""
        x, y = batch
        loss = cross_entropy(self.model(x), y)
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step(loss=loss)
            optimizer.zero_grad()
        return {"loss": loss.detach()}


def train(
    loader: torch.utils.data.DataLoader, module: Automatic, **options: Any
) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Train on each micro-batch once; return the model and its optimizer. ``options`` are the Trainer's."""
    if module.automatic_optimization:
        options["accumulate_grad_batches"] = module.every
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", max_epochs=1, enable_checkpointing=False, **quiet, **options)
    trainer.fit(module, loader)
    return module.model, trainer.optimizers[0]


if __name__ == "__main__":
    problem.evaluate(train(problem.loader(steps=800, size=16), Automatic(every=4))[0])
    problem.evaluate(train(problem.loader(steps=800, size=16), Manual(every=4))[0])
