"""Figure 2: Adam, AdamLoss and AdamSqrt from four b0, an LSTM that classifies news: loss, accuracy and step by epoch.

python -m scripts.figure_2 --scale laptop

A run's **final training loss** is the mean over all training articles after the last epoch; its median over the seeds
decides. Cross entropy can be arbitrarily small, and between 0.001 and 0.0001 there is nothing to see: a loss below the
``FLOOR``, a hundredth of what guessing costs (log 2), counts as the floor. A method is **robust** if its greatest
final loss over b0 is at most twice its least. What it loses by its worst b0 is the difference of the two as a share of
log 2. A run that diverged has an infinite loss and the accuracy of guessing.
"""

from functools import partial
from math import log, sqrt

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, ClaimError, Finding, Sweep, of_cases, of_number
from scripts.shared.output import Message, Output, labelled, main

SHOWN = {name: METHODS[name] for name in ("adam", "adamloss", "adam_sqrt")}
GUESSING = log(2)
FLOOR = 0.01 * GUESSING
FACTOR, SHARE = 2, 1 / 4
CLOSE = 0.01  # two accuracies that differ by no more are equal
QUANTITIES = {"train_loss": "training loss", "test_accuracy": "test accuracy", "step": r"step $\eta / \sqrt{b_t}$"}
APART = {"method": SHOWN, "b0": (), "seed": ()}


