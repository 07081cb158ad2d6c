r"""Five statements of the paper that are false as printed or conditional, and four remarks, each with its numbers.

Every function returns the numbers of its counterexample, computed from the parameters that stand in its body, and no
others. 5, 7, 8 and 9 are the remarks: true, with a premise or a looseness. ``docs/errata.md`` has the proofs; it and
the docstrings speak of the paper as we read it. Notation: A = X'X has eigenvalues lambda_1 >= ... >= lambda_d =
lambda_0, s^(i) is the squared error along the i-th eigenvector, p = 1 is AdaLoss and p = 2 AdaGrad-Norm
(:mod:`adaloss.theory.linear_regression`).
"""

import math

import numpy as np

from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem, simulate
from adaloss.theory import stochastic
from adaloss.theory.gram import h_infinity, largest_eigenvalue
from adaloss.theory.linear_regression import State, advance, b_max, exit_bounds, iterations
from adaloss.theory.two_layer import linearised_adaloss, setting_a


def erratum_1() -> dict[str, float]:
    r"""Theorem 1 and Corollary 1 are not uniform in the start when 2 b_0 is just above eta lambda_1.

    Printed: "T = O~((max{Delta/(eta lambda_1), eta} + b_0/lambda_1 + eta T_1) ...)", T_1 being 0 there by its
    indicator. But such a b_0 hardly contracts direction 1, and a small error raises b only slowly: T grows like
    s_0^(-1/2), the bracket times log(1/eps) like its logarithm. Correct: suppose b_1 >= eta (lambda_1 + lambda_0) / 2,
    or add the terms in u_0^(-1/2) of :func:`adaloss.theory.linear_regression.iterations`.

    ``t`` the first T with an error of at most eps = s_0 / e^2, ``bracket`` the printed right-hand side without its
    constant, ``ratio`` theirs, and ``ratio_before`` the ratio from an s_0 that is 100 times larger; ``t_bound`` ours.
    """
    eta, top, s0 = 1.0, 1.0, 1e-8
    b0 = eta * top / 2 * (1 + 1e-9)

    def ratio(start: float) -> tuple[int, float]:
        eps = start * math.exp(-2)
        state, t = State([top], [start], b0, eta, 1), 0
        while state.s[0] > eps:
            state, t = advance(state), t + 1
        return t, (max(start / (eta * top), eta) + b0 / top) * math.log(1 / eps) / eta

    t, bracket = ratio(s0)
    t_before, bracket_before = ratio(100 * s0)
    bound = iterations(State([top], [s0], b0, eta, 1), s0 * math.exp(-2), 0)
    return {
        "t": t,
        "bracket": bracket,
        "ratio": t / bracket,
        "ratio_before": t_before / bracket_before,
        "t_bound": float(bound),
    }


def erratum_2() -> dict[str, float]:
    r"""Lemma 1 needs s_0^(1) > 0.

    Printed: "there exists the first index N such that b_{N+1} > eta lambda_1 / 2". Without an error in direction 1 the
    others may converge before b gets there. Correct: with s_0^(1) > 0; else with the largest lambda_i that has
    s_0^(i) > 0 in the place of lambda_1.

    ``b_end`` after 10000 steps, ``b_bound`` what b can never exceed, ``threshold`` eta lambda_1 / 2, which is above
    both, and ``threshold_seen`` that of the directions with an error, which is passed.
    """
    eta, eigenvalues, s0, b0 = 1.0, [1.0, 0.1], [0.0, 0.01], 0.01
    state = State(eigenvalues, s0, b0, eta, 2)
    for _ in range(10000):
        state = advance(state)
    return {
        "b_end": float(state.b),
        "b_bound": float(b_max(State(eigenvalues[1:], s0[1:], b0, eta, 2))),
        "threshold": eta * eigenvalues[0] / 2,
        "threshold_seen": eta * eigenvalues[1] / 2,
    }


