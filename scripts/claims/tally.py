"""How many claims got which verdict, by whose statement it is: the one count that all pages show."""

import pandas as pd

from scripts.claims.claim import CODE, PAPER, VERDICTS


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of claims.csv: a row for each verdict, a column for each source."""
    return pd.crosstab(frame.verdict, frame.source).reindex(index=VERDICTS, columns=(PAPER, CODE), fill_value=0)


def headline(frame: pd.DataFrame) -> str:
    """Return the counts in one line."""
    counts = table(frame).sum(axis=1)
    return f"{len(frame)} claims: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def markdown(frame: pd.DataFrame) -> list[str]:
    """Return the lines of the table for readers, its sums last."""
    counts = table(frame)
    rows = [*counts.itertuples(), ("all", *counts.sum())]
    lines = [f"| {verdict} | {paper} | {code} |" for verdict, paper, code in rows]
    return [f"| verdict | {PAPER} | {CODE} |", "|---|---|---|", *lines]
