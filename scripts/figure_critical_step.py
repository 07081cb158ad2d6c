"""Theorem 2's step size: gradient descent with eta = c / ||H|| around c = 2, where the linearised network diverges.

python -m scripts.figure_critical_step --scale laptop
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim
from scripts.claims.sentences import Problems, Sentence, by_sentences, split
from scripts.shared.output import Message, Output, every, labelled, main

FITTED = 1e-6  # of the initial loss
GROWN = 1.01  # times the initial loss: beyond rounding
CRITICAL, WIDE = (1.95, 2.05), 10_000  # where the critical c is claimed to be, and from which width on
APART = {
    "method": ("sgd_constant",),
    "b0": (1.0,),
    "eta_unit": ("gram",),
    "batch": (None,),
    "m": (),
    "eta": (),
    "seed": (),
}


def trajectories(runs: list[SavedRun]) -> pd.DataFrame:
    """Return a row per run and recorded iteration, with c, the c at which it grows at first, and the ends of H."""
    tables = []
    for run in runs:
        config, result = run.config, run.summary["result"]
        table = run.history.drop(columns="step").assign(
            lambda_1=result["lambda_1"],
            critical_c=2 * result["lambda_1"] / result["start_lambda_1"],
            start_loss=result["start_loss"],
            zero_loss=result["zero_loss"],
        )
        tables.append(labelled(table, m=config["m"], seed=config["seed"], c=config["eta"]))
    return pd.concat(tables, ignore_index=True)


def by_run(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return a row per run: greatest and final loss over the first, where lambda_max(H) ends, whether all died."""
    rows = []
    for (m, seed, c), curve in drawn.groupby(["m", "seed", "c"], sort=False):
        first, last = curve.iloc[0], curve.iloc[-1]
        rows.append(
            {
                "m": m,
                "seed": seed,
                "c": c,
                "critical_c": last.critical_c,
                "peak": curve.loss.max() / last.start_loss,
                "end": last.loss / last.start_loss,
                "lambda_change": last.lambda_max / first.lambda_max,
                "lambda_ratio": last.lambda_max * c / (2 * last.lambda_1),
                "no_better_than_zero": not last.loss < 0.5 * last.zero_loss,
            }
        )
    ends = pd.DataFrame(rows)
    return ends.assign(grew=ends.peak > GROWN, fitted=ends.end <= FITTED)


def figure(drawn: pd.DataFrame) -> plt.Figure:
    """Draw a column per width: above the loss, below lambda_max(H(k)) with 2 ||H|| / c dotted; the first seed."""
    first = drawn[drawn.seed == drawn.seed.min()]
    widths, steps = sorted(first.m.unique()), sorted(first.c.unique())
    fig, axes = plt.subplots(2, len(widths), figsize=(10.5, 6), sharex=True, sharey="row", squeeze=False)
    start, shades = first.start_loss.max(), plt.get_cmap("viridis")
    for column, m in enumerate(widths):
        for k, c in enumerate(steps):
            curve, color = first[(first.m == m) & (first.c == c)], shades(0.9 * k / max(len(steps) - 1, 1))
            axes[0, column].plot(curve.iteration, curve.loss.clip(upper=1e7 * start), color=color, label=f"c = {c:g}")
            axes[1, column].plot(curve.iteration, curve.lambda_max, color=color)
            if c > 2:
                axes[1, column].axhline(2 * curve.lambda_1.iloc[0] / c, color=color, ls=":", lw=1)
        axes[0, column].set(yscale="log", xscale="log", ylim=(1e-20 * start, 1e7 * start), title=f"m = {m}")
        axes[1, column].set_ylim(0, 1.2 * first.lambda_1.max())
        axes[1, column].set_xlabel("iteration")
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel(r"$\lambda_{\max}(H(k))$; dotted: $2\|H^\infty\|/c$")
    axes[0, 0].legend(fontsize=7)
    fig.suptitle(r"Two-layer network, gradient descent with $\eta = c/\|H^\infty\|$")
    return fig


