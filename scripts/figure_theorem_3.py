"""Theorem 3: AdaLoss on the two-layer network from every b0 and with every alpha, AdaGrad-Norm and the constant step.

python -m scripts.figure_theorem_3 --scale laptop
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.shared.output import Message, Output, every, labelled, main

TARGET, FINE = 1e-6, 1e-9  # of the initial loss; the first is what the saved bound on iterations is for
RESOLUTION = 1e-25  # of the initial loss: below, a loss is rounding
ADALOSS, ADAGRAD_NORM, CONSTANT = "adaloss", "adagrad_norm", "sgd_constant"
CELL = ["variant", "m", "b0"]
APART = {
    "method": (ADALOSS, ADAGRAD_NORM, CONSTANT),
    "method.alpha": (),
    "batch": (None,),
    "m": (),
    "b0": (),
    "seed": (),
}


def _labels(run: SavedRun) -> dict:
    """Return the axes of the sweep; a variant is a method, of AdaLoss with its alpha (nan: the method has none)."""
    config = run.config
    method, alpha = config["method"]["name"], config["method"].get("alpha", np.nan)
    variant = METHODS[method].label + (f", α = {alpha:g}" if method == ADALOSS else "")
    of_method = {"variant": variant, "method": method, "alpha": alpha}
    return of_method | {"m": config["m"], "b0": config["b0"], "seed": config["seed"]}


def trajectories(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run and recorded iteration: the loss and that of the linearised network, over the start."""
    tables = []
    for run in runs:
        losses = run.history[["loss", "linear_loss"]] / run.summary["result"]["start_loss"]
        tables.append(labelled(losses.assign(iteration=run.history.iteration), **_labels(run)))
    return pd.concat(tables, ignore_index=True)


def over_seeds(curves: pd.DataFrame) -> pd.DataFrame:
    """Return medians and ranges of the trajectories over the seeds: what the first two panels draw."""
    quantities = {"loss": ("loss", "median"), "loss_min": ("loss", "min"), "loss_max": ("loss", "max")}
    grouped = curves.groupby([*CELL, "iteration"], sort=False)
    return grouped.agg(seeds=("seed", "size"), **quantities, linear_loss=("linear_loss", "median")).reset_index()


