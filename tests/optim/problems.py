"""One small regression problem, with its loss and gradient in NumPy and in torch (float64)."""

import gc

import numpy as np
import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, SGDConstant, SGDDecaySqrt

ALL = [AdaLoss, AdamLoss, AdaGradNorm, SGDConstant, SGDDecaySqrt, AdamSqrt]
by_name = {"ids": lambda cls: cls.__name__}
SHAPES = [(4, 3), (4,), (2, 4), (2,)]
COMPILES = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13), reason="torch.compile of a step needs torch 2.13"
)


def ranks_of(work, count, folder):
    """Run ``work(rank, count, folder)`` in so many processes: forks, which need no imports, where there is no GPU."""
    method = "spawn" if torch.cuda.is_available() else "fork"
    gc.collect()  # a process group among the garbage would have a fork wait for threads that it does not have
    torch.multiprocessing.start_processes(work, (count, folder), nprocs=count, start_method=method)


class Network:
    """mean((W2 tanh(W1 x + b1) + b2 - y)^2) on a new batch at every iteration; a different noise for each t."""

    def __init__(self, seed=0, batch=6):
        self.seed, self.batch = seed, batch
        rng = np.random.default_rng(seed)
        self.start = [rng.normal(size=shape) for shape in SHAPES]

    def data(self, t):
        rng = np.random.default_rng([self.seed, t])
        return rng.normal(size=(self.batch, 3)), rng.normal(size=(self.batch, 2))

    def numpy(self, w, t):
        """The loss and its gradients, by hand."""
        w1, b1, w2, b2 = w
        x, y = self.data(t)
        hidden = np.tanh(x @ w1.T + b1)
        residual = hidden @ w2.T + b2 - y
        out = 2 * residual / residual.size
        back = out @ w2 * (1 - hidden**2)
        return np.mean(residual**2), [back.T @ x, back.sum(axis=0), out.T @ hidden, out.sum(axis=0)]

    def parameters(self, dtype=torch.float64):
        return [torch.nn.Parameter(torch.tensor(x, dtype=dtype)) for x in self.start]

    def loss(self, parameters, t, rows=slice(None)):
        w1, b1, w2, b2 = parameters
        x, y = (torch.as_tensor(v, dtype=w1.dtype)[rows] for v in self.data(t))
        return ((torch.tanh(x @ w1.T + b1) @ w2.T + b2 - y) ** 2).mean()


def train(network, parameters, optimizer, steps, first=1, needs_loss=True):
    """Plain steps; the values of b after each."""
    seen = []
    for t in range(first, first + steps):
        optimizer.zero_grad()
        loss = network.loss(parameters, t)
        loss.backward()
        optimizer.step(**({"loss": loss} if needs_loss else {}))
        seen.append(float(optimizer.b))
    return seen


def par(n, dtype=torch.float32):
    """A parameter of n ones whose gradient is ones."""
    p = torch.nn.Parameter(torch.ones(n, dtype=dtype))
    p.grad = torch.ones_like(p)
    return p


def single(cls=AdaLoss, **options):
    """An optimizer of w = (3, 4) with the gradient (3, 4)."""
    p = torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    p.grad = p.detach().clone()
    return p, cls([p], **options)


def b_after(loss, b0=1.0):
    """AdaLoss's b after one loss."""
    return float(np.sqrt(b0**2 + loss))
