"""The value of suggest(): AdaLoss and AdamLoss from its start and from their defaults, on the comparison's problems.

python -m scripts.figure_suggest --scale laptop

A start is **better** than another, for the same problem and seed, if its final accuracy is higher or its final loss
lower by more than ``NEAR``: one test image, or one part in a thousand of the loss. A training that diverged loses.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.figure_compare import LABELS, heights
from scripts.shared.output import Message, Output, main

DEFAULT = {"adaloss": 1.0, "adamloss": 0.1}  # the initial step of the optimizers' default lr and b0
STARTS = {
    "default": ("black", "x"),
    "suggested / 10": ("#56B4E9", "v"),
    "suggested": ("#D55E00", "o"),
    "suggested × 10": ("#CC79A7", "^"),
}
NEAR = {"accuracy": 1.5 / 600, "loss": np.log10(1.001)}  # between one image and two: no tie depends on rounding
APART = {
    "problem": (),
    "optimizer": [name + start for name in DEFAULT for start in ("", "_suggested")],
    "step": (0.1, 1, 10),
    "seed": (),
}


def by_run(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run that is a default or a suggestion: problem, metric, method, start, seed, final value."""
    rows = []
    for run in runs:
        config, result = run.config, run.summary["result"]
        method, _, suggested = config["optimizer"].partition("_")
        if suggested:
            start = {0.1: "suggested / 10", 1: "suggested", 10: "suggested × 10"}[config["step"]]
        elif config["step"] == DEFAULT[method]:
            start = "default"
        else:
            continue
        rows.append(
            {
                "problem": config["problem"]["name"],
                "metric": result["metric"],
                "method": method,
                "start": start,
                "seed": config["seed"],
                "value": np.inf if result["final"] is None else result["final"],
            }
        )
    return pd.DataFrame(rows)


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per problem and method: how often the suggestion is better and worse than each other start."""
    rows = []
    for (problem, metric, method), chosen in table.groupby(["problem", "metric", "method"], sort=False):
        by_seed = chosen.pivot(index="seed", columns="start", values="value")
        row = {"problem": problem, "metric": metric, "method": method, "seeds": len(by_seed)}
        ours = heights(metric, by_seed["suggested"])[0]
        for start in STARTS:
            theirs = heights(metric, by_seed[start])[0]
            row |= {f"{start}, mean": by_seed[start].mean()}
            if start != "suggested":
                row |= {
                    f"better than {start}": int((ours < theirs - NEAR[metric]).sum()),
                    f"worse than {start}": int((ours > theirs + NEAR[metric]).sum()),
                }
        rows.append(row)
    return pd.DataFrame(rows)


def messages(counts: pd.DataFrame) -> list[Message]:
    """Decide how often the suggestion beats the default, and whether a tenth or ten times of it would be better."""
    found = []
    for row in counts.to_dict("records"):
        name = f"{row['problem']}, {LABELS[row['method']]}"
        for start in STARTS:
            if start == "suggested":
                continue
            better, worse = row[f"better than {start}"], row[f"worse than {start}"]
            found.append(
                Message(
                    name,
                    f"the suggested start is better than the start {start}",
                    better > worse,
                    f"better in {better}, worse in {worse} of {row['seeds']} trainings; mean final {row['metric']} "
                    f"{row['suggested, mean']:.4g} and {row[f'{start}, mean']:.4g}",
                )
            )
    return found


def figure(table: pd.DataFrame) -> plt.Figure:
    """Draw a panel for each problem: every training's final value, by method and start."""
    problems = list(dict.fromkeys(zip(table.problem, table.metric, strict=True)))
    methods = list(dict.fromkeys(table.method))
    fig, axes = plt.subplots(1, len(problems), figsize=(3.4 * len(problems), 3.2), squeeze=False)
    for ax, (problem, metric) in zip(axes[0], problems, strict=True):
        chosen = table[table.problem == problem]
        for k, (start, (color, marker)) in enumerate(STARTS.items()):
            of_start = chosen[(chosen.start == start) & np.isfinite(chosen.value)]
            where = np.array([methods.index(method) for method in of_start.method]) + 0.18 * (k - 1.5)
            value = 1 - of_start.value if metric == "accuracy" else of_start.value
            ax.scatter(where, value, color=color, marker=marker, s=22, label=start)
        ax.set(xlim=(-0.5, len(methods) - 0.5), yscale="log", title=problem.replace("_", " "))
        ax.set_xticks(range(len(methods)), [LABELS[method] for method in methods])
        ax.set_ylabel("1 − test accuracy" if metric == "accuracy" else "final loss")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STARTS))
    fig.suptitle(
        f"Final value from the default and from the suggested start, {table.seed.nunique()} seeds", fontsize=10
    )
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its points, the counts, and the messages."""
    table = by_run(output.runs)
    output.save("figure_suggest", figure(table), table)
    counts = counted(table)
    output.table("figure_suggest_counts", counts)
    output.messages("figure_suggest", messages(counts))


if __name__ == "__main__":
    main("figure_suggest", draw, APART)
