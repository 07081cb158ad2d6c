"""The paper's algorithms, literally, in NumPy: one step at a time, on lists of arrays, no optimization.

``problem(w, t)`` returns the loss and the gradients at iteration t = 1, 2, ...; every function returns the arrays after
the last step and b after each. ``eta`` holds one value for each array. torch's momentum and weight decay are written
out as its documentation states them.
"""

import numpy as np

from tests.reference.stepsizes import rule


def adaloss(problem, w, steps, eta, b0, alpha=1.0, c=0.0, **options):
    """Algorithm 1."""
    return _sgd(problem, w, steps, eta, rule("adaloss", b0, alpha=alpha, c=c), **options)


def adagrad_norm(problem, w, steps, eta, b0, **options):
    """Equations (1) and (2)."""
    return _sgd(problem, w, steps, eta, rule("adagrad_norm", b0), **options)


def _sgd(problem, w, steps, eta, take, **options):
    w, seen, memory = [x.copy() for x in w], [], {}
    for t in range(1, steps + 1):
        f, g = problem(w, t)
        b, step = take(f, sum(np.sum(x**2) for x in g))
        seen.append(b)
        for i in range(len(w)):
            w[i] = w[i] - eta[i] * step * sgd_direction(memory, i, w[i], g[i], **options)
    return w, seen


def adagrad_norm_rowwise(problem, w, steps, eta, b0, weight_decay=0.0, **sgd):
    """Footnote 8: one b for each output neuron; the divided gradient enters momentum, weight decay is eta's."""
    w, seen, memory = [x.copy() for x in w], [], {}
    b = [np.full(len(x), b0) for x in w]
    for t in range(1, steps + 1):
        _, g = problem(w, t)
        for i in range(len(w)):
            for row in range(len(w[i])):
                b[i][row] = np.sqrt(b[i][row] ** 2 + np.sum(g[i][row] ** 2))
            divided = np.stack([g[i][row] / b[i][row] for row in range(len(w[i]))])
            w[i] = w[i] - eta[i] * sgd_direction(memory, i, w[i], divided, weight_decay=weight_decay, **sgd)
        seen.append(np.sqrt(np.mean(np.concatenate(b) ** 2)))
    return w, seen


def sgd(problem, w, steps, step, **options):
    """SGD with the step size ``step(t)`` for each array: SGD-Constant and SGD-DecaySqrt."""
    w, memory = [x.copy() for x in w], {}
    for t in range(1, steps + 1):
        _, g = problem(w, t)
        for i in range(len(w)):
            w[i] = w[i] - step(t)[i] * sgd_direction(memory, i, w[i], g[i], **options)
    return w


def adamloss(problem, w, steps, eta, b0, alpha=1.0, c=0.0, **options):
    """Algorithm 2."""
    return _adam(problem, w, steps, eta, rule("adamloss", b0, alpha=alpha, c=c), **options)


def adam_sqrt(problem, w, steps, eta, b0, **options):
    """AdamSqrt of Section 5."""
    return _adam(problem, w, steps, eta, rule("adam_sqrt", b0), **options)[0]


def _adam(problem, w, steps, eta, take, **options):
    w, seen, memory = [x.copy() for x in w], [], {}
    for t in range(1, steps + 1):
        f, g = problem(w, t)
        b, step = take(f, None)
        seen.append(b)
        for i in range(len(w)):
            w[i] = adam_step(memory, i, w[i], g[i], t, eta[i] * step, **options)
    return w, seen


def sgd_direction(memory, i, w, g, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    """What torch.optim.SGD multiplies with the step size."""
    g = (-g if maximize else g) + weight_decay * w
    if momentum:
        memory[i] = momentum * memory[i] + (1 - dampening) * g if i in memory else g
        g = g + momentum * memory[i] if nesterov else memory[i]
    return g


def adam_step(memory, i, w, g, t, step, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, decoupled=False, maximize=False):
    """One step of torch.optim.Adam, or of AdamW where weight decay is ``decoupled``."""
    g = -g if maximize else g
    if decoupled:
        w = w - step * weight_decay * w
    else:
        g = g + weight_decay * w
    m, v = memory.get(i, (np.zeros_like(w), np.zeros_like(w)))
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    memory[i] = m, v
    return w - step * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
