"""Figure 1: stochastic linear regression, average loss and effective step size against b0, four methods.

python -m scripts.figure_1 --scale laptop
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.store import SavedRun
from scripts.figures import METHODS, Message, Output, main

WINDOWS = ((101, 200), (991, 1000), (4901, 5000))
SHOWN = {"figure_1": "normal", "figure_1_unit": "unit"}  # file -> initial distance; both at d = 200
# A program that computes y - Xw in float64 sees nothing below this fraction of the initial loss.
RESOLUTION = np.finfo(float).eps ** 2


def windows(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run and window: the mean of the loss (inf where it diverged) and of the effective step size."""
    rows = []
    for run in runs:
        config, history = run.config, run.history
        t, loss, step = (history[name].to_numpy() for name in ("iteration", "loss", "step"))
        for first, last in WINDOWS:
            inside = (first <= t) & (t <= last)
            rows.append(
                {
                    "w_star": config["data"]["w_star"],
                    "d": config["data"]["d"],
                    "method": config["method"]["name"],
                    "b0": config["b0"],
                    "seed": config["seed"],
                    "window": f"[{first}, {last}]",
                    "loss": loss[inside].mean(),
                    "step": step[inside].mean(),
                    "initial_loss": run.summary["result"]["initial_gap"],
                    "critical_b0": config["eta"] * run.summary["result"]["lambda_1"] / 2,
                }
            )
    return pd.DataFrame(rows)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Median, least and greatest over the seeds, and how many diverged: what the figure draws."""
    keys = ["w_star", "d", "method", "b0", "window"]
    grouped = table.groupby(keys, sort=False)
    return grouped.agg(
        seeds=("seed", "size"),
        diverged=("loss", lambda loss: int(np.isinf(loss).sum())),
        loss=("loss", "median"),
        loss_min=("loss", "min"),
        loss_max=("loss", "max"),
        step=("step", "median"),
        step_min=("step", "min"),
        step_max=("step", "max"),
        initial_loss=("initial_loss", "median"),
        critical_b0=("critical_b0", "min"),
    ).reset_index()


def figure(drawn: pd.DataFrame, w_star: str, d: int) -> plt.Figure:
    """2 x 3 panels; a median outside the axis is drawn on its edge, pointing outwards."""
    chosen = drawn[(drawn.w_star == w_star) & (drawn.d == d)]
    fig, axes = plt.subplots(2, len(WINDOWS), figsize=(10, 5.6), sharex=True, sharey="row")
    initial = chosen.initial_loss.iloc[0]
    limits = {"loss": (RESOLUTION * initial / 10, 1e4 * initial), "step": (chosen.step_min.min() / 3, 3e3)}
    for row, quantity in enumerate(("loss", "step")):
        low, high = limits[quantity]
        for column, (first, last) in enumerate(WINDOWS):
            ax = axes[row, column]
            panel = chosen[chosen.window == f"[{first}, {last}]"]
            for name, (label, color, marker) in METHODS.items():
                curve = panel[panel.method == name]
                middle, least, most = (curve[f"{quantity}{end}"].clip(low, high) for end in ("", "_min", "_max"))
                inside = (curve[quantity] > low) & (curve[quantity] < high)
                ax.plot(curve.b0, middle, color=color, marker=marker, markevery=inside.tolist(), label=label)
                for arrow, outside in (("^", curve[quantity] >= high), ("v", curve[quantity] <= low)):
                    ax.scatter(
                        curve.b0[outside], middle[outside], s=25, color=color, marker=arrow, clip_on=False
                    ).set_in_layout(False)
                ax.fill_between(curve.b0, least, most, color=color, alpha=0.2, lw=0)
            ax.axvline(panel.critical_b0.iloc[0], color="0.4", ls=":", lw=1, label=r"$b_0 = \eta\lambda_1/2$")
            ax.set(xscale="log", yscale="log", ylim=(low, high))
            if row == 0:
                ax.set_title(f"iterations [{first}, {last}]")
            else:
                ax.set_xlabel("$b_0$")
    axes[0, 0].set_ylabel("average loss")
    axes[1, 0].set_ylabel(r"effective step size $\eta / b_t$")
    fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    length = "entries N(0, 1)" if w_star == "normal" else "length 1"
    seeds = chosen.seeds.max()
    fig.suptitle(
        f"Stochastic linear regression, n = 1000, d = {d}, batch 20, w* of {length}; median and range of {seeds} seeds",
        fontsize=10,
    )
    return fig


def messages(drawn: pd.DataFrame) -> list[Message]:
    """The paper's sentences about Figure 1, decided for every problem from the medians over seeds."""
    found = []
    for (w_star, d), problem in drawn.groupby(["w_star", "d"], sort=False):
        name = f"d = {d}, w* {w_star}"
        critical, floor = problem.critical_b0.min(), RESOLUTION * problem.initial_loss.min()
        loss = problem.pivot(index="b0", columns=["window", "method"], values="loss").clip(lower=floor)
        first, _, last = (loss[f"[{a}, {b}]"] for a, b in WINDOWS)
        below = last.index < critical
        for method in ("adaloss", "adagrad_norm"):
            ratio = last[method][below] / last[method].min()
            found.append(
                Message(
                    name,
                    f"{METHODS[method][0]} ends within a factor 10 of its own best for all b0 below eta lambda_1 / 2",
                    bool((ratio <= 10).all()),
                    f"worst factor {ratio.max():.3g} at b0 = {ratio.idxmax():g}; critical b0 {critical:.3g}",
                )
            )
        constant = last["sgd_constant"][below]
        diverging = constant > problem.initial_loss.min()
        found.append(
            Message(
                name,
                "SGD-Constant diverges for all b0 below eta lambda_1 / 2",
                bool(diverging.all()),
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
                bool(not_better.all()),
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
    """Figure 1 at d = 200 from both initial distances, and the CSV of all problems."""
    drawn = over_seeds(windows(output.runs))
    for name, w_star in SHOWN.items():
        output.save(name, figure(drawn, w_star, 200), drawn if name == "figure_1" else drawn[drawn.w_star == w_star])
    output.messages("figure_1", messages(drawn))


if __name__ == "__main__":
    main("figure_1", draw)
