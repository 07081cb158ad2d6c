"""Figures 2 and 4 on real articles, the BBC's about business and politics, by what the LSTM's head sees.

python -m scripts.figure_2_bbc --scale laptop

Curves, sentences and numbers are those of ``scripts.figure_2`` and ``scripts.figure_4``.
"""

from scripts import figure_2, figure_4
from scripts.figure_2_readings import READINGS
from scripts.shared.output import Message, Output, main

APART = figure_2.APART | {"pooling": READINGS}


def draw(output: Output) -> None:
    """Save both figures for each reading with the CSVs of their curves, the final values, and the messages."""
    messages: list[Message] = []
    finals = figure_2.finals(output.runs)
    for pooling in finals.pooling.unique():
        runs = [run for run in output.runs if run.config["pooling"] == pooling]
        of_reading = finals[finals.pooling == pooling]
        suffix = "" if pooling == "mean" else f"_{pooling}"
        label, bag = f"BBC, {READINGS[pooling][0]}", of_reading.bag_of_words_accuracy.max()
        drawn = figure_2.over_seeds(figure_2.by_epoch(runs))
        fig = figure_2.panels(drawn, "method", figure_2.SHOWN, bag)
        fig.suptitle(f"One-layer LSTM on {label}; median and range of {drawn.seeds.max()} runs", fontsize=10)
        output.save(f"figure_2_bbc{suffix}", fig, drawn)
        beginning = figure_4.over_seeds(figure_4.by_iteration(runs))
        output.save(f"figure_2_bbc_beginning{suffix}", figure_4.figure(beginning), beginning)
        messages += figure_2.messages(of_reading) + figure_4.messages(runs)
    output.table("figure_2_bbc_final", finals)
    output.messages("figure_2_bbc", messages)


if __name__ == "__main__":
    main("figure_2_bbc", draw, APART)
