"""Figure 2: Adam, AdamLoss and AdamSqrt from four b0, an LSTM that classifies news: loss, accuracy and step by epoch.

python -m scripts.figure_2 --scale laptop

A run's **final training loss** is the mean over all training articles after the last epoch; its median over the seeds
decides. Cross entropy can be arbitrarily small, and between 0.001 and 0.0001 there is nothing to see: a loss below the
``FLOOR``, a hundredth of what guessing costs (log 2), counts as the floor. A method is **robust** where its greatest
final loss over b0 is at most twice its least. What it loses by its worst b0 is the difference of the two as a share of
log 2. A run that diverged has an infinite loss and the accuracy of guessing.
"""

from math import log, sqrt

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.shared.output import Message, Output, labelled, main

SHOWN = {name: METHODS[name] for name in ("adam", "adamloss", "adam_sqrt")}
GUESSING = log(2)
FLOOR = 0.01 * GUESSING
FACTOR, SHARE = 2, 1 / 4
CLOSE = 0.01  # two accuracies that differ by no more are equal
QUANTITIES = {"train_loss": "training loss", "test_accuracy": "test accuracy", "step": r"step $\eta / \sqrt{b_t}$"}
APART = {"method": SHOWN, "b0": (), "seed": ()}


def by_epoch(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run and epoch that it ended: training loss, test accuracy, step."""
    columns = ["epoch", *QUANTITIES]
    ends = [labelled(run.history.dropna(subset="train_loss")[columns], **labels(run)) for run in runs]
    return pd.concat(ends, ignore_index=True)


def labels(run: SavedRun) -> dict:
    """What tells the runs apart."""
    return {"method": run.config["method"]["name"]} | {name: run.config[name] for name in ("pooling", "b0", "seed")}


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """What the figures draw: median, least and greatest of each quantity, for each setting and epoch."""
    ranges = {name: (name, "median") for name in QUANTITIES}
    ranges |= {f"{name}_{end}": (name, end) for name in QUANTITIES for end in ("min", "max")}
    grouped = table.groupby(["method", "pooling", "b0", "epoch"], sort=False)
    return grouped.agg(seeds=("seed", "size"), **ranges).reset_index()


def finals(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run: its final training loss and test accuracy, and what a bag of words gets."""
    rows = []
    for run in runs:
        result, diverged = run.summary["result"], run.summary["status"] == "diverged"
        rows.append(
            labels(run)
            | {
                "diverged": diverged,
                "train_loss": np.inf if diverged else result["train_loss"],
                "test_accuracy": 0.5 if diverged else result["test_accuracy"],
                "bag_of_words_accuracy": result["bag_of_words_accuracy"],
            }
        )
    return pd.DataFrame(rows)


def robust(table: pd.DataFrame) -> tuple[bool, str]:
    """Whether the runs of one method are robust, and the numbers behind it."""
    loss = table.groupby("b0").train_loss.median()
    floored = loss.clip(lower=FLOOR)
    ratio = floored.max() / floored.min()
    below = f"; losses below {FLOOR:.4f} count as that" if (loss < FLOOR).any() else ""
    numbers = ", ".join(f"{value:.3g} from b0 = {b0:g}" for b0, value in loss.items())
    return bool(ratio <= FACTOR), f"final loss {numbers}: a factor of {ratio:.3g}{below}"


def share_lost(table: pd.DataFrame) -> float:
    """What the worst b0 of one method costs, as a share of log 2."""
    loss = table.groupby("b0").train_loss.median()
    return (loss.max() - loss.min()) / GUESSING


def messages(table: pd.DataFrame) -> list[Message]:
    """The paper's sentences about Figure 2."""
    of = {name: table[table.method == name] for name in SHOWN}
    found = []

    def add(sentence: str, holds: bool, evidence: str) -> None:
        found.append(Message("news", sentence, bool(holds), evidence))

    holds, numbers = robust(of["adamloss"])
    add(f"AdamLoss's training loss is robust: within a factor of {FACTOR} over all b0", holds, numbers)
    lost = {name: share_lost(runs) for name, runs in of.items()}
    shares = ", ".join(f"{METHODS[name].label} {share:.1%}" for name, share in lost.items())
    add(
        f"AdamLoss's training loss is robust: its worst b0 costs at most {SHARE:.0%} of log 2",
        lost["adamloss"] <= SHARE,
        shares,
    )
    holds, numbers = robust(of["adam"])
    add(f"Adam's training loss is not robust: beyond a factor of {FACTOR}", not holds, numbers)
    add(f"Adam's training loss is not robust: its worst b0 costs more than {SHARE:.0%}", lost["adam"] > SHARE, shares)
    for rival in ("adam", "adam_sqrt"):
        difference = paired(table, "adamloss", rival)
        better = f"AdamLoss achieves better test accuracy than {METHODS[rival].label}"
        add(
            f"{better}, in the mean over b0",
            difference["mean"].mean() > 0,
            _differences(difference),
        )
        add(
            f"{better}, from every b0 (or as good, to a point)",
            (difference["mean"] >= -CLOSE).all(),
            _differences(difference),
        )
    best = {name: runs.groupby("b0").test_accuracy.mean().max() for name, runs in of.items()}
    add(
        "AdamLoss's best b0 has a better test accuracy than Adam's best (the paper does not say so)",
        best["adamloss"] > best["adam"],
        ", ".join(f"{METHODS[name].label} {accuracy:.1%}" for name, accuracy in best.items()),
    )
    bag = table.bag_of_words_accuracy.max()
    add(
        "The order of the words matters: the best LSTM beats logistic regression on a bag of words (not in the paper)",
        max(best.values()) > bag,
        f"LSTM {max(best.values()):.1%}, bag of words {bag:.1%}",
    )
    return found


def paired(table: pd.DataFrame, ours: str, theirs: str) -> pd.DataFrame:
    """By b0: mean and standard error over the seeds of the difference of two methods' final test accuracy."""
    accuracy = table.pivot(index=["b0", "seed"], columns="method", values="test_accuracy")
    difference = (accuracy[ours] - accuracy[theirs]).groupby("b0")
    seeds = difference.size()
    return pd.DataFrame({"mean": difference.mean(), "error": difference.std() / seeds.map(sqrt)})


def _differences(difference: pd.DataFrame) -> str:
    listed = []
    for b0, row in difference.iterrows():
        error = "" if np.isnan(row.error) else f" ± {100 * row.error:.1f}"
        listed.append(f"{100 * row['mean']:+.1f}{error} from b0 = {b0:g}")
    return f"difference in points {', '.join(listed)}; mean {100 * difference['mean'].mean():+.1f}"


def panels(drawn: pd.DataFrame, by: str, styles: dict[str, tuple[str, str, str]], bag: float) -> plt.Figure:
    """Column: b0. Row: quantity. A curve for each value of the column ``by``, the median with the range as a band."""
    starts = sorted(drawn.b0.unique())
    fig, axes = plt.subplots(
        len(QUANTITIES), len(starts), figsize=(2.7 * len(starts), 6.6), sharex=True, sharey="row", squeeze=False
    )
    for k, b0 in enumerate(starts):
        for ax, quantity in zip(axes[:, k], QUANTITIES, strict=True):
            for name, (label, color, marker) in styles.items():
                curve = drawn[(drawn[by] == name) & (drawn.b0 == b0)]
                ax.plot(curve.epoch, curve[quantity], color=color, marker=marker, label=label)
                least, most = (curve[f"{quantity}_{end}"] for end in ("min", "max"))
                ax.fill_between(curve.epoch, least, most, color=color, alpha=0.2, lw=0)
        axes[1, k].axhline(bag, color="0.4", ls=":", lw=1, label="bag of words")
        axes[0, k].set_title(f"$b_0$ = {b0:g}")
        axes[-1, k].set_xlabel("epoch")
    for row, (quantity, label) in enumerate(QUANTITIES.items()):
        axes[row, 0].set_ylabel(label)
        if quantity != "test_accuracy":
            axes[row, 0].set_yscale("log")
    axes[0, 0].set_ylim(bottom=FLOOR / 10)
    fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(styles) + 1)
    return fig


def draw(output: Output) -> None:
    """The figure with the CSV of its curves, the final values, and the messages."""
    drawn = over_seeds(by_epoch(output.runs))
    table = finals(output.runs)
    fig = panels(drawn, "method", SHOWN, table.bag_of_words_accuracy.max())
    data = output.runs[0].config["data"]["name"]
    fig.suptitle(f"One-layer LSTM on {data}; median and range of {drawn.seeds.max()} runs", fontsize=10)
    output.save("figure_2", fig, drawn)
    output.table("figure_2_final", table)
    output.messages("figure_2", messages(table))


if __name__ == "__main__":
    main("figure_2", draw, APART)
