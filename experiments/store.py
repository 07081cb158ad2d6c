"""What a saved run looks like: its identity, how it is written whole or not at all, and how it is read.

A run is one cell (experiment, resolved configuration, seed) and lives in
``<root>/<experiment>/<label>-<id>/``, where ``id`` hashes the configuration, the code and the data behind it::

    config.yaml       the resolved configuration of this one cell
    history.parquet   what was recorded, one row per recorded iteration
    summary.json      status, results, time, memory, commit, versions, machine, checksums of both others and of itself

The folder is written under a temporary name and renamed, so a folder with a summary is complete whatever was killed;
``verify`` says whether every byte of it still is what was saved.
``<root>/sweeps/<name>.json`` lists the runs of a named sweep: what a figure is drawn from.

Needs pandas only, so that scripts can read runs without torch or Hydra.
"""

import glob
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
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml

COMPLETE = ("completed", "diverged")
RESERVED = ("checkpoints", "sweeps")  # folders beside those of the experiments
PACKAGES = ("numpy", "scipy", "numba", "torch", "pandas", "matplotlib", "scikit-learn")
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
        return run_id(self.path)

    @property
    def history(self) -> pd.DataFrame:
        """The recorded iterations. Raises StoreError where the file is not what was saved."""
        file = self.path / "history.parquet"
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        if _sha256(content) != self.summary["history_sha256"]:
            raise StoreError(f"{file}: missing or not as it was saved; delete {self.path} and run the sweep again")
        return pd.read_parquet(io.BytesIO(content), use_threads=False)


def run_id(folder: str | Path) -> str:
    """The id in the name of a run's folder."""
    return Path(folder).name.rpartition("-")[2]


