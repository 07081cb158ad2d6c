"""The cost of a step: AdaLoss, AdaGrad-Norm and the constant step, and the gradient that all of them need.

    python -m experiments.cost                                                  a ViT-S/16 with 100 classes
    python -m experiments.cost sweep=cost                                       the sweep behind the claims about cost

One run is one machine's answer, in one process and thread: in each of ``turns`` turns the optimizers take ``steps``
steps by turns, each time in a new order, so that what disturbs one disturbs all. The history has a row per turn and
part: ``seconds`` of the thread's CPU time for one optimizer step, or for ``gradient``, one forward and backward pass
over ``batch`` random images. Times are results, not part of a run's identity: a complete run is not timed again.
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
GRADIENT = "gradient"
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
            spent = dict.fromkeys(parts, 0.0)
            for step in range(self.steps):
                for name in rng.permutation([name for name in parts if name != GRADIENT or step == 0]):
                    start = time.thread_time()
                    parts[name]()
                    spent[name] += time.thread_time() - start
            times = {name: 1 if name == GRADIENT else self.steps for name in parts}
            rows += [{"turn": turn, "part": name, "seconds": spent[name] / times[name]} for name in parts]
        history = pd.DataFrame(rows)
        facts = {"parameters": parameters, "tensors": tensors}
        yield Outcome(run, history[history.turn > 0].reset_index(drop=True), facts)

    def _parts(self) -> tuple[dict[str, Callable[[], object]], int, int]:
        """Return what is timed; how many parameters in how many tensors."""
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
        parts = {GRADIENT: gradient}
        for method in TIMED:
            optimizer = make(method, params, **STEP)
            parts[method.name] = lambda optimizer=optimizer: take(optimizer, loss)
        return parts, sum(p.numel() for p in params), len(params)


EXPERIMENT = Cost

if __name__ == "__main__":
    app.main(NAME)
