"""What all figure scripts share: the command line, the look, and files that carry the identity of their runs.

A figure is saved as PNG, PDF and the CSV of what is drawn. The same runs give the same bytes. ``scripts.provenance``
reads from any of the files what made it.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.store import SavedRun, Store, StoreError
from scripts.provenance import comment, mark

# Okabe-Ito colours: told apart by colour-blind readers and in grey print by the markers.
METHODS = {
    "adaloss": ("AdaLoss", "#D55E00", "o"),
    "adagrad_norm": ("AdaGrad-Norm", "#0072B2", "s"),
    "sgd_constant": ("SGD-Constant", "#009E73", "^"),
    "sgd_decay_sqrt": ("SGD-DecaySqrt", "#CC79A7", "D"),
}
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


@dataclass(frozen=True)
class Message:
    """A sentence about a figure, whether the runs bear it out (None: no run decides), and the numbers that decide."""

    problem: str
    sentence: str
    holds: bool | None
    evidence: str


def every(cases: pd.Series | np.ndarray) -> bool | None:
    """Whether all cases bear a sentence out; None, not True, where there is no case."""
    return bool(cases.all()) if len(cases) else None


def labelled(table: pd.DataFrame, **labels: object) -> pd.DataFrame:
    """The table of one run with the labels of that run as its first columns."""
    return table.assign(**labels)[[*labels, *table.columns]]


@dataclass(frozen=True)
class Output:
    """Where the files of one script go, and the runs they come from."""

    folder: Path
    sweep: str
    runs: list[SavedRun]

    def save(self, name: str, fig: plt.Figure, drawn: pd.DataFrame) -> None:
        """Write ``name``.png, .pdf and .csv."""
        made_by = mark(self.sweep, self.runs, ids=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        fig.savefig(self.folder / f"{name}.png", metadata={"Software": "adaloss", "Description": made_by})
        fig.set_layout_engine("none")  # the PDF keeps the layout of the PNG: solving it again is half of its time
        fig.savefig(
            self.folder / f"{name}.pdf", metadata={"Creator": "adaloss", "Keywords": made_by, "CreationDate": None}
        )
        plt.close(fig)
        self.table(name, drawn)

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Write ``name``.csv."""
        self.text(f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
        print(f"{self.folder / name}.csv: {len(frame)} rows from {len(self.runs)} runs")

    def text(self, file: str, content: str) -> None:
        """Write a CSV, Markdown or LaTeX file under a comment that identifies its runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / file
        path.write_text(
            comment(path.suffix, mark(self.sweep, self.runs, ids=False)) + content, encoding="utf-8", newline="\n"
        )

    def messages(self, name: str, messages: list[Message]) -> None:
        """Print the messages with their verdicts and write them to ``name``_messages.csv."""
        for message in messages:
            verdict = {True: "holds", False: "FAILS", None: " open"}[message.holds]
            print(f"  [{verdict}] {message.problem}: {message.sentence}\n          {message.evidence}")
        self.table(f"{name}_messages", pd.DataFrame(messages))


def command(experiment: str, sweep: str, scale: str, runs: Path | None) -> str:
    """The command that makes a sweep's runs, ``runs`` where they are not where they are by default."""
    elsewhere = f" runs={runs}" if runs else ""
    return f"python -m experiments.{experiment} sweep={sweep} scale={scale}{elsewhere}"


def main(sweep: str, experiment: str, draw: Callable[[Output], None]) -> None:
    """Read a sweep's runs and hand them to ``draw``; errors end with one line and status 1.

    ``experiment`` is whose runs they are: the line about runs that are missing ends with the command that makes them.
    """
    parser = argparse.ArgumentParser(description=f"Draw the sweep {sweep} from its saved runs.")
    parser.add_argument("--scale", default="laptop", help="smoke, laptop or paper (default: laptop)")
    parser.add_argument("--runs", type=Path, help="folder of the runs (default: runs/<scale>)")
    parser.add_argument("--figures", type=Path, help="folder of the figures (default: figures/<scale>)")
    args = parser.parse_args()
    store = Store(args.runs or Path("runs") / args.scale)
    try:
        runs = store.load_sweep(sweep)
        with mpl.rc_context(STYLE):
            draw(Output(args.figures or Path("figures") / args.scale, sweep, runs))
    except StoreError as error:
        sys.exit(f"error: {error}: {command(experiment, sweep, args.scale, args.runs)}")
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
