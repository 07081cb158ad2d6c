import json

import numpy as np
import pandas as pd
import pytest

from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem
from adaloss.theory.gram import h_infinity
from experiments.data import sphere
from experiments.two_layer import INIT_STREAM
from tests.experiments.launch import launch
from tests.reference.two_layer import torch_cell


def made(root, *words):
    """The history and the results of one run."""
    done = launch("data=sphere", "data.n=10", "data.d=12", *words, f"runs={root}", experiment="two_layer")
    assert (done.returncode, done.stderr) == (0, "")
    [folder] = root.glob("two_layer/*")
    return pd.read_parquet(folder / "history.parquet"), json.loads((folder / "summary.json").read_text())["result"]


@pytest.mark.parametrize("batch", ["4", "null"])
def test_a_run_is_what_torch_computes(batch, tmp_path):
    history, _ = made(tmp_path, "m=40", "iterations=40", f"batch={batch}", "b0=0.5", "seed=3")
    x, y, _ = sphere.load(sphere.Config(name="sphere", n=10, d=12), 3)
    rng = np.random.default_rng([3, INIT_STREAM])
    problem = Problem(x, y, rng.normal(size=(40, 12)), rng.choice([-1.0, 1.0], size=40))
    cell = Cell("adaloss", 0.5, {"eta": 1.0, "alpha": 2.0, "c": 0.0})
    losses, steps, _ = torch_cell(problem, 3, cell, iterations=40, batch=None if batch == "null" else int(batch))
    at = history.iteration.to_numpy() - 1
    np.testing.assert_allclose(history.loss, losses[at], rtol=1e-9)
    np.testing.assert_allclose(history.step, steps[at], rtol=1e-9)


def test_results_hold_what_the_theory_needs(tmp_path):
    columns = "record.columns=[loss,step,distance,distance_max,lambda_min,lambda_max,gram_change,flips,linear_loss]"
    # So wide and with so small a step that the network is almost its linearisation.
    history, got = made(tmp_path, "m=20000", "iterations=300", "b0=20", "eta_unit=gram", columns)
    x, _, _ = sphere.load(sphere.Config(name="sphere", n=10, d=12), 0)
    spectrum = np.linalg.eigvalsh(h_infinity(x))
    np.testing.assert_allclose([got["lambda_0"], got["lambda_1"]], spectrum[[0, -1]], rtol=1e-10)
    np.testing.assert_allclose(got["eta"], 1 / spectrum[-1], rtol=1e-10)
    np.testing.assert_allclose(history.loss, history.linear_loss, rtol=0.1)
    assert (got["eta"] / history.step <= got["b_bound"] * 1.05).all()
    assert history.distance.max() <= 1.05 * got["linear_distance"]
