"""Certificates compared with trainings: what is promised of random two-layer networks, step by step, and kept.

python -m scripts.figure_networks --scale laptop
"""

import matplotlib.pyplot as plt
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.shared.output import Message, Output, main

APART = {"seed": ()}
KINDS = {False: "certified networks", True: "adversaries on the pairs that may flip"}


def networks(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per certified network, with its method."""
    table = pd.concat([run.history for run in runs], ignore_index=True)
    return table.assign(method=table.alpha.gt(0).map({True: "adaloss", False: "sgd_constant"}))


def figure(table: pd.DataFrame) -> plt.Figure:
    """Draw the certified T against the measured one where the training was followed so far; the diagonal is exact."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 4.5), sharex=True, sharey=True)
    for ax, (adversarial, title) in zip(axes, KINDS.items(), strict=True):
        some = table[(table.adversarial == adversarial) & ~table.stopped & (table.steps > 0)]
        for method, of_method in some.groupby("method"):
            _, color, marker = METHODS[method]
            label = "AdaLoss" if method == "adaloss" else "gradient descent"
            ax.plot(of_method.steps, of_method.bound, marker, color=color, ms=3, alpha=0.4, label=label)
        ends = [1, max(some.bound.max(), 2)] if len(some) else [1, 2]
        ax.plot(ends, ends, color="0.3", lw=1)
        ax.set(xscale="log", yscale="log", title=title, xlabel="measured T")
        ax.legend()
    axes[0].set_ylabel("certified T")
    fig.suptitle(f"Steps to a target in {len(table)} networks; none may lie below the diagonal")
    return fig


def messages(table: pd.DataFrame) -> list[Message]:
    """Count the broken promises of each kind, and what there was to break them."""
    found = []
    for adversarial, some in table.groupby("adversarial"):
        counts = some.filter(like="violations_").sum()
        each = ", ".join(f"{name.removeprefix('violations_')}: {count}" for name, count in counts.items())
        checked = (
            f"{len(some)} networks, {(some.alpha == 0).sum()} of them gradient descent, {(some.unstable > 0).sum()} "
            f"with pairs that may flip, {(some.burn_in > 0).sum()} with a burn-in, {some.stopped.sum()} stopped early"
        )
        found.append(Message(KINDS[adversarial], "no promise is broken", bool(counts.sum() == 0), f"{checked}; {each}"))
    return found


def draw(output: Output) -> None:
    """Save the figure, the CSV of measured and certified, and the messages."""
    table = networks(output.runs)
    shown = ["adversarial", "method", "n", "d", "m", "unstable", "burn_in", "stopped", "steps", "bound"]
    output.save("figure_networks", figure(table), table[shown])
    output.messages("figure_networks", messages(table))


if __name__ == "__main__":
    main("figure_networks", draw, APART)
