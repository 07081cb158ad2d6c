"""Linear regression one cell at a time: in plain NumPy, and as one would write it with torch."""

import numpy as np
import torch

from adaloss.simulate.linear_regression import minibatches
from tests.reference.stepsizes import rule


def numpy_cell(problem, seed, cell, *, iterations, batch):
    """The loop of the paper on w itself, y = X w* + noise: losses and steps, one pair per iteration."""
    x, y, w, take = problem.x, problem.noise, problem.error0.copy(), rule(cell.method, cell.b0, **cell.hyper)
    losses, steps = np.empty(iterations), np.empty(iterations)
    for t, chosen in enumerate(rows(seed, len(x), batch, iterations)):
        scale = 1.0 if batch is None else 1.0 / batch
        r = x[chosen] @ w - y[chosen]
        loss, gradient = 0.5 * scale * (r @ r), scale * (x[chosen].T @ r)
        _, step = take(loss, gradient @ gradient)
        w -= step * gradient
        losses[t], steps[t] = loss, step
    return losses, steps


def torch_cell(problem, seed, cell, *, iterations, batch):
    """The same with autograd and torch.optim.SGD."""
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.noise)
    drawn = rows(seed, len(x), batch, iterations)
    return descend(problem.error0, lambda w, chosen: (x[chosen] @ w - y[chosen]).square(), cell, drawn, batch)


def descend(start, squares, cell, drawn, batch, keep=()):
    """By torch.optim.SGD, whose learning rate is set before every step.

    Losses and steps, one pair per iteration, and the weights before the iterations of ``keep`` and at the end.
    """
    w, take = torch.from_numpy(start.copy()).requires_grad_(), rule(cell.method, cell.b0, **cell.hyper)
    optimizer, losses, steps, weights = torch.optim.SGD([w], lr=1.0), [], [], {}
    for t, chosen in enumerate(drawn, start=1):
        if t in keep:
            weights[t] = w.detach().numpy().copy()
        optimizer.zero_grad()
        loss = 0.5 * (squares(w, chosen).sum() if batch is None else squares(w, chosen).mean())
        loss.backward()
        losses.append(loss.item())
        _, step = take(losses[-1], float(w.grad.square().sum()))
        optimizer.param_groups[0]["lr"] = step
        optimizer.step()
        steps.append(step)
    weights[t + 1] = w.detach().numpy().copy()
    return np.array(losses), np.array(steps), weights


def rows(seed, n, batch, iterations):
    return iterations * [slice(None)] if batch is None else np.concatenate([*minibatches(seed, n, batch, iterations)])
