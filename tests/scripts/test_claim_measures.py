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
FUNCTIONS = [getattr(claim.measure, "func", claim.measure) for claim in claims()]
MEASURES = {function.__name__: function for function in FUNCTIONS}
ITERATION = np.arange(1, 301)
CELL = {"tolerance": 1.0, "method": "adaloss", "b0": 100, "best": [90.65, 0.0]}
OTHERS = ["adagrad_norm_rowwise", "sgd_constant", "sgd_decay_sqrt"]
SLOWLY = 0.5 * NETWORK_ITERATIONS**-0.5  # falls, but not by 1e-6
ALIKE = np.full(len(NETWORK_ITERATIONS), 0.9)

# measure: its arguments, then (runs, verdict) pairs of which the first has the verdict of the paper's statement
CASES = {
    "not_better": [
        {"window": 1, "b0_below": 1},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(losses={"adaloss": (2.0, 0.8, 1e-9)}), NOT_REPRODUCED),
        (made.figure_1(constant={0.1: np.inf, 0.5: 1.0}), REPRODUCED),
    ],
    "larger_steps": [
        {"tolerance": 2, "window": 0, "b0_below": 1},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(b={"adaloss": 5.0}), NOT_REPRODUCED),
    ],
    "settled": [
        {"tolerance": 0.05},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(growth=1.1), NOT_REPRODUCED),  # 1.1 = 4.97^0.059
        (made.figure_1(growth=1.08), REPRODUCED),
    ],
    "smaller_limit": [
        {"tolerance": 1.000001},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(b={"adaloss": 9.1}), NOT_REPRODUCED),
    ],
    "first_addition": [
        {},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(first={"adaloss": 13.0}), NOT_REPRODUCED),
        (made.figure_1(first={"adaloss": 0.0}), NOT_RUN),  # nothing that float64 could see
    ],
    "gradient_bound": [
        {},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(first={"adagrad_norm": 21.0}), NOT_REPRODUCED),  # C is 5 times 4
    ],
    "slow": [
        {"tolerance": 10},
        (made.figure_1(), REPRODUCED),
        (made.figure_1(constant={100.0: 9e-6}), NOT_REPRODUCED),
    ],
    "exit_bound": [
        {"method": "adaloss"},
        (made.bounds(), REPRODUCED),
        (made.bounds(exit_paper=2.9), NOT_REPRODUCED),
        (made.bounds(exit_paper=3.0), REPRODUCED),
        (made.bounds(exit_index=0.0), NOT_RUN),
    ],
    "unviolated": [
        {"method": "adagrad_norm", "checks": ["t_bound", "t_first"]},
        (made.bounds(), REPRODUCED),
        (made.bounds(violations=1), PARTLY),
    ],
    "positive_gram": [
        {"tolerance": 1e-12},
        (made.gram(), REPRODUCED),
        (made.gram(lambda_min=1e-13), PARTLY),
    ],
    "norm_below_n": [{}, (made.gram(), REPRODUCED), (made.gram(lambda_max=80.1), PARTLY)],
    "bounded_labels": [
        {"tolerance": 1, "data": "digits"},
        (made.labels(), REPRODUCED),
        (made.labels(zero_loss=0.51), NOT_REPRODUCED),
    ],
    "linear_iterations": [
        {"tolerance": 1.0, "c_below": 2.0},
        (made.critical_step(), REPRODUCED),  # 61 iterations; 5 log(1e6) = 69.1
        (made.critical_step(slow=1.2), NOT_REPRODUCED),
        (made.critical_step(slow=100), NOT_REPRODUCED),  # not there at all
    ],
    "converges": [
        {"side": "below"},
        (made.theorem_3(), REPRODUCED),
        (made.theorem_3(losses={("adaloss", 0.1): ALIKE}), NOT_REPRODUCED),
        (made.theorem_3(losses={("adaloss", 100.0): ALIKE}), REPRODUCED),  # on the other side
        (made.theorem_3(losses={("adaloss", 0.1): SLOWLY}, bound=100), REPRODUCED),  # on its way
    ],
    "log_linear": [
        {"tolerance": 3},
        (made.theorem_3(), REPRODUCED),
        (made.theorem_3(losses={("adaloss", 0.1): np.where(NETWORK_ITERATIONS > 900, 1e-9, 1e-7)}), PARTLY),
        (made.theorem_3(losses={("adaloss", b0): SLOWLY for b0 in (0.1, 1.0, 100.0)}), NOT_RUN),
    ],
    "same_rate": [
        {"tolerance": 2},
        (made.theorem_3(), REPRODUCED),
        (made.theorem_3(losses={("sgd_constant", 100.0): 0.93 ** (2.0 * NETWORK_ITERATIONS)}), NOT_REPRODUCED),
        (made.theorem_3(b_bound=201.0), NOT_RUN),  # twice b0 is 200: the second term is the larger one
    ],
    "within_bound": [
        {"tolerance": 2},
        (made.theorem_3(), REPRODUCED),
        (made.theorem_3(bound=0.45), NOT_REPRODUCED),
        (made.theorem_3(bound=0.55), REPRODUCED),
        (made.theorem_3(bound=100), NOT_RUN),
    ],
    "step_settles": [
        {"tolerance": 1.05},
        (made.theorem_3(), REPRODUCED),
        (made.theorem_3(step=1.8), NOT_REPRODUCED),  # 2 / 1.2 = 1.67
    ],
    "loss_may_rise": [
        {},
        (made.theorem_3(losses={("adaloss", 0.1): [1.0, 1.02, *[1e-9] * 99]}), REPRODUCED),
        (made.theorem_3(), NOT_REPRODUCED),
        (made.theorem_3(losses={("adaloss", 1.0): [1.0, 1.02, *[1e-9] * 99]}), NOT_REPRODUCED),  # the other side
    ],
    "gram_stays_positive": [
        {},
        (made.theorem_3(), REPRODUCED),
        (made.theorem_3(lambda_min=0.0), NOT_REPRODUCED),
    ],
    "width_needed": [
        {},
        (made.theorem_3(losses={("adaloss", 0.1): ALIKE}), REPRODUCED),
        (made.theorem_3(), NOT_REPRODUCED),
        (made.theorem_3(n=1), REPRODUCED),  # 100 is above 1^8
    ],
    "accuracy": [
        CELL | {"paper": 89.62},  # 1.03 below its best, ours 1
        (made.table(), REPRODUCED),
        (made.table(changed={("adaloss", 100): 0.875}), NOT_REPRODUCED),  # 2.5 below
        (made.table(changed={("adaloss", 100): 0.875}, spread=0.02), REPRODUCED),  # within two standard errors
        (made.table(changed={("adaloss", 100): None}), NOT_REPRODUCED),
        (made.table(data="cifar100"), REPRODUCED),
        (made.table(data="cifar100", changed={("adaloss", 100): 0.91}), NOT_REPRODUCED),
        (made.table(data="cifar100", changed={("adaloss", 1): 0.99}), REPRODUCED),  # the shape is not what counts
    ],
    "least_spread": [
        {"method": "adaloss", "others": OTHERS},
        (made.table(), REPRODUCED),
        (made.table(changed={("adaloss", 100): 0.87}), PARTLY),
        (made.table(changed={("adaloss", 100): None}), NOT_REPRODUCED),
    ],
    "more_steps": [
        {},
        (made.errata(), REPRODUCED),
        (made.errata(erratum_5={"fewer": 501}), NOT_REPRODUCED),
    ],
    "within_printed": [
        {},
        (made.errata(), REPRODUCED),
        (made.errata(erratum_9={"term_4": 16.0}), NOT_REPRODUCED),
    ],
    "robust_loss": [
        {"tolerance": 0.25, "method": "adamloss"},
        (made.lstm(), REPRODUCED),
        (made.lstm(losses={("adamloss", 1): np.linspace(0.7, 0.2, 300)}), NOT_REPRODUCED),
        (made.lstm(status={("adamloss", 1): "diverged"}), NOT_REPRODUCED),
        (made.lstm(losses={("adamloss", 1): np.full(300, np.nan)}), NOT_REPRODUCED),
    ],
    "better_accuracy": [
        {"tolerance": 1.0, "method": "adamloss", "others": ["adam", "adam_sqrt"]},
        (made.lstm(), REPRODUCED),
        (made.lstm(accuracy={("adam", 400): 0.955}), REPRODUCED),
        (made.lstm(accuracy={("adam", 400): 0.965}), PARTLY),
        (made.lstm(accuracy={("adamloss", b0): 0.8 for b0 in (0.1, 1, 400)}), NOT_REPRODUCED),
        (made.lstm(status={("adamloss", 1): "diverged"}), PARTLY),
        (made.lstm(accuracy={("adamloss", b0): None for b0 in (0.1, 1, 400)}), NOT_RUN),
    ],
    "reaches": [
        {"paper": 0.01, "tolerance": 2, "b0": 1, "iteration": 25},
        (made.lstm(), REPRODUCED),  # 1 / 101
        (made.lstm(b={("adamloss", 1): ITERATION * 1.0}), NOT_REPRODUCED),  # 1 / 25
        (made.lstm(b={("adamloss", 1): ITERATION * 9.0}), NOT_REPRODUCED),  # 1 / 225
    ],
    "stabilizes": [
        {"tolerance": 2, "b0": [0.1, 1], "first": 25, "last": 200},
        (made.lstm(), REPRODUCED),
        (made.lstm(b={("adamloss", 1): ITERATION * 1.0}), PARTLY),
    ],
    "high_loss": [
        {"tolerance": 2, "b0": [0.1, 1], "last": 25},
        (made.lstm(), REPRODUCED),
        (made.lstm(losses={("adamloss", 1): np.linspace(0.7, 0.1, 300)}), PARTLY),
        (made.lstm(losses={("adamloss", 1): np.append(np.full(26, 0.7), np.full(274, 9.0))}), PARTLY),  # later
    ],
    "decreases": [
        {"b0": 400, "last": 200},
        (made.lstm(), REPRODUCED),
        (made.lstm(losses={("adamloss", 400): np.linspace(0.7, 0.71, 300)}), NOT_REPRODUCED),
        (made.lstm(losses={("adamloss", 400): np.full(300, np.inf)}), NOT_REPRODUCED),
    ],
    "at_most": [
        {"tolerance": 1.05, "part": "adaloss", "other": "sgd_constant"},
        (made.cost(), REPRODUCED),
        (made.cost(adaloss=0.11), NOT_REPRODUCED),
    ],
    "at_least": [
        {"tolerance": 1.1, "part": "adagrad_norm", "other": "adaloss"},
        (made.cost(), REPRODUCED),
        (made.cost(adagrad_norm=0.105), NOT_REPRODUCED),
    ],
    "share_of_iteration": [
        {"tolerance": 0.1, "parts": ["adagrad_norm", "adagrad_norm_rowwise"]},
        (made.cost(), REPRODUCED),  # (0.3 - 0.1) / 1.1
        (made.cost(gradient=2.0), NOT_REPRODUCED),
    ],
}
# Numbers that no longer refute the statement, by statement.
HARMLESS = {
    "uniform_in_the_start": {"erratum_1": {"ratio": 29.0}},
    "exit_exists": {"erratum_2": {"b_bound": 0.6}},
    "condition_without_square": {"erratum_3": {"growth": 1.0}},
    "gap_without_eta": {"erratum_4": {"gap": 3.0, "gap_short": 0.5}},
    "two_rates_below_inverse": {"erratum_6": {"two_rates": 0.9}},
    "exit_above_twice_threshold": {"erratum_6": {"b_end": 1.1}},
    "norm_independent_of_n": {"erratum_7": {"norm_160": 11.0}},
    "limit_of_steps": {"erratum_8": {"steps_4": 600}},
    "rate_in_inverse_eps": {"erratum_9": {"term_8": 3e4}},
}


def decided(measure, arguments, sweep):
    return MEASURES[measure](sweep, **arguments)


def test_every_measure_is_tried():
    assert set(CASES) == set(MEASURES) - {"counterexample", "by_key"} and set(HARMLESS) == set(STATEMENTS)


@pytest.mark.parametrize("measure", CASES)
def test_the_runs_decide(measure):
    arguments, *tried = CASES[measure]
    found = [decided(measure, arguments, sweep) for sweep, _ in tried]
    assert [finding.verdict for finding in found] == [verdict for _, verdict in tried]
    assert len({verdict for _, verdict in tried}) > 1
    assert len({finding.measured for finding in found[:2]}) == 2


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
    assert found.measured == "digit_images, weights from labels: 89.00, 1.00 points below its best"
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
