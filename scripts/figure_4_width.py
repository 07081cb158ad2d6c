"""What Figure 4 depends on: the LSTM's width.

python -m scripts.figure_4_width --scale laptop

The first steps, of size 1/sqrt(b0) and less, saturate the states; the logits are then sums of ``hidden`` weights of
about that size, so that the loss, and b after 25 iterations, grow with the width. The sentences are those of
``scripts.figure_4``, for each width.
"""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.sentences import messages
from scripts.figure_4 import COLOURS, HIGH, REACHED, REACHES, SMALL, STABLE, by_iteration, over_seeds, problems
from scripts.shared.output import Output, main

APART = {"method": ("adamloss",), "hidden": (), "b0": SMALL, "seed": ()}


def by_width(runs: list[SavedRun]) -> dict[int, pd.DataFrame]:
    """Return the table of ``scripts.figure_4`` for each width."""
    widths = sorted({run.config["hidden"] for run in runs})
    return {hidden: by_iteration([run for run in runs if run.config["hidden"] == hidden]) for hidden in widths}


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw a panel for each b0: 1/b_t, a curve for each width, the median with the range as a band."""
    fig, axes = plt.subplots(1, len(SMALL), figsize=(9, 3.6), sharey=True)
    for ax, b0 in zip(axes, SMALL, strict=True):
        for color, (hidden, curve) in zip(cycle(COLOURS), drawn[drawn.b0 == b0].groupby("hidden"), strict=False):
            ax.plot(curve.iteration, curve.inverse_b, color=color, label=f"{hidden} units")
            ax.fill_between(curve.iteration, curve.inverse_b_min, curve.inverse_b_max, color=color, alpha=0.2, lw=0)
        ax.axhline(REACHED, color="0.4", ls=":", lw=1)
        ax.set(title=f"$b_0$ = {b0:g}", xlabel="iteration t", yscale="log")
    axes[0].set_ylabel("$1/b_t$")
    axes[-1].legend()
    fig.suptitle(f"AdamLoss by the LSTM's width; median and range of {drawn.seeds.max()} runs", fontsize=10)
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, and the messages."""
    tables = by_width(output.runs)
    drawn = pd.concat([over_seeds(table).assign(hidden=hidden) for hidden, table in tables.items()], ignore_index=True)
    output.save("figure_4_width", figure(drawn), drawn)
    output.messages("figure_4_width", messages(problems(output.runs), (HIGH, REACHES, STABLE)))


if __name__ == "__main__":
    main("figure_4_width", draw, APART)
