r"""Two-layer ReLU networks, many cells in one program, in float64.

The network (paper, Section 4) is :math:`f(x) = \tfrac1{\sqrt m}\sum_r a_r\,\mathrm{relu}(w_r^\top x)` with signs
:math:`a_r` that stay fixed; the first layer is trained on

* the full gradient (``batch=None``): :math:`f = \tfrac12\|u - y\|^2`. Theorem 3's
  :math:`b_{k+1}^2 = b_k^2 + \alpha^2\sqrt n\,\|u - y\|^2` is the rule ``adaloss`` with its
  ``alpha`` :math:`= 2\alpha^2\sqrt n` (``adaloss.theory.two_layer.rule_alpha``);
* minibatches of B rows, drawn with replacement: :math:`f = \tfrac1{2B}\sum (u_i - y_i)^2` and its gradient.

How it is fast. A cell is not held as W but as its preactivations :math:`P = XW^\top` (n, m): a step with the residual r
of the points I changes them by :math:`-\tfrac{\mathrm{step}}{\sqrt m}\,(K_{\cdot I} \circ r)A`, where
:math:`K = XX^\top` and A holds :math:`a_r` where :math:`P_{ir} > 0` and 0 elsewhere. That is one matrix product,
accumulated in place by BLAS, where W needs two; with many more points than dimensions K is applied as X times X'.

Cells run one after another: the product of one fills a core, and its P and A stay in the cache, where a batch of cells
would drive them out. So a cell simulated
alone and the same cell among others agree to the last bit on one machine with single-threaded BLAS.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, product, repeat

import numpy as np
from scipy.linalg.blas import dgemm

from adaloss.simulate.linear_regression import DIVERGED, Cell, minibatches
from adaloss.stepsizes import RULES


@dataclass(frozen=True)
class Problem:
    """Data and initialisation, all float64: ``x`` (n, d), ``y`` (n,), ``w0`` (m, d), ``a`` (m,) of entries -1 and 1."""

    x: np.ndarray
    y: np.ndarray
    w0: np.ndarray
    a: np.ndarray

    @cached_property
    def inner(self) -> np.ndarray:
        """K = X X', (n, n)."""
        return self.x @ self.x.T

    @cached_property
    def preactivations(self) -> np.ndarray:
        """X W(0)', (n, m)."""
        return self.x @ self.w0.T


class _State:
    """One cell at W(k), and what it does at the points ``rows``: all of them, or a minibatch's with repetitions."""

    def __init__(self, problem: Problem, scratch: np.ndarray):
        self.problem = problem
        self.root_m = len(problem.a) ** 0.5
        self.preactivations = problem.preactivations.copy()
        self.scratch = scratch

    def look(self, rows: np.ndarray | None) -> None:
        """A (``signs``) and u (``predictions``) at the points ``rows``."""
        self.rows = slice(None) if rows is None else rows
        seen = self.preactivations[self.rows]
        self.signs = np.multiply(seen > 0, self.problem.a, out=self.scratch[: len(seen)])
        self.predictions = np.vecdot(self.signs, seen) / self.root_m

    def gram(self) -> np.ndarray:
        """The empirical H at these points: K times the share of neurons active at both."""
        inner = self.problem.inner[self.rows][:, self.rows]
        return inner * (self.signs @ self.signs.T) / len(self.problem.a)

    def move(self, weights: np.ndarray) -> None:
        """W -= sum_i weights_i grad u_i over the points last looked at."""
        x, chosen = self.problem.x, self.problem.x[self.rows]
        if x.shape[1] * (len(x) + len(chosen)) < len(x) * len(chosen):
            left, right = x, (chosen.T * weights) @ self.signs
        else:
            left, right = self.problem.inner[:, self.rows] * weights, self.signs
        # Transposed C-ordered arrays are the Fortran-ordered ones that BLAS updates in place.
        dgemm(-1.0 / self.root_m, right.T, left.T, 1.0, self.preactivations.T, overwrite_c=True)


