"""Intervals: what the runs of some seeds say about a number, and whether that decides what a claim allows.

A claim allows a number to lie between two limits. It holds if the number's interval lies wholly inside, it fails if
the interval lies wholly outside, and else it is undecided. Where a verdict needs k numbers, each interval has the
confidence 1 - 0.01 / k (Bonferroni), so that the whole verdict errs in at most one of a hundred repetitions with other
seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import inf

import numpy as np
import scipy  # its modules as they are needed: scipy.stats takes half a second

WRONG = 0.01  # share of verdicts that may err
FEWEST = 3  # values of which Student's interval is given: of fewer the deviation says nothing
MOST = 25  # times as many seeds are looked at
Limits = tuple[float, float]


def mean(values: np.ndarray, wrong: float) -> Limits:
    """Return Student's interval of a mean; one of values that are not all finite says nothing."""
    if len(values) < FEWEST or not np.isfinite(values).all():
        return -inf, inf
    middle, error = values.mean(), values.std(ddof=1) / len(values) ** 0.5
    half = scipy.special.stdtrit(len(values) - 1, 1 - wrong / 2) * error
    return float(middle - half), float(middle + half)


def median(values: np.ndarray, wrong: float) -> Limits:
    """Return the interval of a median by order statistics, which no outlier and no infinite value can turn."""
    rank = _rank(len(values), wrong)
    ordered = np.sort(values)
    return (float(ordered[rank - 1]), float(ordered[-rank])) if rank else (-inf, inf)


def share(values: np.ndarray, wrong: float) -> Limits:
    """Return the exact binomial interval of how often something is true."""
    return _share(int(values.sum()), len(values), wrong)


@cache
def _rank(n: int, wrong: float) -> int:
    """Return the greatest rank from both ends between which the median lies with this confidence; 0 if none."""
    return int(scipy.stats.binom.ppf(wrong / 2, n, 0.5))


@cache
def _share(true: int, n: int, wrong: float) -> Limits:
    found = scipy.stats.binomtest(true, n).proportion_ci(1 - wrong, method="exact")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Estimate:
    """A number that each seed has a value of, and between which limits a claim allows its ``of``."""

    values: Sequence[float]
    low: float = -inf
    high: float = inf
    of: Callable[[np.ndarray, float], Limits] = mean
    show: Callable[[float], float] = float  # from the values' scale to the reader's: np.exp of logarithms

    def holds(self, wrong: float) -> "bool | Undecided":
        """Return whether the number is within its limits."""
        found = self._decision(wrong)
        return Undecided(self, wrong) if found is None else found

    def _decision(self, wrong: float, times: int = 1) -> bool | None:
        """Return whether it would be, from so many times the same values; None if they do not decide."""
        low, high = self.of(np.tile(np.asarray(self.values, dtype=float), times), wrong)
        if np.isfinite([low, high]).all():  # what is equal but for rounding is equal
            slack = 1e-12 * max(abs(low), abs(high))
            low, high = low + slack, high - slack
        inside = bool(self.low <= low and high <= self.high)
        return inside if inside or high < self.low or low > self.high else None

    def needed(self, wrong: float) -> int | None:
        """Return how many seeds would probably decide, None if that is more than 25 times as many."""
        enough = (times for times in range(2, MOST + 1) if self._decision(wrong, times) is not None)
        times = next(enough, None)
        return None if times is None else times * len(self.values)

    def words(self, wrong: float) -> str:
        """Return the number with its interval."""
        sample = np.asarray(self.values, dtype=float)
        if self.of is share:
            return f"in {int(sample.sum())} of {len(sample)} seeds"
        low, high = map(self.show, self.of(sample, wrong))
        with np.errstate(invalid="ignore"):
            middle = self.show(sample.mean() if self.of is mean else float(np.median(sample)))
        if abs(middle) < 1e-12 * max(abs(low), abs(high)) < np.inf:  # a mean of what cancels
            middle = 0.0
        limits = [self.show(limit) for limit in (self.low, self.high)]
        pairs = [(end, limit) for end in (low, high) for limit in limits if end != limit]
        # as many digits as tell an end from the limit that it is next to
        digits = next((n for n in range(3, 9) if all(f"{end:.{n}g}" != f"{limit:.{n}g}" for end, limit in pairs)), 9)
        return f"{middle:.{digits}g} [{low:.{digits}g}, {high:.{digits}g}]"


class Undecided:
    """An estimate from too few seeds; ``needed`` would probably decide, None if no number at hand would."""

    def __init__(self, estimate: Estimate, wrong: float) -> None:
        self.estimate, self.wrong = estimate, wrong

    @cached_property
    def needed(self) -> int | None:
        """How many seeds would probably decide."""
        return self.estimate.needed(self.wrong)

    def __str__(self) -> str:
        """Return the word that tables have."""
        return "undecided"


def usually(values: Sequence[bool]) -> Estimate:
    """Return the estimate that allows a sentence to hold in more than half of all seeds: the runs of each decide it."""
    return Estimate(values, low=0.5, high=1.0, of=share)


def decided(estimates: Mapping[str, Estimate]) -> dict[str, tuple[bool | Undecided, str]]:
    """Return for each number whether it is within its limits, and its words; all of them err in 1 % of the cases."""
    wrong = WRONG / max(len(estimates), 1)
    return {name: (one.holds(wrong), one.words(wrong)) for name, one in estimates.items()}
