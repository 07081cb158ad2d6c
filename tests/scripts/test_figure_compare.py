"""The comparison's figure: widths of constructed curves, messages that follow the table, and the smoke scale drawn."""

import numpy as np
import pandas as pd
import pytest

from experiments.compare import peers
from experiments.methods import METHODS
from experiments.runs.store import Store
from scripts import figure_compare as figure
from tests.experiments.launch import launch
from tests.scripts.synthetic import start

COMPARED = {name: peer for name, peer in peers.PEERS.items() if not peer.looks}
PROBLEMS = ("digits_mlp", "noisy_regression")
STEPS = [1e-3, 1e-2, 1e-1, 1.0, 10.0]


def drawn(curves, metric, steps=STEPS):
    rows = [
        {
            "problem": "one",
            "metric": metric,
            "optimizer": optimizer,
            "package": "some 1.0",
            "step": step,
            "seeds": 2,
            "diverged": int(not np.isfinite(value)),
            "value": value,
            "value_min": value,
            "value_max": value,
            "optimal_loss": np.nan,
        }
        for optimizer, values in curves.items()
        for step, value in zip(steps, values, strict=True)
    ]
    return pd.DataFrame(rows)


def measured(values, metric, other=None):
    curves = {"adaloss": values} | ({} if other is None else {"sgd": other})
    return figure.widths(drawn(curves, metric)).set_index("optimizer").loc["adaloss"]


def test_accuracy_is_interpolated_between_the_last_good_value_and_the_next():
    row = measured([0.5, 0.94, 0.95, 0.945, 0.905], "accuracy")
    # left: 0.94 is good just so; right: from 0.945 at 1 to 0.905 at 10, 0.94 lies at an eighth of the way
    assert (row.best, row.best_step, row.points_own) == (0.95, 0.1, 3)
    assert row.width_own == pytest.approx(2.125)
    assert (row.from_own, row.to_own) == (pytest.approx(1e-2), pytest.approx(10**0.125))
    assert not row.open_own and not row.open_overall and row.width_overall == row.width_own


def test_a_loss_is_interpolated_in_its_logarithm():
    row = measured([8.0, 1.0, 1.5, np.inf, 1.0], "loss")
    # left: from 1 to 8 in a decade, 2 lies at a third; right: infinite beyond 0.1
    assert row.width_own == pytest.approx(1 / 3 + 1)
    assert row.to_own == pytest.approx(0.1) and row.points_own == 2
    assert (row.diverged, row.trainings) == (1, 10)


def test_a_gap_ends_the_interval_and_equal_bests_take_the_widest():
    assert measured([0.9, 0.5, 0.9, 0.9, 0.9], "accuracy").points_own == 3
    assert measured([0.9, 0.9, 0.9, 0.5, 0.9], "accuracy").points_own == 3
    assert measured([0.9, 0.9, 0.5, 0.9, 0.91], "accuracy").points_own == 2  # around the best alone


def test_the_grids_end_leaves_it_open():
    row = measured([1.0, 1.0, 1.0, 1.0, 1.0], "loss")
    assert (row.width_own, row.points_own, row.open_own) == (4, 5, True)
    row = measured([1.0, 1.0, 9.0, 9.0, 9.0], "loss")
    assert row.open_own and row.width_own < 2 and row.from_own == pytest.approx(1e-3)


def test_what_is_wide_but_bad_has_no_overall_width():
    row = measured([0.3, 0.3, 0.3, 0.3, 0.3], "accuracy", other=[0.1, 0.1, 0.9, 0.1, 0.1])
    assert (row.width_own, row.width_overall, row.points_overall) == (4, 0, 0) and not row.open_overall
    row = measured([4.0, 4.0, 1.9, 1.8, 4.0], "loss", other=[9.0, 9.0, 1.0, 9.0, 9.0])
    assert row.points_own == 2 and 1 < row.width_overall < row.width_own and row.points_overall == 2
    row = measured([np.inf] * 5, "loss")
    assert (row.width_own, row.width_overall, row.points_own) == (0, 0, 0)


