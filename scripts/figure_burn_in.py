"""Burn-in (Lemma 1): how b_t climbs past eta lambda_1 / 2, and what every eigendirection's error does meanwhile.

python -m scripts.figure_burn_in --scale laptop
"""

from collections.abc import Iterator
from functools import partial
from math import inf, isfinite

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, by_key, of_parts
from scripts.figure_critical_step import stays_below
from scripts.shared.output import Message, Output, labelled, main

SHOWN = ("adaloss", "adagrad_norm")
ERRORS_OF = (0.1, 30.0, 45.0)  # the b0 whose eigendirections are shown
APART = {"data": ("spectrum",), "method": SHOWN, "batch": (None,), "b0": ()}


def trajectories(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run and iteration: b_{t+1} / (eta lambda_1), s_t^(i), the exit index N and each eigenvalue."""
    tables = []
    for run in runs:
        config = run.config
        table = run.history.drop(columns="loss")
        # The step is eta / b_{t+1}, so eta cancels.
        table["b_ratio"] = 1 / (table.pop("step") * run.summary["result"]["lambda_1"])
        past = table.b_ratio.to_numpy() >= 0.5
        exit_index = int(past.argmax()) if past.any() else -1
        tables.append(labelled(table, method=config["method"]["name"], b0=config["b0"], exit_index=exit_index))
    return pd.concat(tables, ignore_index=True)


def figure(drawn: pd.DataFrame, eigenvalues: list[float]) -> plt.Figure:
    """Draw a column per method. First row: b; below, one row per b0: the errors, with the exit marked."""
    methods = [method for method in SHOWN if (drawn.method == method).any()]
    errors_of = [b0 for b0 in ERRORS_OF if (drawn.b0 == b0).any()] or sorted(drawn.b0.unique())[:1]
    fig, axes = plt.subplots(1 + len(errors_of), len(methods), figsize=(9, 9), sharex=True, sharey="row", squeeze=False)
    shades = plt.get_cmap("viridis")
    for column, method in enumerate(methods):
        of_method = drawn[drawn.method == method]
        ax = axes[0, column]
        starts = of_method.b0.unique()
        for k, b0 in enumerate(starts):
            curve = of_method[of_method.b0 == b0]
            color = shades(0.9 * k / max(len(starts) - 1, 1))
            ax.plot(curve.iteration, curve.b_ratio, color=color, label=f"$b_0 = {b0:g}$")
            exit_row = curve.iloc[curve.exit_index.iloc[0]]
            ax.plot(exit_row.iteration, exit_row.b_ratio, "o", color=color, ms=5)
        ax.axhline(0.5, color="0.4", ls=":", lw=1)
        ax.set(xscale="log", yscale="log", title=METHODS[method].label)
        for row, b0 in enumerate(errors_of, start=1):
            ax, curve = axes[row, column], of_method[of_method.b0 == b0]
            for i, eigenvalue in enumerate(eigenvalues, start=1):
                shade = shades(0.9 * (i - 1) / max(len(eigenvalues) - 1, 1))
                ax.plot(curve.iteration, curve[f"s_{i}"], color=shade, label=rf"$\lambda_{i} = {eigenvalue:g}$")
            n = curve.exit_index.iloc[0]
            ax.axvline(n + 1, color="0.4", ls=":", lw=1)
            ax.set_title(f"$b_0 = {b0:g}$: exit index $N = {n}$", fontsize=8)
            ax.set_yscale("log")
            ax.set_ylim(1e-18, None)
        axes[-1, column].set_xlabel("iteration $t + 1$")
    axes[0, 0].set_ylabel(r"$b_{t+1} / (\eta\lambda_1)$")
    for ax in axes[1:, 0]:
        ax.set_ylabel(r"error $s_t^{(i)}$")
    axes[0, -1].legend(fontsize=7)
    axes[1, -1].legend(fontsize=7)
    fig.suptitle(r"Burn-in: $b$ passes $\eta\lambda_1/2$ (dotted) at the exit index $N$; until then direction 1 grows")
    return fig


def messages(drawn: pd.DataFrame, eigenvalues: list[float]) -> list[Message]:
    """Decide equation (7)'s turning points, and the exit index of both methods."""
    found = []
    for method, of_method in drawn.groupby("method", sort=False):
        against = 0
        for _, curve in of_method.groupby("b0"):
            s = curve[[f"s_{i}" for i in range(1, len(eigenvalues) + 1)]].to_numpy()
            b_ratio = curve.b_ratio.to_numpy()[:-1, None]
            grows = b_ratio <= np.array(eigenvalues) / eigenvalues[0] / 2
            # Every projection carries the rounding error of the greatest error so far, about eps^2 times its square.
            seen = s > 1e6 * np.finfo(float).eps ** 2 * np.maximum.accumulate(s.max(axis=1))[:, None]
            against += int(np.sum(seen[1:] & (grows != (s[1:] >= s[:-1]))))
        exits = of_method.groupby("b0").exit_index.first()
        found.append(
            Message(
                METHODS[method].label,
                "s_t^(i) grows while b_{t+1} <= eta lambda_i / 2 and shrinks from then on",
                against == 0,
                f"{against} steps against it; exit index N by b0: "
                + ", ".join(f"{b0:g}: {n}" for b0, n in exits.items()),
                key="grows_while",
            )
        )
    return found


def draw(output: Output) -> None:
    """Save the figure, the CSV of every trajectory, and the messages."""
    drawn = trajectories(output.runs)
    eigenvalues = output.runs[0].config["data"]["eigenvalues"]
    output.save("figure_burn_in", figure(drawn, eigenvalues), drawn)
    output.messages("figure_burn_in", messages(drawn, eigenvalues))


def decided(sweep: Sweep) -> list[Message]:
    """Return the sentences about these runs."""
    return messages(trajectories(sweep.runs), sweep.runs[0].config["data"]["eigenvalues"])


def _of_adagrad_norm(sweep: Sweep) -> Iterator[tuple[str, SavedRun]]:
    runs = (run for run in sweep.runs if run.config["method"]["name"] == "adagrad_norm")
    yield from ((f"b0 = {run.config['b0']:g}", run) for run in runs)


def logarithmic(sweep: Sweep, *, coarse: float, fine: float, factor: float) -> Finding:
    """Decide whether AdaGrad-Norm's loss needs at most ``factor`` times as long to fall to ``fine`` as to ``coarse``.

    Both are shares of its greatest value; each b0 is a case.
    """
    parts = {}
    for name, run in _of_adagrad_norm(sweep):
        loss, iteration = run.history.loss, run.history.iteration
        first, then = (stays_below(loss, iteration, eps * loss.max()) for eps in (coarse, fine))
        parts[name] = bool(then <= factor * first) if isfinite(then) else None, f"{then / first:.3g}"
    return of_parts(parts, f"T({fine:g}) / T({coarse:g}): ", tolerance=f"a factor {factor:g}")


def fewer(sweep: Sweep, *, share: float) -> Finding:
    """Decide whether N is at most ``share`` of ((eta lambda_1)^2 - 4 b_0^2) / eps at eps = 1, the strictest there is.

    Each b0 below eta lambda_1 / 2 is a case, of AdaGrad-Norm.
    """
    parts = {}
    for name, run in _of_adagrad_norm(sweep):
        config, result = run.config, run.summary["result"]
        earlier = (config["eta"] * result["lambda_1"]) ** 2 - 4 * config["b0"] ** 2
        past = config["eta"] / run.history.step.to_numpy() >= config["eta"] * result["lambda_1"] / 2
        if earlier > 0:
            n = int(past.argmax()) if past.any() else inf
            parts[name] = n <= share * earlier, f"{n} of {earlier:.4g}"
    return of_parts(parts, "N of the earlier number at eps = 1: ", tolerance=f"{share:.0%}")


_claim = partial(Claim, sweep="figure_burn_in", at_paper_scale="the same runs at every scale")
CLAIMS = (
    _claim(
        id="direction-grows-until-half",
        quote="each i-th sequence {s_k^(i)} is monotone increasing up to b_t ≤ ηλi/2",
        place="Section 3, equation (7)",
        measure=partial(by_key, decided=decided, keys=["grows_while"]),
        rule="s_t^(i) grows while b_{t+1} <= eta lambda_i / 2 and shrinks from then on, at every recorded step.",
        tolerance="every step of every direction is checked, down to the rounding of its projection",
        cannot_fail="holds by proof: an exact consequence of equation (7)",
    ),
    _claim(
        id="improved-to-a-logarithm",
        quote="to a near-constant dependence O(log(L/ε))",
        place="Section 1, contributions",
        measure=partial(logarithmic, coarse=1e-6, fine=1e-9, factor=3),
        tolerance="1.5 for a pure exponential, somewhat more while slow directions remain; 1000 for T of the order 1/ε",
    ),
    _claim(
        id="fewer-than-the-earlier-bound",
        quote="taking significantly fewer iterations",
        place="Section 3, before Lemma 1, than ((ηλ1)² − 4b0²)/ε",
        measure=partial(fewer, share=0.1),
        tolerance="significantly fewer: a tenth, for the greatest ε that makes sense",
    ),
)


if __name__ == "__main__":
    main("figure_burn_in", draw, APART)
