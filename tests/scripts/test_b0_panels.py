"""Figures 1 and 6 from made-up runs: windows, medians over seeds, sentences, and what the panels show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from experiments.methods import METHODS
from scripts import figure_1, figure_6
from scripts.claims.sentences import messages
from scripts.shared import b0_panels
from tests.scripts.synthetic import saved

WINDOWS = ((101, 200), (991, 1000), (4901, 5000))
ITERATIONS = np.concatenate([np.arange(1, 101, 7), *(np.arange(a, b + 1) for a, b in WINDOWS)])
B0 = (0.1, 1.0, 10.0)
# Loss of each method by b0, at the end; ten times that in the middle window, 100 times in the first.
ENDS = {
    "adaloss": (1e-6, 1.5e-6, 1e-4),
    "adagrad_norm": (2e-6, 1e-6, 1e-4),
    "sgd_constant": (np.inf, 3e-6, 1e-4),
    "sgd_decay_sqrt": (1e-3, 1e-3, 1e-3),
}


def history(loss_at_end, b0, seed):
    """A sawtooth about its mean, so that the mean of a window is no value of it; the odd seed is 1.5 times larger."""
    wave = np.where(ITERATIONS % 2 == 0, 1.2, 0.8) * (1.5 if seed else 1.0)
    level = np.select([ITERATIONS <= 200, ITERATIONS <= 1000], [100.0, 10.0], 1.0) * loss_at_end
    return {"iteration": ITERATIONS, "loss": wave * level, "step": np.full(len(ITERATIONS), 1 / (b0 + seed))}


def network_runs(root, ends=ENDS, critical=5.0, problems=tuple(figure_6.SHOWN), seeds=(0, 1)):
    cells = []
    for data, eta in problems:
        for method, at_end in ends.items():
            for b0, loss in zip(B0, at_end, strict=True):
                for seed in seeds:
                    config = {"data": {"name": data, "n": 20}, "m": 30, "batch": 4, "method": {"name": method}}
                    config |= {"eta_unit": "absolute" if eta == "1" else "gram", "b0": b0, "seed": seed}
                    result = {"start_loss": 0.5, "eta": 2.0, "lambda_1": critical * 20}  # eta lambda_1 / (2 n)
                    cells.append((config, history(loss, b0, seed), result))
    return saved(root, "figure_6", cells)


def regression_runs(root, ends=ENDS, critical=5.0, seeds=(0, 1)):
    cells = []
    for w_star in ("normal", "unit"):
        for method, at_end in ends.items():
            for b0, loss in zip(B0, at_end, strict=True):
                for seed in seeds:
                    problem = {"name": "gaussian", "w_star": w_star, "d": 200, "n": 1000}
                    config = {
                        "data": problem,
                        "method": {"name": method},
                        "eta": 0.5,
                        "batch": 20,
                        "b0": b0,
                        "seed": seed,
                    }
                    result = {"initial_gap": 0.5, "lambda_1": 4 * critical}
                    cells.append((config, history(loss, b0, seed), result))
    return saved(root, "figure_1", cells)


def test_windows_and_seeds():
    drawn = figure_6.over_seeds(figure_6.by_run(network_runs(None)))
    assert len(drawn) == 4 * 4 * 3 * 3
    row = drawn.query(
        "data == 'digits' and eta == '1' and method == 'adaloss' and b0 == 1.0 and window == '[991, 1000]'"
    )
    assert (row.seeds.item(), row.diverged.item(), row.critical_b0.item()) == (2, 0, 5.0)
    np.testing.assert_allclose(row[["loss", "loss_min", "loss_max"]], [[1.875e-5, 1.5e-5, 2.25e-5]], rtol=1e-12)
    np.testing.assert_allclose(row.step, 0.75, rtol=1e-12)  # of 1/1 and 1/2
    lost = drawn.query("method == 'sgd_constant' and b0 == 0.1")
    assert (lost.diverged == 2).all() and np.isinf(lost.loss).all()
    regression = figure_1.over_seeds(figure_1.by_run(regression_runs(None)))
    row = regression.query("method == 'adaloss' and b0 == 1.0 and w_star == 'unit' and window == '[101, 200]'")
    np.testing.assert_allclose(row[["step", "step_min", "step_max"]], [[0.75, 0.5, 1.0]], rtol=1e-12)
    np.testing.assert_allclose(row[["loss", "critical_b0"]], [[1.875e-4, 5.0]], rtol=1e-12)


def test_steps_after_divergence_do_not_count():
    runs = network_runs(None, problems=[("digits", "1")])
    made = runs[0].history
    made.loc[made.iteration > 150, ["loss", "step"]] = np.inf, np.nan
    made.loc[made.iteration <= 150, "step"] = np.arange(len(made[made.iteration <= 150]), dtype=float)
    runs = saved(None, "figure_6", [(runs[0].config, made, runs[0].summary["result"])])
    table = b0_panels.by_window(runs, lambda run: {}).set_index("window")
    earlier = len(np.arange(1, 101, 7))
    assert table.step["[101, 200]"] == pytest.approx(np.arange(earlier, earlier + 50).mean(), rel=1e-12)
    assert np.isnan(table.step["[991, 1000]"]) and np.isinf(table.loss["[101, 200]"])


SEEDS = tuple(range(12))
SAME = (figure_6.SAME, figure_6.ROBUST, figure_6.ROBUST_TOO, figure_6.WORSE)


def of_figure_6(**options):
    runs = network_runs(None, problems=[("sphere", "1")], seeds=SEEDS, **options)
    return messages(figure_6.problems(runs), SAME)


@pytest.mark.parametrize(
    ("changed", "failing", "said", "evidence"),
    [
        ({}, set(), 0, "greatest loss of AdaLoss / AdaGrad-Norm, 12 seeds: 1.5 [1.5, 1.5]"),
        ({}, set(), 2, "greatest over least loss, 12 seeds: 2 [2, 2]"),
        ({"adaloss": (1e-6, 2.5e-6, 1e-4)}, {0, 1}, 0, "2.5 [2.5, 2.5]"),
        ({"adagrad_norm": (2.5e-6, 1e-6, 1e-4)}, {2}, 2, "2.5 [2.5, 2.5]"),
        ({"sgd_constant": (np.inf, 1e-7, 1e-4)}, {3}, 3, "0.0667 [0.0667, 0.0667]"),
        # losses around eps^2, one nine times the other, are no case: the others decide
        ({"adaloss": (8e-32, 1e-6, 1e-6), "adagrad_norm": (9e-33, 1e-6, 1e-6)}, {1, 2}, 0, "1 [1, 1]"),
    ],
)
def test_figure_6_sentences(changed, failing, said, evidence):
    found = of_figure_6(ends=ENDS | changed)
    assert {k for k, message in enumerate(found) if message.holds is False} == failing and len(found) == 4
    assert found[said].evidence.endswith(evidence)


def test_what_decides_nothing():
    """No b0, or one, below the critical one; losses of rounding alone."""
    assert [message.holds for message in of_figure_6(critical=0.01)] == [True, None, None, None]
    assert [message.holds for message in of_figure_6(critical=0.5)] == [True, None, None, True]
    rounding = dict.fromkeys(("adaloss", "adagrad_norm"), (1e-33, 1e-34, 1e-35))
    assert [message.holds for message in of_figure_6(ends=ENDS | rounding)] == [None, None, None, True]
    assert [message.holds for message in of_figure_1(critical=0.01)][:3] == [None] * 3


def of_figure_1(**options):
    """The sentences about w* of length 1, whose seeds differ in their losses' level and in b."""
    found = figure_1.problems(regression_runs(None, seeds=SEEDS, **options))
    return messages({"unit": found["d = 200, w* unit"]}, figure_1.SENTENCES)


