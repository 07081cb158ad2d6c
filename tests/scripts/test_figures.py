"""The figures of the smoke scale: what is drawn is what the runs say, and the same runs give the same bytes."""

import numpy as np
import pandas as pd
import pytest

from adaloss.simulate.eigenbasis import simulate_eigenbasis
from adaloss.simulate.linear_regression import Cell
from experiments.data import diabetes, gaussian
from experiments.runs.store import Store
from scripts import figure_burn_in, figure_c
from tests.experiments.launch import launch
from tests.reference.linear_regression import numpy_cell
from tests.scripts.synthetic import start

# Figure 1 of one problem; its list of runs has a name, and a folder, of its own
SWEEPS = {"figure_1": ("-m", "data.d=100", "data.w_star=unit"), "figure_c": ()}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    root = tmp_path_factory.mktemp("smoke")
    for sweep, words in SWEEPS.items():
        result = launch(*words, f"sweep={sweep}", "scale=smoke", f"runs={root / 'runs'}")
        assert result.returncode == 0, result.stderr
    for name in Store(root / "runs").sweeps():
        with pytest.MonkeyPatch.context() as patch:
            start(
                name.partition("-")[0], patch, "--sweep", name, "--runs", root / "runs", "--figures", root / "figures"
            )
    return root


def table(smoke, name):
    folder = next((smoke / "figures").glob("figure_1-*")) if name.startswith("figure_1") else smoke / "figures"
    return pd.read_csv(folder / f"{name}.csv", comment="#")


def test_the_same_runs_give_the_same_bytes(smoke, tmp_path, monkeypatch):
    start("figure_c", monkeypatch, "--runs", smoke / "runs", "--figures", tmp_path)
    files = sorted(tmp_path.iterdir())
    assert {file.suffix for file in files} == {".png", ".pdf", ".csv"}
    for file in files:
        assert file.read_bytes() == (smoke / "figures" / file.name).read_bytes(), file.name


def test_figure_1_shows_every_cell_and_hides_no_divergence(smoke):
    drawn = table(smoke, "figure_1_unit")
    assert len(drawn) == 4 * 8 * 3  # methods, b0, windows
    assert (drawn.seeds == 2).all()
    last = drawn[(drawn.window == "[4901, 5000]") & (drawn.method == "sgd_constant") & (drawn.b0 < drawn.critical_b0)]
    assert (last.diverged == 2).all() and np.isinf(last.loss).all()
    assert (drawn[drawn.method.isin(["adaloss", "adagrad_norm"])].diverged == 0).all()


@pytest.mark.parametrize(("method", "b0"), [("adaloss", 0.01), ("adagrad_norm", 10.0), ("sgd_decay_sqrt", 100.0)])
def test_figure_1_draws_what_a_plain_loop_computes(method, b0, smoke):
    own = {"adaloss": {"alpha": 2.0, "c": 0.0}, "sgd_decay_sqrt": {"c_s": 0.2, "form": "linear"}}
    hyper = {"eta": 1.0} | own.get(method, {})
    config = gaussian.Config(name="gaussian", n=1000, d=100, w_star="unit")
    cell = Cell(method, b0, hyper)
    loops = [numpy_cell(gaussian.load(config, seed)[0], seed, cell, iterations=1000, batch=20) for seed in (0, 1)]
    drawn = table(smoke, "figure_1_unit").query("w_star == 'unit' and d == 100 and method == @method and b0 == @b0")
    for first, last in ((101, 200), (991, 1000)):
        row = drawn[drawn.window == f"[{first}, {last}]"].iloc[0]
        losses, steps = (np.array([loop[k][first - 1 : last].mean() for loop in loops]) for k in (0, 1))
        np.testing.assert_allclose([row.loss_min, row.loss_max], [losses.min(), losses.max()], rtol=1e-9)
        np.testing.assert_allclose([row.loss, row.step], [np.median(losses), np.median(steps)], rtol=1e-9)


def test_burn_in_is_equation_7(made):
    drawn = pd.read_csv(made / "figures/figure_burn_in.csv", comment="#")
    eigenvalues = np.array([100.0, 30.0, 10.0, 3.0, 1.0])
    hyper = {"adaloss": {"alpha": 2.0}, "adagrad_norm": {}}
    for (method, b0), curve in drawn.groupby(["method", "b0"]):
        exact = simulate_eigenbasis(eigenvalues, np.full(5, 1e-8), method, [b0], hyper[method], 1000)
        step, errors = exact["step"][:, 0], exact["s"][:, 0]
        seen = curve.iteration.to_numpy() - 1
        np.testing.assert_allclose(curve.b_ratio, 1 / (100.0 * step[seen]), rtol=1e-10)
        assert set(curve.exit_index) == {int(np.argmax(1 / step >= 50.0))}
        peak = np.maximum.accumulate(errors.max(axis=1))
        got = curve[[f"s_{i}" for i in range(1, 6)]].to_numpy()
        assert np.all(np.abs(got - errors[seen]) <= 1e-10 * peak[seen, None])
    assert pd.read_csv(made / "figures/figure_burn_in_messages.csv", comment="#").holds.all()
    bent = drawn.copy()
    bent.loc[bent.iteration == 3, "s_1"] /= 1e6  # shrinks while b is small: against equation (7)
    assert not any(m.holds for m in figure_burn_in.messages(bent, eigenvalues.tolist()))


def test_figure_c_follows_the_runs(smoke):
    drawn = table(smoke, "figure_c")
    assert set(drawn.c_over_f_star) == {0.0, 0.5, 1.0, 2.0} and set(drawn.setting) == set(figure_c.SETTINGS)
    # b with c = 0 from the recurrence on the full gradient in the eigenbasis of the real data.
    problem, _ = diabetes.load(diabetes.Config(name="diabetes"), 0)
    eigenvalues, v = np.linalg.eigh(problem.hessian(None))
    f_star = problem.optimal_loss(None)
    for c in (0.0, 1.0, 2.0):
        hyper = {"alpha": 2.0, "c": c * f_star}
        exact = simulate_eigenbasis(eigenvalues, (v.T @ problem.error0) ** 2, "adaloss", [10.0], hyper, 2000, f_star)
        curve = drawn[(drawn.setting == "full gradient") & (drawn.c_over_f_star == c) & (drawn.b0 == 10.0)]
        np.testing.assert_allclose(curve.b, 1 / exact["step"][curve.iteration - 1, 0], rtol=1e-8)
        gap = exact["loss"][curve.iteration - 1, 0] - f_star
        np.testing.assert_allclose(curve.gap, gap, rtol=1e-6, atol=1e-9 * f_star)
