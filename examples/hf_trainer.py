"""The Hugging Face Trainer: a subclass that tells the optimizer each micro-batch's part of the loss."""

import tempfile
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments

from adaloss.optim import AdaLoss
from examples import problem


class AdaLossTrainer(Trainer):
    """Use it with ``optimizers=(AdaLoss(...), None)`` and, unless lr is to fall too, ``lr_scheduler_type="constant"``.

    What Trainer's ``training_step`` returns are parts of a sum, however the loss is normalised (by the number of
    micro-batches, or by the number of tokens in all of them); the optimizer takes the mean of what it observes.
    """

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Do Trainer's step, then tell the optimizer the loss."""
        part = super().training_step(*args, **kwargs)
        self.optimizer.optimizer.observe(part * self.current_gradient_accumulation_steps)
        return part

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as Trainer does, with b, eta and the step (a callback would come after those that report)."""
        if "learning_rate" in logs:
            logs |= self.optimizer.optimizer.numbers()
        super().log(logs, *args, **kwargs)


class Classifier(torch.nn.Module):
    """A model as Trainer wants it: it computes its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.model = problem.network()

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mean loss over the micro-batch, and the logits."""
        logits = self.model(images)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def train(
    model: torch.nn.Module, rows: list[dict[str, torch.Tensor]], size: int, every: int = 1, **options: Any
) -> tuple[AdaLossTrainer, AdaLoss]:
    """Train on each row once, ``size`` of them a micro-batch; return the trainer and its optimizer."""
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=every,
            num_train_epochs=1,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",
            logging_steps=20,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            **options,
        )
        trainer = AdaLossTrainer(model, arguments, train_dataset=rows, optimizers=(optimizer, None))
        trainer.train()
    return trainer, optimizer


if __name__ == "__main__":
    classifier = Classifier()
    rows = [{"images": image, "labels": label} for image, label in problem.loader().dataset]
    train(classifier, rows, size=16, every=4)
    problem.evaluate(classifier.model)
