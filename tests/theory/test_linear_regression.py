"""Every proved statement about the full gradient on random problems, against trajectories computed by plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss.simulate.linear_regression import Cell, Problem, simulate
from adaloss.theory import linear_regression as theory
from adaloss.theory import stochastic
from adaloss.theory.linear_regression import State
from experiments.bounds.experiment import random_problems
from experiments.bounds.measure import Measurement

STEPS = 400
seeds = st.integers(0, 2**32)
methods = st.sampled_from([1, 2])


def problem(seed, p, d=None):
    """One random problem, all regimes of experiments/bounds/experiment.py."""
    rng = np.random.default_rng(seed)
    many, targets = random_problems(rng, 1, d or int(rng.integers(1, 21)), p)
    return State(many.eigenvalues[0], many.s[0], many.b[0], many.eta[0], p), targets[0]


def trajectory(state, steps=STEPS):
    """b_0..b_steps and s_0..s_steps by a loop over numbers, one direction at a time."""
    b, s = [float(state.b)], [[float(v) for v in state.s]]
    eigenvalues, eta = [float(v) for v in state.eigenvalues], float(state.eta)
    for _ in range(steps):
        g = sum(v**state.p * e for v, e in zip(eigenvalues, s[-1], strict=True))
        b.append((b[-1] ** 2 + g) ** 0.5)
        s.append([(1 - eta * v / b[-1]) ** 2 * e for v, e in zip(eigenvalues, s[-1], strict=True)])
    return np.array(b), np.array(s)


@settings(max_examples=12)
@given(seeds, methods, st.integers(1, 20))
def test_no_bound_is_violated(seed, p, d):
    state, targets = random_problems(np.random.default_rng(seed), 30, d, p)
    measured = Measurement(state, targets, 1500)
    measured.run(iter)
    assert {name: int(count.sum()) for name, count in measured.violations.items()} == dict.fromkeys(
        measured.violations, 0
    )


@pytest.mark.parametrize(
    ("bound", "violation", "factor"),
    [
        ("b_max", "b", 0.7),
        ("error_bounds", "s", 0.5),
        ("target_bound", "psi", 0.5),
        ("iterations", "t_unrolled", 0.8),
        ("iterations", "t_restarted", 0.8),
        ("exit_bounds", "n", 0.01),
        ("iterations_at_least", "t_least", 2.0),
    ],
)
def test_the_check_sees_a_bound_that_is_too_small(bound, violation, factor, monkeypatch):
    true = getattr(theory, bound)

    def too_small(*args):
        value = true(*args)
        return {k: v * factor for k, v in value.items()} if isinstance(value, dict) else np.floor(value * factor)

    if bound in ("b_max", "error_bounds", "target_bound"):
        too_small = lambda *args: true(*args) * factor  # noqa: E731
    state, targets = random_problems(np.random.default_rng(3), 100, 4, 1)
    monkeypatch.setattr(theory, bound, too_small)
    measured = Measurement(state, targets, 1500)
    measured.run(iter)
    assert measured.violations[violation].sum() > 0


@settings(max_examples=40)
@given(seeds, methods)
def test_an_exact_step_is_the_matrix_step(seed, p):
    state, _ = problem(seed, p, d=3)
    rng = np.random.default_rng(seed)
    v = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    matrix = Problem(np.sqrt(state.eigenvalues)[:, None] * v.T, np.zeros(3), v @ np.sqrt(state.s))
    method = Cell("adaloss", float(state.b), {"eta": float(state.eta), "alpha": 2.0, "c": 0.0})
    if p == 2:
        method = Cell("adagrad_norm", float(state.b), {"eta": float(state.eta)})
    out = simulate([matrix], [0], [method], iterations=6, record=range(1, 7), columns=("loss", "step"))
    now, peak = state, 0.0
    for t in range(6):
        loss = 0.5 * now.weighted(1)
        peak = max(peak, loss)
        np.testing.assert_allclose(out["loss"][t, 0, 0], loss, rtol=0, atol=1e-10 * peak)
        now = theory.advance(now)
        np.testing.assert_allclose(out["step"][t, 0, 0], now.eta / now.b, rtol=1e-10)


@settings(max_examples=100)
@given(seeds, methods)
def test_each_direction_grows_until_b_passes_its_threshold_and_never_again(seed, p):
    state, _ = problem(seed, p)
    b, s = trajectory(state)
    assert np.all(np.diff(b) >= 0)
    threshold = state.eta * state.eigenvalues / 2
    grows = b[1:, None] <= threshold * (1 - 1e-12)
    falls = b[1:, None] >= threshold * (1 + 1e-12)
    assert np.all((s[1:] >= s[:-1])[grows])
    assert np.all((s[1:] <= s[:-1])[falls])
    limit = np.maximum(s[0], state.eta**2 * state.eigenvalues ** (2 - p))
    assert np.all(s <= limit * (1 + 1e-9))
    assert np.all(s <= theory.error_bounds(state) * (1 + 1e-9))


@settings(max_examples=100)
@given(seeds, methods)
def test_exit_descent_and_key_inequality(seed, p):
    state, _ = problem(seed, p)
    b, s = trajectory(state)
    unit, eta = state.eta * state.top, state.eta
    past = b[1:] >= unit / 2
    bounds = theory.exit_bounds(state)
    n = int(np.argmax(past)) if past.any() else STEPS
    assert n <= bounds["best"]
    if n > 0:
        assert all(n < bounds[name] * (1 + 1e-9) for name in ("lin", "paper", "log"))
        assert all(n <= bounds[name] * (1 + 1e-9) for name in ("two", "simple"))
        assert np.all(bounds["log"] <= bounds["paper"] * (1 + 1e-9))
    else:
        assert all(value == 0 for value in bounds.values())
    if past.any() and n > 0:
        assert b[n + 1] < unit
        phi_exit = np.sum(state.eigenvalues ** (p - 1) * s[n])
        assert phi_exit <= theory.exit_bound(state) * (1 + 1e-9)
    for power in (0, 1, p - 1, p):
        weighted = s @ state.eigenvalues**power
        assert np.all(np.diff(weighted)[n:] <= 1e-9 * weighted[n:-1])
    phi = s @ state.eigenvalues ** (p - 1)
    left = (2 - unit / b[1:]) * (b[1:] ** 2 - b[:-1] ** 2) / b[1:]
    rounding = 1e-12 * (phi[:-1] / eta + b[1:])
    assert np.all((left <= (phi[:-1] - phi[1:]) / eta * (1 + 1e-9) + rounding)[past])


def test_many_problems_at_once_are_the_problems_one_by_one():
    many, targets = random_problems(np.random.default_rng(1), 30, 6, 2)
    eps = targets[:, 1] * many.weighted(1)
    together = (theory.b_max(many), theory.iterations(many, eps, 1), theory.exit_bounds(many)["best"])
    for i in range(30):
        one = State(many.eigenvalues[i], many.s[i], many.b[i], many.eta[i], 2)
        alone = (theory.b_max(one), theory.iterations(one, eps[i], 1), theory.exit_bounds(one)["best"])
        np.testing.assert_allclose([value[i] for value in together], alone, rtol=1e-12)


def test_one_problem_and_many_targets_are_asked_one_by_one():
    state = State([4.0, 1.0], [0.1, 0.2], 0.1, 1.0, 1)
    for eps in (np.array([1e-3, 1e-6]), np.geomspace(1e-9, 1, 6).reshape(3, 2)):
        for bound in (theory.iterations, theory.iterations_at_least):
            one_by_one = np.array([bound(state, one, 0) for one in eps.flat]).reshape(eps.shape)
            np.testing.assert_array_equal(bound(state, eps, 0), one_by_one)


def test_a_state_keeps_what_it_was_made_of():
    """A running job's b goes on."""
    given = [np.array([4.0, 1.0]), np.array([0.1, 0.2]), np.array(0.1), np.array(1.0)]
    state = State(*given, 1)
    for array in given:
        array += 1
    assert (*state.eigenvalues, *state.s, state.b, state.eta) == (4.0, 1.0, 0.1, 0.2, 0.1, 1.0)


