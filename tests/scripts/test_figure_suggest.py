"""suggest() beside the defaults on made-up runs: which runs count, ties, the counts and the sentences."""

import numpy as np
import pytest

from scripts import figure_suggest
from tests.scripts.synthetic import about, saved

# problem -> (metric, optimizer) -> step -> final values of three seeds
VALUES = {
    "digits_mlp": {
        ("accuracy", "adaloss"): {0.1: [0.99] * 3, 1: [0.9, 0.9, 0.9], 10: [0.99] * 3},
        ("accuracy", "adaloss_suggested"): {0.1: [0.8] * 3, 1: [0.95, 0.9 + 1 / 600, 0.5], 10: [0.0] * 3},
    },
    "noisy_regression": {
        ("loss", "adamloss"): {0.1: [1.0, 1.0, None], 1: [1e-9] * 3, 10: [1e-9] * 3},
        ("loss", "adamloss_suggested"): {0.1: [2.0] * 3, 1: [0.5, 1.0005, 0.7], 10: [0.1, 0.7, None]},
    },
}


def runs(root):
    cells = [
        (
            {"problem": {"name": problem}, "optimizer": optimizer, "step": step, "seed": seed},
            {"epoch": [1]},
            {"metric": metric, "final": value},
        )
        for problem, curves in VALUES.items()
        for (metric, optimizer), of_step in curves.items()
        for step, values in of_step.items()
        for seed, value in enumerate(values)
    ]
    return saved(root, "figure_suggest", cells)


def test_only_defaults_and_suggestions_count():
    table = figure_suggest.by_run(runs(None)).set_index(["method", "start", "seed"]).sort_index()
    assert len(table) == 2 * 4 * 3
    assert list(table.loc[("adaloss", "default")].value) == [0.9, 0.9, 0.9]
    assert list(table.loc[("adamloss", "default")].value) == [1.0, 1.0, np.inf]
    assert list(table.loc[("adamloss", "suggested × 10")].value) == [0.1, 0.7, np.inf]


def test_the_counts_and_what_is_a_tie():
    counts = figure_suggest.counted(figure_suggest.by_run(runs(None))).set_index("method")
    ours = counts.loc["adaloss"]
    assert (ours["better than default"], ours["worse than default"]) == (1, 1)  # one image more is a tie
    assert (ours["better than suggested × 10"], ours["worse than suggested × 10"]) == (3, 0)
    ours = counts.loc["adamloss"]
    assert (ours["better than default"], ours["worse than default"]) == (2, 0)  # half a thousandth is a tie
    assert (ours["better than suggested × 10"], ours["worse than suggested × 10"]) == (1, 2)
    assert ours["suggested, mean"] == pytest.approx((0.5 + 1.0005 + 0.7) / 3)


def test_the_sentences():
    found = figure_suggest.messages(figure_suggest.counted(figure_suggest.by_run(runs(None))))
    held = {(message.problem, message.sentence.split("the start ")[1]): message.holds for message in found}
    assert held == {
        ("digits_mlp, AdaLoss", "default"): False,
        ("digits_mlp, AdaLoss", "suggested / 10"): True,
        ("digits_mlp, AdaLoss", "suggested × 10"): True,
        ("noisy_regression, AdamLoss", "default"): True,
        ("noisy_regression, AdamLoss", "suggested / 10"): True,
        ("noisy_regression, AdamLoss", "suggested × 10"): False,
    }
    assert "better in 2, worse in 0 of 3 trainings" in about(found[3:], "default").evidence
