"""The comparison's figure: widths of constructed curves, messages that follow the table, and the smoke scale drawn."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from experiments.compare import peers
from experiments.methods import METHODS
from scripts import figure_compare as figure
from tests.scripts.synthetic import saved

STEPS = [1e-3, 1e-2, 1e-1, 1.0, 10.0]


def drawn(curves, metric):
    """Curves over the steps as the figure's table has them."""
    rows = [(name, step, value) for name, values in curves.items() for step, value in zip(STEPS, values, strict=True)]
    table = pd.DataFrame(rows, columns=["optimizer", "step", "value"])
    same = {"problem": "one", "metric": metric, "package": "some 1.0", "seeds": 2, "optimal_loss": np.nan}
    return table.assign(**same, diverged=1 - np.isfinite(table.value), value_min=table.value, value_max=table.value)


METRICS = {"digits_mlp": "accuracy", "noisy_regression": "loss"}


def runs(root, problems=METRICS, seeds=(0, 1)):
    """Every optimizer; what diverged has no final value."""
    cells = []
    for problem, (k, (optimizer, peer)), step, seed in product(problems, enumerate(peers.PEERS.items()), STEPS, seeds):
        lost = METRICS[problem] == "loss" and step > 1
        final = None if lost else 1 / (2 + k + abs(np.log10(step)) + seed)
        config = {"problem": {"name": problem}, "optimizer": optimizer, "step": step, "seed": seed}
        result = {"metric": METRICS[problem], "final": final, "package": peer.package}
        cells.append((config, {"epoch": [1]}, result))
    return saved(root, "figure_compare", cells)


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


def test_a_known_lr_is_that_of_the_other_optimizers_best():
    curves = {"sgd": [5.0, 3.0, 2.0, 1.0, 9.0], "adam": [5.0, 1.0, 2.0, 3.0, 9.0]}
    curves |= {"adaloss_like": [0.1, 0.1, 0.1, 1.04, 0.1], "adamloss_like": [0.1, 1.06, 0.1, 0.1, 0.1]}
    first, second = figure.known_lr(drawn(curves, "loss"))
    assert (
        (first.holds, second.holds) == (True, False) and "lr 1: " in first.evidence and "lr 0.01: " in second.evidence
    )
    percent = {name: [1 - value / 100 for value in curve] for name, curve in curves.items()}
    assert [m.holds for m in figure.known_lr(drawn(percent, "accuracy"))] == [True, True]  # 0.06 of a point


def test_every_optimizer_is_drawn():
    assert {name for family in figure.FAMILIES.values() for name in family} == set(peers.PEERS)
    assert set(figure.OURS) == {name for name, peer in peers.PEERS.items() if peer.package == "adaloss"}
    for family in figure.FAMILIES.values():
        assert len({color for _, color, _ in family.values()}) == len({m for *_, m in family.values()}) == len(family)
        assert all(look == METHODS[name] for name, look in family.items() if name in METHODS)
    assert len({look.color for look in METHODS.values()}) == len(METHODS)


def test_the_curves_and_the_table_are_the_runs():
    found = figure.over_seeds(runs(None))
    assert len(found) == 2 * len(peers.PEERS) * len(STEPS) and (found.seeds == 2).all()
    curves = found.set_index(["problem", "optimizer", "step"]).sort_index()
    k = [*peers.PEERS].index("sgd")
    row, ends = curves.loc["digits_mlp", "sgd", 0.1], (1 / (4 + k), 1 / (3 + k))
    assert (row.value_min, row.value_max, row.value) == pytest.approx((*ends, sum(ends) / 2))
    assert np.isinf(curves.loc["noisy_regression", "sgd", 10.0].value)
    table = figure.widths(found)
    assert len(table) == 2 * len(peers.PEERS)
    for row in table.itertuples():
        curve = curves.loc[row.problem, row.optimizer]
        assert row.best == (curve.value.max() if row.metric == "accuracy" else curve.value.min())