def test_a_whole_number_of_any_size_is_a_number_and_a_masked_entry_is_none():
    assert State([1.0], [1.0], 10**20, 1.0, 1).b == 1e20
    with pytest.raises(ValueError, match="eigenvalues: has masked entries"):
        State(np.ma.array([4.0, 1.0], mask=[0, 1]), [1.0, 1.0], 1.0, 1.0, 1)


def test_underflow_is_nobodys_error():
    """SciPy's users and pandas' set np.errstate(all="raise")."""
    state = State([100.0, 10.0, 1.0], [0.1, 0.2, 0.3], 0.01, 1.0, 1)

    def bounds():
        return theory.iterations(state, 1e-6, 0), theory.iterations_at_least(state, 1e-200, 0), theory.b_max(state)

    with np.errstate(all="raise"):
        strict = bounds()
    assert strict == bounds()


def test_a_direction_without_error_may_never_let_b_out():
    state = State([4.0, 1.0], [0.0, 1e-6], 0.01, 1.0, 1)
    assert theory.exit_bounds(state)["best"] == np.inf
    assert trajectory(state, 5000)[0][-1] < 2.0


def test_a_power_of_numpy_counts_like_pythons():
    """p - 2 is 255 in eight bits without a sign."""
    for p in (1, 2):
        state, same = (State([4.0, 1.0], [1.0, 1.0], 0.01, 1.0, power) for power in (p, np.uint8(p)))
        assert float(same.u) == float(state.u) and float(theory.b_max(same)) == float(theory.b_max(state))
        limits = [float(stochastic.b_limit(0.1, 1.0, 0.5, 300.0, power)) for power in (p, np.uint8(p))]
        assert limits[0] == limits[1]
        rows = [stochastic.of_rows(np.eye(2) * 3, np.ones(2), power) for power in (p, np.uint8(p))]
        assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": 3}, "p=3: should be 2"),
        ({"eigenvalues": [1.0, 2.0]}, "descending"),
        ({"eigenvalues": [0.0, 0.0]}, "the first positive"),
        ({"eigenvalues": [1.0, -1e-20]}, "eigenvalues"),
    ],
)
def test_wrong_states_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        State(**({"eigenvalues": [2.0, 1.0], "s": [1.0, 1.0], "b": 1.0, "eta": 1.0, "p": 1} | change))
