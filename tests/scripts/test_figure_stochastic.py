"""The figure of stochastic gradients from made-up runs."""

import pytest
from scipy.stats import binom

from scripts import figure_stochastic
from tests.scripts.synthetic import saved


def runs(root, failed=0, risen=0.9):
    """Of 50 problems ``failed`` fail each statement that may, at delta = 0.1; bound / measured is 4."""
    cells = []
    for p in (1, 2):
        config = {"p": p, "delta": 0.1, "seed": 0}
        names = [name for name in ("B2", "B3", "B5", "B6", "B7") for _ in range(50)]
        fails = [name != "B2" and k % 50 < failed for k, name in enumerate(names)]
        measured = [0.0 if name == "B2" else 99.0 if fail else 5.0 for name, fail in zip(names, fails, strict=True)]
        bound = [0.0 if name == "B2" else 20.0 for name in names]
        promised = {"statement": names, "x0": 0.1, "bound": bound, "measured": measured, "failed": fails}
        path = {"b0": 0.1, "iteration": [1, 9], "median": [1.0, 0.1], "high": [1.0, 0.3], "proved": [2.0, 0.5]}
        rise = {"d0": [1e-9, 1e-9, 1e-3, 1e-3], "iteration": [1, 9, 1, 9], "risen": [0.0, risen, 0.0, 0.1]}
        parts = {"promises": promised, "paths": path, "counterexample": rise}
        cells += [(config | {"part": part}, history, {}) for part, history in parts.items()]
    return saved(root, "figure_stochastic", cells)


@pytest.mark.parametrize(("failed", "holds"), [(0, True), (10, True), (11, False)])
def test_a_probability_is_rejected_at_one_per_cent(failed, holds):
    """By the binomial distribution itself: 11 or more of 50 have a probability of 0.0094."""
    chance = binom.sf(failed - 1, 50, 0.1)
    assert holds == (chance >= 0.01)
    found = figure_stochastic.messages(runs(None, failed))
    assert [m.holds for m in found[:5]] == [True, *[holds] * 4]
    assert f"failed on {failed} of 50 paths, exact binomial p = {chance:.3g}; bound / measured 4" in found[1].evidence
    assert found[0].evidence == "failed on 0 of 50 paths, exact binomial p = 1"


def test_a_path_that_leaves_b2_and_a_uniform_rate_are_seen():
    table = figure_stochastic.of_part(runs(None), "promises")
    table.loc[3, "failed"] = True
    assert figure_stochastic.tested(table).p_value.iloc[0] == 0
    assert [m.holds for m in figure_stochastic.messages(runs(None, risen=0.4))[-2:]] == [False, False]