class _Start:
    """What all cells of a problem are compared with: H(0), A(0), and the way from preactivations back to weights."""

    def __init__(self, problem: Problem):
        self.problem = problem
        state = _State(problem, np.empty_like(problem.preactivations))
        state.look(None)
        self.gram, self.signs = state.gram(), state.signs

    @cached_property
    def _pseudo_inverse(self) -> np.ndarray:
        return np.linalg.pinv(self.problem.x)

    def observe(self, state: _State, names: Iterable[str], full_scale: float) -> dict[str, float | np.ndarray]:
        """The columns that need all points."""
        state.look(None)
        residual = state.predictions - self.problem.y
        seen = {"full_loss": 0.5 * full_scale * float(residual @ residual), "predictions": state.predictions}
        if {"distance", "distance_max"} & set(names):
            change = self._pseudo_inverse @ (state.preactivations - self.problem.preactivations)
            squares = (change**2).sum(axis=0)  # W - W(0) lies in the span of the rows of X
            seen |= {"distance": squares.sum() ** 0.5, "distance_max": squares.max() ** 0.5}
        if {"lambda_min", "lambda_max", "gram_change"} & set(names):
            gram = state.gram()
            eigenvalues = np.linalg.eigvalsh(gram)
            seen |= {"lambda_min": eigenvalues[0], "lambda_max": eigenvalues[-1]}
            seen["gram_change"] = np.abs(np.linalg.eigvalsh(gram - self.gram)).max()
        if "flips" in names:
            seen["flips"] = np.mean(state.signs != self.signs)
        return seen


def _trajectory(
    start: _Start,
    cell: Cell,
    rows: Iterable[np.ndarray | None],
    iterations: int,
    record: Mapping[int, int],
    out: Mapping[str, np.ndarray],
    scratch: np.ndarray,
) -> float:
    """Run one cell, fill ``out`` (its rows are preset to what divergence leaves), return the full loss at the end."""
    y = start.problem.y
    state = _State(start.problem, scratch)
    rule, needs_gradient = partial(RULES[cell.method], **cell.hyper), cell.method == "adagrad_norm"
    needs_all = bool(set(out) - {"loss", "step"})
    b, full_scale = float(cell.b0), 1.0
    for t, chosen in zip(range(1, iterations + 1), rows, strict=False):
        seen, scale = {}, 1.0
        if chosen is not None:
            scale, full_scale = 1.0 / len(chosen), 1.0 / len(y)
        if t in record and needs_all:
            seen = start.observe(state, out, full_scale)
        state.look(chosen)
        residual = state.predictions - y[state.rows]
        loss = 0.5 * scale * float(residual @ residual)
        if not loss < DIVERGED:
            return np.inf
        norm_sq = scale**2 * float(residual @ state.gram() @ residual) if needs_gradient else None
        b, step = rule(b, loss, norm_sq, t)
        if t in record:
            seen |= {"loss": loss, "step": step}
            for name, column in out.items():
                column[record[t]] = seen[name]
        state.move(scale * step * residual)
    final = start.observe(state, (), full_scale)["full_loss"]
    return final if final < DIVERGED else np.inf


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
    """
    out = {}
    for name in columns:
        axes = (len(problems[0].y),) if name == "predictions" else ()
        out[name] = np.full((len(record), len(problems), len(cells), *axes), np.nan if name == "step" else np.inf)
    final_loss = np.empty((len(problems), len(cells)))
    at = {t: i for i, t in enumerate(record)}
    scratch = np.empty((max(batch or 0, len(problems[0].y)), len(problems[0].a)))
    starts = [_Start(problem) for problem in problems]
    with np.errstate(over="ignore", invalid="ignore"):  # a cell that overflows is a result
        for i, j in progress(list(product(range(len(problems)), range(len(cells))))):
            if batch is None:
                rows = repeat(None)
            else:
                rows = chain.from_iterable(minibatches(seeds[i], len(problems[i].y), batch, iterations))
            own = {name: column[:, i, j] for name, column in out.items()}
            final_loss[i, j] = _trajectory(starts[i], cells[j], rows, iterations, at, own, scratch)
    return out | {"final_loss": final_loss}