def messages(ends: pd.DataFrame) -> list[Message]:
    """Decide what happens below and above the critical c, from all widths and seeds."""

    def listed(chosen: pd.DataFrame, column: str) -> str:
        return ", ".join(f"c = {c:g}: {v.min():.3g} to {v.max():.3g}" for c, v in chosen.groupby("c")[column])

    found = [_critical(ends[ends.m == ends.m.max()])]
    below = ends[ends.c < 0.99 * ends.critical_c]
    calm = ~below.grew & below.fitted
    found.append(
        Message(
            "c below 2 ||H-infinity|| / ||H(0)||",
            f"the loss never exceeds its start and falls to {FITTED:g} of it",
            every(calm),
            f"{calm.sum()} of {len(below)} runs; loss at the end over the initial one {listed(below, 'end')}",
        )
    )
    above = ends[(ends.c >= 3) & (ends.c <= 4)]
    fell = above.lambda_change < 1
    all_three = above.grew & above.fitted & fell
    exceptions = [
        f"m = {run.m}, seed {run.seed}, c = {run.c:g} (loss at most {run.peak:.3g} and at the end {run.end:.2g} times "
        f"its start, lambda_max(H) {run.lambda_change:.2g} times)"
        for run in above[~all_three].itertuples()
    ]
    found.append(
        Message(
            "c = 3 and 4",
            f"the loss first grows, then falls to {FITTED:g} of its start while lambda_max(H(k)) falls: 2 / ||H|| is "
            "no limit of divergence",
            every(all_three),
            f"{all_three.sum()} of {len(above)} runs: grew {above.grew.sum()}, fell to {FITTED:g} {above.fitted.sum()} "
            f"and below the start {(above.end < 1).sum()}, lambda_max(H) fell {fell.sum()}; exceptions: "
            f"{'; '.join(exceptions) or 'none'}; greatest loss over the initial one {listed(above, 'peak')}",
        )
    )
    settled = ends[(ends.c > ends.critical_c) & ends.fitted]
    flat = settled.lambda_ratio <= 1.01
    found.append(
        Message(
            "c above 2 ||H-infinity|| / ||H(0)||, fitted",
            "lambda_max(H) has fallen to at most 2 ||H-infinity|| / c",
            every(flat),
            f"{flat.sum()} of {len(settled)} runs; lambda_max over it {listed(settled, 'lambda_ratio')}",
        )
    )
    far = ends[ends.c >= 6]
    lost = far.no_better_than_zero
    found.append(
        Message(
            "c = 6",
            "the network is lost: it diverges, or ends no better than half the loss of predicting 0",
            every(lost),
            f"{lost.sum()} of {len(far)} runs, {int(np.isinf(far.peak).sum())} of them diverged",
        )
    )
    return found


def _critical(widest: pd.DataFrame) -> Message:
    """Return the critical c at one width, in units of eta ||H-infinity||: predicted by seed, and between two runs."""
    predicted, measured = {}, {}
    for seed, runs in widest.groupby("seed"):
        ordered = runs.sort_values("c")
        calm = (~ordered.grew & ordered.fitted).cummin()  # converges, and so does every smaller c
        predicted[seed] = ordered.critical_c.iloc[0]
        measured[seed] = ordered.c[calm].max(), ordered.c[~calm].min()
    m, (low, high) = widest.m.iloc[0], CRITICAL
    claimed = m >= WIDE
    where = f"in {low:g}..{high:g} and " if claimed else ""
    holds = [
        (not claimed or low <= predicted[seed] <= high) and least <= predicted[seed] <= most
        for seed, (least, most) in measured.items()
    ]
    return Message(
        f"m = {m}, the greatest width",
        "the critical eta ||H-infinity||, predicted as 2 ||H-infinity|| / ||H(0)||, is "
        f"{where}inside the measured bracket",
        all(holds),
        "predicted by seed: "
        + ", ".join(f"{seed}: {c:.3f}" for seed, c in predicted.items())
        + "; greatest that converges without exceeding its start, and least that does not: "
        + ", ".join(f"{seed}: {least:g} and {most:g}" for seed, (least, most) in measured.items()),
    )


def draw(output: Output) -> None:
    """Save the figure, the CSV of every trajectory, and the messages."""
    drawn = trajectories(output.runs)
    output.save("figure_critical_step", figure(drawn), drawn)
    output.messages("figure_critical_step", messages(by_run(drawn)))


def seeds(runs: list[SavedRun]) -> Problems:
    """Return a row per run, with what Theorem 2's number of iterations leaves out, by seed."""
    ends = by_run(trajectories(runs))
    constants = [_constant(run) for run in runs]
    by = ["m", "seed", "c"]
    return split(ends.merge(pd.DataFrame(constants), on=by), ["fitted_to"], "all widths and steps")


