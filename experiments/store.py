"""What a saved run looks like: its identity, how it is written whole or not at all, and how it is read.

A run is one cell (experiment, resolved configuration, seed) and lives in
``<root>/<experiment>/<label>-<id>/``, where ``id`` hashes the configuration, the code and the data behind it::

    config.yaml       the resolved configuration of this one cell
    history.parquet   what was recorded, one row per recorded iteration
    summary.json      status, results, checksum of the history, time, memory, commit, versions, machine

The folder is written under a temporary name and renamed, so a folder with a summary is complete whatever was killed.
``<root>/sweeps/<name>.json`` lists the runs of a named sweep: what a figure is drawn from.

Needs pandas only, so that scripts can read runs without torch or Hydra.
"""

import hashlib
import io
import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml

COMPLETE = ("completed", "diverged")
PACKAGES = ("numpy", "scipy", "torch", "pandas", "matplotlib", "scikit-learn")
TEMPORARY = ".tmp-"


class StoreError(Exception):
    """A store that cannot be read or written; the message is one line and names the remedy."""


@dataclass(frozen=True)
class Run:
    """The identity of one run: everything that its numbers depend on.

    ``config`` is the resolved configuration of the one cell, without output paths; ``code`` and ``data`` are hashes.
    ``checkpoint`` is no part of it: the file where a run that is being made may keep how far it has come
    (``experiments.checkpoint``); the store removes it when the run is saved.
    """

    experiment: str
    label: str
    config: Mapping
    code: str
    data: str
    checkpoint: Path | None = None

    @cached_property
    def id(self) -> str:
        """12 hexadecimal digits of the SHA-256 of configuration, code and data."""
        content = {"experiment": self.experiment, "config": self.config, "code": self.code, "data": self.data}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Path below the store's root."""
        return f"{self.experiment}/{self.label}-{self.id}"


@dataclass(frozen=True)
class SavedRun:
    """A run as read back: ``config`` and ``summary`` are dictionaries, ``history`` is read when asked for."""

    path: Path
    config: dict
    summary: dict

    @property
    def id(self) -> str:
        """The hash at the end of the folder's name."""
        return self.path.name.rpartition("-")[2]

    @property
    def history(self) -> pd.DataFrame:
        """The recorded iterations. Raises StoreError where the file is not what was saved."""
        file = self.path / "history.parquet"
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != self.summary["history_sha256"]:
            raise StoreError(f"{file}: missing or not as it was saved; delete {self.path} and run the sweep again")
        return pd.read_parquet(io.BytesIO(content), use_threads=False)


class Store:
    """The runs below one folder."""

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def prepare(self) -> None:
        """Make the root, show that it can be written, and remove what killed processes of this host left behind.

        Raises StoreError where the folder cannot be made or written.
        """
        missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self._temporary()
            try:
                (probe / "probe").write_bytes(b"x")
            finally:
                shutil.rmtree(probe)
        except OSError as error:
            for folder in missing[-1:]:
                shutil.rmtree(folder, ignore_errors=True)
            raise StoreError(
                f"runs={self.root}: cannot be written ({_reason(error)}); free it or choose another folder"
            ) from error
        for left in self.root.glob(f"{TEMPORARY}{socket.gethostname()}-*"):
            if not _alive(int(left.name.split("-")[-2])):
                shutil.rmtree(left, ignore_errors=True)

    def has(self, run: Run) -> bool:
        """Whether the run is there, complete and unharmed."""
        path = self.root / run.folder
        try:
            summary = json.loads((path / "summary.json").read_text())
            content = (path / "history.parquet").read_bytes()
            intact = hashlib.sha256(content).hexdigest() == summary["history_sha256"]
            return intact and summary["status"] in COMPLETE and summary["id"] == run.id
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def opened(self, run: Run) -> Run:
        """The run with the file for its checkpoint."""
        return replace(run, checkpoint=self.root / "checkpoints" / f"{run.experiment}-{run.id}.pt")

    def save(self, run: Run, status: str, history: pd.DataFrame, result: Mapping, wall_time_s: float) -> None:
        """Write the run under a temporary name and rename it; a complete one that is there already stays.

        Raises StoreError (full disk, no permission); nothing half-written remains.
        """
        target = self.root / run.folder
        temporary = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._temporary()
            (temporary / "config.yaml").write_text(yaml.safe_dump(dict(run.config), sort_keys=False))
            history.to_parquet(temporary / "history.parquet", index=False, compression="zstd")
            summary = {
                "id": run.id,
                "experiment": run.experiment,
                "status": status,
                "result": dict(result),
                "history_sha256": hashlib.sha256((temporary / "history.parquet").read_bytes()).hexdigest(),
                "code": run.code,
                "data": run.data,
                "wall_time_s": round(wall_time_s, 6),
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                **provenance(),
            }
            (temporary / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
            if target.exists() and not self.has(run):
                target.rename(temporary / "replaced")
            try:
                temporary.rename(target)
            except OSError:
                if not self.has(run):  # else another process was faster with the same numbers
                    raise
            shutil.rmtree(target / "replaced", ignore_errors=True)
            if run.checkpoint is not None and status in COMPLETE:
                run.checkpoint.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{target}: not saved ({_reason(error)}); complete runs are untouched: "
                "mend the folder and give the same command again"
            ) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    def save_failure(self, run: Run, error: str) -> None:
        """Leave word of a run that broke: status failed, which the next call repeats."""
        self.save(run, "failed", pd.DataFrame(), {"error": error}, 0.0)

    def load(self, folder: str) -> SavedRun:
        """Read one run. Raises StoreError where it is missing or harmed."""
        path = self.root / folder
        try:
            config = yaml.load((path / "config.yaml").read_text(), Loader=yaml.CSafeLoader)
            return SavedRun(path, config, json.loads((path / "summary.json").read_text()))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise StoreError(f"{path}: run missing or unreadable; delete it and run the sweep again") from error

    def save_sweep(self, name: str, runs: Iterable[Run]) -> None:
        """List the runs of a sweep under its name. Raises StoreError where the list cannot be written."""
        text = json.dumps({"sweep": name, "runs": [run.folder for run in runs]}, indent=1) + "\n"
        target = self.root / "sweeps" / f"{name}.json"
        temporary = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text)
            temporary.replace(target)
        except OSError as error:
            raise StoreError(
                f"{target}: the sweep is not listed ({_reason(error)}); its runs are saved: "
                "mend the folder and give the same command again"
            ) from error

    def load_sweep(self, name: str) -> list[SavedRun]:
        """The runs of a named sweep, in its order. Raises StoreError where the sweep or a run is missing."""
        file = self.root / "sweeps" / f"{name}.json"
        try:
            folders = json.loads(file.read_text())["runs"]
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{file}: the sweep {name!r} has not been finished; run it with sweep={name}") from error
        return [self.load(folder) for folder in folders]

    def _temporary(self) -> Path:
        path = self.root / f"{TEMPORARY}{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path.mkdir()
        return path


def _reason(error: OSError) -> str:
    """The system's word for the error: pyarrow puts paragraphs into strerror."""
    return os.strerror(error.errno) if error.errno else str(error)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@cache
def provenance() -> dict:
    """What made a run or a figure: commit ("unknown" outside a checkout), versions and machine."""
    git = subprocess.run(
        ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    return {
        "commit": git.stdout.strip() or "unknown",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": f"{sys.platform} {platform.machine()}, {os.cpu_count()} cores",
    }
