"""The effect of c where f* > 0: AdaLoss on the diabetes data with c = 0, f*/2, f*, 2f*, full gradient and minibatches.

python -m scripts.figure_c --scale laptop
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim
from scripts.claims.sentences import Problems, Sentence, by_sentences, messages, split
from scripts.shared.output import Output, main

SHOWN_B0 = 10.0
STOPPED = 0.01  # an exponent of b that counts as no growth
SETTINGS = ("full gradient", "minibatch")
C_COLORS = {0.0: "#0072B2", 0.5: "#009E73", 1.0: "#D55E00", 2.0: "#CC79A7"}
APART = {
    "data": ("diabetes",),
    "method": ("adaloss",),
    "method.c_unit": ("f_star",),
    "method.c": C_COLORS,
    "batch": (None, 20),
    "b0": (),
    "seed": (),
}


def by_seed(runs: list[SavedRun]) -> pd.DataFrame:
    """Return a row per run and iteration: the excess and b."""
    tables = []
    for run in runs:
        config, table = run.config, run.history
        table = table.assign(
            setting=SETTINGS[config["batch"] is not None],
            c_over_f_star=config["method"]["c"],
            b0=config["b0"],
            seed=config["seed"],
            b=config["eta"] / table.step,
        )
        tables.append(table.drop(columns=["step", "loss"]))
    return pd.concat(tables)


def trajectories(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per (setting, c, b0, iteration): median and range over seeds of the excess and of b."""
    grouped = by_seed(runs).groupby(["setting", "c_over_f_star", "b0", "iteration"], sort=False)
    return grouped.agg(
        seeds=("seed", "size"),
        gap=("gap", "median"),
        gap_min=("gap", "min"),
        gap_max=("gap", "max"),
        b=("b", "median"),
        b_min=("b", "min"),
        b_max=("b", "max"),
    ).reset_index()


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw 2 x 2 panels at one b0: excess and b against iterations, full gradient and minibatches."""
    b0 = SHOWN_B0 if (drawn.b0 == SHOWN_B0).any() else drawn.b0.min()
    shown = drawn[drawn.b0 == b0]
    settings = [setting for setting in SETTINGS if (shown.setting == setting).any()]
    fig, axes = plt.subplots(2, len(settings), figsize=(9, 6), sharex=True, squeeze=False)
    for column, setting in enumerate(settings):
        for c, color in C_COLORS.items():
            curve = shown[(shown.setting == setting) & (shown.c_over_f_star == c)]
            if not len(curve):
                continue
            for row, name in enumerate(("gap", "b")):
                ax = axes[row, column]
                ax.plot(curve.iteration, curve[name], color=color, label=f"c = {c:g} f*")
                ax.fill_between(
                    curve.iteration, curve[f"{name}_min"], curve[f"{name}_max"], color=color, alpha=0.2, lw=0
                )
                ax.set(xscale="log", yscale="log")
        axes[0, column].set_title(setting)
        axes[1, column].set_xlabel("iteration")
    axes[0, 0].set_ylim(1e-30, None)
    axes[0, 0].set_ylabel("excess $F(w_t) - f^*$")
    axes[1, 0].set_ylabel("$b_t$")
    axes[1, 0].legend()
    fig.suptitle(f"Diabetes data, f* > 0, AdaLoss from b0 = {b0:g}: median and range of {shown.seeds.max()} seeds")
    return fig


def problems(runs: list[SavedRun]) -> Problems:
    """Return the trajectories of each setting and b0, by seed; the full gradient's are the same for every seed."""
    return split(by_seed(runs), ["setting", "b0"], "{}, b0 = {:g}")


def exponents(seed: pd.DataFrame) -> pd.Series:
    """Return p of b ~ t^p over the last decade of iterations, by c / f*."""
    last = seed.iteration.max()
    start = seed.iteration[seed.iteration >= last / 10].min()
    b = seed.pivot(index="iteration", columns="c_over_f_star", values="b")
    return np.log(b.loc[last] / b.loc[start]) / np.log(last / start)


def own_exponent(seed: pd.DataFrame) -> float:
    """Return the exponent of b for c = f*."""
    return float(exponents(seed)[1.0])


def least_other(seed: pd.DataFrame) -> float:
    """Return the least exponent of b for another c."""
    return float(exponents(seed).drop(1.0).min())


def excess_ratio(seed: pd.DataFrame) -> float:
    """Return the excess at the end for c = f* over the least for another c; below 1e-9 of the start all are alike."""
    gap = seed.pivot(index="iteration", columns="c_over_f_star", values="gap")
    last = gap.loc[gap.index.max()].clip(lower=1e-9 * gap.iloc[0].max())
    return float(last[1.0] / last.drop(1.0).min())


SURROGATE = (
    Sentence("b stops growing for c = f*", "exponent of b for c = f*", own_exponent, high=STOPPED, label="b stops"),
    Sentence(
        "b goes on growing for any other c",
        "least exponent of b for another c",
        least_other,
        low=STOPPED,
        label="b grows else",
    ),
    Sentence(
        "c = f* ends as near to f* as any other c",
        "excess of c = f* / least other",
        excess_ratio,
        high=1,
        label="nearest",
    ),
)


def draw(output: Output) -> None:
    """Save the figure at one b0, the CSV of all, and the messages."""
    drawn = trajectories(output.runs)
    output.save("figure_c", figure(drawn), drawn)
    output.messages("figure_c", messages(problems(output.runs), SURROGATE))


CLAIMS = (
    Claim(
        id="c-replaces-f-star",
        quote="the constant c is a surrogate for the ground truth value f*",
        sweep="figure_c",
        place="Section 2",
        measure=partial(by_sentences, problems=problems, sentences=SURROGATE),
        tolerance="exponents of b below 0.01 count as no growth, over a decade of iterations; excesses below 1e-9 of "
        "the first count as alike. The same sentences for the full gradient and for minibatches",
        at_paper_scale="20 seeds and 100000 iterations",
    ),
)


if __name__ == "__main__":
    main("figure_c", draw, APART)
