"""What the report is made of: each sweep's runs, whether they are sound, and the files that were drawn from them."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from experiments.store import SavedRun, Store, StoreError, run_id, verify
from scripts.provenance import digest

SCRIPTS = Path(__file__).parent
DRAWS = re.compile(r'^    main\("(\w+)", "(\w+)"', flags=re.MULTILINE)


@dataclass(frozen=True)
class Drawn:
    """A table of the figures' folder with the head line that names its runs, and its picture if it has one."""

    path: Path
    head: dict
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def picture(self) -> Path | None:
        """The PNG that was saved with it."""
        png = self.path.with_suffix(".png")
        return png if png.exists() else None


@dataclass(frozen=True)
class Sweep:
    """One script of the project, the runs that it draws and the files that it wrote.

    ``runs`` are the sound ones; ``harmed`` has a line for each other run; ``ids`` are those of all. A sweep that was
    not run at this scale has no ids.
    """

    name: str
    experiment: str
    title: str
    ids: list[str] = field(default_factory=list)
    runs: list[SavedRun] = field(default_factory=list)
    harmed: list[str] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Stands for the sweep's runs, as in the head line of every table."""
        return digest(self.ids)

    @cached_property
    def stale(self) -> list[str]:
        """A line for each file that was drawn from other runs than the sweep's."""
        return [
            f"{file.path}: drawn from other runs ({file.head.get('digest')}) than the sweep's ({self.digest}); "
            f"draw it again: python -m scripts.{self.name}"
            for file in self.drawn
            if file.head.get("digest") != self.digest
        ]

    def statuses(self) -> dict[str, int]:
        """How many runs ended how."""
        return pd.Series([run.summary["status"] for run in self.runs], dtype=str).value_counts().sort_index().to_dict()

    def wall_time_s(self) -> float:
        """What the runs took, added up."""
        return sum(run.summary["wall_time_s"] for run in self.runs)

    def peak_memory_mb(self) -> int:
        """The greatest peak of a process that made one of them."""
        return max((run.summary["peak_memory_mb"] for run in self.runs), default=0)


def scripts() -> list[tuple[str, str, str]]:
    """(sweep, experiment, title) of every script that draws one: the paper's figures, its tables, then ours."""
    found = []
    for file in SCRIPTS.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        for sweep, experiment in DRAWS.findall(text):
            found.append((sweep, experiment, ast.get_docstring(ast.parse(text)).splitlines()[0]))
    return sorted(found, key=lambda one: (not re.match(r"figure_\d", one[0]), not one[0].startswith("table"), one[0]))


def read_table(path: Path, **options: object) -> tuple[dict, pd.DataFrame]:
    """A table as the scripts write it: its head line (empty where it has none) and its rows. Raises StoreError.

    ``options`` are pandas.read_csv's.
    """
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline()
            if not line.startswith("# "):
                file.seek(0)
            return json.loads(line[2:]) if line.startswith("# ") else {}, pd.read_csv(file, **options)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not a table of this project's scripts; delete it and make it again") from error


def sweeps(store: Store, figures: Path) -> Iterator[Sweep]:
    """Every sweep that a script draws, with what this store and this folder hold of it. Raises StoreError."""
    drawn = [Drawn(path, *read_table(path)) for path in sorted(figures.glob("*.csv"))]
    for name, experiment, title in scripts():
        try:
            folders = store.listed(name)
        except StoreError:
            yield Sweep(name, experiment, title)
            continue
        runs, harmed = [], []
        for folder in folders:
            wrong = verify(store.root / folder)
            try:
                runs += [] if wrong else [store.load(folder)]
            except StoreError as error:
                wrong = [str(error)]
            harmed += wrong
        ids = [run_id(folder) for folder in folders]
        of_sweep = [file for file in drawn if file.head.get("sweep") == name]
        yield Sweep(name, experiment, title, ids, runs, harmed, of_sweep)
