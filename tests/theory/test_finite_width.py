"""Docs D: what a certificate promises, against trainings, adversaries, 40-digit numbers and measured steps."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from mpmath import eigsy, matrix, mp, mpf, sqrt

import adaloss.theory
from adaloss import compiled
from adaloss.theory import steps
from adaloss.theory.finite_width import Refusal, certify
from adaloss.theory.perturbation import Flips, Perturbation
from adaloss.theory.random_start import sufficient_width
from experiments import networks
from experiments.runs.schema import validated
from tests.reference.finite_width import Literal

mp.dps = 40


def network(n, d, m, seed, labels=None, alike=0.0):
    """Random unit rows, normal weights, labels +-1, or as far from the outputs as ``labels``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) + alike
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    w, a, y = rng.normal(size=(m, d)), rng.choice([-1.0, 1.0], m), rng.choice([-1.0, 1.0], n)
    return w, a, x, y if labels is None else outputs(w, a, x) + labels * y


def outputs(w, a, x):
    return np.maximum(w @ x.T, 0.0).T @ a / len(a) ** 0.5


def top(w, x):
    on = (w @ x.T > 0).astype(float)
    return float(np.linalg.eigvalsh(x @ x.T * (on.T @ on) / len(w))[-1])


def train(w, a, x, y, eta, b=1.0, alpha=0.0):
    """(W, b, ||u - y||^2) before each step."""
    while True:
        z = outputs(w, a, x) - y
        yield w, b, float(z @ z)
        b = float(np.hypot(b, alpha * len(y) ** 0.25 * np.linalg.norm(z)))
        w = w - eta / b / len(a) ** 0.5 * a[:, None] * (((w @ x.T > 0) * z) @ x)


def test_no_promise_is_broken():
    """make theory-check, cut down."""
    sizes = {"certified": 14, "adversarial": 10, "max_steps": 100, "seed": [1000]}
    experiment = validated(networks.Networks, sizes)
    [made] = experiment.execute(experiment.runs(), lambda steps, **words: steps)
    for adversarial, some in made.history.groupby("adversarial"):
        assert len(some) == (10 if adversarial else 14) and (some.unstable > 0).sum() >= 2
        assert (some.filter(like="violations_") == 0).all(axis=None) and (some.steps <= some.bound).all()
        assert 3 <= (some.alpha == 0).sum() <= len(some) - 3


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("neuron", lambda f: {"neuron_moved": 0.3 * f.neuron_moved}),
        ("moved", lambda f: {"moved": 0.3 * f.moved}),
        ("b", lambda f: {"b_max": 0.9 * f.b_max}),
        ("stable", lambda f: {"unstable": f.unstable & False}),
        ("eigenvalues", lambda f: {"lambda_max": 0.9 * f.lambda_max}),
    ],
)
def test_the_check_sees_a_promise_that_is_too_good(promise, change):
    w, a, x, y = network(10, 50, 2000, 0)
    case = networks.Network(w, a, x, y, 2.0, 0.01, 0.5)
    found = certify(w, a, x, y, eta=2.0, b=0.01, alpha=0.5)
    true, wrong = (networks.violations(case, one, 1e-6, 80) for one in (found, replace(found, **change(found))))
    assert true.pop("steps") == wrong.pop("steps") > 0
    assert not any(true.values())
    assert [name for name, count in wrong.items() if count] == [promise]


@pytest.mark.parametrize(
    ("n", "d", "m", "seed", "labels", "method"),
    [
        (3, 4, 60, 1, -0.02, {"eta": 1.2}),  # rows alike: mu < rho, and a rate all the same
        (3, 4, 60, 0, 0.05, {"eta": 1.0}),
        (2, 2, 50, 1, 0.03, {"eta": 2.2}),
        (3, 5, 60, 2, 0.05, {"eta": 0.7, "b": 1e-3, "alpha": 6.0}),
        (2, 3, 60, 3, 0.03, {"eta": 2.6, "b": 0.5, "alpha": 4.0}),
        (1, 2, 25, 4, 0.1, {"eta": 2.0, "b": 1e-300, "alpha": 8.0}),
        (3, 3, 20, 5, 0.8, {"eta": 1.0}),
    ],
)
def test_a_certificate_is_the_page_read_literally(n, d, m, seed, labels, method):
    """In 40 digits the same pairs, T and sums: outside of them by no more than a few roundings, and never inside."""
    alike, labels = 1.5 * (labels < 0), abs(labels)
    w, a, x, y = network(n, d, m, seed, labels, alike)
    found = certify(w, a, x, y, **method)
    literal = Literal(w, a, x, y, **({"b": 1.0, "alpha": 0.0} | method))
    unstable = literal.close()
    assert found.holds == (unstable is not None) == (labels < 0.8)
    if not found.holds:
        return
    assert not alike or found.rho > found.lambda_min
    assert {(int(r), int(i)) for r, i in zip(*np.nonzero(found.unstable), strict=True)} == unstable
    total = literal.sums()[0]
    upper = {"path": total, "b_max": literal.b_max, "rho": literal.rho, "lambda_max": literal.top + literal.rho}
    upper |= {"moved": sqrt(literal.top + literal.rho) * total}
    for name, exact in upper.items():
        assert 0 <= mpf(getattr(found, name)) - exact <= 1e-11 * exact + 1e-12, name
    for name, exact in {"rate": literal.nu, "lambda_min": literal.rate(0)}.items():
        assert 0 <= exact - mpf(getattr(found, name)) <= 1e-11, name
    assert found.burn_in == literal.exit
    for eps in (0.7 * labels**2, 1e-2 * labels**2, 1e-5 * labels**2):  # none of them a bound
        assert found.iterations(eps) == literal.iterations(eps)


