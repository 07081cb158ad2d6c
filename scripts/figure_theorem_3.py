"""Theorem 3: AdaLoss on the two-layer network converges from every b0, at a linear rate; and what the width changes.

python -m scripts.figure_theorem_3 --scale laptop
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.shared.output import Message, Output, every, labelled, main

TARGET = 1e-6  # of the squared residual: what the saved bound on iterations is for
RESOLUTION = 1e-25  # of the initial loss: below, a loss is rounding
APART = {"method": ("adaloss", "sgd_constant"), "batch": (None,), "m": (), "b0": ()}


def trajectories(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run and recorded iteration, with the bounds and the facts of its problem."""
    tables = []
    for run in runs:
        config, result = run.config, run.summary["result"]
        table = run.history.assign(
            critical_b0=result["eta"] * result["lambda_1"] / 2,
            rate=-2 * np.log1p(-result["eta"] * result["lambda_0"] / result["b_bound"])
            if "b_bound" in result
            else np.nan,
            iterations_bound=result.get("iterations_bound", np.nan),
            start_loss=result["start_loss"],
            linear_distance=result["linear_distance"],
        )
        tables.append(labelled(table, method=config["method"]["name"], m=config["m"], b0=config["b0"]))
    return pd.concat(tables, ignore_index=True)


def by_run(drawn: pd.DataFrame) -> pd.DataFrame:
    """One row per run: the end of its trajectory, the steps to TARGET, how far it is from linearised."""
    rows = []
    for (method, m, b0), curve in drawn.groupby(["method", "m", "b0"], sort=False):
        seen = (curve.loss > RESOLUTION * curve.start_loss) & (curve.linear_loss > RESOLUTION * curve.start_loss)
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.abs(np.log(curve.loss / curve.linear_loss))[seen & np.isfinite(curve.loss)]
        rows.append(
            {
                "method": method,
                "m": m,
                "b0": b0,
                "reached_after": _steps_to_target(curve),
                "apart": apart.mean(),
                **curve.iloc[-1].drop(["method", "m", "b0"]),
            }
        )
    return pd.DataFrame(rows)


def converged(ends: pd.DataFrame) -> pd.Series:
    """Which runs of AdaLoss end below TARGET of the loss, or below its start where their bound asks for more steps."""
    reached = (ends.loss <= TARGET * ends.start_loss) | (ends.iterations_bound > ends.iteration)
    return (ends.loss < ends.start_loss) & reached


def _steps_to_target(curve: pd.DataFrame) -> float:
    """After how many steps the loss is below TARGET for good, log-linear between records; nan if it never is."""
    excess = np.log((curve.loss / (TARGET * curve.start_loss)).clip(lower=1e-300)).to_numpy()
    k = curve.iteration.to_numpy() - 1  # the loss of iteration t is that after t - 1 steps
    above = np.flatnonzero(excess > 0)
    if not len(above) or above[-1] + 1 == len(k) or not np.isfinite(excess[above[-1]]):
        return np.nan
    last = above[-1]
    return k[last] + (k[last + 1] - k[last]) * excess[last] / (excess[last] - excess[last + 1])


