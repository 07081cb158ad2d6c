"""Real and fake news as they are downloaded, in CSV files.

``path`` is a folder with True.csv and Fake.csv (title, text, subject, date), or with news.csv; or a file like news.csv
(title, text, label: real or true, fake or false; or 1 and 0). Other columns are not read: the subject alone tells the
classes apart. Files are UTF-8, with or without a byte order mark, else Latin-1, unless most of what is not ASCII is
UTF-8: such a file is damaged. An empty cell is an empty text. Sizes are limited, well above those of the usual files,
so that no file can take all time or memory.
"""

import csv
import hashlib
import io
import re
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd

from adaloss.runs import files
from experiments.data.articles import CLASSES, Corpus, NewsConfig, corpus
from experiments.runs.schema import ConfigError

LABELS = {"fake": "fake", "false": "fake", "0": "fake", "real": "true", "true": "true", "1": "true"}
MOST_BYTES, MOST_COLUMNS, MOST_ARTICLES = 2**29, 50, 10**6


class Config(NewsConfig):
    """``path`` of the folder or file."""

    name: Literal["news"]
    path: str


@cache
def load(config: Config) -> Corpus:
    """Load all into memory; say once what was read. Raises ConfigError if a file is not what it should be."""
    frames = read(Path(config.path))
    found = corpus(frames, config, f"data.path={config.path}")
    counts = ", ".join(f"{count} {name}" for name, count in found.articles.items())
    parts = ", ".join(f"{len(getattr(found, part)[1])} {part}" for part in ("train", "validation", "test"))
    print(f"news: {counts}; {parts}; {found.words} words")
    return found


def read(path: Path) -> dict[str, pd.DataFrame]:
    """Return a table with title and text for each class. Raises ConfigError."""
    found = _listed(path)
    if {"true.csv", "fake.csv"} <= found.keys():
        return {name: _table(found[f"{name}.csv"], ("title", "text")) for name in CLASSES}
    if "news.csv" not in found:
        raise ConfigError(
            f"data.path={path}: should have True.csv and Fake.csv in it, or news.csv; docs/paper_scale.md"
        )
    table = _table(found["news.csv"], ("title", "text", "label"))
    label = table["label"].str.strip().str.lower()
    wrong = ~label.isin(list(LABELS))
    if wrong.any():
        raise ConfigError(
            f"data.path={path}: label={table['label'][wrong].iloc[0][:40]!r} in article {wrong.idxmax() + 1}: "
            f"allowed are {', '.join(LABELS)}"
        )
    return {name: table.loc[label.map(LABELS) == name, ["title", "text"]] for name in CLASSES}


def _listed(path: Path) -> dict[str, Path]:
    """Return the files of a folder by their names in lower case; a file counts as news.csv."""
    try:
        return {file.name.lower(): file for file in sorted(path.iterdir())} if path.is_dir() else {"news.csv": path}
    except OSError as error:
        raise _unreadable(path, error) from error


def _table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the ``columns`` of a file, each text. Raises ConfigError."""
    try:
        content = files.read(file, MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        raise _unreadable(file, error) from error
    try:
        cells = _cells(decoded(content))
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"data.path={file}: not a CSV file ({files.one_line(error)})") from error
    names = [name.strip().lower() for name in cells.iloc[0]]
    for name in columns:
        if name not in names:
            hint = "; give the folder with True.csv and Fake.csv" if name == "label" else ""
            listed = ", ".join(map(_shown, names[:8]))
            raise ConfigError(f"data.path={file}: has no column {name!r}, it has {listed}{hint}")
        if names.count(name) > 1:
            raise ConfigError(f"data.path={file}: has {names.count(name)} columns {name!r}, should have one")
    table = cells.iloc[1:, [names.index(name) for name in columns]].reset_index(drop=True)
    table.columns = list(columns)
    if table.empty:
        raise ConfigError(f"data.path={file}: has no article")
    if len(table) > MOST_ARTICLES:
        raise ConfigError(f"data.path={file}: has more than {MOST_ARTICLES} articles")
    print(f"{file}: sha256 {hashlib.sha256(content).hexdigest()}, {len(table)} articles")
    return table


def decoded(content: bytes) -> str:
    """Decode a text. Raises ValueError if it is not one, or UTF-8 with damage."""
    if b"\0" in content:
        raise ValueError("it has a byte 0")
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        text = content.decode(errors="surrogateescape")
        stray, beyond = (len(re.findall(letters, text)) for letters in (r"[\udc80-\udcff]", r"[^\x00-\x7f]"))
        if 2 * stray <= beyond:  # Latin-1 hardly ever has bytes that look like UTF-8
            raise ValueError(f"its byte {error.start} is not UTF-8, most others are") from error
        return content.decode("latin-1")


def _cells(text: str) -> pd.DataFrame:
    """Return all cells, the header's too, at most one row above the limit. Raises ValueError or csv.Error."""
    rows = csv.reader(io.StringIO(text, newline=None))
    header = next((row for row in rows if len(row) > 1 or "".join(row).strip()), [])
    if len(header) > MOST_COLUMNS:  # pandas would take minutes
        raise ValueError(f"its header has {len(header)} columns, at most {MOST_COLUMNS} are allowed")
    return pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False, nrows=MOST_ARTICLES + 2)


def _shown(name: str) -> str:
    """Return a column's name, at most 30 characters of it, all visible."""
    return "".join(letter if letter.isprintable() else " " for letter in name[:30]) or "(no name)"


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigError:
    reason = getattr(error, "strerror", None) or error
    return ConfigError(f"data.path={path}: cannot be read ({reason}); docs/paper_scale.md says where it is")
