import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss import stepsizes
from adaloss.simulate.eigenbasis import simulate_eigenbasis
from adaloss.theory import two_layer as theory


def kernel(rng, n):
    x = rng.normal(size=(n, n + 2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    inner = np.clip(x @ x.T, -1.0, 1.0)
    return inner * (np.pi - np.arccos(inner)) / (2 * np.pi)


def test_prediction_loss_and_gradient_are_those_of_torch():
    rng = np.random.default_rng(0)
    x, y, w, a = rng.normal(size=(7, 5)), rng.normal(size=7), rng.normal(size=(11, 5)), rng.choice([-1.0, 1.0], 11)
    leaf = torch.from_numpy(w).requires_grad_()
    u = torch.relu(torch.from_numpy(x) @ leaf.T) @ torch.from_numpy(a) / 11**0.5
    loss = 0.5 * (u - torch.from_numpy(y)).square().sum()
    loss.backward()
    np.testing.assert_allclose(theory.predict(w, a, x), u.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(theory.loss(theory.predict(w, a, x), y), loss.item(), rtol=1e-13)
    np.testing.assert_allclose(theory.gradient(w, a, x, y), leaf.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_a_silent_neuron_has_no_gradient_on_the_boundary():
    """The indicator of the gradient is strict, as torch's: w.x = 0 moves nothing."""
    w, a, x, y = np.array([[0.0, 1.0]]), np.ones(1), np.array([[1.0, 0.0]]), np.array([3.0])
    assert np.array_equal(theory.gradient(w, a, x, y), np.zeros((1, 2)))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 8))
def test_linearised_dynamics_are_the_matrix_form(seed, n):
    rng = np.random.default_rng(seed)
    h, z = kernel(rng, n), rng.normal(size=n)
    eigenvalues, v = np.linalg.eigh(h)
    b, eta, alpha = (float(10 ** rng.uniform(-1, 1)) for _ in range(3))
    ours, b_ours = theory.linearised_adaloss(eigenvalues, v.T @ z, b, eta, alpha, n, 30)
    steps, peak = [], np.linalg.norm(z)
    for k in range(31):
        peak = max(peak, np.linalg.norm(z))
        np.testing.assert_allclose(v @ ours[k], z, rtol=1e-9, atol=1e-11 * peak)
        np.testing.assert_allclose(b_ours[k], b, rtol=1e-11)
        b = np.sqrt(b**2 + alpha**2 * np.sqrt(n) * (z @ z))
        steps.append(eta / b)
        z = z - steps[-1] * h @ z
    replayed = theory.linearised(eigenvalues, ours[0], steps[:-1])
    np.testing.assert_allclose(replayed, ours, rtol=1e-9, atol=1e-11 * peak)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 8))
def test_the_rule_with_its_alpha_makes_theorem_3s_update(seed, n):
    rng = np.random.default_rng(seed)
    eigenvalues, z = np.abs(rng.normal(size=n)), rng.normal(size=n)
    b0, eta, alpha = (float(10 ** rng.uniform(-1, 1)) for _ in range(3))
    _, b = theory.linearised_adaloss(eigenvalues, z, b0, eta, alpha, n, 1)
    quadratic = theory.loss(z, np.zeros(n))
    got, _ = stepsizes.adaloss(b0, quadratic, None, 1, eta=eta, alpha=theory.rule_alpha(alpha, n))
    np.testing.assert_allclose(got, b[1], rtol=1e-14)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 30))
def test_theorem_2_holds_and_is_tight_in_the_worst_case(seed, n):
    rng = np.random.default_rng(seed)
    eigenvalues, v = np.linalg.eigh(kernel(rng, n))
    z0, eps = v.T @ rng.normal(size=n), float(10 ** rng.uniform(-12, 1))
    bound = theory.gradient_descent_iterations(eigenvalues, float(z0 @ z0), eps)
    ratio = eigenvalues[-1] / eigenvalues[0]
    assert bound <= max(0, np.ceil(ratio / 2 * np.log(z0 @ z0 / eps)))
    errors = np.sum(theory.linearised(eigenvalues, z0, np.full(bound + 50, 1 / eigenvalues[-1])) ** 2, axis=1)
    assert np.all(errors[bound:] <= eps * (1 + 1e-9))
    if n > 1:
        worst = np.where(np.arange(n) == 0, np.linalg.norm(z0), 0.0)  # along the least eigenvalue
        errors = np.sum(theory.linearised(eigenvalues, worst, np.full(bound, 1 / eigenvalues[-1])) ** 2, axis=1)
        assert bound == 0 or errors[bound - 1] > eps * (1 - 1e-9)


