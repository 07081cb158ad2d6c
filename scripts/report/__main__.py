"""The report: one HTML file with every figure, table and claim, ours next to the paper's, and where each comes from.

python -m scripts.report --scale laptop

It needs no network. A run that is not as it was saved is named in it and on the command line, which then ends with 1.
"""

import re
import shlex
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import jinja2
from threadpoolctl import threadpool_limits

from adaloss.theory.errata import ERRATA
from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from experiments.runs.terminal import RefusalError, filled, override, parser, run_main, store_of
from scripts import table_1
from scripts.claims.agree import PUBLISHED, compare
from scripts.provenance import SCALE_OF_PUBLISHED
from scripts.report import explore, sections
from scripts.report.paper import section_of
from scripts.report.pictures import SMALL, data_uri
from scripts.report.sweeps import Sweep, claims, own, sweeps
from scripts.shared.output import write

HERE = Path(__file__).parent
EXPLORERS: dict[str, Callable[[list[SavedRun]], dict]] = {
    "figure_1": explore.figure_1,
    "figure_burn_in": explore.burn_in,
}


def agreement(scale: str, figures: Path) -> list[str]:
    """Return how verdicts and figures compare with the published ones; nothing at another scale or without them."""
    there = all((folder / "claims.csv").is_file() for folder in (figures, PUBLISHED))
    return compare(figures, PUBLISHED).lines() if there and scale == SCALE_OF_PUBLISHED else []


def table(sweep: Sweep) -> list[dict]:
    """Return a table of accuracies in words: for each problem its rows (b0, then one cell for each column)."""
    found = [file.table for file in sweep.drawn if file.name == sweep.name and "paper_std" in file.table]
    [drawn] = found or [None]
    if drawn is None:
        return []
    return [
        {
            "problem": name,
            "columns": [title for title, *_ in table_1.columns(problem)],
            "rows": [
                [f"{b0:g}", *(line[k][which] for _, k, which in table_1.columns(problem))]
                for b0, line in table_1.cells(problem, "±")
            ],
        }
        for name, problem in drawn.groupby("problem", sort=False)
    ]


def errata() -> list[dict]:
    """Return the statements that are false as printed, from the library that computes their counterexamples."""
    found = []
    with threadpool_limits(1):  # the last digits of some depend on it
        results = {number: function() for number, function in ERRATA.items()}
    for number, function in ERRATA.items():
        title, *paragraphs = re.split(r"\n\s*\n", re.sub(r":\w+:`([^`]+)`", r"``\1``", function.__doc__))
        name = f"{function.__module__}.{function.__name__}"
        computed = [(key, f"{value:.5g}") for key, value in results[number].items()]
        found.append({"number": number, "title": title, "text": paragraphs, "computed": computed, "function": name})
    return found


def environment(all_sweeps: list[Sweep]) -> list[tuple[str, str]]:
    """Return what made the runs; several values if they were made in several ways."""
    made = [run.summary for sweep in all_sweeps for run in sweep.runs]
    facts = [("commit", {one["commit"] for one in made}), ("machine", {one["machine"] for one in made})]
    packages = sorted({name for one in made for name in one["versions"]})
    facts += [(name, {one["versions"].get(name, "none") for one in made}) for name in packages]
    return [(name, ", ".join(sorted(values))) for name, values in facts]


def explorers(all_sweeps: list[Sweep]) -> dict[str, dict]:
    """Return the data of the curves that a reader can choose, of sweeps that have all their runs."""
    whole = {sweep.name: sweep.runs for sweep in all_sweeps if sweep.runs and not sweep.corrupt}
    return {name: explorer(whole[name]) for name, explorer in EXPLORERS.items() if name in whole}


def plotting() -> dict[str, str]:
    """Return uPlot, which draws them: its script and its style, from the package that brings them along."""
    static = Path(distribution("uplot-python").locate_file("uplot/static"))
    return {name: (static / name).read_text(encoding="utf-8") for name in ("uPlot.iife.js", "uPlot.min.css")}


def duration(seconds: float) -> str:
    """Return seconds in words."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def problems(all_sweeps: list[Sweep], wrong_claims: list[str]) -> list[str]:
    """Return a line for each run, figure and table that is not what it should be."""
    return [line for sweep in all_sweeps for line in (*sweep.corrupt, *sweep.stale)] + wrong_claims


def render(
    scale: str,
    all_sweeps: list[Sweep],
    of_user: list[Sweep],
    decided: tuple[list[dict] | None, list[str]],
    agreed: list[str],
    making: str,
    drawing: str,
) -> str:
    """Return the page, with a user's own sweeps, the claims as ``sweeps.claims`` gives them, and the ``agreement``.

    ``making`` and ``drawing`` end the commands that make runs and draw them.
    """
    rows, wrong_claims = decided
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    templates.filters |= {"data_uri": data_uri, "duration": duration, "section": section_of}
    files = {name: (HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js", "explore.js")}
    return templates.get_template("report.html.j2").render(
        scale=scale,
        making=making,
        drawing=drawing,
        sweeps=all_sweeps,
        own=of_user,
        corrupt=problems(all_sweeps + of_user, wrong_claims),
        wrong_claims=wrong_claims,
        claims=rows,
        agreed=agreed,
        paper=sections.of_paper(all_sweeps, rows or []),
        ours=sections.of_ours(all_sweeps),
        without_figure=sections.without_figure(rows or []),
        tally=sections.counts(rows or []),
        tones=sections.TONES,
        tables={sweep.name: table(sweep) for sweep in all_sweeps},
        explorers=explorers(all_sweeps),
        errata=errata(),
        environment=environment(all_sweeps + of_user),
        methods=METHODS,
        small=SMALL,
        files=files | plotting(),
    )


def main() -> None:
    """Write report.html; print a line for each corrupt run and each file that is not as drawn, with status 1.

    A report that cannot be trusted is written as well: it says so.
    """
    args = parser("Write the report of one scale from its runs, figures and claims.", figures="figures").parse_args()
    store = filled(store_of(args.scale, args.runs), args.scale)
    figures = args.figures or Path("figures") / args.scale
    found, of_user = list(sweeps(store, figures)), own(store, figures)
    decided = claims(figures, store)
    making, drawing = f"scale={args.scale}", f"--scale {args.scale}"
    if args.runs:
        making = f"{making} {override('runs', args.runs)}"
        drawing = f"{drawing} --runs {shlex.quote(str(args.runs))}"
    if args.figures:
        drawing += f" --figures {shlex.quote(str(args.figures))}"
    page = render(args.scale, found, of_user, decided, agreement(args.scale, figures), making, drawing)
    write(figures, {"report.html": page.encode(errors="backslashreplace")})
    made = sum(bool(sweep.ids) for sweep in found)
    print(f"{figures / 'report.html'}: {made} of {len(found)} sweeps, {sum(len(sweep.runs) for sweep in found)} runs")
    if wrong := problems(found + of_user, decided[1]):
        raise RefusalError("\nerror: ".join(wrong))


if __name__ == "__main__":
    run_main(main)
