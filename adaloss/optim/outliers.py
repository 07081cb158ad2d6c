"""The bound on outliers: no loss counts for more than a multiple of the running median."""

import math
from statistics import median_low

import torch

from adaloss.optim.losses import Value

WINDOW = 100  # losses


def bounded(gap: Value, recent: list[float] | torch.Tensor, most: float) -> tuple[Value, list[float] | torch.Tensor]:
    """Return ``gap``, at most ``most`` times the median of it and the ``recent`` ones, and the recent ones with it.

    The median is the lower one of the last ``WINDOW`` gaps above 0. A gap that is not finite stays as it is. ``recent``
    is a list where the gap is a float, else a tensor of ``WINDOW`` entries, NaN where there are fewer; nobody waits.
    """
    if isinstance(gap, float):
        recent = [*(listed(recent)), gap][-WINDOW:] if 0.0 < gap < math.inf else listed(recent)
        return (min(gap, most * median_low(recent)) if recent and gap < math.inf else gap), recent
    before = padded(recent, gap.device)
    kept = torch.isfinite(gap)
    after = torch.where(kept & (gap > 0.0), torch.cat([before[1:], gap.reshape(1)]), before)
    limit = most * after.nanmedian()
    return torch.where(kept & (gap > limit), limit, gap), after


def listed(recent: list[float] | torch.Tensor) -> list[float]:
    """Return the recent gaps as a list."""
    if isinstance(recent, torch.Tensor):
        return [gap for gap in recent.tolist() if not math.isnan(gap)]
    return recent


def padded(recent: list[float] | torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
    """Return the recent gaps as ``WINDOW`` float64 entries, NaN where there are fewer; a list's are put on a device.

    Without one they stay on the device that holds them, a list's on the CPU.
    """
    if isinstance(recent, torch.Tensor):
        return recent.to(device)
    return torch.tensor([math.nan] * (WINDOW - len(recent)) + recent, dtype=torch.float64, device=device or "cpu")
