from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss.simulate.eigenbasis import simulate_eigenbasis
from adaloss.simulate.linear_regression import BLOCK, TILE, Cell, Problem, minibatches, simulate
from tests.reference.linear_regression import numpy_cell

HYPER = {
    "adaloss": {"eta": 0.9, "alpha": 2.0, "c": 0.0},
    "adagrad_norm": {"eta": 0.9},
    "sgd_constant": {"eta": 0.9},
    "sgd_decay_sqrt": {"eta": 0.9, "c_s": 0.2, "form": "linear"},
}
CELLS = [Cell(method, b0, HYPER[method]) for method, b0 in product(HYPER, (0.01, 1.0, 30.0))]
CELLS.append(Cell("sgd_decay_sqrt", 30.0, {"eta": 0.9, "c_s": 0.2, "form": "root"}))


def gaussian(seed, n=60, d=7, noise=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    residual = rng.normal(size=n)
    residual -= x @ np.linalg.lstsq(x, residual)[0]
    return Problem(x=x, noise=noise * residual, error0=rng.normal(size=d))


def rotated(eigenvalues, s0, rng):
    v = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return Problem(x=np.sqrt(eigenvalues)[:, None] * v.T, noise=np.zeros(len(eigenvalues)), error0=v @ np.sqrt(s0))


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("batch", [1, 20, None])
def test_agrees_with_a_plain_loop_per_cell(batch, noise):
    problems, iterations = [gaussian(k, noise=noise) for k in (3, 4)], 80
    out = simulate(problems, (3, 4), CELLS, iterations=iterations, record=range(1, iterations + 1), batch=batch)
    for (i, problem), (j, cell) in product(enumerate(problems), enumerate(CELLS)):
        with np.errstate(over="ignore", invalid="ignore"):
            losses, steps = numpy_cell(problem, (3, 4)[i], cell, iterations=iterations, batch=batch)
        seen = np.abs(losses) < 1e190  # beyond, the engine calls it diverged
        # Each step rounds the error by some eps of its greatest size so far; a later loss is no more exact than that.
        scale = np.maximum.accumulate(losses)
        assert np.all(np.abs(out["loss"][seen, i, j] - losses[seen]) <= 1e-11 * scale[seen])
        np.testing.assert_allclose(out["step"][seen, i, j], steps[seen], rtol=1e-11)


def test_a_cell_alone_is_the_cell_in_a_batch_to_the_last_bit():
    seeds, columns, record = range(4), ("loss", "step", "gap", "s"), (1, 2, 50, 99)
    problems = [gaussian(k, noise=0.5) for k in seeds]
    for batch in (1, 20, None):
        options = {"iterations": 100, "record": record, "batch": batch, "columns": columns}
        together = simulate(problems, seeds, CELLS, **options)
        for i, j in product(seeds, range(len(CELLS))):
            alone = simulate([problems[i]], [i], [CELLS[j]], **options)
            for name in columns:
                np.testing.assert_array_equal(alone[name][:, 0, 0], together[name][:, i, j])
            np.testing.assert_array_equal(alone["final_gap"][0, 0], together["final_gap"][i, j])


@pytest.mark.parametrize("count", [1, TILE - 1, TILE, TILE + 1, 3 * TILE + 5])
def test_tiles_return_the_cells_in_the_order_given(count):
    rng = np.random.default_rng(count)
    cells = [Cell(str(rng.choice(list(HYPER)[:3])), float(10 ** rng.uniform(-1, 3))) for _ in range(count)]
    cells = [Cell(cell.method, cell.b0, {"eta": float(rng.uniform(0.5, 2))}) for cell in cells]
    out = simulate([gaussian(1)], [1], cells, iterations=3, record=(1,), batch=5)
    losses, _ = numpy_cell(gaussian(1), 1, Cell("sgd_constant", 1.0), iterations=1, batch=5)
    rows = next(minibatches(1, 60, 5, 3))[0]
    gradient = gaussian(1).x[rows].T @ (gaussian(1).x[rows] @ gaussian(1).error0) / 5
    grown = {"adaloss": losses[0], "adagrad_norm": gradient @ gradient, "sgd_constant": 0.0}
    want = [c.hyper["eta"] / np.sqrt(c.b0**2 + grown[c.method]) for c in cells]
    np.testing.assert_allclose(out["step"][0, 0], want, rtol=1e-12)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), d=st.integers(1, 8))
