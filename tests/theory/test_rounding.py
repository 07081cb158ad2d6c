"""Bounds that float64 must not round below the truth: 50-digit trajectories, next to thresholds and to eps."""

import numpy as np
import pytest
from mpmath import findroot, log, mp, mpf, sqrt

from adaloss.theory import linear_regression as theory
from adaloss.theory import stochastic
from adaloss.theory.linear_regression import State
from adaloss.theory.roots import hroot, steps_until
from adaloss.theory.two_layer import gradient_descent_iterations

mp.dps = 50


def exact(eigenvalues, s, b, eta, p, steps):
    """(b_t, s_t) for t = 0..steps, in 50 digits."""
    eigenvalues, s, b = [mpf(v) for v in eigenvalues], [mpf(v) for v in s], mpf(b)
    for _ in range(steps + 1):
        yield b, s
        b = sqrt(b**2 + sum(v**p * e for v, e in zip(eigenvalues, s, strict=True)))
        s = [(1 - mpf(eta) * v / b) ** 2 * e for v, e in zip(eigenvalues, s, strict=True)]


def cases():
    """Next to eta lambda_1 / 2 by 0 to 1e6 ulp, errors that do not move b and others, condition up to 1e12."""
    rng = np.random.default_rng(5)
    for k in range(60):
        d, p = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        eigenvalues = sorted(10.0 ** rng.uniform(-12 * (k % 3) / 2, 0, d) * 10.0 ** rng.uniform(-3, 3))[::-1]
        eta, s = 10.0 ** rng.uniform(-2, 2), 10.0 ** rng.uniform(-60 if k % 2 else -6, 1, d)
        beta = 0.5 * (1 + rng.choice([-1, 0, 1]) * 2.0 ** rng.integers(-53, -30)) if k % 5 else 10 ** rng.uniform(-3, 1)
        yield eigenvalues, s.tolist(), beta * eta * eigenvalues[0], eta, p


def test_no_bound_of_part_a_is_below_the_truth():
    steps, seen = 24, 0
    for case in cases():
        state, path = State(*case), list(exact(*case, steps))
        eigenvalues = case[0]
        half = mpf(case[3]) * mpf(eigenvalues[0]) / 2
        exits = [t for t in range(steps) if path[t + 1][0] >= half]
        n = exits[0] if exits else steps
        assert all(mpf(float(value)) >= n for k in (0, 1, 16) for value in theory.exit_bounds(state, k).values())
        assert mpf(float(theory.b_max(state))) >= path[-1][0]
        assert mpf(float(theory.b_max_headline(state))) >= path[-1][0]
        limits = [mpf(float(v)) for v in theory.error_bounds(state)]
        assert all(e <= limit for _, s in path for e, limit in zip(s, limits, strict=True))
        for q in (0, 1):
            psi = [sum(mpf(v) ** q * e for v, e in zip(eigenvalues, s, strict=True)) for _, s in path]
            assert mpf(float(theory.target_bound(state, q))) >= max(psi)
            near = [float(psi[late]) for late in (1, 3, 12)]
            eps = np.array([e for e in (*near, *np.nextafter(near, 0)) if e > 1e-300])  # reached there, or just not
            many = State(eigenvalues, case[1], np.full(len(eps), case[2]), *case[3:])
            for target, t in zip(eps, theory.iterations_at_least(many, eps, q), strict=True):
                assert t == 0 or t > steps or psi[int(t) - 1] > mpf(float(target)), (case, q, target)
            for k in (0, 1, 4, 16):
                for target, t in zip(eps, theory.iterations(many, eps, q, k), strict=True):
                    if t <= steps:
                        seen += 1
                        assert all(value <= mpf(float(target)) for value in psi[int(t) :]), (case, q, k, target)
    assert seen > 100


