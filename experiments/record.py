"""The part of its trajectory that a run saves, as fields of a configuration."""

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from experiments.runs.schema import Count, Strict, distinct


class Record(Strict):
    """The iterations and the columns to save.

    All iterations of each window [first, last], and ``log_points`` ones spaced evenly in log t over the whole run.
    """

    windows: list[Annotated[list[Count], Field(min_length=2, max_length=2)]]
    log_points: Annotated[int, Field(ge=0, le=10**6)]
    columns: Annotated[list[Literal["loss", "step", "gap", "s"]], AfterValidator(distinct), Field(min_length=1)]

    def iterations(self, last: int) -> list[int]:
        """Return the recorded iterations, ascending."""
        spaced = np.geomspace(1, last, self.log_points).round().astype(int)
        return sorted({t for a, b in self.windows for t in range(a, b + 1)} | set(spaced.tolist()))

    def check(self, last: int) -> None:
        """Raise ValueError if nothing would be recorded, or a window lies outside 1..``last``."""
        for window in self.windows:
            if not window[0] <= window[1] <= last:
                raise ValueError(f"record.windows={window}: should be [first, last] with first <= last <= {last}")
        if not (self.log_points or self.windows):
            raise ValueError("record.log_points=0: no iteration is recorded; give log_points of 1 or more, or windows")
