"""The bounds of part A, computed for arrays, against the page's formulas written out for one problem at a time."""

import math

import numpy as np
import pytest

from adaloss.theory import linear_regression as theory
from adaloss.theory.linear_regression import State
from experiments.bounds.experiment import random_problems
from tests.reference import theory as literal

# The candidates of nu and delta: 64 over nine decades.
NUS = [0.5 * 10 ** (-9 + 9 * i / 64) for i in range(64)]
SHARES = [10 ** (-9 + 9 * i / 63) for i in range(64)]


def problems(p, count=80):
    """All regimes of experiments.bounds, and starts with b_1 in the window between eta L / 2 and eta L."""
    rng = np.random.default_rng(p)
    for d in (1, 2, 3, 6):
        many, targets = random_problems(rng, count, d, p)
        for i in range(count):
            eigenvalues, s, b, eta = many.eigenvalues[i], many.s[i], float(many.b[i]), float(many.eta[i])
            if i % 3 == 0:
                b, s = eta * eigenvalues[0] * rng.uniform(0.4, 1.1), s * 10.0 ** rng.uniform(-6, 0)
            yield (eigenvalues.tolist(), s.tolist(), b, eta, p), float(targets[i, 0])


@pytest.mark.parametrize("p", [1, 2])
def test_exit_bounds(p):
    below = 0
    for problem, _ in problems(p):
        want, got = literal.exit_bounds(*problem, NUS), theory.exit_bounds(State(*problem))
        assert got.pop("best") == literal.least_exit(want)
        assert set(got) == set(want)
        for name, value in want.items():
            # 1/4 - theta^2 and rho^2 - 1 lose digits where nu is small.
            np.testing.assert_allclose(got[name], value, rtol=1e-6 if name == "two" else 1e-9, err_msg=name)
        below += want["lin"] > 0
    assert below > 60


@pytest.mark.parametrize("p", [1, 2])
def test_bounds_of_errors_and_of_b(p):
    for problem, _ in problems(p):
        state = State(*problem)
        # ell_1 is a difference that vanishes at 1/2: a rounding of its terms stays.
        eigenvalues, eta = problem[0], problem[3]
        rounding = 1e-14 * eta**2 * np.array(eigenvalues) ** (2 - p)
        off = np.abs(theory.error_bounds(state) - literal.error_bounds(*problem))
        assert np.all(off <= 1e-9 * theory.error_bounds(state) + rounding)
        for q in (0, 1):
            np.testing.assert_allclose(
                theory.target_bound(state, q),
                literal.target_bound(*problem, q),
                rtol=1e-9,
                atol=np.sum(rounding * np.array(eigenvalues) ** q),
            )
        np.testing.assert_allclose(theory.exit_bound(state), literal.exit_bound(*problem), rtol=1e-7)
        np.testing.assert_allclose(theory.b_max_headline(state), literal.b_max_headline(*problem), rtol=1e-12)
        # At the double root 1/2 a rounding of K moves hroot by its square root.
        np.testing.assert_allclose(theory.b_max(state), literal.b_max(*problem), rtol=1e-7)


@pytest.mark.parametrize("p", [1, 2])
def test_iterations(p):
    exact, finite = 0, 0
    for problem, target in problems(p, 60):
        state = State(*problem)
        for q in (0, 1):
            eps = target * literal.weighted(problem[0], problem[1], q)
            want = literal.iterations_from(*problem, q, eps, NUS, SHARES)
            got = float(theory.iterations(state, eps, q, 0))
            finite += math.isfinite(want)
            least = literal.iterations_at_least(*problem, q, eps)
            found = float(theory.iterations_at_least(state, eps, q))
            assert least - 1 - 1e-6 * least - 1e-15 * least**2 <= found <= min(least, got)
            exact += got == want
            # Two deltas may promise the same, and either be taken; a rounding moves a whole number by one, and the
            # rate, about 1 / T, by that of 1.
            assert got == want or abs(got - want) <= 2 + 1e-6 * want + 1e-15 * want**2, problem
    assert finite > 0.95 * 8 * 60 and exact > 0.95 * 8 * 60