def erratum_3() -> dict[str, float]:
    r"""Proposition 1's condition lacks a square.

    Printed: "2 b_0 >= eta sup ||x_i||". Correct: 2 b_0 >= eta sup ||x_i||^2; then the error never grows on any path.

    ``growth`` of the squared error in one step of AdaLoss under the printed condition (``b0`` and the ``printed``
    threshold), and ``growth_corrected`` from the least b_0 of the ``corrected`` one.
    """
    x, eta, b0, e0 = 10.0, 1.0, 6.0, 1.0

    def growth(start: float) -> float:
        return float(advance(State([x**2], [e0**2], start, eta, 1)).s[0]) / e0**2

    printed, corrected = eta * x / 2, eta * x**2 / 2
    return {
        "b0": b0,
        "printed": printed,
        "growth": growth(b0),
        "corrected": corrected,
        "growth_corrected": growth(corrected),
    }


def erratum_4() -> dict[str, float]:
    r"""Proposition 1's difference lacks 1 / eta, needs sup ||x_i||^2 >= 1, and is one of upper bounds.

    Printed: AdaLoss improves the constant "up to an additive factor (lambda_1 - 1)||w_0 - w*||^2". Correct: the two
    bounds of lim b differ by exactly (S - 1) ||w_0 - w*||^2 / eta, S = sup ||x_i||^2, which is at most
    (lambda_1 - 1) ||w_0 - w*||^2 / eta; the limits themselves and the rates may compare the other way.

    One row x = 2 with eta = 0.1: ``gap`` of the bounds and the ``printed`` one. Four rows with S = 1/2, where lambda_1
    = 2 allows the proposition: ``gap_short`` and ``printed_short``. One row x = 2, eta = 1, b_0 = 2.1: by how much one
    step multiplies the error in the end, ``factor_adaloss`` and ``factor_adagrad_norm``.
    """

    def gap(b0: float, eta: float, s_max: float, d0: float) -> float:
        norm, loss = (stochastic.b_limit_headline(b0, eta, s_max, d0, p) for p in (2, 1))
        return float(norm - loss)

    def last_factor(p: int) -> float:
        state = State([4.0], [1.0], 2.1, 1.0, p)
        for _ in range(40):
            state = advance(state)
        return float((1 - 4.0 / state.b) ** 2)

    rows = np.full((4, 1), 0.5**0.5)
    s_max, top = float(np.max(np.sum(rows**2, axis=1))), float(np.linalg.norm(rows.T @ rows, 2))
    return {
        "gap": gap(0.4, 0.1, 4.0, 1.0),
        "printed": (4.0 - 1) * 1.0,
        "gap_short": gap(1.0, 1.0, s_max, 1.0),
        "printed_short": (top - 1) * 1.0,
        "factor_adaloss": last_factor(1),
        "factor_adagrad_norm": last_factor(2),
    }


