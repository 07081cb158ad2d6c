r"""Two-layer networks under gradient steps, many side by side, where only the pairs near a kink are worked at.

The preactivations P = X W' (n, m) of a network are held as :math:`p_{ri} = a_r P_{ir}/\sqrt m`, neurons as rows, so
that :math:`u_i = \sum_r M_{ri}p_{ri}` with the mask :math:`M_{ri} = [P_{ir} > 0]`. With :math:`K = XX^\top`, a step
:math:`W \leftarrow W - s\sum_i g_i\nabla u_i` is :math:`p_{ri} \leftarrow p_{ri} - \frac sm\sum_j M_{rj} g_j K_{ji}`.

Most of M stays what it is for many steps. So a *refresh* lists as *candidates* the pairs (r, i) that may change sign
soon, and until the next one only they are followed one by one: :math:`M = F + S`, where the candidates' part S changes
as freely and as often as it will, and F is constant and 0 at the candidates. (Many do flip at nearly every step: where
:math:`K_{ii}` prevails, a kink holds what has come to it.) For candidates :math:`c = (r, i)`, with
:math:`w_c = S_c g_i`, a step is

.. math:: p_c \leftarrow p_c - s\,(A^\top g + Q w)_c, \qquad v \leftarrow v - s\,(H_F g + A w), \qquad
          u_i = v_i + \sum_{c = (\cdot, i)} S_c\, p_c

with :math:`H_F = K \circ F^\top F/m`, :math:`A_{jc} = K_{ji}F_{rj}/m`, and :math:`Q_{cc'} = K_{ii'}/m` for candidates
(r, i), (r, i') of one neuron, else 0: all constant between refreshes. The squared length of the gradient comes with it.

Nothing is neglected. With Z the sum of the steps s g since the refresh, and :math:`z_c` that of the s w, the pairs
outside the list have moved by :math:`-\frac1m\sum_j K_{ij}(F_{rj}Z_j + z_{rj})`. It is much the same movement as
:math:`D = -\frac1m Z' K` between the last two refreshes, :math:`Z'_{rj}` the sum of all that moved there: for any
:math:`\zeta`, the pair is at :math:`p_{ri} + \zeta D_{ri}` up to

.. math:: \frac1m\Big|\sum_j K_{ij}F_{rj}\rho_j + \sum_{c = (r, j)} K_{ij}(z_c - \zeta Z'_c)\Big| \le
          \frac1{2m}\Big(\sum_j |K_{ij}\rho_j| + \big|\sum_j K_{ij}\rho_j\big|\Big)
          + \frac1m\max_{j \ne i}|K_{ij}|\,\max_r\sum_{c = (r, \cdot)}|z_c - \zeta Z'_c|, \quad \rho = Z - \zeta Z'

where Z' without a neuron is that of the pairs that were on throughout; pairs for which :math:`Z'_{rj} = F_{rj}Z'_j`
does not hold are all listed again. Listed are all pairs that come within :math:`\tau_i` of 0 for some :math:`\zeta`
between ``low`` and ``high``: while the bound stays below :math:`\tau_i`, no other can have flipped. When it does not,
the steps since the last refresh are applied to all of p, by one matrix product, and the mask is taken anew. Where so
many pairs are candidates that a list gains nothing, every step is such a product.
"""

from collections import Counter

import numpy as np

AHEAD = 8.0  # steps that the first list after a dense step is meant to last
SHARE = 1 / 16  # of all pairs: with more candidates than this a list gains nothing
GAIN = 0.3  # a list is to last GAIN n m / (its candidates) steps: then its making costs about what its use does
DENSE = 8  # steps without a list before another is tried
GROWTH = 1.5
MARGIN = 1.2  # of tau over what the bound is expected to be at the end of the list
SLACK = 1 - 1e-6  # of tau: the rest is for rounding
CELLS = 20  # networks side by side at most: the matrices of the bound always have so many rows


