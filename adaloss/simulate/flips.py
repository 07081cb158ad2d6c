r"""Two-layer networks under gradient steps, many side by side, where only the pairs near a kink are worked at.

The preactivations P = X W' (n, m) of a network are held as :math:`p_{ri} = P_{ir}/\sqrt m`, so that
:math:`u_i = \sum_r a_r M_{ri}p_{ri}` with the mask :math:`M_{ri} = [p_{ri} > 0]`. With :math:`K = XX^\top`, a step
:math:`W \leftarrow W - s\sum_i g_i\nabla u_i` is

.. math:: p_{ri} \leftarrow p_{ri} - \frac{s\,a_r}m\sum_j K_{ij}M_{rj} g_j, \qquad
          u \leftarrow u - s\,\Big(K \circ \frac{M^\top M}{m}\Big)\, g \quad\text{while M stays what it is.}

Most of M does so for many steps. So a *refresh* lists as *candidates* the pairs (r, i) that may change sign soon, and
until the next one only their p are followed. Where a step takes one past 0 it is turned: its entry of M, a row and a
column of the whole numbers :math:`M^\top M`, and its part of :math:`u_i`. (Many do so at nearly every step: where
:math:`K_{ii}` prevails, a kink holds what has come to it.) The squared length of the gradient is g' times what
multiplies s.

Nothing is neglected. With Z the sum of the steps s g since the refresh, and :math:`z_c` that of the steps at which
candidate c was on, the pairs outside the list have moved by
:math:`-\frac{a_r}m\sum_j K_{ij}(M_{rj}Z_j \text{ or, for candidates } j, z_{rj})`. It is much the same movement as
:math:`D_{ri} = -\frac{a_r}m\sum_j K_{ij}Z'_{rj}` between the last two refreshes, :math:`Z'_{rj}` the sum of all that
moved there: for any :math:`\zeta`, the pair is at :math:`p_{ri} + \zeta D_{ri}` up to

.. math:: \frac1m\Big|\sum_j K_{ij}M_{rj}\rho_j + \sum_{c = (r, j)} K_{ij}(z_c - \zeta Z'_c)\Big| \le
          \frac1{2m}\Big(\sum_j |K_{ij}\rho_j| + \big|\sum_j K_{ij}\rho_j\big|\Big)
          + \frac1m\max_{j \ne i}|K_{ij}|\,\max_r\sum_{c = (r, \cdot)}|z_c - \zeta Z'_c|, \quad \rho = Z - \zeta Z'

where the first sum leaves the candidates out and Z' without a neuron is that of the pairs that were on throughout;
pairs for which :math:`Z'_{rj} = M_{rj}Z'_j` does not hold are all listed again. Listed are all pairs that come within
:math:`\tau_i` of 0 for some :math:`\zeta` between ``low`` and ``high``: while the bound stays below :math:`\tau_i`, no
other can have flipped. When it does not, the steps since the last refresh are applied to all of p, by one matrix
product, and the mask is computed again. Where so many pairs are candidates that a list gains nothing, every step is
such a product.
"""

from collections import Counter
from collections.abc import Collection

import numpy as np

from adaloss.simulate import kernels

AHEAD = 8.0  # steps that the first list after a dense step is meant to last
SHARE = 1 / 16  # of all pairs: with more candidates than this a list gains nothing
GAIN = 0.3  # a list is to last GAIN n m / (its candidates) steps: then its making costs about what its use does
DENSE = 8  # steps without a list before another is tried
GROWTH = 1.5
MARGIN = 1.2  # of tau over what the bound is expected to be at the end of the list
SLACK = 1 - 1e-6  # of tau: the rest is for rounding
CELLS = 20  # networks side by side at most