def test_halving_the_grid_keeps_a_width_that_is_linear():
    fine, coarse = np.linspace(-3, 1, 17), np.linspace(-3, 1, 5)

    def height(x):
        return np.abs(x + 1)

    limit = 0.7
    for x in (fine, coarse):
        low, high, _ = figure.interval(x, height(x), limit)
        assert (low, high) == (pytest.approx(-1.7), pytest.approx(-0.3))


def full(of_ours, of_others):
    names = [name for family in figure.FAMILIES.values() for name in family]
    curves = {name: of_ours if name in ("adaloss", "adamloss") else of_others for name in names}
    return figure.widths(drawn(curves, "accuracy"))


def test_the_messages_follow_the_table():
    wide, narrow = [0.9] * 5, [0.1, 0.1, 0.9, 0.1, 0.1]
    assert [m.holds for m in figure.messages(full(wide, narrow))] == [True] * 8
    assert [m.holds for m in figure.messages(full(narrow, wide))] == [False] * 8
    assert [m.holds for m in figure.messages(full(wide, wide))] == [False, True] * 4
    poor = [0.5] * 5
    assert [m.holds for m in figure.messages(full(poor, narrow))] == [True, True, False, False] * 2


def test_every_optimizer_is_drawn():
    assert {name for family in figure.FAMILIES.values() for name in family} == set(COMPARED)
    assert set(figure.OURS) == {name for name, peer in COMPARED.items() if peer.package == "adaloss"}
    for family in figure.FAMILIES.values():
        assert len({color for _, color, _ in family.values()}) == len({m for *_, m in family.values()}) == len(family)
        assert all(look == METHODS[name] for name, look in family.items() if name in METHODS)
    assert len({look.color for look in METHODS.values()}) == len(METHODS)


def test_the_markdown_says_what_the_table_says():
    text = figure.markdown(full([0.9] * 5, [0.1, 0.1, 0.95, 0.1, 0.1]))
    lines = text.splitlines()
    assert lines[0] == "### one: final accuracy"
    assert "| **AdaLoss** | 90.0% | 0.001 | ≥ 4.0 | 0.0 | 0 of 10 |" in lines
    assert "| SGD | 95.0% | 0.1 | 0.0 | 0.0 | 0 of 10 |" in lines
    assert len([line for line in lines if " of 10 |" in line]) == len(COMPARED)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The whole way at the smallest scale, on two of the four problems."""
    root = tmp_path_factory.mktemp("compare")
    words = ("sweep=figure_compare", "scale=smoke", f"hydra.sweeper.params.problem='{','.join(PROBLEMS)}'")
    result = launch(*words, f"runs={root / 'runs'}", experiment="compare")
    assert (result.returncode, result.stderr) == (0, "")
    [name] = Store(root / "runs").sweeps()  # no sweep of all problems, so it has a name of its own
    with pytest.MonkeyPatch.context() as patch:
        for figures in ("one", "two"):
            where = ("--runs", root / "runs", "--figures", root / figures)
            start("figure_compare", patch, "--sweep", name, *where)
            (root / figures / name).rename(root / f"{figures}_files")
    return root


def test_the_smoke_scale_is_drawn_from_every_run_and_alike_twice(smoke):
    files = {file.name: file.read_bytes() for file in (smoke / "one_files").iterdir()}
    assert set(files) == {
        *(f"figure_compare.{kind}" for kind in ("png", "pdf", "csv")),
        *(f"figure_compare_widths.{kind}" for kind in ("csv", "md")),
        "figure_compare_messages.csv",
    }
    assert files == {file.name: file.read_bytes() for file in (smoke / "two_files").iterdir()}
    curves = pd.read_csv(smoke / "one_files/figure_compare.csv", comment="#")
    assert len(curves) == len(PROBLEMS) * len(COMPARED) * 3  # problems, optimizers, steps
    assert (curves.seeds == 1).all() and (curves.value_min == curves.value).all()
    table = pd.read_csv(smoke / "one_files/figure_compare_widths.csv", comment="#")
    assert len(table) == len(PROBLEMS) * len(COMPARED)
    for row in table.itertuples():
        curve = curves[(curves.problem == row.problem) & (curves.optimizer == row.optimizer)]
        assert row.best == (curve.value.max() if row.metric == "accuracy" else curve.value.min())
