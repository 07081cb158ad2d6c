"""Claims about cost, from times that one process measured side by side (experiments/cost.py)."""

from functools import partial

import pandas as pd

from scripts.claims.claim import NOT_REPRODUCED, REPRODUCED, Claim, Finding, Sweep, of_number

INFINITY = float("inf")


def _times(sweep: Sweep) -> tuple[pd.Series, str]:
    """Return the least seconds of each part over the turns, which other processes disturb least; and of what."""
    [run] = sweep.runs
    model, result = run.config["model"], run.summary["result"]
    of = f"{result['parameters'] / 1e6:.1f} million parameters in {result['tensors']} tensors, one thread"
    what = f"ViT of width {model['width']} and depth {model['depth']}, {of}, {run.summary['machine']}"
    return run.history.groupby("part").seconds.min(), what


def at_most(sweep: Sweep, *, tolerance: float, part: str, other: str) -> Finding:
    """Decide whether a step of ``part`` takes at most ``tolerance`` times as long as one of ``other``."""
    seconds, what = _times(sweep)
    ratio = seconds[part] / seconds[other]
    return of_number(ratio, 0, tolerance, f"{ratio:.3f} times ({what})", tolerance=f"at most {tolerance:g} times")


def at_least(sweep: Sweep, *, tolerance: float, part: str, other: str) -> Finding:
    """Decide whether a step of ``part`` takes at least ``tolerance`` times as long as one of ``other``."""
    seconds, what = _times(sweep)
    ratio = seconds[part] / seconds[other]
    return of_number(
        ratio, tolerance, INFINITY, f"{ratio:.3f} times ({what})", tolerance=f"at least {tolerance:g} times"
    )


def share_of_iteration(sweep: Sweep, *, tolerance: float, parts: list[str]) -> Finding:
    """Decide whether each part's step makes an iteration, gradient included, longer by at least ``tolerance``."""
    seconds, what = _times(sweep)
    whole, batch = seconds["gradient"] + seconds["sgd_constant"], sweep.runs[0].config["batch"]
    shares = {part: seconds[part] / whole - seconds["sgd_constant"] / whole for part in parts}
    said = ", ".join(f"{part} {share:.1%}" for part, share in shares.items())
    return Finding(
        REPRODUCED if min(shares.values()) >= tolerance else NOT_REPRODUCED,
        f"longer by {said} at {batch} images a step, less at more ({what})",
        tolerance=f"at least {tolerance:.0%}",
    )


_claim = partial(Claim, sweep="cost", at_paper_scale="times on the GPU of the large runs; these are a CPU's")
CLAIMS = (
    _claim(
        id="cost-of-adaloss",
        quote="We propose a computationally-friendly adaptive learning rate schedule",
        place="Abstract",
        measure=partial(at_most, part="adaloss", other="sgd_constant", tolerance=1.05),
        tolerance="times of one process differ by a few percent between turns",
    ),
    _claim(
        id="cost-of-the-norm",
        quote="better computational efficiency and easier implementation",
        place="Section 1, contributions",
        measure=partial(at_least, part="adagrad_norm", other="adaloss", tolerance=1.1),
        tolerance="above the few percent by which times of one process differ between turns",
    ),
    _claim(
        id="norm-impractical",
        quote="is not at all practical",
        place="Section 1, of computing the gradient's norm",
        measure=partial(share_of_iteration, parts=["adagrad_norm", "adagrad_norm_rowwise"], tolerance=1.0),
        tolerance="called impractical here: the norm doubles the time of an iteration, gradient included",
    ),
    _claim(
        id="significant-improvement",
        quote="The algorithm makes a significant improvement in computational efficiency",
        place="Section 2",
        measure=partial(share_of_iteration, parts=["adagrad_norm", "adagrad_norm_rowwise"], tolerance=0.1),
        tolerance="called significant: a tenth of the time of an iteration, gradient included",
    ),
)
