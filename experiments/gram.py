"""The extreme eigenvalues of H-infinity (paper, Definition 1) over data sets and sizes.

python -m experiments.gram data=sphere data.n=800 data.d=100
python -m experiments.gram data=digits seed=[0,1,2]                         one job, three runs
python -m experiments.gram sweep=figure_5                                   the sweep behind Figure 5
"""

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field

from adaloss.theory.gram import extreme_eigenvalues, h_infinity, marchenko_pastur
from experiments.data import module as data_module
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import Experiment, Outcome, Progress, SeedList, Strict, nested
from experiments.runs.store import Run

NAME = "gram"
DATA = ("sphere", "near_orthogonal", "clusters", "digits")


_one_data = nested("data", lambda name: data_module(name).Config, DATA).func


def _each_data(values: Any) -> list[Strict]:
    return [_one_data(value) for value in (values if isinstance(values, list) else [values])]


def _distinct(values: list[Strict]) -> list[Strict]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"values should be distinct, {value.model_dump()} repeated")
    return values


class Gram(Experiment):
    """One job: all combinations of ``data`` and ``seed``, each a data set or seed or a list of them."""

    data: Annotated[list[Any], BeforeValidator(_each_data), AfterValidator(_distinct), Field(min_length=1)]
    seed: SeedList

    def runs(self) -> list[Run]:
        """Return one run per (data, seed)."""
        return [self._run(data, seed) for data, seed in product(self.data, self.seed)]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Decompose one matrix after the other; a history of one row."""
        for run in runs:
            data = _one_data(run.config["data"])
            x, _, _ = data_module(data.name).load(data, run.config["seed"])
            yield Outcome(run, pd.DataFrame([_measured(x)]), {})

    def _run(self, data: Strict, seed: int) -> Run:
        module = data_module(data.name)
        fields = data.model_dump()
        sizes = "_".join(f"{key}={value:g}" for key, value in fields.items() if key != "name")
        return Run(
            experiment=NAME,
            label=f"{data.name}_{sizes}_seed={seed}",
            config={"data": fields, "seed": seed},
            code=code_hash(f"experiments.{NAME}", module.__name__),
            data=module.load(data, seed)[2],
        )


def _measured(x: np.ndarray) -> dict[str, float]:
    """Return both ends of the spectra of H-infinity and K = XX', and what is expected for random rows of this size."""
    n, d = x.shape
    values = extreme_eigenvalues(h_infinity(x))
    kernel = np.linalg.eigvalsh(x @ x.T if n <= d else x.T @ x)
    expected_min, expected_max = marchenko_pastur(n, d)
    return {
        "n": n,
        "d": d,
        **values._asdict(),
        "k_min": float(kernel[0]) if n <= d else 0.0,
        "k_max": float(kernel[-1]),
        "expected_min": expected_min,
        "expected_max": expected_max,
    }


EXPERIMENT = Gram

if __name__ == "__main__":
    app.main(NAME)
