"""How many claims got which verdict, by whose statement it is: the one count that all pages show.

python -m scripts.claims.tally figures/published/claims.csv README.md     write a page's tables, as make publish does
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from experiments.runs.terminal import run_main
from scripts.claims.claim import CANNOT_FAIL, CODE, DECIDED, PAPER, REPRODUCED, UNDECIDED, VERDICTS

SHOWN = (*DECIDED, UNDECIDED, CANNOT_FAIL)
CELL = r"(?:table-1|resnet)-.*-[0-9.]+"  # the id of a claim about one number of a table
HEADER = f"| verdict | {PAPER} | {CODE} |"


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
    rows = [*counts[counts.any(axis=1)].itertuples(), ("all", *counts.sum())]
    return [HEADER, "|---|---|---|", *(f"| {verdict} | {paper} | {code} |" for verdict, paper, code in rows)]


def sweeps(runs: str) -> list[str]:
    """Return the sweeps that decide a claim, its own first, from its runs in claims.csv."""
    return runs.partition(":")[0].split(", ")


def of_sweeps(frame: pd.DataFrame, names: list[str]) -> str:
    """Return the verdicts on the claims of these sweeps; what is not reproduced has its name, cells are counted."""
    chosen = frame[[sweeps(runs)[0] in names for runs in frame.runs]]
    said = []
    for verdict in SHOWN:
        ids = chosen.id[chosen.verdict == verdict]
        counted = ids.str.fullmatch(CELL) | (verdict in (REPRODUCED, CANNOT_FAIL))
        named = [f"`{name}`" for name in ids[~counted]]
        more = f" and {counted.sum()} of the numbers" if named and counted.any() else ""
        said += [f"{verdict}: {', '.join(named)}{more}" if named else f"{len(ids)} {verdict}"] if len(ids) else []
    return "; ".join(said) or "no claim"


def filled(page: str, frame: pd.DataFrame) -> str:
    """Return a page with its tables as the claims have them.

    These are the counts, and the last column of each row of three whose second one names sweeps.
    """
    lines = page.split("\n")
    for k, line in enumerate(lines):
        row = re.fullmatch(r"\| ([^|]*) \| ((?:`\w+`[ ,]*)+) \| [^|]* \|", line)
        if row:
            lines[k] = f"| {row[1]} | {row[2]} | {of_sweeps(frame, re.findall('[0-9a-z_]+', row[2]))} |"
    return with_table("\n".join(lines), markdown(frame))


def with_table(page: str, table: list[str]) -> str:
    """Return a page with these lines in place of the table that has the same first one."""
    lines = page.split("\n")
    start = lines.index(table[0])
    end = next(k for k in range(start, len(lines)) if not lines[k].startswith("|"))
    return "\n".join(lines[:start] + table + lines[end:])


def read(file: Path) -> pd.DataFrame:
    """Return claims.csv, or a table drawn from runs, as it was written."""
    return pd.read_csv(file, skiprows=1, keep_default_na=False)


def write(fill: Callable[[str, pd.DataFrame], str]) -> None:
    """Write into a page what ``fill`` makes of it and of a CSV; the command line names both, the CSV first."""
    words = argparse.ArgumentParser(description="Write the tables of a page from a CSV.")
    words.add_argument("csv", type=Path)
    words.add_argument("page", type=Path)
    args = words.parse_args()
    args.page.write_text(fill(args.page.read_text(encoding="utf-8"), read(args.csv)), encoding="utf-8")


if __name__ == "__main__":
    run_main(lambda: write(filled))
