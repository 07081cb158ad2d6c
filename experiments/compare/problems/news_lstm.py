"""Generated news, whose classes differ in the order of the words, by an LSTM over its mean state, cross entropy."""

from typing import Annotated, Literal

from pydantic import Field
from torch.nn import functional

from experiments.compare.problems import Task
from experiments.data import synthetic_news
from experiments.data.articles import CLASSES
from experiments.models.lstm import LSTMClassifier
from experiments.runs.schema import Count, Strict

ORDERED, VALIDATION, TEST = 0.95, 0.1, 0.4  # as in Figure 2; nothing is chosen by the validation part


class Config(Strict):
    """``articles`` of ``length`` words from a ``vocabulary``; ``embedding`` and ``hidden`` are widths."""

    name: Literal["news_lstm"]
    articles: Annotated[int, Field(ge=20)]
    vocabulary: Count
    length: Count
    embedding: Count
    hidden: Count
    batch: Count


def load(config: Config, seed: int) -> Task:
    """Load the articles; the seed draws and deals them, and draws the initial weights."""
    corpus = synthetic_news.load(
        synthetic_news.Config(
            name="synthetic_news",
            articles=config.articles,
            seed=seed,
            ordered=ORDERED,
            vocabulary=config.vocabulary,
            length=config.length,
            validation=VALIDATION,
            test=TEST,
            split=seed,
        )
    )
    return Task(
        build=lambda: LSTMClassifier(
            words=corpus.words,
            embedding=config.embedding,
            hidden=config.hidden,
            pooling="mean",
            classes=len(CLASSES),
        ),
        train=corpus.train,
        test=corpus.test,
        criterion=functional.cross_entropy,
        metric="accuracy",
        seed=seed,
        checksum=corpus.checksum,
        facts={},
    )