class _Cell:
    """What one network has to itself: p and F as matrices, its list, and the list's place among the flat arrays."""

    def __init__(self, pre: np.ndarray, ahead: float):
        self.pre, self.fixed = pre.copy(), np.empty_like(pre)
        self.plan, self.wait, self.dense = ahead, 1, True
        self.where = np.empty(0, dtype=np.intp)
        self.slot = slice(0, 0)

    def couple(self, where: np.ndarray, scaled: np.ndarray) -> None:
        """List the pairs ``where`` (flat indices): F, and what couples them to the points and to each other."""
        n, count = self.pre.shape[1], len(where)
        self.where = where
        self.neurons, self.points = np.divmod(where, n)
        self.fixed.reshape(-1)[where] = 0.0
        self.coupling = scaled.take(self.points, axis=0)
        self.coupling *= self.fixed.take(self.neurons, axis=0)
        # Q: its diagonal, and all ordered pairs of candidates of one neuron, which follow each other in the list.
        self.itself = np.diag(scaled).take(self.points)
        new = np.ones(count, dtype=bool)
        np.not_equal(self.neurons[1:], self.neurons[:-1], out=new[1:])
        self.group = np.cumsum(new) - 1  # the neurons that have candidates, numbered
        of = np.bincount(self.group, minlength=1)
        many = of.take(self.group)
        first = np.repeat(np.arange(count), many)
        begin, place = (np.cumsum(of) - of).take(self.group), np.cumsum(many) - many
        second = np.arange(len(first)) + np.repeat(begin - place, many)
        apart = np.flatnonzero(first != second)
        self.first, self.second = first.take(apart), second.take(apart)
        self.between = scaled[self.points.take(self.first), self.points.take(self.second)]


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
        norms: range = range(0),
        ahead: float = AHEAD,
    ):
        self.n, self.m = n, m = preactivations.shape
        self.inner, self.norms, self.ahead = inner, norms, ahead
        self.scaled, self.absolute = inner / m, np.abs(inner)
        # K is applied as X times X' where that is cheaper.
        self.factor, self.last = (x, x.T / -m) if 2 * x.shape[1] < n else (None, -self.scaled)
        self.order = np.argsort(-a, kind="stable")  # positive neurons first: the mask is p > 0, then p < 0
        self.signs_of, self.positive = a[self.order], int(np.count_nonzero(a > 0))
        self.lengths = np.linalg.norm(inner, axis=1) / m  # of K_i: how far a step of length 1 may move point i
        self.others = (self.absolute - np.diag(np.diag(self.absolute))).max(axis=1) / m  # candidate (r, i) is listed
        self.idle = np.where(self.lengths > 0, 0.0, np.inf)  # a row that is 0 stays 0
        self.per_length = 1.0 / np.where(self.lengths > 0, self.lengths, 1.0)
        self.ones, self.counts = np.ones(m), Counter()
        # Of one cell at a time.
        self.weighted, self.drift, self.end, self.other, self.scratch = (np.empty((m, n)) for _ in range(5))
        self.single = np.empty((m, n), dtype=np.float32)
        self.mask, self.near, self.flag = (np.empty((m, n), dtype=bool) for _ in range(3))
        # Of all cells.
        self.shape, self.heads = (cells, n), cells * n
        self.gram, self.extra = np.zeros((cells, n, n)), np.zeros((cells, n))
        self.rho, self.bound = np.zeros((CELLS, n)), np.zeros((cells, n))
        self.limit, self.inverse = np.full((cells, n), -1.0), np.zeros(cells)
        self.low, self.high, self.zeta = (np.zeros(cells) for _ in range(3))
        self.age, self.oldest = np.zeros(cells), np.ones(cells)
        pre = np.ascontiguousarray((preactivations * (a / m**0.5)).T[self.order])
        self.cells = [_Cell(pre, ahead) for _ in range(cells)]
        for cell in self.cells:
            cell.couple(cell.where, self.scaled)
        self.values, self.moved, self.earlier = np.zeros((3, self.heads))
        self.capacity = np.full(cells, -1)
        self._place([self._refresh(k) for k in range(cells)])
        self._look()

    def preactivations(self, k: int) -> np.ndarray:
        """P (n, m) of cell ``k`` at its present weights."""
        cell, out = self.cells[k], np.empty((self.n, self.m))
        pre = cell.pre + self._movement(k)
        pre.reshape(-1)[cell.where] = self.values[cell.slot]
        out[:, self.order] = pre.T * (self.signs_of * self.m**0.5)
        return out

    def direction(self, g: np.ndarray) -> np.ndarray | None:
        """Prepare steps along sum g_i grad u_i, ``g`` (cells, n); return the squared lengths of those of ``norms``."""
        heads, weights, change = self.heads, self.weights, self.change
        np.take(g, self.source, out=weights, mode="clip")
        weights *= self.active
        np.matmul(self.gram, g[..., None], out=change[:heads].reshape(*self.shape, 1))
        for coupling, own_g, own_weights, tail, extra in self.products:
            np.dot(coupling, own_g, out=tail)
            np.dot(own_weights, coupling, out=extra)
        change[:heads] += self.extra.reshape(-1)
        change += np.multiply(self.itself, weights, out=self.work)
        if len(self.first):
            change += np.bincount(self.first, self.between * weights.take(self.second), len(change))
        if not self.norms:
            return None
        some = slice(self.norms.start, self.norms.stop)
        start, stop = self.starts[some.start], self.ends[some.stop - 1]
        own = np.add.reduceat(weights[start:stop] * change[start:stop], self.starts[some] - start)
        return own + np.vecdot(g[some], change[:heads].reshape(self.shape)[some])

    def move(self, steps: np.ndarray) -> None:
        """Take the steps that were prepared, ``steps`` (cells,) times their directions."""
        steps.take(self.cell_of, out=self.work, mode="clip")
        self.change *= self.work
        self.values -= self.change
        self.weights *= self.work
        self.moved += self.weights
        # The step was right, for the mask before it was known. The mask after it is known where the bound still holds.
        ended = np.flatnonzero(self._ended())
        if len(ended):
            self._place([self._refresh(k, self._movement(k)) for k in ended])
        self._look()

    def stop(self, k: int) -> None:
        """Cell ``k`` rests from now on, at predictions of 0: it diverged."""
        cell = self.cells[k]
        cell.pre[:], cell.fixed[:], self.moved[k * self.n : (k + 1) * self.n] = 0.0, 0.0, 0.0
        cell.wait = np.inf
        self._place([self._refresh(k)])
        self.gram[k], self.limit[k], self.oldest[k] = 0.0, np.inf, np.inf
        self._look()

    def _look(self) -> None:
        """S and u from the candidates' p, where v counts as a candidate that is always on."""
        np.multiply(self.values, self.signs, out=self.work)
        np.copyto(self.active, np.greater(self.work, self.threshold))
        np.multiply(self.values, self.active, out=self.work)
        self.predictions = np.bincount(self.source, self.work, self.heads).reshape(self.shape)

    def _ended(self) -> np.ndarray:
        """Which cells' lists no longer hold, (cells,)."""
        heads, count = self.heads, len(self.cells)
        z, earlier = self.moved[:heads].reshape(self.shape), self.earlier[:heads].reshape(self.shape)
        self.zeta = zeta = np.minimum(np.maximum(np.vecdot(z, earlier) * self.inverse, self.low), self.high)
        np.subtract(z, zeta[:, None] * earlier, out=self.rho[:count])
        bound = np.abs(self.rho) @ self.absolute
        bound += np.abs(self.rho @ self.inner)
        bound *= 0.5 / self.m
        self.bound = bound = bound[:count]
        off = zeta.take(self.cell_of)
        off *= self.earlier
        np.subtract(self.moved, off, out=off)
        np.abs(off, out=off)
        own = np.bincount(self.bins, off, len(off))
        bound += np.maximum.reduceat(own, self.starts)[:, None] * self.others
        self.age += 1
        return ~(bound <= self.limit).all(axis=1) | (self.age >= self.oldest)

    def _movement(self, k: int) -> np.ndarray:
        """What all pairs of cell ``k`` moved by since its last refresh; the candidates' is known better."""
        cell = self.cells[k]
        np.multiply(cell.fixed, self.moved[k * self.n : (k + 1) * self.n], out=self.weighted)
        self.weighted.reshape(-1)[cell.where] = self.moved[cell.slot]
        left = self.weighted if self.factor is None else self.weighted @ self.factor
        return np.matmul(left, self.last, out=self.drift)

    def _refresh(self, k: int, movement: np.ndarray | None = None) -> tuple:
        """Bring p to the present, take mask and predictions from it, and make a list where one is worth its while."""
        if movement is not None:
            self.cells[k].pre += movement
            self.cells[k].pre.reshape(-1)[self.cells[k].where] = self.values[self.cells[k].slot]
        cell, n, half, head = self.cells[k], self.n, self.positive, slice(k * self.n, (k + 1) * self.n)
        pre, fixed, age, listed = cell.pre, cell.fixed, max(self.age[k], 1.0), len(cell.where)
        moved = self.moved[head].copy()
        self.counts["refreshes"] += 1
        np.greater(pre[:half], 0.0, out=self.mask[:half])
        np.less(pre[half:], 0.0, out=self.mask[half:])
        # Again in the next list, for they did not move as an unlisted pair does: candidates that flipped, and what the
        # last step, beyond the bound, made flip outside the list.
        np.not_equal(self.mask, fixed, out=self.flag)
        steady = self.mask.reshape(-1).take(cell.where) * moved.take(cell.points)
        self.flag.reshape(-1)[cell.where] = steady != self.moved[cell.slot]
        again = np.flatnonzero(self.flag)
        np.copyto(fixed, self.mask)
        np.multiply(pre, fixed, out=self.scratch)
        predictions = self.ones @ self.scratch
        cell.wait -= 1
        if not cell.dense:
            work = age * max(listed - len(again), 0) + 1.0
            cell.plan = age * min(2.0, max(0.5, (GAIN * n * self.m / work) ** 0.5))
        where = self._choose(k, moved, age, again) if cell.wait < 0 and np.isfinite(self.bound[k]).all() else None
        cell.dense = where is None
        if cell.dense:
            where, self.limit[k], self.low[k], self.high[k] = np.empty(0, dtype=np.intp), -1.0, -2.0, 2.0
        else:
            self.counts["lists"] += 1
            self.counts["candidates"] += len(where)
        squares = float(moved @ moved)
        self.inverse[k] = 1.0 / squares if 0 < squares < np.inf else 0.0
        self.age[k], self.oldest[k] = 0, 4 * cell.plan  # then a shorter list may do
        if self.low[k] < 0 and not cell.dense:
            self.oldest[k], cell.wait = np.inf, 2  # its sum of steps says little
        on = fixed.reshape(-1).take(where)
        if listed or len(where):
            cell.couple(where, self.scaled)
        if not cell.dense or k in self.norms:
            np.copyto(self.single, fixed)  # whole numbers below 2^24: exact
            np.multiply(self.scaled, self.single.T @ self.single, out=self.gram[k])
        p = pre.reshape(-1).take(where)
        predictions -= np.bincount(cell.points, p * on, n)
        self.values[head], self.moved[head], self.earlier[head] = predictions, 0.0, moved
        cell.slot = None
        return k, p, np.zeros(len(p)), self.weighted.reshape(-1).take(where)

    def _choose(self, k: int, moved: np.ndarray, age: float, again: np.ndarray) -> np.ndarray | None:
        """The pairs that may flip while the list lasts, with its limits; None where they are too many."""
        cell, bound, near, flag = self.cells[k], self.bound[k], self.near, self.flag
        shape = 0.25 * (bound * self.per_length).max() * self.lengths + 0.75 * bound
        swings = cell.dense and self.zeta[k] < 0
        for plan in (cell.plan, cell.plan / 2, cell.plan / 4, cell.plan / 8):
            tau = MARGIN * (plan / age) ** GROWTH * shape
            # Between its ends, zeta = high and zeta = low (0, or one step back), a pair moves on a line.
            low, high = (-1.1, 0.1) if swings else (0.0, plan / age)
            ends = [cell.pre, np.multiply(self.drift, high, out=self.end)]
            self.end += cell.pre
            if swings:
                ends[0] = np.multiply(self.drift, low, out=self.other)
                self.other += cell.pre
            # Near is what does not stay above tau, nor below -tau.
            np.less(np.minimum(*ends, out=self.scratch), tau, out=near)
            np.greater(np.maximum(*ends, out=self.scratch), -tau, out=flag)
            near &= flag
            near.reshape(-1)[again] = True
            if np.count_nonzero(near) <= SHARE * near.size:
                cell.plan, self.low[k], self.high[k], self.limit[k] = plan, low, high, SLACK * tau + self.idle
                return np.flatnonzero(near)
            if plan < 2:
                break
        cell.plan, cell.wait = self.ahead, DENSE
        return None

    def _place(self, lists: list[tuple]) -> None:
        """Put new lists among the flat arrays: of each its cell, p, moved and earlier."""
        counts = np.array([len(cell.where) for cell in self.cells])
        if (counts > self.capacity).any() or self.capacity.sum() > 1.6 * counts.sum() + 64 * len(counts):
            lists = lists + [
                (k, self.values[cell.slot], self.moved[cell.slot], self.earlier[cell.slot])
                for k, cell in enumerate(self.cells)
                if cell.slot is not None
            ]
            self._lay_out(counts + counts // 4 + 16)
        for k, *own in lists:
            self._fill(k, *own)
        listed = [cell for cell in self.cells if len(cell.where)]
        self.products = [cell.product for cell in listed]
        self.first = np.concatenate([cell.from_first for cell in listed]) if listed else ()
        if listed:
            self.second = np.concatenate([cell.to_second for cell in listed])
            self.between = np.concatenate([cell.between for cell in listed])

    def _lay_out(self, capacity: np.ndarray) -> None:
        """New flat arrays: v of all cells, then places for the candidates of each."""
        heads, cells = self.heads, np.arange(len(capacity))
        self.capacity, self.ends = capacity, heads + np.cumsum(capacity)
        self.starts = self.ends - capacity
        size = int(self.ends[-1])
        for name in ("values", "moved", "earlier"):
            old = getattr(self, name)
            setattr(self, name, np.zeros(size))
            getattr(self, name)[:heads] = old[:heads]
        self.change, self.weights, self.active, self.work, self.signs, self.itself, self.threshold = np.zeros((7, size))
        self.threshold[:heads] = -1.0
        self.source, self.bins = np.arange(size), np.arange(size)
        self.source[heads:] = 0
        self.cell_of = np.concatenate([np.repeat(cells, self.n), np.repeat(cells, capacity)])

    def _fill(self, k: int, p: np.ndarray, moved: np.ndarray, earlier: np.ndarray) -> None:
        """Write what belongs to the candidates of cell ``k`` into the flat arrays."""
        cell, start, weights, change = self.cells[k], int(self.starts[k]), self.weights, self.change
        cell.slot = slot = slice(start, start + len(p))
        rest = slice(slot.stop, int(self.ends[k]))
        for flat, own in (
            (self.values, p),
            (self.moved, moved),
            (self.earlier, earlier),
            (self.signs, self.signs_of.take(cell.neurons)),
            (self.itself, cell.itself),
        ):
            flat[slot] = own
            flat[rest] = 0.0
        change[rest] = 0.0
        np.add(cell.points, k * self.n, out=self.source[slot])
        np.add(cell.group, start, out=self.bins[slot])
        cell.from_first, cell.to_second = cell.first + start, cell.second + start
        self.extra[k] = 0.0
        head = slice(k * self.n, (k + 1) * self.n)
        cell.product = cell.coupling, weights[head], weights[slot], change[slot], self.extra[k]
