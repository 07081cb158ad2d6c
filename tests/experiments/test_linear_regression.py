import os
import shutil

import numpy as np
import pandas as pd
import pytest

from adaloss.simulate.linear_regression import Cell
from experiments.data import gaussian
from experiments.runs.store import Store
from tests.experiments.launch import content, launch, made
from tests.reference.linear_regression import numpy_cell

pytestmark = pytest.mark.usefixtures("warm")
SHORT = ("iterations=300", "record.windows=[[101,110]]")


HARM = {
    "deleted": shutil.rmtree,
    "a file in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("in the way")),
    "half of the history": lambda folder: os.truncate(folder / "history.parquet", 500),
    "an empty summary": lambda folder: (folder / "summary.json").write_text(""),
    "a file of somebody's": lambda folder: (folder / "remark.txt").write_text("mine"),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_run_that_was_harmed_alone_is_made_again(harm, tmp_path):
    arguments = ("-m", "method=adaloss,sgd_constant", "b0=[0.1,1]", *SHORT, f"runs={tmp_path}")
    assert made(launch(*arguments)) == 4
    before = content(tmp_path)
    victim = tmp_path / sorted(before)[3]
    stamps = {folder: (folder / "summary.json").stat().st_mtime_ns for folder in tmp_path.glob("linear_regression/*")}
    HARM[harm](victim)
    whole = harm == "a file of somebody's"
    assert made(launch(*arguments)) == (not whole)
    assert content(tmp_path) == before and (victim / "remark.txt").exists() == whole
    for folder, stamp in stamps.items():
        assert (folder == victim and not whole) == ((folder / "summary.json").stat().st_mtime_ns != stamp)


OWN = {"adaloss": {"alpha": 2.0, "c": 0.0}, "sgd_decay_sqrt": {"c_s": 0.2, "form": "linear"}}


@pytest.mark.parametrize(("method", "b0"), [("adaloss", 0.01), ("adagrad_norm", 10.0), ("sgd_decay_sqrt", 100.0)])
def test_a_run_is_what_a_plain_loop_computes(method, b0, tmp_path):
    words = (f"method={method}", f"b0={b0}", "seed=1", "data.d=100", "data.w_star=unit", "decay=linear", *SHORT)
    assert made(launch(*words, f"runs={tmp_path}")) == 1
    [folder] = Store(tmp_path).folders()
    history = Store(tmp_path).load(folder).history
    problem, _ = gaussian.load(gaussian.Config(name="gaussian", n=1000, d=100, w_star="unit"), 1)
    cell = Cell(method, b0, {"eta": 1.0} | OWN.get(method, {}))
    losses, steps = numpy_cell(problem, 1, cell, iterations=300, batch=20)
    assert set(history.iteration) > set(range(101, 111))
    np.testing.assert_allclose(history.loss, losses[history.iteration - 1], rtol=1e-9)
    np.testing.assert_allclose(history.step, steps[history.iteration - 1], rtol=1e-9)


def test_a_changed_value_makes_only_the_runs_that_depend_on_it(tmp_path):
    base = ("-m", "method=adaloss,sgd_constant", "b0=[1,10]", *SHORT, f"runs={tmp_path}")
    assert made(launch(*base)) == 4
    assert made(launch(*base, "alpha=1.0")) == 2  # SGD has no alpha
    assert made(launch(*base, "eta=0.5")) == 4
    assert made(launch(*base)) == 0


def test_divergence_is_a_result(tmp_path):
    words = ("method=sgd_constant", "b0=0.01", "iterations=500", f"runs={tmp_path}")
    assert made(launch(*words)) == 1
    [(config, _, status, results)] = content(tmp_path).values()
    assert (status, results["final_gap"], config["b0"]) == ("diverged", None, 0.01)
    assert made(launch(*words)) == 0  # diverged is complete


def test_c_in_units_of_f_star(tmp_path):
    common = ("data=diabetes", "batch=null", "iterations=50", f"runs={tmp_path}", "b0=10")
    assert made(launch(*common, "method.c=0.5", "method.c_unit=f_star")) == 1
    [(_, _, _, results)] = content(tmp_path).values()
    f_star = results["f_star"]
    assert made(launch(*common, f"method.c={0.5 * f_star!r}")) == 1
    first, second = (pd.read_parquet(p) for p in tmp_path.glob("*/*/history.parquet"))
    np.testing.assert_allclose(second, first, rtol=1e-12)
    # f* itself: least squares by the normal equations on the standardised data.
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()
    w = np.linalg.solve(x.T @ x, x.T @ y)
    np.testing.assert_allclose(f_star, 0.5 * np.sum((x @ w - y) ** 2), rtol=1e-12)
