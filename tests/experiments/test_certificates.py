"""Trainings and their certificates: torch makes the same ones, and its weights are certified in a loop."""

from itertools import pairwise

import numpy as np
import pytest

from adaloss.simulate.linear_regression import Cell
from adaloss.simulate.two_layer import Problem
from adaloss.theory.finite_width import certify
from adaloss.theory.two_layer import rule_alpha
from experiments.certificates import INIT_STREAM, Certificates
from experiments.data import sphere
from experiments.runs.schema import validated
from tests.reference.two_layer import torch_cell

SIZES = {"data": {"name": "sphere", "n": 6, "d": 12}, "m": 60}


def made(**training):
    experiment = validated(Certificates, {"training": SIZES | training, "target": 1e-6, "most": 3000, "seed": 3})
    [outcome] = experiment.execute(experiment.runs(), lambda steps, **words: steps)
    return outcome


@pytest.mark.parametrize(("alpha", "eta", "b0"), [(0.5, 2.0, 0.01), (0.5, 2.0, 100.0), (0.0, 0.8, 0.5)])
def test_a_run_is_torchs_training_and_what_is_certain_of_its_weights(alpha, eta, b0):
    outcome = made(alpha=alpha, eta=eta, b0=b0, eta_unit="absolute")
    history, results = outcome.history.set_index("iteration"), outcome.results
    x, y, _ = sphere.load(sphere.Config(name="sphere", n=6, d=12), 3)
    rng = np.random.default_rng([3, INIT_STREAM])
    problem = Problem(x, y, rng.normal(size=(60, 12)), rng.choice([-1.0, 1.0], size=60))
    rule = {"eta": eta, "alpha": rule_alpha(alpha, 6), "c": 0.0} if alpha else {"eta": eta}
    cell, last = Cell("adaloss" if alpha else "sgd_constant", b0, rule), int(history.index[-1])
    asked = [int(k) for k in history.index[history.asked]]
    losses, steps, weights = torch_cell(problem, 3, cell, iterations=last + 1, batch=None, keep=[k + 1 for k in asked])
    np.testing.assert_allclose(history.loss, losses[history.index], rtol=1e-7, atol=1e-13)
    eps = 1e-6 * 2 * losses[0]
    assert results["steps"] == np.flatnonzero(2 * losses > eps)[-1] + 1
    assert asked[:9] == [0, 1, 2, 3, 4, 6, 9, 13, 19][: len(asked)] and results["certified_at"] == asked[-1] > 0
    assert all(later == k + max(k // 2, 1) for k, later in pairwise(asked))
    for k in asked:
        b = b0 if k == 0 or not alpha else eta / steps[k - 1]
        found = certify(weights[k + 1], problem.a, x, y, eta=eta, b=b, alpha=alpha)
        assert found.holds == (k == asked[-1])
    assert results["certified"]["iterations"] == k + found.iterations(eps) == last >= results["steps"]
    np.testing.assert_allclose(history.bound[k], losses[k], rtol=1e-9)
    assert history.bound.loc[: k - 1].isna().all() and (history.loss <= history.bound * (1 + 1e-9)).loc[k:].all()


def test_what_is_never_certified_or_diverges_is_a_result():
    narrow = made(alpha=0.0, eta=0.9, b0=1.0, eta_unit="start", m=3)
    assert narrow.results["certified_at"] is None and narrow.history.bound.isna().all()
    assert not made(alpha=0.0, eta=1e30, b0=1.0, eta_unit="absolute").finite
