"""The content of a store of saved runs: its runs, and the lists of its named sweeps.

A run is a folder ``<root>/<experiment>/<label>-<id>``; ``<root>/sweeps/<name>@<hash of the runs>.json`` lists the runs
of a named sweep.
"""

import json
import os
import re
from pathlib import Path

from adaloss.runs import files
from adaloss.runs.files import printable, reason
from adaloss.runs.saved import MOST, SavedRun, StoreError, checked, read_config, read_summary

RESERVED = ("checkpoints", "sweeps")  # folders next to those of the experiments
NAME = re.compile(r"-[0-9a-f]{12}\Z")  # of a run's folder; all others belong to somebody


class Reader:
    """The runs below one folder, to read."""

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def folders(self) -> list[str]:
        """Return all runs, corrupt or not, in alphabetical order. Raises StoreError if there is no store."""
        try:
            experiments = [
                entry
                for entry in self.root.iterdir()
                if entry.name not in RESERVED and not entry.name.startswith(".") and entry.is_dir()
            ]
            return sorted(
                f"{experiment.name}/{entry.name}"
                for experiment in experiments
                if files.within(self.root, experiment)
                for entry in os.scandir(experiment)
                if NAME.search(entry.name)
                and entry.is_dir()
                and (not entry.is_symlink() or files.within(self.root, Path(entry.path)))
            )
        except OSError as error:
            raise StoreError(
                f"{printable(self.root)}: no runs there ({reason(error)}); make some or name their folder"
            ) from error

    def load(self, folder: str) -> SavedRun:
        """Read one run. Raises StoreError if it is missing or corrupt (the history is checked when it is read)."""
        path = self.root / folder
        try:
            if not files.within(self.root, path / "summary.json"):
                raise ValueError("leads outside of the store")
            summary = read_summary(path)
            return SavedRun(path, read_config(path, summary), summary)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{printable(path)}: run missing or unreadable; delete it and run the sweep again"
            ) from error

    def checked(self, folder: str) -> SavedRun | list[str]:
        """Return one run of which every byte is as it was saved, or a line for each problem."""
        path = self.root / folder
        if not files.within(self.root, path / "summary.json"):
            return [f"{printable(path)}: leads outside of the store; delete it and run the sweep again"]
        return checked(path)

    def sweeps(self) -> list[str]:
        """Return the names of the sweeps that are listed."""
        return sorted(self._lists())

    def listed(self, name: str) -> list[str]:
        """Return the folders of a named sweep's runs, in its order.

        Raises StoreError if the sweep is missing, and where lists of two stores that were merged differ.
        """
        first, *others = self.every_list(name)
        if any(set(other) != set(first) for other in others):
            names = ", ".join(printable(file.name) for file in self._lists()[name])
            raise StoreError(
                f"{self.root}/sweeps: {names} list other runs as {name}; remove all but one, or run the sweep again"
            )
        return first

    def every_list(self, name: str) -> list[list[str]]:
        """Return what each list of a named sweep has: one, or more if stores were merged. Raises StoreError."""
        found = self._lists().get(name)
        if not found:
            raise StoreError(f"{self.root}: the sweep {name!r} has not been finished; run it with sweep={name}")
        return [_folders(file, name) for file in found]

    def _lists(self) -> dict[str, list[Path]]:
        """Return the files of each sweep's lists. Before there were hashes in their names, each sweep had one."""
        found: dict[str, list[Path]] = {}
        for file in sorted((self.root / "sweeps").glob("[!.]*.json")):
            found.setdefault(file.stem.partition("@")[0], []).append(file)
        return found

    def load_sweep(self, name: str) -> list[SavedRun]:
        """Return the runs of a named sweep, in its order. Raises StoreError if the sweep or a run is missing."""
        return [self.load(folder) for folder in self.listed(name)]


def _folders(file: Path, sweep: str) -> list[str]:
    """Return the folders of runs in a sweep's list. Raises StoreError."""
    try:
        runs = json.loads(files.read(file, MOST))["runs"]
        if not all(isinstance(run, str) and re.fullmatch(r"(?!\.)[^/\0]+/(?!\.)[^/\0]+", run) for run in runs):
            raise ValueError("no folders of runs")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{printable(file)}: not a list of a sweep's runs; run it with sweep={sweep}") from error
    return list(runs)
