"""Claims that a figure's script decides: its messages reach the claim, and other runs another verdict."""

import pytest

from scripts.claim_measures.finding import NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, ClaimError, Sweep
from scripts.claim_measures.from_scripts import MESSAGES, messages
from tests.scripts import claim_runs as made
from tests.scripts import (
    test_b0_panels,
    test_c,
    test_critical_step,
    test_figure_3,
    test_gram_and_bounds,
    test_theorem_3,
)
from tests.scripts.synthetic import saved


def test_messages_are_the_scripts_own():
    sentences = ["AdaLoss outperforms", "SGD-Constant diverges"]
    found = messages(made.figure_1(), sentences=sentences)
    assert found.verdict == REPRODUCED and "better at 4, worse at 0 of 4 values of b0" in found.measured
    worse = {"adaloss": (2.0, 1.0, 3e-9)}
    assert messages(made.figure_1(losses=worse), sentences=sentences).verdict == PARTLY
    calm = made.figure_1(losses=worse, constant={0.1: 1e-9, 0.5: 1e-9})
    assert messages(calm, sentences=sentences).verdict == NOT_REPRODUCED


def test_a_message_without_a_verdict_decides_nothing():
    undecided = made.figure_1(constant={0.1: 1.0, 0.5: 1.0})
    for run in undecided.runs:
        run.summary["result"]["lambda_1"] = 0.1  # no b0 is below half of it
    assert messages(undecided, sentences=["SGD-Constant diverges"]).verdict == NOT_RUN


def test_a_sentence_that_no_message_has():
    with pytest.raises(ClaimError, match=r"^no message of scripts/figure_1.py has 'AdaLoss fails'$"):
        messages(made.figure_1(), sentences=["AdaLoss fails"])


def readings(root, own):
    """Figure 3's readings: the joint loss is robust, each its own ends ``own`` from b0 = 1."""
    cells = [
        test_figure_3.cell("adamloss", b0, 0, own if fed == "own" and b0 == 1 else -200, fed=fed, scale=scale)
        for fed in ("joint", "own")
        for scale in (1.0, 0.1)
        for b0 in (1, 200)
    ]
    return saved(root, "figure_3_readings", cells)


def burn_in(root, last):
    """b stays below half of eta lambda_1 over three iterations, in which the error of the one direction grows."""
    config = {"method": {"name": "adaloss"}, "b0": 0.1, "data": {"eigenvalues": [1.0]}}
    history = {"iteration": [1, 2, 3], "loss": 1.0, "step": 5.0, "s_1": [1.0, 2.0, last]}
    return saved(root, "figure_burn_in", [(config, history, {"lambda_1": 1.0})])


# sweep: words of a sentence, then (runs, verdict), one as the sentence says and one not
SCRIPTS = {
    "figure_3": (
        "AdamLoss is very robust",
        (lambda root: test_figure_3.runs(root, {"adam": test_figure_3.RISING, "adamloss": test_figure_3.FLAT})),
        (lambda root: test_figure_3.runs(root, {"adam": test_figure_3.FLAT, "adamloss": test_figure_3.RISING})),
    ),
    "figure_3_readings": (
        "AdamLoss is very robust",
        lambda root: readings(root, -200),
        lambda root: readings(root, -900),
    ),
    "figure_5": (
        "nearly independent of n",
        test_gram_and_bounds.gram_runs,
        lambda root: test_gram_and_bounds.gram_runs(root, test_gram_and_bounds.times("lambda_max", 0.8, n=50, d=50)),
    ),
    "figure_6": (
        "almost the same",
        test_b0_panels.network_runs,
        lambda root: test_b0_panels.network_runs(root, test_b0_panels.ENDS | {"adaloss": (1e-5, 1e-5, 1e-4)}),
    ),
    "figure_burn_in": ("grows while", lambda root: burn_in(root, 3.0), lambda root: burn_in(root, 1.5)),
    "figure_c": (
        "is the first",
        test_c.runs_of,
        lambda root: test_c.runs_of(root, there=test_c.THERE | {2.0: 10}),
    ),
    "figure_critical_step": (
        "the loss never exceeds its start",
        lambda root: test_critical_step.runs_of(root, (2.0, 2.0)),
        lambda root: test_critical_step.runs_of(root, (2.0, 2.0), instead={(100, 0, 1.9): test_critical_step.GREW}),
    ),
    "figure_theorem_3": (
        "the distance to the linearised network falls",
        test_theorem_3.runs_of,
        lambda root: test_theorem_3.runs_of(root, apart={100: 0.2, 1000: 0.8}),
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_runs_of_every_script_reach_its_messages(name, tmp_path):
    words, as_said, otherwise = SCRIPTS[name]
    for k, (runs, verdict) in enumerate(((as_said, {REPRODUCED}), (otherwise, {NOT_REPRODUCED, PARTLY}))):
        found = messages(Sweep(name, runs(tmp_path / str(k))), sentences=[words])
        assert found.verdict in verdict, found.measured


def test_every_script_is_tried():
    assert set(SCRIPTS) == set(MESSAGES) - {"figure_1"}
