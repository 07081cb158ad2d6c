"""A stage of make reproduce, and what it was made from: it is not run again while that and what it wrote are there.

Of sources, configurations and packages every byte or version counts; of runs and figures, which are many, the size and
the time of the last change. A stage is recorded when it has ended well: one that failed or was stopped has no record.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from adaloss.runs import files
from experiments.runs.identity import ROOT, file_of, reached
from experiments.runs.store import FILES, Store, StoreError

SHARED = ("adaloss", "configs", "experiments", "hydra_plugins")  # what every stage may read
SCRIPTS = "scripts"
ABOUT = (".json", ".log")  # of the stages themselves, in the folder of the figures


class Stage(NamedTuple):
    """A stage: its name, the words after ``python -m``, the sweep whose runs it makes or reads (None: of all).

    One that ``shows`` figures reads all that was written before it, and what is published.
    """

    name: str
    words: list[str]
    sweep: str | None = None
    shows: bool = False

    @property
    def draws(self) -> bool:
        """Return whether it writes into the folder of figures: one at a time, so that what is new there is its own."""
        return self.words[0].partition(".")[0] == SCRIPTS


class Records:
    """Remember how the stages were made that draw a store's runs into a folder of figures."""

    def __init__(self, figures: Path, published: Path, store: Store):
        self.figures, self.published, self.store = figures, published, store
        self.file = figures / ".stages.json"
        # as they are before the first stage begins
        self.sources = _sources()
        self.packages = [sys.version, *sorted(f"{one.name} {one.version}" for one in distributions())]
        self.known: dict[str, dict] = {}
        self._runs: dict[str, str] = {}  # the state of each sweep's, until a stage begins or ends
        with suppress(OSError, ValueError, AttributeError, TypeError):  # not there, not whole, of another version
            read = json.loads(self.file.read_bytes())
            self.known = {name: found for name, found in read.items() if {*found} == {"made", "wrote", "said"}}

    def said(self, stage: Stage) -> str | None:
        """Return the last line of a stage that is complete, None for one that is to be run."""
        found = self.known.get(stage.name)
        return found["said"] if found and found["made"] == self._made(stage, found["wrote"]) else None

    def begin(self, stage: Stage) -> dict[str, str]:
        """Forget a stage that is about to run; returns the files that are there."""
        self._runs.clear()
        self.known.pop(stage.name, None)
        self._save()
        return self._writable(stage)

    def end(self, stage: Stage, before: dict[str, str], said: str) -> None:
        """Record a stage that has ended well, after ``begin``."""
        self._runs.clear()
        wrote = sorted(name for name, state in self._writable(stage).items() if before.get(name) != state)
        self.known[stage.name] = {"made": self._made(stage, wrote), "wrote": wrote, "said": said}
        self._save()

    def _writable(self, stage: Stage) -> dict[str, str]:
        """Return the states of the files that a stage may write."""
        return _states(_drawn(self.figures)) if stage.draws else {}

    def _save(self) -> None:
        files.replace(self.file, json.dumps(self.known, indent=1).encode())

    def _made(self, stage: Stage, wrote: list[str]) -> str:
        """Return a hash of all that a stage depends on and of what it wrote."""
        words = [word for word in stage.words if not word.startswith("hydra")]  # how many at once changes nothing
        runs = {name: self._of_sweep(name) for name in ([stage.sweep] if stage.sweep else self.store.sweeps())}
        shown = [*_drawn(self.figures), *_drawn(self.published)] if stage.shows else wrote
        parts = [words, self.packages, self._code(stage), runs, _states(shown)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _code(self, stage: Stage) -> dict[str, str]:
        """Return the hashes of the files that a stage may read: of the scripts, what a figure's imports, or all."""
        modules = reached((stage.words[0],), (SCRIPTS,))
        imported = {file_of(module).relative_to(ROOT) for module in modules}
        about_all = stage.sweep is None
        chosen = [path for path in self.sources if path.parts[0] != SCRIPTS or about_all or path in imported]
        return {str(path): self.sources[path] for path in chosen}

    def _of_sweep(self, name: str) -> str:
        """Return a hash of the state of a sweep's runs."""
        if name not in self._runs:
            folders: list[str] = []
            with suppress(StoreError):  # not made yet
                folders = self.store.listed(name)
            state = _states(f"{self.store.root}/{folder}/{part}" for folder in folders for part in FILES)
            self._runs[name] = hashlib.sha256(json.dumps(state).encode()).hexdigest()
        return self._runs[name]


def _states(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return size and time of the last change of each file that is there."""
    found = {}
    for path in paths:
        with suppress(OSError):
            about = Path(path).stat()
            found[str(path)] = f"{about.st_size} {about.st_mtime_ns}"
    return found


def _drawn(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("[!.]*") if file.suffix not in ABOUT and file.is_file())


def _sources() -> dict[Path, str]:
    """Return the hash of each file that a stage may read, by its path in the project."""
    found = (file for folder in (*SHARED, SCRIPTS) for file in (ROOT / folder).rglob("*") if file.is_file())
    chosen = sorted(file for file in found if "__pycache__" not in file.parts)  # of Python and numba
    return {file.relative_to(ROOT): hashlib.sha256(file.read_bytes()).hexdigest() for file in chosen}
