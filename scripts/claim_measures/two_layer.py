"""Claims about the Gram matrix and two-layer networks (Section 4, Figures 5 and 6, Theorems 2 and 3)."""

import numpy as np
import pandas as pd

from scripts import figure_critical_step
from scripts.claim_measures import tables
from scripts.claim_measures.finding import NOT_REPRODUCED, REPRODUCED, ClaimError, Finding, Sweep, of_cases, of_number
from scripts.figure_theorem_3 import TARGET, converged

SIDES = {"below": lambda b0, critical: b0 < critical, "from": lambda b0, critical: b0 >= critical}


def _of_method(table: pd.DataFrame, method: str, side: str | None = None) -> pd.DataFrame:
    """The rows of a method, of those b0 that are on one side of eta ||H|| / 2."""
    chosen = table.method == method
    return table[chosen & SIDES[side](table.b0, table.critical_b0)] if side else table[chosen]


def _cell(row: pd.Series) -> str:
    return f"m = {row.m}, b0 = {row.b0:g}"


def positive_gram(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether lambda_0 of H-infinity is above ``tolerance`` times its norm, for each data set and size."""
    relative = tables.spectra(sweep).assign(ratio=lambda t: t.lambda_min / t.lambda_max).groupby(["data", "n", "d"])
    cases = {f"{data}, n = {n}, d = {d}": bool(part.ratio.min() > tolerance) for (data, n, d), part in relative}
    least = tables.spectra(sweep).loc[(tables.spectra(sweep).lambda_min / tables.spectra(sweep).lambda_max).idxmin()]
    said = f"least lambda_0 / ||H_inf|| {least.lambda_min / least.lambda_max:.3g} ({least.data}, n = {least.n})"
    return of_cases(cases, said, tolerance=f"above {tolerance:g}")


def norm_below_n(sweep: Sweep) -> Finding:
    """Whether ||H-infinity|| is at most n, for each data set."""
    share = (tables.spectra(sweep).lambda_max / tables.spectra(sweep).n).groupby(tables.spectra(sweep).data)
    said = "greatest ||H_inf|| / n: " + ", ".join(f"{name} {values.max():.3g}" for name, values in share)
    return of_cases({name: bool(values.max() <= 1) for name, values in share}, said)


def bounded_labels(sweep: Sweep, *, tolerance: float, data: str) -> Finding:
    """Whether the root mean square of a data set's labels is at most ``tolerance``."""
    # the loss of predicting 0 is the mean of y^2 / 2
    losses = [run.summary["result"]["zero_loss"] for run in sweep.runs if run.config["data"]["name"] == data]
    if not losses:
        raise ClaimError(f"the sweep {sweep.name} has no run on {data}")
    size = (2 * max(losses)) ** 0.5
    said = f"root mean square of the labels of {data}: {size:.3g}"
    return of_number(size, 0, tolerance, said, tolerance=f"at most {tolerance:g}")


def linear_iterations(sweep: Sweep, *, tolerance: float, c_below: float) -> Finding:
    """Gradient descent with eta = c / ||H||, c < ``c_below``: T against ``tolerance`` (||H|| / lambda_0) log(1 / eps).

    T counts the iterations after which the loss stays below eps = 1e-6 of its start.
    """
    cases, ratios = {}, []
    for run in sweep.runs:
        config, result, history = run.config, run.summary["result"], run.history
        if config["eta"] >= c_below:
            continue
        eps = figure_critical_step.FITTED
        after = _stays_below(history.loss, history.iteration, eps * result["start_loss"])
        ratios.append(after / (result["lambda_1"] / result["lambda_0"] * np.log(1 / eps)))
        cases[f"m = {config['m']}, c = {config['eta']:g}, seed {config['seed']}"] = bool(ratios[-1] <= tolerance)
    said = f"T / ((||H|| / lambda_0) log(1 / eps)) from {min(ratios):.3g} to {max(ratios):.3g}" if ratios else "no run"
    return of_cases(cases, said, tolerance=f"the constant {tolerance:g}")


def converges(sweep: Sweep, *, side: str | None = None) -> Finding:
    """Whether AdaLoss brings the loss to 1e-6 of its start, or is on its way where its bound asks for more iterations.

    Each width and b0 is a case; ``side``: of eta ||H|| / 2, all where it is None.
    """
    ends = _of_method(tables.ends(sweep), "adaloss", side)
    cases = {_cell(row): bool(holds) for (_, row), holds in zip(ends.iterrows(), converged(ends), strict=True)}
    reached = ends.reached_after.dropna()
    on_way = len(ends) - len(reached)
    took = f"{reached.min():.0f} to {reached.max():.0f} iterations" if len(reached) else "none there"
    return of_cases(cases, f"to {TARGET:g} of the loss: {took}; {on_way} of {len(ends)} not there yet")


def log_linear(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether 1e-9 of the loss takes AdaLoss at most ``tolerance`` times as long as 1e-6; for T ~ 1 / eps: 1000 times.

    Only runs that get to 1e-9 within the recorded iterations decide.
    """
    cases, ratios = {}, []
    for (m, b0), curve in _of_method(tables.trajectories(sweep), "adaloss").groupby(["m", "b0"]):
        fine, coarse = (_stays_below(curve.loss, curve.iteration, eps * curve.start_loss) for eps in (1e-9, 1e-6))
        name = f"m = {m}, b0 = {b0:g}"
        cases[name] = bool(fine <= tolerance * coarse) if np.isfinite(fine) else None
        ratios += [fine / coarse] if np.isfinite(fine) else []
    said = f"T(1e-9) / T(1e-6) from {min(ratios):.3g} to {max(ratios):.3g}" if ratios else "no run gets to 1e-9"
    return of_cases(cases, said, tolerance=f"a factor {tolerance:g}")


def same_rate(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether AdaLoss takes at most ``tolerance`` times as long as the constant step eta / b0.

    Decided where the theorem's second term is smaller than its first: the bound on b is at most 2 b0.
    """
    took = [
        _of_method(tables.ends(sweep), method, "from").set_index(["m", "b0"]).reached_after
        for method in ("adaloss", "sgd_constant")
    ]
    bounds = {
        (run.config["m"], run.config["b0"]): run.summary["result"]["b_bound"]
        for run in sweep.runs
        if run.config["method"]["name"] == "adaloss"
    }
    cases, said = {}, []
    for (m, b0), ratio in (took[0] / took[1]).items():
        small, name = bounds[m, b0] <= 2 * b0, f"m = {m}, b0 = {b0:g}"
        cases[name] = bool(ratio <= tolerance) if small and np.isfinite(ratio) else None
        said.append(f"{name}: {ratio:.4g}" + ("" if small else " (the second term is larger)"))
    where = "iterations of AdaLoss / constant step: "
    return of_cases(cases, where + ", ".join(said), tolerance=f"a factor {tolerance:g}")


def within_bound(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether AdaLoss brings the loss to 1e-6 in ``tolerance`` times the linearised network's bound on iterations.

    Each width and b0 whose bound, so many times, is within the iterations that were run is a case.
    """
    ends = _of_method(tables.ends(sweep), "adaloss")
    ends = ends[tolerance * ends.iterations_bound < ends.iteration]
    ratio = ends.reached_after.fillna(np.inf) / ends.iterations_bound
    cases = {_cell(row): bool(r <= tolerance) for (_, row), r in zip(ends.iterrows(), ratio, strict=True)}
    said = ", ".join(f"m = {m}: {of_m.max():.4g}" for m, of_m in ratio.groupby(ends.m))
    return of_cases(cases, f"greatest T / bound: {said or 'no bound that small'}", tolerance=f"{tolerance:g} times")


def step_settles(sweep: Sweep, *, tolerance: float) -> Finding:
    """Whether AdaLoss's step from b0 < eta ||H|| / 2 ends at most ``tolerance`` times 2 / ||H-infinity||."""
    runs = {
        f"m = {run.config['m']}, b0 = {run.config['b0']:g}": run.history.step.iloc[-1]
        * run.summary["result"]["lambda_1"]
        / 2
        for run in sweep.runs
        if run.config["method"]["name"] == "adaloss"
        and run.config["b0"] < run.summary["result"]["eta"] * run.summary["result"]["lambda_1"] / 2
    }
    said = f"step at the end / (2 / ||H||) from {min(runs.values()):.3g} to {max(runs.values()):.3g}" if runs else ""
    cases = {name: bool(ratio <= tolerance) for name, ratio in runs.items()}
    return of_cases(cases, said or "no such b0", tolerance=f"a factor {tolerance:g}")


def loss_may_rise(sweep: Sweep) -> Finding:
    """Whether AdaLoss's loss exceeds its start for some b0 below eta ||H|| / 2 and width."""
    curves = _of_method(tables.trajectories(sweep), "adaloss", "below")
    peaks = (curves.loss / curves.start_loss).groupby([curves.m, curves.b0]).max()
    rose = (peaks > figure_critical_step.GROWN).sum()
    said = f"above its start in {rose} of {len(peaks)} runs, at most {peaks.max():.4g} times"
    return Finding(REPRODUCED if rose else NOT_REPRODUCED, said, tolerance=f"a factor {figure_critical_step.GROWN:g}")


def gram_stays_positive(sweep: Sweep) -> Finding:
    """Whether lambda_min(H(k)) of AdaLoss's networks is positive at every recorded iteration, for each width and b0."""
    least = _of_method(tables.trajectories(sweep), "adaloss").groupby(["m", "b0"]).lambda_min.min()
    cases = {f"m = {m}, b0 = {b0:g}": bool(value > 0) for (m, b0), value in least.items()}
    return of_cases(cases, f"least lambda_min(H(k)) {least.min():.4g}")


def width_needed(sweep: Sweep) -> Finding:
    """Whether no width up to n^8 converges from every b0: a width that does refutes it."""
    ends, n = _of_method(tables.ends(sweep), "adaloss"), sweep.runs[0].config["data"]["n"]
    whole = converged(ends).groupby(ends.m).all()
    converging = [m for m in whole.index[whole] if m <= n**8]
    listed = ", ".join(map(str, converging)) or "none"
    said = f"widths that converge from every b0: {listed}, of {len(whole)}; n^8 = {n**8:.2g} for n = {n}"
    return Finding(NOT_REPRODUCED if converging else REPRODUCED, said)


def _stays_below(loss: pd.Series, iteration: pd.Series, level: float | pd.Series) -> float:
    """The first recorded iteration from which on the loss stays at or below the level; inf if there is none."""
    above = np.flatnonzero(~(loss <= level).to_numpy())
    first = above[-1] + 1 if len(above) else 0
    return float(iteration.iloc[first]) if first < len(iteration) else np.inf
