"""Figure 4: AdamLoss's 1/b_t and the stochastic loss over the first 200 iterations, from four b0.

python -m scripts.figure_4 --scale laptop

The runs are the beginnings of Figure 2's, from more seeds. Values of one iteration are medians over the seeds. The loss
of guessing is log 2.
"""

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from math import exp, log, nan

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims import intervals
from scripts.claims.claim import Claim
from scripts.claims.sentences import Problems, Sentence, by_sentences, split
from scripts.claims.sentences import messages as decided_by
from scripts.figure_2 import CASE, GUESSING
from scripts.shared.output import Message, Output, labelled, main

LAST = 200
EARLY = 25  # "after 25 iterations"
REACHED, FACTOR = 0.01, 2  # 1/b_t "~ 0.01", and what counts as near or as stable: a factor of 2 either way
SMALL, CRITICAL = (0.1, 1.0), 400.0
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")  # the paper's red and blue first
APART = {"method": ("adamloss",), "b0": (), "seed": ()}


def by_iteration(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run of AdamLoss and iteration up to 200: the minibatch's loss and 1/b_t."""
    tables = []
    for run in [run for run in runs if run.config["method"]["name"] == "adamloss"]:
        history = run.history[["iteration", "loss", "b"]].head(LAST)
        found = history.assign(inverse_b=1 / history.b).drop(columns="b")
        of = {name: run.config[name] for name in ("pooling", "b0", "hidden", "seed")}
        tables.append(labelled(found, data=run.config["data"]["name"], **of))
    return pd.concat(tables, ignore_index=True)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the figure draws: median, least and greatest of both, for each b0 and iteration."""
    ranges = {name: (name, "median") for name in ("loss", "inverse_b")}
    ranges |= {f"{name}_{end}": (name, end) for name in ("loss", "inverse_b") for end in ("min", "max")}
    return table.groupby(["b0", "iteration"], sort=False).agg(seeds=("seed", "size"), **ranges).reset_index()


def high_loss(seed: pd.DataFrame) -> float:
    """Return the mean of the first 25 losses over that of guessing."""
    return float(seed.loss[seed.iteration <= EARLY].mean() / GUESSING)


def log_reached(seed: pd.DataFrame) -> float:
    """Return log(1 / b_t) after 25 iterations."""
    return _log_inverse(seed, EARLY)


def log_growth(seed: pd.DataFrame) -> float:
    """Return the logarithm of how much b grows from iteration 25 to 200."""
    return _log_inverse(seed, EARLY) - _log_inverse(seed, LAST)


def _log_inverse(seed: pd.DataFrame, iteration: int) -> float:
    """Return log(1 / b_t) at an iteration; nan if the run is shorter."""
    found = seed.inverse_b[seed.iteration == iteration]
    return float(np.log(found.iloc[0])) if len(found) else nan


def slope(seed: pd.DataFrame) -> float:
    """Return the slope of the line through the losses of the first 200 iterations; nan if the run is shorter."""
    enough = seed.iteration.max() >= LAST
    return float(np.polyfit(seed.iteration, seed.loss, 1)[0]) if enough else nan


HIGH = Sentence(
    f"The stochastic loss is very high in the first {EARLY} iterations: more than twice that of guessing",
    "mean loss / that of guessing",
    high_loss,
    low=2,
    of=intervals.mean,
)
REACHES = Sentence(
    f"After {EARLY} iterations 1/b_t is about {REACHED} (a factor of {FACTOR})",
    f"1/b_t at t = {EARLY}",
    log_reached,
    low=log(REACHED / FACTOR),
    high=log(REACHED * FACTOR),
    of=intervals.mean,
    show=exp,
)
STABLE = Sentence(
    f"Then it stabilizes: it changes by at most a factor of {FACTOR} up to t = {LAST}",
    f"b at t = {LAST} / at {EARLY}",
    log_growth,
    high=log(FACTOR),
    of=intervals.mean,
    show=exp,
)
DECREASES = Sentence(
    "The stochastic loss decreases from the beginning",
    f"slope over {LAST} iterations",
    slope,
    high=-np.finfo(float).tiny,
)


def problems(runs: list[SavedRun], b0: Sequence[float] = SMALL) -> Problems:
    """Return the iterations of each of these b0, by corpus, by what the head sees, by width, and by seed."""
    table = by_iteration(runs)
    return split(table[table.b0.isin(b0)], ["data", "pooling", "b0", "hidden"], f"{CASE}, b0 = {{:g}}, {{}} units")


def messages(runs: list[SavedRun]) -> list[Message]:
    """Return the paper's sentences about Figure 4; open where the runs are shorter than 200 iterations."""
    small, critical = problems(runs), problems(runs, [CRITICAL])
    return decided_by(small, (HIGH, REACHES, STABLE)) + decided_by(critical, (DECREASES,))


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw 1/b_t and the loss: a curve for each b0, the median with the range as a band, and a line at t = 25."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for color, (b0, curve) in zip(cycle(COLOURS), drawn.groupby("b0"), strict=False):
        for ax, name in zip(axes, ("inverse_b", "loss"), strict=True):
            ends = [curve[name], curve[f"{name}_min"], curve[f"{name}_max"]]
            ax.plot(curve.iteration, ends[0], color=color, label=f"$b_0$ = {b0:g}")
            ax.fill_between(curve.iteration, *ends[1:], color=color, alpha=0.2, lw=0)
    for ax in axes:
        ax.axvline(EARLY, color="0.4", ls="--", lw=1)
    axes[0].axhline(REACHED, color="0.4", ls=":", lw=1)
    axes[1].axhline(GUESSING, color="0.4", ls=":", lw=1)
    axes[0].set(xlabel="iteration t", ylabel="$1/b_t$", yscale="log")
    axes[1].set(xlabel="iteration t", ylabel="stochastic loss", yscale="log")
    axes[0].legend()
    fig.suptitle(f"AdamLoss at the beginning; median and range of {drawn.seeds.max()} runs", fontsize=10)
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, and the messages."""
    table = by_iteration(output.runs)
    drawn = over_seeds(table)
    output.save("figure_4", figure(drawn), drawn)
    output.messages("figure_4", messages(output.runs))


_claim = partial(
    Claim,
    sweep="figure_4_width",
    more=("figure_2_bbc",),
    at_paper_scale="the paper's corpus (Fake/True news) at SCALE=paper; it gives no width",
)
READ_OFF = "the paper reads one digit off a figure, with ≈; each width and corpus counts; the paper gives no width"
CLAIMS = (
    _claim(
        id="lstm-loss-high",
        quote="the stochastic loss (bottom right) is very high",
        place="Section 5, of b0 = 0.1 and 1",
        measure=partial(by_sentences, problems=problems, sentences=(HIGH,)),
        tolerance="called very high: twice the loss of guessing, with which the network starts",
    ),
    _claim(
        id="lstm-b-after-25-from-0.1",
        quote="after 25 iterations, it reaches 1/b_t ≈ 0.01",
        place="Section 5, of b0 = 0.1",
        measure=partial(by_sentences, problems=partial(problems, b0=[0.1]), sentences=(REACHES,)),
        paper=REACHED,
        tolerance=READ_OFF,
    ),
    _claim(
        id="lstm-b-after-25-from-1",
        quote="after 25 iterations, it reaches 1/b_t ≈ 0.01",
        place="Section 5, of b0 = 1",
        measure=partial(by_sentences, problems=partial(problems, b0=[1.0]), sentences=(REACHES,)),
        paper=REACHED,
        tolerance=READ_OFF,
    ),
    _claim(
        id="lstm-b-stabilizes",
        quote="and then stabilizes",
        place="Section 5, of b0 = 0.1 and 1",
        measure=partial(by_sentences, problems=problems, sentences=(STABLE,)),
        tolerance="stable: within a factor 2 over the 175 iterations that the paper's figure shows after it",
    ),
    _claim(
        id="lstm-400-decreases",
        quote="the stochastic loss shows a decreasing trend at the beginning",
        place="Section 5, of b0 = 400",
        sweep="figure_4",
        measure=partial(by_sentences, problems=partial(problems, b0=[CRITICAL]), sentences=(DECREASES,)),
        tolerance="the sign of a least squares slope over the iterations that the paper's figure shows",
    ),
)


if __name__ == "__main__":
    main("figure_4", draw, APART)
