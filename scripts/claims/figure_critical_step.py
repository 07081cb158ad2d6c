"""What the paper says of Theorem 2's learning rate, decided by the runs around the critical step."""

from functools import partial

import numpy as np
import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, of_estimates
from scripts.claims.intervals import Estimate, usually
from scripts.figure_critical_step import FITTED, by_run, stays_below, trajectories


def ends_of(runs: list[SavedRun]) -> pd.DataFrame:
    """Return a row per run."""
    return by_run(trajectories(runs))


def largest_step_in_order(sweep: Sweep, *, least: float, most: float) -> Finding:
    """Decide whether all widths fit with steps up to ``least`` / ||H||, none from ``most`` / ||H|| on, in most seeds.

    Fits: the loss ends below 1e-6 of its start.
    """
    ends = sweep.of(ends_of)
    right = (ends.fitted & (ends.c <= least)) | (~ends.fitted & (ends.c >= most))
    outside = ends[(ends.c <= least) | (ends.c >= most)]
    between = ends[(ends.c > least) & (ends.c < most)].groupby("c").fitted.mean()
    by_step = ", ".join(f"c = {c:g}: {share:.0%}" for c, share in between.items())
    by_seed = right[outside.index].groupby(outside.seed).all()
    return of_estimates({"all widths of a seed": usually(by_seed)}, f"share that fits between them {by_step}; ")


def width_exponent(sweep: Sweep, *, tolerance: float, c: float) -> Finding:
    """Decide whether eta = c / ||H|| takes of the order m^p iterations to 1e-6 of the loss, |p| <= ``tolerance``."""
    rows = []
    for run in sweep.runs:
        if run.config["eta"] == c:
            after = stays_below(run.history.loss, run.history.iteration, FITTED * run.summary["result"]["start_loss"])
            rows.append({"seed": run.config["seed"], "m": run.config["m"], "after": after})
    table = pd.DataFrame(rows)
    exponents = [np.polyfit(np.log(of.m), np.log(of.after), 1)[0] for _, of in table.groupby("seed")]
    by_width = ", ".join(f"m = {m}: {after:.4g}" for m, after in table.groupby("m").after.mean().items())
    said = f"iterations, means over seeds, {by_width}; "
    return of_estimates({"exponent of m": Estimate(exponents, -tolerance, tolerance)}, said)


def beyond_proved(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether the largest step up to which every width fits is at least ``tolerance`` times lambda_0 / n^2."""
    ends, earlier = sweep.of(ends_of), {}
    for run in sweep.runs:
        result, n = run.summary["result"], run.config["data"]["n"]
        earlier[run.config["seed"]] = result["lambda_0"] * result["lambda_1"] / n**2  # in units of 1 / ||H||
    by_step = ends.groupby(["seed", "c"]).fitted.all().unstack().cummin(axis=1)
    largest = by_step.mul(by_step.columns, axis=1).max(axis=1)
    larger = np.log((largest / pd.Series(earlier)).clip(lower=1e-300))
    parts = {"its ratio to λ0 / n²": Estimate(larger, low=np.log(tolerance), show=np.exp)}
    said = f"largest step from {largest.min():g} to {largest.max():g} over ||H||; "
    return of_estimates(parts, said, tolerance=f"a factor {tolerance:g}")


_claim = partial(Claim, sweep="figure_critical_step", at_paper_scale="a width of 30000; the paper gives no sizes")
CLAIMS = (
    _claim(
        id="much-larger-rate",
        quote="In practice, these optimization algorithms can use a much larger learning rate",
        place="Section 1, of earlier papers",
        measure=partial(beyond_proved, tolerance=2),
        tolerance="called much larger: twice λ0/n², of Du et al. 2019",
    ),
    _claim(
        id="independent-of-parameters",
        quote="this upper bound is independent of the number of parameters",
        place="Section 1, footnote 3",
        measure=partial(width_exponent, tolerance=0.05, c=1.5),
        tolerance="a tenth of the exponent 1/2 that a dependence on √m would have; the number of parameters is m d",
    ),
    _claim(
        id="theorem-2-largest-step",
        quote="we show that the maximum allowable learning rate can be improved",
        place="Section 4, before Theorem 2",
        measure=partial(largest_step_in_order, least=1.9, most=6.0),
        tolerance="an order, O(1/||H∞||): all steps up to 1.9/||H∞|| and none from 6/||H∞|| on; what happens between "
        "is a finding (docs/errata.md, 8)",
    ),
)
