"""What c does, from made-up runs in which b is a power of the iteration and the excess falls below at a known one."""

import numpy as np
import pytest

from scripts.claims.sentences import messages
from scripts.figure_c import SURROGATE, problems
from tests.scripts.synthetic import saved

ITERATIONS = np.array([1, 10, 100, 1000, 10_000])
FULL = {0.0: 0.2, 0.5: 0.1, 1.0: 0.0, 2.0: 0.3}  # c / f* -> exponent of b
MINIBATCH = {0.0: 0.5, 0.5: 0.4, 1.0: 0.3, 2.0: 0.5}
THERE = {0.0: 10_000, 0.5: 1000, 1.0: 100, 2.0: 10_000}  # c / f* -> first record with 1e-9 of the excess
LEFT = {0.0: 1e-4, 0.5: 2e-4, 1.0: 3e-4, 2.0: 2e-4}  # c / f* -> excess that minibatches leave


def runs_of(root, full=FULL, minibatch=MINIBATCH, there=THERE, left=LEFT):
    cells = []
    for batch, exponents in ((None, full), (20, minibatch)):
        for c, exponent in exponents.items():
            for seed in range(8):
                gap = np.where(there[c] <= ITERATIONS, 0.9e-9, 1e-8) if batch is None else np.full(5, left[c])
                gap = np.append(1.0, gap[1:]) * (1 + 0.1 * seed)
                step = 0.5 / (7.0 * ITERATIONS**exponent)
                history = {"iteration": ITERATIONS, "loss": gap + 1, "step": step, "gap": gap}
                cells.append(({"batch": batch, "method": {"c": c}, "b0": 10.0, "seed": seed, "eta": 0.5}, history, {}))
    return saved(root, "figure_c", cells)


def decided(**options):
    return messages(problems(runs_of(None, **options)), SURROGATE)


def test_a_surrogate_of_f_star_stops_b_and_ends_nearest():
    found = decided(minibatch=FULL, left=LEFT | {1.0: 1e-5})
    assert [message.holds for message in found] == [True] * 6
    assert {message.problem for message in found} == {"full gradient, b0 = 10", "minibatch, b0 = 10"}
    assert "0.3 [0.3, 0.3]" in decided()[3].evidence


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ({}, {3, 5}),  # with minibatches b goes on growing, and c = 0 ends nearer
        ({"full": FULL | {1.0: 0.02}}, {0, 3, 5}),
        ({"full": FULL | {2.0: 0.009}}, {1, 3, 5}),
        ({"there": dict.fromkeys(THERE, 10**3) | {1.0: 10**6}}, {2, 3, 5}),
        ({"minibatch": FULL}, {5}),
        ({"left": LEFT | {1.0: 0.5e-4}}, {3}),
    ],
)
def test_each_sentence_can_fail(change, fails):
    assert {k for k, message in enumerate(decided(**change)) if message.holds is False} == fails