def test_full_gradient_is_equation_7(seed, d):
    rng = np.random.default_rng(seed)
    eigenvalues = np.sort(10.0 ** rng.uniform(-2, 2, d))[::-1]
    s0 = 10.0 ** rng.uniform(-8, 2, d)
    b0, iterations = 10.0 ** rng.uniform(-4, 4, 20), 60
    eta, problem = float(10 ** rng.uniform(-1, 1)), rotated(eigenvalues, s0, rng)
    for method in HYPER:
        hyper = HYPER[method] | {"eta": eta}
        exact = simulate_eigenbasis(eigenvalues, s0, method, b0, hyper, iterations)
        out = simulate(
            [problem],
            [0],
            [Cell(method, b, hyper) for b in b0],
            iterations=iterations,
            record=range(1, iterations + 1),
            columns=("loss", "step", "gap", "s"),
        )
        seen = exact["loss"] < 1e190
        peak = np.maximum.accumulate(exact["loss"])[seen]
        got = {name: column[:, 0][seen] for name, column in out.items() if name != "final_gap"}
        assert np.all(np.abs(got["step"] - exact["step"][seen]) <= 1e-10 * exact["step"][seen])
        assert np.all(np.abs(got["loss"] - exact["loss"][seen]) <= 1e-10 * peak)
        assert np.all(np.abs(got["gap"] - exact["loss"][seen]) <= 1e-10 * peak)
        if np.min(-np.diff(eigenvalues) / eigenvalues[:-1], initial=1.0) > 1e-3:  # else v_i is ill-conditioned
            peak_s = np.maximum.accumulate(exact["s"].max(axis=2))[seen]
            assert np.all(np.abs(got["s"] - exact["s"][seen]) <= 1e-10 * peak_s[:, None])


def test_equation_7_itself_against_a_loop_of_floats():
    out = simulate_eigenbasis(np.array([4.0, 1.0]), np.array([0.5, 2.0]), "adaloss", [0.3], HYPER["adaloss"], 25, 0.1)
    s, b_sq = [0.5, 2.0], 0.3**2
    for t in range(25):
        loss = 0.5 * (4.0 * s[0] + s[1]) + 0.1
        b_sq += 2.0 * loss
        step = 0.9 / b_sq**0.5
        np.testing.assert_allclose(
            [out["loss"][t, 0], out["step"][t, 0], *out["s"][t, 0]], [loss, step, *s], rtol=1e-12
        )
        s = [(1 - step * 4.0) ** 2 * s[0], (1 - step) ** 2 * s[1]]


def test_divergence_is_shown_as_infinite_and_touches_no_other_cell():
    problem, record = gaussian(2, noise=0.4), range(1, 401)
    calm, wild = Cell("sgd_constant", 20.0, {"eta": 1.0}), Cell("sgd_constant", 1e-3, {"eta": 1.0})
    together = simulate([problem], [2], [calm, wild], iterations=400, record=record, batch=5, columns=("loss", "gap"))
    loss = together["loss"][:, 0, 1]
    first = int(np.argmax(np.isinf(loss)))
    assert 0 < first < 400
    assert np.all(np.isinf(loss[first:])) and np.all(np.diff(np.log(loss[:first])) > -5)
    assert np.isinf(together["final_gap"][0, 1])
    alone = simulate([problem], [2], [calm], iterations=400, record=record, batch=5, columns=("loss", "gap"))
    np.testing.assert_array_equal(together["loss"][:, 0, 0], alone["loss"][:, 0, 0])
    assert np.isfinite(together["gap"][:, 0, 0]).all()


def test_adaptive_methods_survive_the_start_that_ends_sgd():
    cells = [Cell(method, 1e-90, HYPER[method]) for method in ("adaloss", "adagrad_norm")]
    out = simulate([gaussian(8)], [8], cells, iterations=2000, record=(1, 2000), batch=20)
    assert np.all(out["loss"][-1] < 1e-6 * out["loss"][0])


def test_an_error_below_float64_is_zero_and_stays_fast():
    out = simulate([gaussian(1, d=1)], [1], [CELLS[7]], iterations=4000, record=(4000,), batch=20)
    assert out["loss"][0, 0, 0] == 0.0


