"""The step-size recurrences as the paper prints them, in Python floats, accumulating b^2 where the paper does."""

import math


def adaloss(b0, losses, eta, alpha, c):
    """Algorithm 1, lines 4-5: yields (b_{j+1}, eta / b_{j+1})."""
    b_sq = b0**2
    for f in losses:
        b_sq = b_sq + alpha * abs(f - c)
        yield math.sqrt(b_sq), eta / math.sqrt(b_sq)


def adagrad_norm(b0, gradients, eta):
    """Equations (1)-(2), from the gradient vectors themselves."""
    b_sq = b0**2
    for g in gradients:
        b_sq = b_sq + math.fsum(x * x for x in g)
        yield math.sqrt(b_sq), eta / math.sqrt(b_sq)


def sgd_constant(b0, steps, eta):
    """The step eta / b0."""
    for _ in range(steps):
        yield b0, eta / b0


def sgd_decay_sqrt(b0, steps, eta, c_s, form):
    """The steps 1 / (b0 + c_s sqrt t) of Figure 1 and eta / sqrt(b0^2 + t) of Table 1."""
    for t in range(1, steps + 1):
        yield b0, eta / (b0 + c_s * math.sqrt(t)) if form == "linear" else eta / math.sqrt(b0**2 + t)


def adamloss(b0, losses, eta, alpha, c):
    """Algorithm 2, lines 3-4: yields (b_t, eta / sqrt(b_t))."""
    b = b0
    for f in losses:
        b = b + alpha * abs(f - c)
        yield b, eta / math.sqrt(b)


def adam_sqrt(b0, steps, eta):
    """The step eta / sqrt(b0 + t)."""
    for t in range(1, steps + 1):
        yield b0, eta / math.sqrt(b0 + t)
