"""Real and fake news as they are downloaded, in CSV files.

``path`` is a folder with True.csv and Fake.csv (title, text, subject, date), or with news.csv; or a file like news.csv
(title, text, label: real or true, fake or false; or 1 and 0). Other columns are not read: the subject alone tells the
classes apart. Files are UTF-8, with or without a byte order mark, else Latin-1; an empty cell is an empty text.
"""

import hashlib
import io
import warnings
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd

from experiments.lstm_data import CLASSES, Corpus, NewsConfig, corpus
from experiments.schema import ConfigError

LABELS = {"fake": "fake", "false": "fake", "0": "fake", "real": "true", "true": "true", "1": "true"}


class Config(NewsConfig):
    """``path`` of the folder or file."""

    name: Literal["news"]
    path: str


@cache
def load(config: Config) -> Corpus:
    """All in memory; says once what was read. Raises ConfigError where a file is not what it should be."""
    frames = read(Path(config.path))
    found = corpus(frames, config, f"data.path={config.path}")
    counts = ", ".join(f"{count} {name}" for name, count in found.articles.items())
    parts = ", ".join(f"{len(getattr(found, part)[1])} {part}" for part in ("train", "validation", "test"))
    print(f"news: {counts}; {parts}; {found.words} words")
    return found


def read(path: Path) -> dict[str, pd.DataFrame]:
    """A table with title and text for each class. Raises ConfigError."""
    files = {file.name.lower(): file for file in path.iterdir()} if path.is_dir() else {"news.csv": path}
    if {"true.csv", "fake.csv"} <= files.keys():
        return {name: _table(files[f"{name}.csv"], ("title", "text")) for name in CLASSES}
    if "news.csv" not in files:
        raise ConfigError(
            f"data.path={path}: should have True.csv and Fake.csv in it, or news.csv; docs/paper_scale.md"
        )
    table = _table(files["news.csv"], ("title", "text", "label"))
    label = table["label"].str.strip().str.lower()
    wrong = ~label.isin(list(LABELS))
    if wrong.any():
        raise ConfigError(
            f"data.path={path}: label={table['label'][wrong].iloc[0][:40]!r} in article {wrong.idxmax() + 1}: "
            f"allowed are {', '.join(LABELS)}"
        )
    return {name: table.loc[label.map(LABELS) == name, ["title", "text"]] for name in CLASSES}


def _table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"data.path={file}: cannot be read ({error.strerror}); docs/paper_scale.md says where it is"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # a row longer than the header
            table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as error:
        raise ConfigError(f"data.path={file}: not a CSV file ({' '.join(str(error).split())})") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    for name in columns:
        if name not in table.columns:
            hint = "; give the folder with True.csv and Fake.csv" if name == "label" else ""
            listed = ", ".join(str(found)[:30] for found in table.columns[:8])
            raise ConfigError(f"data.path={file}: has no column {name!r}, it has {listed}{hint}")
    if table.empty:
        raise ConfigError(f"data.path={file}: has no article")
    print(f"{file}: sha256 {hashlib.sha256(content).hexdigest()}, {len(table)} articles")
    return table[list(columns)]
