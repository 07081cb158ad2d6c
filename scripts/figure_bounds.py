"""The bounds of the theory compared with trajectories: exit index N, b_max and T over random problems.

python -m scripts.figure_bounds --scale laptop
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, of_cases
from scripts.shared.output import Message, Output, main

METHOD_OF = {1: "adaloss", 2: "adagrad_norm"}
LEVELS = (0.5, 0.9, 0.99)
SHOWN = LEVELS[:2]  # in the figure and the messages
# The bounds of N, docs A1: the paper's, two of ours, and the least of all.
EXITS = {"paper": "Lemma 1 as printed", "log": "log", "two": "two", "best": "least of all"}
APART = {"p": METHOD_OF, "d": (), "seed": ()}


def problems(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per random problem, with its method and dimension."""
    return pd.concat(
        [run.history.assign(method=METHOD_OF[run.config["p"]], d=run.config["d"]) for run in runs], ignore_index=True
    )


def starts_large(table: pd.DataFrame) -> pd.Series:
    """Return where b_1 >= eta (lambda_1 + lambda_0) / 2."""
    return table.beta_1 >= (1 + 1 / table.condition) / 2


def starts_small(table: pd.DataFrame) -> pd.Series:
    """Return where b_0 < 0.4 eta lambda_1."""
    return table.beta_0 < 0.4


def unrolled(table: pd.DataFrame) -> list[int]:
    """Return the numbers of exact steps after which N is bounded."""
    return sorted(int(name.rsplit("_", 1)[1]) for name in table if name.startswith("exit_paper_"))


def after(k: int) -> str:
    """Say it."""
    return f"after {k} exact step{'s' if k > 1 else ''}" if k else "a priori"


def exit_ratio(table: pd.DataFrame, name: str, k: int) -> pd.Series:
    """Return bound / measured of N + 1 where b crosses the threshold."""
    return ((table[f"exit_{name}_{k}"] + 1) / (table.exit_index + 1))[table.exit_index > 0]


