"""What the figure scripts make of a sweep's runs, each once: messages and measures share it."""

from functools import cache

import pandas as pd

from scripts import figure_1, figure_5, figure_bounds, figure_theorem_3, table_1
from scripts.claim_measures.finding import Sweep


@cache
def over_b0(sweep: Sweep) -> pd.DataFrame:
    """Figure 1: medians of loss and step over the seeds, by problem, method, b0 and window."""
    return figure_1.over_seeds(sweep.runs)


@cache
def random_problems(sweep: Sweep) -> pd.DataFrame:
    """One row per random problem, measured beside bounded."""
    return figure_bounds.problems(sweep.runs)


@cache
def spectra(sweep: Sweep) -> pd.DataFrame:
    """The ends of the spectrum of H-infinity, one row per data set and seed."""
    return figure_5.measured(sweep.runs)


@cache
def trajectories(sweep: Sweep) -> pd.DataFrame:
    """Theorem 3: one row per run and recorded iteration."""
    return figure_theorem_3.trajectories(sweep.runs)


@cache
def ends(sweep: Sweep) -> pd.DataFrame:
    """Theorem 3: one row per run."""
    return figure_theorem_3.by_run(trajectories(sweep))


@cache
def accuracies(sweep: Sweep) -> pd.DataFrame:
    """Table 1: mean and deviation over the seeds, by problem, method and b0."""
    return table_1.over_seeds(sweep.runs)
