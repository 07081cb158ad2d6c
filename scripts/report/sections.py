"""The sections of the page: the paper's items in their order, then our own sweeps, each with its claims."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from scripts.claims import tally
from scripts.claims.claim import CODE, FALSE, NOT_REPRODUCED, PAPER, PARTLY, REPRODUCED, UNDECIDED
from scripts.report.paper import ITEMS, item_of
from scripts.report.sweeps import Drawn, Sweep
from scripts.report.takeaways import Facts

# How a verdict looks (report.css has the colours); one that decides nothing is "none".
TONES = {REPRODUCED: "good", PARTLY: "half", NOT_REPRODUCED: "bad", FALSE: "wrong", UNDECIDED: "open"}


@dataclass(frozen=True)
class Section:
    """A section: what was drawn of its sweeps, and the claims that belong to it; ``key`` of them stand out."""

    id: str
    title: str
    sweeps: Sequence[Sweep]
    takeaway: str = ""
    key: Sequence[dict] = ()
    claims: Sequence[dict] = ()
    headline: bool = False
    folded: Sequence[Drawn] = field(init=False)
    shown: Drawn | None = field(init=False)

    def __post_init__(self):
        """Choose the picture that is shown: the one of the first sweep's name; the others are folded."""
        pictures = [file for sweep in self.sweeps for file in sweep.drawn if file.picture]
        first = next((file for file in pictures if file.name == self.sweeps[0].name), None)
        object.__setattr__(self, "shown", first)
        object.__setattr__(self, "folded", [file for file in pictures if file is not first])

    @property
    def made(self) -> bool:
        """Whether the first sweep was run at this scale."""
        return bool(self.sweeps[0].ids)

    @property
    def untrusted(self) -> bool:
        """Whether a file of the section is not as it was saved or drawn."""
        return any(sweep.corrupt or sweep.stale for sweep in self.sweeps)

    @property
    def tables(self) -> list[Drawn]:
        """The tables without a picture."""
        return [file for sweep in self.sweeps for file in sweep.drawn if not file.picture]

    def messages(self) -> list[dict]:
        """Return the sentences that the sweeps' scripts decided."""
        decided = [file.table for file in self.tables if file.name.endswith("_messages")]
        return pd.concat(decided).to_dict("records") if decided else []


def of_paper(sweeps: Sequence[Sweep], claims: Sequence[dict]) -> list[Section]:
    """Return the sections of the paper's items, in its order."""
    by_name, found = {sweep.name: sweep for sweep in sweeps}, []
    for item in [item for item in ITEMS if item.sweep in by_name]:
        own = [by_name[name] for name in (item.sweep, *item.more) if name in by_name]
        mine = [row for row in claims if item_of(row) is item]
        key = [row for name in item.key for row in mine if row["id"] == name]
        found.append(Section(item.id, item.title, own, _said(item.takeaway, own), key, mine, item.headline))
    return found


def of_ours(sweeps: Sequence[Sweep]) -> list[Section]:
    """Return a section for each sweep that no item of the paper names."""
    named = {name for item in ITEMS for name in (item.sweep, *item.more)}
    return [Section(sweep.name, sweep.title, [sweep]) for sweep in sweeps if sweep.name not in named]


def _said(takeaway, sweeps: Sequence[Sweep]) -> str:
    """Return the sentence about what was drawn, none if a table that it needs was not."""
    try:
        return takeaway(Facts({file.name: file.table for sweep in sweeps for file in sweep.drawn}))
    except KeyError:
        return ""


def without_figure(claims: Sequence[dict]) -> list[dict]:
    """Return the paper's claims that belong to no item."""
    return [row for row in claims if item_of(row) is None and row["source"] == PAPER]


def counts(claims: Sequence[dict]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return the verdicts that there are with their counts: of the paper, and of the README of its code."""
    if not claims:
        return []
    table = tally.table(pd.DataFrame(claims))
    titles = {PAPER: "The paper's own statements", CODE: "The README of the authors' code"}
    found = [(titles[source], [(name, int(n)) for name, n in table[source].items() if n]) for source in table]
    return [(title, given) for title, given in found if given]
