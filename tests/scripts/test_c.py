"""What c does, from made-up runs in which b is a power of the iteration and the excess falls below at a known one."""

import numpy as np
import pytest

from scripts.figure_c import messages, trajectories
from tests.scripts.synthetic import about, only_fail, saved

ITERATIONS = np.array([1, 10, 100, 1000, 10_000])
FULL = {0.0: 0.2, 0.5: 0.1, 1.0: 0.0, 2.0: 0.3}  # c / f* -> exponent of b
MINIBATCH = {0.0: 0.5, 0.5: 0.4, 1.0: 0.3, 2.0: 0.5}
THERE = {0.0: 10_000, 0.5: 1000, 1.0: 100, 2.0: 10_000}  # c / f* -> first record with 1e-9 of the excess
LEFT = {0.0: 1e-4, 0.5: 2e-4, 1.0: 3e-4, 2.0: 2e-4}  # c / f* -> excess that minibatches leave


def runs_of(root, full=FULL, minibatch=MINIBATCH, there=THERE, left=LEFT):
    cells = []
    for batch, exponents in ((None, full), (20, minibatch)):
        for c, exponent in exponents.items():
            for seed in (0, 1, 2):
                gap = np.where(there[c] <= ITERATIONS, 0.9e-9, 1.1e-9) if batch is None else np.full(5, left[c])
                gap = np.append(1.0, gap[1:]) * (1 + 0.5 * (seed - 1))
                step = 0.5 / (7.0 * ITERATIONS**exponent)
                history = {"iteration": ITERATIONS, "loss": gap + 1, "step": step, "gap": gap}
                cells.append(({"batch": batch, "method": {"c": c}, "b0": 10.0, "seed": seed, "eta": 0.5}, history, {}))
    return saved(root, "figure_c", cells)


def decided(*args, **options):
    return messages(trajectories(runs_of(None, *args, **options)))


def test_what_one_expects_of_c_holds():
    found = decided()
    assert [message.holds for message in found] == [True] * 4
    assert {message.problem for message in found} == {"full gradient, b0 = 10", "minibatch, b0 = 10"}
    growth = about(found, "b stops growing").evidence
    assert growth.startswith("c = 0 f*: b ~ t^0.2, c = 0.5 f*: b ~ t^0.1, c = 1 f*: b ~ t^0")
    assert about(found, "is the first").evidence.startswith("c = 0 f*: iteration 10000, c = 0.5 f*: iteration 1000, c")
    assert about(found, "c = 0 ends nearer").evidence.startswith("c = 0 f*: excess 0.0001, c = 0.5 f*: excess 0.0002,")


@pytest.mark.parametrize(
    ("change", "words", "evidence"),
    [
        ({"full": FULL | {1.0: 0.02}}, "b stops growing", "c = 1 f*: b ~ t^0.02"),
        ({"full": FULL | {2.0: 0.009}}, "b stops growing", "c = 2 f*: b ~ t^0.009"),
        ({"there": THERE | {0.5: 10}}, "is the first", "c = 0.5 f*: iteration 10,"),
        ({"there": dict.fromkeys(THERE, 10**6)}, "is the first", "c = 1 f*: iteration inf"),
        ({"minibatch": MINIBATCH | {1.0: 0.04}}, "does not stop b", "c = 1 f*: b ~ t^0.04"),
        ({"left": LEFT | {1.0: 0.5e-4}}, "c = 0 ends nearer", "c = 1 f*: excess 5e-05"),
    ],
)
def test_each_sentence_can_fail(change, words, evidence):
    found = decided(**change)
    assert only_fail(found, words) and evidence in about(found, words).evidence
