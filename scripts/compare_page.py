"""Write the table of docs/compare.md from the comparison's curves.

python -m scripts.compare_page figures/published/figure_compare.csv docs/compare.md     as make publish does
"""

import pandas as pd

from experiments.runs.terminal import run_main
from scripts.claims import tally
from scripts.figure_compare import BASES, LABELS, best_step

HEADER = "| problem | " + " | ".join(
    f"{LABELS[base]}, at its best lr | {LABELS[f'{ours}_like']} at that lr | {LABELS[ours]}, at its best b0"
    for base, ours in BASES.items()
)


def markdown(drawn: pd.DataFrame) -> list[str]:
    """Return the lines of the table for readers: a problem each, "not run" where there is no such curve."""
    lines = [f"{HEADER} |", "|---" * (1 + 3 * len(BASES)) + "|"]
    for (problem, metric), rows in drawn.groupby(["problem", "metric"], sort=False):
        curves = {name: of.set_index("step").value for name, of in rows.groupby("optimizer")}
        cells = [f"`{problem}`"]
        for base, ours in BASES.items():
            lr = best_step(metric, curves[base])
            at = {base: lr, f"{ours}_like": lr, ours: best_step(metric, curves[ours])}
            for name, step in at.items():
                value = curves[name][step] if name in curves else None
                shown = "not run" if value is None else f"{value:.1%}" if metric == "accuracy" else f"{value:.3g}"
                cells.append(f"{shown} ({lr:g})" if name == base else shown)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def filled(page: str, drawn: pd.DataFrame) -> str:
    """Return the page with its table as the curves have it."""
    return tally.with_table(page, markdown(drawn))


if __name__ == "__main__":
    run_main(lambda: tally.write(filled))
