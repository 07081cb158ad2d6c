"""What a measure finds out about a claim, and the five verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.runs.store import SavedRun

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
FALSE, NOT_RUN = "false as printed", "not run at this scale"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, FALSE, NOT_RUN)


class ClaimError(Exception):
    """A claim that its measure cannot decide from complete runs; the message is one line."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a sweep. Compared by identity, so that what is made of the runs can be cached by it."""

    name: str
    runs: list[SavedRun]


@dataclass(frozen=True)
class Finding:
    """A verdict and the numbers behind it; ``paper`` and ``tolerance`` where the claim's own words do not say them.

    ``runs`` are those that decided, all of the sweep where it is None.
    """

    verdict: str
    measured: str
    paper: str = ""
    tolerance: str = ""
    runs: tuple[SavedRun, ...] | None = None


def of_cases(cases: Mapping[str, bool | None], measured: str, **more: str) -> Finding:
    """Reproduced where every case holds, partly where some do; a case that is None decides nothing.

    ``measured`` follows the count of cases and the names of those that do not hold.
    """
    decided = {name: holds for name, holds in cases.items() if holds is not None}
    against = [name for name, holds in decided.items() if not holds]
    holding = len(decided) - len(against)
    if not decided:
        return Finding(NOT_RUN, f"none of {len(cases)} cases is decided by these runs; {measured}", **more)
    verdict = PARTLY if against and holding else NOT_REPRODUCED if against else REPRODUCED
    failing = f" (not: {_listed(against)})" if verdict == PARTLY else ""
    counted = f"{holding} of {len(decided)} cases{failing}; " if len(cases) > 1 else ""
    return Finding(verdict, counted + measured, **more)


def of_number(value: float, low: float, high: float, measured: str, **more: str) -> Finding:
    """Reproduced where ``low <= value <= high``; nan is not."""
    return Finding(REPRODUCED if low <= value <= high else NOT_REPRODUCED, measured, **more)


def _listed(names: list[str], most: int = 6) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
