"""A saved run: its identity, the three files it consists of, and how they are read and checked.

What is read may come from elsewhere, or be corrupt: the result is the run that was saved, or one line.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml
from pyarrow import BufferReader
from pyarrow.parquet import ParquetFile

from adaloss.runs import files

COMPLETE = ("completed", "diverged")
FILES = ("config.yaml", "history.parquet", "summary.json")  # of a run's folder
MOST = 10_000_000  # bytes of a configuration, a summary or a sweep's list
DEPTH = 40  # of a configuration
SUMMARY = {  # what a summary has, and of which kind
    "id": str, "experiment": str, "status": str, "result": dict, "config_sha256": str, "history_sha256": str,
    "code": str, "data": str, "wall_time_s": (int, float), "peak_memory_mb": int, "commit": str, "versions": dict,
    "machine": str,
}  # fmt: skip


class StoreError(Exception):
    """A store that cannot be read or written; the message is one line and names the remedy."""


@dataclass(frozen=True)
class Run:
    """The identity of one run: everything that its numbers depend on.

    ``config`` is the resolved configuration of the one cell, without output paths; ``code`` and ``data`` are hashes.
    ``checkpoint`` is no part of it: the file from which a killed run resumes (``experiments.runs.checkpoint``);
    the store removes it when the run is saved.
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
    """A run as read back: ``config`` and ``summary`` are dictionaries, ``history`` is read when first asked for."""

    path: Path
    config: dict
    summary: dict

    @property
    def id(self) -> str:
        """The hash at the end of the folder's name."""
        return run_id(self.path)

    def recorded(self) -> bytes:
        """Return the content of history.parquet. Raises StoreError if it is not what was saved."""
        file = self.path / "history.parquet"
        content = _content(file)
        if sha256(content) != self.summary["history_sha256"]:
            again = f"delete {files.printable(self.path)} and run the sweep again"
            raise StoreError(f"{files.printable(file)}: missing or not as it was saved; {again}")
        return content

    @cached_property
    def history(self) -> pd.DataFrame:
        """The recorded iterations, read once: not to be changed in place.

        Raises StoreError if the file is not what was saved.
        """
        try:
            # the same as pandas.read_parquet in a third of its time: there are thousands of small files
            return ParquetFile(BufferReader(self.recorded())).read(use_threads=False).to_pandas(use_threads=False)
        except StoreError:
            raise
        except Exception as error:  # Arrow has errors of many kinds
            file = files.printable(self.path / "history.parquet")
            again = "delete its folder and run the sweep again"
            raise StoreError(f"{file}: not a table ({files.one_line(error)}); {again}") from error


def run_id(folder: str | Path) -> str:
    """Return the id in the name of a run's folder."""
    return Path(folder).name.rpartition("-")[2]


def verify(path: Path) -> list[str]:
    """Return a line for each problem of the run in a folder, with the remedy; [] if it is as it was saved.

    Every byte of the three files counts, and the id must be the hash of configuration, code and data.
    """
    found = checked(path)
    return [] if isinstance(found, SavedRun) else found


def checked(path: Path) -> SavedRun | list[str]:
    """Return the run in a folder if it is as it was saved, else what ``verify`` says."""
    name = files.printable(path)
    again = f"delete {name} and run the sweep again"
    if not path.is_dir():
        return [f"{name}: run missing; run the sweep again"]
    try:
        summary = read_summary(path)
    except (OSError, ValueError):
        return [f"{name}/summary.json: missing or not as it was saved; {again}"]
    config, history = _content(path / "config.yaml", MOST), _content(path / "history.parquet")
    held = (("config.yaml", config, "config_sha256"), ("history.parquet", history, "history_sha256"))
    corrupt = [file for file, content, checksum in held if sha256(content) != summary[checksum]]
    if corrupt:
        return [f"{name}/{file}: missing or not as it was saved; {again}" for file in corrupt]
    if summary["status"] not in COMPLETE:
        return [f"{name}: {summary['status']}, no result; run the sweep again"]
    try:
        values = _parsed(config)
        made = Run(summary["experiment"], "", values, summary["code"], summary["data"]).id
    except (ValueError, TypeError):
        return [f"{name}/config.yaml: no configuration; {again}"]
    if {made} != {summary["id"], run_id(path)} or path.parent.name != summary["experiment"]:
        return [f"{name}: the run in this folder is {summary['experiment']}/...-{made}; {again}"]
    return SavedRun(path, values, summary)


def sha256(content: bytes) -> str:
    """Return 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sealed(summary: Mapping) -> bytes:
    """Return the content of summary.json: its last field is the checksum of all others."""
    seal = {"summary_sha256": sha256(json.dumps(summary).encode())}
    return json.dumps({**summary, **seal}, indent=1).encode() + b"\n"


def read_summary(path: Path) -> dict:
    """Read summary.json of the run in ``path``. Raises ValueError if a byte is not what was saved, OSError."""
    content = files.read(path / "summary.json", MOST)
    try:
        summary = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(summary, dict) or sealed({k: summary[k] for k in summary if k != "summary_sha256"}) != content:
        raise ValueError("not what was saved")
    for name, kind in SUMMARY.items():
        if not isinstance(summary.get(name), kind):
            raise ValueError(f"{name} is missing or of another kind")
    return summary


def read_config(path: Path, summary: Mapping) -> dict:
    """Read config.yaml of the run in ``path``. Raises ValueError if it is not what was saved, OSError."""
    content = files.read(path / "config.yaml", MOST)
    if sha256(content) != summary["config_sha256"]:
        raise ValueError("config.yaml is not what was saved")
    return _parsed(content)


def _content(file: Path, most: int | None = None) -> bytes:
    """Return the content, b"" if it cannot be read: no saved file is empty."""
    try:
        return files.read(file, most)
    except OSError:
        return b""


def _parsed(content: bytes) -> dict:
    """Return a configuration. Raises ValueError."""
    try:
        depth = 0
        for event in yaml.parse(content, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH or isinstance(event, yaml.AliasEvent):  # an alias can expand to any amount of memory
                raise ValueError("config.yaml is nested too deep, or has aliases")
        config = yaml.load(content, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError("config.yaml is not YAML") from error
    if not isinstance(config, dict) or not all(isinstance(name, str) for name in config):
        raise ValueError("config.yaml has no fields")
    return config


class Dumper(yaml.CSafeDumper):
    """A dumper that writes every value in full, without aliases."""

    def ignore_aliases(self, data: object) -> bool:
        """Return True: write no aliases."""
        return True
