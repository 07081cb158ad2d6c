"""A picture of any saved runs: medians, and the middle half, over all that is not on an axis (the seeds).

python -m scripts.plot sweep=mine
python -m scripts.plot experiment=linear_regression data.d=50 --x b0 --y loss --at 1000 --hue method --facet data.name
python -m scripts.plot experiment=linear_regression --list

The filters are those of ``python -m experiments.runs``. ``--y`` is a recorded quantity or a result, ``--x`` a recorded
quantity or a field of the configuration; over a field, a recorded quantity is taken at its last iteration, or the last
up to ``--at``. A run of a sweep's list that is missing, failed or corrupt is refused; a note counts those that other
filters leave out. Runs that differ in anything else than the axes, the hue, the facet and the seed are refused: their
median would mean nothing. A value that is no finite number counts as infinite, and is drawn at the edge.
"""

import argparse
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from adaloss.runs.filters import ArgumentError, chosen, table
from adaloss.runs.frame import ABOUT, Runs, frame
from experiments.methods import METHODS
from experiments.runs.registry import NAME
from experiments.runs.store import COMPLETE, Store
from experiments.runs.terminal import RefusalError, filled, parser, run_main, store_of
from scripts.shared.marks import PLOTS
from scripts.shared.output import STYLE, Output

FIRST = ("loss", "train_loss", "episode_return")  # what is drawn if --y does not say
DECADE = 30  # greatest over least value from which an axis is logarithmic
MANY = 50  # points of a curve from which none is marked
MOST = 12  # values that --list names, and curves or panels of a picture
READABLE = ("experiment", "label", "id", "status", "sweep")  # what is known of a corrupt run
LETTERS = 11  # of a title or a legend, on an inch


@dataclass(frozen=True)
class Chosen:
    """The runs, what they recorded (with their fields), the fields, and the values of those by which they differ."""

    runs: Runs
    histories: pd.DataFrame
    fields: list[str]
    varying: dict[str, list]

    @property
    def recorded(self) -> list[str]:
        """The numbers of the histories, the first of which counts iterations, epochs or frames."""
        return [name for name in self.histories.select_dtypes("number") if name not in self.fields]

    @property
    def results(self) -> list[str]:
        """The numbers of the results."""
        return [name for name in self.runs.select_dtypes("number") if name.startswith("result.")]


@dataclass(frozen=True)
class Axes:
    """Which quantity is drawn over which, and by which fields."""

    x: str
    y: str
    hue: str | None
    facet: str | None
    at: float | None

    @property
    def fields(self) -> list[str]:
        """The fields that tell curves apart."""
        return [name for name in (self.facet, self.hue) if name]


def choose(store: Store, filters: list[str]) -> Chosen:
    """Return what the filters choose of the runs that have numbers. Raises ArgumentError, RefusalError, StoreError."""
    there = table(store, store.folders())
    _check_lists(store, there, filters)
    found = chosen(there, filters)
    rows = [row for row in found if row["status"] in COMPLETE]
    _tell(there, found, filters)
    if not rows:
        raise RefusalError(
            f"{' '.join(filters)}: no run in {store.root}; python -m experiments.runs lists what there is"
        )
    runs = frame(store, rows)
    names = [name for name in runs.columns if name not in {*ABOUT} - {"experiment"} and not name.startswith("result.")]
    runs[names] = runs[names].map(_one)
    fields = [name for name in names if not name.endswith(".name")]
    if runs.astype(str).duplicated(["experiment", *fields]).any():
        raise RefusalError(
            "some runs have one configuration and other code or data: choose by sweep=..., or by commit=..."
        )
    varying = {name: _values(runs[name]) for name in fields if _varies(runs, name)}
    recorded = runs.history("experiment").drop(columns=fields, errors="ignore")
    return Chosen(runs, runs[["id", "status", *fields]].merge(recorded, on="id"), fields, varying)


def _check_lists(store: Store, there: list[dict], filters: list[str]) -> None:
    """Check that all runs of the sweeps that the filters name have numbers. Raises RefusalError, StoreError."""
    complete = {f"{row['experiment']}/{row['label']}-{row['id']}" for row in there if row["status"] in COMPLETE}
    for name in _asked(filters):
        for folder in store.listed(name):
            if folder not in complete and isinstance(problems := store.checked(folder), list):
                raise RefusalError(problems[0])


