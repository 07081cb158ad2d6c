"""The two equations against bisection in exact or 50-digit arithmetic."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import lambertw

from adaloss.theory.roots import hroot, steps_until

EPS = np.finfo(float).eps


def root_by_bisection(k):
    """The larger root of 2x - log x = K to 40 digits, by bisection on [1/2, K]."""
    with localcontext(prec=50):
        k, low, high = Decimal(k), Decimal("0.5"), max(Decimal(k), Decimal(1))
        for _ in range(150):
            middle = (low + high) / 2
            low, high = (middle, high) if 2 * middle - middle.ln() < k else (low, middle)
        return high


@pytest.mark.parametrize("k", [1.7, 1.75, 2.0, 2.5, 3.0, 5.0, 10.0, 100.0, 1e4, 1e8])
def test_hroot_is_above_the_root_by_a_few_roundings(k):
    x = hroot(k)
    true = root_by_bisection(k)
    # Newton's last step moves x by the rounding of 2x - log x - K, over the slope 2 - 1/x there.
    slack = 24 * EPS * (1 + k / float(2 - 1 / true))
    assert true <= Decimal(float(x)) <= true * (1 + Decimal(slack))


def test_hroot_at_its_end_and_over_arrays():
    least = 1 + np.log(2)
    assert 0.5 <= hroot(least) <= 0.5 * (1 + 2e-7)  # a double root: the square root of a rounding
    assert hroot(least - 1e-16) >= 0.5
    many = np.array([[least, 2.0, 3.0], [7.0, 50.0, 600.0]])
    np.testing.assert_array_equal(hroot(many), [[hroot(k) for k in row] for row in many])
    assert hroot(2).dtype == np.float64


@given(st.floats(1 + np.log(2), 600))
def test_hroot_is_lamberts_w(k):
    x = float(hroot(k))
    # sqrt(eps) at the double root 1/2
    np.testing.assert_allclose(x, -0.5 * lambertw(-2 * np.exp(-k), -1).real, rtol=2e-7)
    assert 2 * x - np.log(x) >= k * (1 - 1e-15)
    assert x <= max(k - 1, 1.0) * (1 + 1e-12)


def first_step(start, rho, eps, most=3000):
    """By counting, in rational numbers."""
    terms, squares = [Fraction(v) for v in start], [Fraction(v) ** 2 for v in rho]
    for k in range(most):
        if sum(terms) <= Fraction(eps):
            return k
        terms = [term * square for term, square in zip(terms, squares, strict=True)]
    return np.inf


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_steps_until_is_the_first_step(seed, d):
    rng = np.random.default_rng(seed)
    # Eighths keep the rational numbers short; no sum of their powers comes near the random eps by chance.
    start, rho = rng.integers(1, 4000, d) / 8, rng.integers(0, 8, d) / 8
    eps = float(start.sum() * 10.0 ** rng.uniform(-6, 0.5))
    assert steps_until(start, rho, eps) == first_step(start, rho, eps)


@pytest.mark.parametrize(
    ("start", "rho", "eps", "steps"),
    [
        ([1.0], [0.5], 1.0, 0),  # there already, and exactly
        ([1.0], [2.0], 1.0, 0),
        ([1.0], [0.5], 0.5, 1),
        ([1.0], [0.5], 0.2, 2),
        ([1.0], [0.0], 0.5, 1),  # a factor 0 takes one step, not none
        ([3.0, 1.0], [0.0, 0.5], 0.2, 2),
        ([1.0], [1.0], 0.5, np.inf),
        ([1.0], [1.5], 0.5, np.inf),
        ([1.0, 0.0], [0.5, 1.5], 0.2, 2),  # a direction without an error has no part
        ([0.0, 0.0], [0.5, 1.5], 0.2, 0),
        ([1.0, 1.0], [0.5, 1.0], 1.5, np.inf),  # not given where a factor is 1, though the sum falls below eps
    ],
)
def test_steps_until_by_hand(start, rho, eps, steps):
    assert steps_until(np.array(start), np.array(rho), np.array(eps)) == steps


def test_steps_until_over_leading_axes_and_for_long_times():
    start, rho, eps = np.array([[1.0, 2.0], [4.0, 0.5]]), np.array([[0.5, 0.25], [0.125, 0.75]]), np.array([0.1, 0.01])
    one_by_one = [steps_until(*one) for one in zip(start, rho, eps, strict=True)]
    np.testing.assert_array_equal(steps_until(start, rho, eps), one_by_one)
    for digits in (3, 6, 9, 12):
        rho = 1 - 10.0**-digits
        k = float(steps_until(np.ones(1), np.array([rho]), np.array(1e-2)))
        exact = np.log(1e-2) / (2 * np.log1p(-(1 - rho)))
        assert exact - 1e-9 * exact <= k <= exact + 1 + 1e-3 * 10.0 ** (digits - 12) * exact


def test_hroot_below_its_least_k_is_the_least_root():
    """What a rounding may leave below 1 + log 2 is taken for it."""
    for below in (1e-15, 1e-9, 0.1):
        assert 0.5 <= hroot(1 + np.log(2) - below) <= 0.5 * (1 + 2e-7)
