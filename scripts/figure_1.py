"""Figure 1: stochastic linear regression, average loss and effective step size against b0, four methods.

python -m scripts.figure_1 --scale laptop
"""

import matplotlib.pyplot as plt
import pandas as pd

from experiments.methods import METHODS, SGD_METHODS
from experiments.runs.store import SavedRun
from scripts.shared import b0_panels
from scripts.shared.b0_panels import RESOLUTION, WINDOWS, losses
from scripts.shared.output import Message, Output, every, main

SHOWN = {"figure_1": "normal", "figure_1_unit": "unit"}  # file -> initial distance; both at d = 200
APART = {
    "data": ("gaussian",),
    "data.w_star": ("normal", "unit"),
    "data.d": (),
    "method": SGD_METHODS,
    "b0": (),
    "seed": (),
}


def over_seeds(runs: list[SavedRun]) -> pd.DataFrame:
    """What the figure draws: medians and ranges over the seeds of each problem, method, b0 and window."""
    table = b0_panels.by_window(
        runs,
        lambda run: {
            "w_star": run.config["data"]["w_star"],
            "d": run.config["data"]["d"],
            "initial_loss": run.summary["result"]["initial_gap"],
            "critical_b0": run.config["eta"] * run.summary["result"]["lambda_1"] / 2,
        },
    )
    by = ["w_star", "d", "method", "b0", "window"]
    return b0_panels.over_seeds(table, by, ("loss", "step"), initial_loss="median", critical_b0="min")


def figure(drawn: pd.DataFrame, w_star: str, d: int, n: int, batch: int | None) -> plt.Figure:
    """The panels of one problem."""
    chosen = drawn[(drawn.w_star == w_star) & (drawn.d == d)]
    initial = chosen.initial_loss.iloc[0]
    length = "entries N(0, 1)" if w_star == "normal" else "length 1"
    seeds = chosen.seeds.max()
    return b0_panels.figure(
        chosen,
        {"loss": (RESOLUTION * initial / 10, 1e4 * initial), "step": (chosen.step_min.min() / 3, 3e3)},
        r"$b_0 = \eta\lambda_1/2$",
        f"Stochastic linear regression, n = {n}, d = {d}, batch {batch}, w* of {length}; "
        f"median and range of {seeds} seeds",
    )


def messages(drawn: pd.DataFrame) -> list[Message]:
    """The paper's sentences about Figure 1, decided for every problem from the medians over seeds."""
    found = []
    for (w_star, d), problem in drawn.groupby(["w_star", "d"], sort=False):
        name = f"d = {d}, w* {w_star}"
        critical, floor = problem.critical_b0.min(), RESOLUTION * problem.initial_loss.min()
        first, last = (losses(problem, window).clip(lower=floor) for window in (WINDOWS[0], WINDOWS[-1]))
        below = last.index < critical
        for method in ("adaloss", "adagrad_norm"):
            ratio = last[method][below] / last[method].min()
            worst = f"worst factor {ratio.max():.3g} at b0 = {ratio.idxmax():g}" if len(ratio) else "no b0 below it"
            found.append(
                Message(
                    name,
                    f"{METHODS[method].label} ends within a factor 10 of its own best for all b0 below "
                    "eta lambda_1 / 2",
                    every(ratio <= 10),
                    f"{worst}; critical b0 {critical:.3g}",
                )
            )
        constant = last["sgd_constant"][below]
        diverging = constant > problem.initial_loss.min()
        found.append(
            Message(
                name,
                "SGD-Constant diverges for all b0 below eta lambda_1 / 2",
                every(diverging),
                f"loss above its start at {diverging.sum()} of {below.sum()} values of b0; largest b0 with such a loss "
                f"{last.index[last['sgd_constant'] > problem.initial_loss.min()].max():g}",
            )
        )
        small = first[first.index < 1]
        not_better = small["adaloss"] >= small["adagrad_norm"]
        ratio = small["adaloss"] / small["adagrad_norm"]
        found.append(
            Message(
                name,
                "for b0 < 1 AdaLoss is not better than AdaGrad-Norm in iterations [101, 200]",
                every(not_better),
                f"not better at {not_better.sum()} of {len(small)} values of b0; "
                f"loss of AdaLoss / AdaGrad-Norm from {ratio.min():.3g} to {ratio.max():.3g}",
            )
        )
        ours, theirs = last["adaloss"], last["adagrad_norm"]
        better, worse = int((ours < theirs).sum()), int((ours > theirs).sum())
        found.append(
            Message(
                name,
                "after 5000 iterations AdaLoss outperforms AdaGrad-Norm in general",
                better > worse,
                f"better at {better}, worse at {worse} of {len(last)} values of b0, alike (at float64's resolution) at "
                f"the rest; greatest factor {(ours / theirs).max():.3g} at b0 = {(ours / theirs).idxmax():g}",
            )
        )
    return found


def draw(output: Output) -> None:
    """Figure 1 at the greatest d, which is 200, from each initial distance, and the CSV of all problems."""
    drawn, config = over_seeds(output.runs), output.runs[0].config
    for name, w_star in SHOWN.items():
        of_start = drawn[drawn.w_star == w_star]
        if len(of_start):
            fig = figure(drawn, w_star, of_start.d.max(), config["data"]["n"], config["batch"])
            output.save(name, fig, drawn if name == "figure_1" else of_start)
    output.messages("figure_1", messages(drawn))


if __name__ == "__main__":
    main("figure_1", draw, APART)