@pytest.mark.parametrize("method", [{}, {"eta": 2.0, "b": 0.01, "alpha": 0.5}])
def test_ten_rows_and_2000_neurons_are_certified_at_the_start(method):
    ratios = []
    for seed in range(3):
        w, a, x, y = network(10, 50, 2000, seed)
        method = method or {"eta": 0.9 / top(w, x)}
        found = certify(w, a, x, y, **method)
        assert found.holds
        losses = train(w, a, x, y, **method)
        _, _, first = next(losses)
        measured = next(k for k, (_, _, loss) in enumerate(losses, start=1) if loss <= 1e-6 * first)
        ratios.append(found.iterations(1e-6 * first) / measured)
    assert min(ratios) >= 1 and np.median(ratios) <= 1.25


def test_a_tiny_b_is_followed_through_its_burn_in():
    w, a, x, y = network(10, 50, 12800, 1)
    found = certify(w, a, x, y, eta=8.0, b=1e-6, alpha=0.5)
    assert found.holds and found.burn_in > 0


def test_a_training_is_certified_on_its_way():
    """Five lines of a user's loop; refused at the start, and every later certificate ends where the training does."""
    w, a, x, y = network(20, 20, 300, 2)
    eta, eps, totals = 0.9 / top(w, x), 1e-5, []
    for k, (weights, b, loss) in enumerate(train(w, a, x, y, eta)):
        found = certify(weights, a, x, y, eta=eta, b=b)
        if found.holds:
            totals.append(k + found.iterations(eps))
        if loss <= eps:
            break
    assert totals[-1] == k and min(totals) >= k
    assert len(totals) > k / 2 and totals[len(totals) // 2] <= 1.25 * k


@pytest.mark.parametrize("method", [{"eta": 0.5}, {"eta": 4.0, "b": 1e-6, "alpha": 0.5}])
def test_steps_are_the_same_without_numba(method, monkeypatch):
    w, a, x, y = network(4, 20, 1200, 0, 0.3)
    fast = certify(w, a, x, y, **method)
    monkeypatch.setattr(compiled, "njit", None)
    plain = importlib.util.module_from_spec(steps.__spec__)
    steps.__spec__.loader.exec_module(plain)
    monkeypatch.setattr(adaloss.theory, "steps", plain)
    found = certify(w, a, x, y, **method)
    assert fast.holds and not hasattr(plain.walk, "py_func")
    assert (found.unstable == fast.unstable).all() and found.burn_in == fast.burn_in
    for name in ("path", "rate", "b_max"):
        np.testing.assert_allclose(getattr(found, name), getattr(fast, name), rtol=1e-13)
    np.testing.assert_allclose(found.sizes(1e-6), fast.sizes(1e-6), rtol=1e-12)
    first = fast.sizes(1e-6)
    fast.iterations(1e-60)  # which follows the training further
    np.testing.assert_array_equal(fast.sizes(1e-6), first)


def test_long_trainings_are_taken_in_blocks():
    """A step 3,000 times shorter takes 3,000 times as many, at the same cost."""
    w, a, x, y = network(2, 5, 300, 0, 0.3)
    short, long = (certify(w, a, x, y, eta=eta).iterations(1e-4) * eta for eta in (1e-4, 0.05))
    assert abs(short / long - 1) < 0.1  # of the limit of small steps
    assert certify(w, a, x, y, eta=1.0, b=1e300, alpha=1.0).iterations(1e-4) > 1e300


def edge(**changes):
    w, a, x, y = network(4, 6, 300, 0, 0.3)
    case = {"w": w, "a": a, "x": x, "y": y, "eta": 1.0} | {name: value(w, a, x, y) for name, value in changes.items()}
    return certify(**case)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x": lambda w, a, x, y: x[[0, 1, 2, 2]]}, "rows repeat"),
        ({"x": lambda w, a, x, y: 0 * x}, "lambda_min"),
        ({"w": lambda w, a, x, y: -np.abs(w), "x": lambda w, a, x, y: np.abs(x)}, "lambda_min"),  # no neuron is on
        ({"eta": lambda w, a, x, y: 2 / top(w, x)}, "2/"),
        ({"y": lambda w, a, x, y: 100 * y}, "activities may change"),
        ({"y": lambda w, a, x, y: outputs(w, a, x), "b": lambda *_: 1e-300, "alpha": lambda *_: 1.0}, "too late"),
        ({"w": lambda w, a, x, y: 1e99 * w, "x": lambda w, a, x, y: 1e99 * x}, "leave float64"),
        ({"x": lambda w, a, x, y: 1e-160 * x}, "leave float64"),  # X'X has lost most digits
    ],
)
def test_a_refusal_is_one_line_with_its_reason(changes, reason):
    found = edge(**changes)
    assert isinstance(found, Refusal) and not found.holds
    assert reason in found.reason and "\n" not in found.reason


