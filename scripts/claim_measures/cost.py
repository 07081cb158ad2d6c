"""Claims about cost, from times that one process measured side by side (experiments/cost.py)."""

import pandas as pd

from scripts.claim_measures.finding import NOT_REPRODUCED, REPRODUCED, Finding, Sweep, of_number

INFINITY = float("inf")


def _times(sweep: Sweep) -> tuple[pd.Series, str]:
    """Least seconds of each part over the turns, which other processes disturb least; and of what."""
    [run] = sweep.runs
    model, result = run.config["model"], run.summary["result"]
    of = f"{result['parameters'] / 1e6:.1f} million parameters in {result['tensors']} tensors, one thread"
    what = f"ViT of width {model['width']} and depth {model['depth']}, {of}, {run.summary['machine']}"
    return run.history.groupby("part").seconds.min(), what


def at_most(sweep: Sweep, *, tolerance: float, part: str, beside: str) -> Finding:
    """Whether a step of ``part`` takes at most ``tolerance`` times as long as one of ``beside``."""
    seconds, what = _times(sweep)
    ratio = seconds[part] / seconds[beside]
    return of_number(ratio, 0, tolerance, f"{ratio:.3f} times ({what})", tolerance=f"at most {tolerance:g} times")


def at_least(sweep: Sweep, *, tolerance: float, part: str, beside: str) -> Finding:
    """Whether a step of ``part`` takes at least ``tolerance`` times as long as one of ``beside``."""
    seconds, what = _times(sweep)
    ratio = seconds[part] / seconds[beside]
    return of_number(
        ratio, tolerance, INFINITY, f"{ratio:.3f} times ({what})", tolerance=f"at least {tolerance:g} times"
    )


def share_of_iteration(sweep: Sweep, *, tolerance: float, parts: list[str]) -> Finding:
    """Whether each part's step makes an iteration, gradient included, longer by at least the share ``tolerance``."""
    seconds, what = _times(sweep)
    whole, batch = seconds["gradient"] + seconds["sgd_constant"], sweep.runs[0].config["batch"]
    shares = {part: seconds[part] / whole - seconds["sgd_constant"] / whole for part in parts}
    said = ", ".join(f"{part} {share:.1%}" for part, share in shares.items())
    return Finding(
        REPRODUCED if min(shares.values()) >= tolerance else NOT_REPRODUCED,
        f"longer by {said} at {batch} images a step, less at more ({what})",
        tolerance=f"at least {tolerance:.0%}",
    )