def ratios(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return bound / measured of every bound, on the problems that it is meant for."""
    done, large, small = ~table.stopped, starts_large(table), starts_small(table)
    exited = table.exit_index > 0
    steps = unrolled(table)
    found = {
        "b_max, sharp": (table.b_max / table.b_end)[done],
        "b_max, headline": (table.b_max_headline / table.b_end)[done],
    }
    for name, label in EXITS.items():
        for k in steps:
            found[f"N + 1, {label}, {after(k)}"] = exit_ratio(table, name, k)
    for where, chosen, bound in (
        ("b_1 >= eta (lambda_1 + lambda_0) / 2", large, "bound"),
        ("window: b_1 >= eta lambda_1 / 2, but below the former", ~large & (table.beta_1 >= 0.5), "bound"),
        ("b_0 < 0.4 eta lambda_1, a priori", small, "bound"),
        ("b_0 < 0.4 eta lambda_1, first step exact", small, "first"),
        ("b_0 < 0.4 eta lambda_1, after at most 8 exact steps", small, "unrolled"),
        ("restarted at the exit", exited, "restarted"),
    ):
        both = [(table[f"t_{q}_{bound}"] / table[f"t_{q}"])[chosen & done & (table[f"t_{q}"] > 0)] for q in (0, 1)]
        found[f"T, {where}"] = pd.concat(both)
    both = [(table[f"t_{q}"] / table[f"t_{q}_least"])[done & (table[f"t_{q}_least"] > 0)] for q in (0, 1)]
    found["T, measured over its lower bound"] = pd.concat(both)
    return found


def quantiles(table: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of bound / measured: 1 is exact, below 1 would be a violation."""
    rows = []
    for name, ratio in ratios(table).items():
        values = ratio.quantile(list(LEVELS), interpolation="lower")
        rows.append({"bound": name, "problems": len(ratio)} | {f"{level:.0%}": values[level] for level in LEVELS})
    return pd.DataFrame(rows)


def figure(table: pd.DataFrame) -> plt.Figure:
    """Draw measured against bound: N, b_max, and T for large b_1 and for small b_0; the diagonal is exact."""
    fig, axes = plt.subplots(2, 3, figsize=(13, 8))
    large, small = (starts(table) & ~table.stopped & (table.t_0 > 0) for starts in (starts_large, starts_small))
    panels = (
        ("exit index $N + 1$", table.exit_index > 0, table.exit_index + 1, table.exit_best_0 + 1),
        (r"greatest $b / (\eta\lambda_1)$", ~table.stopped, table.b_end, table.b_max),
        (r"$T$, $b_1 \geq \eta(\lambda_1 + \lambda_0)/2$", large, table.t_0, table.t_0_first),
        (r"$T$, $b_0 < 0.4\,\eta\lambda_1$", small, table.t_0, table.t_0_first),
        ("$T$, lower bound", ~table.stopped & (table.t_0_least > 0), table.t_0, table.t_0_least),
    )
    for ax, (title, chosen, measured, bound) in zip(axes.flat[[0, 2, 3, 4, 5]], panels, strict=True):
        for method in METHOD_OF.values():
            label, color, marker = METHODS[method]
            here = chosen & (table.method == method)
            ax.plot(measured[here], bound[here], marker, color=color, ms=2, alpha=0.3, label=label, rasterized=True)
        ax.set(title=title, xlabel="measured", ylabel="bound")
        if chosen.any():
            ends = [measured[chosen].min(), measured[chosen].max()]
            ax.plot(ends, ends, color="0.3", lw=1)
            ax.set(xscale="log", yscale="log")
    axes[0, 0].legend()
    _unrolling(axes[0, 1], table)
    fig.suptitle(f"Bounds of {len(table)} random problems; none may lie below the diagonal, no lower bound above it")
    return fig


def _unrolling(ax: plt.Axes, table: pd.DataFrame) -> None:
    """Draw how near the bounds of N come after exact steps: medians, and 90 % quantiles dashed."""
    steps = unrolled(table)
    for name in ("paper", "log", "two"):
        levels = [exit_ratio(table, name, k).quantile(SHOWN, interpolation="lower") for k in steps]
        median, high = np.transpose(levels)
        [line] = ax.plot(range(len(steps)), median, "o-", label=EXITS[name])
        ax.plot(range(len(steps)), high, "o--", color=line.get_color())
    ax.axhline(1, color="0.3", lw=1)
    ax.set(title="bound / measured of $N + 1$: median, dashed 90 %", xlabel="exact steps first", yscale="log")
    ax.set_xticks(range(len(steps)), steps)
    ax.legend()


def messages(table: pd.DataFrame) -> list[Message]:
    """Count the violations of each proved statement, and say how near the bounds of N come."""
    found = []
    for method, of_method in table.groupby("method", sort=False):
        counts = of_method.filter(like="violations_").sum()
        checked = f"{len(of_method)} problems, d = {of_method.d.min()}..{of_method.d.max()}"
        outlived = f"{int(of_method.stopped.sum())} of them stopped early (then one-sided checks)"
        each = ", ".join(f"{name.removeprefix('violations_')}: {count}" for name, count in counts.items())
        found.append(
            Message(
                METHODS[method].label,
                "no proved bound is violated",
                bool(counts.sum() == 0),
                f"{checked}, {outlived}; {each}",
            )
        )
        found.append(
            Message(
                METHODS[method].label,
                "no bound of N, a priori or after exact steps, is below it",
                bool(counts.violations_n == 0),
                "bound / measured of N + 1, median and 90 % quantile "
                + "; ".join(f"{after(k)}: {_levels(of_method, k)}" for k in unrolled(table)),
            )
        )
    return found


def _levels(table: pd.DataFrame, k: int) -> str:
    each = {label: exit_ratio(table, name, k).quantile(SHOWN, interpolation="lower") for name, label in EXITS.items()}
    return ", ".join(f"{label} {median:.3g} and {high:.3g}" for label, (median, high) in each.items())


def draw(output: Output) -> None:
    """Save the figure, the CSV of measured and bounded, the quantiles, and the messages."""
    table = problems(output.runs)
    tightness = quantiles(table)
    with pd.option_context("display.width", 160, "display.max_colwidth", 70, "display.float_format", "{:.3g}".format):
        output.lines.append(tightness.replace(np.inf, np.nan).to_string(index=False, na_rep="inf"))
    drawn = ["method", "d", "stopped", "exit_index", "exit_best_0", "b_end", "b_max"]
    drawn += ["t_0", "t_0_bound", "t_0_first", "t_0_least"]
    output.save("figure_bounds", figure(table), tightness)
    output.messages("figure_bounds", messages(table))
    output.table("figure_bounds_problems", table[drawn].map(lambda v: float(f"{v:.5g}") if isinstance(v, float) else v))


def exit_bound(sweep: Sweep, *, method: str) -> Finding:
    """Decide whether N is at most Lemma 1's bound in each random problem that crosses the threshold."""
    table = sweep.of(problems)
    chosen = table[(table.method == method) & (table.exit_index > 0)]
    kept = chosen.exit_index <= (chosen.exit_paper_0 + 1) * (1 + 1e-9)
    tight = ((chosen.exit_paper_0 + 1) / chosen.exit_index).median()
    said = f"N within it in {kept.sum()} of {len(kept)} random problems; median of bound / N {tight:.3g}"
    return of_cases({"all problems": bool(kept.all()) if len(kept) else None}, said)


def unviolated(sweep: Sweep, *, method: str, checks: list[str]) -> Finding:
    """Decide whether none of the checks, columns ``violations_*`` of the runs, failed in any random problem."""
    table = sweep.of(problems)
    counts = table[table.method == method][[f"violations_{check}" for check in checks]].sum()
    problems_, stopped = (table.method == method).sum(), table[table.method == method].stopped.mean()
    said = f"violations in {problems_} random problems ({stopped:.0%} stopped early: one-sided checks): " + ", ".join(
        f"{name.removeprefix('violations_')} {count}" for name, count in counts.items()
    )
    return of_cases({check: bool(count == 0) for check, count in zip(checks, counts, strict=True)}, said)


_claim = partial(
    Claim, sweep="figure_bounds", at_paper_scale="ten times as many problems; the statement is proved in docs/theory.md"
)
PROVED = "it is proved (docs/theory.md, A1 and A5): a violation would be an error of ours"
CLAIMS = (
    _claim(
        id="linear-convergence-adaloss",
        quote="We prove that this schedule enjoys linear convergence in linear regression",
        place="Abstract",
        measure=partial(unviolated, method="adaloss", checks=["t_bound", "t_first", "t_unrolled", "t_restarted"]),
        tolerance="our explicit T, linear in log(1/eps), must hold in every problem; the runs allow 1e-9 for rounding",
        cannot_fail=PROVED,
    ),
    _claim(
        id="theorem-1-any-b0",
        quote="admits a linear convergence O(log(1/ε)) for any b0 (Theorem 1)",
        place="Section 3, before Theorem 1",
        measure=partial(unviolated, method="adagrad_norm", checks=["t_bound", "t_first", "t_unrolled", "t_restarted"]),
        tolerance="our explicit T, linear in log(1/eps), must hold in every problem; the runs allow 1e-9 for rounding",
        cannot_fail=PROVED,
    ),
    _claim(
        id="independent-of-accuracy",
        quote="taking significantly fewer iterations, independent of the prescribed accuracy ε",
        place="Section 3, before Lemma 1",
        measure=partial(unviolated, method="adagrad_norm", checks=["n"]),
        tolerance="N must keep to bounds without eps in every problem; the runs allow 1e-9 for rounding",
        cannot_fail=PROVED,
    ),
    _claim(
        id="lemma-1-adagrad-norm",
        quote="(AdaGrad-Norm) N ≤",
        place="Lemma 1",
        measure=partial(exit_bound, method="adagrad_norm"),
        tolerance="a bound must hold in every problem, with 1e-9 for rounding; read as log(1 + y) / log(1 + 4 s_0 /"
        " η²) + 1",
        cannot_fail=PROVED,
    ),
    _claim(
        id="lemma-1-adaloss",
        quote="(AdaLoss) N ≤",
        place="Lemma 1",
        measure=partial(exit_bound, method="adaloss"),
        tolerance="a bound must hold in every problem, with 1e-9 for rounding; read as log(1 + y) / log(1 + 4 s_0 /"
        " (η²λ1)) + 1",
        cannot_fail=PROVED,
    ),
)


if __name__ == "__main__":
    main("figure_bounds", draw, APART)
