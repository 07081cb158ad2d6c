"""Figure 4: AdamLoss's 1/b_t and the stochastic loss over the first 200 iterations, from four b0.

python -m scripts.figure_4 --scale laptop

The runs are those of Figure 2. Values of one iteration are medians over the seeds. The loss of guessing is log 2.
"""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.figure_2 import GUESSING, labels
from scripts.shared.output import Message, Output, labelled, main

LAST = 200
EARLY = 25  # "after 25 iterations"
REACHED, FACTOR = 0.01, 2  # 1/b_t "~ 0.01", and what counts as near or as stable: a factor of 2 either way
SMALL, CRITICAL = (0.1, 1.0), 400.0
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")  # the paper's red and blue first
SMOOTH = 10  # iterations of the running mean of the loss that is drawn
APART = {"method": ("adamloss",), "b0": (), "seed": ()}


def by_iteration(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run and iteration up to 200: the minibatch's loss and 1/b_t."""
    tables = []
    for run in runs:
        history = run.history[["iteration", "loss", "b"]].head(LAST)
        found = history.assign(inverse_b=1 / history.b).drop(columns="b")
        tables.append(labelled(found, **{name: labels(run)[name] for name in ("b0", "seed")}))
    return pd.concat(tables, ignore_index=True)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """What the figure draws: median, least and greatest of both, for each b0 and iteration."""
    ranges = {name: (name, "median") for name in ("loss", "inverse_b")}
    ranges |= {f"{name}_{end}": (name, end) for name in ("loss", "inverse_b") for end in ("min", "max")}
    return table.groupby(["b0", "iteration"], sort=False).agg(seeds=("seed", "size"), **ranges).reset_index()


def messages(table: pd.DataFrame) -> list[Message]:
    """The paper's sentences about Figure 4; open where the runs are shorter than 200 iterations."""
    long_enough = table.iteration.max() >= LAST
    inverse = table.groupby(["b0", "iteration"]).inverse_b.median()
    found = []

    def add(b0: float, sentence: str, holds: bool | None, evidence: str) -> None:
        found.append(Message(f"b0 = {b0:g}", sentence, holds, evidence))

    for b0 in SMALL:
        if not long_enough:
            add(b0, f"the first {LAST} iterations", None, f"the runs have {table.iteration.max()}")
            continue
        first, early, last = (inverse[b0, t] for t in (1, EARLY, LAST))
        path = f"1/b_t = {first:.3g} at t = 1, {early:.3g} at t = {EARLY}, {last:.3g} at t = {LAST}"
        loss = _mean_loss(table, b0, 1, EARLY)
        later = _mean_loss(table, b0, EARLY + 1, LAST)
        add(
            b0,
            f"The stochastic loss is very high in the first {EARLY} iterations: more than twice that of guessing",
            bool(loss.median() > 2 * GUESSING),
            f"mean {loss.median():.2f} (seeds: {_listed(loss)}), then {later.median():.2f}; guessing {GUESSING:.2f}",
        )
        add(
            b0,
            f"After {EARLY} iterations 1/b_t is about {REACHED} (a factor of {FACTOR})",
            bool(REACHED / FACTOR <= early <= REACHED * FACTOR),
            path,
        )
        add(
            b0,
            f"Then it stabilizes: it changes by less than a factor of {FACTOR} up to t = {LAST}",
            bool(early / last < FACTOR),
            f"{path}: a factor of {early / last:.2f}, after one of {1 / b0 / early:.3g}",
        )
    if long_enough and CRITICAL in inverse:
        first, second = (_mean_loss(table, CRITICAL, *span) for span in ((1, EARLY), (EARLY + 1, 2 * EARLY)))
        add(
            CRITICAL,
            f"The stochastic loss decreases from the beginning: lower in iterations {EARLY + 1}-{2 * EARLY}, all seeds",
            bool((second < first).all()),
            f"mean {_listed(first)}, then {_listed(second)}",
        )
    return found


def _mean_loss(table: pd.DataFrame, b0: float, first: int, last: int) -> pd.Series:
    """The mean stochastic loss of the iterations first..last, by seed."""
    return table[(table.b0 == b0) & table.iteration.between(first, last)].groupby("seed").loss.mean()


def _listed(values: pd.Series) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Left 1/b_t, right the loss as a running mean; a curve for each b0, the median with the range as a band."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for color, (b0, curve) in zip(cycle(COLOURS), drawn.groupby("b0"), strict=False):
        for ax, name in zip(axes, ("inverse_b", "loss"), strict=True):
            ends = [curve[name], curve[f"{name}_min"], curve[f"{name}_max"]]
            if name == "loss":
                ends = [values.rolling(SMOOTH, min_periods=1).mean() for values in ends]
            ax.plot(curve.iteration, ends[0], color=color, label=f"$b_0$ = {b0:g}")
            ax.fill_between(curve.iteration, *ends[1:], color=color, alpha=0.2, lw=0)
    axes[0].axhline(REACHED, color="0.4", ls=":", lw=1)
    axes[1].axhline(GUESSING, color="0.4", ls=":", lw=1)
    axes[0].set(xlabel="iteration t", ylabel="$1/b_t$", yscale="log")
    axes[1].set(xlabel="iteration t", ylabel=f"stochastic loss, mean of {SMOOTH} iterations", yscale="log")
    axes[0].legend()
    fig.suptitle(f"AdamLoss at the beginning; median and range of {drawn.seeds.max()} runs", fontsize=10)
    return fig


def draw(output: Output) -> None:
    """The figure with the CSV of its curves, and the messages."""
    table = by_iteration(output.runs)
    drawn = over_seeds(table)
    output.save("figure_4", figure(drawn), drawn)
    output.messages("figure_4", messages(table))


if __name__ == "__main__":
    main("figure_4", draw, APART)
