"""Figure 1: stochastic linear regression, average loss and effective step size against b0, four methods.

python -m scripts.figure_1 --scale laptop
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS, SGD_METHODS
from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, by_key, of_cases, of_parts
from scripts.shared import b0_panels
from scripts.shared.b0_panels import RESOLUTION, WINDOWS, losses, named
from scripts.shared.output import Message, Output, every, main

SHOWN = {"figure_1": "normal", "figure_1_unit": "unit"}  # file -> initial distance; both at d = 200
ADAPTIVE = ("adaloss", "adagrad_norm")
APART = {
    "data": ("gaussian",),
    "data.w_star": ("normal", "unit"),
    "data.d": (),
    "method": SGD_METHODS,
    "b0": (),
    "seed": (),
}


def over_seeds(runs: list[SavedRun]) -> pd.DataFrame:
    """Return what the figure draws: medians and ranges over the seeds of each problem, method, b0 and window."""
    table = b0_panels.by_window(
        runs,
        lambda run: {
            "w_star": run.config["data"]["w_star"],
            "d": run.config["data"]["d"],
            "initial_loss": run.summary["result"]["initial_gap"],
            "critical_b0": run.config["eta"] * run.summary["result"]["lambda_1"] / 2,
        },
    )
    by = ["w_star", "d", "method", "b0", "window"]
    return b0_panels.over_seeds(table, by, ("loss", "step"), initial_loss="median", critical_b0="min")


def figure(drawn: pd.DataFrame, w_star: str, d: int, n: int, batch: int | None) -> plt.Figure:
    """Draw the panels of one problem."""
    chosen = drawn[(drawn.w_star == w_star) & (drawn.d == d)]
    initial = chosen.initial_loss.iloc[0]
    length = "entries N(0, 1)" if w_star == "normal" else "length 1"
    seeds = chosen.seeds.max()
    return b0_panels.figure(
        chosen,
        {"loss": (RESOLUTION * initial / 10, 1e4 * initial), "step": (chosen.step_min.min() / 3, 3e3)},
        r"$b_0 = \eta\lambda_1/2$",
        f"Stochastic linear regression, n = {n}, d = {d}, batch {batch}, w* of {length}; "
        f"median and range of {seeds} seeds",
    )


def messages(drawn: pd.DataFrame) -> list[Message]:
    """Decide the paper's sentences about Figure 1 for every problem, from the medians over seeds."""
    found = []
    for (w_star, d), problem in drawn.groupby(["w_star", "d"], sort=False):
        name = f"d = {d}, w* {w_star}"
        critical, floor = problem.critical_b0.min(), RESOLUTION * problem.initial_loss.min()
        first, last = (losses(problem, window).clip(lower=floor) for window in (WINDOWS[0], WINDOWS[-1]))
        below = last.index < critical
        for method in ("adaloss", "adagrad_norm"):
            ratio = last[method][below] / last[method].min()
            worst = f"worst factor {ratio.max():.3g} at b0 = {ratio.idxmax():g}" if len(ratio) else "no b0 below it"
            found.append(
                Message(
                    name,
                    f"{METHODS[method].label} ends within a factor 10 of its own best for all b0 below "
                    "eta lambda_1 / 2",
                    every(ratio <= 10),
                    f"{worst}; critical b0 {critical:.3g}",
                    key=f"{method}_robust",
                )
            )
        constant = last["sgd_constant"][below]
        diverging = constant > problem.initial_loss.min()
        found.append(
            Message(
                name,
                "SGD-Constant diverges for all b0 below eta lambda_1 / 2",
                every(diverging),
                f"loss above its start at {diverging.sum()} of {below.sum()} values of b0; largest b0 with such a loss "
                f"{last.index[last['sgd_constant'] > problem.initial_loss.min()].max():g}",
                key="diverges",
            )
        )
        small = first[first.index < 1]
        not_better = small["adaloss"] >= small["adagrad_norm"]
        ratio = small["adaloss"] / small["adagrad_norm"]
        found.append(
            Message(
                name,
                "for b0 < 1 AdaLoss is not better than AdaGrad-Norm in iterations [101, 200]",
                every(not_better),
                f"not better at {not_better.sum()} of {len(small)} values of b0; "
                f"loss of AdaLoss / AdaGrad-Norm from {ratio.min():.3g} to {ratio.max():.3g}",
                key="not_better_first",
            )
        )
        ours, theirs = last["adaloss"], last["adagrad_norm"]
        better, worse = int((ours < theirs).sum()), int((ours > theirs).sum())
        found.append(
            Message(
                name,
                "after 5000 iterations AdaLoss outperforms AdaGrad-Norm in general",
                better > worse,
                f"better at {better}, worse at {worse} of {len(last)} values of b0, alike (at float64's resolution) at "
                f"the rest; greatest factor {(ours / theirs).max():.3g} at b0 = {(ours / theirs).idxmax():g}",
                key="outperforms",
            )
        )
    return found


