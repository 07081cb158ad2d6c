from functools import partial

import numpy as np
import pytest

from experiments.data import clusters, digits, near_orthogonal, sphere
from experiments.runs.schema import ConfigError, validated
from experiments.runs.store import Store
from scripts.figure_5 import measured, messages, over_seeds
from tests.experiments.launch import launch as launch_experiment
from tests.reference.gram import naive

MODULES = {"sphere": sphere, "digits": digits, "clusters": clusters, "near_orthogonal": near_orthogonal}


launch = partial(launch_experiment, experiment="gram")


def checked(name, **fields):
    return validated(MODULES[name].Config, {"name": name, **fields})


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """The sweep behind Figure 5."""
    root = tmp_path_factory.mktemp("gram")
    result = launch("sweep=figure_5", f"runs={root}")
    assert (result.returncode, result.stderr) == (0, "")
    return Store(root).load_sweep("figure_5")


def test_the_saved_numbers_are_those_of_the_definition(sweep):
    assert len(sweep) == 60
    for run in sweep:
        [row] = run.history.to_dict("records")
        if row["n"] > 400:
            continue
        x, _, checksum = MODULES[run.config["data"]["name"]].load(
            checked(**run.config["data"]), seed=run.config["seed"]
        )
        h, k = np.linalg.eigvalsh(naive(x)), np.linalg.svd(x, compute_uv=False) ** 2
        assert (row["n"], row["d"]) == x.shape and run.summary["data"] == checksum
        # the definition's diagonal is off by up to 1e-8, and the eigenvalues with it
        np.testing.assert_allclose([row["lambda_min"], row["lambda_max"]], h[[0, -1]], rtol=0, atol=5e-8)
        np.testing.assert_allclose(row["k_max"], k[0], rtol=1e-12)
        np.testing.assert_allclose(row["k_min"], k[-1] if row["n"] <= row["d"] else 0, rtol=0, atol=1e-12)
        assert max(row["residual_min"], row["residual_max"]) < 1e-14 * row["n"]
        ratio = row["n"] / row["d"]
        np.testing.assert_allclose(row["expected_max"], (2 + 2 * ratio**0.5 + ratio) / 4, rtol=1e-14)
        expected_min = (2 - 2 * ratio**0.5 + ratio) / 4 if ratio <= 1 else 0.25
        np.testing.assert_allclose(row["expected_min"], expected_min, rtol=1e-14)


def test_the_messages_of_figure_5(sweep):
    table = measured(sweep)
    drawn = over_seeds(table)
    assert [message.holds for message in messages(table, drawn)] == [True] * 6
    chosen = drawn[(drawn.data == "sphere") & (drawn.n == 800)].set_index("ratio")
    raw = table[(table.data == "sphere") & (table.n == 800) & (table.d == 5)].lambda_max
    assert chosen.lambda_max[160.0] == raw.median() and chosen.lambda_max_least[160.0] == raw.min()
    flat = table.assign(lambda_max=table.lambda_max.where(table.data != "sphere", 1.0))
    assert [m.holds for m in messages(flat, over_seeds(flat))] == [False, True, False, True, False, True]
    steep = table.assign(lambda_max=table.lambda_max * table.n, lambda_min=table.lambda_min / 2)
    assert [m.holds for m in messages(steep, over_seeds(steep))] == [True, False, False, False, False, False]


def test_one_by_one_and_lists_are_the_same_runs(tmp_path):
    first = launch("data=sphere", "data.n=30", "data.d=7", "seed=[0,1]", f"runs={tmp_path}")
    assert "0 of 2 were complete, 2 made" in first.stdout, first.stderr
    again = launch("-m", "data=sphere", "data.n=30", "data.d=7", "seed=0,1,2", f"runs={tmp_path}")
    assert "3 runs in 3 jobs, 1 to make" in again.stdout, again.stderr
    assert {folder.name.rpartition("-")[0] for folder in tmp_path.glob("gram/*")} == {
        f"sphere_n=30_d=7_seed={seed}" for seed in (0, 1, 2)
    }


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["data=gaussian"], "error: data='gaussian': allowed are sphere, near_orthogonal, clusters, digits"),
        (["data=digits", "data.n=1798"], "error: data.n=1798: input should be less than or equal to 1797"),
        (["data=near_orthogonal", "data.n=201"], "error: data.n=201: should be at most data.d=200 (orthogonal rows)"),
        (["data.d=0"], "error: data.d=0: input should be greater than or equal to 1"),
        (["b0=1"], "error: b0=1: no such field; allowed are alpha, data, decay, runs, scale, seed, sweep"),
    ],
)
def test_wrong_configurations_end_with_one_line(args, line, tmp_path):
    result = launch(*args, f"runs={tmp_path / 'runs'}")
    assert (result.returncode, result.stderr.strip()) == (2, line)
    assert not (tmp_path / "runs").exists()


SETS = [
    ("sphere", {"n": 40, "d": 9}),
    ("digits", {"n": 40}),
    ("clusters", {"n": 41, "d": 9, "spread": 0.01}),
    ("near_orthogonal", {"n": 40, "d": 60, "noise": 0.01}),
]


@pytest.mark.parametrize(("name", "fields"), SETS)
def test_rows_have_length_one_and_labels_are_of_order_one(name, fields):
    x, y, checksum = MODULES[name].load(checked(name, **fields), 3)
    again = MODULES[name].load(checked(name, **fields), 3)
    other = MODULES[name].load(checked(name, **fields), 4)
    assert np.array_equal(again[0], x) and np.array_equal(again[1], y) and again[2] == checksum != other[2]
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-15)
    assert y.shape == (len(x),) and np.abs(y).max() <= 1 and len(np.unique(y)) > 1


def test_what_the_data_sets_are():
    x, _, _ = near_orthogonal.load(checked("near_orthogonal", n=40, d=60, noise=0.0), 0)
    np.testing.assert_allclose(x @ x.T, np.eye(40), atol=1e-14)
    x, _, _ = clusters.load(checked("clusters", n=40, d=60, spread=0.1), 0)
    k = x @ x.T
    assert min(k[::2, ::2].min(), k[1::2, 1::2].min()) > 0.98 and np.abs(k[::2, 1::2]).max() < 0.6
    from sklearn.datasets import load_digits

    x, y, _ = digits.load(checked("digits", n=1797), 0)
    images, labels = load_digits(return_X_y=True)
    order = np.lexsort(x.T), np.lexsort((images / np.linalg.norm(images, axis=1, keepdims=True)).T)
    np.testing.assert_array_equal((9 * y + 9).round()[order[0]] / 2, labels[order[1]])
    with pytest.raises(ConfigError, match="spread=0"):
        checked("clusters", n=4, d=4, spread=0)
