"""The fields of saved runs by their names, and filters over them."""

import json
import re
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from experiments.runs.store import Store, StoreError, run_id

COMPARE: dict[str, Callable[[Any, Any], bool]] = {"<=": le, ">=": ge, "!=": ne, "=": eq, "<": lt, ">": gt}


class ArgumentError(Exception):
    """A word of the command line that is not understood; the message is one line."""


def fields(store: Store, folder: str) -> dict[str, Any]:
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


def chosen(rows: list[dict], filters: list[str]) -> list[dict]:
    """Return the runs for which all filters hold. Raises ArgumentError."""
    known = sorted({name for row in rows for name in row})
    for word in filters:
        parts = re.fullmatch(r"([\w.]+)(<=|>=|!=|=|<|>)(.*)", word)
        if parts is None:
            raise ArgumentError(f"{word}: not understood; a filter is FIELD=VALUE, or != < <= > >= in place of =")
        name, sign, text = parts.groups()
        if rows and name not in known:
            raise ArgumentError(f"{word}: no such field; there are {', '.join(known)}")
        rows = [row for row in rows if name in row and _holds(row[name], sign, text, word)]
    return rows


def _holds(value: Any, sign: str, text: str, word: str) -> bool:
    compare = COMPARE[sign]
    if sign in ("=", "!=") and isinstance(value, str):
        return compare(value, text)
    try:
        wanted = json.loads(text)
    except ValueError:
        wanted = text
    if sign in ("=", "!="):
        return compare(value, wanted)
    for side in (wanted, value):
        if side is not None and not isinstance(side, int | float):
            raise ArgumentError(f"{word}: {side!r} is not a number; {sign} compares numbers")
    return None not in (value, wanted) and compare(value, wanted)
