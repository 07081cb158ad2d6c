"""A start from a known lr and the bound on outliers against the literal recurrence, on the host and as on a device."""

import copy
import math
import statistics
import warnings

import pytest
import torch

from adaloss.optim import AdaLoss, AdamLoss, LossDriven, update
from tests.optim.problems import Network, by_name, par, single
from tests.optim.test_precision import NoWaiting
from tests.optim.test_state import saved

CLASSES = [AdaLoss, AdamLoss, type("Driven", (LossDriven, torch.optim.NAdam), {})]
LOSSES = [(1 + 0.5 * math.sin(t)) * 0.97**t * (1000 if t in (40, 41, 90) else 1) for t in range(160)]
LOSSES[50:56] = [0.0] * 6


@pytest.fixture(params=["host", "device"], autouse=True)
def place(request, monkeypatch):
    """Where the numbers are: "device" is the CPU as if it were as far away as an accelerator."""
    if request.param == "device":
        monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", ())
    return request.param


def steps_of(optimizer, losses):
    taken = []
    for loss in losses:
        optimizer.step(loss=loss)
        taken.append(optimizer.effective_lr[0])
    return taken


@pytest.mark.parametrize("steps", [1, 7, 1000])
@pytest.mark.parametrize("cls", CLASSES, **by_name)
def test_on_a_constant_loss_the_step_halves_and_is_lr_on_average(cls, steps):
    """The sum of a falling function is off its integral, which is lr, by at most a step's fall over the run."""
    optimizer = cls.like([par(1)], lr=0.3, steps=steps, c=-1.0)
    taken = steps_of(optimizer, [1e-5] * steps)
    assert taken[-1] == pytest.approx(0.75 * 0.3, rel=1e-6)
    assert 0 <= 0.3 - statistics.mean(taken) <= 0.75 * 0.3 / steps
    assert taken[0] < 1.5 * 0.3 and taken == sorted(taken, reverse=True)


@pytest.mark.parametrize("alpha", [1.0, 3.0])
@pytest.mark.parametrize("b0", [1e-9, 2 / 300, 0.1, 0.4, 4 / 9, 2 / 3, 1.0, 200 / 3, 1e9])
@pytest.mark.parametrize("cls", CLASSES, **by_name)
def test_lr_is_the_mean_step_for_any_b0(cls, b0, alpha):
    """The trapezoidal sum is above the integral by at most the fall of the slope / 12, which is below 8 lr / steps."""
    steps = 100
    taken = steps_of(cls.like([par(1)], lr=0.3, steps=steps, b0=b0, alpha=alpha), [7.0] * steps)
    assert 0.3 * (2 / 3 - 1e-6) <= taken[-1] <= taken[0] <= 0.6
    start = max(b0 ** (1 if cls is AdamLoss else 2), alpha / 6)
    ratio = math.sqrt((start + 4 / 3 * alpha) / (start + 4 / 3 * alpha / steps))
    assert taken[0] / taken[-1] == pytest.approx(ratio, rel=1e-6)
    before = taken[0] * math.sqrt(1 + 4 / 3 * alpha / steps / start)
    trapezoids = statistics.mean(taken) + (before - taken[-1]) / 2 / steps
    assert -1e-6 <= trapezoids / 0.3 - 1 <= 8 / 12 / steps**2 + 1e-6  # on a device steps are float32


def literal(cls, losses, lr, steps, bound, c=0.0, alpha=1.0):
    """The recurrence, in the units of alpha: beta_0 = 4/9, and eta makes 2 eta / (sqrt(beta_T) + sqrt(beta_0)) lr."""
    first = next(abs(loss - c) for loss in losses if loss != c)
    unit = 0.75 * steps * first
    beta = unit * 4 / 9
    eta = lr * (math.sqrt(beta + alpha * steps * first) + math.sqrt(beta)) / 2
    gaps, taken = [], []
    for loss in losses:
        gap = abs(loss - c)
        gaps += [gap] if gap else []
        gap = min(gap, bound * statistics.median_low(gaps[-100:]))
        beta += alpha * gap
        taken.append(eta / math.sqrt(beta))
    return taken


@pytest.mark.parametrize(("c", "alpha"), [(0.0, 1.0), (-2.0, 0.5)])
@pytest.mark.parametrize("cls", CLASSES, **by_name)
def test_it_is_the_literal_recurrence(cls, c, alpha, place):
    optimizer = cls.like([par(1)], lr=0.1, steps=160, c=c, alpha=alpha)
    rel = 1e-11 if place == "host" else 1e-6  # steps are float32 on a device
    assert steps_of(optimizer, LOSSES) == pytest.approx(literal(cls, LOSSES, 0.1, 160, 10.0, c, alpha), rel=rel)


@pytest.mark.parametrize("cls", CLASSES, **by_name)
def test_resume_is_exact_at_every_moment_and_on_the_other_side(cls, place, monkeypatch):
    for stop in (0, 1, 30, 41, 130):
        whole, first, second = (cls.like([par(2)], lr=0.1, steps=160) for _ in range(3))
        for optimizer, losses in ((whole, LOSSES), (first, LOSSES[:stop])):
            steps_of(optimizer, losses)
        second.load_state_dict(saved(first.state_dict()))
        twin = copy.deepcopy(second)
        for resumed in (second, twin):
            steps_of(resumed, LOSSES[stop:])
            assert torch.equal(resumed.b, whole.b)
    monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", () if place == "host" else ("cpu",))
    other = cls.like([par(2)], lr=0.1, steps=160)
    other.load_state_dict(saved(first.state_dict()))
    steps_of(other, LOSSES[stop:])
    assert float(other.b) == pytest.approx(float(whole.b), rel=1e-13)