def draw(output: Output) -> None:
    """Save Figure 1 at the greatest d, which is 200, from each initial distance, and the CSV of all problems."""
    drawn, config = over_seeds(output.runs), output.runs[0].config
    for name, w_star in SHOWN.items():
        of_start = drawn[drawn.w_star == w_star]
        if len(of_start):
            fig = figure(drawn, w_star, of_start.d.max(), config["data"]["n"], config["batch"])
            output.save(name, fig, drawn if name == "figure_1" else of_start)
    output.messages("figure_1", messages(drawn))


def _by_problem(sweep: Sweep) -> list[tuple[str, pd.DataFrame]]:
    grouped = sweep.of(over_seeds).groupby(["w_star", "d"], sort=False)
    return [(f"d = {d}, w* {w_star}", problem) for (w_star, d), problem in grouped]


def _steps(problem: pd.DataFrame, window: int) -> pd.DataFrame:
    chosen = problem[problem.window == named(WINDOWS[window])]
    return chosen.pivot(index="b0", columns="method", values="step")


def not_better(sweep: Sweep, *, window: int, b0_below: float) -> Finding:
    """Decide whether AdaLoss's median loss in a window is at least AdaGrad-Norm's at every b0 below ``b0_below``."""
    parts = {}
    for name, problem in _by_problem(sweep):
        found = losses(problem, WINDOWS[window]).clip(lower=RESOLUTION * problem.initial_loss.min())
        ratio = (found["adaloss"] / found["adagrad_norm"])[found.index < b0_below]
        parts[name] = every(ratio >= 1), f"{ratio.min():.3g} to {ratio.max():.3g}"
    return of_parts(parts, f"loss of AdaLoss / AdaGrad-Norm in {named(WINDOWS[window])}: ")


def larger_steps(sweep: Sweep, *, tolerance: float, window: int, b0_below: float) -> Finding:
    """Decide whether AdaLoss's median step is at least ``tolerance`` times AdaGrad-Norm's for b0 < ``b0_below``."""
    parts = {}
    for name, problem in _by_problem(sweep):
        found = _steps(problem, window)
        ratio = (found["adaloss"] / found["adagrad_norm"])[found.index < b0_below]
        parts[name] = every(ratio >= tolerance), f"{ratio.min():.3g} to {ratio.max():.3g}"
    where = f"step of AdaLoss / AdaGrad-Norm in {named(WINDOWS[window])}: "
    return of_parts(parts, where, tolerance=f"a factor {tolerance:g}")


