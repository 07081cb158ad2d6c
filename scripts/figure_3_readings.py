"""What Figure 3 depends on: AdamLoss fed with the sum of both losses or with each network's own, two scales of rewards.

python -m scripts.figure_3_readings --scale laptop

The paper does not say what f in |f(w_t)| is for two networks, nor how large the rewards are. **Robust** is as in
``scripts.figure_3``, with the greatest final return over all settings; returns are of the unscaled rewards everywhere.
"""

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim
from scripts.claims.sentences import Problems, by_sentences, messages, split
from scripts.figure_3 import ROBUST_SENTENCE, by_frames, ends, finals, over_seeds, returns, spaced
from scripts.shared.output import Output, main

# (fed, scale of the rewards) -> label, colour, marker
READINGS = {
    ("joint", 1.0): ("sum of both losses", "#0072B2", "o"),
    ("own", 1.0): ("each its own loss", "#D55E00", "s"),
    ("joint", 0.1): ("sum, rewards × 0.1", "#009E73", "^"),
    ("own", 0.1): ("own, rewards × 0.1", "#CC79A7", "D"),
}
APART = {"method": ("adamloss",), "fed": ("joint", "own"), "reward_scale": (1.0, 0.1), "b0": (), "seed": ()}


def problems(runs: list[SavedRun]) -> Problems:
    """Return what the runs of each reading and seed end with."""
    table = ends(runs)
    labels = [READINGS[reading][0] for reading in zip(table.fed, table.reward_scale, strict=True)]
    return split(table.assign(reading=labels), ["reading"], "{}")


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw a column per b0: above the returns, below the actor's b."""
    starts = sorted(drawn.b0.unique())
    fig, axes = plt.subplots(2, len(starts), figsize=(3 * len(starts), 5), sharex=True, sharey="row", squeeze=False)
    for k, b0 in enumerate(starts):
        for (fed, scale), style in READINGS.items():
            curve = drawn[(drawn.fed == fed) & (drawn.reward_scale == scale) & (drawn.b0 == b0)]
            returns(axes[0, k], curve, *style)
            axes[1, k].plot(curve.frames / 1e4, curve.actor_b, color=style[1], marker=style[2], markevery=spaced(curve))
        axes[0, k].set_title(f"$b_0$ = {b0:g}")
        axes[1, k].set(xlabel="frames / 10000", yscale="log")
    axes[0, 0].set_ylabel("return of an episode")
    axes[1, 0].set_ylabel("$b_t$ of the actor")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(READINGS))
    fig.suptitle(f"AdamLoss, by what its rule is fed; mean and range of {drawn.seeds.max()} runs", fontsize=10)
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the final returns, and the messages."""
    drawn = over_seeds(by_frames(output.runs))
    output.save("figure_3_readings", figure(drawn), drawn)
    output.table("figure_3_readings_final", finals(output.runs))
    output.messages("figure_3_readings", messages(problems(output.runs), (ROBUST_SENTENCE,)))


CLAIMS = (
    Claim(
        id="figure-3-robust",
        quote="AdaLoss is very robust to different initialization",
        sweep="figure_3_readings",
        place="Section 5, Figure 3, and of the pendulum at the end",
        measure=partial(by_sentences, problems=problems, sentences=(ROBUST_SENTENCE,)),
        tolerance="the worst b0 loses a quarter of what there is to win, for each reading of the loss and scale of "
        "the rewards",
        at_paper_scale="a million frames; the paper's swing-up is another simulator's",
    ),
)


if __name__ == "__main__":
    main("figure_3_readings", draw, APART)
