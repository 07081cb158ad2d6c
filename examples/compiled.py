"""torch.compile, of the model and of the optimizer's step: each is compiled once, though b changes at every step."""

import torch
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


def train(loader: torch.utils.data.DataLoader, backend: str = "inductor") -> tuple[torch.nn.Module, AdaLoss]:
    """Train on each batch once; return the model and its optimizer."""
    model = problem.network()
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    forward = torch.compile(model, backend=backend)
    update = torch.compile(lambda loss: optimizer.step(loss=loss), backend=backend)
    for step, (x, y) in enumerate(loader, start=1):
        loss = cross_entropy(forward(x), y)
        optimizer.zero_grad()
        loss.backward()
        update(loss.detach())
        problem.report(step, loss, optimizer)
    return model, optimizer


if __name__ == "__main__":
    problem.evaluate(train(problem.loader())[0])
