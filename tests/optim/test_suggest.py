import math

import numpy as np
import pytest
import torch

from adaloss.optim import AdaLoss, AdamLoss, SGDConstant, suggest
from tests.optim.problems import Network

CURVATURE = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)


def quadratic(scale=1.0, unit=1.0, batches=3):
    """scale f(w / unit), f = half the sum of CURVATURE w^2 + 0.25, at w = unit (1, -2, 0.5); all batches alike."""
    w = torch.nn.Parameter(unit * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    return w, batches * [lambda: scale * (0.5 * (CURVATURE * (w / unit) ** 2).sum() + 0.25)]


def best_step(direction):
    """Of the quadratic along ``direction``, in closed form."""
    w = np.array([1.0, -2.0, 0.5])
    return (CURVATURE.numpy() * w) @ direction / (CURVATURE.numpy() @ direction**2)


@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss])
def test_on_a_quadratic_it_is_the_closed_form(cls):
    w, closures = quadratic()
    gradient = CURVATURE.numpy() * w.detach().numpy()
    found = suggest(cls, [w], closures, steps=300, alpha=2.0, c=0.25)
    best = best_step(gradient if cls is AdaLoss else np.sign(gradient))
    share = {AdaLoss: 0.5, AdamLoss: 1.0}[cls]
    assert abs(math.log2(found.step / (share * best))) <= 0.6  # the parabola's best of a grid of powers of two
    loss = 0.5 * (0.5 + 4.0 + 1.0) + 0.25
    assert found.loss == pytest.approx(loss, rel=1e-14)
    beta = 2.0 * 300 * (loss - 0.25) / 3
    assert found.b0 == pytest.approx(math.sqrt(beta) if cls is AdaLoss else beta, rel=1e-14)
    assert found.lr == pytest.approx(found.step * math.sqrt(beta), rel=1e-14)


@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss])
def test_units(cls):
    """The first update is the same after a change of the loss's unit, and in the parameters' own after theirs."""
    w, closures = quadratic()
    plain = suggest(cls, [w], closures, steps=10)
    for scale, unit in [(100.0, 1.0), (1.0, 100.0), (0.01, 10.0)]:
        w, closures = quadratic(scale, unit)
        found = suggest(cls, [w], closures, steps=10)
        per_gradient = unit**2 / scale if cls is AdaLoss else unit
        assert found.step == pytest.approx(plain.step * per_gradient, rel=1e-12)
        assert found.b0 == pytest.approx(plain.b0 * (scale**0.5 if cls is AdaLoss else scale), rel=1e-12)


@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss])
def test_the_first_step_is_the_one_that_was_measured_and_a_constant_loss_halves_it(cls):
    w, closures = quadratic()
    found = suggest(cls, [w], closures, steps=1000)
    optimizer = cls([w], lr=found.lr, b0=found.b0)
    w.grad = torch.zeros_like(w)
    for _ in range(1000):
        optimizer.step(loss=found.loss)
    assert optimizer.effective_lr == pytest.approx([found.step / 2], rel=1e-12)


def test_nothing_is_left_behind():
    network = Network()
    parameters = network.parameters(torch.float32)
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    parameters[0].grad = torch.ones_like(parameters[0])
    before, random = [p.detach().clone() for p in parameters], torch.get_rng_state()

    def closure(t):
        return network.loss(parameters, t) * (1 + 0.01 * torch.rand(()))

    first = suggest(AdaLoss, [*parameters, frozen], [lambda t=t: closure(t) for t in (1, 2, 3)], steps=50)
    assert first == suggest(AdaLoss, parameters, [lambda t=t: closure(t) for t in (1, 2, 3)], steps=50)
    assert all(torch.equal(p, b) for p, b in zip(parameters, before, strict=True))
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(parameters[0].grad, torch.ones_like(parameters[0])) and parameters[1].grad is None
    with pytest.raises(ZeroDivisionError):
        calls = iter(range(5))
        suggest(AdaLoss, parameters, 3 * [lambda: closure(1) * (1 / (4 - next(calls)))], steps=50)
    assert all(torch.equal(p, b) for p, b in zip(parameters, before, strict=True))


W, CLOSURES = quadratic()
BAD = [
    ({"optimizer": SGDConstant}, TypeError, "optimizer="),
    ({"steps": 0}, ValueError, "steps=0"),
    ({"steps": 0.5}, ValueError, "steps=0.5"),
    ({"alpha": -1.0}, ValueError, "alpha=-1.0"),
    ({"c": float("nan")}, ValueError, "c=nan"),
    ({"params": []}, ValueError, "params"),
    ({"closures": CLOSURES[:1]}, ValueError, "closures: 1 given"),
    ({"closures": 2 * [lambda: 0 * W.sum() + 1.0], "c": 1.0}, ValueError, "closures"),  # losses that are c
    ({"closures": 2 * [lambda: W.sum() * torch.nan]}, ValueError, "say nothing"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD)
def test_bad_input_is_one_line_that_names_it(changes, error, message):
    with pytest.raises(error, match=message) as caught:
        suggest(**{"optimizer": AdaLoss, "params": [W], "closures": CLOSURES, "steps": 5} | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("distance", "power"), [(1.0, 0), (2.0**5, 5), (2.0**12, 12), (2.0**20, 12), (2.0**-12, -12), (0.7 * 2.0**-12, -12)]
)
@pytest.mark.parametrize(("cls", "share"), [(AdaLoss, 0.5), (AdamLoss, 1.0)])
def test_the_steps_that_are_tried_are_polyaks_times_the_powers_of_two_from_minus_12_to_12(cls, share, distance, power):
    """Polyak's step of the first minibatch is 1; the second is least ``distance`` away along its direction."""
    w = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    closures = [lambda: w * 1.0, lambda: 0.5 * ((w - (1 - distance)) / distance) ** 2]
    assert suggest(cls, [w], closures, steps=1).step == share * 2.0**power


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (lambda w: 0 * w + 1.0, lambda w: w * 1.0, "say nothing of a step"),  # no gradient: Polyak's step is infinite
        (lambda w: w + 10.0, lambda w: 2.0 - w, "no step"),  # upwards for the second, though still below the first
        (lambda w: w * 1.0, lambda w: 0 * w + 1.0, "no step"),  # level is not lower
    ],
)
def test_minibatches_that_say_nothing_are_refused(first, second, message):
    w = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    with pytest.raises(ValueError, match=message):
        suggest(AdaLoss, [w], [lambda: first(w), lambda: second(w)], steps=1)
