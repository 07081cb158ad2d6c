"""Saved runs as tidy pandas frames."""

import os
from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from adaloss.runs.filters import ArgumentError, chosen, table
from adaloss.runs.reader import Reader

ABOUT = ("id", "experiment", "label", "status", "sweep", "made", "seconds", "MB", "commit", "path")
HIDDEN = (  # what the names of fields begin with that are no column
    "versions.", "config_sha256", "history_sha256", "summary_sha256", "machine", "code", "wall_time_s", "peak",
)  # fmt: skip


class Runs(pd.DataFrame):
    """A frame with a row per run; what pandas selects from it still has ``history``."""

    @property
    def _constructor(self) -> type["Runs"]:
        return Runs

    def history(self, *names: str) -> pd.DataFrame:
        """Return what the runs recorded, one row per run and recorded iteration, under ``id`` and the fields ``names``.

        Without names: every field of the configuration that is not the same in all of these runs. A quantity that was
        recorded under the name of a field takes its place. Raises ArgumentError for a name that is no column,
        StoreError if a file is not what was saved.
        """
        if unknown := [name for name in (*names, "id", "path") if name not in self.columns]:
            raise ArgumentError(f"{unknown[0]}: no such field; there are {', '.join(map(str, self.columns))}")
        carried = list(dict.fromkeys(["id", *(names or self._varying())]))
        parts = []
        for row in self[list({*carried, "path"})].drop_duplicates("path").to_dict("records"):
            path = Path(row["path"])
            recorded = Reader(path.parents[1]).load(f"{path.parent.name}/{path.name}").history
            values = {name: row[name] for name in carried if name not in recorded}
            labels = {name: [of] * len(recorded) if isinstance(of, list) else of for name, of in values.items()}
            parts.append(pd.DataFrame(labels, index=recorded.index).join(recorded))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=carried)

    def _varying(self) -> list[Hashable]:
        described = [name for name in self.columns if name not in ABOUT and not str(name).startswith("result.")]
        return [name for name in described if len({*map(repr, self[name])}) > 1 and not str(name).endswith(".name")]


def load(store: str | os.PathLike, *filters: str) -> Runs:
    """Return the runs below a folder for which all filters hold, one row each, in the order of their labels.

    ``load("runs/laptop", "method=adaloss,adagrad_norm", "b0<1", "sweep=figure_1")``. A filter is FIELD=VALUE, or !=
    < <= > >= in place of =; commas separate values of which any will do, an ``id`` or a ``commit`` may be a beginning.
    Columns: ``id``, ``experiment``, ``label``, ``status`` (completed, diverged, failed, or corrupt if its files are not
    what was saved), ``sweep`` (all that list it, with commas), ``made`` (UTC), ``seconds``, ``MB``, ``commit`` and
    ``path``; then the configuration with dots for what is inside (``data.n``; a group's own name is its ``name``), and
    ``result.`` with what was computed.

    Raises StoreError if there is no store, ArgumentError if a filter is not understood.
    """
    reader = Reader(store)
    everything = table(reader, reader.folders())
    rows = chosen(everything, filters)
    for row in rows:
        row["sweep"] = ",".join(row["sweep"])
    return frame(reader, rows or everything).iloc[: len(rows)]  # where no run is chosen, the columns are all the same


def frame(reader: Reader, rows: list[dict]) -> Runs:
    """Return a store's rows of fields as a frame: what identifies a run, its path, its configuration, its results."""
    names = dict.fromkeys(name for row in rows for name in row)
    results = [name for name in names if name.startswith("result.")]
    described = [name for name in names if name not in (*ABOUT, *results) and not name.startswith(HIDDEN)]
    found = Runs(rows, columns=[*ABOUT, *described, *results])
    paths = [str(reader.root / row["experiment"] / f"{row['label']}-{row['id']}") for row in rows]
    found["path"] = pd.Series(paths, dtype=object)  # pandas' strings are UTF-8, and not every path is
    return found
