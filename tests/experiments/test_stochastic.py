"""The statements about stochastic gradients on paths: the paths are the paper's, and a bound too small is seen."""

from itertools import islice

import numpy as np
import pytest

from adaloss.theory import stochastic as theory
from experiments import stochastic
from scripts import figure_stochastic


@pytest.mark.parametrize("p", [1, 2])
def test_a_path_is_equations_9_and_10(p):
    drawn = [stochastic.random_problem(np.random.default_rng([p, k]), p) for k in range(5)]
    x, rows, error, eta, b = (np.array([one[name] for one in drawn]) for name in ("x", "rows", "error", "eta", "b0"))
    found = list(islice(stochastic.follow(x, rows, error, b, eta, p, np.random.default_rng(1)), 30))
    rng = np.random.default_rng(1)
    for d, b_now in found:
        np.testing.assert_allclose(d, [e @ e for e in error], rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(b_now, b, rtol=1e-13)
        for i, k in enumerate(rng.integers(rows)):
            r = float(x[i, k] @ error[i])
            b[i] = (b[i] ** 2 + (r**2 if p == 1 else float(np.sum((r * x[i, k]) ** 2)))) ** 0.5
            error[i] = error[i] - eta[i] / b[i] * r * x[i, k]


@pytest.mark.parametrize(
    ("statement", "bound", "factor"),
    [
        ("B2", "b_limit", 0.7),
        ("B3", "iterations", 0.1),
        ("B5", "iterations_of_equal_rows", 0.03),
        ("B6", "iterations_to_a_minimum", 0.01),
        ("B7", "error_sum_limit", 0.001),
    ],
)
def test_a_statement_is_kept_and_one_that_says_too_much_is_rejected(statement, bound, factor, monkeypatch):
    def p_value():
        table = stochastic.promises(np.random.default_rng(2), 1, 400, 0.1, 600).assign(method="adaloss", delta=0.1)
        return figure_stochastic.tested(table).set_index("statement").p_value[statement]

    assert p_value() >= figure_stochastic.REJECTED
    true = getattr(theory, bound)
    monkeypatch.setattr(theory, bound, lambda *given: true(*given) * factor)
    assert p_value() < figure_stochastic.REJECTED


def test_the_counterexample_is_critical_and_the_proved_level_holds():
    rows = np.array(stochastic.SQUARED_ROWS)
    assert abs(np.log(np.abs(1 - rows / stochastic.CRITICAL_B0)).sum()) < 1e-6
    risen = stochastic.counterexample(np.random.default_rng(1), 1, 0, 0.1, 1500).groupby("d0").risen.last()
    assert risen.iloc[-1] <= 0.05 and risen.iloc[0] >= 0.5
    curves = stochastic.paths(np.random.default_rng(1), 2, 0, 0.1, 300)
    assert (curves.high <= curves.proved).all() and (curves.groupby("b0").proved.last() < 1e-3).all()
