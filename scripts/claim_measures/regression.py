"""Claims about stochastic linear regression (Figure 1) and about the exit index and the bounds (Section 3)."""

from functools import cache

import numpy as np
import pandas as pd

from experiments.methods import METHODS
from scripts.claim_measures import tables
from scripts.claim_measures.finding import Finding, Sweep, of_cases
from scripts.shared.b0_panels import RESOLUTION, WINDOWS, losses, named

ADAPTIVE = ("adaloss", "adagrad_norm")


def _by_problem(sweep: Sweep) -> list[tuple[str, pd.DataFrame]]:
    grouped = tables.over_b0(sweep).groupby(["w_star", "d"], sort=False)
    return [(f"d = {d}, w* {w_star}", problem) for (w_star, d), problem in grouped]


def _steps(problem: pd.DataFrame, window: int) -> pd.DataFrame:
    chosen = problem[problem.window == named(WINDOWS[window])]
    return chosen.pivot(index="b0", columns="method", values="step")


def not_better(sweep: Sweep, *, window: int, b0_below: float) -> Finding:
    """Whether AdaLoss's median loss in a window is at least AdaGrad-Norm's at every b0 below ``b0_below``."""
    cases, said = {}, []
    for name, problem in _by_problem(sweep):
        found = losses(problem, WINDOWS[window]).clip(lower=RESOLUTION * problem.initial_loss.min())
        found = found[found.index < b0_below]
        ratio = found["adaloss"] / found["adagrad_norm"]
        cases[name] = bool((ratio >= 1).all()) if len(ratio) else None
        said.append(f"{name}: {ratio.min():.3g} to {ratio.max():.3g}")
    return of_cases(cases, f"loss of AdaLoss / AdaGrad-Norm in {named(WINDOWS[window])}: " + "; ".join(said))


def larger_steps(sweep: Sweep, *, tolerance: float, window: int, b0_below: float) -> Finding:
    """Whether AdaLoss's median step is at least ``tolerance`` times AdaGrad-Norm's at every b0 below ``b0_below``."""
    cases, said = {}, []
    for name, problem in _by_problem(sweep):
        found = _steps(problem, window)
        ratio = (found["adaloss"] / found["adagrad_norm"])[found.index < b0_below]
        cases[name] = bool((ratio >= tolerance).all()) if len(ratio) else None
        said.append(f"{name}: {ratio.min():.3g} to {ratio.max():.3g}")
    where = f"step of AdaLoss / AdaGrad-Norm in {named(WINDOWS[window])}: "
    return of_cases(cases, where + "; ".join(said), tolerance=f"a factor {tolerance:g}")


def settled(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether b ~ t^p with p at most ``tolerance`` between the last two windows, for all b0 and both methods."""
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
    """Whether b of AdaLoss ends at most ``tolerance`` times AdaGrad-Norm's at every b0 above eta lambda_1 / 2."""
    cases, said = {}, []
    for name, problem in _by_problem(sweep):
        steps = _steps(problem, -1)
        ratio = (steps["adagrad_norm"] / steps["adaloss"])[steps.index > problem.critical_b0.max()]
        cases[name] = bool((ratio <= tolerance).all()) if len(ratio) else None
        said.append(f"{name}: {ratio.min():.3g} to {ratio.max():.6g}")
    where = "b of AdaLoss / AdaGrad-Norm at the end, b0 > eta lambda_1 / 2: "
    return of_cases(cases, where + "; ".join(said), tolerance=f"a factor {tolerance:g}")


@cache
def _first_additions(sweep: Sweep) -> pd.DataFrame:
    """What the same minibatch adds to b_0^2, a column for each method; rows: problem, b0, seed and sup ||x_i||^2.

    Additions below the resolution of b_0^2 are left out.
    """
    rows = []
    for run in sweep.runs:
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
    """Whether b_1^2 - b_0^2 is smaller for AdaLoss than for AdaGrad-Norm, in every run of a problem."""
    both = _first_additions(sweep)
    ratio = (both["adaloss"] / both["adagrad_norm"]).groupby("problem", sort=False)
    cases = {name: bool((values < 1).all()) for name, values in ratio}
    said = "; ".join(f"{name}: {values.min():.3g} to {values.max():.3g}" for name, values in ratio)
    return of_cases(cases, f"first addition to b^2, AdaLoss / AdaGrad-Norm: {said}")


def gradient_bound(sweep: Sweep) -> Finding:
    """Whether the first minibatch's squared gradient norm is at most C (f - f*), C = 2 sup ||x_i||^2, in every run.

    AdaGrad-Norm adds the one to b_0^2, AdaLoss 2 (f - f*).
    """
    both = _first_additions(sweep).reset_index()
    share = both["adagrad_norm"] / (both["row_norm_sq_max"] * both["adaloss"])
    by_problem = share.groupby(both["problem"], sort=False)
    cases = {name: bool(values.max() <= 1 + 1e-9) for name, values in by_problem}
    said = "; ".join(f"{name}: {values.max():.3g}" for name, values in by_problem)
    return of_cases(cases, f"greatest squared gradient norm / (C (f - f*)): {said}", tolerance="rounding")


def slow(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether the constant step from the greatest b0 ends with at least ``tolerance`` times the loss of the best b0."""
    cases, said = {}, []
    for name, problem in _by_problem(sweep):
        last = losses(problem, WINDOWS[-1])["sgd_constant"].clip(lower=RESOLUTION * problem.initial_loss.min())
        ratio = last.iloc[-1] / last.min()
        cases[name] = bool(ratio >= tolerance)
        said.append(f"{name}: {ratio:.3g} times from b0 = {last.index[-1]:g}, best b0 = {last.idxmin():g}")
    return of_cases(cases, "loss of the constant step: " + "; ".join(said), tolerance=f"a factor {tolerance:g}")


def exit_bound(sweep: Sweep, *, method: str) -> Finding:
    """Whether N is at most Lemma 1's bound in every random problem that starts below the threshold and passes it."""
    table = tables.random_problems(sweep)
    chosen = table[(table.method == method) & (table.exit_index > 0)]
    kept = chosen.exit_index <= (chosen.exit_paper + 1) * (1 + 1e-9)
    tight = ((chosen.exit_paper + 1) / chosen.exit_index).median()
    said = f"N within it in {kept.sum()} of {len(kept)} random problems; median of bound / N {tight:.3g}"
    return of_cases({"all problems": bool(kept.all()) if len(kept) else None}, said)


def unviolated(sweep: Sweep, *, method: str, checks: list[str]) -> Finding:
    """Whether none of the checks, columns ``violations_*`` of the runs, failed in any random problem."""
    table = tables.random_problems(sweep)
    counts = table[table.method == method][[f"violations_{check}" for check in checks]].sum()
    said = f"violations in {(table.method == method).sum()} random problems: " + ", ".join(
        f"{name.removeprefix('violations_')} {count}" for name, count in counts.items()
    )
    return of_cases({check: bool(count == 0) for check, count in zip(checks, counts, strict=True)}, said)
