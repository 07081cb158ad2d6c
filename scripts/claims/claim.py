"""A claim of the paper, what the runs of its sweep say about it, and the verdicts.

Each script has the claims that its sweep decides, as ``CLAIMS``. A measure is a function of the sweep's runs; the
sentences that a script decides anyway are one (``by_key``). What is random or timed is decided by intervals
(``of_estimates``), or not at all.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from experiments.runs.store import SavedRun
from scripts.claims.intervals import Estimate, Undecided, decided
from scripts.shared.output import Message

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
FALSE, UNDECIDED, NOT_RUN = "false as printed", "undecided", "not run at this scale"
CANNOT_FAIL, NOT_CHECKABLE = "cannot fail here", "not checkable"
DECIDED = (REPRODUCED, PARTLY, NOT_REPRODUCED, FALSE)
VERDICTS = (*DECIDED, UNDECIDED, CANNOT_FAIL, NOT_CHECKABLE, NOT_RUN)
PAPER, CODE = "paper", "the code's README"  # whose statement it is
Case = bool | Undecided | None
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
    """One statement of the ``source``: its words, where they are, and how the runs of ``sweep`` decide it.

    ``more`` are sweeps with further cases; all have to be there.
    ``rule`` is the criterion in words, that of the measure where it is empty, and ``tolerance`` says why it is what it
    is; ``corrected`` what is true instead of a statement with a counterexample, ``at_paper_scale`` what would settle
    it, and ``cannot_fail`` why runs that bear it out support nothing. A claim without a sweep cannot be checked.
    """

    id: str
    quote: str
    place: str
    sweep: str | None
    measure: Callable[[Sweep], Finding] | None
    tolerance: str
    at_paper_scale: str
    paper: float | None = None
    corrected: str = ""
    rule: str = ""
    cannot_fail: str = ""
    source: str = PAPER
    more: tuple[str, ...] = ()

    @property
    def sweeps(self) -> tuple[str, ...]:
        """All sweeps that decide it, its own first."""
        return (self.sweep, *self.more) if self.sweep else ()

    def criterion(self) -> tuple[str, dict[str, Any]]:
        """Return the rule in words, and its numbers."""
        function, given = getattr(self.measure, "func", self.measure), getattr(self.measure, "keywords", {})
        words = self.rule or " ".join(inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].split())
        numbers = dict(getattr(given.get("problems"), "keywords", {}))
        numbers |= {name: value for name, value in given.items() if not callable(value)}
        if "sentences" in numbers:
            numbers["sentences"] = [one.criterion() for one in numbers["sentences"]]
        return words, numbers | ({"sweeps": [*self.sweeps]} if self.more else {})

    def decide(self, sweep: Sweep) -> Finding:
        """Return what the runs say; of a statement that cannot fail, that they support nothing."""
        found = self.measure(sweep)
        return replace(found, verdict=CANNOT_FAIL) if self.cannot_fail and found.verdict == REPRODUCED else found


def of_cases(cases: Mapping[str, Case], measured: str, **more: str) -> Finding:
    """Decide by cases: reproduced if every case holds, partly if some do; a case that is None decides nothing.

    While no two decided cases differ, an undecided one leaves the claim undecided. ``measured`` follows the count of
    cases and the names of those that do not hold.
    """
    counted = {name: holds for name, holds in cases.items() if holds is not None}
    open_ = {name: holds.needed for name, holds in counted.items() if isinstance(holds, Undecided)}
    against = [name for name, holds in counted.items() if name not in open_ and not holds]
    holding = len(counted) - len(open_) - len(against)
    if not counted:
        return Finding(NOT_RUN, f"none of {len(cases)} cases is decided by these runs; {measured}", **more)
    verdict = PARTLY if against and holding else UNDECIDED if open_ else NOT_REPRODUCED if against else REPRODUCED
    said = f"{holding} of {len(counted)} cases" if len(cases) > 1 else ""
    said += f" (not: {_listed(against)})" if against and (holding or open_) and len(cases) > 1 else ""
    if open_:
        needed = "more than can be had" if None in open_.values() else f"{max(open_.values())} seeds"
        said += f" ({len(open_)} undecided: {_listed([*open_])}; to decide all probably {needed})"
    return Finding(verdict, f"{said.strip()}; {measured}" if said else measured, **more)


def of_estimates(estimates: Mapping[str, Estimate], where: str = "", **more: str) -> Finding:
    """Decide by intervals: each estimate is a case; ``where`` says what all the numbers are."""
    return of_parts(decided(estimates), where, **more)


def of_number(value: float, low: float, high: float, measured: str, **more: str) -> Finding:
    """Decide by a number: reproduced if ``low <= value <= high``; nan is not."""
    return Finding(REPRODUCED if low <= value <= high else NOT_REPRODUCED, measured, **more)


def of_parts(parts: Mapping[str, tuple[Case, str]], where: str = "", **more: str) -> Finding:
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