def _asked(filters: list[str]) -> list[str]:
    """Return the names of the sweeps that the filters choose."""
    return [name for word in filters if (one := re.match("sweep==?(.*)", word)) for name in one[1].split(",")]


def _tell(there: list[dict], found: list[dict], filters: list[str]) -> None:
    """Print how many runs are left out: the failed ones, and the corrupt ones that may be meant."""
    failed = sum(row["status"] == "failed" for row in found)
    words = [word for word in filters if re.split("[<>!=]", word)[0] in READABLE]
    corrupt = len(chosen([row for row in there if row["status"] == "corrupt"], words))
    counts = [f"{count} {which}" for count, which in ((failed, "failed"), (corrupt, "corrupt")) if count]
    if counts:
        print(f"note: runs left out: {' and '.join(counts)}; python -m experiments.runs verify names them")


def _values(column: pd.Series) -> list:
    """Return the values of a field, None last if it is null in a run or missing."""
    return [*sorted({*column.dropna()}, key=_order), *([None] if column.isna().any() else [])]


def _varies(runs: Runs, name: str) -> bool:
    """Return whether a field takes several values; one inside of a group, whether it does for one choice of that."""
    group = name.rpartition(".")[0]
    parts = [part for _, part in runs.groupby(group, dropna=False)] if group in runs else [runs]
    return any(len({*map(repr, part[name])}) > 1 for part in parts)


def _one(value: object) -> object:
    """Return a list as the text that a filter takes, all else as it is."""
    return json.dumps(value) if isinstance(value, list) else value


def _order(value: object) -> tuple:
    return isinstance(value, str), value


def axes_of(found: Chosen, args: argparse.Namespace) -> Axes:
    """Return what to draw, with defaults for what was not said. Raises RefusalError."""
    numbers, varying, clock = [*found.recorded, *found.results], found.varying, found.recorded[:1]
    usual = [*FIRST, *(name for name in numbers if name not in clock)]
    y = _named("--y", args.y, numbers, next((name for name in usual if name in numbers), None))
    over = [name for name in varying if name != "seed" and all(map(_is_number, varying[name]))]
    usual = ["b0", *over, *clock]
    if None in varying.get(args.x, ()):
        raise RefusalError(f"--x {args.x}: null or missing in some of these runs; choose the others by {args.x}!=null")
    x = _named("--x", args.x, [*found.recorded, *over], next((n for n in usual if n in [*over, *clock]), None))
    if x in found.recorded and y not in found.recorded:
        raise RefusalError(f"--y {y}: one number a run; --x should be a field, {', '.join(over) or 'but none varies'}")
    if args.at is not None and (x in found.recorded or y not in found.recorded):
        why = f"--x {x} draws all that was recorded" if x in found.recorded else f"--y {y} is one number a run"
        raise RefusalError(f"--at {args.at:g}: {why}; it is for a recorded quantity over a field")
    left = [name for name in varying if name not in (x, "seed")]
    others = [name for name in left if name != _field(args.facet)]
    hue = _named("--hue", _field(args.hue), found.fields, next((n for n in ("method", *others) if n in others), None))
    left = [name for name in left if name != hue]
    facet = _named("--facet", _field(args.facet), found.fields, next(iter(left), None))
    if left := [name for name in left if name != facet]:
        values = ", ".join(map(_shown, varying[left[0]][:MOST]))
        raise RefusalError(f"the runs differ in {', '.join(left)}: choose one, as {left[0]}=... of {values}")
    said = [name for name in (x, y, hue, facet) if name]
    if twice := [name for name in said if said.count(name) > 1]:
        raise RefusalError(f"{twice[0]}: twice among --x, --y, --hue and --facet; it has one place in a picture")
    return Axes(x, y, hue, facet, args.at)


def _field(given: str | None) -> str | None:
    """Return the field as the runs have it: a group is given by its name."""
    return given and given.removesuffix(".name")


