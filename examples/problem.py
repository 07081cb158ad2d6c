"""The problem of every example: a small network on scikit-learn's digits, in torch's default dtype."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

TRAINING = 1500  # rows; the rest is for testing


def network() -> nn.Module:
    """Return a classifier of the digits, always with the same initial weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def digits() -> tuple[Tensor, Tensor]:
    """Return all images, as rows, and their labels."""
    images, labels = load_digits(return_X_y=True)
    return torch.as_tensor(images / 16, dtype=torch.get_default_dtype()), torch.as_tensor(labels)


def loader(steps: int = 200, size: int = 64) -> DataLoader:
    """Return ``steps`` batches of ``size`` rows. Equal numbers of rows are the same rows, whatever the batch size."""
    images, labels = digits()
    rows = torch.randint(TRAINING, (steps * size,), generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images[rows], labels[rows]), batch_size=size)


def report(step: int, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Print the loss, b and the step size at every 20th step."""
    if step % 20 == 0:
        print(f"step {step}: loss {loss:.4f}, b {optimizer.b:.3f}, step size {optimizer.effective_lr[0]:.4f}")


def evaluate(model: nn.Module) -> None:
    """Print how many of the test rows the model gets right. An evaluation tells the optimizer nothing."""
    images, labels = digits()
    with torch.no_grad():
        right = model(images[TRAINING:]).argmax(dim=1) == labels[TRAINING:]
    print(f"test accuracy {right.double().mean():.3f}")
