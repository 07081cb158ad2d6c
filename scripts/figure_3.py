"""Figure 3: Adam and AdamLoss from four b0, an actor-critic on the pendulum's swing-up: return against frames.

python -m scripts.figure_3 --scale laptop

A run's **final return** is the mean of its last 48 episodes; one that diverged counts as the sweep's lowest return.
What a method loses by its worst b0 is the difference of a seed's greatest and least final return over b0, as a share of
what there is to win: the difference of the sweep's greatest mean over seeds and the mean return of the first episodes.
A method is **robust** if that share is at most 1/4, **extremely sensitive** if it is above 1/2, in the mean over seeds.
"""

from collections.abc import Callable
from functools import partial
from math import nan

import matplotlib.pyplot as plt
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims import intervals
from scripts.claims.claim import Claim
from scripts.claims.sentences import Problems, Sentence, by_sentences, split
from scripts.claims.sentences import messages as decided_by
from scripts.shared.changed import UnfitError
from scripts.shared.output import Message, Output, main

SHOWN = {name: METHODS[name] for name in ("adam", "adamloss")}
ROBUST, SENSITIVE = 1 / 4, 1 / 2
SETTING = ["method", "fed", "reward_scale", "b0"]
BETTER_FROM = {200: "1/sqrt(200)", 40000: "1/200"}  # what "eta_0 = 1/200" may mean, as b0 = eta_0^-2
APART = {"env": ("pendulum",), "envs": (16,), "steps": (128,), "method": SHOWN, "b0": (), "seed": ()}