class Networks:
    r"""``cells`` networks that start alike. ``preactivations`` (n, m), ``x`` (n, d), ``inner`` X X' (n, n), ``a`` (m,).

    ``predictions`` (cells, n) is u at the present weights. ``counts`` says how many refreshes there were, how many of
    them made a list, and how many candidates these had together. ``ahead`` is for the first lists (``AHEAD``), and of
    the cells ``norms`` the directions' lengths are wanted.
    Every :meth:`move` takes a :meth:`direction` of its own before it.
    """

    def __init__(
        self,
        preactivations: np.ndarray,
        x: np.ndarray,
        inner: np.ndarray,
        a: np.ndarray,
        cells: int = 1,
        *,
        norms: Collection[int] = (),
        ahead: float = AHEAD,
    ):
        self.n, self.m = n, m = preactivations.shape
        self.norms, self.ahead, self.counts = norms, ahead, Counter()
        self.scaled, self.signs = inner / m, a
        # K is applied as X times X' where that is cheaper.
        self.last, self.factor = (x / -m, x.T) if 2 * x.shape[1] < n else (-self.scaled, None)
        lengths = np.linalg.norm(inner, axis=1) / m  # of K_i: how far a step of length 1 may move point i
        self.lengths, self.per_length = lengths, 1.0 / np.where(lengths > 0, lengths, 1.0)
        self.idle = np.where(lengths > 0, 0.0, np.inf)  # a row that is 0 stays 0
        absolute = np.abs(inner)
        self.others = (absolute - np.diag(np.diag(absolute))).max(axis=1) / m  # candidate (r, i) is listed
        # Of all cells: p, M, M'M and u; directions; sums of steps since the last refresh and in the time before it.
        self.pre = np.repeat((preactivations / m**0.5)[None], cells, axis=0)
        self.masks = np.repeat((preactivations > 0).T[None], cells, axis=0)
        self.pairs, self.predictions = np.zeros((cells, n, n)), np.zeros((cells, n))
        self.slopes, self.since, self.previous, self.bound = np.zeros((4, cells, n))
        self.norms_sq, self.inverse, self.low, self.high, self.zeta, self.age = np.zeros((6, cells))
        # The lists: how long they are, where the candidates are, their p, directions and sums.
        most = int(SHARE * n * m)
        self.listed, (self.neurons, self.points) = np.zeros(cells, np.int32), np.empty((2, cells, most), np.int32)
        self.values, self.changes, self.own, self.before = np.empty((4, cells, most))
        self.limit, self.oldest = np.full((cells, n), -1.0), np.ones(cells)
        self.plan, self.wait, self.dense = np.full(cells, ahead), np.ones(cells), np.ones(cells, dtype=bool)
        # Of one cell at a time.
        self.weighted, self.drift = np.zeros((2, n, m))
        self.again, self.single = np.empty((n, m), dtype=bool), np.empty((m, n), dtype=np.float32)
        for k in range(cells):
            self._refresh(k)

    def preactivations(self, k: int) -> np.ndarray:
        """Return P (n, m) of cell ``k`` at its present weights."""
        pre = self.pre[k] + self._movement(k)
        neurons, points, values, _ = self._list(k)
        pre[points, neurons] = values
        return pre * self.m**0.5

    def direction(self, g: np.ndarray) -> np.ndarray | None:
        """Prepare steps along sum g_i grad u_i, ``g`` (cells, n); return their squared lengths, right for ``norms``."""
        self.g = np.ascontiguousarray(g)
        kernels.directions(
            self.scaled, self.signs, self.masks, self.pairs, self.neurons, self.points, self.listed, self.g,
            self.slopes, self.changes, self.norms_sq,
        )  # fmt: skip
        return self.norms_sq if self.norms else None

    def move(self, steps: np.ndarray) -> None:
        """Take the steps that were prepared, ``steps`` (cells,) times their directions."""
        kernels.moves(
            steps, self.g, self.slopes, self.changes, self.values, self.masks, self.pairs, self.signs, self.neurons,
            self.points, self.listed, self.since, self.own, self.predictions,
        )  # fmt: skip
        kernels.bounds(
            self.scaled, self.others, self.neurons, self.listed, self.since, self.previous, self.inverse, self.low,
            self.high, self.own, self.before, self.zeta, self.bound,
        )  # fmt: skip
        self.age += 1
        # The step was right, for the mask before it was known. The mask after it is known where the bound still holds.
        for k in np.flatnonzero(~(self.bound <= self.limit).all(axis=1) | (self.age >= self.oldest)):
            self._movement(k)
            self._refresh(k)

    def stop(self, k: int) -> None:
        """Let cell ``k`` rest from now on, at predictions of 0: it diverged."""
        self.pre[k], self.since[k], self.listed[k] = 0.0, 0.0, 0
        self.wait[k], self.drift[:] = np.inf, 0.0
        self._refresh(k)
        self.pairs[k], self.limit[k], self.oldest[k] = 0.0, np.inf, np.inf

    def _list(self, k: int) -> tuple[np.ndarray, ...]:
        """Return neurons, points, p and sums of the candidates of cell ``k``."""
        return tuple(of[k, : self.listed[k]] for of in (self.neurons, self.points, self.values, self.own))

    def _movement(self, k: int) -> np.ndarray:
        """Return by how much all pairs of cell ``k`` moved since the last refresh; the candidates' is known better."""
        neurons, points, _, own = self._list(k)
        kernels.movement_of(self.pre[k], self.signs, neurons, points, own, self.since[k], self.weighted)
        right = self.weighted if self.factor is None else self.factor @ self.weighted
        return np.matmul(self.last, right, out=self.drift)

    def _refresh(self, k: int) -> None:
        """Bring p to the present, take mask and predictions from it, and make a list if one saves time."""
        listed, age, was_dense = self.listed[k], max(self.age[k], 1.0), self.dense[k]
        moved = self.since[k].copy()
        self.counts["refreshes"] += 1
        again = kernels.settle(
            self.pre[k], self.drift, self.masks, self.pairs, k, not was_dense, self.signs, *self._list(k), moved,
            self.again, self.predictions[k],
        )  # fmt: skip
        self.wait[k] -= 1
        if not was_dense:
            work = age * max(listed - again, 0) + 1.0
            self.plan[k] = age * min(2.0, max(0.5, (GAIN * self.n * self.m / work) ** 0.5))
        made = self.wait[k] < 0 and np.isfinite(self.bound[k]).all() and self._choose(k, age)
        self.dense[k] = not made
        if made:
            self.counts["lists"] += 1
            self.counts["candidates"] += self.listed[k]
            neurons, points, _, own = self._list(k)
            own[:] = 0.0
            self.before[k, : len(own)] = self.signs[neurons] * self.weighted[points, neurons]
        else:
            self.listed[k], self.limit[k], self.low[k], self.high[k] = 0, -1.0, -2.0, 2.0
        squares = float(moved @ moved)
        self.inverse[k] = 1.0 / squares if 0 < squares < np.inf else 0.0
        self.age[k], self.oldest[k] = 0, 4 * self.plan[k]  # then a shorter list may do
        if self.low[k] < 0 and made:
            self.oldest[k], self.wait[k] = np.inf, 2  # its sum of steps says little
        if was_dense and (made or k in self.norms):
            np.copyto(self.single, self.masks[k])  # whole numbers below 2^24: exact
            self.pairs[k] = 0.5 * (self.single.T @ self.single)
        self.since[k], self.previous[k] = 0.0, moved

    def _choose(self, k: int, age: float) -> bool:
        """List the pairs that may flip while the list lasts, with its limits; False where they are too many."""
        bound = self.bound[k]
        shape = 0.25 * (bound * self.per_length).max() * self.lengths + 0.75 * bound
        swings = self.dense[k] and self.zeta[k] < 0
        for plan in self.plan[k] * 0.5 ** np.arange(4):
            tau = MARGIN * (plan / age) ** GROWTH * shape
            # Between its ends, zeta = high and zeta = low (0, or one step back), a pair moves on a line.
            low, high = (-1.1, 0.1) if swings else (0.0, plan / age)
            count = kernels.nearby(
                self.pre[k], self.drift, tau, low, high, self.again, self.neurons[k], self.points[k], self.values[k]
            )
            if count >= 0:
                self.plan[k], self.low[k], self.high[k], self.listed[k] = plan, low, high, count
                self.limit[k] = SLACK * tau + self.idle
                return True
            if plan < 2:
                break
        self.plan[k], self.wait[k] = self.ahead, DENSE
        return False
