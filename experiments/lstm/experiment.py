"""Text classification by an LSTM (paper, Section 5, Figures 2 and 4).

python -m experiments.lstm method=adamloss b0=400 seed=0
python -m experiments.lstm b0=[0.1,400] seed=[0,1,2] pooling=last           six runs, one after the other
python -m experiments.lstm sweep=figure_2                                   the sweep behind Figure 2
python -m experiments.lstm data=news data.path=...                          real articles: docs/paper_scale.md
"""

from collections.abc import Iterator
from functools import cached_property, partial
from itertools import product
from typing import Annotated, Any, Literal

import torch
from torch.nn import functional

from experiments import distributed
from experiments.data import module as data_module
from experiments.data.articles import CLASSES, Corpus
from experiments.data.images import Rows
from experiments.methods import ADAM_FAMILY
from experiments.models.lstm import LSTMClassifier
from experiments.optimizers import make
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Positive, PositiveList, Progress, SeedList, nested
from experiments.runs.store import Run
from experiments.training import EVALUATED, Trainer

NAME = "lstm"
DATA = ("synthetic_news", "bbc_news", "news")


class Lstm(Experiment):
    """One job: all combinations of ``b0`` and ``seed`` for one method and one data set.

    All methods and b0 share what a seed draws. The fields are explained in configs/experiment/lstm.yaml.
    """

    method: Annotated[Any, nested("method", ADAM_FAMILY.get, tuple(ADAM_FAMILY))]
    data: Annotated[Any, nested("data", lambda name: data_module(name).Config, DATA)]
    embedding: Count
    hidden: Count
    pooling: Literal["mean", "last"]
    b0: PositiveList
    seed: SeedList
    eta: Positive
    epochs: Count
    batch: Count

    @cached_property
    def _corpus(self) -> Corpus:
        return data_module(self.data.name).load(self.data)

    def runs(self) -> list[Run]:
        """Return one run per (b0, seed). Where files lie is no part of them; what is in the files is."""
        common = self.model_dump(exclude={"data": {"path"}})
        code = code_hash(__name__, data_module(self.data.name).__name__)
        return [
            Run(
                experiment=NAME,
                label=f"{self.method.name}_{self.data.name}_{self.pooling}_b0={b0:g}_seed={seed}",
                config=common | {"b0": b0, "seed": seed},
                code=code,
                data=self._corpus.checksum,
            )
            for b0, seed in product(self.b0, self.seed)
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Train one model after the other."""
        torch.set_num_threads(1)
        # A great step saturates the gates; with subnormal gradients a step then takes seven times as long.
        torch.set_flush_denormal(True)
        try:
            for run in runs:
                yield self._train(run, progress)
        finally:
            torch.set_flush_denormal(False)

    def trainer(self, b0: float, seed: int) -> "LstmTrainer":
        """Make a new model; torch's own generator is untouched."""
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LSTMClassifier(
                words=self._corpus.words,
                embedding=self.embedding,
                hidden=self.hidden,
                pooling=self.pooling,
                classes=len(CLASSES),
            )
        model.to(distributed.device())
        optimizer = make(self.method, model.parameters(), eta=self.eta, b0=b0, fused=True)
        return LstmTrainer(model, optimizer, self._corpus, generator)

    def _train(self, run: Run, progress: Progress) -> Outcome:
        b0, seed = run.config["b0"], run.config["seed"]
        trainer = self.trainer(b0, seed)
        bar = partial(progress, desc=f"{self.method.name} b0={b0:g} seed={seed}", unit="step")
        finite, history = trainer.train(self.epochs, self.batch, Checkpoint(run), bar)
        last = history.iloc[-1]
        results = {
            "train_loss": float(last["train_loss"]) if finite else None,
            "test_accuracy": float(last["test_accuracy"]) if finite else None,
            "bag_of_words_accuracy": self._corpus.bag_of_words_accuracy,
            "articles": dict(self._corpus.articles),
            "words": self._corpus.words,
            "device": next(trainer.model.parameters()).device.type,
        }
        return Outcome(run, history, results, finite)


class LstmTrainer(Trainer):
    """A trainer on articles, all of them on the model's device."""

    def __init__(
        self, model: LSTMClassifier, optimizer: torch.optim.Optimizer, corpus: Corpus, generator: torch.Generator
    ):
        super().__init__(model, optimizer, generator, len(corpus.train[1]))
        self.articles, self.validation, self.test = (
            tuple(array.to(distributed.device()) for array in rows)
            for rows in (corpus.train, corpus.validation, corpus.test)
        )

    def loss(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return the mean cross entropy of the articles ``chosen``."""
        ids, labels = (array[chosen.to(array.device)] for array in self.articles)
        return functional.cross_entropy(self.model(ids), labels)

    def evaluates(self, epoch: int, epochs: int) -> bool:
        """Evaluate after 1, 2, 4, 8, ... epochs and the last: an evaluation costs half as much as an epoch."""
        return epoch == epochs or epoch.bit_count() == 1

    def evaluate(self, mean_loss: float) -> tuple[float, float, float]:
        """Return the loss on all training articles and both accuracies, all after the step."""
        train_loss, _ = self.measure(self.articles)
        return train_loss, self.measure(self.validation)[1], self.measure(self.test)[1]

    @torch.no_grad()
    def measure(self, rows: Rows) -> tuple[float, float]:
        """Return the mean loss and the share of articles that are classified correctly."""
        loss = right = 0.0
        for ids, labels in zip(*(array.split(EVALUATED) for array in rows), strict=True):
            out = self.model(ids)
            loss += functional.cross_entropy(out, labels, reduction="sum").item()
            right += (out.argmax(dim=1) == labels).sum().item()
        return loss / len(rows[1]), right / len(rows[1])


EXPERIMENT = Lstm
