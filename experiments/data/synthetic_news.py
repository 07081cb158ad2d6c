"""Generated articles in the schema of the news CSVs: two classes that differ in their words, and in the order of them.

Every article is a run of invented words, drawn by Zipf's law. Among them are

* words of a class: ``TOPICS`` words, half of them each class's; those of an article are of its own class with
  probability ``OWN``. A bag of words sees them.
* phrases: a noun and its verb, "senators confirmed" in true news and "confirmed senators" in fake news, each in its
  class's order with probability ``ordered``. A bag of words sees the two words alike in both classes.
"""

from functools import cache
from itertools import product
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from experiments.data.articles import CLASSES, Corpus, NewsConfig, corpus
from experiments.runs.schema import Seed

TEXT_STREAM = 2  # the split has streams 0 and 1
FILLERS, TOPICS = 1500, 200  # invented words
TITLE, LEAST, MOST = 5, 8, 16  # words of a title and of a text, without what follows
TOPICAL, OWN = 4, 0.7  # words of the class in a text
PHRASES = 4  # in a text
NOUNS = ("senators", "officials", "police", "doctors", "teachers", "markets", "voters", "judges")
VERBS = ("confirmed", "denied", "announced", "questioned")
SYLLABLES = [consonant + vowel for consonant, vowel in product("bdfgklmnprstvz", "aeiou")]


class Config(NewsConfig):
    """``articles``, half of each class; ``seed`` draws them; ``ordered`` is a phrase's probability to be in order."""

    name: Literal["synthetic_news"]
    articles: Annotated[int, Field(ge=20)]
    seed: Seed
    ordered: Annotated[float, Field(ge=0.5, le=1)]


@cache
def load(config: Config) -> Corpus:
    """Return what the loader of real news makes of the generated articles."""
    return corpus(frames(config.articles, config.seed, config.ordered), config, f"data.articles={config.articles}")


def frames(articles: int, seed: int, ordered: float) -> dict[str, pd.DataFrame]:
    """Return the tables that would be True.csv and Fake.csv: title, text, subject, date."""
    rng = np.random.default_rng([seed, TEXT_STREAM])
    words = np.array(["".join(parts) for parts in product(SYLLABLES, repeat=2)])
    words = rng.choice(words, FILLERS + TOPICS, replace=False)
    fillers, topics = words[:FILLERS], words[FILLERS:].reshape(len(CLASSES), -1)
    zipf = 1 / np.arange(1, FILLERS + 1)
    zipf /= zipf.sum()
    found = {}
    for label, name in enumerate(CLASSES):
        rows = []
        for _ in range(articles // 2):
            title = rng.choice(fillers, TITLE, p=zipf)
            chunks = [[word] for word in rng.choice(fillers, rng.integers(LEAST, MOST + 1), p=zipf)]
            chunks += [[rng.choice(topics[label if rng.random() < OWN else 1 - label])] for _ in range(TOPICAL)]
            for _ in range(PHRASES):
                phrase = [rng.choice(NOUNS), rng.choice(VERBS)]
                in_order = (label == CLASSES.index("true")) == (rng.random() < ordered)
                chunks.append(phrase if in_order else phrase[::-1])
            text = " ".join(word for k in rng.permutation(len(chunks)) for word in chunks[k])
            rows.append((" ".join(title).capitalize(), f"{text.capitalize()}.", "news", "January 1, 2017"))
        found[name] = pd.DataFrame(rows, columns=["title", "text", "subject", "date"])
    return found
