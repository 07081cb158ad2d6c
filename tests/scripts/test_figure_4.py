"""Figure 4 on made-up runs: 1/b_t from a known sequence of losses, the sentences both ways, the files."""

import numpy as np
import pytest

from scripts import figure_4, figure_4_width
from scripts.shared.output import Output
from tests.scripts.synthetic import about, draw_and_write, saved

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


def runs(root, changed):
    return saved(root, "figure_4", cells(PRINTED | changed))


def messages(root, **changed):
    return figure_4.messages(figure_4.by_iteration(runs(root, changed.get("changed", {}))))


def test_the_sentences_hold_for_the_papers_shape(tmp_path):
    found = messages(tmp_path)
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
def test_a_sentence_fails_where_it_should(changed, problem, fails, tmp_path):
    found = messages(tmp_path, changed=changed)
    failing = [message for message in found if not message.holds]
    assert len(failing) == len(fails) and {message.problem for message in failing} == {problem}
    for message, words in zip(failing, fails, strict=True):
        assert words in message.sentence


def test_short_runs_decide_nothing(tmp_path):
    found = messages(tmp_path, changed={b0: losses(4, 0.2, steps=60) for b0 in B0})
    assert [(message.holds, message.evidence) for message in found] == [(None, "the runs have 60")] * 2


def test_the_files_and_what_is_drawn(tmp_path):
    output = Output(tmp_path / "figures", "figure_4", runs(tmp_path / "runs", {}))
    draw_and_write(figure_4.draw, output)
    assert {file.name for file in output.folder.iterdir()} == {
        "figure_4.png", "figure_4.pdf", "figure_4.csv", "figure_4_messages.csv",
    }  # fmt: skip
    drawn = figure_4.over_seeds(figure_4.by_iteration(output.runs))
    assert len(drawn) == 4 * 200 and drawn.iteration.max() == 200
    fig = figure_4.figure(drawn)
    assert [line.get_label() for line in fig.axes[0].lines][:4] == [f"$b_0$ = {b0:g}" for b0 in B0]
    np.testing.assert_allclose(fig.axes[0].lines[1].get_ydata(), 1 / (1 + np.cumsum(PRINTED[1])[:200]))


def test_the_widths(tmp_path, capsys):
    narrow, wide = dict.fromkeys(B0[:2], losses(1, 0.6)), dict.fromkeys(B0[:2], losses(4, 0.2))
    found = saved(tmp_path / "runs", "figure_4_width", [*cells(narrow, 32), *cells(wide, 128)])
    output = Output(tmp_path / "figures", "figure_4_width", found)
    draw_and_write(figure_4_width.draw, output)
    messages = figure_4_width.messages(figure_4_width.by_width(found))
    assert [message.holds for message in messages] == [False] * 6 + [True] * 6
    assert [message.problem for message in messages[::3]] == [
        "32 units, b0 = 0.1", "32 units, b0 = 1", "128 units, b0 = 0.1", "128 units, b0 = 1",
    ]  # fmt: skip
    assert {file.name for file in output.folder.iterdir()} == {
        "figure_4_width.png", "figure_4_width.pdf", "figure_4_width.csv", "figure_4_width_messages.csv",
    }  # fmt: skip
