from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaloss import compiled
from adaloss.simulate import flips, kernels
from adaloss.simulate.flips import Networks
from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem, simulate
from adaloss.theory import two_layer as theory
from tests.reference.two_layer import torch_cell

HYPER = {
    "adaloss": {"eta": 0.9, "alpha": 2.0, "c": 0.0},
    "adagrad_norm": {"eta": 0.9},
    "sgd_constant": {"eta": 0.9},
    "sgd_decay_sqrt": {"eta": 0.9, "c_s": 0.2, "form": "linear"},
}
CELLS = [Cell(method, b0, HYPER[method]) for method, b0 in product(HYPER, (0.05, 1.0, 30.0))]
CELLS.append(Cell("sgd_decay_sqrt", 3.0, {"eta": 0.9, "c_s": 0.2, "form": "root"}))
CELLS.append(Cell("adagrad_norm", 2.0, {}))  # of other hyperparameters: a second group that needs the norm


def network(seed, n=12, d=9, m=60):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Problem(x, rng.choice([-1.0, 1.0], n), rng.normal(size=(m, d)), rng.choice([-1.0, 1.0], m))


def empirical_gram(w, x):
    active = (x @ w.T > 0).astype(float)
    return (x @ x.T) * (active @ active.T) / len(w)


SHAPES = [(1, (12, 9)), (1, (5, 20)), (5, (30, 4)), (5, (12, 9)), (None, (30, 4)), (None, (5, 20))]


@pytest.mark.parametrize(("batch", "shape"), SHAPES)
def test_agrees_with_torch_autograd_and_its_optimizer(batch, shape):
    """Both sides of 2 d < n, more rows than columns and fewer. Signs change throughout, b0 = 0.05 oscillates."""
    problems, iterations = [network(k, *shape) for k in (3, 4)], 120
    out = simulate(problems, (3, 4), CELLS, iterations=iterations, record=range(1, iterations + 1), batch=batch)
    for (i, problem), (j, cell) in product(enumerate(problems), enumerate(CELLS)):
        losses, steps, _ = torch_cell(problem, (3, 4)[i], cell, iterations=iterations, batch=batch)
        seen = losses < 1e190  # beyond, the engine calls it diverged
        # Each step rounds the weights by some eps of their greatest residual so far, and an unstable one multiplies it.
        scale = np.maximum.accumulate(losses)[seen]
        assert np.all(np.abs(out["loss"][seen, i, j] - losses[seen]) <= 1e-9 * scale), (cell, i)
        np.testing.assert_allclose(out["step"][seen, i, j], steps[seen], rtol=1e-9)


def test_late_iterations_agree_down_to_the_resolution_of_float64():
    problem = network(7, n=10, d=20, m=300)
    for cell in (Cell("adaloss", 0.1, HYPER["adaloss"]), Cell("sgd_constant", 1.0, HYPER["sgd_constant"])):
        for batch in (None, 4):
            out = simulate([problem], [7], [cell], iterations=1000, record=range(1, 1001), batch=batch)
            losses, steps, _ = torch_cell(problem, 7, cell, iterations=1000, batch=batch)
            np.testing.assert_allclose(np.sqrt(out["loss"][:, 0, 0]), np.sqrt(losses), rtol=1e-8, atol=1e-13)
            np.testing.assert_allclose(out["step"][:, 0, 0], steps, rtol=1e-10)


@pytest.mark.parametrize("batch", [4, None])
def test_columns_are_what_the_weights_say(batch):
    problem, iterations, record = network(5), 80, (1, 2, 17, 80)
    columns = (
        *("full_loss", "distance", "distance_max", "lambda_min", "lambda_max", "gram_change", "flips", "predictions"),
    )
    cells = [CELLS[0], CELLS[4], CELLS[7], CELLS[9]]
    out = simulate([problem], [5], cells, iterations=iterations, record=record, batch=batch, columns=columns)
    h0 = empirical_gram(problem.w0, problem.x)
    for j, cell in enumerate(cells):
        _, _, weights = torch_cell(problem, 5, cell, iterations=iterations, batch=batch, keep=record)
        scale = 1.0 if batch is None else 1.0 / len(problem.y)
        for i, t in enumerate(record):
            w = weights[t]
            u, h, change = theory.predict(w, problem.a, problem.x), empirical_gram(w, problem.x), w - problem.w0
            eigenvalues = np.linalg.eigvalsh(h)
            want = {
                "full_loss": scale * theory.loss(u, problem.y),
                "distance": np.linalg.norm(change),
                "distance_max": np.linalg.norm(change, axis=1).max(),
                "lambda_min": eigenvalues[0],
                "lambda_max": eigenvalues[-1],
                "gram_change": np.linalg.norm(h - h0, 2),
                "flips": np.mean((problem.x @ w.T > 0) != (problem.x @ problem.w0.T > 0)),
                "predictions": u,
            }
            for name, value in want.items():
                np.testing.assert_allclose(
                    out[name][i, 0, j], value, rtol=1e-9, atol=1e-12, err_msg=f"{name} {cell} {t}"
                )
        final = theory.predict(weights[iterations + 1], problem.a, problem.x)
        np.testing.assert_allclose(out["final_loss"][0, j], scale * theory.loss(final, problem.y), rtol=1e-9)


