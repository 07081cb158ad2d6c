"""What the paper says of Theorem 2's learning rate, decided by the runs around the critical step."""

from functools import partial

import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, of_estimates
from scripts.claims.intervals import usually
from scripts.figure_critical_step import by_run, trajectories


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


_claim = partial(Claim, sweep="figure_critical_step", at_paper_scale="a width of 30000; the paper gives no sizes")
CLAIMS = (
    _claim(
        id="theorem-2-largest-step",
        quote="we show that the maximum allowable learning rate can be improved",
        place="Section 4, before Theorem 2",
        measure=partial(largest_step_in_order, least=1.9, most=6.0),
        tolerance="an order, O(1/||H∞||): all steps up to 1.9/||H∞|| and none from 6/||H∞|| on; what happens between "
        "is a finding (docs/errata.md, 8)",
    ),
)