@pytest.mark.parametrize("p", [1, 2])
def test_with_exact_steps_each_bound_is_the_least_of_all(p):
    for problem, target in problems(p, 4):
        eigenvalues, s, b, eta, _ = problem
        eps, best, exits = target * literal.weighted(eigenvalues, s, 1), math.inf, {}
        state = State(*problem)
        for k in range(4):
            now = State(eigenvalues, s, b, eta, p)
            want = literal.exit_bounds(eigenvalues, s, b, eta, p, NUS)
            exits = {name: min(exits.get(name, math.inf), k + value) for name, value in want.items()}
            for name, value in theory.exit_bounds(state, k).items():
                assert name == "best" or value == pytest.approx(exits[name], rel=1e-6)
            best = min(best, k + float(theory.iterations(now, eps, 1, 0)))
            assert abs(float(theory.iterations(state, eps, 1, k)) - best) <= 1e-9 * best
            s, b = literal.after_a_step(eigenvalues, s, b, eta, p)
        default = theory.iterations(state, eps, 1)
        assert default == theory.iterations(state, eps, 1, 1)


@pytest.mark.parametrize("p", [1, 2])
def test_directions_that_do_not_move_are_left_out(p):
    """The singular X'X of docs, Notation: eigenvalues 0 with any error, against the same problem without them."""
    for problem, target in problems(p, 3):
        eigenvalues, s, b, eta, _ = problem
        whole, part = State([*eigenvalues, 0.0, 0.0], [*s, 3.0, 1e9], b, eta, p), State(*problem)
        for name in ("b_max", "b_max_headline", "exit_bound"):
            np.testing.assert_allclose(getattr(theory, name)(whole), getattr(theory, name)(part), rtol=1e-12)
        for q in (0, 1):
            eps = target * literal.weighted(eigenvalues, s, q)
            np.testing.assert_allclose(theory.target_bound(whole, q), theory.target_bound(part, q), rtol=1e-12)
            assert theory.iterations(whole, eps, q, 2) == theory.iterations(part, eps, q, 2)
            assert theory.iterations_at_least(whole, eps, q) == theory.iterations_at_least(part, eps, q)
        assert theory.exit_bounds(whole, 2)["best"] == theory.exit_bounds(part, 2)["best"]
        assert (whole.bottom, whole.next_b) == (eigenvalues[-1], part.next_b)


def test_growth_at_its_values_by_hand():
    x = np.array([0.25, 0.5, 0.75])
    np.testing.assert_allclose(theory.growth(x), [2 * math.log(2) - 1, 0, 0], rtol=1e-15)
    np.testing.assert_allclose(theory.growth_from(x / 2, x), [0.75 * 0.5 + 2 * math.log(2) - 1, 0, 0], rtol=1e-15)
    assert theory.growth(np.array(0.0)) == np.inf


def test_a_state_is_of_float64_and_frozen():
    state = State([4, 1], [1, 9], 3, 2, 2)
    assert {np.asarray(getattr(state, name)).dtype for name in ("eigenvalues", "s", "b", "eta")} == {np.dtype(float)}
    assert (state.top, state.bottom, state.beta, state.u) == (4.0, 1.0, 3 / 8, 1 / 4)
    assert [state.weighted(power) for power in (0, 1, 2)] == [10, 13, 25]
    assert state.next_b == math.sqrt(9 + 25)
    with pytest.raises(AttributeError):
        state.p = 1
    assert State([4, 4], [1, 1], 1, 1, 1).top == 4  # equal eigenvalues are in order
    twice = theory.advance(state, 2)
    assert twice.b == theory.advance(theory.advance(state)).b != theory.advance(state).b
    assert theory.advance(state, 0).b == 3
