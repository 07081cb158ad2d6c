"""Figure 2: Adam, AdamLoss and AdamSqrt from four b0, an LSTM that classifies news: loss, accuracy and step by epoch.

python -m scripts.figure_2 --scale laptop

A run's **final training loss** is the mean over all training articles after the last epoch. Cross entropy can be
arbitrarily small, and between 0.001 and 0.0001 there is nothing to see: a loss below the ``FLOOR``, a hundredth of what
guessing costs (log 2), counts as the floor. A method is **robust** in two senses: its greatest final loss over b0 is at
most twice its least; and what it loses by its worst b0, the difference of the two, is at most a quarter of log 2. The
mean over seeds decides. A run that diverged has the loss and the accuracy of guessing.
"""

from collections.abc import Collection
from functools import partial
from math import exp, log, nan

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims import intervals
from scripts.claims.claim import Claim
from scripts.claims.sentences import Problems, Sentence, by_sentences, split
from scripts.claims.sentences import messages as decided_by
from scripts.shared.output import Message, Output, labelled, main

SHOWN = {name: METHODS[name] for name in ("adam", "adamloss", "adam_sqrt")}
GUESSING = log(2)
FLOOR = 0.01 * GUESSING
FACTOR, SHARE = 2, 1 / 4
QUANTITIES = {"train_loss": "training loss", "test_accuracy": "test accuracy", "step": r"step $\eta / \sqrt{b_t}$"}
CASE = "{}, {} of the states"  # data and pooling
APART = {"method": SHOWN, "b0": (), "seed": ()}


