"""Figure 2 and its readings on made-up runs: final values, the sentences both ways, the files."""

import numpy as np
import pandas as pd
import pytest

from scripts import figure_2, figure_2_overlap, figure_2_readings
from scripts.shared.output import Output
from tests.scripts.synthetic import about, draw_and_write, saved

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
    history = {
        "iteration": [1, 2, 3, 4],
        "epoch": [1, 1, 2, 2],
        "step": [b0**-0.5] * 4,
        "train_loss": [np.nan, 0.69, np.nan, loss],
        "test_accuracy": [np.nan, 0.5, np.nan, accuracy],
    }
    return config, history, {"train_loss": loss, "test_accuracy": accuracy, "bag_of_words_accuracy": 0.75}


def cells(curves, pooling="mean", seeds=3):
    return [
        cell(method, b0, seed, losses[b0] * (1 + 0.1 * (seed - 1)), accuracies[b0] + 0.001 * (seed - 1), pooling)
        for method, (losses, accuracies) in curves.items()
        for b0 in B0
        for seed in range(seeds)
    ]


PRINTED = {"adam": (FALLING, POOR), "adamloss": (FLAT, GOOD), "adam_sqrt": (FLAT, POOR)}


def runs(root, **curves):
    return saved(root, "figure_2", cells(PRINTED | curves))


def messages(root, **curves):
    return figure_2.messages(figure_2.finals(runs(root, **curves)))


def test_final_values_and_what_is_drawn(tmp_path):
    found = runs(tmp_path)
    table = figure_2.finals(found).set_index(["method", "b0", "seed"])
    row = table.loc[("adam", 1, 2)]
    assert (row.train_loss, row.test_accuracy, row.diverged) == (pytest.approx(0.88), pytest.approx(0.601), False)
    drawn = figure_2.over_seeds(figure_2.by_epoch(found))
    assert len(drawn) == 3 * 4 * 2 and (drawn.seeds == 3).all()
    row = drawn[(drawn.method == "adam") & (drawn.b0 == 1) & (drawn.epoch == 2)].iloc[0]
    assert (row.train_loss, row.train_loss_min, row.train_loss_max) == pytest.approx((0.8, 0.72, 0.88))
    assert (row.step, row.test_accuracy) == (1, pytest.approx(0.6))


def test_the_sentences_hold_for_the_papers_shape(tmp_path):
    found = messages(tmp_path)
    assert len(found) == 10 and all(message.holds is True for message in found)
    robust = about(found, "AdamLoss's training loss is robust: within").evidence
    # 0.001 counts as log(2) / 100 = 0.00693
    assert "0.001 from b0 = 1e+06: a factor of 1.73; losses below 0.0069 count as that" in robust
    assert (
        "Adam 288.3%, AdamLoss 1.6%, AdamSqrt 1.6%" in about(found, "AdamLoss's training loss is robust: its").evidence
    )
    assert "+40.0 ± 0.0 from b0 = 0.1" in about(found, "than Adam, in the mean").evidence


@pytest.mark.parametrize(
    ("changed", "fails"),
    [
        ({"adamloss": (FLAT | {0.1: 0.014}, GOOD)}, ["AdamLoss's training loss is robust: within"]),
        ({"adamloss": (FLAT | {0.1: 0.2}, GOOD)}, ["AdamLoss's training loss is robust"]),
        ({"adamloss": (FLAT | {0.1: 0.17}, GOOD)}, ["AdamLoss's training loss is robust: within"]),
        ({"adam": (FLAT, POOR)}, ["Adam's training loss is not robust"]),
        ({"adam": (FALLING | {0.1: 0.1, 1: 0.1}, POOR)}, ["Adam's training loss is not robust: its"]),
        ({"adam_sqrt": (FLAT, GOOD | {0.1: 0.97})}, ["than AdamSqrt"]),
        ({"adam_sqrt": (FLAT, POOR | {400: 0.995})}, ["than AdamSqrt, from every"]),
        ({"adam_sqrt": (FLAT, POOR | {400: 0.985})}, []),
        ({"adam": (FALLING, POOR | {400: 0.985})}, ["AdamLoss's best b0"]),
        ({name: (FLAT, dict.fromkeys(B0, 0.7)) for name in ("adam_sqrt",)}, []),
    ],
)
def test_a_sentence_fails_where_it_should(changed, fails, tmp_path):
    found = messages(tmp_path, **changed)
    failing = [message.sentence for message in found if not message.holds]
    assert failing == [message.sentence for message in found if any(words in message.sentence for words in fails)]
    assert bool(failing) == bool(fails)


