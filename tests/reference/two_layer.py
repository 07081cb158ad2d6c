"""The two-layer network one cell at a time, as one would write it with torch: autograd and torch.optim.SGD."""

import numpy as np
import torch

from adaloss.simulate.linear_regression import minibatches


def torch_cell(problem, seed, cell, *, iterations, batch, keep=()):
    """Losses and steps, one pair per iteration, and W(t - 1) at the iterations of ``keep``, and W at the end."""
    x, y, a = (torch.from_numpy(value) for value in (problem.x, problem.y, problem.a))
    w = torch.from_numpy(problem.w0.copy()).requires_grad_()
    optimizer = torch.optim.SGD([w], lr=1.0)
    b_sq, hyper = cell.b0**2, cell.hyper
    eta = hyper.get("eta", 1.0)
    losses, steps, weights = np.empty(iterations), np.empty(iterations), {}
    rows = (
        None if batch is None else torch.from_numpy(np.concatenate(list(minibatches(seed, len(y), batch, iterations))))
    )
    for t in range(1, iterations + 1):
        if t in keep:
            weights[t] = w.detach().numpy().copy()
        optimizer.zero_grad()
        xb, yb = (x, y) if rows is None else (x[rows[t - 1]], y[rows[t - 1]])
        squares = (torch.relu(xb @ w.T) @ a / len(a) ** 0.5 - yb).square()
        loss = 0.5 * (squares.sum() if rows is None else squares.mean())
        loss.backward()
        if cell.method == "adaloss":
            b_sq += hyper["alpha"] * abs(loss.item() - hyper["c"])
            step = eta / b_sq**0.5
        elif cell.method == "adagrad_norm":
            b_sq += float(w.grad.square().sum())
            step = eta / b_sq**0.5
        elif cell.method == "sgd_constant":
            step = eta / cell.b0
        elif hyper["form"] == "linear":
            step = eta / (cell.b0 + hyper["c_s"] * t**0.5)
        else:
            step = eta / (cell.b0**2 + t) ** 0.5
        optimizer.param_groups[0]["lr"] = step
        optimizer.step()
        losses[t - 1], steps[t - 1] = loss.item(), step
    weights[iterations + 1] = w.detach().numpy().copy()
    return losses, steps, weights
