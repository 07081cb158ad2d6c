"""Theorem 3's figure and sentences, from made-up runs whose loss falls geometrically: steps are logarithms."""

import numpy as np
import pytest

from scripts.figure_theorem_3 import beside_constant, by_run, messages, over_seeds, trajectories
from tests.scripts.claim_runs import NETWORK_ITERATIONS, network_cells
from tests.scripts.synthetic import about, only_fail, saved

ALIKE = np.full(len(NETWORK_ITERATIONS), 0.5)


def runs_of(root, **changed):
    return saved(root, "figure_theorem_3", network_cells(seeds=(0, 1), **changed))


def at(messages, m):
    return [message for message in messages if message.problem == f"m = {m}"]


def test_what_theory_expects_holds():
    found = messages(by_run(runs_of(None)))
    assert [message.holds for message in found] == [True] * 8
    assert about(at(found, 100), "converges").evidence.startswith("8 of 8 runs;")
    assert about(at(found, 100), "gradient descent").evidence == "not in 2 of 2 runs"
    inside = "2 of 8 runs of AdaLoss; b_1 / (eta ||H|| / 2) by alpha 0.001: 0.5 to 2, 2: 2 to 2; greatest loss"
    assert about(at(found, 1000), "case (b)").evidence == f"{inside} over the first 2 in them, else 1"
    change = "α = 0.001: 100: 0.1, 1000: 0.0316; α = 2: 100: 0.1, 1000: 0.0316"
    assert about(found, "||H(k) - H(0)||").evidence == f"medians by width: {change}"


def test_the_steps_to_a_level_are_interpolated_between_records():
    ends = by_run(runs_of(None)).set_index(["method", "b0"])
    for variant, times in {"AdaLoss, α = 2": 2.0, "AdaLoss, α = 0.001": 1.05, "AdaGrad-Norm": 1.0}.items():
        one = ends[ends.variant == variant]
        np.testing.assert_allclose(one.reached_after, 20 * times * np.log(1e6), rtol=1e-9)
        np.testing.assert_allclose(one.fine_after, 20 * times * np.log(1e9), rtol=1e-9)
    assert np.isinf(ends.reached_after["sgd_constant", 0.1]).all()
    slower = beside_constant(ends.reset_index()).set_index(["alpha", "b0"]).slower
    np.testing.assert_allclose(slower[2.0, 1.0], 2.0, rtol=1e-9)


def test_the_medians_are_over_the_seeds():
    runs = runs_of(None)
    for run in runs:
        run.history["loss"] *= 1 + run.config["seed"]
    drawn = over_seeds(trajectories(runs))
    first = drawn[drawn.iteration == 1]
    assert (drawn.seeds == 2).all() and (first[["loss_min", "loss", "loss_max"]] == [1.0, 1.5, 2.0]).all().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"losses": ALIKE}, ["converges", "converges"]),
        ({"peak": 2.0, "change": 0.1}, ["||H(k) - H(0)||", "the distance to the linearised network"]),
    ],
)
def test_each_sentence_can_fail(change, words):
    assert only_fail(messages(by_run(runs_of(None, **change))), *words)
