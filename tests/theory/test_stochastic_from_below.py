"""Docs B5 to B7: stochastic gradients from b_0 below the threshold, and why any rows have no uniform rate."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from adaloss.theory import stochastic as theory

PATHS = 300


def paths(x, error, p, b0, eta, steps, rng):
    """D_t (steps + 1, PATHS) of single-row training by equations (9) and (10), all paths at once."""
    e, b = np.tile(error, (PATHS, 1)), np.full(PATHS, b0)
    found = [np.sum(e**2, axis=1)]
    for _ in range(steps):
        rows = x[rng.integers(len(x), size=PATHS)]
        r = np.sum(rows * e, axis=1)
        b = np.sqrt(b**2 + np.sum(rows**2, axis=1) ** (p - 1) * r**2)
        e = e - (eta / b * r)[:, None] * rows
        found.append(np.sum(e**2, axis=1))
    return np.array(found)


def draw(rng, equal):
    n, d, p = int(rng.integers(2, 6)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    x = rng.normal(size=(n, d))
    x *= 10.0 ** rng.uniform(-0.5, 0.5) / np.linalg.norm(x, axis=1, keepdims=True)
    if not equal:
        x *= rng.uniform(0.6, 1, (n, 1))
    eta, s_max = 10.0 ** rng.uniform(-1, 1), float(np.max(np.sum(x**2, axis=1)))
    error = rng.normal(size=d) * eta * s_max ** (1 - p / 2) * 10.0 ** rng.uniform(-0.8, 0.3)
    mus = [float(np.linalg.eigvalsh((x * np.sum(x**2, axis=1)[:, None] ** (q - 1)).T @ x / n)[0]) for q in (1, p)]
    np.testing.assert_allclose(theory.of_rows(x, error, p), (s_max, error @ error, *mus), rtol=1e-9)
    return x, error, p, eta * s_max * 10.0 ** rng.uniform(-3, -0.4), eta, s_max, float(error @ error), *mus


def test_b5_to_b7_hold_with_their_probability():
    """Each share of failures is one of a binomial variable: none is seen above what has probability 1e-6."""
    rng, delta, seen = np.random.default_rng(0), 0.2, [0, 0]
    for k in range(120):
        x, error, p, b0, eta, s_max, d0, mu_n, mu_p = draw(rng, k % 2 == 0)
        eps = d0 * 10.0 ** rng.uniform(-2, 0.5)
        lowest = float(theory.iterations_to_a_minimum(b0, eta, s_max, d0, mu_n, mu_p, p, eps, delta))
        last = float(theory.iterations_of_equal_rows(b0, eta, s_max, d0, mu_n, p, eps, delta)) if k % 2 == 0 else np.inf
        if min(lowest, last) > 1500:
            continue
        steps = int(min(max(t for t in (lowest, last) if t <= 1500) + 100, 1500))
        found = paths(x, error, p, b0, eta, steps, rng)
        most = binom.ppf(1 - 1e-6, PATHS, delta)
        if last <= steps:
            seen[0] += 1
            assert np.sum(found[int(last) :].max(axis=0) > eps) <= most
        if lowest <= steps:
            seen[1] += 1
            assert np.sum(found[: int(lowest) + 1].min(axis=0) > eps) <= most
        sums = found.sum(axis=0)
        assert sums.mean() - 5 * sums.std() / PATHS**0.5 <= theory.error_sum_limit(b0, eta, s_max, d0, mu_p, p)
    assert seen[0] >= 10 and seen[1] >= 20


@pytest.mark.parametrize("x0", [1e-3, 0.3, 0.49])
def test_b5_written_out(x0):
    """eta = S = 1, p = 1: the page's formula, its free l and nu over the same candidates."""
    f0, m, eps, delta = 0.04, 0.3, 1e-3, 0.1
    ell = 2 * math.log(1 / (2 * x0)) - 2 + 4 * x0
    gamma = min(math.sqrt(f0) / 3, 1 / 6)
    end, bar = (1 + gamma) / 2, f0 + ell
    totals = [3 * (end**2 - x0**2) / f0]
    for k in range(64):
        nu = 0.5 * 10 ** (-6 + 6 * k / 64)
        theta = 0.5 - nu
        if theta > x0:
            totals.append(math.log(bar / f0) / math.log(1 + 2 * nu / theta**2) + 1 + 3 * (end**2 - theta**2) / f0)
    rates = [1e-2 * 3000 ** (k / 63) for k in range(64)]
    n1 = min(math.ceil((v * min(totals) + math.log(2 / delta)) / ((1 - math.exp(-v)) * m)) for v in rates)
    c = min((2 * b - 1) / b**2 for b in (end, float(theory.b_limit(x0, 1.0, 1.0, f0, 1))))
    n2 = math.ceil(math.log(bar / (eps * delta / 2)) / -math.log(1 - m * c))
    assert theory.iterations_of_equal_rows(x0, 1.0, 1.0, f0, m, 1, eps, delta) == n1 + n2
    many = theory.iterations_of_equal_rows(x0, 1.0, 1.0, f0, m, 1, np.array([eps, 2 * f0]), delta)
    assert many[0] == n1 + n2 > many[1]