@pytest.mark.parametrize(
    ("case", "eps", "least"),
    [
        (([0.1], [1e-60], 0.7 * 0.1 / 2, 0.7, 2), None, 1.0),  # below the threshold, which its products round away
        (([1.0], [1e-25], 0.6, 1.0, 2), 4.444444444444445e-26, 2.0),  # psi_1 above eps by a part of an ulp
        (([7.4e97], [9.4e-104], 2.6e-3, 1.04e-100, 1), None, 0.0),  # eta^2 is 1e-200
    ],
)
def test_inputs_that_were_too_small(case, eps, least):
    state = State(*case)
    if eps is None:
        n = next(
            (t for t, (b, _) in enumerate(exact(*case, 200)) if t and b >= mpf(case[3]) * mpf(case[0][0]) / 2), 201
        )
        assert theory.exit_bounds(state)["best"] >= max(n - 1, least)
    else:
        assert theory.iterations(state, eps, 0) >= least


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (([7.4e97], [9.4e-226], 2.6e-64, 1.04e-161, 1), "eta=1.04e-161"),  # eta^2 underflows
        (([1e94], [0.0], 1e191, 1e98, 2), "b=1e\\+191"),  # b^2 is inf: "b is past eta L / 2" at once
        (([1e-170], [0.0], 1e-230, 1e-65, 2), "b=1e-230"),  # b^2 is 0, and b_max was below b
        (([1e160, 1.0], [0.0, 1.0], 1.0, 1.0, 1), "eigenvalues=1e\\+160"),
        (([7.9e99], [1.3e270], 3.9e90, 3.5e90, 2), "s=1.3e\\+270"),  # G is inf, and target_bound was s
    ],
)
def test_what_leaves_float64_squared_is_no_state(case, name):
    with pytest.raises(ValueError, match=name):
        State(*case)


def test_stochastic_bounds_refuse_the_same():
    """error_limit was 1e-278 here, and D_1 is 9.98e-273."""
    with pytest.raises(ValueError, match="eta=1e-223"):
        stochastic.error_limit(1e-28, 1e-223, 1e198, 1e-278, 1)


def test_logarithms_round_to_the_safe_side():
    """Next to the start, with a slow contraction, the difference of two logarithms near 235 decides over 9 steps."""
    slow, z, eps = 5.568005543648321e-15, 2.3694569153331225e102, 2.3653775145582644e102
    needed = log(mpf(z) / mpf(eps)) / (-2 * log(1 - mpf(slow)))
    assert needed <= gradient_descent_iterations([1.0, slow], z, eps) <= needed * (1 + mpf(1e-9))
    b0, eta, d0, mu_n = 2.6429424004376846e97, 1.3212714002188423e97, 1.7462861330078273e188, 5.225265100290876e-16
    eps = 1.7460244234945442e188
    decrease = stochastic._least_decrease(b0, eta, 1.0, d0, mu_n, 1)
    needed = log(mpf(d0) / mpf(eps) / mpf(0.99)) / -log(1 - mpf(float(decrease)))
    assert stochastic.iterations(b0, eta, 1.0, d0, mu_n, 1, eps, 0.99) >= needed


def test_hroot_and_what_follows_from_it():
    rng = np.random.default_rng(1)
    for k in [*(1 + np.log(2) + 10.0 ** rng.uniform(-16, 1, 200)), *10.0 ** rng.uniform(1, 12, 20)]:
        x = hroot(k)
        assert 2 * mpf(float(x)) - log(mpf(float(x))) >= mpf(float(k))
        true = findroot(lambda v, k=k: 2 * v - log(v) - mpf(float(k)), mpf(float(x)))
        assert mpf(float(x)) - true <= 1e-14 * k / (2 - 1 / true) + mpf(1e-18)
    assert theory.b_max(State([1.0], [1e-40], 0.500001, 1.0, 2)) >= 0.500001
    for b0 in 0.5 * (1 + 10.0 ** rng.uniform(-15, 0, 50)):
        assert stochastic.b_limit(b0, 1.0, 1.0, 0.0, 2) >= b0
        assert stochastic.error_limit(b0, rng.uniform(0.5, 1), 1.0, 0.3, 1) >= 0.3


def test_steps_until_keeps_clear_of_eps():
    rng = np.random.default_rng(2)
    for _ in range(200):
        start, rho = 10.0 ** rng.uniform(-30, 3, 3), rng.uniform(0.5, 0.99, 3)
        k = int(rng.integers(1, 60))
        exactly = [sum(mpf(v) * mpf(r) ** (2 * j) for v, r in zip(start, rho, strict=True)) for j in range(k + 2)]
        eps = np.nextafter(float(exactly[k]), 0 if rng.uniform() < 0.5 else np.inf)
        found = int(steps_until(start, rho, np.array(eps)))
        assert found in (k, k + 1) and exactly[found] <= mpf(float(eps))
