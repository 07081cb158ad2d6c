"""Figure 3: Adam and AdamLoss from four b0, an actor-critic on the pendulum's swing-up: return against frames.

python -m scripts.figure_3 --scale laptop

A run's **final return** is the mean of its last 48 episodes; one that diverged counts as the sweep's lowest return.
What a method loses by its worst b0 is the difference of the greatest and the least final return over b0 (means over the
seeds), as a share of what there is to win: the difference of the sweep's greatest and the mean return of the first
episodes. A method is **robust** if that share is at most 1/4, **extremely sensitive** if it is above 1/2.
"""

from functools import partial
from math import isclose

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Sweep, by_key
from scripts.shared.changed import UnfitError
from scripts.shared.output import Message, Output, main

SHOWN = {name: METHODS[name] for name in ("adam", "adamloss")}
ROBUST, SENSITIVE = 1 / 4, 1 / 2
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


def finals(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per setting and b0: mean, least and greatest final return over the seeds, how many diverged."""
    table = by_frames(runs)
    lowest, first = table.episode_return.min(), table.groupby("frames").episode_return.mean().iloc[0]
    rows = []
    for run in runs:
        final = run.summary["result"]["final_return"]
        rows.append(
            _labels(run)
            | {"final": lowest if final is None else final, "diverged": run.summary["status"] == "diverged"}
        )
    grouped = pd.DataFrame(rows).groupby(["method", "fed", "reward_scale", "b0"], sort=False)
    found = grouped.agg(
        seeds=("seed", "size"),
        diverged=("diverged", "sum"),
        final=("final", "mean"),
        final_min=("final", "min"),
        final_max=("final", "max"),
    ).reset_index()
    return found.assign(first=first)


def share_lost(finals: pd.DataFrame, of: pd.DataFrame) -> tuple[float, str]:
    """Return what the rows ``of`` one method lose by their worst b0, as the module says, and the numbers behind it."""
    best, worst = of.loc[of.final.idxmax()], of.loc[of.final.idxmin()]
    to_win = finals.final.max() - finals["first"].iloc[0]
    share = (best.final - worst.final) / to_win if to_win > 0 else np.inf
    numbers = ", ".join(f"{row.final:.0f} from b0 = {row.b0:g}" for row in of.itertuples())
    diverged = f"; {of.diverged.sum()} of {of.seeds.sum()} runs diverged" if of.diverged.any() else ""
    return share, f"final return {numbers}: {share:.0%} of the {to_win:.0f} there are to win{diverged}"


def messages(finals: pd.DataFrame) -> list[Message]:
    """Return the paper's sentences about Figure 3, from the means over seeds."""
    of = {name: finals[finals.method == name] for name in SHOWN}
    lost, numbers = share_lost(finals, of["adamloss"])
    sentence = "AdamLoss is very robust to the initialisation b0"
    found = [Message("pendulum", sentence, bool(lost <= ROBUST), numbers, key="robust")]
    lost, numbers = share_lost(finals, of["adam"])
    sentence = "Adam is extremely sensitive to b0"
    found.append(Message("pendulum", sentence, bool(lost > SENSITIVE), numbers, key="sensitive"))
    ours, theirs = (of[name].set_index("b0") for name in ("adamloss", "adam"))
    for b0, first_step in BETTER_FROM.items():
        found.append(
            Message(
                "pendulum",
                f"AdamLoss does better when starting with eta_0 = {first_step} (b0 = {b0}): better than Adam there",
                bool(ours.final[b0] > theirs.final[b0]),
                f"AdamLoss {_ranged(ours.loc[b0])}, Adam {_ranged(theirs.loc[b0])}",
                key="better_start",
            )
        )
        found.append(
            Message(
                "pendulum",
                f"AdamLoss does better when starting with eta_0 = {first_step} (b0 = {b0}): its best b0 of all",
                isclose(ours.final[b0], ours.final.max()),
                f"{ours.final[b0]:.0f}; best {ours.final.max():.0f} from b0 = {ours.final.idxmax():g}",
                key="better_start",
            )
        )
    best = {name: table.final.max() for name, table in (("AdamLoss", ours), ("Adam", theirs))}
    found.append(
        Message(
            "pendulum",
            "AdamLoss's best b0 is better than Adam's best (the paper does not say so)",
            bool(best["AdamLoss"] > best["Adam"]),
            ", ".join(f"{name} {value:.0f}" for name, value in best.items()),
        )
    )
    return found


def _ranged(row: pd.Series) -> str:
    return f"{row.final:.0f} ({row.final_min:.0f} to {row.final_max:.0f} over {row.seeds:.0f} seeds)"


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
    output.messages("figure_3", messages(table))


def decided(sweep: Sweep) -> list[Message]:
    """Return the sentences about these runs."""
    return messages(sweep.of(finals))


_claim = partial(
    Claim, sweep="figure_3", at_paper_scale="a million frames; the paper's swing-up is another simulator's"
)
CLAIMS = (
    _claim(
        id="figure-3-robust",
        quote="AdaLoss is very robust to different initialization",
        place="Section 5, Figure 3",
        measure=partial(by_key, decided=decided, keys=["robust"]),
        tolerance="the worst b0 loses a quarter of what there is to win",
    ),
    _claim(
        id="figure-3-adam-sensitive",
        quote="the standard Adam is extremely sensitive to η = 1/√b0",
        place="Section 5, Figure 3",
        measure=partial(by_key, decided=decided, keys=["sensitive"]),
        tolerance="the worst b0 loses more than half of what there is to win",
    ),
    _claim(
        id="figure-3-better-start",
        quote="AdamLoss does better when starting with",
        place="Section 5, Figure 3",
        measure=partial(by_key, decided=decided, keys=["better_start"]),
        tolerance="means over seeds are compared as they are; eta_0 is read as 1/√200 and as 1/200, better as than "
        "Adam and as of all b0",
    ),
)


if __name__ == "__main__":
    main("figure_3", draw, APART)