def test_nobody_waits_for_the_device(place):
    if place == "host":
        pytest.skip("the host has the numbers")
    p, optimizer = single(lr=0.1, bound=10.0, steps=9)
    with NoWaiting():
        for loss in (1.0, 2.0, 3000.0):
            optimizer.step(loss=(loss * p).sum())


def test_a_step_that_is_not_taken_leaves_the_window_as_it_was():
    _, optimizer = single(AdaLoss, bound=10.0, nonfinite="skip", steps=9)
    steps_of(optimizer, [5.0, 6.0])
    before = saved(optimizer.state_dict())["param_groups"][0]
    steps_of(optimizer, [math.nan, math.inf])
    optimizer.found_inf, optimizer.grad_scale = torch.ones(1), torch.ones(1)  # as under a GradScaler
    optimizer.step(loss=7.0)
    after = optimizer.state_dict()["param_groups"][0]
    for name in ("b", "recent", "unit"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0, equal_nan=True)


def test_bound_and_steps_may_be_set_in_the_groups():
    """As options of torch; the warning of a jump proposes a bound in the midst of a training."""
    (_, late), (_, early) = single(), single(bound=10.0, steps=9)
    steps_of(late, [7.0])
    late.b = 1.0
    for group in late.param_groups:
        group.update(bound=10.0, steps=9)
    for optimizer in (late, early):
        steps_of(optimizer, [5.0, 6e6])
    assert float(late.b) == float(early.b)


def output(parameters, x):
    w1, b1, w2, b2 = parameters
    return torch.tanh(x @ w1.T + b1) @ w2.T + b2


def ended(cls, seed, bound, bad):
    """The last loss where the labels of batch ``bad`` are times 1000 and gradients are clipped; the warnings."""
    network, teacher = Network(seed, batch=32), Network(seed + 10).parameters()
    parameters = network.parameters()
    optimizer = cls.like(parameters, lr={AdaLoss: 0.2, AdamLoss: 0.03}[cls], steps=300, bound=bound)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for t in range(300):
            x = torch.from_numpy(network.data(t)[0])
            with torch.no_grad():
                labels = output(teacher, x) * (1000 if t == bad else 1)
            optimizer.zero_grad()
            loss = (output(parameters, x) - labels).square().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step(loss=loss)
    return loss.item(), [str(warning.message) for warning in caught]


@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss], **by_name)
def test_one_bad_batch_does_not_end_a_run(cls, place):
    for seed in range(5 if place == "host" else 1):  # on a device it is the recurrence too, as is seen above
        (bounded, told), (clean, _) = (ended(cls, seed, 10.0, bad) for bad in (100, None))
        assert bounded <= 1.2 * clean and not told
    (loss, told), (clean, _) = (ended(cls, 3, None, bad) for bad in (100, None))
    assert loss > 3 * clean
    if place == "host":  # on an accelerator the news comes with an event, which the CPU has not
        [warning] = told
        assert "step 101: one loss multiplied b by more than 3" in warning


def test_b_may_be_set():
    _, optimizer = single(b0=2.0)
    steps_of(optimizer, [5.0])
    optimizer.b = optimizer.defaults["b0"]
    steps_of(optimizer, [5.0])
    assert float(optimizer.b) == 3.0
    assert optimizer.numbers() == {"b": 3.0, "eta": 1.0, "step": pytest.approx(1 / 3)}
    optimizer.add_param_group({"params": [par(1)], "lr": 0.5})
    assert optimizer.numbers() == {"b": 3.0, "eta/0": 1.0, "step/0": pytest.approx(1 / 3), "eta/1": 0.5, "step/1": 0.0}
    with pytest.raises(ValueError, match=r"b=0\.0: should be"):
        optimizer.b = torch.tensor(0.0)


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_checkpoint_of_adam_goes_on_with_its_moments(decoupled):
    """Under a constant b of 1 AdamLoss after the change is Adam, which went on."""
    network = Network()
    ends = []
    for changes in (False, True):
        parameters = network.parameters()
        optimizer = (torch.optim.AdamW if decoupled else torch.optim.Adam)(parameters, lr=0.01, weight_decay=0.1)
        for t in range(20):
            if t == 10 and changes:
                adam = optimizer
                optimizer = AdamLoss.like(adam.param_groups, steps=10, b0=1.0, alpha=1e-12)
                optimizer.state.update(adam.state)
            optimizer.zero_grad()
            loss = network.loss(parameters, t)
            loss.backward()
            optimizer.step(**({"loss": loss} if isinstance(optimizer, AdamLoss) else {}))
        ends.append(parameters)
    for p, q in zip(*ends, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"lr": None}, TypeError, r"AdaLoss\.like\(\) got no lr"),
        ({"steps": 0}, ValueError, "steps=0: should be a whole number of at least 1"),
        ({"bound": 1.0}, ValueError, r"bound=1\.0: should be finite and greater than 1"),
        ({"params": par(2)}, TypeError, "params argument given to the optimizer should be an iterable"),  # torch's
    ],
)
def test_a_start_that_is_none_is_refused(changes, error, message):
    given = {"params": [par(1)], "lr": 0.1, "steps": 5} | changes
    with pytest.raises(error, match=message):
        AdaLoss.like(**{name: value for name, value in given.items() if value is not None})
