import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaloss.theory import gram
from adaloss.theory.gram import (
    extreme_eigenvalues,
    h_empirical,
    h_infinity,
    largest_eigenvalue,
    marchenko_pastur,
)
from tests.reference.gram import first_layer_ntk, monte_carlo, naive

EPS = np.finfo(float).eps


def unit_rows(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@st.composite
def matrices(draw):
    """Unit rows of many shapes, some of them repeated, opposite or nearly so."""
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(size=(n, d))
    for _ in range(draw(st.integers(0, 3))):
        i, j = rng.integers(n, size=2)
        x[i] = rng.choice([-1, 1]) * x[j] + draw(st.sampled_from([0, 1e-15, 1e-9, 1e-4])) * rng.normal(size=d)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def both_active(x):
    """P_ij = P(w.x_i >= 0, w.x_j >= 0) for Gaussian w, and the standard deviation of the indicator."""
    p = (np.pi - np.arccos(np.clip(x @ x.T, -1, 1))) / (2 * np.pi)
    np.fill_diagonal(p, 0.5)
    return p, np.sqrt(p * (1 - p))


@given(matrices(), st.integers(1, 50))
def test_the_closed_form(x, block):
    h = h_infinity(x, block=block)
    # The inner product k carries d roundings, and arccos takes them to sqrt(2 d eps) where |k| = 1.
    k = x @ x.T
    rounding = (x.shape[1] + 8) * EPS
    slope = 1 / np.sqrt(np.maximum(1 - k**2, rounding))
    np.testing.assert_array_less(np.abs(h - naive(x)), rounding * (1 + slope))
    assert np.array_equal(h, h.T)
    assert np.all(np.diag(h) == 0.5)


@given(matrices())
def test_between_multiples_of_the_linear_kernel(x):
    h = h_infinity(x)
    n, rounding = len(x), 1e-7 if len(np.unique(np.round(np.abs(x), 7), axis=0)) < len(x) else 1e-12
    k, values = np.linalg.eigvalsh(x @ x.T), np.linalg.eigvalsh(h)
    slack = n * rounding
    assert max(k[-1] / 4, 0.5) - slack <= values[-1] <= k[-1] / 2 + slack
    assert values[0] >= max(k[0], 0) / 2 - slack  # positive semidefinite with it
    np.testing.assert_allclose(values.sum(), n / 2, rtol=n * 1e-14)


def test_monte_carlo():
    x, samples = unit_rows(25, 4), 200_000
    off = monte_carlo(x, samples, np.random.default_rng(1)) - h_infinity(x)
    error = np.abs(x @ x.T) * both_active(x)[1] / np.sqrt(samples)
    z = (off / error)[np.triu_indices(25)]
    # 325 standardised deviations: none beyond 4.5 (chance 2e-3 in all), and they are as large as chance makes them
    assert np.abs(z).max() < 4.5
    assert 0.5 < np.mean(z**2) < 2.0
    # the test sees a kernel that is wrong by a percent
    assert np.abs((off - 0.01 * h_infinity(x)) / error).max() > 4.5


def test_the_tangent_kernel_of_a_wide_network():
    n, d, m = 12, 6, 100_000
    x, rng = unit_rows(n, d, 2), np.random.default_rng(3)
    w, a = rng.normal(size=(m, d)), rng.choice([-1.0, 1.0], size=m)
    ntk = first_layer_ntk(x, w, a)
    # one neuron on the wrong side would be 1e-5; the rounding of sums of 6e5 terms is below 1e-10
    np.testing.assert_allclose(h_empirical(x, w), ntk, rtol=0, atol=1e-10)
    # E|H(0) - H|_F^2 = (1/m) sum (x_i.x_j)^2 P (1 - P)
    expected = np.sqrt(np.sum((x @ x.T * both_active(x)[1]) ** 2) / m)
    distance = np.linalg.norm(ntk - h_infinity(x))
    assert 0.2 * expected < distance < 2.5 * expected


def test_h_empirical_counts_in_blocks(monkeypatch):
    x, w = 3 * unit_rows(9, 4), np.random.default_rng(6).normal(size=(103, 4))
    active = x @ w.T >= 0
    literal = (x @ x.T) * np.mean(active[:, None] & active[None, :], axis=2)
    for neurons in (1, 7, 103, 4096):
        monkeypatch.setattr(gram, "NEURONS", neurons)
        np.testing.assert_allclose(h_empirical(x, w), literal, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("d", [1, 3, 64, 300])
def test_repeated_and_opposite_rows(d):
    x = unit_rows(40, d)
    h = h_infinity(np.concatenate([x, x, -x]))
    # Rounding of x_i.x_i times the slope of arccos; exactly 1/2 where the sum of squares rounds to 1 or above.
    bound = np.sqrt((d + 8) * EPS)
    assert np.all(np.isfinite(h))
    assert np.abs(h[range(40), range(40, 80)] - 0.5).max() <= bound
    assert np.abs(h[range(40), range(80, 120)]).max() <= bound
    values = extreme_eigenvalues(h)
    assert abs(values.lambda_min) <= 120 * bound  # parallel rows: singular


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 2), (50, 50), (200, 20), (201, 20), (400, 5), (400, 1600)])
def test_extreme_eigenvalues_are_those_of_a_dense_solver(n, d):
    h = h_infinity(unit_rows(n, d))
    least, most, residual_min, residual_max = extreme_eigenvalues(h)
    dense = np.linalg.eigvalsh(h)
    rounding = 4 * n * EPS * dense[-1]
    assert abs(least - dense[0]) <= rounding and abs(most - dense[-1]) <= rounding
    assert abs(largest_eigenvalue(h) - dense[-1]) <= rounding
    assert max(residual_min, residual_max) <= rounding


