"""Figure 4: AdamLoss's 1/b_t and the stochastic loss over the first 200 iterations, from four b0.

python -m scripts.figure_4 --scale laptop

The runs are those of Figure 2. Values of one iteration are medians over the seeds. The loss of guessing is log 2.
"""

from collections.abc import Sequence
from functools import partial
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, ClaimError, Finding, Sweep, of_cases, of_number
from scripts.figure_2 import GUESSING, histories, labels
from scripts.shared.output import Message, Output, labelled, main

LAST = 200
EARLY = 25  # "after 25 iterations"
REACHED, FACTOR = 0.01, 2  # 1/b_t "~ 0.01", and what counts as near or as stable: a factor of 2 either way
SMALL, CRITICAL = (0.1, 1.0), 400.0
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")  # the paper's red and blue first
SMOOTH = 10  # iterations of the running mean of the loss that is drawn
APART = {"method": ("adamloss",), "b0": (), "seed": ()}


def by_iteration(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run and iteration up to 200: the minibatch's loss and 1/b_t."""
    tables = []
    for run in runs:
        history = run.history[["iteration", "loss", "b"]].head(LAST)
        found = history.assign(inverse_b=1 / history.b).drop(columns="b")
        tables.append(labelled(found, **{name: labels(run)[name] for name in ("b0", "seed")}))
    return pd.concat(tables, ignore_index=True)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the figure draws: median, least and greatest of both, for each b0 and iteration."""
    ranges = {name: (name, "median") for name in ("loss", "inverse_b")}
    ranges |= {f"{name}_{end}": (name, end) for name in ("loss", "inverse_b") for end in ("min", "max")}
    return table.groupby(["b0", "iteration"], sort=False).agg(seeds=("seed", "size"), **ranges).reset_index()


def messages(table: pd.DataFrame) -> list[Message]:
    """Return the paper's sentences about Figure 4; open where the runs are shorter than 200 iterations."""
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
    """Return the mean stochastic loss of the iterations first..last, by seed."""
    return table[(table.b0 == b0) & table.iteration.between(first, last)].groupby("seed").loss.mean()


def _listed(values: pd.Series) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw 1/b_t and the loss as a running mean: a curve for each b0, the median with the range as a band."""
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
    """Save the figure with the CSV of its curves, and the messages."""
    table = by_iteration(output.runs)
    drawn = over_seeds(table)
    output.save("figure_4", figure(drawn), drawn)
    output.messages("figure_4", messages(table))


def _early(sweep: Sweep, b0: float, method: str = "adamloss") -> pd.DataFrame:
    """Return means over the seeds by iteration. Raises ClaimError if the sweep has no such b0."""
    table = sweep.of(histories)
    chosen = table[(table.method == method) & (table.b0 == b0)]
    if not len(chosen):
        raise ClaimError(f"the sweep {sweep.name} has no run of {method} with b0 = {b0:g}")
    return chosen.groupby("iteration")[["loss", "b"]].mean()


def reaches(sweep: Sweep, *, paper: float, tolerance: float, b0: float, iteration: int) -> Finding:
    """Decide whether 1 / b of AdamLoss is within a factor ``tolerance`` of the paper's value after some iterations."""
    value = 1 / _at(sweep, b0, iteration)
    return of_number(
        value,
        paper / tolerance,
        paper * tolerance,
        f"1 / b = {value:.3g} after {iteration} iterations",
        paper=f"{paper:g}",
        tolerance=f"a factor {tolerance:g}",
    )


def stabilizes(sweep: Sweep, *, tolerance: float, b0: Sequence[float], first: int, last: int) -> Finding:
    """Decide whether b of AdamLoss grows by at most a factor ``tolerance`` from iteration ``first`` to ``last``."""
    growth = {f"b0 = {b:g}": _at(sweep, b, last) / _at(sweep, b, first) for b in b0}
    said = ", ".join(f"{name}: {ratio:.3g} times" for name, ratio in growth.items())
    cases = {name: bool(ratio <= tolerance) for name, ratio in growth.items()}
    return of_cases(cases, f"b from iteration {first} to {last}: {said}", tolerance=f"a factor {tolerance:g}")


def high_loss(sweep: Sweep, *, tolerance: float, b0: Sequence[float], last: int) -> Finding:
    """Decide whether AdamLoss's loss rises to at least ``tolerance`` times its first within ``last`` iterations."""
    peaks = {}
    for b in b0:
        loss = _early(sweep, b).loss
        peaks[f"b0 = {b:g}"] = loss[:last].max() / loss.iloc[0]
    said = ", ".join(f"{name}: {peak:.3g} times" for name, peak in peaks.items())
    cases = {name: bool(peak >= tolerance) for name, peak in peaks.items()}
    return of_cases(cases, f"greatest loss over the first: {said}", tolerance=f"a factor {tolerance:g}")


def decreases(sweep: Sweep, *, b0: float, last: int) -> Finding:
    """Decide whether the line through the losses of the first iterations falls."""
    loss = _early(sweep, b0).loss[:last]
    slope = float(np.polyfit(loss.index, loss, 1)[0])
    said = f"{slope:.3g} a step over {len(loss)} iterations, from {loss.iloc[0]:.3g} to {loss.iloc[-1]:.3g}"
    return of_number(slope, -np.inf, -np.finfo(float).tiny, f"slope of the loss {said}")


def _at(sweep: Sweep, b0: float, iteration: int) -> float:
    """Return the b of AdamLoss at the last recorded iteration that is not after ``iteration``."""
    b = _early(sweep, b0).b
    return float(b[b.index <= iteration].iloc[-1])


_claim = partial(Claim, sweep="figure_2", at_paper_scale="the paper's corpus (Fake/True news) at SCALE=paper")
CLAIMS = (
    _claim(
        id="lstm-loss-high",
        quote="the stochastic loss (bottom right) is very high",
        place="Section 5, of b0 = 0.1 and 1",
        measure=partial(high_loss, b0=SMALL, last=EARLY, tolerance=2),
        tolerance="called very high: twice the loss of the initial network, which guesses",
    ),
    _claim(
        id="lstm-b-after-25-from-0.1",
        quote="after 25 iterations, it reaches 1/b_t ≈ 0.01",
        place="Section 5, of b0 = 0.1",
        measure=partial(reaches, b0=0.1, iteration=EARLY, tolerance=2, paper=REACHED),
        paper=REACHED,
        tolerance="the paper reads one digit off a figure, with ≈",
    ),
    _claim(
        id="lstm-b-after-25-from-1",
        quote="after 25 iterations, it reaches 1/b_t ≈ 0.01",
        place="Section 5, of b0 = 1",
        measure=partial(reaches, b0=1, iteration=EARLY, tolerance=2, paper=REACHED),
        paper=REACHED,
        tolerance="the paper reads one digit off a figure, with ≈",
    ),
    _claim(
        id="lstm-b-stabilizes",
        quote="and then stabilizes",
        place="Section 5, of b0 = 0.1 and 1",
        measure=partial(stabilizes, b0=SMALL, first=EARLY, last=LAST, tolerance=2),
        tolerance="stable: within a factor 2 over the 175 iterations that the paper's figure shows after it",
    ),
    _claim(
        id="lstm-400-decreases",
        quote="the stochastic loss shows a decreasing trend at the beginning",
        place="Section 5, of b0 = 400",
        measure=partial(decreases, b0=CRITICAL, last=LAST),
        tolerance="the sign of a least squares slope over the iterations that the paper's figure shows, mean "
        "over seeds",
    ),
)


if __name__ == "__main__":
    main("figure_4", draw, APART)
