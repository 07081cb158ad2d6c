"""What the paper says of Theorem 3, decided by the runs of its figure: AdaLoss with four alpha, AdaGrad-Norm, descent.

Numbers over seeds are decided by intervals; those that are ratios, by the intervals of their logarithms.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from scripts.claims.claim import Claim, Finding, Sweep, of_cases, of_estimates
from scripts.claims.intervals import Estimate, usually
from scripts.figure_critical_step import GROWN
from scripts.figure_theorem_3 import ADAGRAD_NORM, ADALOSS, TARGET, beside_constant, by_run
from scripts.shared.output import every


def ratio(values: pd.Series, low: float = 0.0, high: float = np.inf) -> Estimate:
    """Return the estimate of a geometric mean that should be between the limits."""
    with np.errstate(divide="ignore"):
        return Estimate(np.log(values.to_numpy()), np.log(low), np.log(high), show=np.exp)


def _cells(ends: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (variant, m, b0), runs in ends.groupby(["variant", "m", "b0"], sort=False):
        yield f"{variant}, m = {m}, b0 = {b0:g}", runs


def _in_case_b(ends: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the cells of AdaLoss all of whose runs have b_1 below eta ||H|| / 2."""
    return ((name, runs) for name, runs in _cells(ends[ends.method == ADALOSS]) if (runs.first_b < 1).all())