def _constant(run: SavedRun) -> dict:
    """Return T / ((||H|| / lambda_0) log(1 / eps)); T counts what the loss needs to stay below eps = 1e-6."""
    config, result, history = run.config, run.summary["result"], run.history
    after = stays_below(history.loss, history.iteration, FITTED * result["start_loss"])
    constant = after / (result["lambda_1"] / result["lambda_0"] * np.log(1 / FITTED))
    du = result["lambda_0"] * result["lambda_1"] / config["data"]["n"] ** 2  # lambda_0 / n^2 in units of 1 / ||H||
    of_run = {"m": config["m"], "seed": config["seed"], "c": config["eta"]}
    return of_run | {"constant": constant, "times_du": config["eta"] / du, "fitted_to": FITTED}


def calm_share(seed: pd.DataFrame) -> float:
    """Return the share of runs below 0.99 of the critical step that fit without ever exceeding their start."""
    below = seed[seed.c < 0.99 * seed.critical_c]
    return float((~below.grew & below.fitted).mean())


def greatest_constant(seed: pd.DataFrame) -> float:
    """Return the greatest constant of the runs with c < 2."""
    return float(seed.constant[seed.c < 2].max())


def times_du(seed: pd.DataFrame) -> float:
    """Return the greatest eta that fits at every width, over lambda_0 / n^2."""
    fits = seed.groupby("c").fitted.transform("all")
    return float(seed.times_du[fits].max())


def over_widths(seed: pd.DataFrame) -> float:
    """Return the greatest over the least number of iterations of the widths, at the smallest c."""
    constant = seed.constant[seed.c == seed.c.min()]
    return float(constant.max() / constant.min())


LARGER = Sentence(
    "gradient descent converges at every width with an eta that is at least twice lambda_0 / n^2",
    "greatest eta that fits / (lambda_0 / n^2)",
    times_du,
    low=2,
)
PARAMETERS = Sentence(
    "the number of iterations to 1e-6 of the loss changes by at most a factor of 2 over the widths",
    "greatest over least T",
    over_widths,
    high=2,
)
CALM = Sentence(
    "up to 0.99 of the critical step the loss never exceeds its start and falls to 1e-6 of it",
    "share of runs",
    calm_share,
    low=1,
)
LINEAR = Sentence(
    "for c < 2 the loss stays below 1e-6 of its start after (||H|| / lambda_0) log(1 / eps) iterations",
    "greatest T over that",
    greatest_constant,
    high=1,
)


def stays_below(loss: pd.Series, iteration: pd.Series, level: float | pd.Series) -> float:
    """Return the first recorded iteration from which on the loss stays at or below the level; inf if never."""
    above = np.flatnonzero(~(loss <= level).to_numpy())
    first = above[-1] + 1 if len(above) else 0
    return float(iteration.iloc[first]) if first < len(iteration) else np.inf


_claim = partial(Claim, sweep="figure_critical_step", at_paper_scale="a width of 30000; the paper gives no sizes")
CLAIMS = (
    _claim(
        id="much-larger-rate",
        quote="can use a much larger learning rate while still converging to the global minimum",
        place="Section 1, and Section 4, before Theorem 2, than λ0/n²",
        measure=partial(by_sentences, problems=seeds, sentences=(LARGER,)),
        tolerance="called much larger: twice",
    ),
    _claim(
        id="independent-of-parameters",
        quote="this upper bound is independent of the number of parameters",
        place="Section 1, footnote 3",
        measure=partial(by_sentences, problems=seeds, sentences=(PARAMETERS,)),
        tolerance="a factor 2, while the number of parameters grows by 100",
    ),
    _claim(
        id="theorem-2-convergence",
        quote="we have L(W(T)) ≤ ε for",
        place="Theorem 2",
        measure=partial(by_sentences, problems=seeds, sentences=(CALM,)),
        tolerance="1e-6 of the initial loss is far above the resolution of float64; steps up to 0.99 of the "
        "critical one",
    ),
    _claim(
        id="theorem-2-iterations",
        quote="T = O((||H∞||/λ0) log(1/ε))",
        place="Theorem 2",
        measure=partial(by_sentences, problems=seeds, sentences=(LINEAR,)),
        tolerance="twice what the linearised network needs at η = 1/||H∞||, for steps up to 1.9/||H∞||",
    ),
)


if __name__ == "__main__":
    main("figure_critical_step", draw, APART)
