"""Every measure on made-up runs: the verdict is computed, and one changed number in the runs changes it."""

import numpy as np
import pytest

from scripts.claims.claim import (
    FALSE,
    NOT_REPRODUCED,
    NOT_RUN,
    PARTLY,
    REPRODUCED,
    ClaimError,
    Sweep,
    of_cases,
    of_number,
)
from scripts.claims.errata import STATEMENTS
from scripts.claims.listed import claims
from tests.scripts import claim_runs as made
from tests.scripts.claim_runs import NETWORK_ITERATIONS

# every function that some claim is measured by
FUNCTIONS = [getattr(claim.measure, "func", claim.measure) for claim in claims() if claim.sweep]
MEASURES = {function.__name__: function for function in FUNCTIONS}
SLOWLY = 0.5 * NETWORK_ITERATIONS**-0.5  # falls, but not by 1e-6
ALIKE = np.full(len(NETWORK_ITERATIONS), 0.9)

# measure: the runs that bear the paper's statement out, but for the two below that say otherwise, and its arguments
CASES = {
    "gradient_bound": (made.figure_1, {}),
    "exit_bound": (made.bounds, {"method": "adaloss"}),
    "unviolated": (made.bounds, {"method": "adagrad_norm", "checks": ["t_bound", "t_first"]}),
    "positive_gram": (made.gram, {"tolerance": 1e-12}),
    "norm_below_n": (made.gram, {}),
    "bounded_labels": (made.labels, {"tolerance": 1, "data": "digits"}),
    "more_than_before": (made.gram, {}),
    "complexity_exponent": (made.gram, {"tolerance": 0.07}),
    "largest_step_in_order": (made.critical_step, {"least": 1.9, "most": 6.0}),
    "any_choice_converges": (made.hyperparameters, {}),
    "homogeneous": (made.hyperparameters, {"tolerance": 1e-6}),
    "log_linear": (made.theorem_3, {"tolerance": 3, "method": "adaloss"}),
    "same_rate": (made.theorem_3, {"tolerance": 1.1}),
    "small_or_slow": (made.theorem_3, {}),
    "loss_may_rise": (made.theorem_3, {}),
    "gram_stays_positive": (made.theorem_3, {}),
    "stays_near": (made.theorem_3, {"tolerance": 1.05}),
    "same_role": (made.theorem_3, {"tolerance": 1.1}),
    "kernel_of_initialization": (made.theorem_3, {"tolerance": 0.1}),
    "certified": (made.certificates, {"method": "adaloss", "side": "below"}),
    "classical_rate": (made.certificates, {"tolerance": 1.0}),
    "certified_gram": (made.certificates, {}),
    "width_needed": (made.certificates, {}),
    "more_steps": (made.errata, {}),
    "within_printed": (made.errata, {}),
}
# measure, what is changed in its runs, verdict
CHANGED = [
    ("gradient_bound", {"first": {"adagrad_norm": 21.0}}, NOT_REPRODUCED),  # C is 5 times 4
    ("exit_bound", {"exit_paper": 2.9}, NOT_REPRODUCED),
    ("exit_bound", {"exit_paper": 3.0}, REPRODUCED),
    ("exit_bound", {"exit_index": 0.0}, NOT_RUN),
    ("unviolated", {"violations": 1}, PARTLY),
    ("positive_gram", {"lambda_min": 1e-13}, PARTLY),
    ("norm_below_n", {"lambda_max": 80.1}, PARTLY),
    ("bounded_labels", {"zero_loss": 0.51}, NOT_REPRODUCED),
    ("more_than_before", {"lambda_min": 6400.0}, PARTLY),
    ("complexity_exponent", {"larger": 1.5}, NOT_REPRODUCED),  # 0.08
    ("largest_step_in_order", {"fits": 1.5}, NOT_REPRODUCED),
    ("largest_step_in_order", {"fits": 6.0}, NOT_REPRODUCED),
    ("any_choice_converges", {"end": 1e-5}, NOT_REPRODUCED),
    ("any_choice_converges", {"end": None}, NOT_REPRODUCED),
    ("any_choice_converges", {"end": 1e-5, "bound": 1001}, REPRODUCED),  # on its way
    ("homogeneous", {"off": 2e-6}, NOT_REPRODUCED),
    ("log_linear", {"bend": ("adaloss",)}, NOT_REPRODUCED),
    ("log_linear", {"bend": ("adagrad_norm",)}, REPRODUCED),  # another method
    ("log_linear", {"losses": SLOWLY}, NOT_RUN),
    ("same_rate", {"slow": {("adaloss", 0.001): 1.12}}, NOT_REPRODUCED),
    ("same_rate", {"slow": {("adaloss", 2.0): 1.0}}, REPRODUCED),  # alpha is not small
    ("small_or_slow", {"losses": ALIKE, "last_b": 1.1}, NOT_REPRODUCED),  # of 1 + 0.2 / 1.2
    ("small_or_slow", {"losses": ALIKE, "last_b": 1.2}, REPRODUCED),
    ("loss_may_rise", {"peak": 0.9}, NOT_REPRODUCED),
    ("gram_stays_positive", {"lambda_min": 0.0}, NOT_REPRODUCED),
    ("stays_near", {"distance": 1.06}, PARTLY),
    ("stays_near", {"change": 0.1}, PARTLY),
    ("same_role", {"role": 1.2}, NOT_REPRODUCED),
    ("kernel_of_initialization", {"error": 0.0}, NOT_REPRODUCED),
    ("more_steps", {"erratum_5": {"fewer": 700}}, NOT_REPRODUCED),
    ("certified", {"at": 4}, REPRODUCED),
    ("certified", {"at": None}, NOT_RUN),  # no certificate refutes nothing
    ("certified", {"b0": (1.0, 100.0)}, NOT_RUN),  # the other side
    ("certified", {"bound": 0.99}, NOT_REPRODUCED),
    ("certified", {"until": 9.0}, NOT_REPRODUCED),
    ("classical_rate", {"until": 33.0}, NOT_REPRODUCED),  # 0.7 / 0.3 log(1e6) = 32.2
    ("certified_gram", {"lambda_min": 0.0}, NOT_REPRODUCED),
    ("width_needed", {}, NOT_REPRODUCED),
    ("width_needed", {"n": 2}, NOT_RUN),  # 500 is above 2^8
    ("width_needed", {"at": 1}, NOT_RUN),
    ("within_printed", {"erratum_9": {"term_4": 16.0}}, NOT_REPRODUCED),
]
# Numbers that no longer refute the statement, by statement.
HARMLESS = {
    "uniform_in_the_start": {"erratum_1": {"ratio": 29.0}},
    "exit_exists": {"erratum_2": {"b_bound": 0.6}},
    "condition_without_square": {"erratum_3": {"growth": 1.0}},
    "gap_without_eta": {"erratum_4": {"gap": 3.0, "gap_short": 0.5}},
    "factors_of_two": {"erratum_6": {"b_end": 1.1}},
}