@pytest.mark.parametrize("power", [-1000, -560, 500, 1000])
@pytest.mark.parametrize("n", [100, 250])
def test_eigenvalues_of_a_matrix_times_a_power_of_two(n, power):
    """Squares of these entries leave float64, and Lanczos' own test of convergence knows no number below 1e-11."""
    h = h_infinity(unit_rows(n, 50))
    expected, found = extreme_eigenvalues(h), extreme_eigenvalues(np.ldexp(h, power))
    for one, other in zip(found, expected, strict=True):
        assert math.ldexp(one, -power) == pytest.approx(other, rel=1e-13, abs=n * EPS)
    assert largest_eigenvalue(np.ldexp(h, power)) == pytest.approx(found.lambda_max, rel=1e-13, abs=0)


def test_the_greatest_eigenvalue_where_lanczos_gives_up(monkeypatch):
    def refuses(*args, **kwargs):
        raise gram.ArpackError(-1)

    h = h_infinity(unit_rows(300, 10))
    expected = largest_eigenvalue(h)
    monkeypatch.setattr(gram, "eigsh", refuses)
    np.testing.assert_allclose(largest_eigenvalue(h), expected, rtol=1e-13)
    # and where it ends with a vector that is none
    monkeypatch.setattr(gram, "eigsh", lambda *args, **kwargs: (np.ones(1), np.eye(300)[:, :1]))
    np.testing.assert_allclose(largest_eigenvalue(h), expected, rtol=1e-13)


@pytest.mark.parametrize(("n", "d"), [(800, 800), (800, 3200), (800, 200)])
def test_marchenko_pastur_for_random_rows(n, d):
    values = extreme_eigenvalues(h_infinity(unit_rows(n, d)))
    least, most = marchenko_pastur(n, d)
    assert values.lambda_max == pytest.approx(most, rel=0.03)
    if n <= d:
        assert values.lambda_min == pytest.approx(least, rel=0.03)
    else:
        assert least == 0.25 and values.lambda_min < 0.25


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(3), r"^x.shape=\(3,\): should have two axes, neither empty$"),
        (np.zeros((2, 3, 4)), "x.shape"),
        (np.zeros((0, 3)), "x.shape"),
        (np.zeros((3, 0)), "x.shape"),
        (np.eye(3) * 1j, "x.dtype=complex128: should be real numbers"),
        (np.array([["a"]]), "x.dtype"),
        (np.array([[1.0, 0.0], [0.0, np.nan]]), r"^x\[1, 1\]=nan: should be finite$"),
        (np.array([[np.inf, 0.0]]), r"x\[0, 0\]=inf"),
        (np.zeros((2, 2)), r"x\[0\]: length 0 should be 1"),
        (np.diag([1.0, 1.0 + 1e-14]), r"x\[1\]: length 1.00000000000001 should be 1"),
        (unit_rows(5, 5).astype(np.float32), "divide the rows by their lengths in float64"),
    ],
)
def test_rows_that_are_refused(x, words):
    with pytest.raises(ValueError, match=words) as error:
        h_infinity(x)
    assert "\n" not in str(error.value)


@given(st.integers(1, 20), st.integers(1, 3000), st.floats(-100, 100), st.integers(0, 2**32))
def test_normalised_rows_are_never_refused(n, d, exponent, seed):
    x = np.random.default_rng(seed).normal(size=(n, d)) * 10.0**exponent
    h_infinity(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_other_arguments_that_are_refused():
    x = np.eye(3)
    for block in (0, -1, 2.5):
        with pytest.raises(ValueError, match=f"block={block}"):
            h_infinity(x, block=block)
    with pytest.raises(ValueError, match=r"w.shape=\(5, 2\): should be \(m, 3\)"):
        h_empirical(x, np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"h.shape=\(3, 2\): should be square"):
        largest_eigenvalue(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="h: should be symmetric, h and its transpose differ by 1"):
        extreme_eigenvalues(np.array([[1.0, 2.0], [1.0, 1.0]]))
    with pytest.raises(ValueError, match=r"h\[0, 0\]=nan"):
        extreme_eigenvalues(np.full((2, 2), np.nan))


def test_the_rows_are_left_as_they_are():
    x = unit_rows(30, 4)
    transposed, whole = np.asfortranarray(x), x.copy()
    expected = h_infinity(x)
    assert np.array_equal(x, whole)
    assert np.array_equal(h_infinity(transposed), expected)
    assert np.array_equal(h_infinity(np.eye(3, dtype=int)), np.eye(3) / 2)
    assert torch.from_numpy(expected).dtype == torch.float64