def test_a_bag_of_words_may_be_as_good(tmp_path):
    poor = dict.fromkeys(B0, 0.74)
    found = messages(tmp_path, **dict.fromkeys(PRINTED, (FLAT, poor)))
    assert about(found, "The order of the words matters").holds is False


def test_what_diverged_has_an_infinite_loss_and_guesses(tmp_path):
    found = runs(tmp_path)
    [run] = [run for run in found if run.config["method"]["name"] == "adamloss" and run.config["b0"] == 1][:1]
    run.summary["status"] = "diverged"
    run.summary["result"] |= {"train_loss": None, "test_accuracy": None}
    row = figure_2.finals(found).set_index(["method", "b0", "seed"]).loc[("adamloss", 1, 0)]
    assert (row.train_loss, row.test_accuracy) == (np.inf, 0.5)


def test_the_files_of_figure_2(tmp_path, capsys):
    output = Output(tmp_path / "figures", "figure_2", runs(tmp_path / "runs"))
    draw_and_write(figure_2.draw, output)
    assert {file.name for file in output.folder.iterdir()} == {
        "figure_2.png", "figure_2.pdf", "figure_2.csv", "figure_2_final.csv", "figure_2_messages.csv",
    }  # fmt: skip
    assert capsys.readouterr().out.count("[holds]") == 10
    assert len(pd.read_csv(output.folder / "figure_2_final.csv", comment="#")) == 36


def test_the_panels(tmp_path):
    drawn = figure_2.over_seeds(figure_2.by_epoch(runs(tmp_path)))
    fig = figure_2.panels(drawn, "method", figure_2.SHOWN, 0.75)
    axes = np.array(fig.axes).reshape(3, 4)
    assert [ax.get_title() for ax in axes[0]] == [f"$b_0$ = {b0:g}" for b0 in B0]
    assert [line.get_label() for line in axes[0, 0].lines] == ["Adam", "AdamLoss", "AdamSqrt"]
    assert axes[0, 1].lines[0].get_xydata().tolist() == [[1, 0.69], [2, 0.8]]
    assert axes[2, 2].lines[1].get_xydata()[:, 1] == pytest.approx([0.05, 0.05])


def test_the_readings(tmp_path, capsys):
    of_mean, of_last = {"adamloss": (FLAT, GOOD)}, {"adamloss": (FALLING, POOR)}
    found = saved(tmp_path / "runs", "figure_2_readings", cells(of_mean) + cells(of_last, "last"))
    output = Output(tmp_path / "figures", "figure_2_readings", found)
    draw_and_write(figure_2_readings.draw, output)
    assert [message.holds for message in figure_2_readings.messages(figure_2.finals(found))] == [True, False]
    assert "FAILS" in capsys.readouterr().out
    assert {file.name for file in output.folder.iterdir()} == {
        "figure_2_readings.png", "figure_2_readings.pdf", "figure_2_readings.csv", "figure_2_readings_final.csv",
        "figure_2_readings_messages.csv",
    }  # fmt: skip


def test_overlapping_classes(tmp_path):
    flat = dict(zip(B0, (0.4, 0.35, 0.3, 0.25), strict=True))
    found = saved(tmp_path / "runs", "figure_2_overlap", cells({"adamloss": (flat, GOOD), "adam": (FALLING, POOR)}))
    output = Output(tmp_path / "figures", "figure_2_overlap", found)
    draw_and_write(figure_2_overlap.draw, output)
    ours, theirs = figure_2_overlap.messages(figure_2.finals(found))
    assert (ours.holds, theirs.holds) == (True, True)
    assert "a factor of 1.6" in ours.evidence and theirs.sentence.startswith("Adam's training loss is not robust")
    assert len(list(output.folder.iterdir())) == 5
