"""Figure 4 on made-up runs: 1/b_t from a known sequence of losses, what is drawn, the sentences both ways."""

import numpy as np
import pytest

from scripts import figure_4, figure_4_width
from tests.scripts.synthetic import about, only_fail, saved

B0 = (0.1, 1, 400, 1000000)


def losses(early, late, steps=240):
    """``early`` for 25 iterations, then ``late``."""
    return np.r_[np.full(25, early), np.full(steps - 25, late)]


PRINTED = dict(zip(B0, (losses(4, 0.2), losses(4, 0.2), losses(0.69, 0.3), losses(0.69, 0.69)), strict=True))


def cells(by_b0, hidden=64, seeds=3):
    for b0, loss in by_b0.items():
        for seed in range(seeds):
            config = {"method": {"name": "adamloss"}, "pooling": "mean", "hidden": hidden, "b0": b0, "seed": seed}
            yield config, {"iteration": range(1, len(loss) + 1), "loss": loss, "b": b0 + np.cumsum(loss)}, {}


def runs(root, changed=()):
    return saved(root, "figure_4", cells(PRINTED | dict(changed)))


def widths(root):
    narrow, wide = dict.fromkeys(B0[:2], losses(1, 0.6)), dict.fromkeys(B0[:2], losses(4, 0.2))
    return saved(root, "figure_4_width", [*cells(narrow, 32), *cells(wide, 128)])


def messages(changed=()):
    return figure_4.messages(figure_4.by_iteration(runs(None, changed)))


def test_the_sentences_hold_for_the_papers_shape():
    found = messages()
    assert len(found) == 7 and all(message.holds is True for message in found)
    evidence = about([m for m in found if m.problem == "b0 = 0.1"], "stabilizes").evidence
    # b = 0.1 + 100 at t = 25 and 35 more at t = 200
    assert "0.00999 at t = 25, 0.0074 at t = 200: a factor of 1.35, after one of 1e+03" in evidence


@pytest.mark.parametrize(
    ("changed", "problem", "fails"),
    [
        ({0.1: losses(1.3, 0.1)}, "b0 = 0.1", ["very high", "about 0.01"]),
        ({1: losses(1.9, 0.1)}, "b0 = 1", ["about 0.01"]),
        ({0.1: losses(9, 0.1)}, "b0 = 0.1", ["about 0.01"]),
        ({0.1: losses(4, 0.6)}, "b0 = 0.1", ["stabilizes"]),
        ({400: losses(0.6, 0.6)}, "b0 = 400", ["decreases"]),
    ],
)
def test_a_sentence_fails_where_it_should(changed, problem, fails):
    found = messages(changed)
    assert only_fail([message for message in found if message.problem == problem], *fails)
    assert all(message.holds for message in found if message.problem != problem)


def test_short_runs_decide_nothing():
    found = messages({b0: losses(4, 0.2, steps=60) for b0 in B0})
    assert [(message.holds, message.evidence) for message in found] == [(None, "the runs have 60")] * 2


def test_what_is_drawn():
    drawn = figure_4.over_seeds(figure_4.by_iteration(runs(None)))
    assert len(drawn) == 4 * 200 and drawn.iteration.max() == 200
    np.testing.assert_allclose(drawn[drawn.b0 == 1].inverse_b, 1 / (1 + np.cumsum(PRINTED[1])[:200]))


def test_the_widths():
    messages = figure_4_width.messages(figure_4_width.by_width(widths(None)))
    assert [message.holds for message in messages] == [False] * 6 + [True] * 6
    names = ["32 units, b0 = 0.1", "32 units, b0 = 1", "128 units, b0 = 0.1", "128 units, b0 = 1"]
    assert [message.problem for message in messages[::3]] == names
