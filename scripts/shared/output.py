"""The shared part of figure scripts: the command line, the style, and files that carry their runs' identity.

A figure is saved as PNG, PDF and the CSV of what is drawn. The same runs give the same bytes. ``scripts.provenance``
reads from any of the files what made it.

``--sweep`` draws a list of other runs, as a sweep that was changed on the command line has one: what is there, into a
folder of its own, or one line about what the script needs.
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from experiments.runs.registry import NAME, maker
from experiments.runs.store import SavedRun, Store, StoreError
from experiments.runs.terminal import RefusalError, override, parser, run_main, store_of
from scripts.claims.intervals import Undecided
from scripts.shared.changed import Apart, check, refused, shows_something
from scripts.shared.marks import comment, mark, seal

STYLE = {
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3,
    "svg.hashsalt": "adaloss",
}
LONG = 1e2  # highest over lowest number of a logarithmic axis


@dataclass(frozen=True)
class Message:
    """A sentence about a figure, whether the runs confirm it (None: no run decides), and the numbers that decide.

    It may be ``Undecided`` as well. By the ``key`` a claim of the paper refers to it.
    """

    problem: str
    sentence: str
    holds: bool | Undecided | None
    evidence: str
    key: str = ""


def every(cases: pd.Series | np.ndarray) -> bool | None:
    """Return whether all cases confirm a sentence; None, not True, if there is no case."""
    return bool(cases.all()) if len(cases) else None


def labelled(table: pd.DataFrame, **labels: object) -> pd.DataFrame:
    """Return the table of one run with the labels of that run as its first columns."""
    return table.assign(**labels)[[*labels, *table.columns]]


@dataclass(frozen=True)
class Output:
    """The files of one script and the runs they come from; nothing is written before ``write``."""

    folder: Path
    sweep: str
    runs: list[SavedRun]
    files: dict[str, bytes] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def save(self, name: str, fig: plt.Figure, drawn: pd.DataFrame) -> None:
        """Add ``name``.png, .pdf and .csv. Raises ValueError if the figure shows nothing."""
        if not shows_something(fig):
            raise ValueError(f"nothing to draw in {name}.png")
        _thin(fig)
        self._picture(f"{name}.png", "Description", fig, {"Software": "adaloss"})
        fig.set_layout_engine("none")  # the PDF keeps the layout of the PNG: solving it again is half of its time
        self._picture(f"{name}.pdf", "Keywords", fig, {"Creator": "adaloss", "CreationDate": None})
        plt.close(fig)
        self.table(name, drawn)

    def _picture(self, file: str, field: str, fig: plt.Figure, metadata: dict) -> None:
        """Add the figure with its mark in this field of its metadata."""
        suffix, buffer = Path(file).suffix, io.BytesIO()
        fig.savefig(buffer, format=suffix[1:], metadata=metadata | {field: mark(file, self.sweep, self.runs)})
        self.files[file] = seal(suffix, buffer.getvalue())

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Add ``name``.csv."""
        self.text(f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
        self.lines.append(f"{self.folder / name}.csv: {len(frame)} rows from {len(self.runs)} runs")

    def text(self, file: str, content: str) -> None:
        """Add a CSV, Markdown or LaTeX file under a comment that identifies its runs."""
        suffix = Path(file).suffix
        marked = comment(suffix, mark(file, self.sweep, self.runs)) + content
        self.files[file] = seal(suffix, marked.encode())

    def messages(self, name: str, messages: list[Message]) -> None:
        """Print the messages with their verdicts and add them as ``name``_messages.csv."""
        for message in messages:
            verdict = {True: "holds", False: "FAILS"}.get(message.holds, " open")
            self.lines.append(f"  [{verdict}] {message.problem}: {message.sentence}\n          {message.evidence}")
        self.table(f"{name}_messages", pd.DataFrame(messages).drop(columns="key"))

    def write(self) -> None:
        """Write all files and print what there is to say."""
        write(self.folder, self.files)
        print("\n".join(self.lines))


def _thin(fig: plt.Figure) -> None:
    """Leave the ticks between powers of ten out of long axes: there they are a grey band, and a third of the time."""
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = axis.get_view_interval()
            if axis.get_scale() == "log" and high > LONG * low:
                axis.set_minor_locator(NullLocator())


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder, each of them whole. Raises RefusalError if it has no room for one, or is closed."""
    name = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=folder) as made:
            for name, content in files.items():
                (Path(made) / name).write_bytes(content)
            for name in files:
                (Path(made) / name).replace(folder / name)
    except OSError as error:
        raise RefusalError(
            f"{folder / name}: not written ({error.strerror}); fix the folder or name another one with --figures"
        ) from error


def command(sweep: str, scale: str, runs: Path | None) -> str:
    """Return the command that makes a sweep's runs; ``runs`` if they are not in the default place."""
    elsewhere = f" {override('runs', runs)}" if runs else ""
    return f"python -m experiments.{maker(sweep)} sweep={sweep} scale={scale}{elsewhere}"


def main(sweep: str, draw: Callable[[Output], None], apart: Apart | None = None) -> None:
    """Read a sweep's runs and hand them to ``draw``; errors end with one line and status 1.

    The line about runs that are missing ends with the command that makes them. ``apart`` says which other runs the
    script can show (``scripts.shared.changed``); None: any.
    """
    words = parser(f"Draw the sweep {sweep} from its saved runs.", figures="figures")
    words.add_argument(
        "--sweep",
        default=sweep,
        metavar="NAME",
        help="draw this list of runs, into a folder of its name below that of the figures (default: %(default)s)",
    )
    run_main(lambda: _main(words.parse_args(), sweep, draw, apart or {}))


def _main(args: argparse.Namespace, sweep: str, draw: Callable[[Output], None], apart: Apart) -> None:
    store = store_of(args.scale, args.runs)
    figures = args.figures or Path("figures") / args.scale
    with plt.style.context(STYLE, after_reset=True):  # whatever a matplotlibrc says
        if args.sweep == sweep:
            try:
                output = Output(figures, sweep, store.load_sweep(sweep))
                draw(output)
            except StoreError as error:
                raise RefusalError(f"{error}: {command(sweep, args.scale, args.runs)}") from error
        else:
            output = Output(figures / args.sweep, args.sweep, _other(store, args.sweep))
            _draw_other(output, sweep, draw, apart)
    output.write()


def _other(store: Store, name: str) -> list[SavedRun]:
    """Return the runs of another list than the script's own. Raises RefusalError if there is none, StoreError."""
    listed = store.sweeps()
    if name not in listed or not NAME.fullmatch(name):
        raise RefusalError(f"--sweep {name}: no such list in {store.root}; there are {', '.join(listed) or 'none'}")
    return store.load_sweep(name)


def _draw_other(output: Output, sweep: str, draw: Callable[[Output], None], apart: Apart) -> None:
    """Draw what there is of runs that the script was not written for. Raises RefusalError if there is nothing."""
    try:
        with refused(output.sweep, sweep):
            if apart:
                check(output.runs, apart)
            draw(output)
    except RefusalError as error:
        if not output.files:
            raise
        output.lines.append(f"no more than this is drawn: {error}")