def _named(option: str, given: str | None, names: list[str], default: str | None) -> str | None:
    """Return the name that was given, or the default. Raises RefusalError if there is no such name."""
    name = next((name for name in (given, f"result.{given}") if name in names), None) if given else default
    if name is None and (given or option in ("--x", "--y")):
        raise RefusalError(f"{option} {given or 'is missing'}: there are {', '.join(names) or 'none'}")
    return name


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def taken(found: Chosen, axes: Axes) -> pd.DataFrame:
    """Return the rows of which medians are drawn, results or what was recorded. Raises RefusalError if none is left."""
    if axes.y not in found.recorded:
        return found.runs
    # of a run that did not diverge, a number that is missing was not recorded then
    rows = found.histories[found.histories[axes.y].notna() | (found.histories.status == "diverged")]
    if axes.x in found.recorded:
        return rows
    clock = found.recorded[0]
    rows = rows if axes.at is None else rows[rows[clock] <= axes.at]
    if rows.empty:
        raise RefusalError(f"--at {axes.at:g}: the first recorded {clock} is {found.histories[clock].min():g}")
    return rows.groupby("id", sort=False).tail(1)


def drawn(rows: pd.DataFrame, axes: Axes) -> pd.DataFrame:
    """Return what is drawn: for each curve and x the median, both quartiles and how many runs, diverged ones too."""
    by = [*axes.fields, axes.x]
    rows = rows[[*dict.fromkeys([*by, axes.y])]].assign(value=lambda table: _finite(table[axes.y]))
    grouped = rows.groupby(by, sort=True, dropna=False).value
    quantile = {name: grouped.quantile(q, interpolation="nearest") for name, q in (("low", 0.25), ("high", 0.75))}
    counts = {"runs": grouped.size(), "not_finite": grouped.agg(lambda values: int(np.isinf(values).sum()))}
    middle = grouped.agg(lambda values: float(np.median(values)))
    return pd.DataFrame({axes.y: middle, **quantile, **counts}).reset_index()


def _finite(values: pd.Series) -> pd.Series:
    values = values.astype(float)
    return values.where(np.isfinite(values), np.inf)


