"""What Figure 2 depends on: which of the LSTM's hidden states are classified, their mean or the last one.

python -m scripts.figure_2_readings --scale laptop

The paper does not say. Final training loss and **robust** are as in ``scripts.figure_2``.
"""

import pandas as pd

from scripts.figure_2 import GUESSING, SHARE, by_epoch, finals, over_seeds, panels, robust, share_lost
from scripts.shared.output import Message, Output, main

READINGS = {"mean": ("mean of the states", "#0072B2", "o"), "last": ("last state", "#D55E00", "s")}
APART = {"method": ("adamloss",), "pooling": READINGS, "b0": (), "seed": ()}


def messages(table: pd.DataFrame) -> list[Message]:
    """Return whether AdamLoss is robust, for each reading."""
    found = []
    for pooling, (label, *_) in READINGS.items():
        of_reading = table[table.pooling == pooling]
        lost = share_lost(of_reading)
        found.append(
            Message(
                label,
                f"AdamLoss's training loss is robust: its worst b0 costs at most {SHARE:.0%} of log 2",
                bool(lost <= SHARE),
                f"{lost:.1%} of {GUESSING:.3f}; {robust(of_reading)[1]}",
            )
        )
    return found


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the final values, and the messages."""
    drawn = over_seeds(by_epoch(output.runs))
    table = finals(output.runs)
    fig = panels(drawn, "pooling", READINGS, table.bag_of_words_accuracy.max())
    fig.suptitle(f"AdamLoss, by what is classified; median and range of {drawn.seeds.max()} runs", fontsize=10)
    output.save("figure_2_readings", fig, drawn)
    output.table("figure_2_readings_final", table)
    output.messages("figure_2_readings", messages(table))


if __name__ == "__main__":
    main("figure_2_readings", draw, APART)
