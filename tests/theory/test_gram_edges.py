"""Where the Gram matrix's tolerances end, which way its eigenvalues go, and ties in the definition of activity."""

import math
from pathlib import Path

import numpy as np
import pytest

from adaloss.theory import gram
from adaloss.theory.gram import extreme_eigenvalues, h_empirical, h_infinity, largest_eigenvalue

EPS = np.finfo(float).eps


def spectrum(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    v = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    h = v * values @ v.T
    return (h + h.T) / 2


def refuse(*args, **kwargs):
    raise AssertionError("the slow way")


def test_a_neuron_on_the_boundary_is_active():
    """Definition 1 has w.x >= 0: a neuron across a row belongs to it."""
    w = np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(h_empirical(np.eye(2), w), np.diag([2 / 3, 1.0]), rtol=1e-15)
    np.testing.assert_allclose(h_empirical(np.array([[1.0, 1.0], [2.0, 0.0]]), w), [[4 / 3, 4 / 3], [4 / 3, 8 / 3]])


def test_small_matrices_are_decomposed_once(monkeypatch):
    for name in ("eigh", "eigsh"):
        monkeypatch.setattr(gram, name, refuse)
    h = spectrum(np.linspace(1, 2, gram.SMALL))
    np.testing.assert_allclose(extreme_eigenvalues(h)[:2], (1, 2), rtol=1e-12)
    monkeypatch.undo()
    monkeypatch.setattr(gram, "eigsh", refuse)
    assert largest_eigenvalue(h) == pytest.approx(2, rel=1e-13)


def test_large_matrices_are_never_decomposed_wholly(monkeypatch):
    monkeypatch.setattr(np.linalg, "eigh", refuse)
    h = spectrum(np.linspace(1, 2, gram.SMALL + 100))
    np.testing.assert_allclose(extreme_eigenvalues(h)[:2], (1, 2), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_lanczos_alone_finds_the_greatest_eigenvalue_of_a_large_matrix(scale, monkeypatch):
    monkeypatch.setattr(gram, "eigh", refuse)
    h = scale * spectrum([*np.linspace(0, 1, 399), 7.0])
    assert largest_eigenvalue(h) == pytest.approx(7 * scale, rel=1e-13)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_both_ends_of_a_large_matrix_whose_lower_end_is_clustered(scale):
    h = scale * spectrum([2.0, *np.linspace(2.001, 3, 398), 7.0])
    np.testing.assert_allclose(extreme_eigenvalues(h)[:2], (2 * scale, 7 * scale), rtol=1e-12)


@pytest.mark.parametrize("least", [-1.0, 0.0, 1e-3])
def test_the_least_eigenvalue_of_a_large_matrix_may_have_any_sign(least):
    h = spectrum([least, *np.linspace(0.5, 3, 299)])
    assert extreme_eigenvalues(h).lambda_min == pytest.approx(least, abs=4 * 300 * np.finfo(float).eps * 3)


def test_residuals_belong_to_their_own_values():
    """By the definition, and nearly zero: the pair is one of the matrix."""
    for n in (5, gram.SMALL + 1):
        found = extreme_eigenvalues(spectrum(np.linspace(-3, 2, n)) + 4 * np.eye(n))
        np.testing.assert_allclose(found[:2], (1, 6), rtol=1e-12)
        assert 0 <= found.residual_min < 1e-12 and 0 <= found.residual_max < 1e-12
    value, residual = gram._with_residual(np.diag([1.0, 2.0]), 1.5, np.array([0.6, 0.8]))
    assert (value, residual) == (1.5, pytest.approx(0.5))


@pytest.mark.parametrize("scale", [1.0, 2.0**40, 2.0**-40])
def test_symmetric_is_up_to_eight_roundings_of_the_largest_entry(scale):
    """Every row is looked at, above the diagonal and below it."""
    n = 130
    h = np.eye(n)
    for i in range(n - 1):
        for above in (True, False):
            place = (i, n - 1) if above else (n - 1, i)
            for roundings, refused in ((7.5, False), (8.0, False), (8.5, True)):
                h[place] = roundings * EPS
                if refused:
                    with pytest.raises(ValueError, match=r"h: should be symmetric, .* differ by"):
                        gram._symmetric(scale * h)
                else:
                    gram._symmetric(scale * h)
            h[place] = 0.0
            if scale != 1.0 and i > 2:
                return


def test_lengths_of_rows_may_be_off_by_their_roundings_and_no_more():
    """(d + 4) eps in the square of the length: 5 for d = 1, whatever the number of rows."""
    for off, refused in ((-5, False), (4, False), (-6, True), (6, True)):
        x = np.array([[1.0]] * 50 + [[1 + off * EPS / 2]])
        assert x[-1, 0] ** 2 - 1 == off * EPS
        if refused:
            with pytest.raises(ValueError, match=r"x\[50\]: length"):
                h_infinity(x)
        else:
            np.testing.assert_allclose(h_infinity(x), 0.5, atol=1e-7)  # sqrt(5 eps), arccos's slope at 1
    wide = np.full((1, 400), 1 / 20)
    wide *= 1 + 40 * EPS  # 80 roundings in the square, 404 allowed
    assert h_infinity(wide)[0, 0] == 0.5


def test_the_memory_available_is_that_of_the_system(monkeypatch):
    assert 2**20 < gram._available_memory() < 2**50
    monkeypatch.setattr(Path, "read_text", lambda self: "MemTotal:  9 kB\nMemAvailable:   7 kB\nBuffers: 1 kB\n")
    assert gram._available_memory() == 7 * 1024
    monkeypatch.setattr(gram.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 11}.__getitem__)
    monkeypatch.setattr(Path, "read_text", lambda self: "MemTotal:  9 kB\n")
    assert gram._available_memory() == 11 * 4096

    def missing(self):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert gram._available_memory() == 11 * 4096


def test_the_memory_needed_is_the_result_and_one_block(monkeypatch):
    """8 n (n + block) bytes, block at most n; and just enough is enough."""
    x = np.ones((30, 1))
    for block, needed in ((1, 8 * 30 * 31), (10, 8 * 30 * 40), (30, 8 * 30 * 60), (99, 8 * 30 * 60)):
        assert h_infinity(x, block=block, max_bytes=needed).shape == (30, 30)
        with pytest.raises(MemoryError, match="n=30 rows need"):
            h_infinity(x, block=block, max_bytes=needed - 1)
    monkeypatch.setattr(gram, "_available_memory", lambda: 2**31)
    monkeypatch.setattr(gram.np, "empty", None)  # what would allocate
    n = math.isqrt(2**31 // 8)
    with pytest.raises(MemoryError, match=r"x: n=16385 rows need 2.01 GiB of memory, allowed are 2 GiB"):
        h_infinity(np.ones((n + 1, 1)))
