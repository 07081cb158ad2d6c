"""The sweeps of configs/sweep: what each file says of itself, in the order in which they are made and shown.

python -m experiments.runs.registry paper               experiment:sweep of each that make reproduce makes and draws
python -m experiments.runs.registry figure_bounds       of one

A file has ``sweep: {name: ..., experiment: ..., part: ...}``. The part is ``paper`` (runs and a figure), ``facts``
(runs that only the claims need) or ``compare`` (what ``make compare`` makes and draws). A sweep without a part is made
by hand.
"""

import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "configs/sweep"
FIELDS = ("name", "experiment", "part")
PARTS = ("paper", "facts", "compare")
NAME = re.compile(r"\w[\w.-]{0,99}")  # of a sweep, which becomes a file's: neither a path nor an option


class SweepError(Exception):
    """A file of configs/sweep without a valid ``sweep:``; the message is one line."""


@dataclass(frozen=True)
class Listed:
    """A sweep with a file: its name, the experiment that makes it, and its part."""

    name: str
    experiment: str | None
    part: str | None


@cache
def listed() -> dict[str, Listed]:
    """Return all sweeps by name: the paper's figures by number, its tables, then ours. Raises SweepError."""
    found = [_read(file) for file in FOLDER.glob("[!.]*.yaml")]
    found.sort(key=lambda one: (not re.match(r"figure_\d", one.name), not one.name.startswith("table"), one.name))
    return {one.name: one for one in found}


def maker(name: str) -> str:
    """Return the experiment that makes a sweep. Raises SweepError if no file says which."""
    if name not in listed() or listed()[name].experiment is None:
        raise SweepError(f"{FOLDER / name}.yaml: sweep.experiment: missing, names the experiment that makes the sweep")
    return listed()[name].experiment


def check_maker(name: str, experiment: str) -> None:
    """Raise SweepError if another experiment makes the sweep."""
    sweep = listed().get(name)
    if sweep and sweep.experiment not in (None, experiment):
        raise SweepError(f"sweep={name}: is made by experiments.{sweep.experiment}")


def _read(file: Path, *starting: Path) -> Listed:
    """Return what the file says of its sweep; those in ``starting`` start from it. Raises SweepError."""
    try:
        content = file.read_text(encoding="utf-8")
        values = yaml.load(content, Loader=yaml.CSafeLoader) or {}
        said, [first, *_] = values.get("sweep"), values.get("defaults") or [None]
        mode = (values.get("hydra") or {}).get("mode")
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise SweepError(f"{file}: not a configuration of a sweep ({' '.join(str(error).split())})") from error
    if not re.match(r"(\s*#.*\n)*?# *@package +_global_ *\n", content):
        raise SweepError(f"{file}: the line '# @package _global_' is missing at its top")
    if not isinstance(said, dict) or said.get("name") != file.stem:
        raise SweepError(f"{file}: sweep={said!r}: should be {{name: {file.stem}, experiment: ..., part: ...}}")
    base = FOLDER / f"{first}.yaml" if isinstance(first, str) else file
    if base in starting:
        raise SweepError(f"{file}: starts from {base.stem}, which starts from it")
    starts = _read(base, file, *starting) if base != file and base.is_file() else None  # the sweep that it starts from
    if starts is None and mode != "MULTIRUN":
        raise SweepError(f"{file}: hydra.mode={mode}: should be MULTIRUN, or only one of its jobs would be made")
    experiment, part = said.get("experiment") or (starts and starts.experiment), said.get("part")
    if part is not None and (part not in PARTS or experiment is None):
        raise SweepError(f"{file}: sweep.part={part}: allowed are {', '.join(PARTS)}, of a sweep with its experiment")
    return Listed(file.stem, experiment, part)


def main(words: list[str]) -> None:
    """Print experiment:sweep for each part or name. Raises SweepError if there is none."""
    for word in words:
        chosen = [one for one in listed().values() if word in (one.name, one.part) and one.experiment]
        if not chosen:
            raise SweepError(f"{word}: neither a part ({', '.join(PARTS)}) nor a sweep of {FOLDER}")
        print(*(f"{one.experiment}:{one.name}" for one in chosen), sep="\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SweepError as error:
        sys.exit(f"error: {error}")
