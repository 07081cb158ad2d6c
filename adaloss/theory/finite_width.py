r"""Certificates for two-layer ReLU networks of finite width: Theorems 2 and 3 for the network at hand (docs D).

:func:`certify` takes the weights W (m, d), fixed signs a (m,), rows x (n, d) of any length and labels y (n,) as they
are now, at the start or at any step of a training on the full gradient of :math:`\tfrac12\|u - y\|^2`, and the method:

* ``eta`` alone: gradient descent with that step;
* ``eta``, ``b`` (now) and ``alpha``: AdaLoss, :math:`b_{k+1}^2 = b_k^2 + \alpha^2\sqrt n\,\|u_k - y\|^2` and the step
  :math:`\eta / b_{k+1}`.

It answers with a :class:`Certificate`, in which every bound holds for ever, or with a :class:`Refusal` and its reason.
In a loop, for as long as there is none::

    found = certify(w, a, x, y, eta=eta, b=b, alpha=alpha)
    if found.holds:
        print(f"step {k}: at most {found.iterations(eps):.0f} more until ||u - y||^2 <= {eps:g}, and so for ever")

A certificate is a theorem about training in real numbers from the floats given: what its own arithmetic may have
rounded is on the safe side (docs D5). It is not one about a training whose steps are rounded too: that one follows
until its loss is of the size of its rounding.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from adaloss.arguments import HUGE, real, shaped
from adaloss.theory.perturbation import UNIT, WIDER, Flips, Perturbation, Spectrum, neurons_of, upper_lengths
from adaloss.theory.tube import Method, Sums, Tube

SETTLED = 1e-3  # of ||z||: so far the bounds of what neurons see follow the trajectory; the rest is a geometric series
FEW = 0.02  # of the unstable pairs: as many more are enough for a round
CHUNK = 4000  # pairs that are looked at together
MANY = 5  # pairs to look at, as a multiple of all over n: above, all together are cheaper than each alone
LARGE = 1e140  # of ||z|| and ||X||^2, whose squares are in float64
LEAST = 1e-300  # of b, so that its roundings are none of numbers next to 0
ROUNDS = 200  # in which the set of unstable pairs may grow


@dataclass(frozen=True)
class Refusal:
    """Why no certificate could be given; the training may do well all the same."""

    reason: str
    holds = False


@dataclass(frozen=True)
class Certificate:
    r"""The bounds that hold from here on, k counted from the state given.

    ``unstable`` (m, n): the only (neuron, row) pairs whose activity may ever differ from now; ``neuron_moved`` (m,) and
    ``moved`` bound :math:`\|w_r(k) - w_r(0)\|` and :math:`\|W(k) - W(0)\|_F`, ``b_max`` bounds b_k; the eigenvalues of
    every H(k) lie within ``lambda_min`` and ``lambda_max``. From ``burn_in`` on no step makes the residual longer, and
    each multiplies it by at most 1 - step * ``rate``. ``rho`` is how far the steps' matrices may be from their centre,
    ``path`` bounds :math:`\sum_k \mathrm{step}_k\|u_k - y\|`.
    """

    unstable: np.ndarray
    neuron_moved: np.ndarray
    moved: float
    b_max: float
    lambda_min: float
    lambda_max: float
    burn_in: int
    rate: float
    rho: float
    path: float
    _tube: Tube = field(repr=False)
    holds = True

    def iterations(self, eps: float) -> float:
        r"""T with :math:`\|u_k - y\|^2 \le \epsilon` for ALL k >= T (twice the loss); a whole float."""
        eps = real("eps", eps, above=0.0)
        shaped("eps", eps, ())
        size = math.sqrt(float(eps)) / WIDER
        if not self._tube.follow(size) and self._tube.size > size:
            return self._tube.k + self._tube.rest(size)
        return float(next((k for k, z, *_ in self._tube.rows if k >= self.burn_in and z <= size), self._tube.k))

    def sizes(self, eps: float) -> np.ndarray:
        r"""Rows (k, bound of :math:`\|u_k - y\|` until the next row's k), until its square is at most eps."""
        last = self.iterations(eps)
        rows = [row[:2] for row in self._tube.rows] + [(self._tube.k, self._tube.size)]
        end = next((i for i, (k, _) in enumerate(rows) if k >= last), len(rows) - 1)  # later ones: a smaller eps's
        return np.array(rows[: end + 1])


class _Network:
    """A network in its activities, with what rounding may have done to each number."""

    def __init__(self, w: np.ndarray, a: np.ndarray, x: np.ndarray, y: np.ndarray):
        m, d = w.shape
        self.signs, self.root = a, math.sqrt(m)
        self.lengths = upper_lengths(x)
        self.size = float(upper_lengths(self.lengths[None])[0])  # of x, in Frobenius's norm
        self.inner = x @ x.T
        self.inner_error = (d + 2) * UNIT * self.lengths * self.size  # of a row of K = X X', in norm
        self.p = w @ x.T
        self.p_error = (d + 4) * (UNIT * upper_lengths(w)[:, None] * self.lengths + 1e-323)
        outputs = np.maximum(self.p, 0.0)
        u = a @ outputs / self.root
        self.z = u - y
        errors = (m + 6) * UNIT * outputs.sum(axis=0) * 1.01 + self.p_error.sum(axis=0) * 1.01
        errors = errors / self.root + 4 * UNIT * (np.abs(u) + np.abs(y))
        self.z_error = float(upper_lengths(errors[None])[0])
        self.length = float(upper_lengths(self.z[None])[0])
        self.margins = (np.abs(self.p) - self.p_error) * self.root / WIDER
        self.on = self.p > 0
        active = self.on.astype(np.float64)
        self.pairs_on = active.T @ active  # whole numbers


def _follow(network: _Network, unstable: np.ndarray, method: Method) -> Tube | Refusal:
    """The centre of all matrices that the unstable pairs allow, and a tube that is followed until z has shrunk."""
    n = len(network.z)
    flips = Flips.of(network.inner, network.on, unstable, network.pairs_on)
    perturbation = Perturbation.least(network.inner, flips, network.inner_error, network.size)
    centre, defect = perturbation.centre, perturbation.defect
    error = (network.z_error + (centre.turn + 2 * n * UNIT * math.sqrt(n)) * network.length) * WIDER
    tube = Tube(perturbation, centre.vectors.T @ network.z, error, method)
    if not tube.bottom > defect:
        return Refusal(
            f"lambda_min(H)={tube.bottom:.3g} is not above its rounding, {defect:.2g}: rows repeat, or depend on each "
            "other where the same neurons are active"
        )
    if not perturbation.rate(0.0) > 0:
        return Refusal(
            f"{unstable.sum()} of {unstable.size} activities may change, which may move H by {tube.rho:.3g}, too much "
            f"for lambda_min(H)={tube.bottom:.3g}"
        )
    if not tube.follow(SETTLED * tube.first) and tube.exit is None:
        step = method.eta / math.hypot(method.b, method.a * network.length)
        return Refusal(
            f"the first step, {step:.3g}, is too near to 2/||H||={2 / tube.top:.3g} or above, and b rises too late"
        )
    return tube


def _reach(network: _Network, tube: Tube, sums: Sums, unstable: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Bound how far sqrt(m) |w_r . x_i| may come towards 0, for pairs that are stable: B_ri of docs D3.

    ``pairs`` are places r n + i. A coarser bound where that is below the margin.
    """
    if len(pairs) > CHUNK:  # what does not fit into a cache takes longer
        parts = np.array_split(pairs, -(-len(pairs) // CHUNK))
        return np.concatenate([_reach(network, tube, sums, unstable, part) for part in parts])
    n = len(tube.c)
    r, i = np.divmod(pairs, n)
    free = unstable[r]
    known = network.on[r] & ~free
    seen = network.inner[i] * known
    sign = np.where(network.on[r, i], network.signs[r], -network.signs[r])
    along = seen @ tube.vectors
    far = tube.c / tube.values
    gains = sign[:, None] * along * far
    slack = (sums.pushes + tube.error_at_exit) * WIDER
    less = (sums.but_second + tube.error_at_exit) * WIDER
    sideways = tube.perturbation.sideways * sums.after * WIDER
    growth = np.maximum(1.0, tube.step * tube.values) * WIDER
    worst = growth / tube.values * WIDER
    length = np.sqrt(np.einsum("pj,pj->p", seen, seen))
    plain, scaled = np.sqrt((along * along) @ np.array([worst**2, growth**2]).T).T
    loose = np.minimum(plain * slack, plain * less + scaled * sideways) + length * sums.errors_before
    others = network.inner[i] * free
    signed = sign[:, None] * others
    rising = np.maximum(signed, 0.0)
    loose += (
        rising @ sums.above
        + (rising - signed) @ sums.below
        + np.sqrt(np.einsum("pj,pj->p", others, others)) * sums.errors
    )
    # What rounding may have done to K, V and the sums above.
    reach = np.maximum(np.abs(sums.low), np.abs(sums.high)).max(axis=0)
    far = math.sqrt(float(((far * (2 + reach)) ** 2).sum())) + float(worst.max()) * (slack + tube.top * sideways)
    loose += length * (2 * tube.perturbation.centre.turn + (2 * n + 8) * UNIT) * far
    tiny = network.inner_error * (far + sums.errors + float(network.lengths @ (sums.above + sums.below)) / network.size)
    loose, wider = loose + tiny[i], 1 + (2 * n + 32) * UNIT
    rising = np.maximum(gains, 0.0)
    drift = rising @ (1 - sums.low.min(axis=0)) + (rising - gains) @ np.maximum(sums.high.max(axis=0) - 1, 0.0)
    near = np.flatnonzero(~(network.margins[r, i] > (drift + loose) * wider))
    gains, rising = gains[near], rising[near]
    left = rising @ sums.low.T + (gains - rising) @ sums.high.T
    drift[near] = np.maximum(gains.sum(axis=1) - left.min(axis=1), 0.0)
    return (drift + loose) * wider


def _least_reach(network: _Network, tube: Tube, sums: Sums, unstable: np.ndarray) -> np.ndarray:
    """Bound from below what ``_reach`` answers, for all pairs in a few products: a pair that fails here fails there."""
    inner, (known, free) = network.inner, (network.on & ~unstable, unstable.astype(np.float64))
    towards = network.signs[:, None] * np.where(network.on, 1.0, -1.0)
    drift = towards * ((known * (tube.vectors @ (tube.c / tube.values))) @ inner)
    length = np.sqrt(known @ inner**2)
    slow = np.abs((known * tube.vectors[:, 0]) @ inner) / tube.bottom
    slack, less = sums.pushes + tube.error_at_exit, sums.but_second + tube.error_at_exit
    plain = np.maximum(length / tube.top, slow)
    loose = np.minimum(plain * slack, plain * less + length * (tube.perturbation.sideways * sums.after))
    up, down = np.maximum(inner, 0.0), np.maximum(-inner, 0.0)
    ends = [free @ (a * sums.above[:, None] + b * sums.below[:, None]) for a, b in ((up, down), (down, up))]
    loose += length * sums.errors_before + np.where(towards > 0, *ends) + np.sqrt(free @ inner**2) * sums.errors
    return np.maximum(drift, 0.0) + loose


def _number(name: str, value: float, least: float, most: float) -> float:
    array = real(name, value, least=least, most=most)
    shaped(name, array, ())
    return float(array)


def certify(
    w: np.ndarray, a: np.ndarray, x: np.ndarray, y: np.ndarray, *, eta: float, b: float = 1.0, alpha: float = 0.0
) -> Certificate | Refusal:
    r"""Certify a training from this state on, or say why that is not possible (docs D3, D4).

    ``alpha`` = 0 leaves b where it is: gradient descent with the step eta / b. Raises ValueError, naming the argument,
    for what is not an array of finite real numbers of the shape above, at most 1e100 in absolute value, signs but -1
    and 1, and for ``eta`` outside of 1e-100 to 1e100, ``b`` of 1e-300 to 1e300, ``alpha`` of 0 to 1e100.

    The first call compiles where numba is there, for up to 20 s; numba keeps the result for later processes.
    """
    w, a, x, y = (real(n, v, most=HUGE, axes=k) for n, v, k in (("w", w, 2), ("a", a, 1), ("x", x, 2), ("y", y, 1)))
    shaped("a", a, w.shape[:1])
    shaped("w", w, (len(w), x.shape[1]))
    shaped("y", y, x.shape[:1])
    if not (np.abs(a) == 1.0).all():
        raise ValueError("a: its entries should be -1 and 1")
    eta, b = _number("eta", eta, 1 / HUGE, HUGE), _number("b", b, LEAST, 1e300)
    alpha = _number("alpha", alpha, 0.0, HUGE)
    with np.errstate(all="ignore"):
        network = _Network(w, a, x, y)
    if not (network.length < LARGE and network.size**2 < LARGE) or 0 < network.size**2 < 1 / HUGE:
        return Refusal(f"||u - y||={network.length:.3g} and ||X||_F={network.size:.3g}: products would leave float64")
    with np.errstate(all="ignore"):
        return _closed(network, Method(eta, b, alpha * len(y) ** 0.25))


def _closed(network: _Network, method: Method) -> Certificate | Refusal:
    """Grow the set of unstable pairs until no other may flip.

    A reach hardly grows by more than kappa_ri times what the path does: pairs that are further away than that wait
    until no other is left, and then are looked at all the same. ``needed`` is the path that a pair's margin is worth,
    ``last`` are the reaches that were seen last, and ``paths`` Sigma at that time.
    """
    unstable, margins = np.abs(network.p) <= network.p_error, network.margins.ravel()
    needed, last, paths = np.empty(unstable.shape), np.full(unstable.size, np.inf), np.zeros(unstable.size)
    squares, (m, n) = network.inner**2, unstable.shape
    changed = np.ones(m, dtype=bool)
    for _ in range(ROUNDS):
        found = _follow(network, unstable, method)
        if isinstance(found, Refusal):
            return found
        tube, sums = found, found.sums()
        active = (network.on[changed] | unstable[changed]).astype(np.float64)
        kappa = np.sqrt(active @ squares) * (1 + (n + 16) * UNIT) + network.inner_error
        needed[changed] = network.margins[changed] / kappa
        near = ~unstable & ~(needed > sums.total * WIDER)  # nan is near
        flips, enough = np.empty(0, dtype=int), FEW * unstable.sum()
        if n * near.sum() > MANY * near.size:
            sure = near & ~(network.margins > _least_reach(network, tube, sums, unstable))
            flips, near = np.flatnonzero(sure), near & ~sure
        pairs = np.flatnonzero(near)
        grown = last[pairs] + margins[pairs] / needed.ravel()[pairs] * (sums.total - paths[pairs])
        due = ~(margins[pairs] > grown)
        for chosen, few in ((due, enough), (~due, 0)):
            if len(flips) > few:
                break
            some = pairs[chosen]
            last[some], paths[some] = _reach(network, tube, sums, unstable, some), sums.total
            flips = np.concatenate([flips, some[~(margins[some] > last[some])]])
        if not len(flips):
            return _certificate(network, unstable, tube, sums)
        unstable.ravel()[flips] = True
        changed = neurons_of(flips, unstable.shape)
        paths.reshape(m, n)[changed] = 0.0  # such a neuron sees another sum now
    return Refusal(f"{unstable.sum()} of {unstable.size} activities may change, and more after {ROUNDS} rounds")


def _certificate(network: _Network, unstable: np.ndarray, tube: Tube, sums: Sums) -> Certificate:
    touched = (network.on | unstable) @ (network.lengths**2)
    widest = np.minimum(touched, Spectrum.of(network.inner).norm + float(network.inner_error.sum()))
    low, high = tube.perturbation.rate(0.0), (tube.top + tube.rho) * WIDER
    wider = 1 + (len(tube.c) + 16) * UNIT
    return Certificate(
        unstable=unstable,
        neuron_moved=np.sqrt(widest) * (sums.total / network.root * wider),
        moved=math.sqrt(high) * sums.total * wider,
        b_max=tube.b_limit,
        lambda_min=low,
        lambda_max=high,
        burn_in=tube.exit,
        rate=tube.nu,
        rho=tube.rho,
        path=sums.total,
        _tube=tube,
    )
