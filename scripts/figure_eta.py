"""What Table 1 on the pretrained ViT depends on: validation accuracy over eta and b0, each method.

python -m scripts.figure_eta --scale laptop

One seed, that of the choice of eta. A training that diverged has the accuracy of guessing.
"""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd

from experiments.methods import METHODS, SGD_FAMILY
from experiments.runs.store import SavedRun
from scripts.shared.output import Message, Output, main
from scripts.table_1 import FAR

APART = {"method": SGD_FAMILY, "eta": (), "b0": (), "seed": ()}
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")


def by_cell(runs: list[SavedRun]) -> pd.DataFrame:
    """Return the mean validation accuracy over the seeds in percent, for each method, eta and b0."""
    rows = []
    for run in runs:
        result, config = run.summary["result"], run.config
        found = result["validation_accuracy"] if run.summary["status"] == "completed" else None
        accuracy = 100 / result["classes"] if found is None else 100 * found
        rows.append((config["method"]["name"], config["eta"], float(config["b0"]), accuracy))
    table = pd.DataFrame(rows, columns=["method", "eta", "b0", "accuracy"])
    return table.groupby(["method", "eta", "b0"], sort=False, as_index=False).accuracy.mean()


def messages(table: pd.DataFrame) -> list[Message]:
    """Decide for each method whether one eta serves every small b0."""
    best, found = table.accuracy.max(), []
    for method, rows in table.groupby("method", sort=False):
        least = rows[rows.b0 <= 1].groupby("eta").accuracy.min()
        said = ", ".join(f"{value:.1f} with eta = {eta:g}" for eta, value in least.items())
        found.append(
            Message(
                METHODS[method].label,
                f"some eta is within {FAR:g} points of the best of all methods from every b0 <= 1",
                bool((least >= best - FAR).any()),
                f"best {best:.1f}; from the worst b0 <= 1: {said}",
            )
        )
    return found


def figure(table: pd.DataFrame) -> plt.Figure:
    """Draw a panel for each method, a curve for each b0."""
    methods = [name for name in METHODS if (table.method == name).any()]
    fig, axes = plt.subplots(1, len(methods), figsize=(2.7 * len(methods), 3), sharey=True, squeeze=False)
    for ax, method in zip(axes[0], methods, strict=True):
        for color, (b0, curve) in zip(cycle(COLOURS), table[table.method == method].groupby("b0"), strict=False):
            curve = curve.sort_values("eta")
            ax.plot(curve.eta, curve.accuracy, color=color, marker="o", label=f"$b_0$ = {b0:g}")
        ax.set(xscale="log", xlabel=r"$\eta$", title=METHODS[method].label)
    axes[0, 0].set_ylabel("validation accuracy (%)")
    axes[0, -1].legend()
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its points, and the messages."""
    table = by_cell(output.runs)
    output.save("figure_eta", figure(table), table)
    output.messages("figure_eta", messages(table))


if __name__ == "__main__":
    main("figure_eta", draw, APART)