def test_any_rows_have_no_uniform_rate():
    """Squared rows 1 and 0.1, where the expected log factor is 0: the smaller D, the higher it climbs."""
    b0 = 0.43507811
    assert abs(math.log(1 / b0 - 1) + math.log(abs(1 - 0.1 / b0))) < 1e-6
    x = np.array([[1.0], [0.1**0.5]])
    high = [
        np.mean(paths(x, np.array([d0**0.5]), 1, b0, 1.0, 3000, np.random.default_rng(1)).max(axis=0) > 1e4 * d0)
        for d0 in (1e-4, 1e-40)
    ]
    assert high[0] <= 0.05 and high[1] >= 0.5


def test_rows_that_do_not_span():
    """Docs B8, by hand: one row, or one direction; what is orthogonal to the rows counts nowhere."""
    for p in (1, 2):
        one = theory.of_rows([[3.0, 4.0, 0.0]], [1.0, 0.5, 7.0], p)
        np.testing.assert_allclose(one, (25, 1, 25, 25**p), rtol=1e-12)
        many = theory.of_rows([[1.0, 0.0], [2.0, 0.0], [1e-9, 0.0]], [0.5, 7.0], p)
        np.testing.assert_allclose(many, (4, 0.25, 5 / 3, (1 + 4**p) / 3), rtol=1e-9)
    with pytest.raises(ValueError, match="x: its rows are all 0"):
        theory.of_rows([[0.0]], [1.0], 1)
    with pytest.raises(ValueError, match="error"):
        theory.of_rows([[1.0]], [1.0, 2.0], 1)


def test_edges():
    assert theory.iterations_of_equal_rows(0.1, 1.0, 1.0, 0.0, 1.0, 1, 0.5, 0.1) == 0
    assert theory.iterations(0.1, 1.0, 1.0, 0.4, 1.0, 1, 0.5, 0.1) == np.inf  # D_0 <= eps, but D will grow
    assert theory.iterations(0.1, 1.0, 1.0, 0.4, 1.0, 1, 9.0, 0.1) == 0  # by no more than to there
    assert theory.iterations_of_equal_rows(0.1, 1.0, 1.0, 1.0, 0.0, 1, 0.5, 0.1) == np.inf
    assert theory.iterations_to_a_minimum(0.1, 1.0, 1.0, 0.2, 1.0, 1.0, 1, 0.5, 0.1) == 0
    assert theory.error_sum_limit(0.1, 1.0, 1.0, 1.0, 0.0, 1) == np.inf
    for bad in (0.0, 1.0):
        with pytest.raises(ValueError, match="delta"):
            theory.iterations_to_a_minimum(0.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0.5, bad)