def test_edges_that_are_certified():
    at_zero = edge(w=lambda w, a, x, y: np.vstack([0 * w[:1], w[1:]]))
    assert at_zero.holds and at_zero.unstable[0].all()
    assert edge(eta=lambda w, a, x, y: 1.6 / top(w, x)).holds  # above 1/L
    solved = edge(y=lambda w, a, x, y: outputs(w, a, x))
    assert solved.iterations(1e-20) == 0 and solved.moved < 1e-10
    one = certify([[1.0]], [1.0], [[1.0]], [2.0], eta=0.5)
    assert one.holds and one.iterations(0.26) == 1 and one.iterations(0.063) == 2  # z halves: -1, -1/2, -1/4
    far, near = (edge(b=lambda *_, b=b: b, alpha=lambda *_: 1.0) for b in (1e-300, 1e-9))
    assert far.holds and far.iterations(1e-6) == near.iterations(1e-6)


def test_rounding_is_on_the_safe_side():
    """Rows at an angle of 1e-4, where eigenvalues have lost 8 digits, and a sign that only cancellation gave."""
    w, a, x, y = network(3, 4, 60, 0, 1e-5)
    x[1] = x[0] + 1e-4 * x[2]
    y = outputs(w, a, x) + 1e-13 * np.array([1.0, -1.0, 1.0])
    found, literal = certify(w, a, x, y, eta=0.5), Literal(w, a, x, y, 0.5, 1.0, 0.0)
    rho, centre, *_ = literal.matrices({(int(r), int(i)) for r, i in zip(*np.nonzero(found.unstable), strict=True)}, 0)
    exact = min(eigsy(matrix(centre), eigvals_only=True)) - rho
    assert found.holds and 0 < found.lambda_min <= exact <= found.lambda_min * (1 + 1e-3)
    w, a, x, y = network(3, 4, 60, 0, 1e-5)
    w[7] = 1e6 * (w[7] - x[0] * (w[7] @ x[0]) / (x[0] @ x[0]))  # nearly orthogonal to row 0, at length 1e6
    assert abs(w[7] @ x[0]) < 1e-9
    assert certify(w, a, x, outputs(w, a, x) + 1e-5 * np.sign(y), eta=0.5).unstable[7, 0]
    # Bounds of ||Ez|| and ||(E - E2)z|| are homogeneous in z, also where its squares are 0 in float64.
    inner, on, unstable = 1e-6 * x @ x.T, w @ x.T > 0, np.arange(180).reshape(60, 3) % 5 == 0
    flips = Flips.of(inner, on, unstable, on.T.astype(float) @ on)
    bounds = Perturbation.least(inner, flips, np.zeros(3), 1e-3).bounds
    one, many = (steps.push(bounds, z, 0 * z) for z in (y, 1e-158 * y))
    assert np.all(np.array(many) >= 0.999e-158 * np.array(one))


def test_d6_by_hand_and_in_a_network():
    """Orthonormal rows: K = I, lambda_0 = 1/2, so m = 140 Z^2 16; a network of that width is certified."""
    y, delta = np.array([0.01, -0.01]), 0.5
    size = float(np.linalg.norm(y)) + 2**0.5 * (1 + (2 * np.log(10)) ** 0.5)
    m = sufficient_width(np.eye(2), y, delta)
    np.testing.assert_allclose(m, 140 * size**2 * 16, rtol=1e-3)
    rng = np.random.default_rng(0)
    found = certify(rng.normal(size=(int(m), 2)), rng.choice([-1.0, 1.0], int(m)), np.eye(2), y, eta=1.8)
    assert found.holds and found.rate >= 0.45 * 0.5
    assert sufficient_width(np.eye(2)[[0, 0]], y, delta) == np.inf
    for row in np.random.default_rng(0).normal(size=(20, 3)):  # whose inner products with themselves are near 1
        assert sufficient_width(np.tile(row / np.linalg.norm(row), (2, 1)), y, delta) == np.inf
    for bad in (0.0, 1.0):
        with pytest.raises(ValueError, match="delta"):
            sufficient_width(np.eye(2), y, bad)


@pytest.mark.parametrize(
    ("name", "value"),
    [("a", [1.0, 2.0]), ("w", [1.0]), ("y", [1.0, 1.0]), ("eta", 0.0), ("eta", [1.0]), ("b", -1.0), ("alpha", np.nan)],
)
def test_wrong_arguments_are_named(name, value):
    case = {"w": np.ones((2, 1)), "a": np.ones(2), "x": np.ones((1, 1)), "y": np.ones(1), "eta": 0.1}
    with pytest.raises(ValueError, match=name):
        certify(**(case | {name: value}))
