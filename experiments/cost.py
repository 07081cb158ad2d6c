"""The cost of a step: AdaLoss, AdaGrad-Norm and the constant step, and the gradient that all of them need.

    python -m experiments.cost                                                  a ViT-S/16 with 100 classes
    python -m experiments.cost sweep=cost                                       the sweep behind the claims about cost

One run is one machine's answer, in one process and thread: in each of ``turns`` turns everything is timed once, in a
new order, the optimizers over ``steps`` steps. The history has a row per turn and part: ``seconds`` of one
optimizer step, or of ``gradient``, one forward and backward pass over ``batch`` random images. Times are results, not
part of a run's identity: a complete run is not timed again.
"""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from pydantic import model_validator
from torch.nn import functional

from experiments.methods import AdaGradNorm, AdaGradNormRowwise, AdaLoss, SGDConstant
from experiments.models.vit import Architecture
from experiments.optimizers import make, take
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Progress, Seed, Strict, nested
from experiments.runs.store import Run

NAME = "cost"
CHANNELS = 3
STEP = {"eta": 1e-6, "b0": 1.0}  # so small that the parameters stay where they are over thousands of steps
TIMED: tuple[Strict, ...] = (
    SGDConstant(name="sgd_constant"),
    AdaLoss(name="adaloss", alpha=1.0, c=0.0, c_unit="absolute"),
    AdaGradNorm(name="adagrad_norm"),
    AdaGradNormRowwise(name="adagrad_norm_rowwise"),
)


class Cost(Experiment):
    """One job: one run. The fields are explained in configs/experiment/cost.yaml."""

    model: Annotated[Any, nested("model", Architecture)]
    size: Count
    classes: Count
    batch: Count
    steps: Count
    turns: Count
    seed: Seed

    @model_validator(mode="after")
    def _fits_together(self) -> "Cost":
        self.model.check(self.size)
        return self

    def runs(self) -> list[Run]:
        """Return the one run."""
        return [
            Run(
                experiment=NAME,
                label=f"vit_width={self.model.width}_depth={self.model.depth}_size={self.size}_seed={self.seed}",
                config=self.model_dump(),
                code=code_hash(f"experiments.{NAME}"),
                data="generated",
            )
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Time everything; the first turn, which allocates, is not counted."""
        torch.set_num_threads(1)
        [run] = runs
        rng = np.random.default_rng(self.seed)
        parts, parameters, tensors = self._parts()
        rows = []
        for turn in progress(range(self.turns + 1), desc=NAME):
            for name in rng.permutation(list(parts)):
                once, times = parts[name]
                start = time.perf_counter()
                for _ in range(times):
                    once()
                rows.append({"turn": turn, "part": name, "seconds": (time.perf_counter() - start) / times})
        history = pd.DataFrame(rows)
        facts = {"parameters": parameters, "tensors": tensors}
        yield Outcome(run, history[history.turn > 0].reset_index(drop=True), facts)

    def _parts(self) -> tuple[dict[str, tuple[Callable[[], object], int]], int, int]:
        """Return what is timed and how often in a turn; how many parameters in how many tensors."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = self.model.network(size=self.size, channels=CHANNELS, classes=self.classes)
            images = torch.randn(self.batch, CHANNELS, self.size, self.size)
            labels = torch.randint(self.classes, (self.batch,))
        params = list(model.parameters())

        def gradient() -> torch.Tensor:
            model.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            return loss

        loss = gradient().detach()
        parts = {"gradient": (gradient, 1)}
        for method in TIMED:
            optimizer = make(method, params, **STEP)
            parts[method.name] = (lambda optimizer=optimizer: take(optimizer, loss), self.steps)
        return parts, sum(p.numel() for p in params), len(params)


EXPERIMENT = Cost

if __name__ == "__main__":
    app.main(NAME)
