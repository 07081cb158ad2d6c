"""Criteria change in the open: each that differs from the published one has its entry in changes.csv."""

import pandas as pd

from scripts.claims import criteria
from scripts.claims.agree import PUBLISHED
from scripts.claims.listed import claims

CLAIMS = claims()


def silent(now, published):
    """The claims whose rule or numbers differ from the published ones without another entry; gone ones have one too."""
    both = published.set_index("id").join(now.set_index("id").add_suffix("_now"))
    counts = criteria.changes().id.value_counts().reindex(both.index, fill_value=0)
    changed = (both.rule != both.rule_now) | (both.numbers != both.numbers_now)
    return [*both.index[changed & (counts <= both.changes)]]


def test_no_criterion_changed_without_an_entry():
    published = pd.read_csv(PUBLISHED / "criteria.csv", skiprows=1, keep_default_na=False)
    now = criteria.table(CLAIMS)
    assert silent(now, published) == []
    loosened = now.assign(numbers=now.numbers.where(now.id != "cost-of-adaloss", '{"most": 1.5}'))
    assert silent(loosened, now) == ["cost-of-adaloss"]
    assert silent(now[now.id != "figure-6"], now) == ["figure-6"]


def test_every_change_is_whole_and_every_rule_is_in_words():
    found = criteria.changes()
    assert (found.map(len) > 0).all().all() and found.date.is_monotonic_increasing
    now = criteria.table(CLAIMS)
    assert (now.rule.str.len() > 20).all()


def test_the_page_of_changes():
    """A change's new rule is the next one's old rule, of the last one today's."""
    frame = pd.DataFrame({"id": [claim.id for claim in CLAIMS], "verdict": "partly"})
    lines = criteria.history(CLAIMS, frame).splitlines()
    rows = [[cell.strip() for cell in line.split(" | ")] for line in lines if line.startswith("| 2")]
    of = [row for row in rows if row[1] == "b-is-bounded"]
    assert [row[4] for row in of[:-1]] == [row[2] for row in of[1:]] and of[-1][5] == "partly"
