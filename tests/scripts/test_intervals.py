"""Intervals decide rightly: on simulated seeds whose truth is known at most 1 % of the verdicts are wrong."""

from functools import partial

import numpy as np
import pytest

from scripts.claims import intervals
from scripts.claims.claim import NOT_REPRODUCED, PARTLY, REPRODUCED, UNDECIDED, of_estimates
from scripts.claims.intervals import Estimate, Undecided, decided, usually

REPETITIONS = 1000
RNG = np.random.default_rng(0)
MEAN, MEDIAN = Estimate, partial(Estimate, of=intervals.median)


@pytest.mark.parametrize(("rule", "draw", "seeds"), [
    (MEAN, RNG.standard_normal, 4),
    (MEAN, RNG.standard_normal, 12),
    (MEDIAN, RNG.standard_normal, 12),
    (MEDIAN, lambda n: RNG.standard_cauchy(n) ** 3, 20),  # no mean at all
    (usually, lambda n: RNG.random(n) < 0.5, 12),
    (usually, lambda n: RNG.random(n) < 0.5, 16),
])  # fmt: skip
@pytest.mark.parametrize("cases", [1, 6])
def test_at_most_one_verdict_of_a_hundred_is_wrong(rule, draw, seeds, cases):
    """Each truth is on the limit itself, where most verdicts are wrong: 'holds' and 'does not' both are."""
    limit = {} if rule is usually else {"high": 0.0}
    wrong = 0
    for _ in range(REPETITIONS):
        found = decided({str(case): rule(draw(seeds), **limit) for case in range(cases)})
        wrong += any(not isinstance(holds, Undecided) for holds, _ in found.values())
    assert wrong <= 0.01 * REPETITIONS + 3 * (0.01 * REPETITIONS) ** 0.5  # and three deviations of this count


def test_intervals_by_hand():
    """The values' own formulas: t, order statistics and the tail of the binomial distribution."""
    values = np.arange(1.0, 11.0)
    half = 3.2498355415921 * values.std(ddof=1) / 10**0.5  # t of 9 degrees of freedom, 99.5 %
    np.testing.assert_allclose(intervals.mean(values, 0.01), (5.5 - half, 5.5 + half), rtol=1e-9)
    assert intervals.median(values, 0.01) == (1, 10)  # 2 / 2^10 is below 1 %, 22 / 2^10 is not
    low, high = intervals.share(np.ones(10, bool), 0.01)
    assert high == 1 and low == pytest.approx(0.005**0.1, rel=1e-9)
    for few in ([1.0, 1.1], [1.0, 1.0, 1.0, np.inf]):
        assert intervals.mean(np.array(few), 0.01) == (-np.inf, np.inf)
    assert intervals.mean(np.full(4, 2.0), 0.01) == (2, 2)
    assert intervals.median(np.full(7, np.inf), 0.01) == (-np.inf, np.inf)  # 2 / 2^7 is above 1 %


def test_words_tell_an_end_from_its_limit_and_no_rounding():
    assert Estimate([1.0099, 1.0104, 1.0101], high=1.01).words(0.01) == "1.01 [1.009, 1.012]"
    assert Estimate([1.0, 2.0, 3.0], high=9.0).words(0.5) == "2 [1.53, 2.47]"
    assert Estimate([0.1 + 0.2 - 0.3, -0.5, 0.5]).words(0.5).startswith("0 [")
    assert Estimate([1.5, 2.0]).words(0.01) == "1.75 [-inf, inf]"
    assert Estimate([0.1] * 3, high=0.1).holds(0.01) is True


def test_how_many_seeds_would_decide():
    assert Estimate([0.9, 1.1] * 4, high=1.05).holds(0.01).needed == 32  # 2.744 * 0.1016 / sqrt(32) = 0.0493
    assert usually([True] * 7).holds(0.01).needed == 14 and usually([True] * 8).holds(0.01) is True
    assert Estimate([0.9, 1.1] * 4, high=1.0).holds(0.01).needed is None
    assert usually([False] * 8).holds(0.01) is False


@pytest.mark.parametrize(("cases", "verdict"), [
    ({"a": [1.0, 1.1] * 9}, REPRODUCED), ({"a": [3.0, 3.1] * 9}, NOT_REPRODUCED), ({"a": [1.9, 2.1] * 2}, UNDECIDED),
    ({"a": [1.0, 1.1] * 9, "b": [1.9, 2.1] * 2}, UNDECIDED), ({"a": [3.0, 3.1] * 9, "b": [1.9, 2.1] * 2}, UNDECIDED),
    ({"a": [1.0, 1.1] * 9, "b": [3.0, 3.1] * 9, "c": [1.9, 2.1] * 2}, PARTLY),
])  # fmt: skip
def test_a_verdict_of_several_numbers(cases, verdict):
    found = of_estimates({name: Estimate(values, high=2.0) for name, values in cases.items()})
    assert found.verdict == verdict and ("undecided" in found.measured) == ([1.9, 2.1] * 2 in [*cases.values()])
