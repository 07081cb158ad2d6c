import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss.simulate.linear_regression import Cell, Problem, minibatches, simulate
from adaloss.theory import stochastic as theory

CELLS = {1: ("adaloss", {"alpha": 2.0, "c": 0.0}), 2: ("adagrad_norm", {})}  # alpha 2: the rule's loss is r^2 / 2


def draw(rng, x0):
    """A random problem with rows of any length, eta, and D_0 over 8 decades: (problem, eta, S, D_0, mu_n, b_0)."""
    d = int(rng.integers(1, 4))
    n = int(rng.integers(d + 1, 9))
    x = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-1, 1) * 10.0 ** rng.uniform(-0.5, 0.5, (n, 1))
    error = rng.normal(size=d) * 10.0 ** rng.uniform(-2, 2)
    eta, s_max = float(10 ** rng.uniform(-1, 1)), float(np.max(np.sum(x**2, axis=1)))
    mu_n = float(np.linalg.eigvalsh(x.T @ x / n)[0])
    return Problem(x, np.zeros(n), error), eta, s_max, float(error @ error), mu_n, x0 * eta * s_max


def run(problem, seeds, p, b0, eta, iterations):
    """D_t (iterations + 1, seeds) and b_t (iterations + 1, seeds), b_0 first."""
    method, hyper = CELLS[p]
    out = simulate(
        [problem] * len(seeds),
        seeds,
        [Cell(method, b0, hyper | {"eta": eta})],
        iterations=iterations + 1,
        record=range(1, iterations + 2),
        batch=1,
        columns=("step", "s"),
    )
    errors = out["s"][:, :, 0].sum(axis=-1)
    return errors, np.concatenate([np.full((1, len(seeds)), b0), eta / out["step"][:iterations, :, 0]])


def test_the_simulator_runs_equations_9_and_10():
    problem, eta, _, _, _, b0 = draw(np.random.default_rng(3), 0.3)
    rows = np.concatenate(list(minibatches(5, len(problem.x), 1, 40)))[:, 0]
    for p in (1, 2):
        errors, b = run(problem, [5], p, b0, eta, 40)
        e, b_now = problem.error0.copy(), b0
        for t, i in enumerate(rows):
            np.testing.assert_allclose([errors[t, 0], b[t, 0]], [e @ e, b_now], rtol=1e-9)
            r = problem.x[i] @ e
            b_now = (b_now**2 + (r * r if p == 1 else np.sum((r * problem.x[i]) ** 2))) ** 0.5
            e = e - eta / b_now * r * problem.x[i]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), p=st.sampled_from([1, 2]), x0=st.floats(0.5, 5.0))
def test_b1_the_error_never_grows_on_any_path(seed, p, x0):
    problem, eta, _, d0, _, b0 = draw(np.random.default_rng(seed), x0)
    errors, _ = run(problem, range(8), p, b0, eta, 150)
    assert np.all(np.diff(errors, axis=0) <= 1e-12 * d0)


def test_b1_needs_its_condition():
    """Below 2 b_0 = eta S the error grows: one row, one step, as close to the threshold as one likes."""
    error = Problem(np.array([[2.0]]), np.zeros(1), np.array([1e-4]))
    errors, _ = run(error, [0], 1, 0.5 * 4.0 * 0.99, 1.0, 1)
    assert errors[1, 0] > 1.03 * errors[0, 0]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), p=st.sampled_from([1, 2]), log_x0=st.floats(-6.0, 1.0))
def test_b2_bounds_of_b_and_of_the_error_on_every_path(seed, p, log_x0):
    problem, eta, s_max, d0, _, b0 = draw(np.random.default_rng(seed), 10.0**log_x0)
    errors, b = run(problem, range(12), p, b0, eta, 300)
    sharp, headline = (f(b0, eta, s_max, d0, p) for f in (theory.b_limit, theory.b_limit_headline))
    assert np.max(b) <= sharp * (1 + 1e-10)
    assert sharp <= headline * (1 + 1e-12)
    assert np.max(errors) <= theory.error_limit(b0, eta, s_max, d0, p) * (1 + 1e-10)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("x0", [0.6, 1.0, 3.0])
def test_b3_expected_contraction_within_four_standard_errors(p, x0):
    for seed in range(3):
        problem, eta, s_max, d0, mu_n, b0 = draw(np.random.default_rng([seed, p]), x0)
        errors, _ = run(problem, range(300), p, b0, eta, 150)
        rho = theory.contraction(b0, eta, s_max, d0, mu_n, p)
        assert 0 <= rho < 1
        bound = rho ** np.arange(151) * d0
        standard = errors.std(axis=1) / np.sqrt(300)
        assert np.all(errors.mean(axis=1) <= bound + 4 * standard + 1e-12 * d0)
        if x0 >= 1:
            assert rho <= 1 - eta * mu_n / theory.b_limit(b0, eta, s_max, d0, p) + 1e-15


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), p=st.sampled_from([1, 2]), x0=st.floats(0.7, 3.0))
def test_b3_iterations_for_a_probability(seed, p, x0):
    rng = np.random.default_rng(seed)
    problem, eta, s_max, d0, mu_n, b0 = draw(rng, x0)
    eps, delta = d0 * float(10 ** rng.uniform(-1, 0)), 0.2
    t = theory.iterations(b0, eta, s_max, d0, mu_n, p, eps, delta)
    rho = theory.contraction(b0, eta, s_max, d0, mu_n, p)
    assert t == np.floor(t) and rho**t * d0 <= delta * eps * (1 + 1e-9) < rho ** (t - 2) * d0
    if x0 >= 1:
        headline = np.log(d0 / (eps * delta)) * theory.b_limit(b0, eta, s_max, d0, p) / (eta * mu_n)
        assert t <= np.ceil(headline * (1 + 1e-9))
    if t <= 2000:
        errors, _ = run(problem, range(60), p, b0, eta, int(t))
        assert np.mean(errors[-1] > eps) <= delta + 4 * np.sqrt(delta * (1 - delta) / 60)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_b4_the_gap_is_the_difference_of_the_two_bounds(seed):
    rng = np.random.default_rng(seed)
    problem, eta, s_max, d0, _, b0 = draw(rng, float(10 ** rng.uniform(-3, 1)))
    gap = theory.proposition_1_gap(eta, s_max, d0)
    norm, loss = (theory.b_limit_headline(b0, eta, s_max, d0, p) for p in (2, 1))
    assert abs(norm - loss - gap) <= 1e-12 * norm
    assert (gap >= 0) == (s_max >= 1)
    assert gap <= (np.linalg.eigvalsh(problem.x.T @ problem.x)[-1] * (1 + 1e-12) - 1) * d0 / eta
    sharp_norm, sharp_loss = (theory.b_limit(b0, eta, s_max, d0, p) for p in (2, 1))
    assert (sharp_norm >= sharp_loss * (1 - 1e-12)) == (s_max >= 1)


@pytest.mark.parametrize("bound", [theory.b_limit, theory.b_limit_headline])
def test_tensors_are_taken_as_arrays(bound):
    """Beside an array as well, where torch and NumPy would have to agree whose product it is."""
    ones, d0 = torch.ones(3), np.array([1.0, 2.0, 4.0])
    found = bound(ones, 0.5, ones, d0, 2)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, bound(np.ones(3), 0.5, np.ones(3), d0, 2))
