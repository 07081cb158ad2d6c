"""Table 1: test accuracy after fine-tuning a vision transformer, five methods over b0, with the paper's numbers.

python -m scripts.table_1 --scale laptop

A number is the mean over seeds of the test accuracy at the epoch that was best on the validation images, +- the
standard deviation (of a sample). A training that diverged, or whose test accuracy is below twice chance, has none: the
table then has N/A, with how many of the seeds.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from experiments.methods import METHODS, SGD_FAMILY
from experiments.runs.store import SavedRun
from scripts.claims.claim import CANNOT_FAIL, Claim, ClaimError, Finding, Sweep, of_estimates
from scripts.claims.intervals import Estimate, usually
from scripts.shared.output import Message, Output, every, main

# The paper's Table 1, in percent; its AdaGrad-Norm is the one by row (footnote 8), None is its N/A.
PAPER = {
    "adaloss": {0.01: (90.65, 0.09), 0.1: (90.64, 0.15), 1: (90.58, 0.12), 10: (90.50, 0.17), 100: (89.62, 0.12)},
    "adagrad_norm_rowwise": {
        0.01: (68.34, 2.87),
        0.1: (86.27, 0.43),
        1: (89.33, 0.02),
        10: (90.83, 0.17),
        100: (89.99, 0.11),
    },
    "sgd_constant": {0.01: None, 0.1: None, 1: (83.21, 0.81), 10: (90.36, 0.11), 100: (89.85, 0.14)},
    "sgd_decay_sqrt": {
        0.01: (90.76, 0.04),
        0.1: (90.50, 0.16),
        1: (90.52, 0.07),
        10: (90.44, 0.19),
        100: (89.58, 0.06),
    },
}
NAMES = {  # of the methods in the paper
    "adaloss": "AdaLoss",
    "adagrad_norm_rowwise": "AdaGrad-Norm",
    "sgd_constant": "SGD_Constant",
    "sgd_decay_sqrt": "SGD_DecaySqrt",
}
CHANCES = 2  # a test accuracy below so many times chance counts as none
NEAR, FAR = 1.0, 5.0  # points
APART = {
    "data": (),
    "weights": (),
    "weights.blocks": (),
    "frozen": (),
    "model.patch": (),
    "model.width": (),
    "model.depth": (),
    "epochs": (),
    "batch": (),
    "method": SGD_FAMILY,
    "b0": (),
    "seed": (),
}


def by_run(runs: list[SavedRun]) -> pd.DataFrame:
    """Return a row per run: its accuracy in percent (nan for N/A), and that of guessing."""
    rows = []
    for run in runs:
        result, config = run.summary["result"], run.config
        accuracy = np.nan if result["test_accuracy"] is None else result["test_accuracy"]
        trained = run.summary["status"] == "completed" and accuracy >= CHANCES / result["classes"]
        rows.append(
            {
                "problem": problem(config),
                "method": config["method"]["name"],
                "b0": float(config["b0"]),
                "seed": config["seed"],
                "diverged": run.summary["status"] == "diverged",
                "untrained": not trained,
                "accuracy": 100 * accuracy if trained else np.nan,
                "guessing": 100 / result["classes"],
            }
        )
    return pd.DataFrame(rows)


def over_seeds(runs: list[SavedRun], theirs: dict[str, dict] = PAPER) -> pd.DataFrame:
    """Return a row per problem, method and b0: mean, deviation and range in percent (nan for N/A), seeds without.

    ``theirs`` are the numbers to compare with.
    """
    table = (
        by_run(runs)
        .groupby(["problem", "method", "b0"], sort=False, as_index=False)
        .agg(
            seeds=("accuracy", "size"),
            diverged=("diverged", "sum"),
            untrained=("untrained", "sum"),
            accuracy=("accuracy", "mean"),
            std=("accuracy", "std"),
            accuracy_min=("accuracy", "min"),
            accuracy_max=("accuracy", "max"),
        )
    )
    table.loc[table.untrained > 0, ["accuracy", "std", "accuracy_min", "accuracy_max"]] = np.nan
    papers = [theirs.get(row.method, {}).get(row.b0) or (np.nan, np.nan) for row in table.itertuples()]
    return table.assign(paper=[mean for mean, _ in papers], paper_std=[std for _, std in papers])


def problem(config: dict) -> str:
    """Return data, model and training in words."""
    data, model, weights, frozen = config["data"]["name"], config["model"], config["weights"], config["frozen"]
    kept = f", up to block {weights['blocks']}" if weights.get("blocks", model["depth"]) < model["depth"] else ""
    trained = ", the head trained" if frozen == model["depth"] else f", trained from block {frozen + 1} on"
    shape = f"{model['name']}, depth {model['depth']}"
    if model["name"] == "vit":
        shape = f"ViT with patches of {model['patch']}, width {model['width']}, depth {model['depth']}"
    return (
        f"{data}, weights from {weights['name']}{kept}{trained if frozen else ''} ({shape}; {config['epochs']} epochs, "
        f"minibatches of {config['batch']})"
    )


def cells(table: pd.DataFrame, plus_minus: str) -> Iterator[tuple[float, list[tuple[str, str]]]]:
    """Return b0, and for each method (ours, the paper's) in words."""
    for b0, of_b0 in table.groupby("b0"):
        of_b0, line = of_b0.set_index("method"), []
        for method in shown(table):
            row = of_b0.loc[method]
            paper = "N/A" if b0 in PAPER.get(method, ()) else "–"  # it has no number from another b0
            if not np.isnan(row.paper):
                paper = f"{row.paper:.2f} {plus_minus} {row.paper_std:.2f}"
            line.append((number(row, plus_minus), paper))
        yield b0, line


def number(row: pd.Series, plus_minus: str) -> str:
    """Return mean and deviation of a cell, or that it has none."""
    if row.untrained:
        return f"N/A ({row.untrained} of {row.seeds})"
    return f"{row.accuracy:.2f}" + (f" {plus_minus} {row['std']:.2f}" if row.seeds > 1 else "")


def shown(table: pd.DataFrame) -> list[str]:
    """Return the methods of a table, in the order of its columns."""
    return [name for name in METHODS if (table.method == name).any()]


def columns(table: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Return (title, which method, 0 for ours or 1 for the paper's); the paper has no column for a method of ours."""
    found = []
    for k, method in enumerate(shown(table)):
        found.append((METHODS[method].label, k, 0))
        if method in PAPER:
            found.append((f"{METHODS[method].label} (paper)", k, 1))
    return found


def markdown(table: pd.DataFrame, theirs: str = "Paper: CIFAR-100, ViT-S/16, 3 runs.") -> str:
    """Return the table for readers; ``theirs`` says what the paper's numbers are of."""
    lines = []
    for name, of_problem in table.groupby("problem", sort=False):
        lines += [
            f"Test accuracy in percent, mean ± std of {of_problem.seeds.max()} seeds. Ours: {name}. {theirs}",
            "",
            "| b0 | " + " | ".join(title for title, *_ in columns(of_problem)) + " |",
            "|---" * (1 + len(columns(of_problem))) + "|",
        ]
        for b0, line in cells(of_problem, "±"):
            lines.append(f"| {b0:g} | " + " | ".join(line[k][which] for _, k, which in columns(of_problem)) + " |")
        lines.append("")
    return "\n".join(lines)


def latex(table: pd.DataFrame) -> str:
    """Return the same for a document that loads booktabs."""
    lines = []
    for name, of_problem in table.groupby("problem", sort=False):
        lines += [
            "% Test accuracy in percent. Ours: " + name + ". Paper: CIFAR-100, ViT-S/16, 3 runs.",
            r"\begin{tabular}{r" + "c" * len(columns(of_problem)) + "}",
            r"\toprule",
            "$b_0$ & " + " & ".join(title for title, *_ in columns(of_problem)) + r" \\",
            r"\midrule",
        ]
        for b0, line in cells(of_problem, r"$\pm$"):
            lines.append(f"{b0:g} & " + " & ".join(line[k][which] for _, k, which in columns(of_problem)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def messages(table: pd.DataFrame) -> list[Message]:
    """Decide for our runs what the paper's Table 1 says; N/A is worse than any number."""
    found = []
    for name, of_problem in table.groupby("problem", sort=False):
        by_b0 = of_problem.pivot(index="b0", columns="method", values="accuracy")
        least = by_b0.index.min()
        rivals = [name for name in ("adagrad_norm_rowwise", "adagrad_norm", "sgd_constant") if name in by_b0]
        for method in [name for name in ("adaloss", "sgd_decay_sqrt") if name in by_b0]:
            curve = by_b0[method]
            behind = (curve.max() - curve[curve.index <= 10]).round(9)  # a point is one, whatever its digits
            found.append(
                Message(
                    name,
                    f"{METHODS[method].label} is within {NEAR:g} point of its own best for every b0 <= 10",
                    every(behind <= NEAR),  # nan is not
                    _listed(curve),
                )
            )
        for method in rivals:
            label, ours, other = METHODS[method].label, by_b0["adaloss"][least], by_b0[method][least]
            found.append(
                Message(
                    name,
                    f"{label} loses to AdaLoss by far (N/A, or more than {FAR:g} points) at b0 = {least:g}",
                    bool(ours == ours and not round(ours - other, 9) <= FAR),
                    f"AdaLoss {_shown(ours)}, {label} {_shown(other)}",
                )
            )
        for method in rivals:
            curve = by_b0[method]
            low, large = curve[least], curve[curve.index >= 10]
            high = large.max()
            found.append(
                Message(
                    name,
                    f"{METHODS[method].label} is better by far at some b0 >= 10 than at b0 = {least:g}",
                    bool(high == high and not round(high - low, 9) <= FAR) if len(large) else None,
                    _listed(curve),
                )
            )
    return found


def _shown(accuracy: float) -> str:
    return "N/A" if np.isnan(accuracy) else f"{accuracy:.2f}"


def _listed(curve: pd.Series) -> str:
    return ", ".join(f"{_shown(accuracy)} at b0 = {b0:g}" for b0, accuracy in curve.items())


def draw(output: Output) -> None:
    """Save the table as CSV, Markdown and LaTeX, and the messages."""
    table = over_seeds(output.runs)
    output.table("table_1", table)
    output.text("table_1.md", markdown(table))
    output.text("table_1.tex", latex(table))
    output.messages("table_1", messages(table))


PAPERS_DATA = "cifar100"


def _by_problem(sweep: Sweep) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield data and weights in words, and their runs."""
    for name, of_problem in sweep.of(by_run).groupby("problem", sort=False):
        yield name.split(" (")[0], of_problem


def accuracy(
    sweep: Sweep,
    *,
    paper: float | None,
    tolerance: float,
    far: float,
    method: str,
    b0: float,
    best: tuple[float, float],
) -> Finding:
    """Decide whether a cell is near or far as the paper's, or on the paper's data within ``tolerance`` points of it.

    Near is at most ``far`` points below the method's accuracy from the b0 that is the paper's ``best`` (b0, accuracy),
    far is more, or N/A. Each problem is a case, and seeds are paired. A cell that is N/A guesses; a reference that is
    decides nothing, and otherwise it cannot fail. On the paper's data N/A is compared with what most seeds are.
    """
    itself = all(run.config["data"]["name"] == PAPERS_DATA for run in sweep.runs)
    below = np.inf if paper is None else best[1] - paper
    estimates, said = {}, {}
    for name, of_problem in _by_problem(sweep):
        column = of_problem[of_problem.method == method].pivot(index="seed", columns="b0", values="accuracy")
        if b0 not in column:
            raise ClaimError(f"the sweep {sweep.name} has no run of {method} with b0 = {b0:g}")
        cell, untrained = column[b0], column[b0].isna()
        words = [] if untrained.all() else [f"{cell.mean():.2f}"]
        said[name] = ", ".join([*words, f"N/A in {untrained.sum()} of {len(cell)}"] if untrained.any() else words)
        if not itself:
            drop = column[best[0]] - cell.fillna(of_problem.guessing.iloc[0])
            if b0 != best[0] or untrained.any():
                estimates[name] = Estimate(drop, low=far) if below > far else Estimate(drop, high=far)
        elif paper is None or untrained.mean() > 0.5:
            estimates[name] = usually(untrained == (paper is None))
        else:
            estimates[name] = Estimate(cell - paper, -tolerance, tolerance)
    measured = "; ".join(f"{name} {words}" for name, words in said.items()) + "; "
    theirs = "N/A" if paper is None else f"{paper:.2f}"
    if itself:
        allowed = f"{tolerance:g} point" if paper else "N/A or a number"
        return of_estimates(estimates, f"{measured}off by ", paper=theirs, tolerance=allowed)
    theirs += f", {'far' if below > far else 'near'}" + ("" if paper is None else f": {below:.2f} below the best")
    if not estimates:
        return Finding(CANNOT_FAIL, f"{measured}the reference of the column", paper=theirs)
    return of_estimates(
        estimates, f"{measured}points below b0 = {best[0]:g}: ", paper=theirs, tolerance=f"{far:g} points"
    )


def least_spread(sweep: Sweep, *, method: str, others: list[str]) -> Finding:
    """Decide whether the accuracies of ``method`` spread less over b0 than each other's, in the mean over seeds.

    That is the greatest less the least of a seed; a training that is N/A guesses. Each problem and other is a case.
    """
    estimates = {}
    for name, of_problem in _by_problem(sweep):
        filled = of_problem.assign(accuracy=of_problem.accuracy.fillna(of_problem.guessing))
        by_seed = filled.groupby(["method", "seed"]).accuracy
        spread = (by_seed.max() - by_seed.min()).unstack("method")
        for other in others:
            estimates[f"{name}: {METHODS[other].label}"] = Estimate(spread[other] - spread[method], low=0)
    return of_estimates(estimates, f"points by which it spreads more than {METHODS[method].label}: ")


def cell_claims(
    theirs: dict[str, dict], names: dict[str, str], id: str, place: str, decimals: str, network: str, **about: str
) -> Iterator[Claim]:
    """Yield a claim for each number of a table; id and place begin as given, ``decimals`` is the means' format."""
    for method, column in theirs.items():
        best = max((number[0], b0) for b0, number in column.items() if number)[::-1]
        for b0, number in column.items():
            mean, std = number or (None, 0.0)
            yield Claim(
                id=f"{id}-{names[method].lower().replace('_', '-')}-{b0:g}",
                quote=f"{mean:{decimals}} ± {std:.2f}" if number else "N/A",
                place=f"{place}, {names[method]}, b0 = {b0:g}",
                measure=partial(accuracy, paper=mean, tolerance=NEAR, far=FAR, method=method, b0=b0, best=best),
                tolerance="by far is more than 5 points in all sentences of this table; on the paper's data a point is "
                "near",
                at_paper_scale=f"make reproduce SCALE=paper compares the accuracy itself, on CIFAR-100 with {network}",
                paper=mean,
                **about,
            )


CLAIMS = (
    Claim(
        id="table-1-robust",
        quote="AdaLoss is more robust to varying b0s",
        place="Section 4, Table 1",
        sweep="table_1",
        measure=partial(
            least_spread, method="adaloss", others=[method for method in SGD_FAMILY if method != "adaloss"]
        ),
        tolerance="less or not, without a margin; compared is AdaGrad-Norm by its name too, the textbook's",
        at_paper_scale="make reproduce SCALE=paper, with CIFAR-100 and ViT-S/16",
    ),
    *cell_claims(PAPER, NAMES, "table-1", "Table 1", ".2f", "ViT-S/16", sweep="table_1"),
)


if __name__ == "__main__":
    main("table_1", draw, APART)
