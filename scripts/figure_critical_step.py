"""Theorem 2's step size: gradient descent with eta = c / ||H|| around c = 2, where the linearised network diverges.

python -m scripts.figure_critical_step --scale laptop
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.store import SavedRun
from scripts.figures import Message, Output, main

FITTED = 1e-6  # of the initial loss
GROWN = 1.01  # times the initial loss: beyond rounding


def trajectories(runs: list[SavedRun]) -> pd.DataFrame:
    """One row per run and recorded iteration, with c, the c at which it grows at the start, and the ends of H."""
    tables = []
    for run in runs:
        config, result = run.config, run.summary["result"]
        table = run.history.drop(columns="step").assign(
            lambda_1=result["lambda_1"],
            critical_c=2 * result["lambda_1"] / result["start_lambda_1"],
            start_loss=result["start_loss"],
            zero_loss=result["zero_loss"],
        )
        for name, value in (("c", config["eta"]), ("seed", config["seed"]), ("m", config["m"])):
            table.insert(0, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def by_run(drawn: pd.DataFrame) -> pd.DataFrame:
    """One row per run: greatest and final loss over the initial one, where lambda_max(H) ends, whether all died."""
    rows = []
    for (m, seed, c), curve in drawn.groupby(["m", "seed", "c"], sort=False):
        last = curve.iloc[-1]
        rows.append(
            {
                "m": m,
                "seed": seed,
                "c": c,
                "critical_c": last.critical_c,
                "peak": curve.loss.max() / last.start_loss,
                "end": last.loss / last.start_loss,
                "lambda_ratio": last.lambda_max * c / (2 * last.lambda_1),
                "no_better_than_zero": not last.loss < 0.5 * last.zero_loss,
            }
        )
    return pd.DataFrame(rows)


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Column: width. Above the loss, below lambda_max(H(k)) with 2 ||H|| / c dotted; the first seed."""
    first = drawn[drawn.seed == drawn.seed.min()]
    widths, steps = sorted(first.m.unique()), sorted(first.c.unique())
    fig, axes = plt.subplots(2, len(widths), figsize=(10.5, 6), sharex=True, sharey="row")
    start, shades = first.start_loss.max(), plt.get_cmap("viridis")
    for column, m in enumerate(widths):
        for k, c in enumerate(steps):
            curve, color = first[(first.m == m) & (first.c == c)], shades(0.9 * k / (len(steps) - 1))
            axes[0, column].plot(curve.iteration, curve.loss.clip(upper=1e7 * start), color=color, label=f"c = {c:g}")
            axes[1, column].plot(curve.iteration, curve.lambda_max, color=color)
            if c > 2:
                axes[1, column].axhline(2 * curve.lambda_1.iloc[0] / c, color=color, ls=":", lw=1)
        axes[0, column].set(yscale="log", xscale="log", ylim=(1e-20 * start, 1e7 * start), title=f"m = {m}")
        axes[1, column].set_ylim(0, 1.2 * first.lambda_1.max())
        axes[1, column].set_xlabel("iteration")
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel(r"$\lambda_{\max}(H(k))$; dotted: $2\|H^\infty\|/c$")
    axes[0, 0].legend(fontsize=7)
    fig.suptitle(r"Two-layer network, gradient descent with $\eta = c/\|H^\infty\|$")
    return fig


def messages(ends: pd.DataFrame) -> list[Message]:
    """What happens below and above the critical c, from all widths and seeds."""

    def listed(chosen: pd.DataFrame, column: str) -> str:
        return ", ".join(f"c = {c:g}: {v.min():.3g} to {v.max():.3g}" for c, v in chosen.groupby("c")[column])

    found = []
    below = ends[ends.c < 0.99 * ends.critical_c]
    calm = (below.peak <= GROWN) & (below.end <= FITTED)
    found.append(
        Message(
            "c below 2 ||H-infinity|| / ||H(0)||",
            f"the loss never exceeds its start and falls to {FITTED:g} of it",
            bool(calm.all()),
            f"{calm.sum()} of {len(below)} runs; loss at the end over the initial one {listed(below, 'end')}",
        )
    )
    above = ends[(ends.c >= 3) & (ends.c <= 4)]
    grew = (above.peak > GROWN) & (above.end < 1)
    fitted = above.end <= FITTED
    found.append(
        Message(
            "c = 3 and 4",
            "the loss first grows, then falls below its start: 2 / ||H|| is no limit of divergence",
            bool(grew.all()),
            f"{grew.sum()} of {len(above)} runs, {fitted.sum()} of all end below {FITTED:g}; greatest loss over the "
            f"initial one {listed(above, 'peak')}",
        )
    )
    settled = ends[(ends.c > ends.critical_c) & (ends.end <= FITTED)]
    flat = settled.lambda_ratio <= 1.01
    found.append(
        Message(
            "c above 2 ||H-infinity|| / ||H(0)||, fitted",
            "lambda_max(H) has fallen to at most 2 ||H-infinity|| / c",
            bool(flat.all()),
            f"{flat.sum()} of {len(settled)} runs; lambda_max over it {listed(settled, 'lambda_ratio')}",
        )
    )
    far = ends[ends.c >= 6]
    lost = far.no_better_than_zero
    found.append(
        Message(
            "c = 6",
            "the network is lost: it diverges, or ends no better than half the loss of predicting 0",
            bool(lost.all()),
            f"{lost.sum()} of {len(far)} runs, {int(np.isinf(far.peak).sum())} of them diverged",
        )
    )
    return found


def draw(output: Output) -> None:
    """The figure, the CSV of every trajectory, and the messages."""
    drawn = trajectories(output.runs)
    output.save("figure_critical_step", figure(drawn), drawn)
    output.messages("figure_critical_step", messages(by_run(drawn)))


if __name__ == "__main__":
    main("figure_critical_step", draw)
