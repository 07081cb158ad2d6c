"""Figure 2 and its readings on made-up runs: final values, what is drawn, the sentences both ways."""

import numpy as np
import pytest

from scripts import figure_2, figure_2_overlap
from scripts.claims.sentences import messages as decided_by
from tests.scripts.synthetic import about, only_fail, saved

B0 = (0.1, 1, 400, 1000000)
FLAT = dict(zip(B0, (0.012, 0.010, 0.008, 0.001), strict=True))
FALLING = dict(zip(B0, (2.0, 0.8, 0.002, 0.03), strict=True))
GOOD = dict(zip(B0, (0.95, 0.96, 0.98, 0.97), strict=True))
POOR = dict(zip(B0, (0.55, 0.60, 0.97, 0.96), strict=True))


def cell(method, b0, seed, loss, accuracy, pooling="mean"):
    """Two epochs of two steps, the first with the loss of guessing."""
    config = {
        "method": {"name": method},
        "pooling": pooling,
        "b0": b0,
        "seed": seed,
        "data": {"name": "synthetic_news"},
    }
    history = {"iteration": [1, 2, 3, 4], "epoch": [1, 1, 2, 2], "step": [b0**-0.5] * 4}
    history |= {"train_loss": [np.nan, 0.69, np.nan, loss], "test_accuracy": [np.nan, 0.5, np.nan, accuracy]}
    return config, history, {"train_loss": loss, "test_accuracy": accuracy, "bag_of_words_accuracy": 0.75}


def cells(curves, pooling="mean", seeds=3):
    return [
        cell(method, b0, seed, losses[b0] * (1 + 0.01 * (seed - 1)), accuracies[b0] + 0.001 * (seed - 1), pooling)
        for method, (losses, accuracies) in curves.items()
        for b0 in B0
        for seed in range(seeds)
    ]


ADAM, BEST = "Adam's training loss is not robust", "AdamLoss's best b0"
PRINTED = {"adam": (FALLING, POOR), "adamloss": (FLAT, GOOD), "adam_sqrt": (FLAT, POOR)}


def runs(root, **curves):
    return saved(root, "figure_2", cells(PRINTED | curves))


def readings(root):
    """By the mean AdamLoss is robust, by the last state not."""
    kept = cells({"adamloss": (FLAT, GOOD)}) + cells({"adamloss": (FALLING, POOR)}, "last")
    return saved(root, "figure_2_readings", kept)


def overlapping(root):
    flat = dict(zip(B0, (0.4, 0.35, 0.3, 0.25), strict=True))
    return saved(root, "figure_2_overlap", cells({"adamloss": (flat, GOOD), "adam": (FALLING, POOR)}))


def messages(**curves):
    return figure_2.messages(figure_2.finals(runs(None, **curves)))


def test_final_values_and_what_is_drawn():
    found = runs(None)
    table = figure_2.finals(found).set_index(["method", "b0", "seed"])
    row = table.loc[("adam", 1, 2)]
    assert (row.train_loss, row.test_accuracy) == pytest.approx((0.808, 0.601)) and not row.diverged
    drawn = figure_2.over_seeds(figure_2.by_epoch(found))
    assert len(drawn) == 3 * 4 * 2 and (drawn.seeds == 3).all()
    row = drawn[(drawn.method == "adam") & (drawn.b0 == 1) & (drawn.epoch == 2)].iloc[0]
    assert (row.train_loss, row.train_loss_min, row.train_loss_max) == pytest.approx((0.8, 0.792, 0.808))
    assert (row.step, row.test_accuracy) == (1, pytest.approx(0.6))


def test_the_sentences_hold_for_the_papers_shape():
    found = messages()
    assert len(found) == 8 and all(message.holds is True for message in found)
    # 0.001 counts as log(2) / 100 = 0.00693
    assert about(found, "AdamLoss's training loss is robust: at most").evidence.startswith("factor, 3 seeds: 1.73 [")
    assert "2.88 [" in about(found, "Adam's training loss is not robust: its").evidence
    assert "19.5 [19.5, 19.5]" in about(found, "than Adam, in the mean").evidence  # 40, 36, 1 and 1 points


FACTOR = "AdamLoss's training loss is robust: at most"


@pytest.mark.parametrize(
    ("changed", "fails"),
    [
        ({"adamloss": (FLAT | {0.1: 0.018}, GOOD)}, [FACTOR]),
        ({"adamloss": (FLAT | {0.1: 0.3}, GOOD)}, [FACTOR, "AdamLoss's training loss is robust: its"]),
        ({"adamloss": (FLAT | {0.1: 0.15}, GOOD)}, [FACTOR]),
        ({"adam": (FLAT, POOR)}, [ADAM]),
        ({"adam": (FALLING | {0.1: 0.1, 1: 0.1}, POOR)}, ["Adam's training loss is not robust: its"]),
        ({"adam_sqrt": (FLAT, GOOD | {0.1: 0.97})}, ["than AdamSqrt"]),
        ({"adam_sqrt": (FLAT, POOR | {400: 0.995})}, []),
        ({"adam": (FALLING, POOR | {400: 0.985})}, [BEST]),
        # a bag of words is as good; equal accuracies are as good as better
        (dict.fromkeys(PRINTED, (FLAT, dict.fromkeys(B0, 0.74))), [ADAM, BEST, "The order of"]),
    ],
)
def test_a_sentence_fails_where_it_should(changed, fails):
    assert only_fail(messages(**changed), *fails)


def test_what_was_not_run_is_not_judged():
    kept = saved(None, "figure_2", cells({"adamloss": (FLAT, GOOD)}))
    rows = {row.sentence[:20]: row for row in figure_2.messages(figure_2.finals(kept))}
    adam, bag = rows["AdamLoss's best b0 h"], rows["The order of the wor"]
    assert adam.holds is None and bag.holds is True and "nan" not in adam.evidence + bag.evidence


def test_what_diverged_guesses():
    found = runs(None)
    [run] = [run for run in found if run.config["method"]["name"] == "adamloss" and run.config["b0"] == 1][:1]
    run.summary["status"] = "diverged"
    run.summary["result"] |= {"train_loss": None, "test_accuracy": None}
    row = figure_2.finals(found).set_index(["method", "b0", "seed"]).loc[("adamloss", 1, 0)]
    assert (row.train_loss, row.test_accuracy) == (np.log(2), 0.5)


def test_the_readings_and_overlapping_classes():
    found = decided_by(figure_2.problems(readings(None), ["adamloss"]), figure_2.ROBUST)
    assert [message.holds for message in found] == [True, True, False, False]
    found = figure_2_overlap.messages(figure_2.finals(overlapping(None)))
    assert [message.holds for message in found] == [True] * 4
