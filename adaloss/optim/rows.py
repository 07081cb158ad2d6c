"""The squared norms of gradients' rows in float64, at the speed of the memory."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

AT_ONCE = 98304  # entries; as float64 they mostly stay in a processor's second cache
DTYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


class Rows:
    """A plan for gradients of given shapes on the CPU, whose rows are indices of the first axis; a scalar is one row.

    Their entries go through one small float64 array, several gradients with rows of one width at a time: a call for
    each costs more than its arithmetic, and a float64 copy of a large one more than both.
    """

    def __init__(self, shapes: Sequence[torch.Size]) -> None:
        self.shapes = shapes
        tables = [(of[0], math.prod(of[1:])) if of else (1, 1) for of in shapes]
        self.order = sorted(range(len(tables)), key=lambda i: tables[i][1])
        self.sizes = [tables[i][0] for i in self.order]
        self._room: list[int | None] = []  # how many rows of a gradient go at once, where not all do
        self._steps: list[tuple[list[torch.Tensor], np.ndarray, np.ndarray]] = []
        self._sums = np.empty(sum(self.sizes))
        self._factors = torch.empty(sum(self.sizes))
        parts = zip(self._factors.split(self.sizes), self.order, strict=True)
        self._parts = [of.view([-1, *[1] * (len(shapes[i]) - 1)] if shapes[i] else []) for of, i in parts]
        array, start = torch.empty(max([AT_ONCE, *(width for _, width in tables)]), dtype=torch.float64), 0
        for width, same in itertools.groupby(self.order, key=lambda i: tables[i][1]):
            most = max(AT_ONCE // max(width, 1), 1)
            calls: list[list[tuple[int, int]]] = [[]]  # of each, the gradients and how many rows of them
            for i in same:
                rows = tables[i][0]
                self._room.append(most if rows > most else None)
                for size in [min(most, rows - done) for done in range(0, max(rows, 1), most)]:
                    if sum(others for _, others in calls[-1]) + size > most:
                        calls.append([])
                    calls[-1].append((i, size))
            for call in calls:
                sizes = [size for _, size in call]
                entries = array[: sum(sizes) * width].view(sum(sizes), width)
                pieces = zip(entries.split(sizes), call, strict=True)
                views = [of.view([size, *shapes[i][1:]] if shapes[i] else []) for of, (i, size) in pieces]
                self._steps.append((views, entries.numpy(), self._sums[start : start + sum(sizes)]))
                start += sum(sizes)

    def sums(self, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the sums of squares of all rows, with the gradients in this plan's order."""
        pieces: list[torch.Tensor] = []
        for i, room in zip(self.order, self._room, strict=True):
            pieces += [gradients[i]] if room is None else gradients[i].split(room)
        done = 0
        for views, entries, sums in self._steps:
            torch._foreach_copy_(views, pieces[done : done + len(views)])
            done += len(views)
            np.vecdot(entries, entries, out=sums)
        return torch.from_numpy(self._sums.copy())

    def factors(self, numbers: torch.Tensor) -> list[torch.Tensor]:
        """Return the rows' numbers in float32, for each gradient in a shape that multiplies it, until the next call."""
        self._factors.copy_(numbers)
        return self._parts


def planned(gradients: Sequence[torch.Tensor], before: Rows | None) -> Rows | None:
    """Return the plan for these gradients, ``before`` if it still is; None where there can be none."""
    for of in gradients:
        if not (type(of) is torch.Tensor and of.is_cpu and of.layout is torch.strided and of.dtype in DTYPES):
            return None
    shapes = [of.shape for of in gradients]
    return before if before is not None and before.shapes == shapes else Rows(shapes)
