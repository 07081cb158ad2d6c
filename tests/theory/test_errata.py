import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss.theory import errata, two_layer
from adaloss.theory import linear_regression as theory
from adaloss.theory.linear_regression import State, advance

PAGE = (Path(__file__).resolve().parents[2] / "docs/errata.md").read_text()
SECTIONS = re.findall(r"^## (\d)\. .*?\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
SEEDS = st.integers(0, 2**32)


@cache
def found(number):
    return errata.ERRATA[number]()


def equation_7(eigenvalues, s, b, eta, p):
    """Yield (t, b_t, b_{t+1}, s_t) with Python floats."""
    s, t = list(s), 0
    while True:
        after = math.sqrt(b * b + sum(x**p * e for x, e in zip(eigenvalues, s, strict=True)))
        yield t, b, after, s
        s = [(1 - eta * x / after) ** 2 * e for x, e in zip(eigenvalues, s, strict=True)]
        b, t = after, t + 1


def steps_to_exit(eigenvalues, s, b, eta, p):
    return next(t for t, _, after, _ in equation_7(eigenvalues, s, b, eta, p) if after >= eta * eigenvalues[0] / 2)


def after_steps(count, *problem):
    return next((b, s) for t, b, _, s in equation_7(*problem) if t == count)


def random_problem(rng, d, low, high):
    """Eigenvalues, s, b_0, eta, p with b_0 / (eta lambda_1) in [low, high]."""
    eigenvalues = np.sort(10.0 ** rng.uniform(-2, 2, d))[::-1].tolist()
    eta = float(10 ** rng.uniform(-1, 1))
    s = (eta**2 * 10.0 ** rng.uniform(-4, 2, d)).tolist()
    return eigenvalues, s, float(rng.uniform(low, high)) * eta * eigenvalues[0], eta, int(rng.integers(1, 3))


# The page


def test_the_page_has_the_nine_errata_in_order():
    assert [int(number) for number, _ in SECTIONS] == list(errata.ERRATA) == list(range(1, 10))
    for _, text in SECTIONS:
        assert all(part in text for part in ("*Printed.*", "*Counterexample", "*Corrected", "*Proof.*"))


@pytest.mark.parametrize("number", errata.ERRATA)
def test_the_numbers_of_the_page_are_those_computed(number):
    [line] = re.findall(r"^computed: (.*)$", dict(SECTIONS)[str(number)], flags=re.MULTILINE)
    page = dict(pair.split(" = ") for pair in line.split(", "))
    assert list(page) == list(found(number))
    for name, value in found(number).items():
        assert f"{float(page[name]):.3g}" == f"{value:.3g}", name
        if isinstance(value, int):
            assert page[name] == str(value), name
    for name in re.findall(r"`(\w+)`", dict(SECTIONS)[str(number)]):
        assert name in page or name in ("peak_c", "steps_c", "top_c", "limit_c"), name


# 1. Not uniform in the start


def test_1_by_a_plain_loop_and_in_closed_form():
    got, b0 = found(1), 0.5 * (1 + 1e-9)

    def steps(s0):
        return next(t for t, _, _, [s] in equation_7([1.0], [s0], b0, 1.0, 2) if s <= s0 * math.exp(-2))

    assert got["t"] == steps(1e-8)
    assert abs(got["t"] - math.acosh(math.e) / (2 * math.sqrt(1e-8))) < 2
    assert got["bracket"] == pytest.approx(1.5 * (8 * math.log(10) + 2))
    assert got["ratio"] == pytest.approx(got["t"] / got["bracket"])
    assert got["ratio_before"] == pytest.approx(steps(1e-6) / (1.5 * (6 * math.log(10) + 2)))
    assert got["t"] <= got["t_bound"] < 2 * got["t"]


def test_1_corrected_holds_in_the_window():
    for s0 in 10.0 ** np.arange(-7, 0):
        for p in (1, 2):
            bound = theory.iterations(State([1.0], [s0], 0.5, 1.0, p), s0 * math.exp(-2), 0)
            assert after_steps(int(bound), [1.0], [s0], 0.5, 1.0, p)[1][0] <= s0 * math.exp(-2)
            assert bound <= 3 + 2 / math.sqrt(s0)


# 2. An error in direction 1


def test_2_by_a_plain_loop():
    got = found(2)
    b, s = after_steps(10000, [1.0, 0.1], [0.0, 0.01], 0.01, 1.0, 2)
    assert got["b_end"] == pytest.approx(b) and s[0] == 0 and s[1] < 1e-100
    assert got["b_end"] <= got["b_bound"] < got["threshold"] == 0.5
    assert got["b_end"] > got["threshold_seen"] == 0.05


@settings(max_examples=60)
@given(seed=SEEDS)
def test_2_corrected_the_largest_eigenvalue_with_an_error_decides(seed):
    rng = np.random.default_rng(seed)
    eigenvalues, s, _, eta, p = random_problem(rng, 4, 0.0, 1.0)
    first = int(rng.integers(1, 4))
    s[:first] = [0.0] * first
    b0 = eta * eigenvalues[first] * float(rng.uniform(0.01, 0.5))
    most = int(theory.exit_bounds(State(eigenvalues[first:], s[first:], b0, eta, p))["best"])
    b, _ = after_steps(most + 1, eigenvalues, s, b0, eta, p)
    assert b >= eta * eigenvalues[first] / 2 * (1 - 1e-12)


# 3. The square


def test_3_in_closed_form():
    assert found(3)["growth"] == pytest.approx((1 - 100 / math.sqrt(136)) ** 2)
    assert found(3)["growth_corrected"] == pytest.approx((1 - 100 / math.sqrt(2600)) ** 2)
    assert found(3)["b0"] >= found(3)["printed"] == 1.0 * 10 / 2
    assert found(3)["corrected"] == 1.0 * 10**2 / 2


# 4. Proposition 1


def test_4_by_hand_and_by_a_plain_loop():
    got = found(4)
    assert got["gap"] == pytest.approx((0.4 + 4 * 1 / 0.1) - (0.4 + 1 / 0.1)) and got["printed"] == 3
    assert got["gap_short"] == pytest.approx((1 + 0.5) - (1 + 1)) and got["printed_short"] == pytest.approx(2 - 1)
    for p, name in ((1, "factor_adaloss"), (2, "factor_adagrad_norm")):
        b, _ = after_steps(40, [4.0], [1.0], 2.1, 1.0, p)
        assert got[name] == pytest.approx((1 - 4 / b) ** 2)


# 5. The tendency


def test_5_by_plain_loops():
    got = found(5)
    one = ([9.0, 3.0], [1e-5, 2.0], 0.5, 1.0)
    assert (got["n_adaloss"], got["n_adagrad_norm"]) == (steps_to_exit(*one, 1), steps_to_exit(*one, 2))
    problems = list(zip(*(values.tolist() for values in errata.random_starts(1000, 0)), strict=True))
    assert all(eigenvalues[0] >= 1 and 2 * b0 < eta * eigenvalues[0] for eigenvalues, _, b0, eta in problems)
    difference = np.array([steps_to_exit(*one, 1) - steps_to_exit(*one, 2) for one in problems])
    assert [got["more"], got["equal"], got["fewer"]] == [
        np.sum(difference > 0),
        np.sum(difference == 0),
        np.sum(difference < 0),
    ]


@settings(max_examples=60)
@given(seed=SEEDS)
def test_5_corrected_the_first_b_is_ordered(seed):
    rng = np.random.default_rng(seed)
    eigenvalues = np.sort(10.0 ** rng.uniform(0, 3, 4))[::-1]
    s, b0, eta = 10.0 ** rng.uniform(-4, 2, 4), 10 ** rng.uniform(-3, 2), 10 ** rng.uniform(-2, 2)
    assert advance(State(eigenvalues, s, b0, eta, 1)).b <= advance(State(eigenvalues, s, b0, eta, 2)).b


# 6. The factors of 2


def test_6_by_hand_and_by_a_plain_loop():
    got = found(6)
    assert got["b0"] > got["threshold"] and not got["two_rates"] < got["inverse"]
    assert got["two_rates"] == pytest.approx(2 / 0.9) and got["factor"] == pytest.approx((1 / 9) ** 2)
    n = steps_to_exit([1.0], [1e-3], 0.1, 1.0, 1)
    assert got["b_exit"] == pytest.approx(after_steps(n + 1, [1.0], [1e-3], 0.1, 1.0, 1)[0])
    assert got["b_end"] == pytest.approx(after_steps(2000, [1.0], [1e-3], 0.1, 1.0, 1)[0])
    assert got["threshold"] <= got["b_exit"] <= got["b_end"] < 1.0


# 7. The norm of H_inf


def kernel(x):
    """Definition 1, literally."""
    inner = np.clip(x @ x.T, -1, 1)
    h = inner * (np.pi - np.arccos(inner)) / (2 * np.pi)
    np.fill_diagonal(h, 0.5)
    return h


def test_7_by_the_definition_and_a_dense_solver():
    rng = np.random.default_rng(0)
    for ratio in (1, 16, 160):
        x = rng.normal(size=(800, 800 // ratio))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        assert found(7)[f"norm_{ratio}"] == pytest.approx(np.linalg.eigvalsh(kernel(x))[-1], rel=1e-9)
    assert found(7)["lower"] == 800 / (4 * 5)
    assert found(7)["upper"] == pytest.approx(np.linalg.eigvalsh(x.T @ x)[-1] / 2)
    assert found(7)["lower"] <= found(7)["norm_160"] <= found(7)["upper"]


# 8. Beyond 2 / ||H_inf||


def descend(problem, y, w, step, count):
    """Losses by plain gradient descent on W, and W."""
    losses = []
    for _ in range(count):
        losses.append(two_layer.loss(two_layer.predict(w, problem.a, problem.x), y))
        w = w - step * two_layer.gradient(w, problem.a, problem.x, y)
    return np.array(losses), w


def norm_at(problem, w):
    active = (problem.x @ w.T > 0).astype(float)
    return np.linalg.eigvalsh(problem.x @ problem.x.T * (active @ active.T) / len(w))[-1]


def test_8_by_plain_gradient_descent():
    got, problem = found(8), errata.wide_network()
    norm = np.linalg.eigvalsh(kernel(problem.x))[-1]
    for c in (1.9, 3, 4):
        losses, w = descend(problem, problem.y, problem.w0, c / norm, 100)
        relative = losses / losses[0]
        assert got[f"peak_{c}"] == pytest.approx(relative.max(), rel=1e-6)
        assert got[f"steps_{c}"] == np.flatnonzero(relative > 1e-6)[-1] + 1
        if c > 2:
            assert got[f"limit_{c}"] == pytest.approx(2 * norm / c)
            assert got[f"top_{c}"] == pytest.approx(norm_at(problem, w), rel=1e-2)
            assert got[f"top_{c}"] < got[f"limit_{c}"]
    losses, _ = descend(problem, problem.y, problem.w0, 6 / norm, 200)
    assert got["peak_6"] == np.inf and losses[-1] > 1e6 * losses[0]


# 9. Theorem 3(b)


def test_9_by_the_matrix_recursion():
    got, rng = found(9), np.random.default_rng(0)
    x = rng.normal(size=(10, 20))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    h, z, b = kernel(x), -rng.uniform(-1, 1, 10), 1e-3
    squares = []
    for _ in range(100):
        squares.append(z @ z)
        b = math.sqrt(b**2 + 0.3**2 * math.sqrt(10) * (z @ z))
        z = z - h @ z / b
    for digits in (4, 8):
        assert got[f"t_{digits}"] == np.flatnonzero(np.array(squares) > 10.0**-digits)[-1] + 1
        term = (np.linalg.eigvalsh(h)[0] + math.sqrt(10)) / (0.09 * math.sqrt(10) * 10.0**-digits)
        assert got[f"term_{digits}"] == pytest.approx(term)
    assert got["t_8"] <= got["bound_8"]


@settings(max_examples=40)
@given(seed=SEEDS, n=st.integers(2, 10))
def test_9_corrected_bound_holds_and_its_burn_in_is_free_of_eps(seed, n):
    rng = np.random.default_rng(seed)
    eigenvalues, v = np.linalg.eigh(kernel(errata.unit_rows(n, 2 * n, rng)))
    z0, alpha, eta = v.T @ rng.uniform(-1, 1, n), float(10 ** rng.uniform(-1, 0)), float(10 ** rng.uniform(-1, 0.5))
    state = State(**two_layer.setting_a(eigenvalues, z0, 1e-3, eta, alpha, n))
    z, _ = two_layer.linearised_adaloss(eigenvalues, z0, 1e-3, eta, alpha, n, 3000)
    squares = np.sum(z**2, axis=1)
    b_bar, u = theory.b_max(state), state.u
    rate = min(state.eta * state.bottom / b_bar, 2 / 3 * math.sqrt(u), 1 / 3)
    for eps in (1e-4, 1e-8, 1e-12):
        bound = theory.iterations(state, eps, 1)
        assert np.all(squares[int(min(bound, 3000)) :] <= eps * (1 + 1e-9)) or bound > 3000
        burn_in = 2 + (2 + math.log1p(u**-0.5)) / (4 * u**0.5) + 0.55 * u**-0.5
        assert bound <= burn_in + math.ceil(max(math.log(theory.target_bound(state, 1) / eps), 0) / (2 * rate)) + 1