def verify(path: Path) -> list[str]:
    """What is wrong with the run in a folder: a line for each problem, with the remedy; [] where it is as it was saved.

    Every byte of the three files counts, and the id must be the hash of configuration, code and data.
    """
    again = f"delete {path} and run the sweep again"
    if not path.is_dir():
        return [f"{path}: run missing; run the sweep again"]
    try:
        summary = _read_summary(path)
    except (OSError, ValueError):
        return [f"{path / 'summary.json'}: missing or not as it was saved; {again}"]
    found, content = [], {}
    for name, checksum in (("config.yaml", "config_sha256"), ("history.parquet", "history_sha256")):
        try:
            content[name] = (path / name).read_bytes()
        except OSError:
            content[name] = b""
        if _sha256(content[name]) != summary[checksum]:
            found.append(f"{path / name}: missing or not as it was saved; {again}")
    if found:
        return found
    if summary["status"] not in COMPLETE:
        return [f"{path}: {summary['status']}, no result; run the sweep again"]
    config = yaml.load(content["config.yaml"], Loader=yaml.CSafeLoader)
    made = Run(summary["experiment"], "", config, summary["code"], summary["data"]).id
    if {made} != {summary["id"], run_id(path)} or path.parent.name != summary["experiment"]:
        return [f"{path}: the run in this folder is {summary['experiment']}/...-{made}; {again}"]
    return []


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
            for folder in missing:  # made just now, the innermost first; one that is not empty is somebody's
                with suppress(OSError):
                    folder.rmdir()
            raise StoreError(
                f"runs={self.root}: cannot be written ({_reason(error)}); free it or choose another folder"
            ) from error
        for left in self.root.glob(f"{TEMPORARY}{socket.gethostname()}-*"):
            if not _alive(int(left.name.split("-")[-2])):
                shutil.rmtree(left, ignore_errors=True)
        for left in self.root.glob("checkpoints/?*-????????????.*"):  # of a process killed just after it saved the run
            experiment, _, identity = left.stem.rpartition("-")
            if any(map(_complete, (self.root / experiment).glob(f"*-{glob.escape(identity)}/summary.json"))):
                left.unlink(missing_ok=True)

    def has(self, run: Run) -> bool:
        """Whether the run is there, complete and unharmed."""
        return not verify(self.root / run.folder)

    def folders(self) -> list[str]:
        """All runs that are there, harmed or not, in alphabetical order. Raises StoreError where there is no store."""
        try:
            experiments = [entry for entry in self.root.iterdir() if entry.is_dir() and entry.name not in RESERVED]
            return sorted(
                f"{experiment.name}/{entry.name}"
                for experiment in experiments
                if not experiment.name.startswith(".")
                for entry in os.scandir(experiment)
                if entry.is_dir()
            )
        except OSError as error:
            raise StoreError(
                f"{self.root}: no runs there ({_reason(error)}); make some or name their folder"
            ) from error

    def delete(self, folder: str) -> None:
        """Remove a run; killed in between, it is gone or whole. Raises StoreError where that is not possible."""
        try:
            temporary = self._temporary()
            try:
                (self.root / folder).rename(temporary / "deleted")
            finally:
                shutil.rmtree(temporary)
        except OSError as error:
            raise StoreError(f"{self.root / folder}: not deleted ({_reason(error)})") from error

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
            config = yaml.dump(dict(run.config), Dumper=yaml.CSafeDumper, sort_keys=False).encode()
            (temporary / "config.yaml").write_bytes(config)
            history.to_parquet(temporary / "history.parquet", index=False, compression="zstd")
            summary = {
                "id": run.id,
                "experiment": run.experiment,
                "status": status,
                "result": dict(result),
                "config_sha256": _sha256(config),
                "history_sha256": _sha256((temporary / "history.parquet").read_bytes()),
                "code": run.code,
                "data": run.data,
                "wall_time_s": round(wall_time_s, 6),
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                **provenance(),
            }
            (temporary / "summary.json").write_bytes(_sealed(summary))
            if target.exists() and not self.has(run):
                target.rename(temporary / "replaced")
            try:
                temporary.rename(target)
            except OSError:
                if not self.has(run):  # else another process was faster with the same numbers
                    raise
            shutil.rmtree(target / "replaced", ignore_errors=True)
            if run.checkpoint is not None and status in COMPLETE:
                for file in (run.checkpoint, unfinished(run.checkpoint)):
                    file.unlink(missing_ok=True)
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
        """Read one run. Raises StoreError where it is missing or harmed (the history is looked at when it is read)."""
        path = self.root / folder
        try:
            summary = _read_summary(path)
            config = (path / "config.yaml").read_bytes()
            if _sha256(config) != summary["config_sha256"]:
                raise ValueError("config.yaml is not what was saved")
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: run missing or unreadable; delete it and run the sweep again") from error
        return SavedRun(path, yaml.load(config, Loader=yaml.CSafeLoader), summary)

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

    def sweeps(self) -> list[str]:
        """The names of the sweeps that are listed."""
        return sorted(file.stem for file in (self.root / "sweeps").glob("*.json"))

    def listed(self, name: str) -> list[str]:
        """The folders of a named sweep's runs, in its order. Raises StoreError where the sweep is missing."""
        file = self.root / "sweeps" / f"{name}.json"
        try:
            return json.loads(file.read_text())["runs"]
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{file}: the sweep {name!r} has not been finished; run it with sweep={name}") from error

    def load_sweep(self, name: str) -> list[SavedRun]:
        """The runs of a named sweep, in its order. Raises StoreError where the sweep or a run is missing."""
        return [self.load(folder) for folder in self.listed(name)]

    def _temporary(self) -> Path:
        path = self.root / f"{TEMPORARY}{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path.mkdir()
        return path


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sealed(summary: Mapping) -> bytes:
    """The content of summary.json: its last field is the checksum of all others."""
    seal = {"summary_sha256": _sha256(json.dumps(summary).encode())}
    return json.dumps({**summary, **seal}, indent=1).encode() + b"\n"


def _read_summary(path: Path) -> dict:
    """summary.json of the run in ``path``. Raises ValueError where a byte is not what was saved, OSError."""
    content = (path / "summary.json").read_bytes()
    summary = json.loads(content)
    if not isinstance(summary, dict) or _sealed({k: summary[k] for k in summary if k != "summary_sha256"}) != content:
        raise ValueError("not what was saved")
    return summary


def _reason(error: OSError) -> str:
    """The system's word for the error: pyarrow puts paragraphs into strerror."""
    return os.strerror(error.errno) if error.errno else str(error)


def unfinished(checkpoint: Path) -> Path:
    """The name of a checkpoint while it is being written: one for each run, so that kills leave no heap of them."""
    return checkpoint.with_suffix(".tmp")


def _complete(summary: Path) -> bool:
    try:
        return json.loads(summary.read_text())["status"] in COMPLETE
    except (OSError, ValueError, KeyError, TypeError):
        return False


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
