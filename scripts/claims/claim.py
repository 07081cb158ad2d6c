"""A claim of the paper, what the runs of its sweep say about it, and the five verdicts.

Each script has the claims that its sweep decides, as ``CLAIMS``. A measure is a function of the sweep's runs; the
sentences that a script decides anyway are one (``by_key``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from experiments.runs.store import SavedRun
from scripts.shared.output import Message

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
FALSE, NOT_RUN = "false as printed", "not run at this scale"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, FALSE, NOT_RUN)
Made = TypeVar("Made")


class ClaimError(Exception):
    """A claim that its measure cannot decide from complete runs; the message is one line."""


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep, and what has been made of them."""

    name: str
    runs: list[SavedRun]
    _made: dict[Callable, Any] = field(default_factory=dict, repr=False)

    def of(self, make: Callable[[list[SavedRun]], Made]) -> Made:
        """Return ``make(runs)``, made once."""
        if make not in self._made:
            self._made[make] = make(self.runs)
        return self._made[make]


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


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of the paper: its words, where they are, and how the runs of ``sweep`` decide it.

    ``tolerance`` says why it is what it is, ``corrected`` what is true instead of a statement with a
    counterexample, ``at_paper_scale`` what would settle it.
    """

    id: str
    quote: str
    place: str
    sweep: str
    measure: Callable[[Sweep], Finding]
    tolerance: str
    at_paper_scale: str
    paper: float | None = None
    corrected: str = ""


def of_cases(cases: Mapping[str, bool | None], measured: str, **more: str) -> Finding:
    """Decide by cases: reproduced if every case holds, partly if some do; a case that is None decides nothing.

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
    """Decide by a number: reproduced if ``low <= value <= high``; nan is not."""
    return Finding(REPRODUCED if low <= value <= high else NOT_REPRODUCED, measured, **more)


def of_parts(parts: Mapping[str, tuple[bool | None, str]], where: str = "", **more: str) -> Finding:
    """Decide by parts: each (whether it holds, and its numbers) is a case; ``where`` says what all the numbers are."""
    said = "; ".join(f"{name}: {numbers}" for name, (_, numbers) in parts.items())
    return of_cases({name: holds for name, (holds, _) in parts.items()}, where + said, **more)


def by_key(sweep: Sweep, *, decided: Callable[[Sweep], list[Message]], keys: Sequence[str]) -> Finding:
    """Decide by messages: each one under one of the ``keys`` is a case. Raises ClaimError if there is none."""
    messages = decided(sweep)
    chosen = [message for key in keys for message in messages if message.key == key]
    if {message.key for message in chosen} != {*keys}:
        raise ClaimError(f"the sweep {sweep.name} decides no {', '.join(keys)}")
    several = len({message.problem for message in chosen}) < len(chosen)
    names = [f"{message.problem}: {message.sentence}" if several else message.problem for message in chosen]
    return of_parts({name: (message.holds, message.evidence) for name, message in zip(names, chosen, strict=True)})


def _listed(names: list[str], most: int = 6) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
