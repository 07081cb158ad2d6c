"""Linear regression one cell at a time: in plain NumPy, and as one would write it with torch."""

import numpy as np
import torch

from adaloss.simulate.linear_regression import minibatches


def numpy_cell(problem, seed, cell, *, iterations, batch):
    """The loop of the paper on w itself, y = X w* + noise: losses and steps, one pair per iteration."""
    x, w = problem.x, problem.error0.copy()
    y = problem.noise
    b_sq, b0, hyper = cell.b0**2, cell.b0, cell.hyper
    eta = hyper.get("eta", 1.0)
    losses, steps = np.empty(iterations), np.empty(iterations)
    rows = _rows(seed, len(x), batch, iterations)
    for t in range(1, iterations + 1):
        xb, yb = (x, y) if batch is None else (x[rows[t - 1]], y[rows[t - 1]])
        scale = 1.0 if batch is None else 1.0 / batch
        r = xb @ w - yb
        loss, gradient = 0.5 * scale * (r @ r), scale * (xb.T @ r)
        if cell.method == "adaloss":
            b_sq += hyper["alpha"] * abs(loss - hyper["c"])
            step = eta / np.sqrt(b_sq)
        elif cell.method == "adagrad_norm":
            b_sq += gradient @ gradient
            step = eta / np.sqrt(b_sq)
        elif cell.method == "sgd_constant":
            step = eta / b0
        elif hyper["form"] == "linear":
            step = eta / (b0 + hyper["c_s"] * np.sqrt(t))
        else:
            step = eta / np.sqrt(b0**2 + t)
        w -= step * gradient
        losses[t - 1], steps[t - 1] = loss, step
    return losses, steps


def torch_cell(problem, seed, cell, *, iterations, batch):
    """The same with autograd and torch.optim.SGD, whose learning rate is set before every step."""
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.noise)
    w = torch.from_numpy(problem.error0.copy()).requires_grad_()
    optimizer = torch.optim.SGD([w], lr=1.0)
    b_sq, hyper = cell.b0**2, cell.hyper
    eta = hyper.get("eta", 1.0)
    losses = np.empty(iterations)
    rows = torch.from_numpy(_rows(seed, len(x), batch, iterations))
    for t in range(1, iterations + 1):
        optimizer.zero_grad()
        chosen = rows[t - 1]
        loss = 0.5 * (x[chosen] @ w - y[chosen]).square().mean()
        loss.backward()
        if cell.method == "adaloss":
            b_sq += hyper["alpha"] * abs(loss.item() - hyper["c"])
            step = eta / b_sq**0.5
        elif cell.method == "adagrad_norm":
            b_sq += float(w.grad.square().sum())
            step = eta / b_sq**0.5
        elif cell.method == "sgd_constant":
            step = eta / cell.b0
        else:
            step = eta / (cell.b0 + hyper["c_s"] * t**0.5)
        optimizer.param_groups[0]["lr"] = step
        optimizer.step()
        losses[t - 1] = loss.item()
    return losses


def _rows(seed, n, batch, iterations):
    return None if batch is None else np.concatenate(list(minibatches(seed, n, batch, iterations)))
