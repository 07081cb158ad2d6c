"""The parts of the report: each sweep's runs, whether they are intact, and the files drawn from them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path

import pandas as pd

from experiments.runs.registry import NAME, listed, maker
from experiments.runs.store import SavedRun, Store, StoreError, run_id
from scripts.claims import tally
from scripts.provenance import listed_of
from scripts.shared import marks
from scripts.shared.marks import digest

SCRIPTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Drawn:
    """A table of the figures' folder, and the PNG that was saved with it if there is one.

    ``sweep`` and ``digest`` are of its runs; ``problem`` says what is wrong with it or its picture.
    """

    path: Path
    sweep: str
    digest: str
    table: pd.DataFrame
    picture: bytes | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


@dataclass(frozen=True)
class Sweep:
    """The runs that one script draws, by ``script`` where that has not the sweep's name, and the files that it wrote.

    ``runs`` are the intact ones; ``corrupt`` has a line for each other run; ``ids`` are those of all. A sweep that was
    not run at this scale has no ids. ``drawn`` are the files whose bytes are as they were drawn; ``changed`` has a line
    for each other one.
    """

    name: str
    experiment: str
    title: str
    ids: list[str] = field(default_factory=list)
    runs: list[SavedRun] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    script: str = ""

    @property
    def digest(self) -> str:
        """The hash of the sweep's runs, as in the head line of every table."""
        return digest(self.ids)

    @cached_property
    def stale(self) -> list[str]:
        """A line for each file that is not what was drawn from the sweep's runs."""
        return self.changed + [
            f"{file.path}: drawn from other runs ({file.digest}) than the sweep's ({self.digest}); "
            f"draw it again: python -m scripts.{self.script or self.name}"
            for file in self.drawn
            if (file.sweep, file.digest) != (self.name, self.digest)
        ]

    def statuses(self) -> dict[str, int]:
        """Count the runs by status."""
        return pd.Series([run.summary["status"] for run in self.runs], dtype=str).value_counts().sort_index().to_dict()

    def wall_time_s(self) -> float:
        """Return the sum of the runs' seconds."""
        return sum(run.summary["wall_time_s"] for run in self.runs)

    def peak_memory_mb(self) -> int:
        """Return the greatest peak of a process that made one of them."""
        return max((run.summary["peak_memory_mb"] for run in self.runs), default=0)


def scripts() -> list[tuple[str, str, str]]:
    """Return (sweep, experiment, title) of every script that draws one: the paper's figures, its tables, then ours."""
    drawn = [name for name in listed() if (SCRIPTS / f"{name}.py").is_file()]
    return [(name, maker(name), import_module(f"scripts.{name}").__doc__.splitlines()[0]) for name in drawn]


def read_table(path: Path, **options: object) -> Drawn:
    """Return a table as the scripts write it. Raises StoreError; ``options`` are pandas.read_csv's."""
    try:
        content = marks.content_of(path)
        rows = content.partition(b"\n")[2] if content.startswith(b"# ") else content
        table = pd.read_csv(io.BytesIO(rows), **options)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not a table of this project's scripts; delete it and make it again") from error
    try:
        found = _marked(path, content)
    except ValueError as error:
        return Drawn(path, "", "", table, problem=f"{path}: {error}")
    return Drawn(path, *marks.of_runs(found), table)


def _marked(path: Path, content: bytes) -> dict:
    """Return the mark of a file that is as it was drawn, under the name that it has. Raises ValueError if it is not."""
    found = marks.parsed(path.suffix, content)
    wrong = marks.problem(path.suffix, content, found)
    if wrong is None and found["file"] != path.name:
        wrong = f"drawn as {found['file']}; draw it again"
    if wrong:
        raise ValueError(wrong)
    return found


