"""The store of saved runs: each is written whole or not at all, and checked when it is read.

A run is one cell (experiment, resolved configuration, seed) and lives in
``<root>/<experiment>/<label>-<id>/``, where ``id`` hashes the configuration, the code and the data behind it::

    config.yaml       the resolved configuration of this one cell
    history.parquet   what was recorded, one row per recorded iteration
    summary.json      status, results, date, time, memory, commit, versions, machine, checksums of all three

The folder is written under a temporary name and renamed, so a folder with a summary is complete after any kill;
``verify`` says whether every byte of it is still what was saved.
``<root>/sweeps/<name>@<hash of the runs>.json`` lists the runs of a named sweep: what a figure is drawn from. Lists of
other runs have other names, so copying one store into another, by any tool, merges them.

Needs pandas only, so that scripts can read runs without torch or Hydra.
"""

import glob
import json
import os
import re
import resource
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import yaml

from adaloss.runs import files
from adaloss.runs.files import printable, reason
from adaloss.runs.reader import Reader
from adaloss.runs.saved import (
    COMPLETE,
    FILES,
    Dumper,
    Run,
    SavedRun,
    StoreError,
    read_summary,
    run_id,
    sealed,
    sha256,
    verify,
)
from experiments.runs.interrupt import alive
from experiments.runs.provenance import origin, provenance

__all__ = ["COMPLETE", "FILES", "Run", "SavedRun", "Store", "StoreError", "printable", "provenance", "run_id", "verify"]

TEMPORARY = ".tmp-"
SYNCED = 1.0  # seconds: a run that took less is soon made again after a power cut; many wait longer for the disk
ABANDONED = 86400.0  # seconds after which a temporary folder is removed, whichever machine made it