def test_theorem_2_refuses_what_its_assumptions_exclude():
    with pytest.raises(ValueError, match="the least is 0, should be positive"):
        theory.gradient_descent_iterations(np.array([0.0, 1.0]), 1.0, 0.1)
    with pytest.raises(ValueError, match=r"eps=0\.0: should be positive"):
        theory.gradient_descent_iterations(np.array([1.0]), 1.0, 0.0)


def test_theorem_2_at_its_edges():
    """Equal eigenvalues are one step; an error that is there already, none."""
    assert theory.gradient_descent_iterations(np.array([2.0, 2.0]), 9.0, 1e-300) == 1
    assert theory.gradient_descent_iterations(np.array([2.0, 2.0]), 0.5, 0.5) == 0


def test_constant_steps_best_and_critical():
    eigenvalues = np.array([0.2, 0.7, 1.3])
    best = theory.best_constant_step(eigenvalues)

    def rate(step):
        return np.abs(1 - step * eigenvalues).max()

    assert all(rate(best) <= rate(step) for step in np.linspace(0.01, 2, 500))
    critical = theory.critical_step(eigenvalues)
    assert rate(0.999 * critical) < 1 < rate(1.001 * critical)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 8))
def test_theorem_3_linearised_is_linear_regression(seed, n):
    rng = np.random.default_rng(seed)
    eigenvalues, v = np.linalg.eigh(kernel(rng, n))
    z0 = v.T @ rng.normal(size=n)
    b0, eta, alpha = (float(10 ** rng.uniform(-2, 2)) for _ in range(3))
    z, b = theory.linearised_adaloss(eigenvalues, z0, b0, eta, alpha, n, 50)
    state = theory.setting_a(eigenvalues, z0, b0, eta, alpha, n)
    assert set(state) == {"eigenvalues", "s", "b", "eta", "p"} and state["p"] == 1
    assert np.all(np.diff(state["eigenvalues"]) <= 0)
    hyper = {"eta": state["eta"], "alpha": 2.0, "c": 0.0}
    run = simulate_eigenbasis(state["eigenvalues"], state["s"], "adaloss", [state["b"]], hyper, 50)
    errors = np.sum(z[:50] ** 2, axis=1)
    np.testing.assert_allclose(2 * run["loss"][:, 0], errors, rtol=1e-9, atol=1e-11 * errors.max())
    np.testing.assert_allclose(state["eta"] / run["step"][:, 0] * (alpha * n**0.25), b[1:], rtol=1e-10)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 6))
def test_weights_travel_the_same_way_whatever_the_steps(seed, n):
    """The linearised network of infinite width is features J with J J' = H; its weights end at J' H^-1 z0."""
    rng = np.random.default_rng(seed)
    h = kernel(rng, n)
    eigenvalues, v = np.linalg.eigh(h)
    features, z = np.linalg.cholesky(h), rng.normal(size=n)
    weights, want = np.zeros(n), theory.weights_travelled(eigenvalues, v.T @ z)
    for step in rng.uniform(0.2, 1.5, 3000) / eigenvalues[-1]:
        weights, z = weights - step * features.T @ z, z - step * h @ z
    np.testing.assert_allclose(np.linalg.norm(weights), want, rtol=1e-6)


def test_numbers_at_the_ends_of_float64():
    assert theory.weights_travelled([1.0], [1e-170]) == 1e-170 and theory.weights_travelled([1, 1], [1e200, 0]) == 1e200
    z, b = theory.linearised_adaloss(np.full(3, 0.5), np.full(3, 0.5), 1e-200, 1e-200, 1e-200, 5, 1)
    assert b[1] == pytest.approx(1e-200 * (1 + 0.75 * 5**0.5) ** 0.5, rel=1e-15)  # the squares are 0
    np.testing.assert_allclose(z[1], (1 - 0.5e-200 / b[1]) * z[0], rtol=1e-15)
    assert theory.best_constant_step(np.array([1.7e308])) == 1 / 1.7e308 and theory.critical_step(np.zeros(2)) == np.inf
