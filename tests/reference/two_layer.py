"""The two-layer network one cell at a time, as one would write it with torch: autograd and torch.optim.SGD."""

import torch

from tests.reference.linear_regression import descend, rows


def torch_cell(problem, seed, cell, *, iterations, batch, keep=()):
    """Losses and steps, one pair per iteration, and W(t - 1) at the iterations of ``keep``, and W at the end."""
    x, y, a = (torch.from_numpy(value) for value in (problem.x, problem.y, problem.a))

    def squares(w, chosen):
        return (torch.relu(x[chosen] @ w.T) @ a / len(a) ** 0.5 - y[chosen]).square()

    return descend(problem.w0, squares, cell, rows(seed, len(y), batch, iterations), batch, keep)
