"""Gradient descent around the critical step, from made-up runs whose critical c and behaviour are chosen here."""

import numpy as np
import pytest

from scripts.figure_critical_step import by_run, messages, trajectories
from tests.scripts.synthetic import about, saved

STEPS = (1.5, 1.9, 2.1, 2.5, 3.0, 4.0, 6.0)
# Loss over its start, and lambda_max(H) over its start, of three recorded iterations.
CALM = ([1.0, 0.3, 1e-9], [1.0, 0.99, 0.9])
GREW = ([1.0, 12.5, 1e-8], [1.0, 0.7, 0.4])
STAYED_BELOW = ([1.0, 0.8, 1e-8], [1.0, 0.6, 0.3])
UNFINISHED = ([1.0, 12.5, 3e-4], [1.0, 0.7, 0.45])
SHARP = ([1.0, 12.5, 1e-8], [1.0, 1.1, 1.05])
LOST = ([1.0, 1e5, 0.9], [1.0, 0.1, 0.1])
DIVERGED = ([1.0, 1e5, np.inf], [1.0, 5.0, np.inf])


def behaviour(c, critical):
    return CALM if c < critical else LOST if c >= 6 else GREW


def runs_of(root, critical, widths=(100, 10_000), instead=None):
    """Both seeds at every width; ``instead`` replaces the behaviour of (m, seed, c)."""
    cells = []
    for m in widths:
        for seed, critical_c in enumerate(critical):
            lambda_1 = 1.25 + seed
            for c in STEPS:
                loss, sharpness = (instead or {}).get((m, seed, c), behaviour(c, critical_c))
                start_lambda_1 = 2 * lambda_1 / critical_c
                history = {"iteration": [1, 20, 400], "loss": 8.0 * np.array(loss), "step": c / lambda_1}
                history |= {"lambda_max": start_lambda_1 * np.array(sharpness), "distance": 1.0}
                result = {"lambda_1": lambda_1, "start_lambda_1": start_lambda_1, "start_loss": 8.0, "zero_loss": 6.0}
                config = {"method": {"name": "sgd_constant"}, "b0": 1.0, "eta_unit": "gram", "batch": None}
                cells.append((config | {"m": m, "seed": seed, "eta": c}, history, result))
    return saved(root, "figure_critical_step", cells)


def decided(*args, **options):
    return messages(by_run(trajectories(runs_of(None, *args, **options))))


def test_what_theory_expects_holds():
    found = decided((1.992, 2.006))
    assert [message.holds for message in found] == [True] * 5
    first = found[0]
    assert first.problem == "m = 10000, the greatest width" and "in 1.95..2.05" in first.sentence
    assert "predicted by seed: 0: 1.992, 1: 2.006;" in first.evidence
    assert first.evidence.endswith("0: 1.9 and 2.1, 1: 1.9 and 2.1")
    strong = about(found, "first grows").evidence
    assert strong.startswith("8 of 8 runs: grew 8, fell to 1e-06 8 and below the start 8, lambda_max(H) fell 8")
    assert "exceptions: none; greatest loss over the initial one c = 3: 12.5 to 12.5, c = 4" in strong


@pytest.mark.parametrize("critical", [(1.94, 2.0), (2.0, 2.06)])
def test_a_critical_step_outside_the_claim_fails_at_great_width_only(critical):
    wide = decided(critical)[0]
    assert not wide.holds
    assert f"0: {critical[0]:.3f}, 1: {critical[1]:.3f}" in wide.evidence
    narrow = decided(critical, widths=(100, 400))[0]
    assert narrow.holds and narrow.problem == "m = 400, the greatest width"
    assert "1.95" not in narrow.sentence and "10000" not in narrow.sentence + narrow.evidence


def test_a_measured_bracket_beside_the_prediction_fails():
    # Seed 0 converges beyond the predicted critical c; for seed 1 a smaller c fails, though a greater one converges.
    instead = {(10_000, 0, 2.1): STAYED_BELOW, (10_000, 1, 1.5): UNFINISHED}
    message = decided((1.992, 2.006), instead=instead)[0]
    assert not message.holds
    assert message.evidence.endswith("0: 2.1 and 2.5, 1: nan and 1.5")
    for cell in instead:
        one = decided((1.992, 2.006), instead={cell: instead[cell]})
        assert not one[0].holds
    assert [m.holds for m in one] == [False, False, True, True, True]  # 1.5 is below the critical c


def test_exceptions_above_the_critical_step_are_counted_and_named():
    instead = {(100, 0, 3.0): STAYED_BELOW, (100, 1, 4.0): UNFINISHED, (10_000, 1, 3.0): SHARP}
    found = decided((1.992, 2.006), instead=instead)
    strong = about(found, "first grows")
    assert strong.holds is False and strong.evidence.count("seed") == 3
    assert strong.evidence.startswith(
        "5 of 8 runs: grew 7, fell to 1e-06 7 and below the start 8, lambda_max(H) fell 7"
    )
    assert "m = 100, seed 0, c = 3 (loss at most 1 and at the end 1e-08 times its start, lambda_max(H) 0.3 times)" in (
        strong.evidence
    )
    # Fitted although lambda_max(H) is above 2 ||H|| / c: the sharp run alone.
    fitted = about(found, "has fallen to at most")
    assert fitted.holds is False and fitted.evidence.startswith("14 of 15 runs")
    assert f"c = 3: {3 * 0.3 / 1.992:.3g} to {3 * 1.05 / 2.006:.3g}" in fitted.evidence


def test_runs_that_survive_c_6_and_runs_that_diverge_are_told_apart():
    far = about(decided((2.0, 2.0), instead={(100, 0, 6.0): DIVERGED}), "is lost")
    assert far.holds and far.evidence == "4 of 4 runs, 1 of them diverged"
    far = about(decided((2.0, 2.0), instead={(100, 0, 6.0): GREW}), "is lost")
    assert far.holds is False and far.evidence == "3 of 4 runs, 0 of them diverged"
