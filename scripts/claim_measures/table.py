"""Claims about tables of accuracies: Table 1, and the second table of the authors' code."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from scripts import table_1
from scripts.claim_measures import tables
from scripts.claim_measures.finding import Finding, Sweep, of_cases

PAPERS_DATA = "cifar100"


def _by_problem(sweep: Sweep) -> Iterator[tuple[str, pd.DataFrame]]:
    """Data and weights in words, and their part of the table."""
    for name, of_problem in tables.accuracies(sweep).groupby("problem", sort=False):
        yield name.split(" (")[0], of_problem


def _on_the_papers_data(sweep: Sweep) -> bool:
    return all(run.config["data"]["name"] == PAPERS_DATA for run in sweep.runs)


def accuracy(
    sweep: Sweep,
    *,
    paper: float | None,
    tolerance: float,
    method: str,
    b0: float,
    best: list[float],
    std: float = 0.0,
    seeds: int = 3,
) -> Finding:
    """One cell of a table: mean accuracy of ``method`` at ``b0`` in percent, None for N/A.

    On the paper's data the accuracy itself is compared. On others it is the shape of the method's column: by how many
    points the cell is below the column's best, in the paper below ``best`` (mean, std). They agree within ``tolerance``
    points and two standard errors of the difference, from both deviations over seeds. Each problem is a case.
    """
    itself, cases, said, allowed = _on_the_papers_data(sweep), {}, [], []
    for name, of_problem in _by_problem(sweep):
        column = of_problem[of_problem.method == method].set_index("b0")
        cell = column.loc[b0]
        ours = f"{cell.accuracy:.2f}" if cell.accuracy == cell.accuracy else f"N/A ({cell.untrained} of {cell.seeds})"
        if paper is None:
            cases[name] = bool(np.isnan(cell.accuracy))
            said.append(f"{name}: {ours}")
            continue
        top = column.loc[column.accuracy.idxmax()] if column.accuracy.notna().any() else cell
        variance = np.nan_to_num(cell["std"]) ** 2 / cell.seeds + std**2 / seeds
        difference = cell.accuracy - paper
        if not itself:
            if b0 != top.name:  # else it is compared with itself
                variance += np.nan_to_num(top["std"]) ** 2 / top.seeds
            if paper != best[0]:
                variance += best[1] ** 2 / seeds
            difference = top.accuracy - cell.accuracy - (best[0] - paper)
            below = top.accuracy - cell.accuracy
            ours += f", {below:.2f} points below its best" if below == below else ""
        limit = tolerance + 2 * variance**0.5
        cases[name] = bool(abs(difference) <= limit)
        said.append(f"{name}: {ours}")
        allowed.append(f"{limit:.2f}")
    theirs = "N/A" if paper is None else f"{paper:.2f}" + (f" ± {std:.2f}" if std else "")
    if paper is not None and not itself:
        theirs += f", {best[0] - paper:.2f} points below its best"
    points = f"{' and '.join(allowed)} points" if allowed else "N/A is none"
    return of_cases(cases, "; ".join(said), paper=theirs, tolerance=points)


def least_spread(sweep: Sweep, *, method: str, others: list[str]) -> Finding:
    """Whether the accuracies of ``method`` spread less over b0 than those of each other; N/A: infinitely."""
    cases, said = {}, []
    for name, of_problem in _by_problem(sweep):
        by_method = of_problem.groupby("method").accuracy
        spread = (by_method.max() - by_method.min()).mask(by_method.apply(lambda a: a.isna().any()), np.inf)
        for other in others:
            both_lost = np.isinf(spread[method]) and np.isinf(spread[other])
            cases[f"{name}: {table_1.LABELS[other]}"] = None if both_lost else bool(spread[method] < spread[other])
        said.append(f"{name}: " + ", ".join(f"{table_1.LABELS[m]} {spread[m]:.2f}" for m in (method, *others)))
    return of_cases(cases, "greatest less least accuracy over b0 in points: " + "; ".join(said))
