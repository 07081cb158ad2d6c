"""Claims about cost, from times that one process measured side by side (experiments/cost.py)."""

from functools import partial
from math import inf

import pandas as pd

from scripts.claims.claim import Claim, Finding, Sweep, of_estimates
from scripts.claims.intervals import Estimate, median


def _times(sweep: Sweep) -> tuple[pd.DataFrame, str]:
    """Return the thread's seconds, a row per turn and a column per part; and of what."""
    [run] = sweep.runs
    model, result = run.config["model"], run.summary["result"]
    of = f"{result['parameters'] / 1e6:.1f} million parameters in {result['tensors']} tensors, one thread"
    what = f"ViT of width {model['width']} and depth {model['depth']}, {of}, {run.summary['machine']}"
    return run.history.pivot(index="turn", columns="part", values="seconds"), what


def ratio(sweep: Sweep, *, part: str, other: str, low: float = -inf, high: float = inf) -> Finding:
    """Decide whether the median over the turns of a step's time over that of ``other`` is within its limits."""
    seconds, what = _times(sweep)
    times = {f"{part} / {other}": Estimate(seconds[part] / seconds[other], low, high, of=median)}
    return of_estimates(times, f"{what}, {len(seconds)} turns: ")


def share_of_iteration(sweep: Sweep, *, parts: list[str], low: float) -> Finding:
    """Decide whether the median share by which each part's step makes an iteration longer is at least ``low``.

    The iteration is the gradient and a constant step; each part is a case.
    """
    seconds, what = _times(sweep)
    whole, batch = seconds["gradient"] + seconds["sgd_constant"], sweep.runs[0].config["batch"]
    longer = {part: Estimate((seconds[part] - seconds["sgd_constant"]) / whole, low, of=median) for part in parts}
    return of_estimates(longer, f"share at {batch} images a step, less at more ({what}): ")


_claim = partial(Claim, sweep="cost", at_paper_scale="times on the GPU of the large runs; these are a CPU's")
CLAIMS = (
    _claim(
        id="cost-of-adaloss",
        quote="We propose a computationally-friendly adaptive learning rate schedule",
        place="Abstract",
        measure=partial(ratio, part="adaloss", other="sgd_constant", high=1.05),
        tolerance="as cheap as the constant step, to a twentieth",
    ),
    _claim(
        id="cost-of-the-norm",
        quote="better computational efficiency and easier implementation",
        place="Section 1, contributions",
        measure=partial(ratio, part="adagrad_norm", other="adaloss", low=1.1),
        tolerance="better: by a tenth",
    ),
    _claim(
        id="norm-impractical",
        quote="is not at all practical",
        place="Section 1, of computing the gradient's norm",
        measure=partial(share_of_iteration, parts=["adagrad_norm", "adagrad_norm_rowwise"], low=1.0),
        tolerance="called impractical here: the norm doubles the time of an iteration, gradient included",
    ),
    _claim(
        id="significant-improvement",
        quote="The algorithm makes a significant improvement in computational efficiency",
        place="Section 2",
        measure=partial(share_of_iteration, parts=["adagrad_norm", "adagrad_norm_rowwise"], low=0.1),
        tolerance="called significant: a tenth of the time of an iteration, gradient included",
    ),
)
