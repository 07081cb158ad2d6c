"""Figure 4 on made-up runs: 1/b_t from a known sequence of losses, what is drawn, the sentences both ways."""

import numpy as np
import pytest

from scripts import figure_4
from scripts.claims.sentences import messages as decided_by
from tests.scripts.synthetic import about, only_fail, saved

B0 = (0.1, 1, 400, 1000000)


def losses(early, late, steps=240):
    """``early`` for 25 iterations, then ``late``."""
    return np.r_[np.full(25, early), np.full(steps - 25, late)]


PRINTED = dict(zip(B0, (losses(4, 0.2), losses(4, 0.2), losses(0.69, 0.3), losses(0.69, 0.69)), strict=True))


def cells(by_b0, hidden=64, seeds=8):
    for b0, loss in by_b0.items():
        for seed in range(seeds):
            config = {"method": {"name": "adamloss"}, "data": {"name": "synthetic_news"}, "pooling": "mean"}
            config |= {"hidden": hidden, "b0": b0, "seed": seed}
            yield config, {"iteration": range(1, len(loss) + 1), "loss": loss, "b": b0 + np.cumsum(loss)}, {}


def runs(root, changed=()):
    return saved(root, "figure_4", cells(PRINTED | dict(changed)))


def of(b0, hidden=64):
    """Return the name of a start."""
    return f"synthetic_news, mean of the states, b0 = {b0}, {hidden} units"


def widths(root):
    narrow, wide = dict.fromkeys(B0[:2], losses(1, 0.6)), dict.fromkeys(B0[:2], losses(4, 0.2))
    return saved(root, "figure_4_width", [*cells(narrow, 32), *cells(wide, 128)])


def messages(changed=()):
    return figure_4.messages(runs(None, changed))


def test_the_sentences_hold_for_the_papers_shape():
    found = messages()
    assert len(found) == 7 and all(message.holds is True for message in found)
    small = [message for message in found if message.problem == of(0.1)]
    # b = 0.1 + 100 at t = 25 and 35 more at t = 200
    assert about(small, "about 0.01").evidence.endswith("8 seeds: 0.00999 [0.00999, 0.00999]")
    assert about(small, "stabilizes").evidence.endswith("8 seeds: 1.35 [1.35, 1.35]")


@pytest.mark.parametrize(
    ("changed", "b0", "fails"),
    [
        ({0.1: losses(1.3, 0.1)}, 0.1, ["very high", "about 0.01"]),
        ({1: losses(1.9, 0.1)}, 1, ["about 0.01"]),
        ({0.1: losses(9, 0.1)}, 0.1, ["about 0.01"]),
        ({0.1: losses(4, 0.6)}, 0.1, ["stabilizes"]),
        ({400: losses(0.6, 0.6)}, 400, ["decreases"]),
    ],
)
def test_a_sentence_fails_where_it_should(changed, b0, fails):
    found = messages(changed)
    assert only_fail([message for message in found if message.problem == of(b0)], *fails)
    assert all(message.holds for message in found if message.problem != of(b0))


def test_short_runs_decide_nothing():
    found = messages({b0: losses(4, 0.2, steps=60) for b0 in B0})
    assert {message.sentence[:4] for message in found if message.holds is None} == {"Then", "The "}
    assert all(message.evidence.endswith("decides nothing") for message in found if message.holds is None)


def test_what_is_drawn():
    drawn = figure_4.over_seeds(figure_4.by_iteration(runs(None)))
    assert len(drawn) == 4 * 200 and drawn.iteration.max() == 200
    np.testing.assert_allclose(drawn[drawn.b0 == 1].inverse_b, 1 / (1 + np.cumsum(PRINTED[1])[:200]))


def test_the_widths():
    found = figure_4.problems(widths(None))
    holds = {m.problem: m.holds for m in decided_by(found, (figure_4.HIGH, figure_4.REACHES, figure_4.STABLE))}
    assert holds == {of(b0, units): units == 128 for b0 in (0.1, 1) for units in (32, 128)}
