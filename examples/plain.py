"""The plain loop, with its gradient clipped: ``step(loss=loss)`` after ``backward()``."""

import math

import torch
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


def train(loader: torch.utils.data.DataLoader, clip: float = math.inf) -> tuple[torch.nn.Module, AdaLoss]:
    """Train on each batch once; return the model and its optimizer."""
    model = problem.network()
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    for step, (x, y) in enumerate(loader, start=1):
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step(loss=loss)
        problem.report(step, loss, optimizer)
    return model, optimizer


if __name__ == "__main__":
    problem.evaluate(train(problem.loader())[0])
