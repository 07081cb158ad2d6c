"""The criteria of the claims as data, and every change of one: criteria.csv and criteria.md.

``changes.csv`` has a row for each change, oldest first: its date, the claim, the old rule and verdict, and the reason.
The new rule is that of the claim's next change, of the last one today's, whose verdict the runs say. A criterion that
differs from the published one without another change fails tests/scripts/test_criteria.py.
"""

import json
from pathlib import Path

import pandas as pd

from scripts.claims.claim import Claim

CHANGES = Path(__file__).with_name("changes.csv")


def changes() -> pd.DataFrame:
    """Return the changes of criteria, oldest first."""
    return pd.read_csv(CHANGES, keep_default_na=False)


def table(claims: list[Claim]) -> pd.DataFrame:
    """Return a row for each claim: its rule in words, the rule's numbers, why they are so, how often it changed."""
    counts = changes().id.value_counts()
    rows = [(claim.id, *_written(claim), claim.tolerance, int(counts.get(claim.id, 0))) for claim in claims]
    return pd.DataFrame(rows, columns=["id", "rule", "numbers", "why", "changes"])


def _written(claim: Claim) -> tuple[str, str]:
    if claim.measure is None:
        return "none: it cannot be checked", "{}"
    words, numbers = claim.criterion()
    return words, json.dumps(numbers, ensure_ascii=False)


def history(claims: list[Claim], frame: pd.DataFrame) -> str:
    """Return the table of changes for readers, then that of the criteria that stand as they were first written."""
    now, found = table(claims).set_index("id"), changes()
    verdicts = frame.set_index("id").verdict
    lines = ["# Criteria and their changes", "", "Each changed criterion, then today's of all claims.", ""]
    lines += ["| date | claim | old rule | old verdict | new rule | new verdict | why |", "|---" * 7 + "|"]
    for k, row in found.iterrows():
        later = found[(found.id == row.id) & (found.index > k)]
        if len(later):
            new = later.rule.iloc[0], later.verdict.iloc[0]
        elif row.id in now.index:
            new = shown(now.rule[row.id], now.numbers[row.id]), verdicts[row.id]
        else:
            new = "no longer a claim", ""
        lines.append(_line(row.date, row.id, row.rule, row.verdict, *new, row.why))
    lines += ["", "| claim | rule | why | verdict |", "|---" * 4 + "|"]
    lines += [_line(name, shown(row.rule, row.numbers), row.why, verdicts[name]) for name, row in now.iterrows()]
    return "\n".join([*lines, ""])


def shown(rule: str, numbers: str) -> str:
    """Return a rule with its numbers as the ledger writes it."""
    return f"{rule} {numbers}" if numbers != "{}" else rule


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"
