"""What Figure 2 depends on: which of the LSTM's hidden states are classified, their mean or the last one.

python -m scripts.figure_2_readings --scale laptop

The paper does not say. Final training loss and **robust** are as in ``scripts.figure_2``.
"""

from functools import partial

from scripts.claims.claim import Claim
from scripts.claims.sentences import by_sentences, messages
from scripts.figure_2 import ROBUST, by_epoch, finals, over_seeds, panels, problems
from scripts.shared.output import Output, main

READINGS = {"mean": ("mean of the states", "#0072B2", "o"), "last": ("last state", "#D55E00", "s")}
APART = {"method": ("adamloss",), "pooling": READINGS, "b0": (), "seed": ()}


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the final values, and the messages."""
    drawn = over_seeds(by_epoch(output.runs))
    table = finals(output.runs)
    fig = panels(drawn, "pooling", READINGS, table.bag_of_words_accuracy.max())
    fig.suptitle(f"AdamLoss, by what is classified; median and range of {drawn.seeds.max()} runs", fontsize=10)
    output.save("figure_2_readings", fig, drawn)
    output.table("figure_2_readings_final", table)
    output.messages("figure_2_readings", messages(problems(output.runs), ROBUST))


CLAIMS = (
    Claim(
        id="figure-4-robust",
        quote="the training loss is very robust to any initialization of the AdamLoss algorithm",
        place="Section 5, Figure 4, and of the texts at the end",
        sweep="figure_2_readings",
        more=("figure_2_bbc",),
        measure=partial(by_sentences, problems=partial(problems, methods=["adamloss"]), sentences=ROBUST),
        tolerance="a factor 2, as for Figure 6; and, since cross entropy can be arbitrarily small, a quarter of what "
        "guessing costs, as for Figure 3. Both count for both readings of the network and every corpus",
        at_paper_scale="the paper's corpus (Fake/True news) at SCALE=paper",
    ),
)


if __name__ == "__main__":
    main("figure_2_readings", draw, APART)