def by_frames(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run and rollout in which episodes ended: their mean return, and the actor's b then."""
    table = pd.concat([_ends(run) for run in runs], ignore_index=True)
    if table.empty:
        raise UnfitError("runs of more frames", "no episode has ended")
    return table


def _ends(run: SavedRun) -> pd.DataFrame:
    ends = run.history.dropna(subset="episode_return")[["frames", "episode_return", "actor_b"]]
    return ends.assign(**_labels(run))


def _labels(run: SavedRun) -> dict:
    config = run.config
    of_run = {name: config[name] for name in ("fed", "reward_scale", "b0", "seed")}
    return {"method": config["method"]["name"]} | of_run


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the figures draw, by setting and frame: mean, least and greatest return over seeds, median b."""
    by = ["method", "fed", "reward_scale", "b0", "frames"]
    return (
        table.groupby(by, sort=False)
        .agg(
            seeds=("seed", "size"),
            episode_return=("episode_return", "mean"),
            return_min=("episode_return", "min"),
            return_max=("episode_return", "max"),
            actor_b=("actor_b", "median"),
        )
        .reset_index()
    )


def ends(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run: its final return, whether it diverged, and what there is to win, which all runs share."""
    table = by_frames(runs)
    lowest, first = table.episode_return.min(), table.groupby("frames").episode_return.mean().iloc[0]
    rows = []
    for run in runs:
        final, diverged = run.summary["result"]["final_return"], run.summary["status"] == "diverged"
        rows.append(_labels(run) | {"final": lowest if final is None else final, "diverged": diverged})
    found = pd.DataFrame(rows)
    greatest = found.groupby(SETTING, sort=False).final.mean().max()
    return found.assign(first=first, to_win=greatest - first)


def finals(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per setting and b0: mean, least and greatest final return over the seeds, how many diverged."""
    grouped = ends(runs).groupby(SETTING, sort=False)
    return grouped.agg(
        seeds=("seed", "size"),
        diverged=("diverged", "sum"),
        final=("final", "mean"),
        final_min=("final", "min"),
        final_max=("final", "max"),
        first=("first", "first"),
    ).reset_index()


def share_lost(seed: pd.DataFrame, *, method: str) -> float:
    """Return what a method loses by its worst b0, as a share of what there is to win; nan if that is nothing."""
    final, to_win = seed.final[seed.method == method], seed.to_win.iloc[0]
    return float((final.max() - final.min()) / to_win) if to_win > 0 else nan


def _returns(seed: pd.DataFrame) -> pd.DataFrame:
    return seed.pivot(index="b0", columns="method", values="final")


def above_adam(seed: pd.DataFrame, *, b0: float) -> float:
    """Return AdamLoss's final return less Adam's from the same b0."""
    final = _returns(seed).loc[b0]
    return float(final["adamloss"] - final["adam"])


def above_others(seed: pd.DataFrame, *, b0: float) -> float:
    """Return AdamLoss's final return less that from its best other b0."""
    final = _returns(seed)["adamloss"]
    return float(final[b0] - final.drop(b0).max())


SHARE = "share of what there is to win"
ROBUST_SENTENCE = Sentence(
    "AdamLoss is very robust to the initialisation b0",
    SHARE,
    partial(share_lost, method="adamloss"),
    high=ROBUST,
    of=intervals.mean,
)
SENSITIVE_SENTENCE = Sentence(
    "Adam is extremely sensitive to b0", SHARE, partial(share_lost, method="adam"), low=SENSITIVE, of=intervals.mean
)
BETTER_START = tuple(
    Sentence(
        f"AdamLoss does better when starting with eta_0 = {first_step} (b0 = {b0}): {words}",
        f"return less that of {of}",
        partial(number, b0=b0),
        low=0,
        label=f"b0 = {b0}, {words}",
        of=intervals.mean,
    )
    for b0, first_step in BETTER_FROM.items()
    for words, of, number in (
        ("better than Adam there", "Adam", above_adam),
        ("its best b0 of all", "the best other b0", above_others),
    )
)


def problems(runs: list[SavedRun]) -> Problems:
    """Return what the runs of each seed end with."""
    return split(ends(runs), ["reward_scale"], "pendulum")


def messages(runs: list[SavedRun]) -> list[Message]:
    """Return the paper's sentences about Figure 3, and one of ours."""
    best = {name: table.final.max() for name, table in finals(runs).groupby("method")}
    ours = Message(
        "pendulum",
        "AdamLoss's best b0 is better than Adam's best (the paper does not say so)",
        bool(best["adamloss"] > best["adam"]),
        ", ".join(f"{SHOWN[name].label} {value:.0f}" for name, value in best.items()),
    )
    return [*decided_by(problems(runs), (ROBUST_SENTENCE, SENSITIVE_SENTENCE, *BETTER_START)), ours]


def returns(ax: plt.Axes, curve: pd.DataFrame, label: str, color: str, marker: str) -> None:
    """Draw the mean return against frames, with the range over the seeds as a band."""
    frames = curve.frames / 1e4
    ax.plot(frames, curve.episode_return, color=color, marker=marker, markevery=spaced(curve), label=label)
    ax.fill_between(frames, curve.return_min, curve.return_max, color=color, alpha=0.2, lw=0)


def spaced(curve: pd.DataFrame) -> float | None:
    """Return at which parts of a curve's length there are markers; of one point, at that point."""
    return 0.2 if len(curve) > 1 else None


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw one panel for each b0."""
    starts = sorted(drawn.b0.unique())
    fig, axes = plt.subplots(1, len(starts), figsize=(3 * len(starts), 3), sharex=True, sharey=True, squeeze=False)
    for ax, b0 in zip(axes[0], starts, strict=True):
        for name, (label, color, marker) in SHOWN.items():
            returns(ax, drawn[(drawn.method == name) & (drawn.b0 == b0)], label, color, marker)
        ax.set(title=f"$b_0$ = {b0:g} ($\\eta_0$ = {b0**-0.5:.3g})", xlabel="frames / 10000")
    axes[0, 0].set_ylabel("return of an episode")
    axes[0, -1].legend(loc="lower right")
    fig.suptitle(
        f"Swing-up of a pendulum, PPO with rollouts of 2048 frames; mean and range of {drawn.seeds.max()} runs",
        fontsize=10,
    )
    return fig


def draw(output: Output) -> None:
    """Save the figure with the CSV of its curves, the final returns, and the messages."""
    drawn = over_seeds(by_frames(output.runs))
    output.save("figure_3", figure(drawn), drawn)
    table = finals(output.runs)
    output.table("figure_3_final", table)
    output.messages("figure_3", messages(output.runs))


def _decided(*sentences: Sentence) -> Callable:
    return partial(by_sentences, problems=problems, sentences=sentences)


_claim = partial(
    Claim, sweep="figure_3", at_paper_scale="a million frames; the paper's swing-up is another simulator's"
)
CLAIMS = (
    _claim(
        id="figure-3-adam-sensitive",
        quote="the standard Adam is extremely sensitive to η = 1/√b0",
        place="Section 5, Figure 3",
        measure=_decided(SENSITIVE_SENTENCE),
        tolerance="the worst b0 loses more than half of what there is to win",
    ),
    _claim(
        id="figure-3-better-start",
        quote="AdamLoss does better when starting with",
        place="Section 5, Figure 3",
        measure=_decided(*BETTER_START),
        tolerance="better or not; the scan may have lost a root: eta_0 is read as 1/√200 and as 1/200, better as than "
        "Adam and as of all b0",
    ),
)


if __name__ == "__main__":
    main("figure_3", draw, APART)