def picture(table: pd.DataFrame, axes: Axes, title: str) -> plt.Figure:
    """Draw a panel for each value of the facet, a curve with its quartiles for each of the hue."""
    panels = [*_parts(table, axes.facet)]
    fig, grid = plt.subplots(1, len(panels), figsize=(1 + 4 * len(panels), 4), sharey=True, squeeze=False)
    width = LETTERS * int(fig.get_figwidth())
    finite = table[axes.y][np.isfinite(table[axes.y])]
    log = {"x": _logarithmic(table[axes.x]), "y": _logarithmic(finite)}
    for ax, (value, panel) in zip(grid[0], panels, strict=True):
        for k, (name, curve) in enumerate(_parts(panel, axes.hue)):
            label, color, marker = METHODS.get(name, (_literal(name), f"C{k}", "o"))
            points = {"marker": marker} if len(curve) <= MANY else {}
            ax.plot(curve[axes.x], curve[axes.y], color=color, label=label, **points)
            low, high = curve.low.replace(np.inf, np.nan), curve.high.clip(upper=finite.max())
            ax.fill_between(curve[axes.x], low, high, color=color, alpha=0.2, lw=0)
            lost = curve[np.isinf(curve[axes.y])]
            edge = ax.get_xaxis_transform()
            ax.scatter(lost[axes.x], np.ones(len(lost)), color=color, marker="^", s=25, clip_on=False, transform=edge)
        ax.update_datalim([(x, 0) for x in panel[axes.x]], updatey=False)  # of what is lost, too
        ax.set(xlabel=axes.x, title="" if value is None else f"{axes.facet} = {_literal(value)}")
        ax.set(**{f"{which}scale": "log" for which, wanted in log.items() if wanted})
    grid[0, 0].set_ylabel(axes.y.removeprefix("result."))
    if axes.hue:
        curves = {label: line for ax in grid[0] for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        columns = max(1, min(5, width // (max(map(len, curves)) + 6)))  # a line and its distances take six letters
        fig.legend(curves.values(), curves, title=axes.hue, loc="outside lower center", ncols=columns)
    lines = [line for part in title.split("\n") for line in textwrap.wrap(part, width, max_lines=3)]
    fig.suptitle(_literal("\n".join(lines)), fontsize=10)
    return fig


def _shown(value: object) -> str:
    """Return a value as a configuration has it: pandas keeps whole numbers next to a null as floats."""
    if pd.isna(value):
        return "null"
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _literal(value: object) -> str:
    """Return a value as it is, for a picture: what is between dollars would be a formula."""
    return _shown(value).replace("$", r"\$")


def _parts(table: pd.DataFrame, name: str | None) -> Iterator[tuple]:
    if name is None:
        return iter([(None, table)])
    parts = [*table.groupby(name, dropna=False)]
    if len(parts) > MOST:
        raise RefusalError(f"{name}: {len(parts)} values, more than {MOST} to tell apart; choose some by a filter")
    return iter(parts)


def _logarithmic(values: pd.Series) -> bool:
    return len(values) > 0 and values.min() > 0 and values.max() / values.min() >= DECADE


def listing(found: Chosen) -> str:
    """Return what can be drawn."""

    def shown(values: list) -> str:
        return ", ".join(map(_shown, values[:MOST])) + (", ..." if len(values) > MOST else "")

    lines = [f"{len(found.runs)} runs; by these fields they differ, for --x, --hue and --facet:"]
    lines += [f"  {name:20} {shown(values)}" for name, values in found.varying.items()]
    lines += ["recorded, for --x and --y:", f"  {', '.join(found.recorded)}"]
    return "\n".join([*lines, "results, for --y:", f"  {', '.join(found.results)}"])


def _arguments() -> argparse.Namespace:
    words = parser("Draw saved runs.", figures="figures")
    words.description, words.formatter_class = __doc__, argparse.RawDescriptionHelpFormatter
    words.add_argument("filters", nargs="*", metavar="FILTER", help="FIELD=VALUE, or != < <= > >=, quoted")
    words.add_argument("--x", help="across (default: b0 if it varies, else another such field, else the iteration)")
    words.add_argument("--y", help="up (default: the loss, else another recorded quantity or result)")
    words.add_argument("--hue", help="a curve for each value (default: the method if it varies, else another field)")
    words.add_argument("--facet", help="a panel for each value (default: what else differs)")
    words.add_argument("--at", type=float, metavar="ITERATION", help="over a field: the last record up to this one")
    words.add_argument("--name", help="of the files (default: the sweep's, or made of the axes)")
    words.add_argument("--list", action="store_true", help="say what can be drawn, and draw nothing")
    return words.parse_intermixed_args()


def main() -> None:
    """Draw what the command line says. Raises RefusalError."""
    args = _arguments()
    store = filled(store_of(args.scale, args.runs), args.scale)
    try:
        found = choose(store, args.filters)
    except ArgumentError as error:
        raise RefusalError(str(error)) from error
    if args.list:
        print(listing(found))
        return
    axes = axes_of(found, args)
    sweep = _sweep(store, found, args.filters)
    name = args.name or sweep or re.sub(r"\W+", "_", f"{axes.y}_over_{axes.x}")
    if not NAME.fullmatch(name):
        raise RefusalError(f"--name {name!r}: should be a word of letters, digits, dots, dashes and underscores")
    runs = [store.load(f"{Path(path).parent.name}/{Path(path).name}") for path in found.runs.path]
    rows, clock = taken(found, axes), found.recorded[:1]
    table, at = drawn(rows, axes), "" if axes.at is None else f", up to {clock[0]} {_shown(rows[clock[0]].max())}"
    counts = " to ".join(map(str, sorted({table.runs.min(), table.runs.max()})))
    title = f"{' '.join(args.filters)}\nmedian and middle half of {counts} runs{at}"
    with plt.style.context(STYLE, after_reset=True):  # whatever a matplotlibrc says
        output = Output((args.figures or Path("figures") / args.scale) / PLOTS, sweep, runs)
        output.save(name, picture(table, axes, title), table)
    output.write()


def _sweep(store: Store, found: Chosen, filters: list[str]) -> str:
    """Return the sweep that these runs are, if one filter names it and they are all of it."""
    names = _asked(filters)
    whole = len(names) == 1 and names[0] in store.sweeps() and len(store.listed(names[0])) == len(found.runs)
    return names[0] if whole else ""


if __name__ == "__main__":
    run_main(main)
