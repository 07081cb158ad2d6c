"""Optimizers side by side: what becomes of each on each problem, over its own initial step (docs/compare.md).

python -m experiments.compare problem=digits_mlp optimizer=adaloss step=0.1 seed=0
python -m experiments.compare problem=digits_vit optimizer=prodigy step=[1e-6,1e-4] seed=[0,1,2]    six runs, one job
python -m experiments.compare -m problem=digits_mlp,digits_vit optimizer=sgd,adam,dog
python -m experiments.compare sweep=figure_compare                          the sweep behind the comparison
"""

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from itertools import product
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from pydantic import AfterValidator, BeforeValidator, model_validator

from experiments.compare.peers import PEERS, Peer, PeerTrainer
from experiments.compare.problems import SPOILED, Task
from experiments.compare.problems import module as problem_module
from experiments.runs.identity import code_hash
from experiments.runs.schema import (
    ConfigError,
    Count,
    Experiment,
    Outcome,
    Progress,
    SeedList,
    StepList,
    Strict,
    validated,
)
from experiments.runs.store import Run

NAME = "compare"
PROBLEMS = ("digits_mlp", "digits_vit", "news_lstm", "noisy_regression", "spoiled_regression")
BATCH_STREAM = 1  # keeps the order of the rows independent of the data of the same seed
FAILED = {"loss": math.inf, "accuracy": 0.0}  # of a model without finite parameters


def _known(name: Any) -> str:
    if name not in PEERS:
        raise ValueError(f"allowed are {', '.join(PEERS)}")
    try:
        PEERS[name].installed()
    except PackageNotFoundError as error:
        raise ValueError(f"needs the package {error.name}, of the extra 'peers'") from None
    return name


def _problem(values: Any) -> Strict:
    name = values.get("name") if isinstance(values, dict) else values
    if name not in PROBLEMS:
        raise ConfigError(f"problem={name!r}: allowed are {', '.join(PROBLEMS)}")
    return validated(problem_module(name).Config, values, f"problems.{name}")


class Compare(Experiment):
    """One job: all combinations of ``step`` and ``seed`` for one optimizer on one problem.

    All optimizers share what a seed draws. The fields are explained in configs/experiment/compare.yaml.
    """

    problem: Annotated[Any, BeforeValidator(_problem)]
    optimizer: Annotated[str, AfterValidator(_known)]
    step: StepList
    seed: SeedList
    epochs: Count

    @model_validator(mode="before")
    @classmethod
    def _with_sizes(cls, values: dict) -> dict:
        """Put the sizes of the one problem that is named in its place."""
        values = dict(values)
        problems, name = values.pop("problems", {}), values.get("problem")
        known = isinstance(name, str) and isinstance(problems, dict) and isinstance(problems.get(name), dict)
        return values | {"problem": {"name": name, **problems[name]}} if known else values

    @cached_property
    def _tasks(self) -> dict[int, Task]:
        """The task of each seed."""
        return {seed: problem_module(self.problem.name).load(self.problem, seed) for seed in self.seed}

    def runs(self) -> list[Run]:
        """Return one run per (step, seed)."""
        code = code_hash(__name__, problem_module(self.problem.name).__name__)
        common = self.model_dump()
        return [
            Run(
                experiment=NAME,
                label=f"{self.optimizer}_{self.problem.name}_step={step:g}_seed={seed}",
                config=common | {"step": step, "seed": seed},
                code=code,
                data=self._tasks[seed].checksum,
            )
            for step, seed in product(self.step, self.seed)
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Train one model after the other."""
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # as experiments.lstm does: saturated gates are slow otherwise
        try:
            for run in runs:
                yield self._train(run)
        finally:
            torch.set_flush_denormal(False)

    def _train(self, run: Run) -> Outcome:
        peer, task = PEERS[self.optimizer], self._tasks[run.config["seed"]]
        rng = np.random.default_rng([run.config["seed"], BATCH_STREAM])
        history = train(task, peer, run.config["step"], rng, self.epochs, self.problem.batch)
        last = history.iloc[-1]
        finite = math.isfinite(last["loss"])
        final = None if not finite and task.metric == "loss" else float(last[task.metric])
        results = task.facts | {"metric": task.metric, "final": final, "package": peer.installed()}
        return Outcome(run, history, results, finite)


def train(task: Task, peer: Peer, step: float, rng: np.random.Generator, epochs: int, batch: int) -> pd.DataFrame:
    """Return a row per epoch: the mean loss of its minibatches, and loss (and accuracy) at its end on the test part.

    Training ends where a loss or a gradient's norm is not finite; the last row then has the values of FAILED.
    """
    model = task.model()
    n = len(task.train[1])
    steps = -(-n // batch)  # of an epoch
    trainer = peer.start(model, step, epochs * steps)
    rows = []
    for epoch in range(1, epochs + 1):
        batches = enumerate(torch.from_numpy(rng.permutation(n)).split(batch), start=(epoch - 1) * steps + 1)
        train_loss = _epoch(task, trainer, batches)
        with trainer.evaluated() as evaluated:
            measured = task.measure(evaluated)
        failed = not (math.isfinite(train_loss) and math.isfinite(measured["loss"]))
        if failed:
            measured = {name: FAILED[name] for name in measured}
        rows.append({"epoch": epoch, "train_loss": train_loss, **measured})
        if failed:
            break
    return pd.DataFrame(rows)


def _epoch(task: Task, trainer: PeerTrainer, batches: Iterable[tuple[int, torch.Tensor]]) -> float:
    """Return the mean loss of the numbered minibatches, infinite if a loss or a gradient's norm is not finite."""
    inputs, targets = task.train
    parameters = list(trainer.model.parameters())
    losses = []
    for step, chosen in batches:
        aims = targets[chosen] * SPOILED if step == task.bad_step else targets[chosen]
        loss = task.criterion(trainer.model(inputs[chosen]), aims)
        trainer.model.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, task.clip)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            return math.inf
        trainer.update(loss)
        losses.append(loss.item())
    return float(np.mean(losses))


EXPERIMENT = Compare
