"""Figure 3 and its readings on made-up runs: final returns, what is drawn, the sentences both ways."""

import numpy as np
import pytest

from scripts import figure_3, figure_3_readings
from scripts.claims.sentences import messages as decided_by
from scripts.figure_3 import ROBUST_SENTENCE as ROBUST
from tests.scripts.synthetic import about, only_fail, saved

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


def runs(root, spread=20, seeds=3, **curves):
    cells = [
        cell(method, b0, seed, final and final + spread * (seed - 1))
        for method, curve in ({"adam": RISING, "adamloss": FLAT} | curves).items()
        for b0, final in curve.items()
        for seed in range(seeds)
    ]
    return saved(root, "figure_3", cells)


def readings(root, own=FLAT):
    """Each reading robust, but for each its own loss, with the rewards as they are, which ends as ``own``."""
    cells = [
        cell("adamloss", b0, seed, final, fed, scale)
        for fed in ("joint", "own")
        for scale in (1.0, 0.1)
        for b0, final in (own if (fed, scale) == ("own", 1.0) else FLAT).items()
        for seed in range(3)
    ]
    return saved(root, "figure_3_readings", cells)


def messages(**curves):
    return figure_3.messages(runs(None, **curves))


ITS_BEST, BEST = "(b0 = 200): its best", "AdamLoss's best b0"  # fail for the paper's shape


def test_means_ranges_and_what_is_drawn():
    found = runs(None)
    table = figure_3.finals(found).set_index(["method", "b0"])
    row = table.loc[("adamloss", 200)]
    assert (row.final, row.final_min, row.final_max, row.seeds, row["first"]) == (-250, -270, -230, 3, -1200)
    drawn = figure_3.over_seeds(figure_3.by_frames(found))
    assert len(drawn) == 2 * 4 * 2 and set(drawn.frames) == {4096, 6144}
    row = drawn[(drawn.method == "adam") & (drawn.b0 == 1) & (drawn.frames == 6144)].iloc[0]
    assert (row.episode_return, row.return_min, row.return_max, row.actor_b) == (-1200, -1220, -1180, 1001)


def test_the_sentences_hold_for_the_papers_shape():
    found = messages()
    assert len(found) == 7
    # to win: from -1200 to Adam's -230
    assert about(found, "AdamLoss is very robust").evidence.endswith("3 seeds: 0.113 [0.113, 0.113]")
    assert about(found, "extremely sensitive").evidence.endswith("3 seeds: 1 [1, 1]")
    assert only_fail(found, ITS_BEST, BEST)


@pytest.mark.parametrize(
    ("changed", "fails"),
    [
        ({"adamloss": FLAT | {1: -480}}, [ITS_BEST, BEST]),
        ({"adamloss": FLAT | {1: -490}}, [ITS_BEST, BEST, "AdamLoss is very robust"]),
        ({"adamloss": FLAT | {1: None}}, [ITS_BEST, BEST, "AdamLoss is very robust"]),
        ({"adam": FLAT | {1: -700}}, ["extremely sensitive", ITS_BEST, BEST]),
        ({"adam": FLAT | {1: -750}}, [ITS_BEST, BEST]),
        ({"adam": FLAT | {1: None}}, [ITS_BEST, BEST]),
        ({"adamloss": FLAT | {40000: -270}}, ["(b0 = 40000): better than Adam", "(b0 = 40000): its best", BEST]),
        ({"adamloss": FLAT | {200: -220}}, ["(b0 = 40000): its best"]),
        # nothing is won; equal returns are as good as better
        (dict.fromkeys(("adam", "adamloss"), dict.fromkeys(B0, -1250)), ["very robust", "extremely sensitive", BEST]),
    ],
)
def test_a_sentence_turns_where_it_should(changed, fails):
    assert only_fail(messages(**changed), *fails)


def test_what_diverged_counts_as_the_lowest_return():
    table = figure_3.finals(runs(None, adam=RISING | {1: None}))
    assert table.set_index(["method", "b0"]).final["adam", 1] == -1600


def test_the_readings():
    found = {m.problem: m.holds for m in decided_by(figure_3_readings.problems(readings(None, RISING)), [ROBUST])}
    assert found == {label: label != "each its own loss" for label, *_ in figure_3_readings.READINGS.values()}
