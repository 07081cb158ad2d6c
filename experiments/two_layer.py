"""Two-layer ReLU networks (paper, Section 4): full gradient and minibatches, many cells in one program.

python -m experiments.two_layer method=adaloss b0=0.1 seed=0
python -m experiments.two_layer b0=[0.01,0.1,1] seed=[0,1,2]                one program, nine runs
python -m experiments.two_layer -m m=100,1000 method=adaloss,sgd_constant
python -m experiments.two_layer sweep=figure_6                              the sweep behind Figure 6
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from adaloss.simulate.eigenbasis import simulate_eigenbasis
from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem, simulate
from adaloss.theory.gram import h_empirical, h_infinity
from adaloss.theory.linear_regression import State, b_max, iterations
from adaloss.theory.two_layer import predict, setting_a, weights_travelled
from experiments.data import module as data_module
from experiments.methods import SGD_METHODS
from experiments.record import Record
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import (
    Count,
    Experiment,
    Outcome,
    Positive,
    PositiveList,
    Progress,
    SeedList,
    distinct,
    nested,
)
from experiments.runs.store import Run

NAME = "two_layer"
DATA = ("sphere", "near_orthogonal", "clusters", "digits")
INIT_STREAM = 2  # keeps W(0) and a independent of the data and of the minibatches of the same seed
TARGET = 1e-6  # of the bound on iterations: the squared residual relative to its start
Column = Literal[
    "loss", "step", "full_loss", "distance", "distance_max", "lambda_min", "lambda_max", "gram_change", "flips"
]


class NetworkRecord(Record):
    """The record of linear regression, with the columns of ``adaloss.simulate.two_layer.simulate``.

    ``linear_loss`` adds the loss of the linearised network with H-infinity and the same method (full gradient only).
    """

    columns: Annotated[list[Column | Literal["linear_loss"]], AfterValidator(distinct), Field(min_length=1)]


class TwoLayer(Experiment):
    """One job: all combinations of ``b0`` and ``seed`` for one method, data set and width ``m``.

    The fields are explained in configs/experiment/two_layer.yaml. Where ``eta_unit`` is gram, minibatches count in n /
    ||H-infinity||, for their objective is a mean.
    """

    method: Annotated[Any, nested("method", SGD_METHODS.get, tuple(SGD_METHODS))]
    data: Annotated[Any, nested("data", lambda name: data_module(name).Config, DATA)]
    m: Count
    b0: PositiveList
    seed: SeedList
    eta: Positive
    eta_unit: Literal["absolute", "gram"]
    batch: Count | None
    iterations: Count
    record: Annotated[Any, nested("record", NetworkRecord)]

    @model_validator(mode="after")
    def _fits_together(self) -> "TwoLayer":
        if getattr(self.method, "c_unit", "absolute") != "absolute":
            raise ValueError("method.c_unit='f_star': should be absolute (f* is 0 for these networks)")
        if self.batch is not None and "linear_loss" in self.record.columns:
            raise ValueError("record.columns: linear_loss needs batch=null (the linearised network sees all points)")
        self.record.check(self.iterations)
        return self

    @cached_property
    def _data(self) -> dict[int, tuple[np.ndarray, np.ndarray, str]]:
        """Rows, labels and the checksum of each seed."""
        return {seed: data_module(self.data.name).load(self.data, seed) for seed in self.seed}

    def runs(self) -> list[Run]:
        """Return one run per (b0, seed)."""
        code = code_hash(f"experiments.{NAME}", data_module(self.data.name).__name__)
        common = self.model_dump()
        return [
            Run(
                experiment=NAME,
                label=f"{self.method.name}_{self.data.name}_m={self.m}_b0={b0:g}_seed={seed}",
                config=common | {"b0": b0, "seed": seed},
                code=code,
                data=self._data[seed][2],
            )
            for b0, seed in product(self.b0, self.seed)
        ]

    def parts(self, runs: list[Run]) -> Iterable[list[Run]]:
        """Return the runs of one seed each, which are one program."""
        return [[run for run in runs if run.config["seed"] == seed] for seed in self.seed]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Simulate the runs, one program for each seed: its data and initialisation bound the memory."""
        by_seed: dict[int, list[Run]] = defaultdict(list)
        for run in runs:
            by_seed[run.config["seed"]].append(run)
        for seed, of_seed in by_seed.items():
            yield from self._simulate(seed, of_seed, progress)

    def _simulate(self, seed: int, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Simulate runs of one seed in one program."""
        problem, facts, spectrum, z0 = self._start(seed)
        eta = self.eta
        if self.eta_unit == "gram":
            eta *= (1 if self.batch is None else len(z0)) / facts["lambda_1"]
        hyper = {"eta": eta} | self.method.model_dump(exclude={"name", "c_unit"})
        b0 = [run.config["b0"] for run in runs]
        record = self.record.iterations(self.iterations)
        columns = [name for name in self.record.columns if name != "linear_loss"]
        out = simulate(
            [problem],
            [seed],
            [Cell(self.method.name, b, hyper) for b in b0],
            iterations=self.iterations,
            record=record,
            batch=self.batch,
            columns=columns,
            progress=partial(progress, desc=f"{self.method.name} m={self.m}", unit="cell"),
        )
        final_loss = out.pop("final_loss")[0]
        histories = {name: values[:, 0] for name, values in out.items()}
        if "linear_loss" in self.record.columns:
            linear = simulate_eigenbasis(
                spectrum, z0**2 / spectrum, self.method.name, np.array(b0), hyper, self.iterations
            )
            histories["linear_loss"] = np.nan_to_num(linear["loss"][np.array(record) - 1], nan=np.inf)
        for j, run in enumerate(runs):
            history = pd.DataFrame({"iteration": record} | {name: h[:, j] for name, h in histories.items()})
            finite = bool(np.isfinite(final_loss[j]))
            results = facts | {"eta": eta, "final_loss": float(final_loss[j]) if finite else None}
            if self.method.name == "adaloss" and self.batch is None and self.method.c == 0.0:
                results |= self._bounds(spectrum, z0, b0[j], eta)
            yield Outcome(run, history, results, finite)

    def _start(self, seed: int) -> tuple[Problem, dict[str, float], np.ndarray, np.ndarray]:
        """Return the problem, its facts, H-infinity's eigenvalues and the first residual along its eigenvectors."""
        x, y, _ = self._data[seed]
        rng = np.random.default_rng([seed, INIT_STREAM])
        problem = Problem(x, y, w0=rng.normal(size=(self.m, x.shape[1])), a=rng.choice([-1.0, 1.0], size=self.m))
        h, h0 = h_infinity(x), h_empirical(x, problem.w0)
        spectrum, v = np.linalg.eigh(h)
        spectrum = np.maximum(spectrum, np.finfo(float).eps * spectrum[-1])  # of parallel rows rounding leaves a sign
        ends = np.linalg.eigvalsh(h0)[[0, -1]]
        z0 = v.T @ (predict(problem.w0, problem.a, x) - y)
        facts = {
            "lambda_1": float(spectrum[-1]),
            "lambda_0": float(spectrum[0]),
            "start_lambda_1": float(ends[1]),
            "start_lambda_0": float(ends[0]),
            "start_gram_error": float(np.linalg.norm(h0 - h, 2)),
            "start_loss": 0.5 * float(z0 @ z0) / (1 if self.batch is None else len(y)),
            "zero_loss": 0.5 * float(y @ y) / (1 if self.batch is None else len(y)),
            "linear_distance": weights_travelled(spectrum, z0),
        }
        return problem, facts, spectrum, z0

    def _bounds(self, spectrum: np.ndarray, z0: np.ndarray, b0: float, eta: float) -> dict[str, float | None]:
        """Return Theorem 3's bound on b for the linearised network, and on iterations to TARGET."""
        n = len(z0)
        alpha = (self.method.alpha / (2 * n**0.5)) ** 0.5  # Theorem 3's, from the rule's 2 alpha^2 sqrt n
        state = State(**setting_a(spectrum, z0, b0, eta, alpha, n))
        bound = float(iterations(state, np.array(TARGET * float(z0 @ z0)), 1))
        return {
            "b_bound": float(b_max(state)) * alpha * n**0.25,
            "iterations_bound": bound if np.isfinite(bound) else None,
        }


EXPERIMENT = TwoLayer

if __name__ == "__main__":
    app.main(NAME)
