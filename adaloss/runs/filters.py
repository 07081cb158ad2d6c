"""The fields of saved runs by their names, and filters over them."""

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import ge, gt, le, lt
from typing import Any

import yaml

from adaloss.runs.reader import Reader
from adaloss.runs.saved import StoreError, run_id

COMPARE: dict[str, Callable[[Any, Any], bool]] = {"<=": le, ">=": ge, "<": lt, ">": gt}


class ArgumentError(ValueError):
    """A filter or a field that is not understood; the message is one line."""


def table(store: Reader, folders: Iterable[str]) -> list[dict[str, Any]]:
    """Return the fields of each run by name, ``sweep`` as a tuple of all that list it; b0 = 10 follows b0 = 2."""
    members: dict[str, tuple[str, ...]] = {}
    for sweep in store.sweeps():
        with suppress(StoreError):  # a list that cannot be read has no runs; ``verify`` names it
            for folder in {name for names in store.every_list(sweep) for name in names}:
                members[folder] = (*members.get(folder, ()), sweep)
    rows = [fields(store, folder) | {"sweep": members.get(folder, ())} for folder in folders]
    return sorted(rows, key=lambda row: (row["experiment"], _natural(row["label"])))


def _natural(label: str) -> list[str | float]:
    """Return words and numbers in turn, to sort by."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", label)
    return [float(part) if k % 2 else part for k, part in enumerate(parts)]


def fields(store: Reader, folder: str) -> dict[str, Any]:
    """Return all fields of a run by name: those of summary and configuration, and the columns of the table."""
    experiment, _, name = folder.partition("/")
    columns = {"experiment": experiment, "label": name.rpartition("-")[0], "id": run_id(folder)}
    try:
        run = store.load(folder)
        run.recorded()
    except StoreError:
        return columns | {"status": "corrupt"}
    columns |= {"seconds": run.summary["wall_time_s"], "MB": run.summary["peak_memory_mb"]}
    made = {name: value for name, value in run.summary.items() if name != "data"}  # the configuration's is the group
    return flat(run.config) | flat(made) | columns


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """Return the values with dots in place of nesting; a group's name is its ``name``."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= {f"{prefix}{key}": value["name"]} if "name" in value else {}
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def known(rows: list[dict], name: str, word: str) -> str:
    """Return a field's name. Raises ArgumentError if there are runs and none has it."""
    names = sorted({name for row in rows for name in row})
    if rows and name not in names:
        raise ArgumentError(f"{word}: no such field; there are {', '.join(names)}")
    return name


def chosen(rows: list[dict], filters: Iterable[str]) -> list[dict]:
    """Return the runs for which all filters hold. Raises ArgumentError."""
    everything = rows
    for word in filters:
        parts = re.fullmatch(r"([\w.-]+)(<=|>=|!=|==?|<|>)(.*)", word)
        if parts is None:
            raise ArgumentError(f"{word}: not understood; a filter is FIELD=VALUE, or != < <= > >= in place of =")
        name, sign, text = parts.groups()
        known(everything, name, word)
        rows = [row for row in rows if name in row and _holds(name, row[name], sign, text, word)]
    return rows


def _holds(name: str, value: Any, sign: str, text: str, word: str) -> bool:
    """Return whether a filter holds: with = and != for any of the values that commas separate."""
    if sign in ("=", "==", "!="):
        return any(_is(name, value, one) for one in [text, *text.split(",")]) == (sign != "!=")
    wanted = _value(text)
    for side in (wanted, value):
        if side is not None and not isinstance(side, int | float):
            raise ArgumentError(f"{word}: {side!r} is not a number; {sign} compares numbers")
    return None not in (value, wanted) and COMPARE[sign](value, wanted)


def _is(name: str, value: Any, text: str) -> bool:
    if name in ("id", "commit"):
        start = text.removesuffix("-dirty")  # which is of another length than what the table shows of a commit
        return bool(text) and value.startswith(start) and value.endswith(text[len(start) :])
    if isinstance(value, tuple):  # the sweeps of a run
        return text in value
    given = _value(text)  # True is not 1; str: True and None as they are shown
    alike = isinstance(value, bool) == isinstance(given, bool) and not isinstance(value, str) and value == given
    return text == str(value) or alike


def _value(text: str) -> Any:
    """Return what a text means in JSON, as a number (.5), or as on Hydra's command line (True, [loss,step])."""
    for read in (json.loads, float, yaml.safe_load) if text else ():
        with suppress(ValueError, RecursionError, yaml.YAMLError):
            return read(text)
    return text
