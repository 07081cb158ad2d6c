"""Hugging Face Accelerate, which owns backward and decides at which micro-batches a step is taken."""

import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


def train(loader: torch.utils.data.DataLoader, every: int = 1) -> tuple[torch.nn.Module, AdaLoss]:
    """Train on each micro-batch once, ``every`` of them a step; return the model and its optimizer."""
    accelerator = Accelerator(gradient_accumulation_steps=every, cpu=True)
    model = problem.network()
    adaloss = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    prepared, optimizer, loader = accelerator.prepare(model, adaloss, loader)
    for i, (x, y) in enumerate(loader, start=1):
        with accelerator.accumulate(prepared):
            loss = cross_entropy(prepared(x), y)
            accelerator.backward(loss)  # divides by the number of micro-batches, without changing loss
            adaloss.observe(loss)  # not the prepared optimizer, whose step() takes no loss
            optimizer.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            problem.report(i // every, loss, adaloss)
    return accelerator.unwrap_model(prepared), adaloss


if __name__ == "__main__":
    problem.evaluate(train(problem.loader(steps=800, size=16), every=4)[0])