def by_epoch(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run and epoch that it ended: training loss, test accuracy, step."""
    columns = ["epoch", *QUANTITIES]
    ends = [labelled(run.history.dropna(subset="train_loss")[columns], **labels(run)) for run in runs]
    return pd.concat(ends, ignore_index=True)


def labels(run: SavedRun) -> dict:
    """Return what distinguishes the runs."""
    groups = {name: run.config[name]["name"] for name in ("method", "data")}
    return groups | {name: run.config[name] for name in ("pooling", "b0", "seed")}


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the figures draw: median, least and greatest of each quantity, for each setting and epoch."""
    ranges = {name: (name, "median") for name in QUANTITIES}
    ranges |= {f"{name}_{end}": (name, end) for name in QUANTITIES for end in ("min", "max")}
    grouped = table.groupby(["method", "pooling", "b0", "epoch"], sort=False)
    return grouped.agg(seeds=("seed", "size"), **ranges).reset_index()


def finals(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run: its final training loss and test accuracy, and what a bag of words gets."""
    rows = []
    for run in runs:
        result, diverged = run.summary["result"], run.summary["status"] == "diverged"
        rows.append(
            labels(run)
            | {
                "diverged": diverged,
                "train_loss": GUESSING if diverged else result["train_loss"],
                "test_accuracy": 0.5 if diverged else result["test_accuracy"],
                "bag_of_words_accuracy": result["bag_of_words_accuracy"],
            }
        )
    return pd.DataFrame(rows)


def share_lost(seed: pd.DataFrame) -> float:
    """Return what the worst b0 of one method and seed costs, as a share of log 2."""
    return float((seed.train_loss.max() - seed.train_loss.min()) / GUESSING)


def log_factor(seed: pd.DataFrame) -> float:
    """Return the logarithm of the greatest over the least final loss; what is below the floor counts as that."""
    floored = seed.train_loss.clip(lower=FLOOR)
    return float(np.log(floored.max() / floored.min()))


def _sentences(who: str, *, robust: bool) -> tuple[Sentence, Sentence]:
    """Return both measures of robustness, the same for every method and reading."""
    less, more = ("", "at most") if robust else ("not ", "more than")
    share, factor = ({"high": limit} if robust else {"low": limit} for limit in (SHARE, log(FACTOR)))
    return (
        Sentence(
            f"{who}'s training loss is {less}robust: its worst b0 costs {more} {SHARE:.0%} of log 2",
            "share of log 2",
            share_lost,
            label="share",
            of=intervals.mean,
            **share,
        ),
        Sentence(
            f"{who}'s training loss is {less}robust: {more} a factor of {FACTOR} over all b0, losses below "
            f"{FLOOR:.4f} as that",
            "factor",
            log_factor,
            label="factor",
            of=intervals.mean,
            show=exp,
            **factor,
        ),
    )


ROBUST, SENSITIVE = _sentences("AdamLoss", robust=True), _sentences("Adam", robust=False)


def better(seed: pd.DataFrame, *, rival: str) -> float:
    """Return how many points AdamLoss's test accuracy is above a rival's, mean over b0."""
    accuracy = seed.pivot(index="b0", columns="method", values="test_accuracy")
    return float(100 * (accuracy["adamloss"] - accuracy[rival]).mean()) if rival in accuracy else nan


BETTER = tuple(
    Sentence(
        f"AdamLoss achieves better test accuracy than {METHODS[rival].label}, in the mean over b0",
        "points",
        partial(better, rival=rival),
        low=0,
        label=METHODS[rival].label,
        of=intervals.mean,
    )
    for rival in ("adam", "adam_sqrt")
)


def by_case(table: pd.DataFrame, methods: Collection[str] = SHOWN) -> Problems:
    """Return the final values of these methods, by corpus, by what the head sees, and by seed."""
    return split(table[table.method.isin([*methods])], ["data", "pooling"], CASE)


def problems(runs: list[SavedRun], methods: Collection[str] = SHOWN) -> Problems:
    """Return what the runs of these methods end with."""
    return by_case(finals(runs), methods)


def messages(table: pd.DataFrame) -> list[Message]:
    """Return the paper's sentences about Figure 2 in one case, and two of ours."""
    found = decided_by(by_case(table, ["adamloss"]), ROBUST) + decided_by(by_case(table, ["adam"]), SENSITIVE)
    found += decided_by(by_case(table), BETTER)
    [case] = by_case(table)
    there = [name for name in SHOWN if (table.method == name).any()]
    best = {name: table[table.method == name].groupby("b0").test_accuracy.mean().max() for name in there}
    bag = table.bag_of_words_accuracy.max()
    listed = ", ".join(f"{METHODS[name].label} {accuracy:.1%}" for name, accuracy in best.items())
    for sentence, holds, evidence in (
        (
            "AdamLoss's best b0 has a better test accuracy than Adam's best (the paper does not say so)",
            best["adamloss"] > best["adam"] if {"adam", "adamloss"} <= best.keys() else None,
            listed,
        ),
        (
            "The order of the words matters: the best LSTM beats logistic regression on a bag of words (not in the "
            "paper)",
            max(best.values()) > bag,
            f"LSTM {max(best.values()):.1%}, bag of words {bag:.1%}",
        ),
    ):
        found.append(Message(case, sentence, None if holds is None else bool(holds), evidence))
    return found


def panels(drawn: pd.DataFrame, by: str, styles: dict[str, tuple[str, str, str]], bag: float) -> plt.Figure:
    """Draw a column per b0 and a row per quantity: for each value of ``by`` the median, with the range as a band."""
    starts = sorted(drawn.b0.unique())
    fig, axes = plt.subplots(
        len(QUANTITIES), len(starts), figsize=(2.7 * len(starts), 6.6), sharex=True, sharey="row", squeeze=False
    )
    for k, b0 in enumerate(starts):
        for ax, quantity in zip(axes[:, k], QUANTITIES, strict=True):
            for j, (name, (label, color, marker)) in enumerate(styles.items()):
                curve = drawn[(drawn[by] == name) & (drawn.b0 == b0)]
                # curves that lie upon each other show by their markers in turn, and by the widest one below
                look = {"marker": marker, "markevery": (j, len(styles)), "lw": 1.2 + 0.9 * (len(styles) - 1 - j)}
                ax.plot(curve.epoch, curve[quantity], color=color, label=label, **look)
                least, most = (curve[f"{quantity}_{end}"] for end in ("min", "max"))
                ax.fill_between(curve.epoch, least, most, color=color, alpha=0.2, lw=0)
        axes[1, k].axhline(bag, color="0.4", ls=":", lw=1, label="bag of words")
        axes[0, k].set_title(f"$b_0$ = {b0:g}")
        axes[-1, k].set_xlabel("epoch")
    for row, (quantity, label) in enumerate(QUANTITIES.items()):
        axes[row, 0].set_ylabel(label)
        if quantity != "test_accuracy":
            axes[row, 0].set_yscale("log")
    fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(styles) + 1)
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the final values, and the messages."""
    drawn = over_seeds(by_epoch(output.runs))
    table = finals(output.runs)
    fig = panels(drawn, "method", SHOWN, table.bag_of_words_accuracy.max())
    data = output.runs[0].config["data"]["name"]
    fig.suptitle(
        f"One-layer LSTM on {data}; median and range of {drawn.seeds.max()} runs. Not in the paper: $b_0$ = 1e+06, "
        "Adam's default step",
        fontsize=10,
    )
    output.save("figure_2", fig, drawn)
    output.table("figure_2_final", table)
    output.messages("figure_2", messages(table))


CLAIMS = (
    Claim(
        id="figure-2-accuracy",
        quote="achieves relatively better test accuracy",
        place="Section 5, Figures 2 and 4",
        sweep="figure_2",
        more=("figure_2_bbc",),
        measure=partial(by_sentences, problems=problems, sentences=BETTER),
        tolerance="better or not, in the mean over the b0 that the figure shows; a run that diverged guesses. Every "
        "corpus counts, and every reading of the network that was run",
        at_paper_scale="the paper's corpus (Fake/True news) at SCALE=paper",
    ),
)


if __name__ == "__main__":
    main("figure_2", draw, APART)
