r"""Two-layer ReLU networks, many cells in one program, in float64.

The network (paper, Section 4) is :math:`f(x) = \tfrac1{\sqrt m}\sum_r a_r\,\mathrm{relu}(w_r^\top x)` with signs
:math:`a_r` that stay fixed; the first layer is trained on

* the full gradient (``batch=None``): :math:`f = \tfrac12\|u - y\|^2`. Theorem 3's
  :math:`b_{k+1}^2 = b_k^2 + \alpha^2\sqrt n\,\|u - y\|^2` is the rule ``adaloss`` with its
  ``alpha`` :math:`= 2\alpha^2\sqrt n` (``adaloss.theory.two_layer.rule_alpha``);
* minibatches of B rows, drawn with replacement: :math:`f = \tfrac1{2B}\sum (u_i - y_i)^2` and its gradient.

How it is fast. A cell is not held as W but as its preactivations X W', and of these only the few that may change sign
soon are followed step by step, in compiled loops over the cells that run side by side: ``adaloss.simulate.flips``. A
cell simulated alone and the same cell among others agree to the last bit on one machine with single-threaded BLAS.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, groupby, islice, repeat

import numpy as np

from adaloss.arguments import HUGE, one_of, real, shaped
from adaloss.simulate.flips import CELLS, Networks
from adaloss.simulate.linear_regression import DIVERGED, Cell, check, minibatches
from adaloss.stepsizes import OF_GRADIENT, RULES

COLUMNS = (
    "loss", "step", "full_loss", "distance", "distance_max", "lambda_min", "lambda_max", "gram_change", "flips",
    "predictions",
)  # fmt: skip
MEMORY = 10_000_000  # pairs (neuron, point) of the cells that run side by side: about 16 bytes each


@dataclass(frozen=True)
class Problem:
    """Data and initialisation: ``x`` (n, d), ``y`` (n,), ``w0`` (m, d), ``a`` (m,) of entries -1 and 1.

    Raises ValueError if they are no real numbers of these shapes, at most 1e100 in absolute value.
    """

    x: np.ndarray
    y: np.ndarray
    w0: np.ndarray
    a: np.ndarray

    def __post_init__(self):
        for name, axes in (("x", 2), ("y", 1), ("w0", 2), ("a", 1)):
            object.__setattr__(self, name, real(name, getattr(self, name), most=HUGE, axes=axes))
        shaped("y", self.y, self.x.shape[:1])
        shaped("w0", self.w0, (len(self.w0), self.x.shape[1]))
        shaped("a", self.a, self.w0.shape[:1])
        if not (np.abs(self.a) == 1.0).all():
            raise ValueError("a: its entries should be -1 and 1")

    @cached_property
    def inner(self) -> np.ndarray:
        """K = X X', (n, n)."""
        return self.x @ self.x.T

    @cached_property
    def preactivations(self) -> np.ndarray:
        """X W(0)', (n, m)."""
        return self.x @ self.w0.T


class _Start:
    """The reference of all cells of a problem: H(0), M(0), and the way from preactivations back to weights."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.active = problem.preactivations > 0
        self.gram = self._gram(self.active)

    @cached_property
    def _pseudo_inverse(self) -> np.ndarray:
        return np.linalg.pinv(self.problem.x)

    def _gram(self, active: np.ndarray) -> np.ndarray:
        """Return the empirical H: K times the share of neurons active at both points."""
        whole = active.astype(np.float64)
        return self.problem.inner * (whole @ whole.T) / active.shape[1]

    def observe(
        self, networks: Networks, k: int, names: Iterable[str], full_scale: float
    ) -> dict[str, float | np.ndarray]:
        """Return the columns of cell ``k`` that need all points."""
        residual = networks.predictions[k] - self.problem.y
        seen = {"full_loss": 0.5 * full_scale * float(residual @ residual), "predictions": networks.predictions[k]}
        if not set(names) - {"loss", "step", "full_loss", "predictions"}:
            return seen
        preactivations = networks.preactivations(k)
        active = preactivations > 0
        if {"distance", "distance_max"} & set(names):
            change = self._pseudo_inverse @ (preactivations - self.problem.preactivations)
            squares = (change**2).sum(axis=0)  # W - W(0) lies in the span of the rows of X
            seen |= {"distance": squares.sum() ** 0.5, "distance_max": squares.max() ** 0.5}
        if {"lambda_min", "lambda_max", "gram_change"} & set(names):
            gram = self._gram(active)
            eigenvalues = np.linalg.eigvalsh(gram)
            seen |= {"lambda_min": eigenvalues[0], "lambda_max": eigenvalues[-1]}
            seen["gram_change"] = np.abs(np.linalg.eigvalsh(gram - self.gram)).max()
        if "flips" in names:
            seen["flips"] = np.mean(active != self.active)
        return seen


def _batches(cells: Sequence[Cell], pairs: int) -> Iterable[list[int]]:
    """Choose which cells to run side by side: those of one rule follow each other."""
    order = sorted(range(len(cells)), key=lambda j: _rule(cells[j]))
    size = min(max(MEMORY // pairs, 1), CELLS)
    return (order[i : i + size] for i in range(0, len(order), size))


def _rule(cell: Cell) -> tuple:
    words = tuple(sorted((name, value) for name, value in cell.hyper.items() if isinstance(value, str)))
    return cell.method, words, tuple(sorted(set(cell.hyper) - dict(words).keys()))


class _Rules:
    """The rules of cells of which those of one rule follow each other."""

    def __init__(self, cells: Sequence[Cell]):
        self.b = np.array([cell.b0 for cell in cells], dtype=np.float64)
        self.groups, self.norms, start = [], set(), 0
        for (method, words, numbers), members in groupby(cells, _rule):
            some = list(members)
            hyper = {name: np.array([cell.hyper[name] for cell in some]) for name in numbers}
            where, start = slice(start, start + len(some)), start + len(some)
            self.groups.append((where, partial(RULES[method], **hyper, **dict(words))))
            if method in OF_GRADIENT:
                self.norms.update(range(where.start, where.stop))
        self.steps = np.empty(len(cells))

    def __call__(self, loss: np.ndarray, norms_sq: np.ndarray | None, t: int) -> np.ndarray:
        for where, rule in self.groups:
            norm_sq = norms_sq[where] if where.start in self.norms else None
            self.b[where], self.steps[where] = rule(self.b[where], loss[where], norm_sq, t)
        return self.steps


def _trajectories(
    start: _Start,
    cells: Sequence[Cell],
    rows: Iterable[np.ndarray | None],
    iterations: Iterable[int],
    record: Mapping[int, int],
    out: Sequence[Mapping[str, np.ndarray]],
) -> np.ndarray:
    """Run cells side by side, fill each one's ``out`` (preset to what divergence leaves), return their final losses."""
    problem = start.problem
    y, n = problem.y, len(problem.y)
    rules = _Rules(cells)
    networks = Networks(problem.preactivations, problem.x, problem.inner, problem.a, len(cells), norms=rules.norms)
    names = set(out[0]) - {"loss", "step"}
    alive, full_scale = np.ones(len(cells), dtype=bool), 1.0
    for t, chosen in zip(iterations, rows, strict=False):
        weights = networks.predictions - y
        if chosen is None:
            loss = 0.5 * np.vecdot(weights, weights)
        else:
            full_scale = 1.0 / n
            residual = weights.take(chosen, axis=1)
            loss = 0.5 / len(chosen) * np.vecdot(residual, residual)
            weights *= np.bincount(chosen, minlength=n) * (1.0 / len(chosen))
        if not loss.max() < DIVERGED:
            for k in np.flatnonzero(alive & ~(loss < DIVERGED)):
                alive[k] = False
                networks.stop(k)
        if not alive.all():
            weights[~alive], loss[~alive] = 0.0, 0.0
        recorded = t in record
        steps = rules(loss, networks.direction(weights), t)
        if recorded:
            for k in np.flatnonzero(alive):
                seen = {"loss": loss[k], "step": steps[k]}
                if names:
                    seen |= start.observe(networks, k, names, full_scale)
                for name, column in out[k].items():
                    column[record[t]] = seen[name]
        networks.move(np.where(alive, steps, 0.0))
    residual = networks.predictions - y
    final = 0.5 * full_scale * np.vecdot(residual, residual)
    return np.where(alive & (final < DIVERGED), final, np.inf)


