"""Figure 3 and its readings on made-up runs: final returns, the sentences both ways, the files."""

import numpy as np
import pandas as pd
import pytest

from scripts import figure_3, figure_3_readings
from scripts.shared.output import Output
from tests.scripts.synthetic import about, draw_and_write, saved

B0 = (1, 200, 40000, 1000000)
FLAT = dict(zip(B0, (-300, -250, -240, -350), strict=True))
RISING = dict(zip(B0, (-1200, -900, -260, -230), strict=True))
FRAMES = [2048, 4096, 6144]


def cell(method, b0, seed, final, fed="joint", scale=1.0):
    """Three rollouts of two steps; episodes end in the last two, the first with -1200."""
    config = {"method": {"name": method}, "b0": b0, "seed": seed, "fed": fed, "reward_scale": scale}
    last = -1600.0 if final is None else float(final)
    history = {
        "iteration": range(1, 7),
        "frames": np.repeat(FRAMES, 2),
        "actor_b": np.linspace(b0, b0 + 1000, 6),
        "episode_return": [np.nan, np.nan, np.nan, -1200.0, np.nan, last],
    }
    return config, history, {"final_return": final}


def runs(root, curves, spread=20, seeds=3):
    cells = [
        cell(method, b0, seed, final and final + spread * (seed - 1))
        for method, curve in curves.items()
        for b0, final in curve.items()
        for seed in range(seeds)
    ]
    return saved(root, "figure_3", cells)


def messages(root, **curves):
    return figure_3.messages(figure_3.finals(runs(root, {"adam": RISING, "adamloss": FLAT} | curves)))


def test_means_ranges_and_what_is_drawn(tmp_path):
    found = runs(tmp_path, {"adam": RISING, "adamloss": FLAT})
    table = figure_3.finals(found).set_index(["method", "b0"])
    row = table.loc[("adamloss", 200)]
    assert (row.final, row.final_min, row.final_max, row.seeds, row["first"]) == (-250, -270, -230, 3, -1200)
    drawn = figure_3.over_seeds(figure_3.by_frames(found))
    assert len(drawn) == 2 * 4 * 2 and set(drawn.frames) == {4096, 6144}
    row = drawn[(drawn.method == "adam") & (drawn.b0 == 1) & (drawn.frames == 6144)].iloc[0]
    assert (row.episode_return, row.return_min, row.return_max, row.actor_b) == (-1200, -1220, -1180, 1001)


def test_the_sentences_hold_for_the_papers_shape(tmp_path):
    found = messages(tmp_path)
    assert len(found) == 7
    # to win: from -1200 to Adam's -230
    assert "11% of the 970" in about(found, "AdamLoss is very robust").evidence
    assert "100% of the 970" in about(found, "extremely sensitive").evidence
    holds = {message.sentence: message.holds for message in found}
    assert [sentence for sentence, held in holds.items() if not held] == [
        "AdamLoss does better when starting with eta_0 = 1/sqrt(200) (b0 = 200): its best b0 of all",
        "AdamLoss's best b0 is better than Adam's best (the paper does not say so)",
    ]


@pytest.mark.parametrize(
    ("changed", "words", "holds"),
    [
        ({"adamloss": FLAT | {1: -480}}, "AdamLoss is very robust", True),
        ({"adamloss": FLAT | {1: -490}}, "AdamLoss is very robust", False),
        ({"adamloss": FLAT | {1: None}}, "AdamLoss is very robust", False),
        ({"adam": FLAT | {1: -700}}, "extremely sensitive", False),
        ({"adam": FLAT | {1: -750}}, "extremely sensitive", True),
        ({"adam": FLAT | {1: None}}, "extremely sensitive", True),
        ({"adam": FLAT}, "(b0 = 200): better than Adam", False),
        ({"adamloss": FLAT | {40000: -270}}, "(b0 = 40000): better than Adam", False),
        ({"adamloss": FLAT | {40000: -270}}, "(b0 = 200): its best", True),
        ({"adamloss": FLAT | {40000: -270}}, "(b0 = 40000): its best", False),
        ({"adamloss": FLAT | {200: -220}}, "AdamLoss's best b0", True),
    ],
)
def test_a_sentence_turns_where_it_should(changed, words, holds, tmp_path):
    assert about(messages(tmp_path, **changed), words).holds is holds


def test_what_diverged_counts_as_the_lowest_return(tmp_path):
    table = figure_3.finals(runs(tmp_path, {"adam": RISING | {1: None}, "adamloss": FLAT}))
    assert table.set_index(["method", "b0"]).final["adam", 1] == -1600


def test_nothing_won_is_nothing_robust(tmp_path):
    curves = {name: dict.fromkeys(B0, -1250) for name in ("adam", "adamloss")}
    assert about(messages(tmp_path, **curves), "AdamLoss is very robust").holds is False


def test_the_files_of_figure_3(tmp_path, capsys):
    output = Output(tmp_path / "figures", "figure_3", runs(tmp_path / "runs", {"adam": RISING, "adamloss": FLAT}))
    draw_and_write(figure_3.draw, output)
    assert {file.name for file in output.folder.iterdir()} == {
        "figure_3.png", "figure_3.pdf", "figure_3.csv", "figure_3_final.csv", "figure_3_messages.csv",
    }  # fmt: skip
    assert capsys.readouterr().out.count("[holds]") == 5
    assert len(pd.read_csv(output.folder / "figure_3_final.csv", comment="#")) == 8


def test_the_four_panels(tmp_path):
    drawn = figure_3.over_seeds(figure_3.by_frames(runs(tmp_path, {"adam": RISING, "adamloss": FLAT})))
    fig = figure_3.figure(drawn)
    assert [ax.get_title() for ax in fig.axes][:2] == [r"$b_0$ = 1 ($\eta_0$ = 1)", r"$b_0$ = 200 ($\eta_0$ = 0.0707)"]
    for ax in fig.axes:
        assert [line.get_label() for line in ax.lines] == ["Adam", "AdamLoss"]
    assert fig.axes[0].lines[1].get_xydata()[-1].tolist() == [0.6144, -300]


def test_the_readings(tmp_path, capsys):
    curves = {("joint", 1.0): FLAT, ("own", 1.0): RISING, ("joint", 0.1): RISING, ("own", 0.1): RISING}
    cells = [
        cell("adamloss", b0, seed, final, fed, scale)
        for (fed, scale), curve in curves.items()
        for b0, final in curve.items()
        for seed in range(2)
    ]
    output = Output(tmp_path / "figures", "figure_3_readings", saved(tmp_path / "runs", "figure_3_readings", cells))
    draw_and_write(figure_3_readings.draw, output)
    found = figure_3_readings.messages(figure_3.finals(output.runs))
    assert [message.holds for message in found] == [True, False, False, False]
    assert found[1].problem == "each its own loss" and "-1200 from b0 = 1" in found[1].evidence
    assert "FAILS" in capsys.readouterr().out
    assert {file.name for file in output.folder.iterdir()} == {
        "figure_3_readings.png", "figure_3_readings.pdf", "figure_3_readings.csv", "figure_3_readings_final.csv",
        "figure_3_readings_messages.csv",
    }  # fmt: skip
