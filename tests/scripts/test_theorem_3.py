"""Theorem 3's sentences, from made-up runs whose loss falls geometrically: the step counts are logarithms."""

import numpy as np
import pytest

from scripts.figure_theorem_3 import TARGET, by_run, messages, trajectories
from tests.scripts.synthetic import about, only_fail, saved

ITERATIONS = np.arange(1, 402, 40)  # after 0, 40, ..., 400 steps
START, ETA, LAMBDA_1 = 5.0, 1.0, 1.3  # critical b0: 0.65
RATES = {0.1: 0.9, 0.5: 0.92, 5.0: 0.95, 1000.0: 0.999}
APART = {100: 0.8, 1000: 0.2}  # |log loss / linearised loss|
GRAM = {100: 0.12, 1000: 0.03}
SPREAD = {100: 1.10, 1000: 1.02}  # ||W - W(0)|| over the linearised one


def steps_to_target(rate):
    return np.log(TARGET) / np.log(rate)


def runs_of(root, bound_over_steps=lambda m, b0: 1.25, gram=GRAM, spread=SPREAD, apart=APART, losses=None):
    """Both methods at two widths; ``losses`` replaces the loss over its start of (method, m, b0)."""
    cells = []
    for m in APART:
        for method in ("adaloss", "sgd_constant"):
            for b0, rate in RATES.items():
                fall = rate ** (ITERATIONS - 1.0)
                if method == "sgd_constant" and b0 < 0.65:
                    fall = np.where(ITERATIONS > 100, np.inf, 1.5 ** (ITERATIONS - 1.0))
                loss = START * (losses or {}).get((method, m, b0), fall)
                history = {"iteration": ITERATIONS, "loss": loss, "step": 1.0, "distance": spread[m] * 3.0}
                history |= {"gram_change": gram[m], "linear_loss": loss * np.exp(-apart[m])}
                result = {"eta": ETA, "lambda_1": LAMBDA_1, "lambda_0": 0.1, "start_loss": START}
                result |= {"linear_distance": 3.0}
                if method == "adaloss":
                    bound = bound_over_steps(m, b0)
                    result |= {"b_bound": 7.0, "iterations_bound": bound and bound * steps_to_target(rate)}
                cells.append(({"m": m, "b0": b0, "method": {"name": method}}, history, result))
    return saved(root, "figure_theorem_3", cells)


def decided(*args, **options):
    drawn = trajectories(runs_of(None, *args, **options))
    return messages(by_run(drawn))


def at(messages, m, words):
    return about([message for message in messages if message.problem == f"m = {m}"], words)


def test_what_theory_expects_holds():
    found = decided()
    assert [message.holds for message in found] == [True] * 9
    assert f"5: {0.95**400:.2g}, 1000: {0.999**400:.2g}" in at(found, 1000, "converges from every b0").evidence
    assert at(found, 100, "gradient descent").evidence == "not at 2 of 2 values of b0"
    bound = at(found, 100, "linearised bound")  # b0 = 1000 needs 17268 steps, more than there are
    assert bound.evidence == "holds at 3 of 3 values of b0; greatest measured / bound 0.8"
    assert f"slope of log against log m {np.log10(1 / 4):.2f};" in about(found, "||H(k) - H(0)|| falls").evidence
    assert "m = 100: 0.8, m = 1000: 0.2" in about(found, "linearised network").evidence
    assert about(found, "does not grow").evidence == "ratio m = 100: 1.100, m = 1000: 1.020"


def test_the_steps_to_the_target_are_interpolated_between_records():
    ends = by_run(trajectories(runs_of(None)))
    reached = ends[ends.method == "adaloss"].set_index(["m", "b0"]).reached_after
    for m in APART:
        for b0 in (0.1, 0.5, 5.0):
            np.testing.assert_allclose(reached[m, b0], steps_to_target(RATES[b0]), rtol=1e-9)
        assert np.isnan(reached[m, 1000.0])


CONVERGES, CONSTANT, BOUND = "converges from every b0", "gradient descent", "linearised bound"
ALIKE, FALLING = np.full(len(ITERATIONS), 0.5), RATES[0.5] ** (ITERATIONS - 1.0)


@pytest.mark.parametrize(
    ("change", "m", "fail", "evidence"),
    [
        ({"bound_over_steps": lambda m, b0: 1 / 1.17 if (m, b0) == (100, 5.0) else 1.25}, 100, [BOUND], "bound 1.17"),
        ({"losses": {("adaloss", 100, 0.5): ALIKE}}, 100, [CONVERGES, BOUND], "at 2 of 3 values of b0; greatest"),
        ({"losses": {("sgd_constant", 1000, 0.5): FALLING}}, 1000, [CONSTANT], "not at 1 of 2 values of b0"),
    ],
)
def test_what_fails_at_one_width_is_reported_there(change, m, fail, evidence):
    found = decided(**change)
    assert {message.problem for message in found if not message.holds} == {f"m = {m}"}
    assert only_fail([message for message in found if message.problem == f"m = {m}"], *fail)
    assert evidence in at(found, m, fail[-1]).evidence


@pytest.mark.parametrize("beyond", [None, 1e6])
def test_no_bound_within_the_runs_decides_nothing(beyond):
    found = decided(lambda m, b0: beyond)
    assert at(found, 100, "linearised bound").holds is None
    assert at(found, 100, "linearised bound").evidence.startswith("holds at 0 of 0 values")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gram": {100: 0.1, 1000: 0.2}}, "||H(k) - H(0)|| falls"),
        ({"apart": {100: 0.1, 1000: 0.2}}, "the distance to the linearised network"),
        ({"spread": {100: 1.0, 1000: 1.06}}, "does not grow"),
    ],
)
def test_what_grows_with_the_width_fails(change, words):
    assert only_fail(decided(**change), words)
