"""Claims about text classification with an LSTM (Figures 2 and 4): the sweep ``figure_2``, a row per iteration.

A run's **first loss** is that of the first iteration, its **final loss** the mean over the last tenth of iterations,
infinite for a run that diverged.
"""

from functools import cache

import numpy as np
import pandas as pd

from scripts.claim_measures.finding import ClaimError, Finding, Sweep, of_cases, of_number

LABELS = {"adam": "Adam", "adamloss": "AdamLoss", "adam_sqrt": "AdamSqrt"}


@cache
def _history(sweep: Sweep) -> pd.DataFrame:
    """Every iteration of every run: method, b0, seed, iteration, loss and b."""
    tables = []
    for run in sweep.runs:
        config, history = run.config, run.history
        missing = {"iteration", "loss", "b"} - set(history)
        if missing:
            raise ClaimError(f"{run.path}: the history lacks {', '.join(sorted(missing))}")
        labels = {"method": config["method"]["name"], "b0": float(config["b0"]), "seed": config["seed"]}
        labels["diverged"] = run.summary["status"] == "diverged"
        tables.append(history[["iteration", "loss", "b"]].assign(**labels))
    return pd.concat(tables, ignore_index=True)


@cache
def _finals(sweep: Sweep) -> pd.DataFrame:
    """First and final loss of each method and b0, means over the seeds."""
    rows = []
    for (method, b0, seed), run in _history(sweep).groupby(["method", "b0", "seed"], sort=False):
        late = run.loss[run.iteration > 0.9 * run.iteration.max()].mean()
        lost = run.diverged.any() or not np.isfinite(late)
        rows.append((method, b0, seed, run.loss.iloc[0], np.inf if lost else late))
    table = pd.DataFrame(rows, columns=["method", "b0", "seed", "first", "final"])
    return table.groupby(["method", "b0"], as_index=False)[["first", "final"]].mean()


def _early(sweep: Sweep, b0: float, method: str = "adamloss") -> pd.DataFrame:
    """Means over the seeds by iteration; raises ClaimError where the sweep has no such b0."""
    table = _history(sweep)
    chosen = table[(table.method == method) & (table.b0 == b0)]
    if not len(chosen):
        raise ClaimError(f"the sweep {sweep.name} has no run of {method} with b0 = {b0:g}")
    return chosen.groupby("iteration")[["loss", "b"]].mean()


def robust_loss(sweep: Sweep, *, tolerance: float, method: str) -> Finding:
    """Whether the worst b0 loses at most the share ``tolerance`` of what there is to win.

    That is the difference of the first loss and the least final one of all methods and b0.
    """
    finals = _finals(sweep)
    to_win = finals["first"].mean() - finals.final.min()
    of = finals[finals.method == method]
    lost = (of.final.max() - of.final.min()) / to_win
    said = ", ".join(f"{row.final:.3g} from b0 = {row.b0:g}" for row in of.itertuples())
    measured = f"final training loss {said}: {lost:.0%} of the {to_win:.3g} there are to win"
    return of_number(lost, 0, tolerance, measured, tolerance=f"at most {tolerance:.0%}")


def better_accuracy(sweep: Sweep, *, tolerance: float, method: str, others: list[str]) -> Finding:
    """Whether the mean test accuracy of ``method`` is at least each other's less ``tolerance`` points, at each b0.

    One that diverged has none right.
    """
    rows = [
        (
            run.config["method"]["name"],
            float(run.config["b0"]),
            0.0 if run.summary["status"] == "diverged" else run.summary["result"].get("test_accuracy"),
        )
        for run in sweep.runs
    ]
    table = pd.DataFrame(rows, columns=["method", "b0", "accuracy"]).astype({"accuracy": float})
    by_b0 = 100 * table.groupby(["b0", "method"]).accuracy.mean().unstack().reindex(columns=[method, *others])
    cases = {
        f"{LABELS[other]} at b0 = {b0:g}": bool(row[method] >= row[other] - tolerance)
        for b0, row in by_b0.iterrows()
        for other in others
        if row.notna().all()
    }
    said = "; ".join(
        f"b0 = {b0:g}: " + ", ".join(f"{LABELS[name]} {value:.1f}" for name, value in row.items())
        for b0, row in by_b0.iterrows()
    )
    return of_cases(cases, f"test accuracy in percent: {said}", tolerance=f"{tolerance:g} points")


def reaches(sweep: Sweep, *, paper: float, tolerance: float, b0: float, iteration: int) -> Finding:
    """Whether 1 / b of AdamLoss is within a factor ``tolerance`` of the paper's value after some iterations."""
    value = 1 / _at(sweep, b0, iteration)
    return of_number(
        value,
        paper / tolerance,
        paper * tolerance,
        f"1 / b = {value:.3g} after {iteration} iterations",
        paper=f"{paper:g}",
        tolerance=f"a factor {tolerance:g}",
    )


def stabilizes(sweep: Sweep, *, tolerance: float, b0: list[float], first: int, last: int) -> Finding:
    """Whether b of AdamLoss grows by at most a factor ``tolerance`` from iteration ``first`` to ``last``."""
    growth = {f"b0 = {b:g}": _at(sweep, b, last) / _at(sweep, b, first) for b in b0}
    said = ", ".join(f"{name}: {ratio:.3g} times" for name, ratio in growth.items())
    cases = {name: bool(ratio <= tolerance) for name, ratio in growth.items()}
    return of_cases(cases, f"b from iteration {first} to {last}: {said}", tolerance=f"a factor {tolerance:g}")


def high_loss(sweep: Sweep, *, tolerance: float, b0: list[float], last: int) -> Finding:
    """Whether the loss of AdamLoss rises to at least ``tolerance`` times its first within ``last`` iterations."""
    peaks = {}
    for b in b0:
        loss = _early(sweep, b).loss
        peaks[f"b0 = {b:g}"] = loss[:last].max() / loss.iloc[0]
    said = ", ".join(f"{name}: {peak:.3g} times" for name, peak in peaks.items())
    cases = {name: bool(peak >= tolerance) for name, peak in peaks.items()}
    return of_cases(cases, f"greatest loss over the first: {said}", tolerance=f"a factor {tolerance:g}")


def decreases(sweep: Sweep, *, b0: float, last: int) -> Finding:
    """Whether the line through the losses of the first iterations falls."""
    loss = _early(sweep, b0).loss[:last]
    slope = float(np.polyfit(loss.index, loss, 1)[0])
    said = f"{slope:.3g} a step over {len(loss)} iterations, from {loss.iloc[0]:.3g} to {loss.iloc[-1]:.3g}"
    return of_number(slope, -np.inf, -np.finfo(float).tiny, f"slope of the loss {said}")


def _at(sweep: Sweep, b0: float, iteration: int) -> float:
    """B of AdamLoss at the last recorded iteration that is not after ``iteration``."""
    b = _early(sweep, b0).b
    return float(b[b.index <= iteration].iloc[-1])
