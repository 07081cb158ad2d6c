"""Whether this machine agrees with the published verdicts and figures.

python -m scripts.claims.agree --scale laptop

A verdict is equal, undecided on one side, or a contradiction: both sides are decided, and differently. A point of a
figure, which has a range over the seeds, agrees if its range overlaps the published one's. The exit status is 1 if
there is a contradiction; figures decide nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.runs.terminal import RefusalError, parser, run_main, store_of
from scripts.claims.claim import NOT_CHECKABLE, NOT_RUN, UNDECIDED
from scripts.provenance import SCALE_OF_PUBLISHED

PUBLISHED = Path(__file__).resolve().parents[2] / "figures/published"


@dataclass(frozen=True)
class Agreement:
    """How the verdicts of two folders compare, and the points of their figures."""

    equal: int
    undecided: list[str]
    contradictions: list[str]
    alone: int
    points: int
    overlapping: int

    def lines(self) -> list[str]:
        """Return the comparison in words, its verdict last."""
        undecided = f" ({', '.join(self.undecided)})" if self.undecided else ""
        share = f"{self.overlapping / self.points:.1%} of {self.points}" if self.points else "none of 0"
        found = [f"points of figures whose ranges over the seeds overlap the published ones: {share}"]
        if self.alone:
            found.append(f"{self.alone} claims were decided on one side alone")
        found += [f"contradiction: {line}" for line in self.contradictions]
        return [
            *found,
            f"agreement with the published verdicts: {self.equal} equal, {len(self.undecided)} undecided on one "
            f"side{undecided}, {len(self.contradictions)} contradictions",
        ]


def compare(figures: Path, published: Path) -> Agreement:
    """Return the agreement of two folders with claims.csv and the figures' tables. Raises RefusalError."""
    ours, theirs = (_verdicts(folder) for folder in (figures, published))
    both = pd.DataFrame({"ours": ours, "published": theirs}).fillna(NOT_RUN).replace(NOT_CHECKABLE, NOT_RUN)
    run = both[(both != NOT_RUN).all(axis=1)]
    apart = run[run.ours != run.published]
    open_ = (apart == UNDECIDED).any(axis=1)
    against = [f"{name}: {row.ours}, published {row.published}" for name, row in apart[~open_].iterrows()]
    points = [pair for file in sorted(published.glob("*.csv")) for pair in _ranges(figures / file.name, file)]
    return Agreement(
        equal=len(run) - len(apart),
        undecided=[*apart.index[open_]],
        contradictions=against,
        alone=int((both != NOT_RUN).any(axis=1).sum() - len(run)),
        points=sum(len(pair) for pair in points),
        overlapping=int(sum(pair.sum() for pair in points)),
    )


def _verdicts(folder: Path) -> pd.Series:
    file = folder / "claims.csv"
    try:
        found = _read(file).set_index("id").verdict
        if not found.index.is_unique:
            raise ValueError("a claim has two verdicts")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RefusalError(f"{file}: no table of claims; decide them: python -m scripts.claims") from error
    return found


def _read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, skiprows=1, keep_default_na=False, na_values=[""])


def _ranges(ours: Path, theirs: Path) -> list[pd.Series]:
    """Return for each quantity with a range over seeds in two tables where the ranges of a row overlap, or are N/A.

    A range is from ``_min`` to ``_max``, or from ``_least`` to ``_greatest`` where the quantity is itself a minimum.
    """
    found = _read(theirs)
    low, high = ("_least", "_greatest") if any(name.endswith("_least") for name in found) else ("_min", "_max")
    names = [name.removesuffix(low) for name in found if name.endswith(low)]
    names = [name for name in names if f"{name}{high}" in found]
    if not names or not ours.is_file():
        return []
    try:
        made = _read(ours)
        if len(made) != len(found) or not {*names} <= {name.removesuffix(low) for name in made}:
            return []
        pairs = [[(table[f"{k}{low}"], table[f"{k}{high}"]) for table in (made, found)] for k in names]
        return [((a <= d) & (c <= b)) | (a.isna() & c.isna()) for (a, b), (c, d) in pairs]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusalError(f"{ours}: no table of a figure; draw it again") from error


def main() -> None:
    """Print the comparison; a contradiction ends it with status 1."""
    args = parser("Compare this machine's verdicts and figures with the published ones.", figures="tables").parse_args()
    store_of(args.scale, None)  # wherever the runs are, it should be a scale
    if args.scale != SCALE_OF_PUBLISHED:
        print(f"the published verdicts are of the scale {SCALE_OF_PUBLISHED}: nothing to compare at {args.scale}")
        return
    found = compare(args.figures or Path("figures") / args.scale, PUBLISHED)
    print("\n".join(found.lines()))
    if found.contradictions:
        raise SystemExit(1)


if __name__ == "__main__":
    run_main(main)
