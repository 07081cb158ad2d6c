"""The paper's claims and what the saved runs say about each: claims.csv and criteria.csv, and claims.md for readers.

python -m scripts.claims --scale laptop

Each claim is in the script of its sweep, with the function that computes its verdict. A claim whose sweep was not
run at a scale is "not run at this scale"; a sweep with a run that is missing or corrupt is an error.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from experiments.runs.store import SavedRun, Store, StoreError
from experiments.runs.terminal import RefusalError, filled, parser, run_main, store_of
from scripts.claims import criteria, tally
from scripts.claims.claim import FALSE, NOT_CHECKABLE, NOT_RUN, REPRODUCED, VERDICTS, Claim, ClaimError, Finding, Sweep
from scripts.claims.listed import claims as all_claims
from scripts.shared.marks import digest
from scripts.shared.output import Output, command

COLUMNS = ("id", "source", "place", "quote", "measured", "paper", "tolerance", "verdict", "runs")
MOST_IDS = 8


class CorruptError(Exception):
    """A sweep with a run that is missing or corrupt: the names that it may have, and what is wrong."""


def decide(claims: list[Claim], store: Store) -> tuple[list[Finding], dict[str, list[SavedRun]]]:
    """Return a finding for each claim, and the runs of the sweeps that were there.

    Raises CorruptError if a run of a listed sweep is missing or corrupt, ClaimError if a measure cannot decide.
    """
    needed = {claim.sweeps for claim in claims}
    runs, together = {}, {}
    for name in [name for name in store.sweeps() if any(name in names for names in needed)]:
        with _of_sweeps(name):
            runs[name] = store.load_sweep(name)
    for names in [names for names in needed if runs.keys() >= {*names}]:
        together[names] = Sweep(", ".join(names), [run for name in names for run in runs[name]])
    return [_finding(claim, together, runs) for claim in claims], runs


def _finding(claim: Claim, together: dict[tuple[str, ...], Sweep], runs: dict[str, list[SavedRun]]) -> Finding:
    if claim.sweep is None:
        return Finding(NOT_CHECKABLE, claim.tolerance, runs=())
    if claim.sweeps not in together:
        [absent, *_] = [name for name in claim.sweeps if name not in runs]
        return Finding(NOT_RUN, f"the sweep {absent} was not run at this scale", runs=())
    try:
        with _of_sweeps(*claim.sweeps):
            return claim.decide(together[claim.sweeps])
    except ClaimError as error:
        raise ClaimError(f"claim {claim.id!r}: {error}") from None


@contextmanager
def _of_sweeps(*names: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise CorruptError(names, str(error)) from error


def table(claims: list[Claim], findings: list[Finding], sweeps: dict[str, list[SavedRun]]) -> pd.DataFrame:
    """Return one row per claim."""
    rows = []
    for claim, finding in zip(claims, findings, strict=True):
        whole = [run for name in claim.sweeps for run in sweeps.get(name, ())]
        ids = sorted(run.id for run in (whole if finding.runs is None else finding.runs))
        allowed = f"{finding.tolerance}: " if finding.tolerance else ""
        why = "" if claim.sweep is None else f"{claim.cannot_fail or claim.tolerance}"
        rows.append(
            {
                "id": claim.id,
                "source": claim.source,
                "place": claim.place,
                "quote": claim.quote,
                "measured": finding.measured,
                "paper": finding.paper or ("" if claim.paper is None else f"{claim.paper:g}"),
                "tolerance": allowed + why,
                "verdict": finding.verdict,
                "runs": f"{', '.join(claim.sweeps) or 'none'}: {_listed(ids)}",
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _listed(ids: list[str]) -> str:
    if len(ids) > MOST_IDS:
        return f"{len(ids)} runs, digest {digest(ids)}"
    return " ".join(ids) or "none"


def markdown(claims: list[Claim], frame: pd.DataFrame, sweeps: Collection[str], scale: str) -> str:
    """Return the table for readers, by verdict, with what is true instead or would settle it at the paper's scale.

    ``sweeps`` are those that were run.
    """
    lines = [f"# The paper's claims at scale {scale}", "", tally.headline(frame) + ".", "", *tally.markdown(frame), ""]
    by_id = {claim.id: claim for claim in claims}
    for verdict in VERDICTS:
        chosen = frame[frame.verdict == verdict]
        if not len(chosen):
            continue
        more = {NOT_RUN: [], NOT_CHECKABLE: ["measured"]}.get(verdict, ["measured", "paper", "tolerance"])
        titles = ["claim", "place", "quote", *more]
        titles += ["corrected"] * (verdict == FALSE)
        titles += ["at the paper's scale"] * (verdict not in (FALSE, REPRODUCED, NOT_CHECKABLE))
        lines += [f"## {verdict.capitalize()} ({len(chosen)})", ""]
        lines += ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
        for row in chosen.to_dict("records"):
            claim = by_id[row["id"]]
            of = {"claim": row["id"], "corrected": claim.corrected, "at the paper's scale": claim.at_paper_scale}
            lines.append("| " + " | ".join(_cell((row | of)[title]) for title in titles) + " |")
        lines.append("")
    missing = sorted({name for claim in claims for name in claim.sweeps} - {*sweeps})
    if missing:
        lines += ["What was not run, and the commands that run it:", "", "```sh"]
        lines += [command(sweep, scale, None) for sweep in missing]
        lines += ["```", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a cell of a Markdown table: the bars of norms are no borders."""
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> None:
    """Decide the claims and write both files."""
    args = parser("Decide the paper's claims from the saved runs.", figures="tables").parse_args()
    store = filled(store_of(args.scale, args.runs), args.scale)
    try:
        claims = all_claims()
        findings, sweeps = decide(claims, store)
        frame = table(claims, findings, sweeps)
    except CorruptError as error:
        names, line = error.args
        commands = "; ".join(command(name, args.scale, args.runs) for name in names)
        raise RefusalError(f"{line}: {commands}") from error
    except ClaimError as error:
        raise RefusalError(str(error)) from error
    runs = {run.id: run for of_sweep in sweeps.values() for run in of_sweep}  # some are in two sweeps
    output = Output(args.figures or Path("figures") / args.scale, ", ".join(sweeps), [*runs.values()])
    output.table("claims", frame)
    output.text("claims.md", markdown(claims, frame, sweeps, args.scale))
    output.table("criteria", criteria.table(claims))
    output.text("criteria.md", criteria.history(claims, frame))
    output.lines.append(tally.headline(frame))
    output.write()


if __name__ == "__main__":
    run_main(main)
