"""Linear regression (paper, Section 3): stochastic and full-gradient, many cells as one batched program.

python -m experiments.linear_regression method=adaloss b0=0.1 seed=0
python -m experiments.linear_regression b0=[0.01,0.1,1] seed=[0,1,2]        one program, nine runs
python -m experiments.linear_regression -m method=adaloss,sgd_constant b0=0.1,1
python -m experiments.linear_regression sweep=figure_1                      the sweep behind Figure 1
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import islice, product
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import model_validator

from adaloss.simulate.linear_regression import Cell, Problem, simulate
from experiments.data import module as data_module
from experiments.methods import SGD_METHODS
from experiments.record import Record
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Positive, PositiveList, Progress, SeedList, nested
from experiments.runs.store import Run

NAME = "linear_regression"
DATA = ("gaussian", "spectrum", "diabetes")
MAX_SEEDS, MAX_CELLS = 32, 128  # of one program: bounds its memory, whatever the lists in the configuration


def batched(values: Iterable, size: int) -> Iterator[tuple]:
    """Yield tuples of at most ``size`` values, in order (itertools has it from Python 3.12)."""
    values = iter(values)
    while part := tuple(islice(values, size)):
        yield part


class LinearRegression(Experiment):
    """One job: all combinations of ``b0`` and ``seed`` for one method, problem and setting.

    The fields are explained in configs/experiment/linear_regression.yaml.
    """

    method: Annotated[Any, nested("method", SGD_METHODS.get, tuple(SGD_METHODS))]
    data: Annotated[Any, nested("data", lambda name: data_module(name).Config, DATA)]
    b0: PositiveList
    seed: SeedList
    eta: Positive
    batch: Count | None
    iterations: Count
    record: Annotated[Any, nested("record", Record)]

    @model_validator(mode="after")
    def _fits_together(self) -> "LinearRegression":
        shape = self.data.model_dump()
        if self.batch is None and shape.get("d", 0) > shape.get("n", np.inf):
            raise ValueError(
                f"data.d={shape['d']}: with batch=null, d should be at most data.n={shape['n']} (lambda_0 > 0)"
            )
        self.record.check(self.iterations)
        return self

    @cached_property
    def _problems(self) -> dict[int, tuple[Problem, str]]:
        """The problem and the data's checksum of each seed."""
        return {seed: data_module(self.data.name).load(self.data, seed) for seed in self.seed}

    def runs(self) -> list[Run]:
        """Return one run per (b0, seed)."""
        code = code_hash(f"experiments.{NAME}", data_module(self.data.name).__name__)
        common = self.model_dump()
        size = f"_d={self.data.d}" if "d" in common["data"] else ""
        label = f"{self.method.name}_{self.data.name}{size}"
        return [
            Run(
                experiment=NAME,
                label=f"{label}_b0={b0:g}_seed={seed}",
                config=common | {"b0": b0, "seed": seed},
                code=code,
                data=self._problems[seed][1],
            )
            for b0, seed in product(self.b0, self.seed)
        ]

    def parts(self, runs: list[Run]) -> Iterable[list[Run]]:
        """Return the runs of one program each."""
        block = {b0: j // MAX_CELLS for j, b0 in enumerate(self.b0)}
        seeds = {seed: i // MAX_SEEDS for i, seed in enumerate(self.seed)}
        found: dict[tuple, list[Run]] = defaultdict(list)
        for run in runs:
            found[block[run.config["b0"]], seeds[run.config["seed"]]].append(run)
        return found.values()

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Simulate the runs: seeds that lack the same b0 share one program."""
        lacking: dict[int, list[Run]] = defaultdict(list)
        for run in runs:
            lacking[run.config["seed"]].append(run)
        programs: dict[tuple, list[int]] = defaultdict(list)
        for seed, of_seed in lacking.items():
            f_star = self._problems[seed][0].optimal_loss(self.batch)
            for cells in batched([run.config["b0"] for run in of_seed], MAX_CELLS):
                programs[cells, f_star].append(seed)
        by_cell = {(run.config["b0"], run.config["seed"]): run for run in runs}
        for (b0, f_star), seeds in programs.items():
            for some in batched(seeds, MAX_SEEDS):
                for b, seed, *made in self._simulate(b0, some, f_star, progress):
                    yield Outcome(by_cell[b, seed], *made)

    def _simulate(self, b0: tuple, seeds: tuple, f_star: float, progress: Progress) -> Iterator[tuple]:
        """Simulate all cells in one program; yield b0, seed, history, results and whether it is finite of each."""
        problems = [self._problems[seed][0] for seed in seeds]
        record = self.record.iterations(self.iterations)
        out = simulate(
            problems,
            seeds,
            [Cell(self.method.name, b, self._hyper(f_star)) for b in b0],
            iterations=self.iterations,
            record=record,
            batch=self.batch,
            columns=self.record.columns,
            progress=partial(progress, desc=f"{self.method.name} {self.data.name}"),
        )
        final_gap = out.pop("final_gap")
        facts = [self._facts(problem) for problem in problems]
        for i, j in np.ndindex(len(seeds), len(b0)):
            gap = final_gap[i, j]
            history = {"iteration": record}
            for name, values in out.items():
                if name == "s":
                    history |= {f"s_{k}": column for k, column in enumerate(values[:, i, j].T, start=1)}
                else:
                    history[name] = values[:, i, j]
            finite = bool(np.isfinite(gap))
            results = facts[i] | {"final_gap": float(gap) if finite else None}
            yield b0[j], seeds[i], pd.DataFrame(history), results, finite

    def _hyper(self, f_star: float) -> dict:
        hyper = {"eta": self.eta} | self.method.model_dump(exclude={"name"})
        if hyper.pop("c_unit", None) == "f_star":
            hyper["c"] *= f_star
        return hyper

    def _facts(self, problem: Problem) -> dict[str, float]:
        """Return the problem's extreme eigenvalues of the objective's Hessian, f* and sup ||x_i||^2."""
        eigenvalues = np.linalg.eigvalsh(problem.hessian(self.batch))
        return {
            "lambda_1": float(eigenvalues[-1]),
            "lambda_0": float(eigenvalues[0]),
            "f_star": problem.optimal_loss(self.batch),
            "initial_gap": float(0.5 * problem.error0 @ problem.hessian(self.batch) @ problem.error0),
            "row_norm_sq_max": float((problem.x**2).sum(axis=1).max()),
        }


EXPERIMENT = LinearRegression

if __name__ == "__main__":
    app.main(NAME)
