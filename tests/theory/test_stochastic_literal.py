"""The formulas of docs B2 and B3 written out for one set of numbers at a time."""

import math

import numpy as np
import pytest

from adaloss.theory import stochastic as theory
from tests.reference.theory import ell0, hroot

DRAWS = 200


def numbers(seed):
    """b_0 / (eta S) over nine decades, on both sides of 1/2 and 1."""
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        eta, s_max, d0 = (float(10 ** rng.uniform(-2, 2)) for _ in range(3))
        yield (
            float(10 ** rng.uniform(-6, 3) if rng.random() < 0.5 else rng.uniform(0.3, 1.5)) * eta * s_max,
            eta,
            s_max,
            d0,
        )


def limits(b0, eta, s_max, d0, p):
    """The bound of D, the sharp one of b, the readable one."""
    x = b0 / (eta * s_max)
    error = d0 + eta**2 * s_max ** (2 - p) * ell0(x)
    f, start = s_max ** (p - 2) * d0 / eta**2 + ell0(x), max(x, 0.5)
    sharp = eta * s_max * hroot(2 * start - math.log(start) + f / (1 + start / math.sqrt(start**2 + f)))
    return error, sharp, max(b0, eta * s_max) + s_max ** (p - 1) * d0 / eta + eta * s_max * ell0(x)


def factor(b0, eta, s_max, d0, mu_n, p):
    def g(b):
        return eta / b * (2 - eta * s_max / b)

    return math.inf if 2 * b0 < eta * s_max else 1 - mu_n * min(g(b0), g(limits(b0, eta, s_max, d0, p)[1]))


@pytest.mark.parametrize("p", [1, 2])
def test_limits_of_the_error_and_of_b(p):
    given = [*numbers(p)]
    error, sharp, headline = np.array([limits(*one, p) for one in given]).T
    many = np.array(given).T
    np.testing.assert_allclose(theory.error_limit(*many, p), error, rtol=1e-12)
    np.testing.assert_allclose(theory.b_limit(*many, p), sharp, rtol=1e-7)  # near the double root 1/2
    np.testing.assert_allclose(theory.b_limit_headline(*many, p), headline, rtol=1e-12)
    whole = theory.error_limit(1, 3, 2, 5, p)  # whole numbers are numbers
    assert whole == pytest.approx(limits(1, 3, 2, 5, p)[0], rel=1e-12)
    with pytest.raises(ValueError, match="p=3: should be 2"):
        theory.b_limit(*many, 3)


@pytest.mark.parametrize("p", [1, 2])
def test_contraction_and_iterations(p):
    finite = 0
    rng = np.random.default_rng(p)
    for b0, eta, s_max, d0 in numbers(10 + p):
        mu_n = s_max * rng.uniform(0.01, 1)  # at most the mean squared length of the rows
        eps, delta = d0 * 10 ** rng.uniform(-6, 1), rng.uniform(0.01, 0.9)
        rho = factor(b0, eta, s_max, d0, mu_n, p)
        assert theory.contraction(b0, eta, s_max, d0, mu_n, p) == pytest.approx(rho, rel=1e-9)
        t = float(theory.iterations(b0, eta, s_max, d0, mu_n, p, eps, delta))
        if (d0 <= eps and rho <= 1) or limits(b0, eta, s_max, d0, p)[0] <= eps:
            assert t == 0
        elif rho < 1:
            finite += 1
            needed = math.log(d0 / (eps * delta)) / -math.log(rho)
            assert abs(t - max(math.ceil(needed), 1)) <= 1e-6 * needed
        else:
            assert t == math.inf
    assert finite > DRAWS / 4


def test_on_the_edge_of_the_condition():
    """At 2 b_0 = eta S nothing is lost and nothing is gained."""
    assert theory.contraction(0.5, 1.0, 1.0, 1.0, 1.0, 1) == 1
    assert theory.contraction(np.nextafter(0.5, 0), 1.0, 1.0, 1.0, 1.0, 1) == np.inf
    assert 0 <= theory.error_limit(0.5, 1.0, 1.0, 3.0, 1) - 3.0 <= 1e-13
    assert theory.iterations(0.5, 1.0, 1.0, 1.0, 1.0, 1, 0.5, 0.1) == np.inf
    assert theory.iterations(1.0, 1.0, 1.0, 0.5, 1.0, 1, 0.5, 0.1) == 0  # there already
    assert theory.iterations(1.0, 1.0, 1.0, 1e-30, 1.0, 1, 1e-31, 0.1) == 1  # rho = 0: one step, not none


def test_a_factor_is_never_negative():
    """mu_n above S is no problem's; the decrease is cut at 1."""
    assert theory.contraction(1.0, 1.0, 1.0, 1e-12, 50.0, 1) == 0


def test_gap_by_hand():
    assert theory.proposition_1_gap(0.5, 3.0, 4.0) == 16.0