def figure(drawn: pd.DataFrame, ends: pd.DataFrame) -> plt.Figure:
    """Above: log-loss against iterations at the greatest width, both methods, and b; below: what the width changes."""
    fig, axes = plt.subplots(2, 3, figsize=(11, 6.4))
    shades, widest, starts = plt.get_cmap("viridis"), drawn.m.max(), np.sort(drawn.b0.unique())
    start = drawn.start_loss[drawn.m == widest].iloc[0]
    for column, method in enumerate(("adaloss", "sgd_constant")):
        ax = axes[0, column]
        for k, b0 in enumerate(starts):
            curve = drawn[(drawn.method == method) & (drawn.m == widest) & (drawn.b0 == b0)]
            color = shades(0.9 * k / (len(starts) - 1))
            ax.plot(curve.iteration, curve.loss.clip(upper=1e4 * start), color=color, label=f"$b_0 = {b0:g}$")
            ax.plot(curve.iteration, curve.linear_loss.clip(upper=1e4 * start), color=color, ls=":", lw=1)
            if np.isfinite(curve.rate.iloc[0]) and b0 in (starts[0], 100):
                ax.plot(
                    curve.iteration, start * np.exp(-curve.rate * (curve.iteration - 1)), color=color, ls="--", lw=0.8
                )
        ax.set(yscale="log", ylim=(1e-16 * start, 1e4 * start), xlabel="iteration", ylabel="loss")
        ax.set_title(
            f"{METHODS[method].label}, m = {widest}\ndotted: linearised; dashed: rate of the bound on b", fontsize=8
        )
    axes[0, 1].legend(fontsize=7)
    label, color, marker = METHODS["adaloss"]
    of_adaloss = ends[ends.method == "adaloss"]
    ax = axes[0, 2]
    for k, m in enumerate(sorted(ends.m.unique())):
        of_width = of_adaloss[of_adaloss.m == m]
        ax.plot(of_width.b0, of_width.reached_after, marker=marker, color=shades(0.4 * k), label=f"m = {m}")
    bound = of_adaloss[of_adaloss.m == widest]
    ax.plot(bound.b0, bound.iterations_bound, color="0.3", ls="--", lw=1, label="bound, linearised")
    ax.axvline(bound.critical_b0.iloc[0], color="0.4", ls=":", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="$b_0$")
    ax.set_title(f"AdaLoss: iterations to {TARGET:g} of the loss\n" + r"dotted: $b_0 = \eta\|H^\infty\|/2$", fontsize=8)
    ax.legend(fontsize=7)
    small = of_adaloss[of_adaloss.b0 == starts[0]].sort_values("m")
    panels = {
        "distance": (r"$\|W - W(0)\|_F$ (dotted: linearised)", "linear_distance"),
        "gram_change": (r"$\|H(k) - H(0)\|$", None),
        "apart": ("mean |log loss / linearised loss|", None),
    }
    for ax, (name, (title, beside)) in zip(axes[1], panels.items(), strict=True):
        ax.plot(small.m, small[name], color=color, marker=marker)
        if beside:
            ax.plot(small.m, small[beside], color="0.4", ls=":")
            ax.set_ylim(0, None)
        else:
            ax.plot(small.m, small[name].iloc[0] * (small.m / small.m.iloc[0]) ** -0.5, color="0.4", ls=":", lw=1)
            ax.set_yscale("log")
        ax.set(xscale="log", xlabel="width m")
        ax.set_title(title + ("" if beside else r" (dotted: $m^{-1/2}$)"), fontsize=8)
    fig.suptitle(f"Two-layer network, full gradient: {label} and gradient descent with $\\eta/b_0$ from every $b_0$")
    return fig


def messages(drawn: pd.DataFrame, ends: pd.DataFrame) -> list[Message]:
    """What Theorem 3 says, decided from the runs, for each width."""
    found = []
    for m, at_width in ends.groupby("m", sort=True):
        ours, constant = (at_width[at_width.method == name].set_index("b0") for name in ("adaloss", "sgd_constant"))
        found.append(
            Message(
                f"m = {m}",
                f"AdaLoss converges from every b0: to {TARGET:g} of the loss, or on its way where more steps are due",
                every(converged(ours)),
                "loss at the end over the initial one by b0: "
                + ", ".join(f"{b0:g}: {value:.2g}" for b0, value in (ours.loss / ours.start_loss).items()),
            )
        )
        below = constant.index < constant.critical_b0.iloc[0]
        lost = ~(constant.loss[below] < TARGET * constant.start_loss[below])
        found.append(
            Message(
                f"m = {m}",
                "gradient descent with eta / b0 does not, for all b0 below eta ||H|| / 2",
                every(lost),
                f"not at {lost.sum()} of {below.sum()} values of b0",
            )
        )
        inside = ours.iterations_bound.notna() & (ours.iterations_bound < ours.iteration)
        ratio = (ours.reached_after.fillna(np.inf) / ours.iterations_bound)[inside]
        kept = ratio <= 1
        found.append(
            Message(
                f"m = {m}",
                f"the linearised bound on iterations to {TARGET:g} holds for the network",
                every(kept),
                f"holds at {kept.sum()} of {len(kept)} values of b0; greatest measured / bound {ratio.max():.3g}",
            )
        )
    small = ends[(ends.method == "adaloss") & (ends.b0 == ends.b0.min())].sort_values("m")
    for name, words in (("gram_change", "||H(k) - H(0)||"), ("apart", "the distance to the linearised network")):
        falling = np.diff(small[name]) < 0
        slope = np.polyfit(np.log(small.m), np.log(small[name]), 1)[0] if len(small) > 1 else np.nan
        found.append(
            Message(
                "widths",
                f"{words} falls with the width",
                every(falling),
                f"slope of log against log m {slope:.2f}; "
                + ", ".join(f"m = {m}: {value:.3g}" for m, value in zip(small.m, small[name], strict=True)),
            )
        )
    ratio = small.distance / small.linear_distance
    found.append(
        Message(
            "widths",
            "||W - W(0)|| does not grow with the width: it tends to sqrt(z0' H^-1 z0)",
            bool(abs(ratio.iloc[-1] - 1) <= 0.05),
            "ratio " + ", ".join(f"m = {m}: {value:.3f}" for m, value in zip(small.m, ratio, strict=True)),
        )
    )
    return found


def draw(output: Output) -> None:
    """The figure, the CSV of every trajectory, and the messages."""
    drawn = trajectories(output.runs)
    ends = by_run(drawn)
    output.save("figure_theorem_3", figure(drawn, ends), drawn)
    output.messages("figure_theorem_3", messages(drawn, ends))


if __name__ == "__main__":
    main("figure_theorem_3", draw, APART)