def test_a_cell_alone_is_the_cell_among_others_to_the_last_bit():
    problems, seeds, columns = [network(k) for k in range(3)], range(3), ("loss", "step", "distance", "lambda_max")
    for batch in (4, None):
        options = {"iterations": 60, "record": (1, 2, 50, 60), "batch": batch, "columns": columns}
        together = simulate(problems, seeds, CELLS, **options)
        for i, j in product(seeds, range(len(CELLS))):
            alone = simulate([problems[i]], [i], [CELLS[j]], **options)
            for name in columns:
                np.testing.assert_array_equal(alone[name][:, 0, 0], together[name][:, i, j])
            np.testing.assert_array_equal(alone["final_loss"][0, 0], together["final_loss"][i, j])


def test_divergence_is_a_result():
    cells = [Cell("sgd_constant", 1e-3, {"eta": 1.0}), Cell("sgd_constant", 1.0, {"eta": 1.0})]
    columns = ("loss", "step", "full_loss", "predictions")
    out = simulate([network(0)], [0], cells, iterations=500, record=range(1, 501), columns=columns)
    lost = np.isinf(out["loss"][:, 0, 0])
    assert not lost[:5].any() and lost[-1] and np.all(np.diff(lost.astype(int)) >= 0)
    assert np.isnan(out["step"][lost, 0, 0]).all() and np.isinf(out["full_loss"][lost, 0, 0]).all()
    assert np.isfinite(out["loss"][~lost, 0, 0]).all() and np.isinf(out["final_loss"][0, 0])
    assert np.isfinite(out["loss"][:, 0, 1]).all() and np.isfinite(out["final_loss"][0, 1])


def test_theorem_3_is_the_rule_with_its_alpha():
    problem, alpha = network(2), 0.3
    n = len(problem.y)
    cell = Cell("adaloss", 0.2, {"eta": 1.0, "alpha": theory.rule_alpha(alpha, n), "c": 0.0})
    out = simulate([problem], [2], [cell], iterations=30, record=range(1, 31))
    b_sq = 0.2**2 + np.cumsum(alpha**2 * np.sqrt(n) * 2 * out["loss"][:, 0, 0])
    np.testing.assert_allclose(1 / out["step"][:, 0, 0] ** 2, b_sq, rtol=1e-12)


def test_wide_networks_travel_as_far_as_the_linearised_one():
    rng = np.random.default_rng(1)
    n, d, m = 20, 20, 40_000
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    problem = Problem(x, rng.choice([-1.0, 1.0], n), rng.normal(size=(m, d)), rng.choice([-1.0, 1.0], m))
    eigenvalues, v = np.linalg.eigh(empirical_gram(problem.w0, x))
    z0 = v.T @ (theory.predict(problem.w0, problem.a, x) - problem.y)
    cells = [
        Cell("sgd_constant", 1.0, {"eta": theory.best_constant_step(eigenvalues)}),
        Cell("adaloss", 0.1, {"eta": 1.0, "alpha": 0.2, "c": 0.0}),
    ]
    out = simulate([problem], [0], cells, iterations=600, record=(600,), columns=("full_loss", "distance"))
    assert np.all(out["full_loss"] < 1e-6)
    np.testing.assert_allclose(out["distance"][0, 0], theory.weights_travelled(eigenvalues, z0), rtol=0.01)


def test_small_residuals_grow_exactly_above_the_critical_step():
    """The linearised critical step of Theorem 2, with labels that W(0) fits but for 1e-6 along H(0)'s top direction."""
    start = network(4, n=20, d=20, m=500)
    eigenvalues, v = np.linalg.eigh(empirical_gram(start.w0, start.x))
    labels = theory.predict(start.w0, start.a, start.x) + 1e-6 * v[:, -1]
    problem = Problem(start.x, labels, start.w0, start.a)
    critical = theory.critical_step(eigenvalues)
    cells = [Cell("sgd_constant", 1.0, {"eta": share * critical}) for share in (0.98, 1.02)]
    loss = simulate([problem], [0], cells, iterations=101, record=(1, 101))["loss"][:, 0]
    np.testing.assert_allclose(loss[1] / loss[0], [0.96**200, 1.04**200], rtol=1e-2)


