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
FUNCTIONS = [getattr(claim.measure, "func", claim.measure) for claim in claims() if claim.measure]
MEASURES = {function.__name__: function for function in FUNCTIONS}
ITERATION = np.arange(1, 301)
CELL = {"tolerance": 1.0, "method": "adaloss", "b0": 100, "best": [90.65, 0.0]}
OTHERS = ["adagrad_norm_rowwise", "sgd_constant", "sgd_decay_sqrt"]
SLOWLY = 0.5 * NETWORK_ITERATIONS**-0.5  # falls, but not by 1e-6
BOTH = {("adaloss", 2.0): 40.0, ("adaloss", 0.001): 40.0}
ALIKE = np.full(len(NETWORK_ITERATIONS), 0.9)

# measure: the runs that bear the paper's statement out, but for the two below that say otherwise, and its arguments
CASES = {
    "not_better": (made.figure_1, {"window": 1, "b0_below": 1}),
    "larger_steps": (made.figure_1, {"tolerance": 2, "window": 0, "b0_below": 1}),
    "settled": (made.figure_1, {"tolerance": 0.05}),
    "smaller_limit": (made.figure_1, {"tolerance": 1.000001}),
    "first_addition": (made.figure_1, {}),
    "gradient_bound": (made.figure_1, {}),
    "slow": (made.figure_1, {"tolerance": 10}),
    "exit_bound": (made.bounds, {"method": "adaloss"}),
    "unviolated": (made.bounds, {"method": "adagrad_norm", "checks": ["t_bound", "t_first"]}),
    "positive_gram": (made.gram, {"tolerance": 1e-12}),
    "norm_below_n": (made.gram, {}),
    "bounded_labels": (made.labels, {"tolerance": 1, "data": "digits"}),
    "linear_iterations": (made.critical_step, {"tolerance": 1.0, "c_below": 2.0}),
    "more_than_before": (made.gram, {}),
    "complexity_exponent": (made.gram, {"tolerance": 0.07}),
    "largest_step_in_order": (made.critical_step, {"least": 1.9, "most": 6.0}),
    "width_exponent": (made.critical_step, {"tolerance": 0.05, "c": 1.5}),
    "beyond_proved": (made.critical_step, {"tolerance": 2}),
    "any_choice_converges": (made.hyperparameters, {}),
    "homogeneous": (made.hyperparameters, {"tolerance": 1e-6}),
    "converges": (made.theorem_3, {"side": "below"}),
    "within_bound": (made.theorem_3, {"tolerance": 2}),
    "width_needed": (made.theorem_3, {}),
    "log_linear": (made.theorem_3, {"tolerance": 3, "method": "adaloss"}),
    "same_rate": (made.theorem_3, {"tolerance": 1.1}),
    "small_or_slow": (made.theorem_3, {}),
    "loss_may_rise": (made.theorem_3, {}),
    "gram_stays_positive": (made.theorem_3, {}),
    "stays_near": (made.theorem_3, {"tolerance": 1.05}),
    "same_role": (made.theorem_3, {"tolerance": 1.1}),
    "kernel_of_initialization": (made.theorem_3, {"tolerance": 0.1}),
    "b_grows": (made.theorem_3, {}),
    "accuracy": (made.table, CELL | {"paper": 89.62}),
    "least_spread": (made.table, {"method": "adaloss", "others": OTHERS}),
    "more_steps": (made.errata, {}),
    "within_printed": (made.errata, {}),
    "robust_loss": (made.lstm, {"tolerance": 0.25, "method": "adamloss"}),
    "better_accuracy": (made.lstm, {"tolerance": 1.0, "method": "adamloss", "others": ["adam", "adam_sqrt"]}),
    "reaches": (made.lstm, {"paper": 0.01, "tolerance": 2, "b0": 1, "iteration": 25}),
    "stabilizes": (made.lstm, {"tolerance": 2, "b0": [0.1, 1], "first": 25, "last": 200}),
    "high_loss": (made.lstm, {"tolerance": 2, "b0": [0.1, 1], "last": 25}),
    "decreases": (made.lstm, {"b0": 400, "last": 200}),
    "at_most": (made.cost, {"tolerance": 1.05, "part": "adaloss", "other": "sgd_constant"}),
    "at_least": (made.cost, {"tolerance": 1.1, "part": "adagrad_norm", "other": "adaloss"}),
    "share_of_iteration": (made.cost, {"tolerance": 0.1, "parts": ["adagrad_norm", "adagrad_norm_rowwise"]}),
}
# measure, what is changed in its runs, verdict
CHANGED = [
    ("not_better", {"losses": {"adaloss": (2.0, 0.8, 1e-9)}}, NOT_REPRODUCED),
    ("not_better", {"constant": {0.1: np.inf, 0.5: 1.0}}, REPRODUCED),
    ("larger_steps", {"b": {"adaloss": 5.0}}, NOT_REPRODUCED),
    ("settled", {"growth": 1.1}, NOT_REPRODUCED),  # 1.1 = 4.97^0.059
    ("settled", {"growth": 1.08}, REPRODUCED),
    ("smaller_limit", {"b": {"adaloss": 9.1}}, NOT_REPRODUCED),
    ("first_addition", {"first": {"adaloss": 13.0}}, NOT_REPRODUCED),
    ("first_addition", {"first": {"adaloss": 0.0}}, NOT_RUN),  # nothing that float64 could see
    ("gradient_bound", {"first": {"adagrad_norm": 21.0}}, NOT_REPRODUCED),  # C is 5 times 4
    ("slow", {"constant": {100.0: 9e-6}}, NOT_REPRODUCED),
    ("exit_bound", {"exit_paper": 2.9}, NOT_REPRODUCED),
    ("exit_bound", {"exit_paper": 3.0}, REPRODUCED),
    ("exit_bound", {"exit_index": 0.0}, NOT_RUN),
    ("unviolated", {"violations": 1}, PARTLY),
    ("positive_gram", {"lambda_min": 1e-13}, PARTLY),
    ("norm_below_n", {"lambda_max": 80.1}, PARTLY),
    ("bounded_labels", {"zero_loss": 0.51}, NOT_REPRODUCED),
    ("linear_iterations", {"slow": 1.2}, NOT_REPRODUCED),
    ("linear_iterations", {"slow": 100}, NOT_REPRODUCED),  # not there at all
    ("more_than_before", {"lambda_min": 6400.0}, PARTLY),
    ("complexity_exponent", {"growth": 0.08}, NOT_REPRODUCED),
    ("largest_step_in_order", {"fits": 1.5}, NOT_REPRODUCED),
    ("largest_step_in_order", {"fits": 6.0}, NOT_REPRODUCED),
    ("width_exponent", {"wide": 1.2}, NOT_REPRODUCED),  # 0.08
    ("width_exponent", {"wide": 0.8}, NOT_REPRODUCED),
    ("beyond_proved", {"lambda_0": 4001.0}, NOT_REPRODUCED),  # 4 over 4001 / 40^2
    ("beyond_proved", {"lambda_0": 3000.0}, REPRODUCED),
    ("any_choice_converges", {"end": 1e-5}, NOT_REPRODUCED),
    ("any_choice_converges", {"end": None}, NOT_REPRODUCED),
    ("any_choice_converges", {"end": 1e-5, "bound": 1001}, REPRODUCED),  # on its way
    ("homogeneous", {"off": 2e-6}, NOT_REPRODUCED),
    ("converges", {"losses": ALIKE}, NOT_REPRODUCED),
    ("converges", {"losses": SLOWLY, "bound": 100}, REPRODUCED),  # on its way
    ("within_bound", {"bound": 0.45}, NOT_REPRODUCED),
    ("within_bound", {"bound": 100}, NOT_RUN),
    ("width_needed", {"losses": ALIKE}, REPRODUCED),
    ("width_needed", {}, NOT_REPRODUCED),
    ("width_needed", {"n": 1}, REPRODUCED),  # 100 is above 1^8
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
    ("b_grows", {"last_b": 0.4}, PARTLY),
    ("accuracy", {"changed": {("adaloss", 100): 0.875}}, NOT_REPRODUCED),  # 2.5 below
    ("accuracy", {"changed": {("adaloss", 100): 0.875}, "spread": 0.02}, REPRODUCED),  # within two standard errors
    ("accuracy", {"changed": {("adaloss", 100): None}}, NOT_REPRODUCED),
    ("accuracy", {"data": "cifar100"}, REPRODUCED),
    ("accuracy", {"data": "cifar100", "changed": {("adaloss", 100): 0.91}}, NOT_REPRODUCED),
    ("accuracy", {"data": "cifar100", "changed": {("adaloss", 1): 0.99}}, REPRODUCED),  # the shape is not what counts
    ("least_spread", {"changed": {("adaloss", 100): 0.87}}, PARTLY),
    ("least_spread", {"changed": {("adaloss", 100): None}}, NOT_REPRODUCED),
    ("more_steps", {"erratum_5": {"fewer": 700}}, NOT_REPRODUCED),
    ("within_printed", {"erratum_9": {"term_4": 16.0}}, NOT_REPRODUCED),
    ("robust_loss", {"losses": {("adamloss", 1): np.linspace(0.7, 0.2, 300)}}, NOT_REPRODUCED),
    ("robust_loss", {"status": {("adamloss", 1): "diverged"}}, NOT_REPRODUCED),
    ("robust_loss", {"losses": {("adamloss", 1): np.full(300, np.nan)}}, NOT_REPRODUCED),
    ("better_accuracy", {"accuracy": {("adam", 400): 0.955}}, REPRODUCED),
    ("better_accuracy", {"accuracy": {("adam", 400): 0.965}}, PARTLY),
    ("better_accuracy", {"accuracy": {("adamloss", b0): 0.8 for b0 in (0.1, 1, 400)}}, NOT_REPRODUCED),
    ("better_accuracy", {"status": {("adamloss", 1): "diverged"}}, PARTLY),
    ("better_accuracy", {"accuracy": {("adamloss", b0): None for b0 in (0.1, 1, 400)}}, NOT_RUN),
    ("reaches", {"b": {("adamloss", 1): ITERATION * 1.0}}, NOT_REPRODUCED),  # 1 / 25
    ("reaches", {"b": {("adamloss", 1): ITERATION * 9.0}}, NOT_REPRODUCED),  # 1 / 225
    ("stabilizes", {"b": {("adamloss", 1): ITERATION * 1.0}}, PARTLY),
    ("high_loss", {"losses": {("adamloss", 1): np.linspace(0.7, 0.1, 300)}}, PARTLY),
    ("high_loss", {"losses": {("adamloss", 1): np.append(np.full(26, 0.7), np.full(274, 9.0))}}, PARTLY),  # later
    ("decreases", {"losses": {("adamloss", 400): np.linspace(0.7, 0.71, 300)}}, NOT_REPRODUCED),
    ("decreases", {"losses": {("adamloss", 400): np.full(300, np.inf)}}, NOT_REPRODUCED),
    ("at_most", {"adaloss": 0.11}, NOT_REPRODUCED),
    ("at_least", {"adagrad_norm": 0.105}, NOT_REPRODUCED),
    ("share_of_iteration", {"gradient": 2.0}, NOT_REPRODUCED),
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
    assert set(CASES) == set(MEASURES) - {"counterexample", "by_key"} and set(HARMLESS) == set(STATEMENTS)


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


def test_the_shape_of_a_column_is_compared_with_the_papers():
    found = decided("accuracy", CELL | {"paper": 89.62, "std": 0.12}, made.table(spread=0.02))
    # each mean of two has the variance 1^2 (points), the paper's of three 0.12^2 / 3
    assert found.tolerance == f"{1 + 2 * (1 + 1 + 0.12**2 / 3) ** 0.5:.2f} points"
    assert found.measured == "digit_images, weights from rotation: 89.00, 1.00 points below its best"
    assert found.paper == "89.62 ± 0.12, 1.03 points below its best"
    itself = decided("accuracy", CELL | {"paper": 89.62, "std": 0.12}, made.table(data="cifar100", spread=0.02))
    assert itself.tolerance == f"{1 + 2 * (1 + 0.12**2 / 3) ** 0.5:.2f} points" and itself.paper == "89.62 ± 0.12"


def test_no_number_is_compared_with_no_number():
    arguments = CELL | {"paper": None, "method": "sgd_constant", "b0": 0.01}
    assert decided("accuracy", arguments, made.table()).verdict == REPRODUCED
    trained = made.table(changed={("sgd_constant", 0.01): 0.5})
    assert decided("accuracy", arguments, trained).verdict == NOT_REPRODUCED


def test_runs_that_cannot_decide_are_refused():
    with pytest.raises(ClaimError, match=r"^made_up/0: the history lacks b, loss$"):
        decided("decreases", {"b0": 400, "last": 200}, made.lstm(drop=("b", "loss")))
    with pytest.raises(ClaimError, match=r"^the sweep figure_2 has no run of adamloss with b0 = 7$"):
        decided("decreases", {"b0": 7, "last": 200}, made.lstm())
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