def decided(measure, arguments, sweep):
    return MEASURES[measure](sweep, **arguments)


def test_every_measure_is_tried():
    by_claim = {"by_sentences", "accuracy", "least_spread", "ratio", "share_of_iteration"}  # test_sentences
    by_claim |= {"logarithmic", "fewer", "monotone"}
    assert set(CASES) == set(MEASURES) - by_claim - {"counterexample", "by_key"} and set(HARMLESS) == set(STATEMENTS)


@pytest.mark.parametrize("measure", CASES)
def test_the_runs_decide(measure):
    runs, arguments = CASES[measure]
    tried = [(change, verdict) for name, change, verdict in CHANGED if name == measure]
    if all(change for change, _ in tried):
        tried.insert(0, ({}, REPRODUCED))
    found = [decided(measure, arguments, runs(**change)) for change, _ in tried]
    assert [finding.verdict for finding in found] == [verdict for _, verdict in tried]
    assert len({verdict for _, verdict in tried}) > 1 and len({finding.measured for finding in found[:2]}) == 2


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_counterexample_that_is_none_refutes_nothing(statement):
    found = decided("counterexample", {"statement": statement}, made.errata())
    [run] = found.runs
    assert found.verdict == FALSE and found.measured.startswith(f"erratum {run.config['number']}: ")
    changed = made.errata(**HARMLESS[statement])
    assert decided("counterexample", {"statement": statement}, changed).verdict == REPRODUCED


def test_runs_that_cannot_decide_are_refused():
    with pytest.raises(ClaimError, match=r"^the sweep table_1 has no run of adaloss with b0 = 7$"):
        cell = {"paper": 1.0, "tolerance": 1, "far": 5, "method": "adaloss", "b0": 7, "best": (1, 1)}
        decided("accuracy", cell, made.table())
    with pytest.raises(ClaimError, match=r"^erratum 3: 0 runs of it in the sweep errata, one is needed$"):
        decided("counterexample", {"statement": "condition_without_square"}, Sweep("errata", made.errata().runs[5:]))
    with pytest.raises(ClaimError, match=r"^the sweep figure_6 has no run on faces$"):
        decided("bounded_labels", {"tolerance": 1, "data": "faces"}, made.labels())


def test_cases_and_numbers():
    assert of_cases({"a": True, "b": None}, "x").verdict == REPRODUCED
    assert of_cases({"a": False, "b": None}, "x").verdict == NOT_REPRODUCED
    assert of_cases({"a": None}, "x").verdict == NOT_RUN and of_cases({}, "x").verdict == NOT_RUN
    found = of_cases({"a": True, "b": False, "c": False}, "x")
    assert (found.verdict, found.measured) == (PARTLY, "1 of 3 cases (not: b, c); x")
    assert of_number(1.0, 0.5, 1.0, "x").verdict == REPRODUCED
    assert of_number(np.nan, 0.5, 1.0, "x").verdict == NOT_REPRODUCED