def beside_the_recurrence_of_w(problem, steps, batch=None, ahead=flips.AHEAD, seed=0):
    """Greatest distance of u, P and the gradient's squared length over these steps; the flips; the engine's counts."""
    networks = Networks(problem.preactivations, problem.x, problem.inner, problem.a, norms=range(1), ahead=ahead)
    x, a, w, rng = problem.x, problem.a, problem.w0.copy(), np.random.default_rng(seed)
    n, m = problem.preactivations.shape
    active, changed, off = problem.preactivations > 0, 0, 0.0
    for step in steps:
        u = theory.predict(w, a, x)
        share = np.ones(n) if batch is None else np.bincount(rng.integers(n, size=batch), minlength=n) / batch
        g = share * (u - problem.y)
        gradient = ((x @ w.T > 0) * a).T @ (g[:, None] * x) / m**0.5
        off = max(off, np.abs(networks.predictions[0] - u).max())
        [norm_sq] = networks.direction(share * (networks.predictions - problem.y))
        off = max(off, abs(norm_sq - np.vdot(gradient, gradient)))
        networks.move(np.array([step]))
        w -= step * gradient
        off = max(off, np.abs(networks.preactivations(0) - x @ w.T).max())
        changed += np.count_nonzero((x @ w.T > 0) != active)
        active = x @ w.T > 0
    return off, changed, networks.counts | {"dense": networks.counts["refreshes"] - networks.counts["lists"]}


@pytest.mark.parametrize("ahead", [0.01, 1.0, flips.AHEAD])
@pytest.mark.parametrize(("batch", "shape"), [(None, (20, 20)), (5, (30, 4))])
def test_long_runs_with_many_flips_are_the_recurrence_of_w(shape, batch, ahead):
    problem = network(11, *shape, m=300)
    steps = (2.0 if batch else 0.3) / np.sqrt(1 + np.arange(2000) % 500)  # from large to small, four times
    off, changed, counts = beside_the_recurrence_of_w(problem, steps, batch, ahead)
    assert off < 1e-10
    assert changed > 5000  # of 6000 or 9000 pairs
    assert counts["lists"] > 10 and counts["candidates"] > 10
    assert counts["dense"] < 500, "the lists are what is tested"


def test_steps_of_every_size_are_the_recurrence_of_w():
    """Now and then a step that moves everything: lists end at once, and dense steps fill in."""
    sizes = np.random.default_rng(3).choice([1e-6, 1e-3, 0.05, 0.3], size=1500)
    off, changed, counts = beside_the_recurrence_of_w(network(12, n=15, d=15, m=200), sizes)
    assert off < 1e-10 and changed > 300 and counts["lists"] > 10
    off, changed, counts = beside_the_recurrence_of_w(network(12, n=40, d=15, m=300), np.full(300, 1.0))
    assert off < 1e-10 and changed > 10_000 and counts["dense"] > 10


@given(st.data())
def test_any_small_network_is_the_recurrence_of_w(data):
    """Rows that are 0, repeated or of any length, neurons that are 0 or all of one sign, one point, one neuron."""
    n, d, m = (data.draw(st.integers(1, most)) for most in (8, 6, 80))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x, w0, a = rng.normal(size=(n, d)) / d**0.5, rng.normal(size=(m, d)), rng.choice([-1.0, 1.0], m)
    x[rng.integers(n)] *= data.draw(st.sampled_from([0.0, 1e-3, 1.0]))
    x[rng.integers(n)] = x[rng.integers(n)]
    w0[rng.integers(m)] *= data.draw(st.sampled_from([0.0, 1.0]))
    problem = Problem(x, rng.normal(size=n), w0, np.abs(a) if data.draw(st.booleans()) else a)
    steps = data.draw(st.sampled_from([0.001, 0.03, 0.3])) * rng.random(40)
    batch, ahead = data.draw(st.sampled_from([None, 1, 3])), data.draw(st.sampled_from([0.1, 2.0, 8.0, 100.0]))
    off, _, _ = beside_the_recurrence_of_w(problem, steps, batch, ahead)
    assert off < 1e-10


def test_most_steps_need_no_product_over_all_neurons():
    problem = network(13, n=40, d=40, m=1000)
    for batch in (None, 10):
        _, changed, counts = beside_the_recurrence_of_w(problem, np.full(300, 0.05), batch)
        assert changed > 500
        assert counts["refreshes"] < 60, counts


def test_loops_are_compiled_where_no_cache_can_be_written(monkeypatch):
    asked, njit = [], compiled.njit

    def without_a_folder(cache=False, **options):
        asked.append(cache)
        return refuse if cache else njit(**options)

    def refuse(loop):
        raise RuntimeError(f"cannot cache function {loop.__name__!r}: no locator available")

    monkeypatch.setattr(compiled, "njit", without_a_folder)
    masks, pairs = np.zeros((1, 2, 3), dtype=bool), np.zeros((1, 3, 3))
    compiled.compiled()(kernels.turn.py_func)(masks, pairs, 0, 1, 2)
    assert asked == [True, False]
    assert masks[0].tolist() == [[False, False, False], [False, False, True]] and pairs[0, 2, 2] == 0.5
