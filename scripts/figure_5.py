"""Figure 5: the extreme eigenvalues of H-infinity against n/d and against n, for random rows and real images.

python -m scripts.figure_5 --scale laptop
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, of_cases
from scripts.claims.sentences import Problems, Sentence, by_sentences, split
from scripts.claims.sentences import messages as sentences
from scripts.shared.output import Message, Output, labelled, main

ENDS = {"lambda_max": r"$\|H^\infty\| = \lambda_{\max}$", "lambda_min": r"$\lambda_0 = \lambda_{\min}$"}
SERIES = {"sphere": ("#0072B2", "o"), "digits": ("#D55E00", "s")}
APART = {"data": SERIES, "data.n": (), "data.d": (), "seed": ()}


def measured(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run: data, seed and everything saved."""
    return pd.concat(
        [labelled(run.history, data=run.config["data"]["name"], seed=run.config["seed"]) for run in runs],
        ignore_index=True,
    )


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return median, least and greatest over the seeds of both ends: what the figure draws."""
    drawn = table.groupby(["data", "n", "d"], as_index=False).agg(
        seeds=("seed", "size"),
        **{f"{end}{suffix}": (end, how) for end in ENDS for suffix, how in (("", "median"), ("_least", "min"))},
        **{f"{end}_greatest": (end, "max") for end in ENDS},
        expected_min=("expected_min", "first"),
        expected_max=("expected_max", "first"),
    )
    drawn.insert(3, "ratio", drawn.n / drawn.d)
    return drawn.sort_values(["data", "ratio", "n"], ignore_index=True)


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw the two ends (rows) against n/d at one n and against n (columns)."""
    fig, axes = plt.subplots(2, 2, figsize=(9, 6), sharex="col")
    sphere = drawn[drawn.data == "sphere"]
    most = sphere.n.max()
    for row, (end, label) in enumerate(ENDS.items()):
        left, right = axes[row]
        at_most, square = sphere[sphere.n == most], sphere[sphere.ratio == 1]
        _curve(left, at_most, "ratio", end, "sphere", f"uniform unit rows, n = {most}")
        _curve(right, square, "n", end, "sphere", "uniform unit rows, n/d = 1")
        _curve(right, drawn[drawn.data == "digits"], "n", end, "digits", "digits, d = 64")
        limit = "" if end == "lambda_max" else " (for n > d an upper end)"
        prediction = {"color": "0.3", "ls": "--", "lw": 1, "zorder": 0}
        if len(at_most):
            ratio = np.geomspace(at_most.ratio.min(), at_most.ratio.max(), 200)
            root = 1 + np.sqrt(ratio) if end == "lambda_max" else np.maximum(1 - np.sqrt(ratio), 0)
            left.plot(ratio, 0.25 + 0.25 * root**2, **prediction, label=f"Marchenko-Pastur for K/4 + I/4{limit}")
        for at_one in square[f"expected{end.removeprefix('lambda')}"][:1]:
            right.axhline(at_one, **prediction, label="Marchenko-Pastur for K/4 + I/4, n/d = 1")
        if len(at_most) and end == "lambda_max":
            left.plot(ratio, ratio / 4, color="0.3", ls=":", lw=1, zorder=0, label="n / (4d)")
            left.set_ylim(0.5, None)
        for ax in (left, right):
            ax.set(xscale="log", yscale="log")
            ax.legend(fontsize=7)
        left.set_ylabel(label)
    axes[1, 0].set_xlabel("n / d")
    axes[1, 1].set_xlabel("n")
    seeds = drawn.seeds.max()
    fig.suptitle(rf"Extreme eigenvalues of $H^\infty$; median and range of {seeds} seeds", fontsize=10)
    return fig


def _curve(ax: plt.Axes, curve: pd.DataFrame, against: str, end: str, series: str, label: str) -> None:
    if curve.empty:
        return
    color, marker = SERIES[series]
    ax.plot(curve[against], curve[end], color=color, marker=marker, label=label)
    ax.fill_between(curve[against], curve[f"{end}_least"], curve[f"{end}_greatest"], color=color, alpha=0.2, lw=0)


def square(table: pd.DataFrame) -> Problems:
    """Return each seed's uniform unit rows with n = d."""
    chosen = table[(table.data == "sphere") & (table.n == table.d)]
    return split(chosen, ["data"], "uniform unit rows, n/d = 1") if len(chosen) else {}


INDEPENDENT = Sentence(
    "||H_inf|| is nearly independent of n at n/d = 1",
    "greatest over least norm while n grows 16-fold",
    lambda seed: float(seed.lambda_max.max() / seed.lambda_max.min()),
    high=1.2,
)