def random_starts(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (count, 3), s, b_0 and eta of problems with lambda_1 >= 1 and 2 b_0 < eta lambda_1."""
    rng = np.random.default_rng(seed)
    top, eta = 10.0 ** rng.uniform(0, 3, count), 10.0 ** rng.uniform(-1, 1, count)
    eigenvalues = top[:, None] * 10.0 ** -np.sort(rng.uniform(0, 3, (count, 3)), axis=1)
    eigenvalues[:, 0] = top
    s = eta[:, None] ** 2 * 10.0 ** rng.uniform(-4, 1, (count, 3))
    return eigenvalues, s, eta * top / 2 * 10.0 ** rng.uniform(-4, 0, count), eta


def exit_index(state: State) -> np.ndarray:
    """N = min{t: b_{t+1} >= eta lambda_1 / 2}, counted by steps; at most the bound of Lemma 1."""
    n, most = np.full(state.b.shape, -1), int(np.max(exit_bounds(state)["best"]))
    for t in range(most + 1):
        n = np.where((n < 0) & (state.next_b >= state.eta * state.top / 2), t, n)
        if np.all(n >= 0):
            break
        state = advance(state)
    return n


def erratum_5() -> dict[str, int]:
    r"""That AdaLoss takes more steps to the threshold is a tendency.

    Printed, for lambda_1 >= 1: AdaLoss "is more likely to take more iterations than AdaGrad-Norm". It may take far
    fewer: AdaGrad-Norm's larger first steps of b can end just below the threshold, where direction 1 hardly expands.
    Correct: where all lambda_i >= 1, AdaLoss's b_1 is not above AdaGrad-Norm's; nothing follows for N.

    ``n_adaloss`` and ``n_adagrad_norm`` of one problem with all lambda_i >= 1; among 1000 random ones with
    lambda_1 >= 1 AdaLoss takes ``more``, ``equal`` or ``fewer`` steps.
    """
    one = [int(exit_index(State([9.0, 3.0], [1e-5, 2.0], 0.5, 1.0, p))) for p in (1, 2)]
    loss, norm = (exit_index(State(*random_starts(1000, 0), p)) for p in (1, 2))
    return {
        "n_adaloss": one[0],
        "n_adagrad_norm": one[1],
        "more": int(np.sum(loss > norm)),
        "equal": int(np.sum(loss == norm)),
        "fewer": int(np.sum(loss < norm)),
    }


def erratum_6() -> dict[str, float]:
    r"""Two factors of 2 about the critical b.

    Printed: "2 eta/b_0 is less than the critical threshold 1/lambda_1 (i.e., b_0 > eta lambda_1/2)", and after Lemma 1
    that b reaches "a value greater than eta lambda_1". The first inequality says b_0 > 2 eta lambda_1. Correct: eta/b_0
    < 2/lambda_1; and b reaches eta lambda_1 / 2, passing it to a value below eta lambda_1 and perhaps resting there.

    ``two_rates`` = 2 eta/b_0 and ``inverse`` = 1/lambda_1 for a ``b0`` above ``threshold`` = eta lambda_1 / 2 whose
    steps multiply the error by ``factor``; ``b_exit`` where b passes the threshold from below, ``b_end`` where it ends.
    """
    eta, top, b0 = 1.0, 1.0, 0.9
    state = State([top], [1e-3], 0.1, eta, 1)
    b_exit = None
    for _ in range(2000):
        state = advance(state)
        if b_exit is None and state.b >= eta * top / 2:
            b_exit = float(state.b)
    return {
        "b0": b0,
        "threshold": eta * top / 2,
        "two_rates": 2 * eta / b0,
        "inverse": 1 / top,
        "factor": (1 - eta * top / b0) ** 2,
        "b_exit": b_exit,
        "b_end": float(state.b),
    }


def unit_rows(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """N independent uniform points of the unit sphere in d dimensions, (n, d)."""
    x = rng.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def erratum_7() -> dict[str, float]:
    r"""The norm of H_inf is O(1) only while n = O(d), which is the premise of the printed sentence.

    Printed: with nearly orthogonal data "||H^inf|| = O(1)", so that the complexity hardly depends on n. That is
    true there; many more rows than d cannot be nearly orthogonal. For all unit rows: max(n/(4 d), 1/2) <= ||H_inf|| <=
    ||X X'|| / 2.

    The norm for 800 uniform rows with n/d = 1 (``norm_1``), 16 and 160, and for the last one ``lower`` = n/(4 d) and
    ``upper`` = ||X X'|| / 2.
    """
    n, rng, found = 800, np.random.default_rng(0), {}
    for ratio in (1, 16, 160):
        x = unit_rows(n, n // ratio, rng)
        found[f"norm_{ratio}"] = largest_eigenvalue(h_infinity(x))
    return found | {"lower": n / (4 * x.shape[1]), "upper": float(np.linalg.norm(x, 2)) ** 2 / 2}


def wide_network() -> Problem:
    """Erratum 8's network: 1000 neurons, 20 uniform unit rows in 20 dimensions, labels in [-1, 1]."""
    n, m, rng = 20, 1000, np.random.default_rng(1)
    x = unit_rows(n, n, rng)
    return Problem(x, rng.uniform(-1, 1, n), rng.normal(size=(m, n)), rng.choice([-1.0, 1.0], m))


def erratum_8() -> dict[str, float]:
    r"""2/||H_inf|| is where gradient descent stops to converge linearly, not where it stops to converge: a finding.

    Printed: "the maximum allowable learning rate" is O(1/||H^inf||), which is right as an order. At a few
    times that the loss first grows, then falls to 0, while the empirical Gram matrix H(k) shrinks until 2/||H(k)||
    exceeds the step. With H(0) positive definite 2/||H(0)|| is the limit of convergence for small residuals; from large
    ones training may pass it and ends where ||H|| <= 2/step.

    Steps c/||H_inf||, 600 of them: ``peak_c`` the largest loss over the first (inf: left float64), ``steps_c`` after
    which the loss stays below 1e-6 of the first, ``top_c`` = ||H|| at the end and the
    ``limit_c`` = 2||H_inf||/c of what the step allows.
    """
    problem, steps, seen = wide_network(), 600, (1.9, 3, 4, 6)
    norm = largest_eigenvalue(h_infinity(problem.x))
    cells = [Cell("sgd_constant", 1.0, {"eta": c / norm}) for c in seen]
    columns = ("loss", "lambda_max")
    out = simulate([problem], [0], cells, iterations=steps, record=range(1, steps + 1), columns=columns)
    relative, found = out["loss"][:, 0] / out["loss"][0, 0], {}
    for j, c in enumerate(seen):
        found[f"peak_{c}"] = float(relative[:, j].max())
        if c < 6:
            found[f"steps_{c}"] = int(np.flatnonzero(relative[:, j] > 1e-6)[-1]) + 1
        if c in (3, 4):
            found |= {f"top_{c}": float(out["lambda_max"][-1, 0, j]), f"limit_{c}": 2 * norm / c}
    return found


def erratum_9() -> dict[str, float]:
    r"""Theorem 3(b) is a loose upper bound: its first term grows like 1/eps, what is needed like log(1/eps).

    Printed: "(lambda_0 + sqrt n)/(alpha^2 sqrt n eps)" is added to terms in log(1/eps). The bound holds, but the
    exit from small b_0 does not wait for the loss to be small. Sharper, for the linearised network: the bounds of
    linear regression with AdaLoss, where the exit costs at most a number of steps that does not depend on eps.

    Residuals of 10 unit rows from a small b_0, target eps = 1e-4 and 1e-8: steps needed (``t_4``, ``t_8``),
    ``bound_8`` ours, ``term_4`` and ``term_8`` the printed term.
    """
    n, d, alpha, eta, b0, rng = 10, 20, 0.3, 1.0, 1e-3, np.random.default_rng(0)
    eigenvalues, v = np.linalg.eigh(h_infinity(unit_rows(n, d, rng)))
    z0 = v.T @ rng.uniform(-1, 1, n)
    z, _ = linearised_adaloss(eigenvalues, z0, b0, eta, alpha, n, 2000)
    squares, found = np.sum(z**2, axis=1), {}
    for digits in (4, 8):
        eps = 10.0**-digits
        found[f"t_{digits}"] = int(np.flatnonzero(squares > eps)[-1]) + 1
        found[f"term_{digits}"] = float(eigenvalues[0] + n**0.5) / (alpha**2 * n**0.5 * eps)
    state = State(**setting_a(eigenvalues, z0, b0, eta, alpha, n))
    return found | {"bound_8": float(iterations(state, eps, 1))}


_FUNCTIONS = (
    erratum_1,
    erratum_2,
    erratum_3,
    erratum_4,
    erratum_5,
    erratum_6,
    erratum_7,
    erratum_8,
    erratum_9,
)
ERRATA = dict(enumerate(_FUNCTIONS, start=1))