def settled(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether b ~ t^p with p at most ``tolerance`` between the last two windows, for all b0 and both methods."""
    cases, said = {}, []
    (first, second), (third, fourth) = WINDOWS[-2:]
    spread = np.log((third + fourth) / (first + second))
    for name, problem in _by_problem(sweep):
        before, after = (_steps(problem, window)[list(ADAPTIVE)] for window in (-2, -1))
        exponent = (np.log(before / after) / spread).max()
        for method in ADAPTIVE:
            cases[f"{name}: {METHODS[method].label}"] = bool(exponent[method] <= tolerance)
        said.append(f"{name}: " + ", ".join(f"{METHODS[m].label} {exponent[m]:.2g}" for m in ADAPTIVE))
    where = f"greatest exponent of b from {named(WINDOWS[-2])} to {named(WINDOWS[-1])}: "
    return of_cases(cases, where + "; ".join(said), tolerance=f"{tolerance:g}")


def smaller_limit(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether AdaLoss's b ends at most ``tolerance`` times AdaGrad-Norm's at every b0 above eta lambda_1 / 2."""
    parts = {}
    for name, problem in _by_problem(sweep):
        steps = _steps(problem, -1)
        ratio = (steps["adagrad_norm"] / steps["adaloss"])[steps.index > problem.critical_b0.max()]
        parts[name] = every(ratio <= tolerance), f"{ratio.min():.3g} to {ratio.max():.6g}"
    where = "b of AdaLoss / AdaGrad-Norm at the end, b0 > eta lambda_1 / 2: "
    return of_parts(parts, where, tolerance=f"a factor {tolerance:g}")


def first_additions(runs: list[SavedRun]) -> pd.DataFrame:
    """Return what a minibatch adds to b_0^2, a column for each method; rows: problem, b0, seed and sup ||x_i||^2.

    Additions below the resolution of b_0^2 are left out.
    """
    rows = []
    for run in runs:
        config, first = run.config, run.history.iloc[0]
        b_sq = (config["eta"] / first.step) ** 2
        added = b_sq - config["b0"] ** 2
        seen = first.iteration == 1 and added > 1e6 * np.finfo(float).eps * b_sq
        if config["method"]["name"] in ADAPTIVE and seen:
            name = f"d = {config['data']['d']}, w* {config['data']['w_star']}"
            rows_sup = run.summary["result"]["row_norm_sq_max"]
            rows.append((name, config["b0"], config["seed"], rows_sup, config["method"]["name"], added))
    by = ["problem", "b0", "seed", "row_norm_sq_max"]
    table = pd.DataFrame(rows, columns=[*by, "method", "added"])
    return table.pivot(index=by, columns="method", values="added").reindex(columns=ADAPTIVE).dropna()


def first_addition(sweep: Sweep) -> Finding:
    """Decide whether b_1^2 - b_0^2 is smaller for AdaLoss than for AdaGrad-Norm, in every run of a problem."""
    both = sweep.of(first_additions)
    ratio = (both["adaloss"] / both["adagrad_norm"]).groupby("problem", sort=False)
    parts = {name: (every(values < 1), f"{values.min():.3g} to {values.max():.3g}") for name, values in ratio}
    return of_parts(parts, "first addition to b^2, AdaLoss / AdaGrad-Norm: ")


def gradient_bound(sweep: Sweep) -> Finding:
    """Decide whether the first squared gradient norm is at most C (f - f*), C = 2 sup ||x_i||^2, in every run.

    AdaGrad-Norm adds the one to b_0^2, AdaLoss 2 (f - f*).
    """
    both = sweep.of(first_additions).reset_index()
    share = both["adagrad_norm"] / (both["row_norm_sq_max"] * both["adaloss"])
    greatest = share.groupby(both["problem"], sort=False).max()
    parts = {name: (bool(value <= 1 + 1e-9), f"{value:.3g}") for name, value in greatest.items()}
    return of_parts(parts, "greatest squared gradient norm / (C (f - f*)): ", tolerance="rounding")


def slow(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether the step from the greatest b0 ends with at least ``tolerance`` times the loss of the best b0."""
    parts = {}
    for name, problem in _by_problem(sweep):
        last = losses(problem, WINDOWS[-1])["sgd_constant"].clip(lower=RESOLUTION * problem.initial_loss.min())
        ratio = last.iloc[-1] / last.min()
        numbers = f"{ratio:.3g} times from b0 = {last.index[-1]:g}, best b0 = {last.idxmin():g}"
        parts[name] = bool(ratio >= tolerance), numbers
    return of_parts(parts, "loss of the constant step: ", tolerance=f"a factor {tolerance:g}")


def decided(sweep: Sweep) -> list[Message]:
    """Return the sentences about these runs."""
    return messages(sweep.of(over_seeds))


_claim = partial(Claim, sweep="figure_1", at_paper_scale="20 seeds")
CLAIMS = (
    _claim(
        id="small-steps-are-slow",
        quote="too small values of the stepsize mean slow progress",
        place="Section 2",
        measure=partial(slow, tolerance=10),
        tolerance="the factor within which losses count as alike for Figure 1",
    ),
    _claim(
        id="large-steps-diverge",
        quote="too large values lead to the divergence of the algorithm",
        place="Section 2",
        measure=partial(by_key, decided=decided, keys=["diverges"]),
        tolerance="a loss above its start after 5000 iterations is no convergence; below the critical b0 even the "
        "mean diverges",
    ),
    _claim(
        id="gradient-bounded-by-loss",
        quote="The norm of the gradient is bounded by the difference between",
        place="Section 2",
        measure=gradient_bound,
        tolerance="an inequality with C = 2 sup ||x_i||^2, up to rounding",
    ),
    _claim(
        id="tighter-upper-bound",
        quote="AdaLoss has a tighter upper bound than AdaGrad-Norm",
        place="Section 3, after Corollary 1",
        measure=partial(smaller_limit, tolerance=1.000001),
        tolerance="what the bounds bound, the final b from b0 > ηλ1/2, may be equal at large b0 up to rounding",
    ),
    _claim(
        id="b-is-bounded",
        quote="the limit of b_t is bounded",
        place="Section 3, stochastic setting",
        measure=partial(settled, tolerance=0.05),
        tolerance="from this exponent on b counts as growing for figure c, where noise at the optimum gives 0.2 to 0.5",
        at_paper_scale="20 seeds; more iterations than the paper's 5000 would show more of the limit",
    ),
    _claim(
        id="smaller-addition",
        quote="is smaller than that of AdaGrad-Norm",
        place="Section 3, of the add-on value of AdaLoss",
        measure=first_addition,
        tolerance="the same minibatch and the same point are compared; additions that rounding hides are left out",
    ),
    _claim(
        id="figure-1-robust",
        quote="stochastic AdaLoss and AdaGrad-Norm are robust to a wide range of initialization",
        place="Section 3, Figure 1",
        measure=partial(by_key, decided=decided, keys=["adaloss_robust", "adagrad_norm_robust"]),
        tolerance="a factor 10 is little compared with the decades that divide a constant step's losses",
    ),
    _claim(
        id="figure-1-not-better-first",
        quote="AdaLoss is not better than AdaGrad-Norm at the beginning",
        place="Section 3, Figure 1",
        measure=partial(by_key, decided=decided, keys=["not_better_first"]),
        tolerance="medians are compared as they are, at every b0 < 1",
    ),
    _claim(
        id="figure-1-not-better-1000",
        quote="at least before 1000 iterations, see the first two figures",
        place="Section 3, Figure 1",
        measure=partial(not_better, window=1, b0_below=1),
        tolerance="medians are compared as they are, at every b0 < 1, above the resolution of float64",
    ),
    _claim(
        id="figure-1-larger-steps",
        quote="the effective learning rate is much larger than AdaGrad-Norm",
        place="Section 3, Figure 1",
        measure=partial(larger_steps, window=0, b0_below=1, tolerance=2),
        tolerance="called much larger: twice",
    ),
    _claim(
        id="figure-1-outperforms",
        quote="after 5000 iterations (3rd figure, 1st row), AdaLoss outperforms AdaGrad-Norm in general",
        place="Section 3, Figure 1",
        measure=partial(by_key, decided=decided, keys=["outperforms"]),
        tolerance="in general: better at more b0 than worse; losses below the resolution of float64 are alike",
    ),
)


if __name__ == "__main__":
    main("figure_1", draw, APART)
