"""Run many problems by equation (7), check every proved statement at every step, and measure what is bounded."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from adaloss.theory import linear_regression as theory
from adaloss.theory.linear_regression import State
from adaloss.theory.roots import steps_until

TOLERANCE = 1e-9  # relative: thousands of roundings of 1e-16, amplified by the burn-in
# Once b can grow by no more than this, the rest is counted in closed form, from below: T is exact to this or less.
FROZEN = 1e-4
LOOK = 32  # steps between two looks at which trajectories are over
EXACT_STEPS = (0, 1, 4, 16)  # after which N is bounded
EXITS = ("paper", "log", "two", "best")  # the bounds of N that a run keeps


class Measurement:
    """The problems of one run. ``state`` holds (P, d) arrays, ``targets`` (P, 2) eps / Psi_0 for q = 0 and 1."""

    def __init__(self, state: State, targets: np.ndarray, max_steps: int):
        self.first, self.max_steps = state, max_steps
        count = len(state.b)
        self.eps = np.stack([targets[:, q] * state.weighted(q) for q in (0, 1)], axis=1)
        self.exits = {k: theory.exit_bounds(state, k) for k in EXACT_STEPS}
        self.b_bar, self.headline = theory.b_max(state), theory.b_max_headline(state)
        # What s, Psi and b are compared with at every step.
        self.s_most = theory.error_bounds(state) * (1 + TOLERANCE)
        self.psi_most = np.stack([theory.target_bound(state, q) for q in (0, 1)], axis=1) * (1 + TOLERANCE)
        self.b_most = self.b_bar * (1 + TOLERANCE)
        # No exact step, the default one, and eight.
        self.t_bound, self.t_first, self.t_unrolled = (
            np.stack([theory.iterations(state, self.eps[:, q], q, steps) for q in (0, 1)], axis=1)
            for steps in (0, 1, 8)
        )
        self.t_least = np.stack([theory.iterations_at_least(state, self.eps[:, q], q) for q in (0, 1)], axis=1)

        self.exit_index = np.full(count, np.nan)
        self.t = np.zeros((count, 2))  # 1 + the last step with Psi > eps
        self.t_restarted = np.full((count, 2), np.nan)  # the bound given at the exit, exit included
        self.b_end = state.b.copy()
        self.stopped = np.zeros(count, dtype=bool)
        names = ("s", "psi", "b", "descent", "exit", "key", "n")
        names += ("t_bound", "t_first", "t_unrolled", "t_restarted", "t_least")
        self.violations = {name: np.zeros(count, dtype=int) for name in names}

    def run(self, progress: Callable[[Iterable], Iterable]) -> None:
        """Step until every trajectory is over or max_steps are done."""
        active, state = np.arange(len(self.first.b)), self.first
        sums = _sums(state)
        for t in progress(range(self.max_steps)):
            following = theory.advance(state)
            after = _sums(following)
            self._step(t, active, state, following, sums, after)
            state, sums = following, after
            if t % LOOK == LOOK - 1:
                over = self._over(t + 1, active, state)
                active, state, sums = active[~over], _some(state, ~over), sums[:, ~over]
                if not len(active):
                    break
        self.stopped[active] = True
        self.b_end[active] = state.b
        self._compare()

    def _step(
        self, t: int, active: np.ndarray, state: State, following: State, sums: np.ndarray, after: np.ndarray
    ) -> None:
        """Check what holds at every step, and measure N and T; ``sums`` and ``after`` are those of the two states."""
        p, half = state.p, state.eta * state.top / 2
        out = following.b >= half
        leaving = out & np.isnan(self.exit_index[active])
        psi = sums[:2].T
        self.t[active] = np.where(psi > self.eps[active], t + 1, self.t[active])
        self._count("s", active, np.any(state.s > self.s_most[active], axis=1))
        self._count("psi", active, np.any(psi > self.psi_most[active], axis=1))
        self._count("b", active, following.b > self.b_most[active])
        # After the exit Psi, Phi and G fall (Phi is one of the Psi), and the key inequality A4(*) holds.
        rises = (after > sums * (1 + TOLERANCE)) & (sums > 1e-280)
        self._count("descent", active, (out & rises).sum(axis=0))
        phi = sums[p - 1]
        left = (2 - 2 * half / following.b) * sums[p] / following.b
        right = (phi - after[p - 1]) / state.eta
        self._count("key", active, out & (left > right * (1 + TOLERANCE) + 1e-12 * phi / state.eta))
        if leaving.any():
            here = active[leaving]
            self.exit_index[here] = t
            if t > 0:
                self._count("exit", here, following.b[leaving] >= 2 * half[leaving] * (1 + TOLERANCE))
            at_exit = _some(state, leaving)
            for q in (0, 1):
                self.t_restarted[here, q] = t + theory.iterations(at_exit, self.eps[here, q], q)

    def _over(self, t: int, active: np.ndarray, state: State) -> np.ndarray:
        """Return which trajectories are known to the end: Psi stays small, or b is frozen, the rest in closed form."""
        exited = ~np.isnan(self.exit_index[active])
        psi = np.stack([state.weighted(0), state.weighted(1)], axis=1)
        small = exited & np.all(psi <= self.eps[active], axis=1)
        b_bar = theory.b_max(state)
        frozen = exited & ~small & (b_bar <= state.b * (1 + FROZEN))
        if frozen.any():
            rest, high = _some(state, frozen), b_bar[frozen]
            scale = rest.eta[:, None] * rest.eigenvalues
            rho = np.minimum(np.abs(1 - scale / rest.b[:, None]), np.abs(1 - scale / high[:, None]))
            here = active[frozen]
            for q in (0, 1):
                more = steps_until(rest.eigenvalues**q * rest.s, rho, self.eps[here, q])
                self.t[here, q] = np.where(psi[frozen, q] > self.eps[here, q], t + more, self.t[here, q])
        over = small | frozen
        self.b_end[active[over]] = state.b[over]
        return over

    def _compare(self) -> None:
        """Compare N and T with their bounds; of a stopped trajectory only check that it has not outlived them."""
        n = np.where(np.isnan(self.exit_index), self.max_steps, self.exit_index)
        strict = [n >= np.maximum(self.exits[0][name], 1e-9) * (1 + TOLERANCE) for name in ("lin", "paper", "log")]
        self.violations["n"] += np.any(strict, axis=0) & (n > 0)
        for bounds in self.exits.values():
            self.violations["n"] += np.any([n > bound * (1 + TOLERANCE) for bound in bounds.values()], axis=0)
        for name in ("t_bound", "t_first", "t_unrolled", "t_restarted"):
            self.violations[name] += np.any(self.t > np.ceil(getattr(self, name) * (1 + TOLERANCE)), axis=1)
        over = ~self.stopped[:, None]
        self.violations["t_least"] += np.any(over & (self.t < np.floor(self.t_least * (1 - TOLERANCE))), axis=1)

    def _count(self, name: str, active: np.ndarray, violated: np.ndarray) -> None:
        self.violations[name][active] += violated

    def table(self) -> pd.DataFrame:
        """Return one row per problem."""
        first = self.first
        unit = first.eta * first.top
        columns = {
            "beta_0": first.beta,
            "beta_1": first.next_b / unit,
            "condition": first.top / first.bottom,
            "u_0": first.u,
            "stopped": self.stopped,
            "exit_index": self.exit_index,
            "b_end": self.b_end / unit,
            "b_max": self.b_bar / unit,
            "b_max_headline": self.headline / unit,
        }
        for k, bounds in self.exits.items():
            columns |= {f"exit_{name}_{k}": bounds[name] for name in EXITS}
        for q in (0, 1):
            columns |= {
                f"t_{q}": self.t[:, q],
                f"t_{q}_bound": self.t_bound[:, q],
                f"t_{q}_first": self.t_first[:, q],
                f"t_{q}_unrolled": self.t_unrolled[:, q],
                f"t_{q}_restarted": self.t_restarted[:, q],
                f"t_{q}_least": self.t_least[:, q],
            }
        return pd.DataFrame(columns | {f"violations_{name}": count for name, count in self.violations.items()})


def _sums(state: State) -> np.ndarray:
    """Return Psi with q = 0, with q = 1, and G or what would be G of p = 2: (3, P)."""
    return np.stack([state.weighted(power) for power in (0, 1, 2)])


def _some(state: State, chosen: np.ndarray) -> State:
    return State(state.eigenvalues[chosen], state.s[chosen], state.b[chosen], state.eta[chosen], state.p)