def by_epoch(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run and epoch that it ended: training loss, test accuracy, step."""
    columns = ["epoch", *QUANTITIES]
    ends = [labelled(run.history.dropna(subset="train_loss")[columns], **labels(run)) for run in runs]
    return pd.concat(ends, ignore_index=True)


def labels(run: SavedRun) -> dict:
    """Return what distinguishes the runs."""
    return {"method": run.config["method"]["name"]} | {name: run.config[name] for name in ("pooling", "b0", "seed")}


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
                "train_loss": np.inf if diverged else result["train_loss"],
                "test_accuracy": 0.5 if diverged else result["test_accuracy"],
                "bag_of_words_accuracy": result["bag_of_words_accuracy"],
            }
        )
    return pd.DataFrame(rows)


def robust(table: pd.DataFrame) -> tuple[bool, str]:
    """Return whether the runs of one method are robust, and the numbers behind it."""
    loss = table.groupby("b0").train_loss.median()
    floored = loss.clip(lower=FLOOR)
    ratio = floored.max() / floored.min()
    below = f"; losses below {FLOOR:.4f} count as that" if (loss < FLOOR).any() else ""
    numbers = ", ".join(f"{value:.3g} from b0 = {b0:g}" for b0, value in loss.items())
    return bool(ratio <= FACTOR), f"final loss {numbers}: a factor of {ratio:.3g}{below}"


def share_lost(table: pd.DataFrame) -> float:
    """Return what the worst b0 of one method costs, as a share of log 2."""
    loss = table.groupby("b0").train_loss.median()
    return (loss.max() - loss.min()) / GUESSING


def messages(table: pd.DataFrame) -> list[Message]:
    """Return the paper's sentences about Figure 2."""
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
    """Return by b0 the mean and standard error over seeds of the difference of two methods' final test accuracy."""
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
    """Draw a column per b0 and a row per quantity: for each value of ``by`` the median, with the range as a band."""
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
    """Save the figure with the CSV of its curves, the final values, and the messages."""
    drawn = over_seeds(by_epoch(output.runs))
    table = finals(output.runs)
    fig = panels(drawn, "method", SHOWN, table.bag_of_words_accuracy.max())
    data = output.runs[0].config["data"]["name"]
    fig.suptitle(f"One-layer LSTM on {data}; median and range of {drawn.seeds.max()} runs", fontsize=10)
    output.save("figure_2", fig, drawn)
    output.table("figure_2_final", table)
    output.messages("figure_2", messages(table))


def histories(runs: list[SavedRun]) -> pd.DataFrame:
    """Return every iteration of every run: method, b0, seed, iteration, loss and b."""
    tables = []
    for run in runs:
        config, history = run.config, run.history
        missing = {"iteration", "loss", "b"} - set(history)
        if missing:
            raise ClaimError(f"{run.path}: the history lacks {', '.join(sorted(missing))}")
        of_run = {"method": config["method"]["name"], "b0": float(config["b0"]), "seed": config["seed"]}
        of_run["diverged"] = run.summary["status"] == "diverged"
        tables.append(history[["iteration", "loss", "b"]].assign(**of_run))
    return pd.concat(tables, ignore_index=True)


def _ends(table: pd.DataFrame) -> pd.DataFrame:
    """Return first and final loss of each method and b0, means over the seeds.

    First is that of the first iteration, final the mean over the last tenth of iterations, infinite for a run that
    diverged.
    """
    rows = []
    for (method, b0, seed), run in table.groupby(["method", "b0", "seed"], sort=False):
        late = run.loss[run.iteration > 0.9 * run.iteration.max()].mean()
        lost = run.diverged.any() or not np.isfinite(late)
        rows.append((method, b0, seed, run.loss.iloc[0], np.inf if lost else late))
    ends = pd.DataFrame(rows, columns=["method", "b0", "seed", "first", "final"])
    return ends.groupby(["method", "b0"], as_index=False)[["first", "final"]].mean()


def robust_loss(sweep: Sweep, *, tolerance: float, method: str) -> Finding:
    """Decide whether the worst b0 loses at most the share ``tolerance`` of what there is to win.

    That is the difference of the first loss and the least final one of all methods and b0.
    """
    ends = _ends(sweep.of(histories))
    to_win = ends["first"].mean() - ends.final.min()
    of = ends[ends.method == method]
    lost = (of.final.max() - of.final.min()) / to_win
    said = ", ".join(f"{row.final:.3g} from b0 = {row.b0:g}" for row in of.itertuples())
    measured = f"final training loss {said}: {lost:.0%} of the {to_win:.3g} there are to win"
    return of_number(lost, 0, tolerance, measured, tolerance=f"at most {tolerance:.0%}")


def better_accuracy(sweep: Sweep, *, tolerance: float, method: str, others: list[str]) -> Finding:
    """Decide whether ``method``'s mean test accuracy is at least each other's less ``tolerance`` points, at each b0.

    One that diverged has none right.
    """
    rows = [
        (
            run.config["method"]["name"],
            float(run.config["b0"]),
            0.0 if run.summary["status"] == "diverged" else run.summary["result"].get("test_accuracy"),
        )
        for run in sweep.runs
    ]
    table = pd.DataFrame(rows, columns=["method", "b0", "accuracy"]).astype({"accuracy": float})
    by_b0 = 100 * table.groupby(["b0", "method"]).accuracy.mean().unstack().reindex(columns=[method, *others])
    cases = {
        f"{METHODS[other].label} at b0 = {b0:g}": bool(row[method] >= row[other] - tolerance)
        for b0, row in by_b0.iterrows()
        for other in others
        if row.notna().all()
    }
    said = "; ".join(
        f"b0 = {b0:g}: " + ", ".join(f"{METHODS[name].label} {value:.1f}" for name, value in row.items())
        for b0, row in by_b0.iterrows()
    )
    return of_cases(cases, f"test accuracy in percent: {said}", tolerance=f"{tolerance:g} points")


_claim = partial(Claim, sweep="figure_2", at_paper_scale="the paper's corpus (Fake/True news) at SCALE=paper")
CLAIMS = (
    _claim(
        id="figure-4-robust",
        quote="the training loss is very robust to any initialization of the AdamLoss algorithm",
        place="Section 5, Figure 4",
        measure=partial(robust_loss, method="adamloss", tolerance=0.25),
        tolerance="as for Figure 3: the worst b0 loses a quarter of what there is to win",
    ),
    _claim(
        id="figure-2-accuracy",
        quote="achieves relatively better test accuracy",
        place="Section 5, Figures 2 and 4",
        measure=partial(better_accuracy, method="adamloss", others=["adam", "adam_sqrt"], tolerance=1.0),
        tolerance="a point, about the standard error of a test set of a thousand texts",
    ),
)


if __name__ == "__main__":
    main("figure_2", draw, APART)