def test_minibatches_are_uniform_with_replacement_and_independent_of_length():
    drawn = np.concatenate(list(minibatches(7, 10, 20, 2 * BLOCK + 100)))
    np.testing.assert_array_equal(drawn[: BLOCK + 3], np.concatenate(list(minibatches(7, 10, 20, BLOCK + 3))))
    counts = np.bincount(drawn.ravel(), minlength=10)
    expected = drawn.size / 10
    assert ((counts - expected) ** 2 / expected).sum() < 33.7  # chi-square, 9 degrees of freedom, p = 1e-4
    repeats = np.mean([len(set(row)) < 20 for row in drawn])
    assert repeats == 1.0  # 20 draws of 10 rows must repeat
    assert not np.array_equal(drawn[:5], np.concatenate(list(minibatches(8, 10, 20, 5))))


def test_the_minibatch_loss_estimates_the_full_one():
    problem, seeds = gaussian(11, noise=0.8), range(400)
    out = simulate([problem] * 400, seeds, [CELLS[0]], iterations=1, record=(1,), batch=10, columns=("loss", "gap"))
    losses = out["loss"][0, :, 0]
    residual = problem.x @ problem.error0 - problem.noise
    full = 0.5 * np.mean(residual**2)
    assert abs(losses.mean() - full) < 4 * losses.std() / np.sqrt(400)
    np.testing.assert_allclose(out["gap"][0, 0, 0] + problem.optimal_loss(10), full, rtol=1e-12)


def test_hyperparameters_of_the_eigenbasis_are_numbers_or_one_for_each_b0():
    problem = np.array([4.0, 1.0]), np.array([0.1, 0.2])
    for method, hyper in (("sgd_decay_sqrt", {"c_s": [1.0, 2.0], "form": "root"}), ("adaloss", {"eta": [1, 2]})):
        found = simulate_eigenbasis(*problem, method, [1.0, 2.0], hyper, 3)
        for k in range(2):
            own = {name: value if name == "form" else value[k] for name, value in hyper.items()}
            alone = simulate_eigenbasis(*problem, method, [1.0 + k], own, 3)
            np.testing.assert_array_equal(found["s"][:, k], alone["s"][:, 0])
    with pytest.raises(ValueError, match=r"hyper eta.shape=\(3,\): should be \(\) or that of b0, \(1,\)"):
        simulate_eigenbasis(*problem, "adaloss", [1.0], {"eta": [1.0, 2.0, 3.0]}, 3)


def test_numbers_of_numpy_count_like_pythons():
    """255 iterations and one more are 0 in eight bits."""
    of = {"record": (255,), "batch": 5}
    expected = simulate([gaussian(1)], [1], CELLS[:1], iterations=255, **of)
    found = simulate([gaussian(1)], [1], CELLS[:1], iterations=np.uint8(255), **(of | {"batch": np.uint8(5)}))
    np.testing.assert_array_equal(found["loss"], expected["loss"])


def test_a_narrow_number_is_that_number_in_every_company():
    """np.float32's arithmetic would decide the step of a cell alone, and float64's that of the same one in a batch."""
    problem, narrow = Problem([[1.0, 0.5]], [0.0], [1.0, 1.0]), np.float32(0.2)
    cells = [Cell("sgd_decay_sqrt", 0.5, {"c_s": c_s}) for c_s in (narrow, float(narrow), np.float16(60000))]

    def step(*cells):
        return simulate([problem], [0], cells, iterations=5, record=[5])["step"][0, 0, 0]

    assert step(cells[0]) == step(cells[1]) == step(*cells)
    assert step(cells[2]) == pytest.approx(1 / (0.5 + 60000 * np.sqrt(5)), rel=1e-12)


def test_an_overflow_in_the_last_step_is_infinite_too():
    problem = Problem(1e3 * np.array([[1.0, 2.0], [3.0, -1.0]]), [0.0, 0.0], [1.0, 1.0])
    cells = [Cell("sgd_constant", 1.0, {"eta": 1e306})]
    assert simulate([problem], [0], cells, iterations=1, record=[1])["final_gap"] == np.inf


def test_a_rule_refuses_a_hyperparameter_it_does_not_have():
    with pytest.raises(TypeError, match="alpha"):
        simulate([gaussian(1)], [1], [Cell("sgd_constant", 1.0, {"alpha": 1.0})], iterations=1, record=(1,))