def messages(table: pd.DataFrame, drawn: pd.DataFrame) -> list[Message]:
    """Decide when the norm is O(1), how far the predictions are off, and which bounds hold for every data set."""
    sphere, digits = drawn[drawn.data == "sphere"], drawn[drawn.data == "digits"]
    most = sphere.n.max()
    by_ratio = sphere[sphere.n == most].set_index("ratio")
    one, last = by_ratio.lambda_max[1.0], by_ratio.iloc[-1]
    off_max = (sphere.lambda_max / sphere.expected_max - 1).abs()
    worst = sphere.loc[off_max.idxmax()]
    wide, tall = sphere[sphere.ratio < 1], sphere[sphere.ratio > 1]
    off_min = (wide.lambda_min / wide.expected_min - 1).abs().max()
    slack = 1e-10 * table.k_max
    violations = (
        (table.lambda_max < np.maximum(table.k_max / 4, 0.5) - slack)
        | (table.lambda_max > table.k_max / 2 + slack)
        | (table.lambda_min < table.k_min / 2 - slack)
    )
    per_n, whole = digits.lambda_max / digits.n, digits.iloc[-1]
    return [
        Message(
            f"uniform unit rows, n = {most}",
            "||H_inf|| = O(1) holds only for n = O(d)",
            bool(by_ratio.lambda_max.is_monotonic_increasing and last.lambda_max >= last.name / 4),
            f"||H_inf|| = {one:.4g} at n/d = 1 and {last.lambda_max:.4g} at n/d = {last.name:g} "
            f"(n/(4d) = {last.name / 4:g}), growing all the way; by n/d: "
            + ", ".join(f"{ratio:g}: {value:.3g}" for ratio, value in by_ratio.lambda_max.items()),
        ),
        *sentences(square(table), (INDEPENDENT,)),
        Message(
            "uniform unit rows",
            "||H_inf|| is 1/4 + (1 + sqrt(n/d))^2 / 4 within 15 percent",
            bool(off_max.max() <= 0.15),
            f"greatest deviation {off_max.max():.1%} at n = {worst.n}, d = {worst.d}",
        ),
        Message(
            "uniform unit rows",
            "lambda_0 is 1/4 + (1 - sqrt(n/d))^2 / 4 within 5 percent for n < d, and below 1/4 for n > d",
            bool(off_min <= 0.05 and (tall.lambda_min_greatest < 0.25).all()),
            f"greatest deviation for n < d {off_min:.1%}; for n > d by n/d: "
            + ", ".join(f"{ratio:g}: {value:.3g}" for ratio, value in by_ratio.lambda_min[by_ratio.index > 1].items()),
        ),
        Message(
            "all data",
            "max(||K||/4, 1/2) <= ||H_inf|| <= ||K||/2 and lambda_0 >= lambda_min(K)/2",
            not violations.any(),
            f"{int(violations.sum())} of {len(table)} runs against it",
        ),
        Message(
            "digits",
            "||H_inf|| is not O(1) but grows in proportion to n",
            bool(per_n.max() <= 1.1 * per_n.min()),
            f"||H_inf|| / n from {per_n.min():.3g} to {per_n.max():.3g}; at n = {whole.n} ||H_inf|| = "
            f"{whole.lambda_max:.4g} and lambda_0 = {whole.lambda_min:.2g}",
        ),
    ]


def draw(output: Output) -> None:
    """Save the figure, the CSV of what it draws, and the messages."""
    table = measured(output.runs)
    drawn = over_seeds(table)
    output.save("figure_5", figure(drawn), drawn)
    output.messages("figure_5", messages(table, drawn))


def positive_gram(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether lambda_0 of H-infinity is above ``tolerance`` times its norm, for each data set and size."""
    table = sweep.of(measured).assign(ratio=lambda t: t.lambda_min / t.lambda_max)
    grouped = table.groupby(["data", "n", "d"])
    cases = {f"{data}, n = {n}, d = {d}": bool(part.ratio.min() > tolerance) for (data, n, d), part in grouped}
    least = table.loc[table.ratio.idxmin()]
    said = f"least lambda_0 / ||H_inf|| {least.ratio:.3g} ({least.data}, n = {least.n})"
    return of_cases(cases, said, tolerance=f"above {tolerance:g}")


def norm_below_n(sweep: Sweep) -> Finding:
    """Decide whether ||H-infinity|| is at most n, for each data set."""
    table = sweep.of(measured)
    share = (table.lambda_max / table.n).groupby(table.data)
    said = "greatest ||H_inf|| / n: " + ", ".join(f"{name} {values.max():.3g}" for name, values in share)
    return of_cases({name: bool(values.max() <= 1) for name, values in share}, said)


_claim = partial(Claim, sweep="figure_5", at_paper_scale="the sizes are the same at every scale")
CLAIMS = (
    _claim(
        id="assumption-2",
        quote="this condition holds as long as the training data is not degenerate",
        place="Section 4, Assumption 2",
        measure=partial(positive_gram, tolerance=1e-12),
        tolerance="eigenvalues of a matrix of this size are exact to about 1e-13 of its norm",
    ),
    _claim(
        id="norm-at-most-n",
        quote="Note that since ||H∞|| ≤ n",
        place="Section 4, after Theorem 2",
        measure=norm_below_n,
        tolerance="an inequality",
        cannot_fail="holds by proof: ||H∞|| ≤ n/2 is proved in docs/theory.md",
    ),
    _claim(
        id="figure-5-norm",
        quote="if the data matrix is approximately orthogonal, then ||H∞|| = O(1)",
        place="Section 4, Figure 5",
        measure=partial(by_sentences, problems=lambda runs: square(measured(runs)), sentences=(INDEPENDENT,)),
        tolerance="a fifth between the least and the greatest norm while n grows 16-fold",
    ),
)


if __name__ == "__main__":
    main("figure_5", draw, APART)
