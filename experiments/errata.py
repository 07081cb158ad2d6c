"""The nine counterexamples of docs/errata.md, each a run: what :mod:`adaloss.theory.errata` computes.

    python -m experiments.errata number=5
    python -m experiments.errata sweep=errata                                   all nine

The history has one row, a column for each number of the counterexample.
"""

from collections.abc import Iterator
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field

from adaloss.theory.errata import ERRATA
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import Experiment, Outcome, Progress, as_list, distinct
from experiments.runs.store import Run

NAME = "errata"
Number = Annotated[int, Field(ge=1, le=len(ERRATA))]


class Errata(Experiment):
    """One job: the errata of ``number``, one or a list."""

    number: Annotated[list[Number], BeforeValidator(as_list), AfterValidator(distinct), Field(min_length=1)]

    def runs(self) -> list[Run]:
        """Return one run per erratum."""
        code = code_hash(f"experiments.{NAME}")
        return [
            Run(experiment=NAME, label=f"erratum_{k}", config={"number": k}, code=code, data="generated")
            for k in self.number
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Compute one counterexample after the other."""
        for run in progress(runs, desc=NAME):
            yield Outcome(run, pd.DataFrame([ERRATA[run.config["number"]]()]), {})


EXPERIMENT = Errata

if __name__ == "__main__":
    app.main(NAME)
