"""Mixed precision: float16 with a GradScaler, which skips a step where the scaled gradient overflows."""

import torch
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


def train(loader: torch.utils.data.DataLoader, init_scale: float = 2.0**16) -> tuple[torch.nn.Module, AdaLoss]:
    """Train on each batch once; return the model and its optimizer."""
    model = problem.network()
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=init_scale)
    for step, (x, y) in enumerate(loader, start=1):
        with torch.autocast("cpu", dtype=torch.float16):
            loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer, loss=loss)  # the loss itself, not scaler.scale(loss)
        scaler.update()
        problem.report(step, loss, optimizer)
    return model, optimizer


if __name__ == "__main__":
    problem.evaluate(train(problem.loader())[0])
