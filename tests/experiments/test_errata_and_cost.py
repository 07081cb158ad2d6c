"""The sweeps that claims need and no figure: counterexamples as runs, and times measured side by side."""

import numpy as np
import pandas as pd

from adaloss.theory.errata import ERRATA
from experiments.cost import Cost
from experiments.runs.schema import validated
from experiments.runs.store import Store
from tests.experiments.launch import launch

MODEL = {"name": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 2, "layer_scale": False, "pooling": "token"}
SMALL = {"model": MODEL, "size": 8, "classes": 3, "batch": 2}
SMALL |= {"steps": 2, "turns": 3, "seed": 0}
PARTS = {"gradient", "sgd_constant", "adaloss", "adagrad_norm", "adagrad_norm_rowwise"}


def test_a_run_is_what_its_counterexample_computes(tmp_path):
    result = launch("sweep=errata", f"runs={tmp_path}", experiment="errata")
    assert (result.returncode, result.stderr) == (0, "")
    runs = Store(tmp_path).load_sweep("errata")
    assert [run.config for run in runs] == [{"number": number} for number in ERRATA]
    for run in runs:
        [row] = run.history.to_dict("records")
        assert row == ERRATA[run.config["number"]](), run.path.name


def test_times_of_all_parts_in_every_turn(tmp_path):
    small = [f"model.{name}={value}" for name, value in SMALL["model"].items()]
    small += [f"{name}={value}" for name, value in SMALL.items() if name != "model"]
    result = launch("sweep=cost", "sweep.name=small", *small, f"runs={tmp_path}", experiment="cost")
    assert (result.returncode, result.stderr) == (0, "")
    [run] = Store(tmp_path).load_sweep("small")
    assert run.history.groupby("turn").part.agg(set).to_dict() == dict.fromkeys((1, 2, 3), PARTS)
    assert (run.history.seconds > 0).all() and run.config == SMALL
    # patches and positions, one block of four matrices and two norms, last norm, head
    block = 16 * 48 + 48 + 16 * 16 + 16 + 2 * 16 * 64 + 64 + 16 + 4 * 16
    total = 16 + 5 * 16 + 16 * 3 * 4 * 4 + 16 + block + 2 * 16 + 3 * 16 + 3
    assert run.summary["result"] == {"parameters": total, "tensors": 4 + 12 + 2 + 2}


def test_an_order_is_drawn_for_every_turn():
    cost = validated(Cost, SMALL | {"turns": 6})
    [made] = cost.execute(cost.runs(), lambda it, **_: it)
    orders = {tuple(part) for _, part in made.history.groupby("turn").part}
    assert made.status == "completed" and len(orders) > 1
    rng = np.random.default_rng(0)
    names = ["gradient", "sgd_constant", "adaloss", "adagrad_norm", "adagrad_norm_rowwise"]
    drawn = [rng.permutation(names) for _ in range(7)][1:]
    expected = pd.Series(np.concatenate(drawn), name="part")
    pd.testing.assert_series_equal(made.history.part, expected, check_dtype=False)
