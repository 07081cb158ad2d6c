"""Claims about AdaLoss's hyper-parameters: the sweep ``hyperparameters`` has all combinations of b0, alpha and eta."""

from functools import partial

import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Case, Claim, Finding, Sweep, of_cases, of_parts
from scripts.claims.intervals import decided, usually
from scripts.figure_theorem_3 import RESOLUTION, TARGET

CHOICE = ["b0", "alpha", "eta"]


def by_run(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run: its choice and seed, whether it gets to TARGET, and whether its bound says so."""
    rows = []
    for run in runs:
        config, result = run.config, run.summary["result"]
        choice = {"b0": config["b0"], "alpha": config["method"]["alpha"], "eta": config["eta"], "seed": config["seed"]}
        bound = result["iterations_bound"] or np.inf
        there = result["final_loss"] is not None and result["final_loss"] <= TARGET * result["start_loss"]
        rows.append(choice | {"there": there, "due": bound <= config["iterations"], "run": run})
    return pd.DataFrame(rows)


def any_choice_converges(sweep: Sweep) -> Finding:
    """Decide whether the loss falls to 1e-6 of its start with every choice of b0, alpha and eta, in most seeds.

    A seed's choices whose bound on iterations is above those that were run, and that are not there, decide nothing.
    """
    table = sweep.of(by_run)
    counted = table[table.there | table.due]
    by_seed = counted.groupby("seed").there.all()
    parts = decided({"all choices of a seed": usually(by_seed)})
    lost = counted[~counted.there].groupby(CHOICE).seed.nunique()
    named = "; ".join(f"b0 = {b0:g}, α = {alpha:g}, η = {eta:g}: {n} seeds" for (b0, alpha, eta), n in lost.items())
    said = f"m = {sweep.runs[0].config['m']}, not there: {named or 'none'}; "
    said += f"{len(table) - len(counted)} of {len(table)} runs need more iterations; "
    return of_parts(parts, said)


def homogeneous(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether (kappa b0, kappa^2 alpha, kappa eta) takes the steps of (b0, alpha, eta), up to ``tolerance``.

    While the loss is above rounding. Each pair of choices in the sweep is a case.
    """
    table = sweep.of(by_run)
    scaled = table.assign(b=table.b0 / table.eta, a=table.alpha / table.eta**2).round({"b": 9, "a": 12})
    cases: dict[str, Case] = {}
    greatest = 0.0
    for (b, a), runs in scaled.groupby(["b", "a"]):
        if len(runs) == runs.seed.nunique():
            continue  # one choice alone
        off = max(_apart([row.run for row in of_seed.itertuples()]) for _, of_seed in runs.groupby("seed"))
        cases[f"b0 / η = {b:g}, α / η² = {a:g}"] = bool(off <= tolerance)
        greatest = max(greatest, off)
    return of_cases(cases, f"steps differ by at most {greatest:.2g} of themselves", tolerance=f"{tolerance:g}")


def _apart(runs: list[SavedRun]) -> float:
    first, *others = (run.history for run in runs)
    seen = first.loss > RESOLUTION * first.loss.iloc[0]
    return max(float(np.abs(other.step / first.step - 1)[seen].max()) for other in others)


_claim = partial(Claim, sweep="hyperparameters")
CLAIMS = (
    _claim(
        id="hyperparameters-never-matter",
        quote="for any choice of hyper-parameters used, our method is guaranteed to converge",
        place="Section 1, contributions",
        measure=any_choice_converges,
        tolerance="1e-6 of the loss is far above the resolution of float64; any choice is every choice, at one width",
        at_paper_scale="a width of 10000: the theorem asks for one that depends on the choice",
    ),
    _claim(
        id="homogeneous-in-eta",
        quote="η is for ensuring homogeneity and that the units match",
        place="Section 2",
        measure=partial(homogeneous, tolerance=1e-6),
        tolerance="rounding, which thousands of steps add up",
        at_paper_scale="needs no scale",
        cannot_fail="an identity of Algorithm 1: b and η in the unit κ, α in κ², and the steps η / b are the same",
    ),
)
