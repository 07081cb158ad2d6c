r"""Linear regression, many cells as one batched program, in float64.

A *cell* is one trajectory: a method with its b0 and hyperparameters on one problem with one stream of minibatches. The
cells of one seed share the problem and the minibatches, so that methods and b0 are compared on the same noise.

Setting (paper, Section 3), written in the error :math:`e_t = w_t - w^*` and the noise
:math:`\nu = y - Xw^*`, which makes the residual :math:`r = Xe - \nu` accurate however small the error gets:

* minibatch of B rows, drawn with replacement: :math:`f = \tfrac1{2B}\sum r_i^2`, gradient
  :math:`\tfrac1B\sum r_i x_i` (B = 1 is equations (9)-(10));
* full gradient (``batch=None``): :math:`f = \tfrac12\|Xw - y\|^2` as in equation (3), gradient :math:`X^\top r`.

How it is fast. Cells are held in tiles of 32 that share a method and a seed, and every iteration does two matrix
products a tile: ``R = E A'`` and ``step R A``, which E is reduced by. A tile always has the same shape (short ones are
padded), so a cell goes through the same floating-point operations whichever cells run with it: a cell simulated alone
and the same cell in a batch agree to the last bit on one machine with single-threaded BLAS.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from adaloss.arguments import HUGE, one_of, real, recorded, rule_of, shaped, whole
from adaloss.stepsizes import OF_GRADIENT, RULES

TILE = 32
DIVERGED = 1e200  # a loss above this (or not finite) ends a cell: its square would leave float64
UNDERFLOW = 1e-150  # an error below this has a loss below 1e-300 lambda_1: it is set to 0, for subnormals are slow
BLOCK = 1024  # iterations whose minibatches are drawn at once
MINIBATCH_STREAM = 1  # keeps the minibatches independent of data that are generated from the same seed


@dataclass(frozen=True)
class Problem:
    """y = X w* + noise with X' noise = 0, started at the error e_0 = w_0 - w*.

    ``x`` (n, d); ``noise`` (n,), zero when the data are fitted exactly; ``error0`` (d,). Raises ValueError if they
    are no real numbers of these shapes, at most 1e100 in absolute value.
    """

    x: np.ndarray
    noise: np.ndarray
    error0: np.ndarray

    def __post_init__(self):
        for name, axes in (("x", 2), ("noise", 1), ("error0", 1)):
            object.__setattr__(self, name, real(name, getattr(self, name), most=HUGE, axes=axes))
        shaped("noise", self.noise, self.x.shape[:1])
        shaped("error0", self.error0, self.x.shape[1:])

    def hessian(self, batch: int | None) -> np.ndarray:
        """Return the Hessian (d, d) of the expected objective: X'X for the full gradient, X'X / n for minibatches."""
        return self.x.T @ self.x / (1 if batch is None else len(self.x))

    def optimal_loss(self, batch: int | None) -> float:
        """Return f* = f(w*) in the units of the objective: a sum for the full gradient, a mean for minibatches."""
        return 0.5 * float(self.noise @ self.noise) / (1 if batch is None else len(self.x))


@dataclass(frozen=True)
class Cell:
    """One method with its b0; ``hyper`` holds the rule's keyword arguments (eta, alpha, c, c_s, form).

    Raises ValueError for an unknown method, a b0 that is not from 1e-100 to 1e100 or other numbers that are not finite
    and positive (c: finite), TypeError for a hyperparameter that the method does not have.
    """

    method: str
    b0: float
    hyper: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self):
        hyper = rule_of(self.method, self.b0, self.hyper)
        for name, value in {"b0": self.b0, **hyper}.items():
            if np.ndim(value):
                raise ValueError(f"{name}: should be one number, not {np.ndim(value)} axes")
        object.__setattr__(self, "b0", float(self.b0))  # whatever they came as, their arithmetic is float64's
        numbers = {name: value if isinstance(value, str) else float(value) for name, value in hyper.items()}
        object.__setattr__(self, "hyper", numbers)


def minibatches(seed: int, n: int, batch: int, iterations: int) -> Iterable[np.ndarray]:
    """Yield (<= BLOCK, batch) arrays of row indices, uniform with replacement: the whole stream of one seed."""
    rng = np.random.default_rng([seed, MINIBATCH_STREAM])
    for start in range(0, iterations, BLOCK):
        yield rng.integers(n, size=(min(BLOCK, iterations - start), batch))


@dataclass(frozen=True)
class _Group:
    """The tiles of one rule: their slice, and the rule with its hyperparameters bound."""

    tiles: slice
    rule: Callable
    needs_gradient: bool


def _layout(cells: Sequence[Cell]) -> tuple[list[_Group], np.ndarray, np.ndarray]:
    """Sort the cells into tiles of one rule each: the groups, b0 (K, TILE), and each cell's place among K * TILE."""
    by_rule: dict[tuple, list[int]] = {}
    for j, cell in enumerate(cells):
        words = tuple(sorted((name, value) for name, value in cell.hyper.items() if isinstance(value, str)))
        numbers = tuple(sorted(set(cell.hyper) - {name for name, _ in words}))
        by_rule.setdefault((cell.method, words, numbers), []).append(j)
    groups, slots = [], []
    for (method, words, numbers), members in by_rule.items():
        padded = members + members[:1] * (-len(members) % TILE)
        hyper = {name: np.array([cells[j].hyper[name] for j in padded]).reshape(-1, 1, TILE) for name in numbers}
        first = len(slots) // TILE
        slots += padded
        tiles = slice(first, len(slots) // TILE)
        groups.append(_Group(tiles, partial(RULES[method], **hyper, **dict(words)), method in OF_GRADIENT))
    place = np.empty(len(cells), dtype=np.intp)
    place[slots[::-1]] = np.arange(len(slots))[::-1]  # padding repeats a cell: its first place is the last written
    b0 = np.array([cells[j].b0 for j in slots], dtype=np.float64).reshape(-1, TILE)
    return groups, b0, place


class _Rows:
    """The rows (S, B, d) and the noise (S, B) of the current minibatches, or all of them for the full gradient."""

    def __init__(self, problems: Sequence[Problem], seeds: Sequence[int], batch: int | None, iterations: int):
        self.batch = batch
        self.scale = 1.0 if batch is None else 1.0 / batch
        self.rows = np.stack([problem.x for problem in problems])
        self.noise = np.stack([problem.noise for problem in problems])
        self.noisy = bool(self.noise.any())
        if batch is not None:
            count, n, d = self.rows.shape
            self.all_rows, self.all_noise = self.rows.reshape(-1, d), self.noise.reshape(-1)
            self.rows, self.noise = np.empty((count, batch, d)), np.empty((count, batch))
            self.streams = [minibatches(seed, n, batch, iterations) for seed in seeds]
            self.first = n * np.arange(count)[:, None]

    def draw(self, t: int) -> None:
        """Put the minibatches of iteration t in place."""
        if self.batch is None:
            return
        at = (t - 1) % BLOCK
        if at == 0:
            self.drawn = np.stack([next(stream) for stream in self.streams], axis=1) + self.first
        self.all_rows.take(self.drawn[at], axis=0, out=self.rows, mode="clip")  # "clip" writes without a copy
        if self.noisy:
            self.all_noise.take(self.drawn[at], out=self.noise, mode="clip")


class _State:
    """All cells at w_t: error (K, S, TILE, d), residual (K, S, TILE, B), and b, loss, step (K, S, TILE)."""

    def __init__(self, problems: Sequence[Problem], data: _Rows, b0: np.ndarray):
        self.data = data
        self.b = np.repeat(b0[:, None], len(problems), axis=1)
        self.step = np.empty_like(self.b)
        self.diverged = np.zeros(self.b.shape, dtype=bool)
        self.error = np.empty((*self.b.shape, data.rows.shape[-1]))
        self.error[:] = np.stack([problem.error0 for problem in problems])[:, None, :]
        self.change = np.empty_like(self.error)
        self.residual = np.empty((*self.b.shape, data.rows.shape[1]))

    def observe(self) -> None:
        """Compute residual and loss at w_t. A cell that diverged rests at w* from then on, whatever is shown."""
        np.matmul(self.error, self.data.rows.swapaxes(-1, -2), out=self.residual)
        if self.data.noisy:
            self.residual -= self.data.noise[:, None, :]
            self.residual[self.diverged] = 0.0
        self.loss = np.vecdot(self.residual, self.residual)
        self.loss *= 0.5 * self.data.scale
        if not self.loss.max() < DIVERGED:
            ended = ~(self.loss < DIVERGED)
            self.diverged |= ended
            self.error[ended] = 0.0
            self.residual[ended] = 0.0
            self.loss[ended] = DIVERGED  # finite, so that the rule's b stays a number

    def advance(self, groups: Sequence[_Group], t: int) -> None:
        """Go from b_t to b_{t+1} and from w_t to w_{t+1}."""
        for group in groups:
            norm_sq = self._gradient_norm_sq(group.tiles) if group.needs_gradient else None
            b, loss = self.b[group.tiles], self.loss[group.tiles]
            self.b[group.tiles], self.step[group.tiles] = group.rule(b, loss, norm_sq, t)
        self.residual *= (self.data.scale * self.step)[..., None]
        np.matmul(self.residual, self.data.rows, out=self.change)
        self.error -= self.change

    def _gradient_norm_sq(self, tiles: slice) -> np.ndarray:
        gradient = self.residual[tiles] @ self.data.rows
        return self.data.scale**2 * np.vecdot(gradient, gradient)


def check(
    problems: Sequence, seeds: Sequence[int], cells: Sequence, iterations: int, record: Sequence[int], batch: int | None
) -> tuple[int, int | None]:
    """Check the arguments of both simulators; return ``iterations`` and ``batch`` as Python's numbers."""
    if not (len(problems) and len(cells)) or len(seeds) != len(problems):
        raise ValueError(
            f"problems, seeds, cells: {len(problems)}, {len(seeds)}, {len(cells)} given; should be one or more, "
            "and a seed for each problem"
        )
    for problem in problems:
        shaped("x of a problem", problem.x, problems[0].x.shape)
    for seed in seeds:
        whole("seeds", seed)
    iterations = whole("iterations", iterations, 1)
    recorded(record, iterations)
    return iterations, None if batch is None else whole("batch", batch, 1)


def simulate(
    problems: Sequence[Problem],
    seeds: Sequence[int],
    cells: Sequence[Cell],
    *,
    iterations: int,
    record: Sequence[int],
    batch: int | None = None,
    columns: Sequence[str] = ("loss", "step"),
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    r"""Run every cell on every problem and return what ``columns`` name at the iterations of ``record``.

    Iteration t = 1..``iterations`` (Algorithm 1's j) sees the loss and the gradient at :math:`w_t` (w_1 is the start),
    updates b and takes the step. ``problems[i]`` goes with the minibatches of ``seeds[i]``; all have one shape.
    ``progress`` wraps the range of iterations (tqdm, say).

    The columns, each of shape (len(record), len(problems), len(cells)):

    * ``loss``: the loss at :math:`w_t` that the rule saw (the minibatch's, or the full one);
    * ``step``: the step taken at t, :math:`\eta / b_{t+1}` for the adaptive methods;
    * ``gap``: :math:`F(w_t) - f^* = \tfrac12 e_t^\top H e_t`, the excess of the full objective;
    * ``s``: with one more axis of length d, :math:`s_t^{(i)} = (v_i^\top e_t)^2`, eigenvalues of H descending.

    ``final_gap`` (len(problems), len(cells)), the excess after the last step, is always returned. Divergence is a
    result: from its first loss that is not below DIVERGED on, a cell's loss, gap and s are inf.

    Raises ValueError, naming the argument, for no problems or cells, problems of different shapes, other than one seed
    from 0 for each, ``iterations`` or ``batch`` below 1, a ``record`` that is not one or more different iterations, or
    columns that are not known.
    """
    iterations, batch = check(problems, seeds, cells, iterations, record, batch)
    for name in columns:
        one_of("columns", name, ("loss", "step", "gap", "s"))
    groups, b0, place = _layout(cells)
    data = _Rows(problems, seeds, batch, iterations)
    state = _State(problems, data, b0)
    hessian = np.stack([problem.hessian(batch) for problem in problems])
    directions = np.linalg.eigh(hessian).eigenvectors[..., ::-1] if "s" in columns else None

    def values(name: str) -> np.ndarray:
        """Return a column at this moment, (S, cells) or (S, cells, d)."""
        if name == "gap":
            column = 0.5 * np.vecdot(state.error, state.error @ hessian)
        elif name == "s":
            column = (state.error @ directions) ** 2
        else:
            column = getattr(state, name).copy()
        if name != "step":
            column[state.diverged] = np.inf
            column[np.isnan(column)] = np.inf  # of an error that left float64 in the last step
        return np.moveaxis(column, 0, 1).reshape(len(problems), -1, *column.shape[3:])[:, place]

    at = {t: i for i, t in enumerate(record)}
    out = {name: [None] * len(at) for name in columns}
    with np.errstate(all="ignore"):  # a cell that overflows is a result
        for t in progress(range(1, iterations + 1)):
            data.draw(t)
            state.observe()
            if t in at:
                for name in set(columns) - {"step"}:
                    out[name][at[t]] = values(name)
            state.advance(groups, t)
            if t in at and "step" in out:
                out["step"][at[t]] = values("step")
            if t % BLOCK == 0:
                state.error[np.abs(state.error).max(axis=-1) < UNDERFLOW] = 0.0
        return {name: np.stack(rows) for name, rows in out.items()} | {"final_gap": values("gap")}