def test_figure_1_sentences():
    """SGD-Constant stays at 1e-6 times its start for b0 = 1; AdaLoss is better at first and at b0 = 0.1, else worse."""
    found = of_figure_1()
    words = ["AdaLoss ends within", "AdaGrad-Norm ends within", "SGD-Constant diverges", "[101, 200]", "[991, 1000]"]
    for word, holds in zip(words, (True, True, False, False, False), strict=True):
        assert next(message.holds for message in found if word in message.sentence) is holds, word
    assert found[0].evidence == "worst factor, 12 seeds: 1.5 [1.5, 1.5]"
    outperforms = [message for message in found if "outperforms" in message.sentence]
    assert [message.evidence[-8:] for message in outperforms] == ["1 [1, 1]", "0 [0, 0]"]


def test_panels_show_the_medians_and_mark_what_is_outside():
    drawn = figure_6.over_seeds(figure_6.by_run(network_runs(None, ENDS | {"adaloss": (1e-40, 1e-6, 1e-4)})))
    chosen = drawn[(drawn.data == "sphere") & (drawn.eta == "1")]
    fig = b0_panels.figure(chosen, {"loss": (1e-20, 1.0), "step": (1e-3, 1e3)}, "critical", "title")
    ax = fig.axes[2]  # losses in the last window
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["AdaLoss"].get_ydata(), [1e-20, 1.25e-6, 1.25e-4], rtol=1e-12)
    np.testing.assert_allclose(lines["SGD-Constant"].get_ydata(), [1.0, 3.75e-6, 1.25e-4], rtol=1e-12)
    assert lines["AdaLoss"].get_markevery() == [False, True, True]
    assert lines["critical"].get_xdata()[0] == 5.0
    arrows = {
        to_hex(collection.get_facecolor()[0]).upper(): collection.get_offsets().tolist()
        for collection in ax.collections
        if len(collection.get_offsets()) and len(collection.get_sizes()) and collection.get_sizes()[0] == 25
    }
    # the third method's row is twice 3 % of the axis below the edge
    assert arrows == {METHODS["adaloss"].color: [[0.1, 1e-20]], METHODS["sgd_constant"].color: [[0.1, 1e20**-0.06]]}
    plt.close(fig)