def same_rate(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether AdaLoss with the least alpha takes the iterations of the constant step eta / b0.

    Up to a factor ``tolerance``, to 1e-6 of the loss, for each width and each b0 >= eta ||H|| / 2.
    """
    ours = beside_constant(sweep.of(by_run))
    ours = ours[ours.b0 >= ours.critical_b0]
    least = ours[ours.alpha == ours.alpha.min()]
    parts = {name: ratio(runs.slower, 1 / tolerance, tolerance) for name, runs in _cells(least)}
    others = ours.groupby("alpha").slower.agg(lambda slower: np.exp(np.log(slower).mean()))
    where = "iterations over the constant step's, geometric means by alpha "
    where += ", ".join(f"{alpha:g}: {value:.4g}" for alpha, value in others.items())
    return of_estimates(parts, f"{where}; with the least ", tolerance=f"a factor {tolerance:g}")


def log_linear(sweep: Sweep, *, tolerance: float, method: str) -> Finding:
    """Decide whether 1e-9 of the loss takes at most ``tolerance`` times as long as 1e-6; for T ~ 1 / eps: 1000 times.

    A seed's greatest ratio over alpha, width and b0 decides, of its runs that get to 1e-9 in the recorded iterations.
    """
    ends = sweep.of(by_run)
    ours = ends[ends.method == method]
    there = ours[np.isfinite(ours.fine_after)]
    said = f"{len(there)} of {len(ours)} runs get to 1e-9; T(1e-9) / T(1e-6), "
    if there.empty:
        return of_cases({"greatest of a seed": None}, said)
    longest = (there.fine_after / there.reached_after).groupby(there.seed).max()
    parts = {"greatest of a seed": ratio(longest, high=tolerance)}
    return of_estimates(parts, said, tolerance=f"a factor {tolerance:g}")


def loss_may_rise(sweep: Sweep) -> Finding:
    """Decide whether the loss of AdaLoss exceeds its start where b_1 < eta ||H|| / 2, from the least b0 and alpha.

    Each width is a case.
    """
    ends = sweep.of(by_run)
    ours = ends[ends.method == ADALOSS]
    deepest = ours[(ours.alpha == ours.alpha.min()) & (ours.b0 == ours.b0.min())]
    parts = {name: ratio(runs.peak, low=GROWN) for name, runs in _in_case_b(deepest)}
    return of_estimates(parts, "greatest loss over the first: ", tolerance=f"a factor {GROWN:g}")


def small_or_slow(sweep: Sweep) -> Finding:
    """Decide whether AdaLoss ends with 1e-6 of the loss, or with a step of at most 2 / (lambda_0 + ||H-infinity||).

    Each run whose b_1 is below eta ||H|| / 2 is a case.
    """
    ends = sweep.of(by_run)
    runs = ends[(ends.method == ADALOSS) & (ends.first_b < 1)]
    slow, small = runs.last_b >= runs.threshold, runs.end <= TARGET
    said = f"the step is below it in {slow.sum()} of {len(runs)} runs, below 2 / ||H-infinity|| in "
    said += f"{(runs.last_b >= 1).sum()}, and the loss small in {small.sum()}"
    return of_cases({"all runs": every(slow | small)}, said)


def gram_stays_positive(sweep: Sweep) -> Finding:
    """Decide whether lambda_min(H(k)) is positive at every record of a seed's runs of AdaLoss, in most seeds."""
    ends = sweep.of(by_run)
    ours = ends[ends.method == ADALOSS]
    least = ours.groupby("seed").lambda_min.min()
    by_width = ", ".join(f"m = {m}: {value:.3g}" for m, value in ours.groupby("m").lambda_min.min().items())
    return of_estimates({"all runs of a seed": usually(least > 0)}, f"least lambda_min(H(k)) {by_width}; ")


def stays_near(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether ||W - W(0)|| ends within ``tolerance`` times sqrt(z0' H^-1 z0), and H's change falls with m.

    From the least b0, for each alpha; the distance at the greatest width, the change as a power of m.
    """
    ends = sweep.of(by_run)
    ours = ends[(ends.method == ADALOSS) & (ends.b0 == ends.b0.min())]
    parts = {}
    for variant, runs in ours.groupby("variant", sort=False):
        parts[f"{variant}: distance"] = ratio(runs[runs.m == runs.m.max()].distance, 1 / tolerance, tolerance)
        parts[f"{variant}: exponent of ||H(k) - H(0)||"] = Estimate(_exponents(runs, "gram_change"), high=0.0)
    return of_estimates(parts, tolerance=f"a factor {tolerance:g}")


def _exponents(runs: pd.DataFrame, name: str) -> list[float]:
    """Return for each seed the slope of log ``name`` against log m."""
    return [
        float(np.polyfit(np.log(of_seed.m), np.log(of_seed[name]), 1)[0]) if len(of_seed) > 1 else np.nan
        for _, of_seed in runs.groupby("seed")
    ]


def same_role(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether the network takes the iterations of linear regression with H-infinity in the place of X'X.

    Up to a factor ``tolerance``, to 1e-6 of the loss, at the greatest width, for each adaptive method, alpha and b0.
    """
    ends = sweep.of(by_run)
    chosen = ends[ends.method.isin([ADALOSS, ADAGRAD_NORM]) & (ends.m == ends.m.max())]
    parts = {
        name: ratio(runs.reached_after / runs.linear_after, 1 / tolerance, tolerance) for name, runs in _cells(chosen)
    }
    return of_estimates(parts, "iterations over those of linear regression: ", tolerance=f"a factor {tolerance:g}")


def kernel_of_initialization(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether ||H(0) - H-infinity|| falls like m^(-1/2), H-infinity by the printed formula.

    The exponent may be off by ``tolerance``.
    """
    ends = sweep.of(by_run)
    one = ends[(ends.method == ADAGRAD_NORM) & (ends.b0 == ends.b0.min())]
    parts = {"exponent of m": Estimate(_exponents(one, "start_gram_error"), -0.5 - tolerance, -0.5 + tolerance)}
    return of_estimates(parts, tolerance=f"{tolerance:g} of the exponent")


_claim = partial(Claim, sweep="figure_theorem_3", at_paper_scale="a width of 30000; the paper gives no sizes")
CLAIMS = (
    _claim(
        id="definition-1",
        quote="… = x_i'x_j (π − arccos(x_i'x_j)) / (2π)",
        place="Section 4, Definition 1",
        measure=partial(kernel_of_initialization, tolerance=0.1),
        tolerance="a mean over m independent neurons has an error of the order m^(-1/2); a wrong formula leaves "
        "a rest, the exponent 0",
        cannot_fail="an identity: the angle's share of the half-spaces is the expectation",
    ),
    _claim(
        id="gram-matrices-alike",
        quote="share a strikingly similar role in the convergence",
        place="Section 4, of H∞ and X'X",
        measure=partial(same_role, tolerance=1.1),
        tolerance="the same number of iterations, up to a tenth, from every b0 with every α",
    ),
    _claim(
        id="iterates-stay-near",
        quote="ensuring that the iterates ||W(t) − W(0)||_F remain sufficiently small",
        place="Section 4, before Theorem 3",
        measure=partial(stays_near, tolerance=1.05),
        tolerance="a twentieth at the greatest width, for the linearised network's distance is the limit; burn-in "
        "takes place with small α",
    ),
    _claim(
        id="converges-linearly",
        quote="Adaptive gradient methods can converge linearly in certain two-layer networks",
        place="Section 4, after Theorem 3",
        measure=partial(log_linear, tolerance=3, method=ADALOSS),
        tolerance="1.5 for a pure exponential, somewhat more while slow directions remain; 1000 for T of the order 1/ε",
    ),
    _claim(
        id="same-rate-as-gradient-descent",
        quote="then we have the same rate as gradient descent",
        place="Section 4, of Theorem 3(a)",
        measure=partial(same_rate, tolerance=1.1),
        tolerance="the same: a tenth more; the sentence is about α small enough, so the least α decides",
    ),
    _claim(
        id="step-decreases-to-threshold",
        quote="the stepsize will decrease till",
        place="Section 4, of Theorem 3(b)",
        measure=small_or_slow,
        tolerance="the printed threshold with C = 1, the least restrictive of C ≥ 1; the sentence is about a loss that "
        "stays large, so a small one is its other case",
        cannot_fail="while the loss is above ε, b² grows by at least αε with each step",
    ),
    _claim(
        id="pl-inequality",
        quote="The PL inequality is satisfied in our two-layer network problem",
        place="Section 4, after Theorem 3",
        measure=gram_stays_positive,
        tolerance="positive or not, at every recorded iteration, with every α, width and b0",
    ),
    _claim(
        id="loss-may-increase",
        quote="the loss may increase due to the large learning rate at the beginning",
        place="Section 4, of Theorem 3(b)",
        measure=loss_may_rise,
        tolerance="may: where b starts deepest below the threshold, by more than a hundredth",
    ),
    _claim(
        id="adagrad-norm-same-rate",
        quote="When comparing AdaGrad-Norm, one could get the same convergence rate",
        place="Section 4, after Theorem 3",
        measure=partial(log_linear, tolerance=3, method=ADAGRAD_NORM),
        tolerance="a rate leaves constants: linear from every b0, by the measure that AdaLoss is decided by",
    ),
)
