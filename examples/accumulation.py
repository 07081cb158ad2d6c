"""Gradients accumulated over micro-batches: ``observe`` each one's loss, then a bare ``step()``."""

import torch
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


def train(loader: torch.utils.data.DataLoader, every: int = 4) -> tuple[torch.nn.Module, AdaLoss]:
    """Train on each micro-batch once, ``every`` of them a step; return the model and its optimizer."""
    model = problem.network()
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    for i, (x, y) in enumerate(loader, start=1):
        loss = cross_entropy(model(x), y)
        (loss / every).backward()
        optimizer.observe(loss)  # the micro-batch's mean, not divided
        if i % every == 0:
            optimizer.step()
            optimizer.zero_grad()
            problem.report(i // every, loss, optimizer)
    return model, optimizer


if __name__ == "__main__":
    problem.evaluate(train(problem.loader(steps=800, size=16))[0])
