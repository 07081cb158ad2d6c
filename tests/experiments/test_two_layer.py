import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem
from adaloss.theory.gram import h_infinity
from experiments.data import sphere
from experiments.two_layer import INIT_STREAM
from tests.experiments.launch import launch as launch_experiment
from tests.reference.two_layer import torch_cell

SMALL = ("data=sphere", "data.n=10", "data.d=12", "m=40", "iterations=40")


launch = partial(launch_experiment, experiment="two_layer")


def histories(root):
    return {f.parent.name: pd.read_parquet(f) for f in sorted(root.glob("two_layer/*/history.parquet"))}


def results(root):
    return [json.loads(file.read_text()) for file in sorted(root.glob("two_layer/*/summary.json"))]


@pytest.mark.parametrize("batch", ["4", "null"])
def test_a_run_is_what_torch_computes(batch, tmp_path):
    result = launch(*SMALL, f"batch={batch}", "b0=0.5", "seed=3", f"runs={tmp_path}")
    assert (result.returncode, result.stderr) == (0, "")
    x, y, _ = sphere.load(sphere.Config(name="sphere", n=10, d=12), 3)
    rng = np.random.default_rng([3, INIT_STREAM])
    problem = Problem(x, y, rng.normal(size=(40, 12)), rng.choice([-1.0, 1.0], size=40))
    cell = Cell("adaloss", 0.5, {"eta": 1.0, "alpha": 2.0, "c": 0.0})
    losses, steps, _ = torch_cell(problem, 3, cell, iterations=40, batch=None if batch == "null" else int(batch))
    [history] = histories(tmp_path).values()
    at = history.iteration.to_numpy() - 1
    np.testing.assert_allclose(history.loss, losses[at], rtol=1e-9)
    np.testing.assert_allclose(history.step, steps[at], rtol=1e-9)


def test_lists_in_one_job_are_the_same_runs_and_a_second_call_makes_nothing(tmp_path):
    methods = ("-m", *SMALL, "method=adaloss,adagrad_norm", "batch=4")
    single = launch(*methods, "b0=0.1,10", "seed=0,1", f"runs={tmp_path / 'one'}")
    listed = launch(*methods, "b0=[0.1,10]", "seed=[0,1]", f"runs={tmp_path / 'many'}")
    assert single.returncode == listed.returncode == 0, single.stderr + listed.stderr
    first, second = histories(tmp_path / "one"), histories(tmp_path / "many")
    assert first.keys() == second.keys() and len(first) == 8
    for name, history in first.items():
        pd.testing.assert_frame_equal(history, second[name], check_exact=True)
    again = launch(*methods, "b0=[0.1,10]", "seed=[0,1]", f"runs={tmp_path / 'many'}")
    assert "nothing to train" in again.stdout


def test_results_hold_what_the_theory_needs(tmp_path):
    columns = "record.columns=[loss,step,distance,distance_max,lambda_min,lambda_max,gram_change,flips,linear_loss]"
    # So wide and with so small a step that the network is almost its linearisation.
    size = ("data=sphere", "data.n=10", "data.d=12", "m=20000", "iterations=300", "b0=20")
    result = launch(*size, "eta_unit=gram", columns, f"runs={tmp_path}")
    assert (result.returncode, result.stderr) == (0, "")
    [summary], [history] = results(tmp_path), histories(tmp_path).values()
    x, _, _ = sphere.load(sphere.Config(name="sphere", n=10, d=12), 0)
    spectrum = np.linalg.eigvalsh(h_infinity(x))
    got = summary["result"]
    np.testing.assert_allclose([got["lambda_0"], got["lambda_1"]], spectrum[[0, -1]], rtol=1e-10)
    np.testing.assert_allclose(got["eta"], 1 / spectrum[-1], rtol=1e-10)
    np.testing.assert_allclose(history.loss, history.linear_loss, rtol=0.1)
    assert (got["eta"] / history.step <= got["b_bound"] * 1.05).all()
    assert history.distance.max() <= 1.05 * got["linear_distance"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("m=0",), "m=0: input should be greater than or equal to 1"),
        (("data=gaussian",), "data='gaussian': allowed are sphere, near_orthogonal, clusters, digits"),
        (("eta_unit=lambda",), "eta_unit='lambda': input should be 'absolute' or 'gram'"),
        (("method.c_unit=f_star",), "method.c_unit='f_star': should be absolute (f* is 0 for these networks)"),
        (
            ("batch=5", "record.columns=[linear_loss]"),
            "record.columns: linear_loss needs batch=null (the linearised network sees all points)",
        ),
    ],
)
def test_bad_input_is_one_line(words, line, tmp_path):
    result = launch(*words, f"runs={tmp_path / 'runs'}")
    assert (result.returncode, result.stderr.strip()) == (2, f"error: {line}")
    assert not (tmp_path / "runs").exists()
