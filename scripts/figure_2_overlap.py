"""Figure 2 where the training loss stays away from 0: classes that overlap, two passes over many articles.

python -m scripts.figure_2_overlap --scale laptop

In Figure 2 the articles are learnt by heart from the large b0, so that the ratio of two final losses says little. Here
no model can. Final training loss and **robust** are as in ``scripts.figure_2``.
"""

import pandas as pd

from experiments.methods import METHODS
from scripts.claims.sentences import messages as decided_by
from scripts.figure_2 import ROBUST, SENSITIVE, by_case, by_epoch, finals, over_seeds, panels
from scripts.shared.output import Message, Output, main

SHOWN = {name: METHODS[name] for name in ("adam", "adamloss")}
APART = {"data": ("synthetic_news",), "epochs": (2,), "method": SHOWN, "b0": (), "seed": ()}


def messages(table: pd.DataFrame) -> list[Message]:
    """Return whether AdamLoss is robust, and Adam is not."""
    return decided_by(by_case(table, ["adamloss"]), ROBUST) + decided_by(by_case(table, ["adam"]), SENSITIVE)


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the final values, and the messages."""
    drawn = over_seeds(by_epoch(output.runs))
    table = finals(output.runs)
    fig = panels(drawn, "method", SHOWN, table.bag_of_words_accuracy.max())
    fig.suptitle(f"Overlapping classes, two passes; median and range of {drawn.seeds.max()} runs", fontsize=10)
    output.save("figure_2_overlap", fig, drawn)
    output.table("figure_2_overlap_final", table)
    output.messages("figure_2_overlap", messages(table))


if __name__ == "__main__":
    main("figure_2_overlap", draw, APART)
