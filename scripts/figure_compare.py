"""Optimizers side by side: the final accuracy or loss over each one's own initial step, and how wide it stays good.

python -m scripts.figure_compare --scale laptop

**Width.** v_k is the mean over seeds at the k-th step; a diverged training counts as accuracy 0, or infinite loss. A
value is good where it is at most one point of accuracy below the reference, or at most twice its loss. The width is the
length, in decades, of the interval of steps around the optimizer's best one in which all values are good. The interval
ends where the straight line between the last good value and the next (accuracy or log loss, over the logarithm of the
step) leaves the band, at the last good step itself if the next loss is infinite, and at the grid's end, beyond which
nothing was tried. The reference is the optimizer's own best value (``own``) or the best of all optimizers on the
problem (``overall``; the width is 0 where the own best is not good). Among equal bests the one with the widest interval
counts.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.shared.output import Message, Output, main

POINT, FACTOR = 0.01, 2.0  # the bands: of accuracy, of loss
NEAR = 1.05  # of a loss, for a start from a known lr
OURS = ("adaloss", "adaloss_like", "adagrad_norm", "adamloss", "adamloss_like")
_PACKAGES = {
    "torch": ("black", "x"),
    "dadaptation": ("#009E73", "v"),
    "schedulefree": ("#E69F00", "^"),
    "momo-opt": ("#56B4E9", "P"),
    "one": ("#CC79A7", "D"),  # of the libraries that have one optimizer here, at most one a family
    "another": ("#7F7F7F", "*"),
}
_LIKE = ("#882255", "h")  # our start from a known lr
# family -> optimizer -> label, colour, marker; one colour for a library, and for each of the paper's methods its own
FAMILIES = {
    "SGD": {
        "adaloss": METHODS["adaloss"],
        "adaloss_like": ("AdaLoss.like", *_LIKE),
        "adagrad_norm": METHODS["adagrad_norm"],
        "sgd": ("SGD", *_PACKAGES["torch"]),
        "dadapt_sgd": ("D-Adapt SGD", *_PACKAGES["dadaptation"]),
        "dog": ("DoG", *_PACKAGES["one"]),
        "schedule_free_sgd": ("Schedule-free SGD", *_PACKAGES["schedulefree"]),
        "momo": ("MoMo", *_PACKAGES["momo-opt"]),
        "alig": ("ALI-G", *_PACKAGES["another"]),
    },
    "Adam": {
        "adamloss": METHODS["adamloss"],
        "adamloss_like": ("AdamLoss.like", *_LIKE),
        "adam": METHODS["adam"],
        "prodigy": ("Prodigy", *_PACKAGES["one"]),
        "dadapt_adam": ("D-Adapt Adam", *_PACKAGES["dadaptation"]),
        "schedule_free_adamw": ("Schedule-free AdamW", *_PACKAGES["schedulefree"]),
        "momo_adam": ("MoMo-Adam", *_PACKAGES["momo-opt"]),
    },
}
BASES = {"sgd": "adaloss", "adam": "adamloss"}  # torch's, and ours that drives it
LABELS = {name: label for family in FAMILIES.values() for name, (label, *_) in family.items()}
APART = {"problem": (), "optimizer": LABELS, "step": (), "seed": ()}


def over_seeds(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per problem, optimizer and step: mean, least and greatest final value over the seeds."""
    rows = []
    for run in runs:
        result = run.summary["result"]
        rows.append(
            {
                "problem": run.config["problem"]["name"],
                "metric": result["metric"],
                "optimizer": run.config["optimizer"],
                "package": result["package"],
                "step": run.config["step"],
                "value": np.inf if result["final"] is None else result["final"],
                "diverged": run.summary["status"] == "diverged",
                "optimal_loss": result.get("optimal_loss", np.nan),
            }
        )
    keys = ["problem", "metric", "optimizer", "package", "step"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    return grouped.agg(
        seeds=("value", "size"),
        diverged=("diverged", "sum"),
        value=("value", "mean"),
        value_min=("value", "min"),
        value_max=("value", "max"),
        optimal_loss=("optimal_loss", "mean"),
    ).reset_index()


def interval(x: np.ndarray, height: np.ndarray, limit: float) -> tuple[float, float, int]:
    """Return the interval around the least ``height`` where it is at most ``limit``: its ends and grid points.

    (nan, nan, 0) where no height is. Equal least heights: the widest of their intervals.
    """
    found = (np.nan, np.nan, 0)
    for k in np.flatnonzero((height == height.min()) & (height <= limit)):
        ends = []
        for way in (-1, 1):
            last = k
            while 0 <= last + way < len(x) and height[last + way] <= limit:
                last += way
            end, beyond = x[last], last + way
            if 0 <= beyond < len(x) and np.isfinite(height[beyond]):
                share = (limit - height[last]) / (height[beyond] - height[last])
                end += share * (x[beyond] - x[last])
            ends.append((end, last))
        (low, first), (high, last) = ends
        if not found[2] or high - low > found[1] - found[0]:
            found = (float(low), float(high), int(last - first + 1))
    return found


def heights(metric: str, values: pd.Series) -> tuple[np.ndarray, float]:
    """Return what the band is measured in, smaller being better, and the band's height in it."""
    if metric == "accuracy":
        return -values.to_numpy(), POINT
    return np.log10(values.to_numpy()), np.log10(FACTOR)


def best_step(metric: str, curve: pd.Series) -> float:
    """Return the best step of a curve whose values are indexed by their steps."""
    return curve.index[heights(metric, curve)[0].argmin()]


def widths(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return one row per problem and optimizer: best value and step, and both widths with the interval's ends."""
    rows = []
    for (problem, metric), of_problem in drawn.groupby(["problem", "metric"], sort=False):
        overall = heights(metric, of_problem.value)[0].min()
        for optimizer, curve in of_problem.groupby("optimizer", sort=False):
            curve = curve.sort_values("step")
            height, band = heights(metric, curve.value)
            best = int(height.argmin())
            row = {
                "problem": problem,
                "metric": metric,
                "optimizer": optimizer,
                "package": curve.package.iloc[0],
                "best": curve.value.iloc[best],
                "best_step": curve.step.iloc[best],
                "diverged": int(curve.diverged.sum()),
                "trainings": int(curve.seeds.sum()),
            }
            x = np.log10(curve.step.to_numpy())
            for name, reference in (("own", height[best]), ("overall", overall)):
                # all diverged: no value is good
                low, high, points = interval(x, height, reference + band if np.isfinite(reference) else -np.inf)
                row |= {
                    f"width_{name}": high - low if points else 0.0,
                    f"from_{name}": 10**low,
                    f"to_{name}": 10**high,
                    f"points_{name}": points,
                    f"open_{name}": bool(points) and (low == x[0] or high == x[-1]),
                }
            rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return the table for readers; "≥" where the interval reaches the grid's end."""

    def shown(row: object, name: str) -> str:
        return f"{'≥ ' * getattr(row, f'open_{name}')}{getattr(row, f'width_{name}'):.1f}"

    lines = []
    for (problem, metric), rows in table.groupby(["problem", "metric"], sort=False):
        band = "1 point" if metric == "accuracy" else f"factor {FACTOR:g}"
        lines += [
            f"### {problem}: final {metric}",
            "",
            f"| optimizer | best | at step | decades within {band} of own best | of the overall best | diverged |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows.itertuples():
            name = f"**{LABELS[row.optimizer]}**" if row.optimizer in OURS else LABELS[row.optimizer]
            best = f"{row.best:.1%}" if metric == "accuracy" else f"{row.best:.3g}"
            lines.append(
                f"| {name} | {best} | {row.best_step:g} | {shown(row, 'own')} | {shown(row, 'overall')} "
                f"| {row.diverged} of {row.trainings} |"
            )
        lines.append("")
    return "\n".join(lines)


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw a column per problem: above SGD's kind, below Adam's. What left the axis is on its edge."""
    problems = list(dict.fromkeys(zip(drawn.problem, drawn.metric, strict=True)))
    fig, axes = plt.subplots(
        len(FAMILIES), len(problems), figsize=(3.6 * len(problems), 6.6), sharex=True, sharey="col", squeeze=False
    )
    for column, (problem, metric) in enumerate(problems):
        chosen = drawn[drawn.problem == problem]
        height, band = heights(metric, chosen.value)
        best, error = height.min(), metric == "accuracy"
        shown = chosen.assign(
            **{name: 1 - chosen[name] if error else chosen[name] for name in ("value", "value_min", "value_max")}
        )
        ends = shown[["value_min", "value_max"]].to_numpy()
        low = (max(ends.min(), 1e-4) if error else ends[ends > 0].min()) / 1.3  # an error of 0 is on the edge
        high = (
            1.0 if error else 20 * shown[shown.step == shown.step.min()].value.median()
        )  # about the loss at the start
        good = 1 + best + band if error else 10 ** (best + band)
        for row, (family, optimizers) in enumerate(FAMILIES.items()):
            ax = axes[row, column]
            for name, (label, color, marker) in optimizers.items():
                curve = shown[shown.optimizer == name].sort_values("step")
                ours = name in OURS
                middle, least, most = (curve[f"value{end}"].clip(low, high) for end in ("", "_min", "_max"))
                style = {"color": color, "zorder": 3 if ours else 2, "lw": 2.0 if ours else 1.0}
                ax.plot(curve.step, middle, marker=marker, ms=4.5 if ours else 3.5, label=label, **style)
                ax.fill_between(curve.step, least, most, color=color, alpha=0.12, lw=0)
            ax.axhline(good, color="0.4", ls=":", lw=1)
            ax.set(xscale="log", yscale="log", ylim=(low, 1.03 * high))
            if row == 0:
                ax.set_title(problem.replace("_", " "))
            else:
                ax.set_xlabel("initial step (each optimizer's own)")
            ax.set_ylabel(f"{family}'s kind: {'1 − test accuracy' if error else 'final loss'}")
    for row, family in enumerate(FAMILIES):
        axes[row, -1].legend(title=f"{family}'s kind", loc="center left", bbox_to_anchor=(1.02, 0.5))
    fig.suptitle(
        f"Final value against the initial step; mean and range of {drawn.seeds.max()} seeds; "
        "dotted: one point, or a factor 2 in loss, from the best of all",
        fontsize=10,
    )
    return fig


def messages(table: pd.DataFrame) -> list[Message]:
    """Decide whether ours are as robust as the method they are built on, and as every peer of their kind."""
    found = []
    for problem, rows in table.groupby("problem", sort=False):
        rows = rows.set_index("optimizer")
        for family, (ours, base) in {"SGD": ("adaloss", "sgd"), "Adam": ("adamloss", "adam")}.items():
            for name, words in (("own", "its own best"), ("overall", "the best of all optimizers")):
                width = rows.loc[list(FAMILIES[family]), f"width_{name}"]
                found.append(
                    Message(
                        problem,
                        f"{LABELS[ours]} stays near {words} over more decades than {LABELS[base]}",
                        bool(width[ours] > width[base]),
                        f"{width[ours]:.2f} and {width[base]:.2f} decades",
                    )
                )
                peers = width.drop([other for other in OURS if other in width.index])
                found.append(
                    Message(
                        problem,
                        f"no peer of {family}'s kind stays near {words} over more decades than {LABELS[ours]}",
                        bool((peers <= width[ours]).all()),
                        f"{LABELS[ours]} {width[ours]:.2f}; "
                        + ", ".join(f"{LABELS[peer]} {value:.2f}" for peer, value in peers.items()),
                    )
                )
    return found


def known_lr(drawn: pd.DataFrame) -> list[Message]:
    """Decide whether ``like``, given the best step of SGD or Adam as lr, ends at least nearly as well."""
    found = []
    for (problem, metric), rows in drawn.groupby(["problem", "metric"], sort=False):
        for base, driven in BASES.items():
            like = f"{driven}_like"
            theirs, ours = (rows[rows.optimizer == name].set_index("step").value for name in (base, like))
            step = best_step(metric, theirs)
            near = theirs[step] - POINT if metric == "accuracy" else theirs[step] * NEAR
            found.append(
                Message(
                    problem,
                    f"with {LABELS[base]}'s best lr {LABELS[like]} ends within "
                    f"{'one point' if metric == 'accuracy' else f'{NEAR - 1:.0%}'} of it",
                    bool(ours[step] >= near if metric == "accuracy" else ours[step] <= near),
                    f"lr {step:g}: {LABELS[like]} {ours[step]:.4g}, {LABELS[base]} {theirs[step]:.4g}",
                )
            )
    return found


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the table of widths (CSV and Markdown), and the messages."""
    drawn = over_seeds(output.runs)
    output.save("figure_compare", figure(drawn), drawn)
    table = widths(drawn)
    output.table("figure_compare_widths", table)
    output.text("figure_compare_widths.md", markdown(table))
    output.messages("figure_compare", messages(table) + known_lr(drawn))


if __name__ == "__main__":
    main("figure_compare", draw, APART)
