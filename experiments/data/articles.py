"""Articles of two classes as rows of word numbers: what every data set of the LSTM's experiment hands over.

A **word** is a run of letters and digits, with apostrophes inside, in lower case: "Don't panic - 2 died." is don't,
panic, 2, died. An article's words are those of its title, then those of its text, the first ``length`` of them. Words
are numbered by how often they occur in the training articles (equals by the alphabet) from 2; number 0 pads an article
to ``length``, number 1 is every word that is not among the ``vocabulary`` most frequent.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from experiments.data.images import Rows, balanced_split
from experiments.runs.schema import ConfigError, Count, Seed, Strict

PADDING, UNKNOWN, FIRST = 0, 1, 2
CLASSES = ("fake", "true")  # labels 0 and 1
TEST_STREAM, VALIDATION_STREAM = 0, 1
INVERSE_PENALTIES = (0.01, 0.1, 1.0, 10.0)  # C of the logistic regression
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
Share = Annotated[float, Field(gt=0, lt=1)]


class NewsConfig(Strict):
    """``validation`` and ``test`` are shares of each class; ``split`` is the seed that deals the articles.

    The parts are the same for every seed of the training.
    """

    vocabulary: Count
    length: Count
    validation: Share
    test: Share
    split: Seed

    @model_validator(mode="after")
    def _some_to_train(self) -> "NewsConfig":
        if self.validation + self.test >= 1:
            raise ValueError(f"data.test={self.test}: with data.validation={self.validation} it should be less than 1")
        return self


@dataclass(frozen=True)
class Corpus:
    """Three parts, each word numbers (n, length) and labels (n,); ``words`` is one more than the largest number.

    ``articles`` counts what was read: of each class, and what was left out.
    """

    train: Rows
    validation: Rows
    test: Rows
    words: int
    articles: Mapping[str, int]
    checksum: str

    @cached_property
    def bag_of_words_accuracy(self) -> float:
        """The test accuracy of a logistic regression on how often each number occurs: all that is lost is the order.

        Its penalty is the one with the best validation accuracy.
        """
        parts = [(_counts(ids.numpy(), self.words), y.numpy()) for ids, y in (self.train, self.validation, self.test)]
        models = [LogisticRegression(C=c, max_iter=1000).fit(*parts[0]) for c in INVERSE_PENALTIES]
        best = max(models, key=lambda model: model.score(*parts[1]))
        return float(best.score(*parts[2]))


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order."""
    return WORD.findall(text.lower())


def corpus(frames: Mapping[str, pd.DataFrame], config: NewsConfig, source: str) -> Corpus:
    """Return the articles of ``frames``, a table with ``title`` and ``text`` for each of two classes by name.

    Labels go by the alphabet. Articles without a word, and those whose words have occurred before, are left out: a copy
    in the test part would be known from training. Raises ConfigError, a line that starts with ``source``, where too few
    are left.
    """
    articles, labels, seen = [], [], set()
    counts = dict.fromkeys((*sorted(frames), "empty", "copies"), 0)
    for label, name in enumerate(sorted(frames)):
        for title, text in zip(frames[name]["title"], frames[name]["text"], strict=True):
            words = words_of(f"{title} {text}")
            key = hashlib.sha256(" ".join(words).encode()).digest()
            if not words or key in seen:
                counts["copies" if words else "empty"] += 1
                continue
            seen.add(key)
            counts[name] += 1
            articles.append(words[: config.length])
            labels.append(label)
    if not articles:
        raise ConfigError(f"{source}: no article has a word")
    y = np.array(labels, dtype=np.int64)
    rows = _dealt(y, config)
    for part, chosen in rows.items():
        if len(np.unique(y[chosen])) < len(frames):  # a class is empty
            of_class = ", ".join(f"{counts[name]} {name}" for name in sorted(frames))
            raise ConfigError(f"{source}: too few articles for a {part} part ({of_class})")
    number = vocabulary((articles[k] for k in rows["train"]), config.vocabulary)
    ids = np.full((len(articles), config.length), PADDING, dtype=np.int64)
    for row, words in zip(ids, articles, strict=True):
        row[: len(words)] = [number.get(word, UNKNOWN) for word in words]
    parts = {part: (ids[chosen], y[chosen]) for part, chosen in rows.items()}
    digest = hashlib.sha256(b"".join(array.tobytes() for part in parts.values() for array in part)).hexdigest()
    return Corpus(
        **{part: (torch.from_numpy(x), torch.from_numpy(y)) for part, (x, y) in parts.items()},
        words=FIRST + len(number),
        articles=counts,
        checksum=digest[:12],
    )


def vocabulary(articles: Iterable[list[str]], size: int) -> dict[str, int]:
    """Return the numbers of the ``size`` most frequent words."""
    counts = Counter(word for words in articles for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: number for number, word in enumerate(ranked[:size], start=FIRST)}


def _dealt(y: np.ndarray, config: NewsConfig) -> dict[str, np.ndarray]:
    rest, test = balanced_split(y, config.test, np.random.default_rng([config.split, TEST_STREAM]))
    if not len(rest):
        raise ConfigError(f"data.test={config.test}: leaves no article to train on")
    share = config.validation / (1 - config.test)
    train, validation = balanced_split(y[rest], share, np.random.default_rng([config.split, VALIDATION_STREAM]))
    return {"train": rest[train], "validation": rest[validation], "test": test}


def _counts(ids: np.ndarray, words: int) -> csr_array:
    """Count how often each number occurs in each row, without padding: (n, ``words``)."""
    row, place = np.nonzero(ids != PADDING)
    column = ids[row, place].astype(np.int32)  # scikit-learn asks for it
    found = csr_array((np.ones(len(row)), (row.astype(np.int32), column)), shape=(len(ids), words))
    found.sum_duplicates()
    return found
