"""Sentences about runs of several seeds: one number of each seed decides, by the interval of its median or mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isnan

import pandas as pd

from experiments.runs.store import SavedRun
from scripts.claims import intervals
from scripts.claims.claim import Finding, Sweep, of_parts
from scripts.claims.intervals import WRONG, Estimate
from scripts.shared.output import Message

Problems = dict[str, list[pd.DataFrame]]  # of each problem one table for each seed


@dataclass(frozen=True)
class Sentence:
    """What a figure shows, and the number of one seed's table that is within the limits where it holds.

    The number is nan where the table decides nothing. ``says`` is what the number is.
    """

    words: str
    says: str
    number: Callable[[pd.DataFrame], float]
    low: float = -inf
    high: float = inf
    of: Callable = intervals.median
    show: Callable[[float], float] = float
    label: str = ""  # what tells it from the other sentences of its claim, if that is less than its words

    def estimate(self, seeds: list[pd.DataFrame]) -> Estimate | None:
        """Return the number over the seeds, None if it is nan in all of them."""
        values = [value for value in map(self.number, seeds) if not isnan(value)]
        return Estimate(values, self.low, self.high, self.of, self.show) if values else None

    def criterion(self) -> dict:
        """Return the sentence as the ledger of criteria has it."""
        limits = {"low": self.low, "high": self.high}
        shown = {name: self.show(limit) for name, limit in limits.items() if abs(limit) < inf}
        return {"words": self.words, "number": self.says, "over seeds": self.of.__name__} | shown


def split(table: pd.DataFrame, by: Sequence[str], name: str) -> Problems:
    """Return each problem's table by seed; ``name`` formats what is in the columns ``by``."""
    problems: Problems = {}
    for values, seed in table.groupby([*by, "seed"], sort=False):
        problems.setdefault(name.format(*values[:-1]), []).append(seed)
    return problems


def _cases(problems: Problems, sentences: Sequence[Sentence]) -> dict[tuple[str, Sentence], Estimate | None]:
    return {(name, one): one.estimate(seeds) for name, seeds in problems.items() for one in sentences}


def by_sentences(
    sweep: Sweep, *, problems: Callable[[list[SavedRun]], Problems], sentences: Sequence[Sentence]
) -> Finding:
    """Decide whether the number of each sentence, its median or mean over seeds, is within its limits, by problem."""
    found = _cases(sweep.of(problems), sentences)
    known = {case: one for case, one in found.items() if one is not None}
    decided = intervals.decided(known)
    parts = {}
    for case in found:
        problem, sentence = case
        name = f"{problem}: {sentence.label or sentence.words}" if len(sentences) > 1 else problem
        parts[name] = decided.get(case, (None, "decides nothing"))
    says = "; ".join(dict.fromkeys(one.says for one in sentences))
    return of_parts(parts, f"{says}: ")


def messages(problems: Problems, sentences: Sequence[Sentence]) -> list[Message]:
    """Return what the runs say about each sentence and problem."""
    found = []
    for (problem, sentence), one in _cases(problems, sentences).items():
        holds, numbers = (None, "decides nothing") if one is None else (one.holds(WRONG), one.words(WRONG))
        seeds = len(problems[problem])
        found.append(Message(problem, sentence.words, holds, f"{sentence.says}, {seeds} seeds: {numbers}"))
    return found