def by_run(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run.

    ``first_b``, ``last_b`` and ``threshold`` count in units of eta ||H|| / 2, ``peak`` and ``end`` in that of the
    first loss. ``reached_after`` is the number of steps to TARGET, ``fine_after`` to FINE, ``linear_after`` that of the
    linearised network to TARGET, inf if never; ``apart`` the mean |log loss / linearised loss|.
    """
    return pd.DataFrame([_labels(run) | _measured(run.history, run.summary["result"]) for run in runs])


def _measured(history: pd.DataFrame, result: dict) -> dict[str, float]:
    steps = history.iteration.to_numpy() - 1  # the loss of iteration t is that after t - 1 steps
    loss, linear = (history[name].to_numpy() / result["start_loss"] for name in ("loss", "linear_loss"))
    seen = np.isfinite(loss) & np.isfinite(linear) & (np.minimum(loss, linear) > RESOLUTION)
    b = 2 / (history.step.to_numpy() * result["lambda_1"])
    return {
        "first_b": b[0],
        "last_b": b[-1],
        "critical_b0": result["eta"] * result["lambda_1"] / 2,
        "threshold": 1 + result["lambda_0"] / result["lambda_1"],  # Theorem 3's eta (lambda_0 + ||H||) / 2
        "peak": loss.max(),
        "end": loss[-1],
        "reached_after": _steps_to(TARGET, loss, steps),
        "fine_after": _steps_to(FINE, loss, steps),
        "linear_after": _steps_to(TARGET, linear, steps),
        "apart": np.abs(np.log(loss[seen] / linear[seen])).mean() if seen.any() else np.nan,
        "distance": history.distance.iloc[-1] / result["linear_distance"],
        "gram_change": history.gram_change.iloc[-1],
        "lambda_min": history.lambda_min.min(),
        "start_gram_error": result["start_gram_error"],
        "iterations": steps[-1] + 1,
        "iterations_bound": result.get("iterations_bound") or np.nan,
    }


def _steps_to(level: float, loss: np.ndarray, steps: np.ndarray) -> float:
    """Return after how many steps the loss stays below the level, log-linear between records; inf if never."""
    excess = np.log(loss.clip(min=1e-300)) - np.log(level)
    above = np.flatnonzero(~(excess <= 0))
    if not len(above):
        return 0.0
    last = above[-1]
    if last + 1 == len(steps) or not np.isfinite(excess[last]):
        return np.inf
    return steps[last] + (steps[last + 1] - steps[last]) * excess[last] / (excess[last] - excess[last + 1])


def beside_constant(ends: pd.DataFrame) -> pd.DataFrame:
    """Return AdaLoss's runs with ``slower``: their steps to TARGET over those of the constant step eta / b0."""
    cell = ["m", "b0", "seed"]
    constant = ends[ends.method == CONSTANT].set_index(cell).reached_after
    ours = ends[ends.method == ADALOSS].join(constant.rename("constant_after"), on=cell)
    with np.errstate(invalid="ignore"):
        return ours.assign(slower=ours.reached_after / ours.constant_after)


def figure(curves: pd.DataFrame, ends: pd.DataFrame) -> plt.Figure:
    """Draw medians and ranges over the seeds.

    Above: losses at the greatest width by alpha and by b0, and steps to TARGET. Below: what alpha and width change.
    """
    fig, axes = plt.subplots(2, 3, figsize=(11, 6.6))
    for ax in axes.flat:
        ax.set(xscale="log", yscale="log")
    widest, least = curves.m.max(), curves.b0.min()
    ours, wide = ends[ends.method == ADALOSS], ends[ends.m == widest]
    shades = _shades(ours.variant.unique())
    shown = curves[(curves.m == widest) & (curves.method == ADALOSS)]
    from_least, largest = shown[shown.b0 == least], shown[shown.alpha == shown.alpha.max()]
    _losses(axes[0, 0], from_least, "variant", f"AdaLoss from $b_0 = {least:g}$, m = {widest}")
    by_b0 = largest.assign(start=largest.b0.map("$b_0 = {:g}$".format))
    _losses(axes[0, 1], by_b0, "start", f"AdaLoss, α = {shown.alpha.max():g}, m = {widest}")
    ax = axes[0, 2]
    for variant, runs in wide.groupby("variant", sort=False):
        _, color, marker = METHODS[runs.method.iloc[0]]
        _band(ax, runs, "b0", "reached_after", shades.get(variant, color), marker, variant)
    ax.axvline(wide.critical_b0.median(), color="0.4", ls=":", lw=1)
    ax.set(xlabel="$b_0$", title=f"steps to {TARGET:g} of the loss, m = {widest}")
    ax = axes[1, 0]
    for variant, runs in ours.groupby("variant", sort=False):
        ax.scatter(runs.first_b, runs.peak, s=6, color=shades[variant], label=variant)
    ax.axvline(1, color="0.4", ls=":", lw=1)
    ax.set(xlabel=r"$b_1 / (\eta\|H^\infty\|/2)$", title="greatest loss over the first, each run")
    ax = axes[1, 1]
    compared = beside_constant(wide)
    compared = compared[compared.b0 >= compared.critical_b0]
    starts = _shades(compared.b0.unique())
    for b0, runs in compared.groupby("b0"):
        _band(ax, runs, "alpha", "slower", starts[b0], "o", f"$b_0 = {b0:g}$")
    ax.set(xlabel="α", title=f"AdaLoss's steps over the constant step's, m = {widest}")
    ax = axes[1, 2]
    for variant, runs in ours[ours.b0 == least].groupby("variant", sort=False):
        _band(ax, runs, "m", "gram_change", shades[variant], "o", variant)
    ax.set(xlabel="width m", title=rf"$\|H(k) - H(0)\|$ at the end, $b_0 = {least:g}$")
    for ax in axes.flat:
        ax.title.set_fontsize(8)
        ax.legend(*_first_of_each(ax), fontsize=6)
    seeds = ends.seed.nunique()
    fig.suptitle(f"Two-layer network, full gradient: median and range of {seeds} seeds", fontsize=10)
    return fig


def _shades(names: np.ndarray) -> dict:
    return {name: plt.get_cmap("viridis")(0.9 * k / max(len(names) - 1, 1)) for k, name in enumerate(names)}


def _first_of_each(ax: plt.Axes) -> tuple[list, list]:
    """Return the legend's handles and words."""
    words = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    return [*words.values()], [*words]


def _losses(ax: plt.Axes, curves: pd.DataFrame, by: str, title: str) -> None:
    shades = _shades(curves[by].unique())
    for name, runs in curves.groupby(by, sort=False):
        _band(ax, runs, "iteration", "loss", shades[name], None, name)
        linear = runs.groupby("iteration").linear_loss.median()
        ax.plot(linear.index, linear, color=shades[name], ls=":", lw=1)
    ax.set(ylim=(1e-16, 1e3), xlabel="iteration", title=f"{title}: loss over the first\ndotted: linearised")


def _band(ax: plt.Axes, table: pd.DataFrame, x: str, y: str, color: object, marker: str | None, label: str) -> None:
    """Draw the median of ``y`` against ``x`` with the range; what is infinite is not drawn."""
    found = table.groupby(x)[y].agg(["median", "min", "max"]).replace(np.inf, np.nan)
    ax.plot(found.index, found["median"], color=color, marker=marker, label=label)
    ax.fill_between(found.index, found["min"], found["max"], color=color, alpha=0.2, lw=0)


def messages(ends: pd.DataFrame) -> list[Message]:
    """Say for each width what the runs show of Theorem 3, and what the width changes."""
    found: list[Message] = []
    ours = ends[ends.method == ADALOSS]
    for m, runs in ours.groupby("m"):
        there = runs.end <= TARGET
        constant = ends[(ends.method == CONSTANT) & (ends.m == m) & (ends.b0 < ends.critical_b0)]
        inside = runs.first_b < 1
        by_alpha = ", ".join(
            f"{alpha:g}: {part.first_b.min():.3g} to {part.first_b.max():.3g}" for alpha, part in runs.groupby("alpha")
        )
        found += [
            Message(
                f"m = {m}",
                f"AdaLoss converges to {TARGET:g} of the loss from every b0 with every alpha",
                every(there),
                f"{there.sum()} of {len(runs)} runs; greatest loss at the end over the first {runs.end.max():.2g}",
            ),
            Message(
                f"m = {m}",
                "gradient descent with eta / b0 does not, for all b0 below eta ||H|| / 2",
                every(~(constant.end <= TARGET)),
                f"not in {(~(constant.end <= TARGET)).sum()} of {len(constant)} runs",
            ),
            Message(
                f"m = {m}",
                "some runs are in case (b): b_1 is below eta ||H|| / 2",
                bool(inside.any()),
                f"{inside.sum()} of {len(runs)} runs of AdaLoss; b_1 / (eta ||H|| / 2) by alpha {by_alpha}; greatest "
                f"loss over the first {runs.peak[inside].max():.3g} in them, else {runs.peak[~inside].max():.3g}",
            ),
        ]
    small = ours[ours.b0 == ours.b0.min()]
    for name, words in (("gram_change", "||H(k) - H(0)||"), ("apart", "the distance to the linearised network")):
        medians = small.pivot_table(index="m", columns="alpha", values=name, aggfunc="median")
        found.append(
            Message(
                f"b0 = {small.b0.min():g}",
                f"{words} falls with the width, for every alpha",
                every((np.diff(medians, axis=0) < 0).ravel()),
                "medians by width: "
                + "; ".join(
                    f"α = {alpha:g}: " + ", ".join(f"{m}: {value:.3g}" for m, value in column.items())
                    for alpha, column in medians.items()
                ),
            )
        )
    return found


def draw(output: Output) -> None:
    """Save the figure, the CSV of the curves, that of the runs, and the messages."""
    curves, ends = trajectories(output.runs), by_run(output.runs)
    output.save("figure_theorem_3", figure(curves, ends), over_seeds(curves))
    output.table("figure_theorem_3_runs", ends.map(lambda v: float(f"{v:.5g}") if isinstance(v, float) else v))
    output.messages("figure_theorem_3", messages(ends))


if __name__ == "__main__":
    main("figure_theorem_3", draw, APART)
