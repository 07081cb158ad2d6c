"""The saved runs: which there are, how two differ, and which may go.

python -m experiments.runs method=adaloss,adagrad_norm 'b0<1' status=diverged sweep=figure_1
python -m experiments.runs id=3f2a --columns method,b0,result.final_gap --format csv
python -m experiments.runs diff 3f2a 9c41
python -m experiments.runs delete status=failed
python -m experiments.runs delete --stale
python -m experiments.runs verify

A filter is FIELD=VALUE, or != < <= > >= in place of =; a run is chosen where all filters hold. Commas separate values
of which any will do. An id or a commit may be a beginning; ``commit=3f2a-dirty`` leaves out what unchanged files made.
A field is a column of the table, or one of the configuration or the summary, with dots for what is inside (``data.n``,
``result.final_gap``); a group is given by its name (``method=adaloss``), and ``sweep`` is every sweep that lists the
run. A run that lacks the field is not chosen. MB is the peak memory, "made" the time in UTC, and the status "corrupt"
that of a run whose files are not what was saved.
``adaloss.runs.load`` gives the same to Python.

A run is **stale** if no listed sweep has it and no run of one starts from it: what old code or settings left, and
what was run without ``sweep=``. ``verify`` reads every byte of the runs and the lists: a line for each that is not as
it was saved, and status 1 if there is any.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from adaloss.runs.filters import ArgumentError, chosen, flat, known, table
from experiments.runs.store import Store, StoreError, printable, run_id, verify
from experiments.runs.terminal import run_main, store_of

COMMANDS = ("list", "diff", "delete", "verify")
COLUMNS = ("experiment", "label", "id", "status", "made", "seconds", "MB", "commit")
FORMATS = ("table", "csv", "json")


def stale(store: Store, rows: list[dict]) -> list[dict]:
    """Return the runs that no sweep lists and no listed run names in its results (as its initial weights)."""
    listed = {folder for sweep in store.sweeps() for folder in chain(*store.every_list(sweep))}
    used = set()
    for row in rows:
        if _folder(row) in listed:
            used |= {value for name, value in row.items() if name.startswith("result.") and isinstance(value, str)}
    return [row for row in rows if _folder(row) not in listed and row.get("history_sha256") not in used]


def difference(store: Store, prefixes: list[str]) -> str:
    """Return how the runs with these beginnings of their ids differ. Raises ArgumentError, StoreError."""
    runs = []
    for prefix in prefixes:
        found = [folder for folder in store.folders() if run_id(folder).startswith(prefix)]
        if len(found) != 1:
            which = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
            raise ArgumentError(f"{prefix}: {f'{len(found)} runs ({which})' if found else 'no run'} with such an id")
        runs.append((found[0], store.load(found[0])))
    around = ("experiment", "code", "data")
    sides = [
        flat(run.config) | {("checksum of the data" if name == "data" else name): run.summary[name] for name in around}
        for _, run in runs
    ]
    rows = {name: [side.get(name, "-") for side in sides] for name in dict.fromkeys([*sides[0], *sides[1]])}
    rows = {name: values for name, values in rows.items() if values[0] != values[1] and not name.endswith(".name")}
    heading = "\n".join(f"{run.id}: {folder} ({run.summary['status']})" for folder, run in runs)
    if not rows:
        return f"{heading}\nconfiguration, code and data are the same"
    compared = pd.DataFrame.from_dict(rows, orient="index", columns=[run.id for _, run in runs], dtype=object)
    return f"{heading}\n{compared.to_string()}"


def listing(rows: list[dict], columns: Sequence[str] = COLUMNS, form: str = "table") -> str:
    """Return these columns of the runs as a table, CSV or JSON."""
    shown = [{name: _cell(name, row[name], form) for name in columns if name in row} for row in rows]
    frame = pd.DataFrame(shown, columns=list(columns), dtype=object)
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n").rstrip("\n")
    if form == "json":
        rows = json.dumps([dict.fromkeys(columns) | row for row in shown], default=str)
        return json.dumps(json.loads(rows, parse_constant=lambda _: None))  # nan and infinity, which JSON has not
    return frame.to_string(index=False, na_rep="-")


def _cell(name: str, value: Any, form: str) -> Any:
    if isinstance(value, tuple):
        return ",".join(value)
    if form == "table" and isinstance(value, str):
        return printable(value)[: 12 if name == "commit" else None]
    return value


def delete(store: Store, rows: list[dict], total: int, yes: bool) -> str:
    """Remove the runs, after a question on the terminal unless ``yes``. Raises StoreError."""
    listed = {sweep: {*chain(*store.every_list(sweep))} for sweep in store.sweeps()}
    missed = [sweep for sweep, folders in listed.items() if any(_folder(row) in folders for row in rows)]
    if not yes:
        lists = f"; the sweeps {', '.join(missed)} list some of them" if missed else ""
        print(
            f"{_plain(listing(rows))}\ndelete these {len(rows)} of {total} runs in {store.root}{lists}? [y/N] ",
            end="",
            flush=True,
        )
        answer = sys.stdin.readline() if sys.stdin else ""  # None: the command was started without one
        if answer.strip().lower() not in ("y", "yes"):
            return "nothing deleted"
    for row in tqdm(rows, disable=None, leave=False, unit="run"):
        store.delete(_folder(row))
    again = f"; to be run again: {', '.join(missed)}" if missed else ""
    return f"{len(rows)} of {total} runs deleted{again}"


def verified(store: Store, rows: list[dict]) -> str:
    """Check that all of these runs are whole. Raises StoreError with a line for each problem."""
    folders = [_folder(row) for row in rows]
    wrong = [line for folder in folders for line in verify(store.root / folder)]
    there = set(store.folders())
    for sweep in store.sweeps():
        try:
            lost = sorted(set(store.listed(sweep)) - there)
            wrong += [f"{store.root / folder}: run missing; run sweep={sweep} again" for folder in lost]
        except StoreError as error:
            wrong.append(str(error))
    if wrong:
        raise StoreError("\nerror: ".join(wrong))
    return f"{len(rows)} runs in {store.root} are as they were saved"


def _folder(row: dict) -> str:
    return f"{row['experiment']}/{row['label']}-{row['id']}"


def _plain(text: str) -> str:
    """Return the lines, without what would steer a terminal."""
    return "\n".join(map(printable, text.split("\n")))


def _arguments() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--scale", help="smoke, laptop or paper (default: laptop)")
    common.add_argument("--runs", type=Path, help="folder of the runs (default: runs/<scale>)")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[common]
    )
    commands = parser.add_subparsers(dest="command", metavar="{list,diff,delete,verify}")
    for name, about in (
        ("list", "list runs (the default)"),
        ("delete", "delete runs, after a question"),
        ("verify", "say which runs are not as they were saved"),
    ):
        of_command = commands.add_parser(name, help=about, description=about, parents=[common])
        of_command.add_argument("filters", nargs="*", metavar="FILTER", help="FIELD=VALUE, or != < <= > >=, quoted")
        of_command.add_argument("--stale", action="store_true", help="only those that no sweep lists")
        if name == "list":
            given = {"default": argparse.SUPPRESS}
            of_command.add_argument(
                "--columns", type=lambda text: text.split(","), metavar="A,B,...", help="fields to show", **given
            )
            of_command.add_argument("--format", choices=FORMATS, help="(default: table)", **given)
        if name == "delete":
            of_command.add_argument("--yes", action="store_true", help="do not ask")
    about = "how two runs differ"
    of_command = commands.add_parser("diff", help=about, description=about, parents=[common])
    of_command.add_argument("ids", nargs=2, metavar="ID", help="an id, or its beginning")
    words = sys.argv[1:]
    values = {word for option, word in pairwise(words) if option in ("--runs", "--scale", "--columns", "--format")}
    if not {*COMMANDS, "-h", "--help"} & {*words} - values:
        words = ["list", *words]
    # defaults here, since those of a command would replace what comes before it
    return parser.parse_args(words, argparse.Namespace(scale="laptop", runs=None, columns=COLUMNS, format="table"))


def _answer(args: argparse.Namespace) -> str:
    store = store_of(args.scale, args.runs)
    if args.command == "diff":
        return difference(store, args.ids)
    if args.command == "delete" and not (args.filters or args.stale):
        raise ArgumentError("delete: which? Give filters, or --stale")
    rows = table(store, tqdm(store.folders(), disable=None, leave=False, unit="run"))
    found = chosen(stale(store, rows) if args.stale else rows, args.filters)
    if args.command == "delete" and found:
        return delete(store, found, len(rows), args.yes)
    if args.command == "verify":
        return verified(store, found)
    for name in args.columns if args.columns is not COLUMNS else ():
        known(rows, name, f"--columns {name}")
    if args.format != "table":
        return listing(found, args.columns, args.format)
    count = f"{len(found)} of {len(rows)} runs in {store.root}"
    return f"{listing(found, args.columns)}\n{count}" if found else count


def main() -> None:
    """Run the command that the command line names."""
    try:
        print(_plain(_answer(_arguments())))
    except (ArgumentError, StoreError) as error:
        sys.exit(_plain(f"error: {error}"))


if __name__ == "__main__":
    run_main(main)