class Store(Reader):
    """The runs below one folder, to read and to write."""

    def prepare(self) -> None:
        """Make the root, show that it can be written, and remove what killed processes of this host left behind.

        Raises StoreError if the folder cannot be made or written.
        """
        missing = []
        try:
            missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self._temporary()
            try:
                (probe / "probe").write_bytes(b"x")
            finally:
                shutil.rmtree(probe)
            links = [path for path in self.root.iterdir() if path.is_symlink() and not files.within(self.root, path)]
        except (OSError, UnicodeError) as error:
            for folder in missing:  # made just now, the innermost first; one that is not empty belongs to somebody
                with suppress(OSError):
                    folder.rmdir()
            raise StoreError(
                f"runs={printable(self.root)}: cannot be written ({reason(error)}); free it or choose another folder"
            ) from error
        if links:
            raise StoreError(f"{links[0]}: leads outside of runs={self.root}; put a folder in its place")
        provenance()  # what saving needs is checked before any work
        self._clean()

    def _clean(self) -> None:
        """Remove what killed processes left behind."""
        for left in self.root.glob(f"{TEMPORARY}*"):
            name = re.fullmatch(r"(.+)-(\d+)-[0-9a-f]{8}", left.name.removeprefix(TEMPORARY))
            if name is None or left.is_symlink() or not left.is_dir():
                continue
            dead = name[1] == origin() and not alive(int(name[2]))
            with suppress(OSError):
                if dead or time.time() - left.stat().st_mtime > ABANDONED:
                    shutil.rmtree(left, ignore_errors=True)
        for left in self.root.glob("checkpoints/?*-????????????.*"):  # of a process killed just after it saved the run
            experiment, _, identity = left.stem.rpartition("-")
            done = (self.root / experiment).glob(f"*-{glob.escape(identity)}/summary.json")
            if left.is_file() and any(map(_complete, done)):
                left.unlink(missing_ok=True)

    def has(self, run: Run) -> bool:
        """Return whether the run is there, complete and intact, as it is for readers."""
        return isinstance(self.checked(run.folder), SavedRun)

    def delete(self, folder: str) -> None:
        """Remove a run; killed in between, it is gone or whole. Raises StoreError if that is not possible."""
        if not files.within(self.root, self.root / folder):
            raise StoreError(f"{printable(self.root / folder)}: not deleted, it leads outside of {self.root}")
        try:
            temporary = self._temporary()
            try:
                (self.root / folder).rename(temporary / "deleted")
            finally:
                shutil.rmtree(temporary)
        except OSError as error:
            raise StoreError(f"{printable(self.root / folder)}: not deleted ({reason(error)})") from error

    def opened(self, run: Run) -> Run:
        """Return the run with the file for its checkpoint."""
        return replace(run, checkpoint=self.root / "checkpoints" / f"{run.experiment}-{run.id}.pt")

    def save(self, run: Run, status: str, history: pd.DataFrame, result: Mapping, wall_time_s: float) -> None:
        """Write the run under a temporary name and rename it; a complete one that is there already stays.

        Raises StoreError (full disk, no permission); nothing half-written remains.
        """
        target = self.root / run.folder
        # with a checkpoint, this is what is left of a longer training
        synced = wall_time_s > SYNCED or (run.checkpoint is not None and run.checkpoint.exists())
        temporary = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._temporary()
            config = yaml.dump(dict(run.config), Dumper=Dumper, sort_keys=False).encode()
            table = history.to_parquet(index=False, compression="zstd")
            for name, content in (("config.yaml", config), ("history.parquet", table)):
                files.write(temporary / name, content, synced=synced)
            summary = {
                "id": run.id,
                "experiment": run.experiment,
                "status": status,
                "result": dict(result),
                "config_sha256": sha256(config),
                "history_sha256": sha256(table),
                "code": run.code,
                "data": run.data,
                "wall_time_s": round(wall_time_s, 6),
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                **provenance(),
            }
            files.write(temporary / "summary.json", sealed(summary), synced=synced)
            if synced:
                files.sync(temporary)
            if os.path.lexists(target) and not self.has(run):
                target.unlink() if target.is_symlink() else target.rename(temporary / "replaced")
            try:
                temporary.rename(target)
            except OSError:
                if not self.has(run):  # else another process was faster with the same numbers
                    raise
            if synced:
                files.sync(target.parent)
            shutil.rmtree(target / "replaced", ignore_errors=True)
            if run.checkpoint is not None and status in COMPLETE:
                for file in (run.checkpoint, unfinished(run.checkpoint)):
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{target}: not saved ({reason(error)}); complete runs are untouched: "
                "fix the folder and run the same command again"
            ) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    def save_failure(self, run: Run, error: str) -> None:
        """Record a run that broke: status failed, which the next call repeats."""
        self.save(run, "failed", pd.DataFrame(), {"error": error}, 0.0)

    def save_sweep(self, name: str, runs: Iterable[Run]) -> set[str]:
        """List the runs of a sweep under its name, in place of what was; returns the folders it no longer lists.

        What is removed was there before the new list: two processes at once never remove each other's. Raises
        StoreError if that is not possible.
        """
        folders = [run.folder for run in runs]
        text = json.dumps({"sweep": name, "runs": folders}, indent=1) + "\n"
        digest = sha256("\n".join(sorted(folders)).encode())[:12]
        target = self.root / "sweeps" / f"{name}@{digest}.json"
        gone: set[str] = set()
        with suppress(StoreError):  # it is new, or what was there cannot be read
            gone = {folder for listed in self.every_list(name) for folder in listed} - {*folders}
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            before = self._lists().get(name, [])
            files.replace(target, text.encode())
            for file in before:
                if file != target:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{target}: the sweep is not listed ({reason(error)}); its runs are saved: "
                "fix the folder and run the same command again"
            ) from error
        return gone

    def _temporary(self) -> Path:
        path = self.root / f"{TEMPORARY}{origin()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path.mkdir()
        return path


def unfinished(checkpoint: Path) -> Path:
    """Return the name of a checkpoint being written: one for each run, so that kills do not leave many files."""
    return checkpoint.with_suffix(".tmp")


def _complete(summary: Path) -> bool:
    try:
        return read_summary(summary.parent)["status"] in COMPLETE
    except (OSError, ValueError):
        return False
