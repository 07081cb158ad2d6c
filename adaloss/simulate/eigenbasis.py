r"""Full-gradient linear regression in the eigenbasis of X'X: equation (7), with no matrix in sight.

.. math:: s_{t+1}^{(i)} = (1 - \eta\lambda_i / b_{t+1})^2\, s_t^{(i)}, \qquad
          f_t = \tfrac12\sum_i \lambda_i s_t^{(i)} + f^*, \qquad
          \|\nabla f_t\|^2 = \sum_i \lambda_i^2 s_t^{(i)}

It is independent of :mod:`adaloss.simulate.linear_regression` but for the step-size rules, so each checks the other.
"""

from collections.abc import Mapping

import numpy as np

from adaloss.arguments import broadcast, real, rule_of, shaped, whole
from adaloss.stepsizes import RULES


def simulate_eigenbasis(
    eigenvalues: np.ndarray,
    s0: np.ndarray,
    method: str,
    b0: np.ndarray,
    hyper: Mapping[str, float | np.ndarray | str],
    iterations: int,
    f_star: float = 0.0,
) -> dict[str, np.ndarray]:
    """Run one method from every b0.

    ``eigenvalues`` (d,) of X'X, ``s0`` (d,) squared errors at the start, ``b0`` (cells,), ``hyper`` the rule's keyword
    arguments. Returns ``loss``, ``step`` (iterations, cells) and ``s`` (iterations, cells, d): row t-1 is iteration t,
    with s and the loss before its step. A cell that leaves float64 shows inf or NaN from there on. Raises ValueError,
    naming the argument, for other shapes, values that are not finite, eigenvalues or errors below 0, a b0 that is not
    from 1e-100 to 1e100, a hyperparameter that is not positive (but c) and an unknown method, TypeError for a
    hyperparameter that the method does not have.
    """
    eigenvalues, s0 = real("eigenvalues", eigenvalues, least=0.0, axes=1), real("s0", s0, least=0.0)
    shaped("s0", s0, eigenvalues.shape)
    b, f_star, iterations = real("b0", b0, axes=1), real("f_star", f_star), whole("iterations", iterations)
    shaped("f_star", f_star, ())
    hyper = rule_of(method, b, hyper)
    for name, value in hyper.items():
        if name != "form" and broadcast(b0=b, **{f"hyper {name}": value}) != b.shape:
            raise ValueError(f"hyper {name}.shape={value.shape}: should be () or that of b0, {b.shape}")
    rule = RULES[method]
    s = np.broadcast_to(s0, (len(b), len(eigenvalues)))
    out = {name: np.empty((iterations, len(b))) for name in ("loss", "step")}
    out["s"] = np.empty((iterations, *s.shape))
    with np.errstate(all="ignore"):
        for t in range(1, iterations + 1):
            loss = 0.5 * (s @ eigenvalues) + f_star
            out["loss"][t - 1], out["s"][t - 1] = loss, s
            b, step = rule(b, loss, s @ eigenvalues**2, t, **hyper)
            out["step"][t - 1] = step
            s = (1 - np.multiply.outer(step, eigenvalues)) ** 2 * s
    return out