def with_picture(drawn: Drawn) -> Drawn:
    """Return the table with its PNG, which must be a file of this folder and drawn from the same runs."""
    path = drawn.path.with_suffix(".png")
    if drawn.problem or not (path.exists() or path.is_symlink()):
        return drawn
    try:
        if path.is_symlink():
            raise ValueError("a link, not a picture of this folder; delete it and draw it again")
        content = marks.content_of(path)
        if marks.of_runs(_marked(path, content)) != (drawn.sweep, drawn.digest):
            raise ValueError(f"drawn from other runs than {drawn.path.name}; draw it again")
    except ValueError as error:
        return replace(drawn, problem=f"{path}: {error}")
    return replace(drawn, picture=content)


def tables(figures: Path, sweep: str, others: list[str]) -> list[Drawn]:
    """Return a folder's tables that by name are the sweep's and not one of the ``others``', with their pictures."""
    found = []
    for path in sorted(figures.iterdir()) if figures.exists() else ():
        mine = [name for name in (sweep, *others) if path.stem == name or path.stem.startswith(f"{name}_")]
        if path.suffix == ".csv" and NAME.fullmatch(path.name) and mine and max(mine, key=len) == sweep:
            found.append(with_picture(read_table(path)))
    return found


def claims(figures: Path, store: Store) -> tuple[list[dict] | None, list[str]]:
    """Return the rows of claims.csv, None if there are none to trust, and what is wrong with it. Raises StoreError."""
    file = figures / "claims.csv"
    if not file.exists():
        return None, []
    drawn = read_table(file, dtype=str, keep_default_na=False)
    if drawn.problem:
        return None, [drawn.problem]
    rows, again = drawn.table.to_dict("records"), "decide the claims again: python -m scripts.claims"
    try:
        now = digest(map(run_id, listed_of(drawn.sweep, store)))
    except StoreError as error:
        return rows, [f"{file}: {error}; or {again}"]
    wrong = []
    if now != drawn.digest:
        wrong.append(f"{file}: decided from other runs ({drawn.digest}) than the sweeps' ({now}); {again}")
    needed = {name for row in rows for name in tally.sweeps(row["runs"])}
    left_out = needed & set(store.sweeps()) - set(drawn.sweep.split(", "))
    if left_out:
        wrong.append(f"{file}: decided before there were runs of {', '.join(sorted(left_out))}; {again}")
    return rows, wrong


def sweeps(store: Store, figures: Path) -> Iterator[Sweep]:
    """Return every sweep that a script draws, with what this store and this folder hold of it. Raises StoreError."""
    drawing = scripts()
    for name, experiment, title in drawing:
        if name in store.sweeps():
            yield _found(store, Sweep(name, experiment, title), tables(figures, name, [other for other, *_ in drawing]))
        else:
            yield Sweep(name, experiment, title)


def own(store: Store, figures: Path) -> list[Sweep]:
    """Return the sweeps of one's own: those with a name and no file, with what ``scripts.plot`` drew of each."""
    found = []
    for name in [name for name in store.sweeps() if name not in listed() and NAME.fullmatch(name)]:
        table = figures / marks.PLOTS / f"{name}.csv"
        drawn = [with_picture(read_table(table))] if table.exists() else []
        found.append(_found(store, Sweep(name, "", name, script=f"plot sweep={name}"), drawn))
    return found


def _found(store: Store, sweep: Sweep, drawn: list[Drawn]) -> Sweep:
    """Return the sweep with its intact runs and files, and a line for each other one."""
    try:
        folders, corrupt = store.listed(sweep.name), []
    except StoreError as error:
        folders, corrupt = [], [str(error)]
    runs = []
    for folder in folders:
        found = store.checked(folder)
        if isinstance(found, SavedRun):
            runs.append(found)
        else:
            corrupt += found
    return replace(
        sweep,
        ids=[*map(run_id, folders)],
        runs=runs,
        corrupt=corrupt,
        drawn=[file for file in drawn if not file.problem],
        changed=[file.problem for file in drawn if file.problem],
    )
