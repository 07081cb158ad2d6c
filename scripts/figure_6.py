"""Figure 6: two-layer networks with minibatches, average loss and effective step size against b0, four methods.

python -m scripts.figure_6 --scale laptop
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.store import SavedRun
from scripts.figures import METHODS, Message, Output, main

WINDOWS = ((101, 200), (991, 1000), (4901, 5000))
SHOWN = {
    ("digits", "1"): "figure_6",
    ("digits", "n / ||H||"): "figure_6_digits_gram",
    ("sphere", "1"): "figure_6_sphere",
    ("sphere", "n / ||H||"): "figure_6_sphere_gram",
}
FLOOR = np.finfo(float).eps ** 2  # of the initial loss: float64 sees nothing below
ALIKE = 2.0  # "almost the same": within this factor


def windows(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run and window: the mean of the loss (inf where it diverged) and of the effective step size."""
    rows = []
    for run in runs:
        config, result, history = run.config, run.summary["result"], run.history
        for first, last in WINDOWS:
            inside = history[history.iteration.between(first, last)]
            rows.append(
                {
                    "data": config["data"]["name"],
                    "eta": "1" if config["eta_unit"] == "absolute" else "n / ||H||",
                    "n": config["data"]["n"],
                    "m": config["m"],
                    "batch": config["batch"],
                    "method": config["method"]["name"],
                    "b0": config["b0"],
                    "seed": config["seed"],
                    "window": f"[{first}, {last}]",
                    "loss": inside.loss.mean(),
                    "step": inside.step.mean(),
                    "start_loss": result["start_loss"],
                    # The minibatch objective is a mean, so its kernel is H / n.
                    "critical_b0": result["eta"] * result["lambda_1"] / config["data"]["n"] / 2,
                }
            )
    return pd.DataFrame(rows)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Median, least and greatest over the seeds, and how many diverged: what the figure draws."""
    keys = ["data", "eta", "n", "m", "batch", "method", "b0", "window"]
    grouped = table.groupby(keys, sort=False)
    return grouped.agg(
        seeds=("seed", "size"),
        diverged=("loss", lambda loss: int(np.isinf(loss).sum())),
        loss=("loss", "median"),
        loss_min=("loss", "min"),
        loss_max=("loss", "max"),
        step=("step", "median"),
        start_loss=("start_loss", "median"),
        critical_b0=("critical_b0", "median"),
    ).reset_index()


def figure(drawn: pd.DataFrame, data: str, eta: str) -> plt.Figure:
    """2 x 3 panels; a median outside the axis is drawn on its edge, pointing outwards."""
    chosen = drawn[(drawn.data == data) & (drawn.eta == eta)]
    fig, axes = plt.subplots(2, len(WINDOWS), figsize=(10, 5.6), sharex=True, sharey="row")
    start = chosen.start_loss.iloc[0]
    limits = {
        "loss": (max(FLOOR * start, chosen.loss_min.min() / 3), 1e2 * start),
        "step": (chosen.step.min() / 3, 3e3),
    }
    for (row, quantity), (column, (first, last)) in (
        (r, c) for r in enumerate(("loss", "step")) for c in enumerate(WINDOWS)
    ):
        ax, (low, high) = axes[row, column], limits[quantity]
        panel = chosen[chosen.window == f"[{first}, {last}]"]
        for name, (label, color, marker) in METHODS.items():
            curve = panel[panel.method == name]
            ax.plot(curve.b0, curve[quantity].clip(low, high), color=color, marker=marker, label=label)
            above = curve[quantity] >= high
            ax.scatter(
                curve.b0[above], above[above] * high, s=25, color=color, marker="^", clip_on=False
            ).set_in_layout(False)
            if quantity == "loss":
                least, most = (curve[f"loss_{end}"].clip(low, high) for end in ("min", "max"))
                ax.fill_between(curve.b0, least, most, color=color, alpha=0.2, lw=0)
        ax.axvline(panel.critical_b0.iloc[0], color="0.4", ls=":", lw=1, label=r"$b_0 = \eta\|H^\infty\|/(2n)$")
        ax.set(xscale="log", yscale="log", ylim=(low, high))
        if row == 0:
            ax.set_title(f"iterations [{first}, {last}]")
        else:
            ax.set_xlabel("$b_0$")
    axes[0, 0].set_ylabel("average loss")
    axes[1, 0].set_ylabel(r"effective step size $\eta / b_t$")
    fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    first = chosen.iloc[0]
    fig.suptitle(
        f"Two-layer network, {data}, eta = {eta}, n = {first.n}, m = {first.m}, batch {first.batch}; "
        f"median and range of {first.seeds} seeds",
        fontsize=10,
    )
    return fig


def messages(drawn: pd.DataFrame) -> list[Message]:
    """The paper's sentence about Figure 6, and robustness to b0, from the medians over seeds."""
    found = []
    for (name, eta), problem in drawn.groupby(["data", "eta"], sort=False):
        data = f"{name}, eta = {eta}"
        loss = problem.pivot(index="b0", columns=["window", "method"], values="loss")
        last = loss[f"[{WINDOWS[-1][0]}, {WINDOWS[-1][1]}]"].clip(lower=FLOOR * problem.start_loss.min())
        ratio = last["adaloss"] / last["adagrad_norm"]
        good = ratio <= ALIKE
        found.append(
            Message(
                data,
                "AdaLoss performs almost the same as or even better than AdaGrad-Norm with SGD",
                bool(good.all()),
                f"loss at the end at most {ALIKE:g} times AdaGrad-Norm's at {good.sum()} of {len(ratio)} values of b0; "
                f"ratio from {ratio.min():.3g} to {ratio.max():.3g} (b0 = {ratio.idxmax():g})",
            )
        )
        below = last.index < problem.critical_b0.min()
        for method in ("adaloss", "adagrad_norm"):
            spread = last[method][below].max() / last[method][below].min()
            found.append(
                Message(
                    data,
                    f"{METHODS[method][0]} ends alike from all b0 below eta ||H|| / (2n)",
                    bool(spread <= ALIKE),
                    f"greatest over least loss {spread:.3g} at {below.sum()} values of b0",
                )
            )
        constant = last["sgd_constant"][below]
        worse = constant > last["adaloss"][below]
        found.append(
            Message(
                data,
                "SGD-Constant ends worse than AdaLoss from all b0 below eta ||H|| / (2n)",
                bool(worse.all()),
                f"worse at {worse.sum()} of {below.sum()} values of b0; its loss from {constant.min():.3g} to "
                f"{constant.max():.3g}",
            )
        )
    return found


def draw(output: Output) -> None:
    """One figure for each data set and eta, and the CSV of all."""
    drawn = over_seeds(windows(output.runs))
    for (data, eta), name in SHOWN.items():
        part = drawn[(drawn.data == data) & (drawn.eta == eta)]
        output.save(name, figure(drawn, data, eta), drawn if name == "figure_6" else part)
    output.messages("figure_6", messages(drawn))


if __name__ == "__main__":
    main("figure_6", draw)
