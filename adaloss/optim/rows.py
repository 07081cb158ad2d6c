"""The rows of gradients, which are the indices of the first axis: their squared norms in float64, and their b.

The numbers of rows come in a list with an entry for all gradients whose rows can lie in one array.
"""

import itertools
import math
from collections.abc import Sequence
from operator import attrgetter, is_not
from typing import Any

import numpy as np
import torch

from adaloss.optim.update import whole

AT_ONCE = 98304  # entries; as float64 they mostly stay in a processor's second cache
DTYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
plain, shape_of = attrgetter("is_cpu", "layout"), attrgetter("shape")


class Rows:
    """A plan for gradients of given shapes on the CPU; a scalar is one row.

    Their entries go through one small float64 array, several gradients with rows of one width at a time: a call for
    each costs more than its arithmetic, and a float64 copy of a large one more than both. Numbers of rows are numpy's,
    whose calls cost less than torch's, in this plan's order; anything else is in the gradients' own order.
    """

    def __init__(self, shapes: Sequence[torch.Size]) -> None:
        self.shapes = shapes
        tables = [(of[0], math.prod(of[1:])) if of else (1, 1) for of in shapes]
        self.order = sorted(range(len(tables)), key=lambda i: tables[i][1])
        self._place = sorted(range(len(tables)), key=self.order.__getitem__)  # in this order, of each gradient
        self._sizes = [tables[i][0] for i in self.order]
        self.count = sum(self._sizes)
        self._pieces: list[list[int] | None] = []  # the sizes of a gradient's pieces, where it does not go at once
        # of each call, where the gradients go, the product to take, of what and where to
        self._calls: list[tuple[list[torch.Tensor], np.ufunc, np.ndarray, np.ndarray]] = []
        self._sums = np.empty(self.count)
        self._b = np.empty(self.count)
        self._held: list[torch.Tensor] | None = None  # its parts, once they lie in the states
        factors = torch.empty(self.count, dtype=torch.float32, device="cpu")  # whatever the defaults are
        self._inverse = factors.numpy()
        self._factors = [
            of.view([-1, *[1] * (len(shape) - 1)] if shape else [])
            for of, shape in zip(self._split(factors), shapes, strict=True)
        ]
        size = max([AT_ONCE, *(width for _, width in tables)])
        array, start = torch.empty(size, dtype=torch.float64, device="cpu"), 0
        for width, same in itertools.groupby(self.order, key=lambda i: tables[i][1]):
            most = max(AT_ONCE // max(width, 1), 1)
            calls: list[list[tuple[int, int]]] = [[]]  # of each, the gradients and how many rows of them
            for i in same:
                rows = tables[i][0]
                sizes = [min(most, rows - done) for done in range(0, max(rows, 1), most)]
                self._pieces.append(sizes if len(sizes) > 1 else None)
                for size in sizes:
                    if sum(others for _, others in calls[-1]) + size > most:
                        calls.append([])
                    calls[-1].append((i, size))
            for call in calls:
                sizes = [size for _, size in call]
                entries = array[: sum(sizes) * width].view(sum(sizes), width)
                pieces = zip(entries.split(sizes), call, strict=True)
                views = [of.view([size, *shapes[i][1:]] if shapes[i] else []) for of, (i, size) in pieces]
                product, of = (np.multiply, entries[:, 0]) if width == 1 else (np.vecdot, entries)
                self._calls.append((views, product, of.numpy(), self._sums[start : start + sum(sizes)]))
                start += sum(sizes)

    def _split(self, numbers: torch.Tensor) -> list[torch.Tensor]:
        parts = numbers.split_with_sizes(self._sizes)
        return [parts[i] for i in self._place]

    def sums(self, gradients: Sequence[torch.Tensor]) -> list[np.ndarray]:
        """Return the sums of squares of all rows, until the next call."""
        pieces: list[torch.Tensor] = []
        for i, sizes in zip(self.order, self._pieces, strict=True):
            pieces += [gradients[i]] if sizes is None else gradients[i].split_with_sizes(sizes)
        done = 0
        for views, product, entries, sums in self._calls:
            torch._foreach_copy_(views, pieces[done : done + len(views)])
            done += len(views)
            product(entries, entries, out=sums)
        return [self._sums]

    def b(self, states: Sequence[dict[str, Any]], b0: float) -> list[np.ndarray]:
        """Return the b of all rows, which are b0 where a state has none."""
        held = [of.get("b") for of in states]
        if self._held is None or any(map(is_not, held, self._held)):  # somebody has replaced one
            b = torch.full([self.count], b0, dtype=torch.float64, device="cpu")
            self._b, self._held = b.numpy(), self._split(b)
            for part, of in zip(self._held, held, strict=True):
                if of is not None:
                    part.copy_(of)
        return [self._b]

    def keep(self, states: Sequence[dict[str, Any]], b: Sequence[np.ndarray]) -> None:
        """Put the rows' b into the states."""
        self._b[...] = b[0]
        if self._held is not None and states[0].get("b") is not self._held[0]:
            for state, part in zip(states, self._held, strict=True):
                state["b"] = part

    def square(self, b: Sequence[np.ndarray]) -> float:
        """Return the sum of squares."""
        return float(np.square(b[0]).sum())  # a dot product of many numbers starts threads

    def factors(self, numbers: Sequence[np.ndarray], gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the rows' numbers in shapes that multiply the gradients, in at least float32, until the next call."""
        if {of.dtype for of in gradients} == {torch.float32}:
            self._inverse[...] = numbers[0]
            return self._factors
        parts = self._split(torch.from_numpy(numbers[0]))
        return list(map(_factor, parts, gradients))


class AnyRows:
    """The rows of these gradients of any kind on any device."""

    def __init__(self, gradients: Sequence[torch.Tensor]) -> None:
        if any(of.layout is not torch.strided for of in gradients):
            raise RuntimeError("granularity='row' takes no sparse gradients; use granularity='global'")
        sums = [torch.linalg.vector_norm(_rows(of), dim=1, dtype=torch.float64).square() for of in gradients]
        self._joined = len({of.device for of in sums}) == 1 and not any(hasattr(of, "full_tensor") for of in sums)
        self._sizes = [of.numel() for of in sums]
        self.count = sum(self._sizes)
        self._sums = sums

    def _join(self, parts: list[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.cat(parts)] if self._joined else parts

    def _split(self, numbers: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return numbers[0].split_with_sizes(self._sizes) if self._joined else numbers

    def sums(self, gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the sums of squares of all rows."""
        return self._join(self._sums)

    def b(self, states: Sequence[dict[str, Any]], b0: float) -> list[torch.Tensor]:
        """Return the b of all rows, which are b0 where a state has none."""
        held = zip(states, self._sums, strict=True)
        return self._join([state["b"] if "b" in state else torch.full_like(of, b0) for state, of in held])

    def keep(self, states: Sequence[dict[str, Any]], b: Sequence[torch.Tensor]) -> None:
        """Put the rows' b into the states."""
        for state, part in zip(states, self._split(b), strict=True):
            state["b"] = part

    def square(self, b: Sequence[torch.Tensor]) -> float:
        """Return the sum of squares."""
        return sum(float(whole(of.square().sum())) for of in b)

    def factors(self, numbers: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the rows' numbers in shapes that multiply the gradients, in at least float32."""
        return list(map(_factor, self._split(numbers), gradients))


def planned(gradients: Sequence[torch.Tensor], before: Rows | None) -> Rows | None:
    """Return the plan for these gradients, ``before`` if it still is; None where there can be none."""
    if {*map(type, gradients)} != {torch.Tensor} or {*map(plain, gradients)} != {(True, torch.strided)}:
        return None
    if not {of.dtype for of in gradients} <= DTYPES:
        return None
    shapes = list(map(shape_of, gradients))
    return before if before is not None and before.shapes == shapes else Rows(shapes)


def real(gradient: torch.Tensor) -> torch.Tensor:
    """Return real numbers, two for a complex one."""
    return torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient


def _rows(gradient: torch.Tensor) -> torch.Tensor:
    """Return real numbers, one row for each index of the first axis; a scalar is one row."""
    gradient = real(gradient if gradient.dim() else gradient[None])
    return gradient.flatten(1) if gradient.dim() > 1 else gradient[:, None]


def _factor(numbers: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    numbers = numbers.to(torch.promote_types(gradient.dtype.to_real(), torch.float32))
    return numbers.reshape(-1, *[1] * (gradient.dim() - 1)) if gradient.dim() else numbers.reshape(())
