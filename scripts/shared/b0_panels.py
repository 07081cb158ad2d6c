"""Panels over b0, some methods: average loss and effective step size in the paper's three windows of iterations."""

from collections.abc import Callable, Iterator, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun

WINDOWS = ((101, 200), (991, 1000), (4901, 5000))
# A program that computes y - Xw in float64 sees nothing below this fraction of the initial loss.
RESOLUTION = np.finfo(float).eps ** 2
APART = 0.03  # of an axis between the rows of arrows at its edge


def named(window: tuple[int, int]) -> str:
    """Return a window as the tables write it."""
    return f"[{window[0]}, {window[1]}]"


def by_window(runs: list[SavedRun], facts: Callable[[SavedRun], dict]) -> pd.DataFrame:
    """Return a row per run and window: method, b0, seed, mean loss (inf if it diverged), mean step size, ``facts``."""
    return pd.DataFrame([row for run in runs for row in _rows(run, facts(run))])


def _rows(run: SavedRun, facts: dict) -> Iterator[dict]:
    config, history = run.config, run.history
    of_run = {"method": config["method"]["name"], "b0": config["b0"], "seed": config["seed"]} | facts
    iteration, loss, step = (history[name].to_numpy() for name in ("iteration", "loss", "step"))
    for first, last in WINDOWS:
        inside = slice(*np.searchsorted(iteration, (first, last + 1)))
        if not len(iteration[inside]):
            raise ValueError(f"no iteration in {named((first, last))}")
        with np.errstate(invalid="ignore"):  # nan: a diverged network takes no more steps
            mean_step = np.nansum(step[inside]) / np.count_nonzero(~np.isnan(step[inside]))
        yield of_run | {"window": named((first, last)), "loss": loss[inside].mean(), "step": mean_step}


def over_seeds(table: pd.DataFrame, by: list[str], ranges: tuple[str, ...], **facts: str) -> pd.DataFrame:
    """Return what a figure draws, by ``by``: medians over seeds, extremes of ``ranges``, how many diverged.

    ``facts`` are columns of the problem and how they are joined over its seeds.
    """
    quantities = {}
    for name in ("loss", "step"):
        quantities[name] = (name, "median")
        if name in ranges:
            quantities |= {f"{name}_{end}": (name, end) for end in ("min", "max")}
    grouped = table.groupby(by, sort=False)
    return grouped.agg(
        seeds=("seed", "size"),
        diverged=("loss", lambda loss: int(np.isinf(loss).sum())),
        **quantities,
        **{name: (name, how) for name, how in facts.items()},
    ).reset_index()


def pivoted(seed: pd.DataFrame, quantity: str, window: int, floor: float = 0.0) -> pd.DataFrame:
    """Return a quantity of one seed's runs in a window: a row per b0, a column per method, at least ``floor``."""
    chosen = seed[seed.window == named(WINDOWS[window])]
    return chosen.pivot(index="b0", columns="method", values=quantity).clip(lower=floor)


def compared(seed: pd.DataFrame, window: int, floor: float) -> pd.Series:
    """Return the loss of AdaLoss over AdaGrad-Norm's by b0, where not both are at the floor of what can be told."""
    loss = pivoted(seed, "loss", window, floor)[["adaloss", "adagrad_norm"]]
    return (loss["adaloss"] / loss["adagrad_norm"])[(loss > floor).any(axis=1)]


def figure(chosen: pd.DataFrame, limits: Mapping[str, tuple[float, float]], critical: str, title: str) -> plt.Figure:
    """Draw 2 x 3 panels with the axes' ``limits``; a median outside them is drawn at the edge, pointing outwards.

    There each method has a row of its own, so that none hides another. A step is drawn where the loss is finite. Bands
    are drawn where the table has a range; ``critical`` labels the line at the problem's critical b0.
    """
    shown = {name: look for name, look in METHODS.items() if (chosen.method == name).any()}
    fig, axes = plt.subplots(2, len(WINDOWS), figsize=(10, 5.6), sharex=True, sharey="row")
    for row, quantity in enumerate(("loss", "step")):
        low, high = limits[quantity]
        for ax, window in zip(axes[row], WINDOWS, strict=True):
            panel = chosen[chosen.window == named(window)]
            for k, (name, (label, color, marker)) in enumerate(shown.items()):
                curve = panel[panel.method == name]
                median = curve[quantity].where(np.isfinite(curve.loss) | (quantity == "loss"))
                middle, inside = median.clip(low, high), (median > low) & (median < high)
                ax.plot(curve.b0, middle, color=color, marker=marker, markevery=inside.tolist(), label=label)
                apart = (high / low) ** (k * APART)
                for arrow, outside, edge in (("^", median >= high, high / apart), ("v", median <= low, low * apart)):
                    b0 = curve.b0[outside]
                    ax.scatter(
                        b0, [edge] * len(b0), s=25, color=color, marker=arrow, clip_on=False, zorder=3
                    ).set_in_layout(False)
                if f"{quantity}_min" in curve:
                    least, most = (curve[f"{quantity}_{end}"].clip(low, high) for end in ("min", "max"))
                    ax.fill_between(curve.b0, least, most, color=color, alpha=0.2, lw=0)
            ax.axvline(panel.critical_b0.iloc[0], color="0.4", ls=":", lw=1, label=critical)
            ax.set(xscale="log", yscale="log", ylim=(low, high))
            if row == 0:
                ax.set_title(f"iterations {named(window)}")
            else:
                ax.set_xlabel("$b_0$")
    axes[0, 0].set_ylabel("average loss")
    axes[1, 0].set_ylabel(r"effective step size $\eta / b_t$")
    fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    fig.suptitle(title, fontsize=10)
    return fig
