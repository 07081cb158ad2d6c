"""Claims that a figure's script decides: its messages reach the claim, and other runs another verdict."""

from importlib import import_module

import pytest

from experiments.runs.registry import listed
from scripts import figure_1
from scripts.claims.claim import NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, ClaimError, Sweep, by_key
from tests.experiments.launch import ROOT
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
    def found(sweep):
        return by_key(sweep, decided=figure_1.decided, keys=["outperforms", "diverges"])

    assert found(made.figure_1()).verdict == REPRODUCED
    assert "better at 4, worse at 0 of 4 values of b0" in found(made.figure_1()).measured
    worse = {"adaloss": (2.0, 1.0, 3e-9)}
    assert found(made.figure_1(losses=worse)).verdict == PARTLY
    assert found(made.figure_1(losses=worse, constant={0.1: 1e-9, 0.5: 1e-9})).verdict == NOT_REPRODUCED


def test_a_message_without_a_verdict_decides_nothing():
    undecided = made.figure_1(constant={0.1: 1.0, 0.5: 1.0})
    for run in undecided.runs:
        run.summary["result"]["lambda_1"] = 0.1  # no b0 is below half of it
    assert by_key(undecided, decided=figure_1.decided, keys=["diverges"]).verdict == NOT_RUN


def test_a_key_that_no_message_has():
    with pytest.raises(ClaimError, match=r"^the sweep figure_1 decides no diverges, fails$"):
        by_key(made.figure_1(), decided=figure_1.decided, keys=["diverges", "fails"])


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


# sweep: the key of a sentence, then (runs, verdict), one as the sentence says and one not
SCRIPTS = {
    "figure_3": (
        "robust",
        (lambda root: test_figure_3.runs(root, {"adam": test_figure_3.RISING, "adamloss": test_figure_3.FLAT})),
        (lambda root: test_figure_3.runs(root, {"adam": test_figure_3.FLAT, "adamloss": test_figure_3.RISING})),
    ),
    "figure_3_readings": (
        "robust",
        lambda root: readings(root, -200),
        lambda root: readings(root, -900),
    ),
    "figure_5": (
        "independent_of_n",
        test_gram_and_bounds.gram_runs,
        lambda root: test_gram_and_bounds.gram_runs(root, test_gram_and_bounds.times("lambda_max", 0.8, n=50, d=50)),
    ),
    "figure_6": (
        "almost_the_same",
        test_b0_panels.network_runs,
        lambda root: test_b0_panels.network_runs(root, test_b0_panels.ENDS | {"adaloss": (1e-5, 1e-5, 1e-4)}),
    ),
    "figure_burn_in": ("grows_while", lambda root: burn_in(root, 3.0), lambda root: burn_in(root, 1.5)),
    "figure_c": (
        "first",
        test_c.runs_of,
        lambda root: test_c.runs_of(root, there=test_c.THERE | {2.0: 10}),
    ),
    "figure_critical_step": (
        "calm_below",
        lambda root: test_critical_step.runs_of(root, (2.0, 2.0)),
        lambda root: test_critical_step.runs_of(root, (2.0, 2.0), instead={(100, 0, 1.9): test_critical_step.GREW}),
    ),
    "figure_theorem_3": (
        "apart",
        test_theorem_3.runs_of,
        lambda root: test_theorem_3.runs_of(root, apart={100: 0.2, 1000: 0.8}),
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_runs_of_every_script_reach_its_messages(name, tmp_path):
    script, (key, as_said, otherwise) = import_module(f"scripts.{name}"), SCRIPTS[name]
    for k, (runs, verdict) in enumerate(((as_said, {REPRODUCED}), (otherwise, {NOT_REPRODUCED, PARTLY}))):
        sweep = Sweep(name, runs(tmp_path / str(k)))
        found = by_key(sweep, decided=script.decided, keys=[key])
        assert found.verdict in verdict, found.measured
    for claim in script.CLAIMS:
        if getattr(claim.measure, "func", None) is by_key:
            assert claim.measure(sweep).measured  # no key is missing


def test_every_script_is_tried():
    drawn = [name for name in listed() if (ROOT / f"scripts/{name}.py").is_file()]
    assert {*SCRIPTS, "figure_1"} == {name for name in drawn if hasattr(import_module(f"scripts.{name}"), "decided")}
