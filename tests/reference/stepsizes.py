"""The step-size recurrences as the paper prints them, in Python floats, accumulating b^2 where the paper does."""

import math


def rule(name, b0, eta=1.0, alpha=1.0, c=0.0, c_s=1.0, form="root"):
    """A function of the loss and of the gradient's squared norm that yields b and the step at t = 1, 2, ..."""
    b, b_sq, t = b0, b0**2, 0

    def step(loss, norm_sq):
        nonlocal b, b_sq, t
        t += 1
        match name:
            case "adaloss" | "adagrad_norm":  # Algorithm 1, lines 4-5; equations (1)-(2)
                b_sq += alpha * abs(loss - c) if name == "adaloss" else norm_sq
                return math.sqrt(b_sq), eta / math.sqrt(b_sq)
            case "adamloss":  # Algorithm 2, lines 3-4
                b += alpha * abs(loss - c)
                return b, eta / math.sqrt(b)
            case "adam_sqrt":
                return b0, eta / math.sqrt(b0 + t)
            case "sgd_decay_sqrt":  # Figure 1's, and Table 1's
                return b0, eta / (b0 + c_s * math.sqrt(t) if form == "linear" else math.sqrt(b0**2 + t))
        return b0, eta / b0

    return step
