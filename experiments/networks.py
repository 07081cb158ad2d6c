"""Certificates of two-layer networks compared with the trainings that they are about: every promise, at every step.

    python -m experiments.networks certified=20 adversarial=8
    python -m experiments.networks sweep=figure_networks                         what make theory-check checks

A run draws networks and methods of all regimes until ``certified`` and then ``adversarial`` of them have a certificate
(:func:`draw`). It trains each of the first in float64 for at most ``max_steps``, and counts what was promised and
broken (:func:`violations`). Of the others it trains what no network does, but the proofs allow: at every step the
activities of the unstable pairs are chosen, at both ends of the step (:func:`adversary`). The history has a row each.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from adaloss.theory.finite_width import Certificate, certify
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Progress, SeedList
from experiments.runs.store import Run

NAME = "networks"

TOLERANCE = 1e-9  # relative: what thousands of roundings may do to a training
PROMISES = ("size", "target", "falls", "stable", "neuron", "moved", "b", "eigenvalues")

# (z, K, k) -> the activities at the start of step k and its shares theta, both (m, n), used on the unstable pairs
Adversary = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


class Network(NamedTuple):
    """The arguments of ``certify``."""

    w: np.ndarray
    a: np.ndarray
    x: np.ndarray
    y: np.ndarray
    eta: float
    b: float
    alpha: float


def draw(rng: np.random.Generator) -> Network:
    """A network that may be certified: 1 to 12 rows of unequal lengths, alike or not, 1 to 3000 neurons, any labels.

    Half of them gradient descent with 0.02 to 1.98 over ||H||, half AdaLoss with b_0 from 1e-12 to 1e6.
    """

    def decades(low: float, high: float) -> float:
        return float(10.0 ** rng.uniform(low, high))

    n, d, m = int(rng.integers(1, 13)), int(rng.integers(1, 31)), int(decades(0, 3.5))
    x = rng.normal(size=(n, d)) + rng.choice([0.0, decades(-1, 0.7)]) * rng.normal(size=d)
    x *= rng.choice([1.0, decades(-1, 1)], n)[:, None] / np.linalg.norm(x, axis=1, keepdims=True)
    w, a = rng.normal(size=(m, d)) * decades(-1, 1), rng.choice([-1.0, 1.0], m)
    u = np.maximum(w @ x.T, 0.0).T @ a / m**0.5
    y = u + rng.normal(size=n) * decades(-3, 0.7) * (m**0.5 * np.abs(w).mean() / 30)
    on = (w @ x.T > 0).astype(float)
    top = max(float(np.linalg.eigvalsh(x @ x.T * (on.T @ on) / m)[-1]), 1e-3)
    if rng.uniform() < 0.5:
        return Network(w, a, x, y, rng.choice([rng.uniform(0.02, 1.98), 1.0, 1.9]) / top, 1.0, 0.0)
    alpha, size = decades(-2, 1), float(np.linalg.norm(y - u))
    eta = alpha * n**0.25 * size / top * decades(-2, 1)
    return Network(w, a, x, y, eta, float(rng.choice([decades(-12, 6), eta * top * decades(-1, 1)])), alpha)


def violations(network: Network, found: Certificate, eps: float, most: int, choose: Adversary | None = None) -> dict:
    """Count how often each of PROMISES is broken in ``most`` steps of training; eps is the target of ||u - y||^2.

    ``steps`` is the first step from which on it was met, ``most`` where it was not.
    """
    w, a, x, y, eta, b, alpha = network
    m, n = len(w), len(y)
    inner, first, start, w = x @ x.T, w @ x.T, w, w.copy()
    p, z, on = first, np.maximum(first, 0.0).T @ a / m**0.5 - y, first > 0
    path, last, broken = found.sizes(eps), found.iterations(eps), dict.fromkeys(PROMISES, 0)
    floor = 1e-13 * (np.abs(z).max() + np.abs(y).max()) * n  # what rounding leaves of z
    before, steps = np.inf, 0
    for k in range(most):
        size = float(np.linalg.norm(z))
        steps = k + 1 if size**2 > eps else steps
        bound = path[np.searchsorted(path[:, 0], k, side="right") - 1, 1]
        broken["size"] += size > bound * (1 + TOLERANCE) + floor
        broken["target"] += k >= last and size**2 > eps * (1 + TOLERANCE) + floor**2
        broken["falls"] += k > found.burn_in and size > before * (1 + TOLERANCE) + floor
        broken["stable"] += bool((((p > 0) != on) & ~found.unstable).any())
        b = float(np.hypot(b, alpha * n**0.25 * size))
        broken["b"] += b > found.b_max * (1 + TOLERANCE)
        if choose is None:
            change = w - start
            moved = np.sqrt(np.vecdot(change, change))
            broken["neuron"] += bool((moved > found.neuron_moved * (1 + TOLERANCE) + 1e-12).any())
            broken["moved"] += np.linalg.norm(moved) > found.moved * (1 + TOLERANCE) + 1e-12
            active = p > 0
            if k.bit_count() <= 2:
                ends = np.linalg.eigvalsh(inner * (active.T.astype(float) @ active) / m)
                slack = TOLERANCE * found.lambda_max
                broken["eigenvalues"] += ends[0] < found.lambda_min - slack or ends[-1] > found.lambda_max + slack
            w -= (a[:, None] * active * (eta / b / m**0.5 * z)) @ x
            p = w @ x.T
            z = np.maximum(p, 0.0).T @ a / m**0.5 - y
        else:
            begin, end = (np.where(found.unstable, chosen, on).astype(float) for chosen in choose(z, inner, k))
            p = np.where(found.unstable, p, p - (eta / b / m**0.5) * (a[:, None] * ((begin * z) @ inner)))
            z = z - (eta / b / m) * ((inner * (end.T @ begin)) @ z)
        before = size
    return broken | {"steps": steps}


def adversary(network: Network, found: Certificate, rng: np.random.Generator, kind: int) -> Adversary:
    """One of four: at random, one direction of each neuron for all steps, all on and all off in turn, and greedy."""
    shape = found.unstable.shape

    def choose(z: np.ndarray, inner: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if kind == 0:
            return rng.integers(0, 2, shape), rng.integers(0, 2, shape)
        if kind == 1:
            begin = network.a[:, None] * z > 0
            return begin, ~begin
        if kind == 2:
            all_on = np.full(shape, k // 2 % 2)
            return all_on, all_on
        begin = np.broadcast_to(z > 0, shape)  # end: whatever lets ||z|| fall least
        return begin, ((begin * z) @ inner) * z < 0

    return choose


def measured(network: Network, rng: np.random.Generator, most: int, kind: int | None) -> dict | None:
    """Return a row of the history, with an adversary of this kind if there is one; None without a certificate."""
    found = certify(*network[:4], eta=network.eta, b=network.b, alpha=network.alpha)
    if not found.holds:
        return None
    z = np.maximum(network.w @ network.x.T, 0.0).T @ network.a / len(network.w) ** 0.5 - network.y
    eps = float(z @ z) * 10.0 ** rng.uniform(-10, 0)
    bound = found.iterations(eps)
    choose = None if kind is None else adversary(network, found, rng, kind)
    steps = int(min(bound + 5, most))
    counts = violations(network, found, eps, steps, choose)
    (m, d), n = network.w.shape, len(network.y)
    row = {
        "adversarial": kind is not None,
        "n": n,
        "d": d,
        "m": m,
        "alpha": network.alpha,
        "unstable": int(found.unstable.sum()),
    }
    row |= {"burn_in": found.burn_in, "bound": bound, "stopped": bound >= most, "steps": counts.pop("steps")}
    return row | {f"violations_{name}": int(count) for name, count in counts.items()}


class Networks(Experiment):
    """One job: all of ``seed``. Trainings end after ``max_steps``."""

    certified: Count
    adversarial: Count
    max_steps: Count
    seed: SeedList

    def runs(self) -> list[Run]:
        """Return one run per seed."""
        code = code_hash(f"experiments.{NAME}")
        return [
            Run(
                experiment=NAME,
                label=f"seed={seed}",
                config=self.model_dump() | {"seed": seed},
                code=code,
                data="generated",
            )
            for seed in self.seed
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Draw, certify and train the networks of each run."""
        for run in runs:
            rng, rows, drawn = np.random.default_rng(run.config["seed"]), [], 0
            for k in progress(range(self.certified + self.adversarial), desc=run.label):
                kind = None if k < self.certified else k % 4
                while len(rows) == k:
                    row = measured(draw(rng), rng, self.max_steps, kind)
                    rows, drawn = rows + [row] * (row is not None), drawn + 1
            table = pd.DataFrame(rows)
            counts = {name: int(table[name].sum()) for name in table if name.startswith("violations_")}
            yield Outcome(run, table, counts | {"drawn": drawn, "stopped": int(table.stopped.sum())})


EXPERIMENT = Networks

if __name__ == "__main__":
    app.main(NAME)