def simulate(
    problems: Sequence[Problem],
    seeds: Sequence[int],
    cells: Sequence[Cell],
    *,
    iterations: int,
    record: Sequence[int],
    batch: int | None = None,
    columns: Sequence[str] = ("loss", "step"),
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, np.ndarray]:
    r"""Run every cell on every problem and return what ``columns`` name at the iterations of ``record``.

    Iteration t = 1..``iterations`` sees the loss and the gradient at W(t - 1), updates b and takes the step.
    ``problems[i]`` goes with the minibatches of ``seeds[i]``, which all its cells share. ``progress`` wraps the list of
    trajectories (tqdm, say).

    The columns, each of shape (len(record), len(problems), len(cells)), at W(t - 1):

    * ``loss``: the loss that the rule saw (the minibatch's mean, or the full sum); ``full_loss``: of all points;
    * ``step``: the step taken at t, :math:`\eta / b_{t+1}` for the adaptive methods;
    * ``distance``, ``distance_max``: :math:`\|W - W(0)\|_F` and :math:`\max_r\|w_r - w_r(0)\|`;
    * ``lambda_min``, ``lambda_max``, ``gram_change``: of the empirical H, and :math:`\|H - H(0)\|`;
    * ``flips``: the share of the (point, neuron) pairs whose activity differs from the start;
    * ``predictions``: u, with one more axis of length n.

    ``final_loss`` (len(problems), len(cells)), the full loss after the last step, is always returned. Divergence is a
    result: from its first loss that is not below DIVERGED on, a cell's columns are inf, and its step is nan.

    Raises ValueError as :func:`adaloss.simulate.linear_regression.simulate` does.
    """
    iterations, batch = check(problems, seeds, cells, iterations, record, batch)
    for name in columns:
        one_of("columns", name, COLUMNS)
    out = {}
    for name in columns:
        axes = (len(problems[0].y),) if name == "predictions" else ()
        out[name] = np.full((len(record), len(problems), len(cells), *axes), np.nan if name == "step" else np.inf)
    final_loss = np.empty((len(problems), len(cells)))
    at = {t: i for i, t in enumerate(record)}
    starts = [_Start(problem) for problem in problems]
    jobs = [(i, some) for i, problem in enumerate(problems) for some in _batches(cells, problem.preactivations.size)]
    clock = iter(progress(range(len(jobs) * iterations)))
    with np.errstate(all="ignore"):  # a cell that overflows is a result
        for i, some in jobs:
            if batch is None:
                rows = repeat(None)
            else:
                rows = chain.from_iterable(minibatches(seeds[i], len(problems[i].y), batch, iterations))
            own = [{name: column[:, i, j] for name, column in out.items()} for j in some]
            times = (k % iterations + 1 for k in islice(clock, iterations))
            final_loss[i, some] = _trajectories(starts[i], [cells[j] for j in some], rows, times, at, own)
    deque(clock, maxlen=0)  # a progress bar is closed by its end
    return out | {"final_loss": final_loss}
