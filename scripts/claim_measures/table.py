"""Claims about tables of accuracies: Table 1, and the second table of the authors' code."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.methods import METHODS
from scripts.claim_measures import tables
from scripts.claim_measures.finding import ClaimError, Finding, Sweep, of_cases

PAPERS_DATA = "cifar100"
PAPERS_SEEDS = 3


def _by_problem(sweep: Sweep) -> Iterator[tuple[str, pd.DataFrame]]:
    """Data and weights in words, and their part of the table."""
    for name, of_problem in tables.accuracies(sweep).groupby("problem", sort=False):
        yield name.split(" (")[0], of_problem


def accuracy(
    sweep: Sweep,
    *,
    paper: float | None,
    tolerance: float,
    method: str,
    b0: float,
    best: list[float],
    std: float = 0.0,
) -> Finding:
    """One cell of a table: mean accuracy of ``method`` at ``b0`` in percent, None for N/A.

    On the paper's data the accuracy itself is compared. On others it is the shape of the method's column: by how many
    points the cell is below the column's best, in the paper below ``best`` (mean, std). They agree within ``tolerance``
    points and two standard errors of the difference, from both deviations over seeds. Each problem is a case.
    """
    itself = all(run.config["data"]["name"] == PAPERS_DATA for run in sweep.runs)
    cases, said, limits = {}, [], []
    for name, of_problem in _by_problem(sweep):
        column = of_problem[of_problem.method == method].set_index("b0")
        if b0 not in column.index:
            raise ClaimError(f"the sweep {sweep.name} has no run of {method} with b0 = {b0:g}")
        cell, top = column.loc[b0], column.loc[column.accuracy.fillna(-1).idxmax()]
        below, trained = top.accuracy - cell.accuracy, not np.isnan(cell.accuracy)
        shown = f"{cell.accuracy:.2f}" if trained else f"N/A ({cell.untrained} of {cell.seeds})"
        if paper is None:
            cases[name] = not trained
        else:
            variance = _error(cell) + std**2 / PAPERS_SEEDS
            if not itself:  # a cell that is the best is compared with itself
                variance += _error(top) * (b0 != top.name) + best[1] ** 2 / PAPERS_SEEDS * (paper != best[0])
                shown += f", {below:.2f} points below its best" if trained else ""
            difference = cell.accuracy - paper if itself else below - (best[0] - paper)
            limits.append(tolerance + 2 * variance**0.5)
            cases[name] = bool(abs(difference) <= limits[-1])
        said.append(f"{name}: {shown}")
    if paper is None:
        return of_cases(cases, "; ".join(said), paper="N/A", tolerance="N/A or a number")
    theirs = f"{paper:.2f}" + (f" ± {std:.2f}" if std else "")
    theirs += "" if itself else f", {best[0] - paper:.2f} points below its best"
    allowed = " and ".join(f"{limit:.2f}" for limit in limits)
    return of_cases(cases, "; ".join(said), paper=theirs, tolerance=f"{allowed} points")


def _error(cell: pd.Series) -> float:
    """The squared standard error of a mean over seeds; 0 for one seed, which has no deviation."""
    return float(np.nan_to_num(cell["std"])) ** 2 / cell.seeds


def least_spread(sweep: Sweep, *, method: str, others: list[str]) -> Finding:
    """Whether the accuracies of ``method`` spread less over b0 than those of each other; N/A: infinitely."""
    cases, said = {}, []
    for name, of_problem in _by_problem(sweep):
        by_method = of_problem.groupby("method").accuracy
        spread = (by_method.max() - by_method.min()).mask(by_method.apply(lambda a: a.isna().any()), np.inf)
        for other in others:
            both_lost = np.isinf(spread[method]) and np.isinf(spread[other])
            cases[f"{name}: {METHODS[other].label}"] = None if both_lost else bool(spread[method] < spread[other])
        said.append(f"{name}: " + ", ".join(f"{METHODS[m].label} {spread[m]:.2f}" for m in (method, *others)))
    return of_cases(cases, "greatest less least accuracy over b0 in points: " + "; ".join(said))
