"""Claims that several seeds or turns decide, on made-up runs: one changed number in the runs changes the verdict."""

import numpy as np
import pytest

from scripts.claims.claim import CANNOT_FAIL, NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, UNDECIDED, Sweep
from scripts.claims.listed import claims
from tests.scripts import claim_runs as made

BY_ID = {claim.id: claim for claim in claims()}
T = np.arange(1, 301)
INF = np.inf


def small_b0(**changed):
    """Runs whose b grows from the first iteration on."""
    return Sweep("figure_1", [run for run in made.figure_1(**changed).runs if run.config["b0"] < 1])


def width(**changed):
    return made.lstm("figure_4_width", methods=("adamloss",), each="hidden", **changed)


def start(**changed):
    return made.lstm("figure_4", methods=("adamloss",), **changed)


def readings(**changed):
    return made.lstm("figure_2_readings", methods=("adamloss",), **changed)


def texts(**changed):
    return made.lstm("figure_2", **changed)


# claim: its runs, then verdict by verdict what is changed in them; nothing is changed first
CASES = {
    "small-steps-are-slow": (made.figure_1, [({}, REPRODUCED), ({"constant": {100.0: 0.4}}, NOT_REPRODUCED)]),
    "large-steps-diverge": (made.figure_1, [({}, REPRODUCED), ({"constant": {0.5: 0.9}}, NOT_REPRODUCED)]),
    "gradient-bounded-by-loss": (made.figure_1, [
        ({}, CANNOT_FAIL), ({"first": {"adagrad_norm": 21.0}}, NOT_REPRODUCED),  # C is 5 times 4
    ]),
    "tighter-upper-bound": (made.figure_1, [({}, REPRODUCED), ({"b": {"adaloss": 9.1}}, NOT_REPRODUCED)]),
    "b-is-bounded": (made.figure_1, [
        ({}, REPRODUCED), ({"growth": 1.02}, NOT_REPRODUCED), ({"growth": 1.009}, REPRODUCED),
    ]),
    "smaller-addition": (made.figure_1, [
        ({}, REPRODUCED), ({"first": {"adaloss": 13.0}}, NOT_REPRODUCED), ({"first": {"adaloss": 0.0}}, NOT_RUN),
    ]),
    "b-is-monotone": (small_b0, [({}, CANNOT_FAIL), ({"growth": 0.9}, NOT_REPRODUCED)]),
    "improved-to-a-logarithm": (made.burn_in, [
        ({}, REPRODUCED), ({"late": 0.2}, NOT_REPRODUCED), ({"rate": 0.999}, NOT_RUN),  # not there
    ]),
    "fewer-than-the-earlier-bound": (made.burn_in, [({}, REPRODUCED), ({"past": 11}, NOT_REPRODUCED)]),  # of 10^2
    "figure-1-robust": (made.figure_1, [
        ({}, REPRODUCED), ({"seeds": 7}, UNDECIDED),
    ]),
    "figure-1-not-better-first": (made.figure_1, [
        ({}, REPRODUCED), ({"losses": {"adaloss": (0.9, 1.0, 1e-9)}}, NOT_REPRODUCED), ({"seeds": 7}, UNDECIDED),
    ]),
    "figure-1-not-better-1000": (made.figure_1, [
        ({}, REPRODUCED), ({"losses": {"adaloss": (2.0, 0.8, 1e-9)}}, NOT_REPRODUCED),
        ({"losses": dict.fromkeys(("adaloss", "adagrad_norm"), (1.0, 1e-40, 1e-40))}, NOT_RUN),  # at the floor
    ]),
    "figure-1-larger-steps": (made.figure_1, [({}, REPRODUCED), ({"b": {"adaloss": 5.0}}, NOT_REPRODUCED)]),
    "figure-1-outperforms": (made.figure_1, [
        ({}, REPRODUCED), ({"losses": {"adaloss": (2.0, 1.0, 3e-9)}}, NOT_REPRODUCED),
        ({"losses": dict.fromkeys(("adaloss", "adagrad_norm"), (1.0, 1.0, 1e-40))}, NOT_RUN),
    ]),
    "figure-5-norm": (made.gram, [({}, REPRODUCED), ({"larger": 1.5}, NOT_REPRODUCED)]),
    "theorem-2-convergence": (made.critical_step, [
        ({}, REPRODUCED), ({"start": 2.0}, NOT_REPRODUCED), ({"slow": 100}, NOT_REPRODUCED),
    ]),
    "theorem-2-iterations": (made.critical_step, [
        ({}, REPRODUCED), ({"slow": 1.2}, NOT_REPRODUCED), ({"slow": 100}, NOT_REPRODUCED),  # not there at all
    ]),
    "figure-4-robust": (readings, [
        ({}, REPRODUCED), ({"train": {(1, "last"): 0.5}}, PARTLY),  # both measures of one reading
        ({"train": {(1, "last"): 0.05}}, PARTLY),  # 3 times as much, but 5 % of log 2
        ({"train": {1: 0.5}}, NOT_REPRODUCED), ({"train": {(1, "bbc"): 0.05}}, PARTLY),  # of the other corpus
    ]),
    "figure-2-accuracy": (texts, [
        ({}, REPRODUCED), ({"accuracy": {"adam": 0.96}}, PARTLY), ({"accuracy": {"adamloss": 0.8}}, NOT_REPRODUCED),
        ({"accuracy": {("adam", "bbc"): 0.96}}, PARTLY),
    ]),
    "lstm-loss-high": (width, [
        ({}, REPRODUCED), ({"losses": {1: np.append(np.full(26, 0.7), np.full(274, 9.0))}}, PARTLY),  # later
    ]),
    "lstm-b-after-25-from-1": (width, [
        ({}, REPRODUCED), ({"b": {1: T * 1.0}}, NOT_REPRODUCED), ({"b": {(1, 32): T * 9.0}}, PARTLY),  # 1/25, 1/225
        ({"b": {(1, "bbc"): T * 1.0}}, PARTLY),
    ]),
    "lstm-b-stabilizes": (width, [({}, REPRODUCED), ({"b": {1: T * 1.0}}, PARTLY)]),
    "lstm-400-decreases": (start, [({}, REPRODUCED), ({"losses": {400: np.linspace(0.7, 0.71, 300)}}, NOT_REPRODUCED)]),
    "table-1-adaloss-100": (made.table, [
        ({}, REPRODUCED), ({"changed": {("adaloss", 100): 0.855}}, REPRODUCED),  # 4.5 points below
        ({"changed": {("adaloss", 100): 0.845}}, NOT_REPRODUCED),
        ({"changed": {("adaloss", 100): None}}, NOT_REPRODUCED),
        ({"changed": {("adaloss", 100): 0.845}, "spread": 0.02}, UNDECIDED),  # noise widens no limit
        ({"data": "cifar100"}, REPRODUCED), ({"data": "cifar100", "changed": {("adaloss", 100): 0.91}}, NOT_REPRODUCED),
    ]),
    "table-1-adaloss-0.01": (made.table, [
        ({}, CANNOT_FAIL), ({"data": "cifar100"}, REPRODUCED), ({"changed": {("adaloss", 0.01): None}}, UNDECIDED),
    ]),
    "table-1-sgd-constant-0.01": (made.table, [
        ({"seeds": 3}, REPRODUCED), ({"changed": {("sgd_constant", 0.01): 0.84}}, REPRODUCED),  # far, as N/A is
        ({"changed": {("sgd_constant", 0.01): 0.86}}, NOT_REPRODUCED),
        ({"changed": {("sgd_constant", 10): None}}, UNDECIDED),  # the reference
        ({"data": "cifar100"}, REPRODUCED), ({"data": "cifar100", "seeds": 7}, UNDECIDED),
        ({"data": "cifar100", "changed": {("sgd_constant", 0.01): 0.5}}, NOT_REPRODUCED),
    ]),
    "table-1-robust": (made.table, [
        ({}, REPRODUCED), ({"changed": {("adaloss", 100): 0.87}}, PARTLY),
        ({"changed": {("adaloss", 100): None}}, PARTLY),  # SGD-Constant has an N/A too
    ]),
    "cost-of-adaloss": (made.cost, [
        ({}, REPRODUCED), ({"adaloss": 0.11}, NOT_REPRODUCED), ({"disturbed": 0.5}, UNDECIDED),  # a busy machine
    ]),
    "cost-of-the-norm": (made.cost, [({}, REPRODUCED), ({"adagrad_norm": 0.105}, NOT_REPRODUCED)]),
    "significant-improvement": (made.cost, [({}, REPRODUCED), ({"gradient": 9.0}, NOT_REPRODUCED)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_runs_decide(name):
    runs, tried = CASES[name]
    found = [BY_ID[name].decide(runs(**change)) for change, _ in tried]
    assert [finding.verdict for finding in found] == [verdict for _, verdict in tried], [f.measured for f in found]


def test_what_a_finding_says():
    found = BY_ID["table-1-adaloss-100"].decide(made.table())
    assert found.paper == "89.62, near: 1.03 below the best" and found.tolerance == "5 points"
    assert found.measured == (
        "digit_images, weights from labels 89.00; points below b0 = 0.01: digit_images, weights from labels: 1 [1, 1]"
    )
    found = BY_ID["figure-1-robust"].decide(made.figure_1(seeds=7))
    assert "(2 undecided: " in found.measured and "; to decide all probably 14 seeds)" in found.measured
