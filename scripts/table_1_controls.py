"""Controls of Table 1: the head alone trained, blocks or the whole network drawn at random, weak features of digits.

python -m scripts.table_1_controls --scale laptop

Numbers are as in ``scripts.table_1``.
"""

import pandas as pd

from experiments.methods import METHODS
from scripts.shared.output import Message, Output, main
from scripts.table_1 import APART, FAR, number, over_seeds


def markdown(table: pd.DataFrame) -> str:
    """Return a row for each start, a column for each method and b0."""
    columns = list(dict.fromkeys(zip(table.method, table.b0, strict=True)))
    titles = [f"{METHODS[method].label}, b0 = {b0:g}" for method, b0 in columns]
    lines = [
        f"Test accuracy in percent, mean ± std of {table.seeds.max()} seeds.",
        "",
        "| " + " | ".join(["start", *titles]) + " |",
        "|---" * (1 + len(titles)) + "|",
    ]
    for problem, rows in table.groupby("problem", sort=False):
        by_cell = rows.set_index(["method", "b0"])
        lines.append(
            "| " + " | ".join([problem.split(" (")[0], *(number(by_cell.loc[c], "±") for c in columns)]) + " |"
        )
    return "\n".join([*lines, ""])


def messages(table: pd.DataFrame) -> list[Message]:
    """Decide what less of the pretrained network costs, on the first case's data, and whether AdaLoss stays best."""
    best = table.groupby(["problem", "method"], sort=False).accuracy.max().unstack()
    whole, *controls = best.index
    found = [
        Message(
            control.split(" (")[0],
            f"{METHODS[method].label}'s best b0 is worse by more than {FAR:g} points than with the whole network",
            bool(best.loc[whole, method] - best.loc[control, method] > FAR),
            f"{best.loc[control, method]:.2f} and {best.loc[whole, method]:.2f}",
        )
        for control in controls
        if control.split(",")[0] == whole.split(",")[0]
        for method in best.columns
    ]
    least = table[table.b0 == table.b0.min()].set_index(["problem", "method"]).accuracy.unstack()
    for problem, row in least.loc[best.index].iterrows():
        others = row.drop("adaloss")
        found.append(
            Message(
                problem.split(" (")[0],
                f"From b0 = {table.b0.min():g} AdaLoss is better than every other method here",
                bool((~(others >= row["adaloss"])).all() and row["adaloss"] == row["adaloss"]),  # nan: N/A
                ", ".join(f"{METHODS[method].label} {value:.2f}" for method, value in row.items()),
            )
        )
    return found


def draw(output: Output) -> None:
    """Save the table as CSV and Markdown, and the messages."""
    table = over_seeds(output.runs)
    output.table("table_1_controls", table)
    output.text("table_1_controls.md", markdown(table))
    output.messages("table_1_controls", messages(table))


if __name__ == "__main__":
    main("table_1_controls", draw, APART)
