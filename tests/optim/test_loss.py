"""How the loss gets in, and what happens where it does not, comes twice, or is no finite number."""

import copy
import math

import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, LossDriven
from tests.optim.problems import Network, train


def values(parameters):
    return [p.detach().clone() for p in parameters]


def equal(parameters, others):
    return all(torch.equal(p, q) for p, q in zip(parameters, others, strict=True))


@pytest.mark.parametrize("way", ["closure", "argument", "observe", "observe a float", "observing closure"])
def test_the_ways_in_are_one(way):
    network = Network()
    expected, parameters = network.parameters(), network.parameters()
    train(network, expected, AdaLoss(expected, lr=0.3, b0=0.5), 20)
    optimizer = AdaLoss(parameters, lr=0.3, b0=0.5)
    for t in range(1, 21):

        def closure(t=t):
            optimizer.zero_grad()
            loss = network.loss(parameters, t)
            loss.backward()
            if way == "observing closure":
                optimizer.observe(loss)
                return loss / 4  # as Lightning's does
            return loss

        if "closure" in way:
            returned = optimizer.step(closure)
            assert returned.requires_grad
        else:
            loss = closure()
            if way == "argument":
                assert optimizer.step(loss=loss) is loss
            else:
                optimizer.observe(loss.item() if "float" in way else loss)
                assert optimizer.step() is None
    assert equal(parameters, expected)


@pytest.mark.parametrize("sizes", [(3, 3), (1, 2, 3), (1, 1, 1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss], ids=lambda cls: cls.__name__)
def test_accumulated_micro_batches_are_one_batch(cls, sizes):
    network = Network(batch=6)
    whole, parts = network.parameters(), network.parameters()
    one, accumulated = cls(whole, lr=0.3, b0=2.0), cls(parts, lr=0.3, b0=2.0)
    expected = train(network, whole, one, 50)
    seen = []
    for t in range(1, 51):
        accumulated.zero_grad()
        first = 0
        for size in sizes:
            loss = network.loss(parts, t, slice(first, first + size))
            (loss * size / 6).backward()
            accumulated.observe(loss, weight=size)
            first += size
        accumulated.step()
        seen.append(float(accumulated.b))
    assert seen == pytest.approx(expected, rel=1e-10)
    for p, q in zip(parts, whole, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


def test_observations_end_with_their_step():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaLoss(parameters, lr=0.1, b0=3.0)
    network.loss(parameters, 1).backward()
    for f in (16.0, 9.0):
        optimizer.observe(f)
        optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(9 + 16 + 9), rel=1e-15)


def test_clipping_does_not_change_b():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaLoss(parameters, lr=0.1, b0=3.0)
    loss = network.loss(parameters, 1)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1e-3)
    before = values(parameters)
    optimizer.step(loss=loss)
    b = math.sqrt(9 + loss.item())
    assert float(optimizer.b) == pytest.approx(b, rel=1e-15)
    moved = torch.cat([(p - q).flatten() for p, q in zip(values(parameters), before, strict=True)]).norm()
    assert float(moved) == pytest.approx(0.1 / b * 1e-3, rel=1e-3)  # clip_grad_norm_ adds 1e-6 to the norm


def test_parameters_without_gradient_and_frozen_ones_stay():
    network = Network()
    parameters = network.parameters()
    parameters[1].requires_grad_(False)
    loose = torch.nn.Parameter(torch.ones(3))
    optimizer = AdaLoss([*parameters, loose], lr=0.1, b0=3.0)
    loss = network.loss(parameters, 1)
    loss.backward()
    before = values(parameters)
    optimizer.step(loss=loss)
    assert torch.equal(parameters[1], before[1])
    assert torch.equal(loose, torch.ones(3))
    assert not torch.equal(parameters[0], before[0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss, AdaGradNorm], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_nonfinite_leaves_everything(cls, nonfinite, bad):
    network = Network()
    parameters = network.parameters()
    optimizer = cls(parameters, lr=0.1, b0=3.0, nonfinite=nonfinite, weight_decay=0.1)
    train(network, parameters, optimizer, 5, needs_loss=cls is not AdaGradNorm)
    before, state = values(parameters), copy.deepcopy(optimizer.state_dict()["state"])
    b = float(optimizer.b)
    for p in parameters:
        p.grad = torch.full_like(p, bad)

    def step():
        optimizer.step(**({} if cls is AdaGradNorm else {"loss": torch.tensor(bad)}))

    if nonfinite == "raise":
        with pytest.raises(RuntimeError, match=r"step 6: the (loss|gradient's norm) is (nan|inf|-inf)"):
            step()
    else:
        step()
    assert equal(parameters, before)
    assert float(optimizer.b) == b
    assert optimizer.effective_lr == [0.0]
    after = optimizer.state_dict()["state"]
    assert all(torch.equal(v, after[p][name]) for p, kept in state.items() for name, v in kept.items())
    seen = train(network, parameters, optimizer, 1, first=6, needs_loss=cls is not AdaGradNorm)
    assert seen[0] > b


def test_rows_leave_everything_too():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaGradNorm(parameters, lr=0.1, b0=3.0, granularity="row")
    train(network, parameters, optimizer, 2, needs_loss=False)
    before, b = values(parameters), float(optimizer.b)
    parameters[0].grad[1, 1] = math.nan
    with pytest.raises(RuntimeError, match="step 3: the gradient's norm is not finite"):
        optimizer.step()
    assert equal(parameters, before)
    assert float(optimizer.b) == b


def optimizer(**kwargs):
    return AdaLoss(Network().parameters(), **kwargs)


def lbfgs():
    type("AdaLossLBFGS", (LossDriven, torch.optim.LBFGS), {})


def step_with(**kwargs):
    made = optimizer()
    for p in made.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    made.step(**kwargs)


def observe(*args, **kwargs):
    optimizer().observe(*args, **kwargs)


def twice():
    made = optimizer()
    made.observe(1.0)
    made.step(loss=1.0)


def twice_by_closure():
    made = optimizer()
    made.observe(1.0)
    made.step(lambda: torch.tensor(1.0))


def group(**extra):
    AdaLoss([{"params": Network().parameters(), **extra}])


def added_group(**extra):
    optimizer().add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], **extra})


def load_plain():
    parameters = Network().parameters()
    AdaLoss(parameters).load_state_dict(torch.optim.SGD(parameters).state_dict())


BAD = {
    "b0 zero": (lambda: optimizer(b0=0.0), ValueError, "b0=0.0"),
    "b0 negative": (lambda: optimizer(b0=-1.0), ValueError, "b0=-1.0"),
    "b0 nan": (lambda: optimizer(b0=math.nan), ValueError, "b0=nan"),
    "b0 a string": (lambda: optimizer(b0="1"), TypeError, "b0='1'"),
    "b0 a bool": (lambda: optimizer(b0=True), TypeError, "b0=True"),
    "alpha zero": (lambda: optimizer(alpha=0.0), ValueError, "alpha=0.0"),
    "alpha infinite": (lambda: optimizer(alpha=math.inf), ValueError, "alpha=inf"),
    "alpha None": (lambda: optimizer(alpha=None), TypeError, "alpha=None"),
    "c nan": (lambda: optimizer(c=math.nan), ValueError, "c=nan"),
    "c a list": (lambda: optimizer(c=[0.0]), TypeError, r"c=\[0.0\]"),
    "lr negative": (lambda: optimizer(lr=-0.1), ValueError, "learning rate: -0.1"),
    "lr infinite": (lambda: optimizer(lr=math.inf), ValueError, "lr=inf"),
    "lr that no float holds": (lambda: optimizer(lr=10**400), ValueError, "lr=1000"),
    "b0 that no float holds": (lambda: optimizer(b0=10**400), ValueError, "b0=1000"),
    "momentum negative": (lambda: optimizer(momentum=-0.1), ValueError, "momentum value: -0.1"),
    "weight decay negative": (lambda: optimizer(weight_decay=-0.1), ValueError, "weight_decay value: -0.1"),
    "nesterov without momentum": (lambda: optimizer(nesterov=True), ValueError, "Nesterov momentum"),
    "foreach and fused": (lambda: optimizer(foreach=True, fused=True), RuntimeError, "`fused` and `foreach`"),
    "nonfinite unknown": (lambda: optimizer(nonfinite="ignore"), ValueError, "nonfinite='ignore'"),
    "process group True": (lambda: optimizer(process_group=True), TypeError, "process_group=True"),
    "no parameters": (lambda: AdaLoss([]), ValueError, "empty parameter list"),
    "a lone tensor": (lambda: AdaLoss(torch.ones(2)), TypeError, "params argument"),
    "unknown argument": (lambda: optimizer(learning_rate=0.1), TypeError, "learning_rate"),
    "betas of one": (lambda: AdamLoss(Network().parameters(), betas=(0.9, 1.0)), ValueError, "beta parameter"),
    "granularity unknown": (
        lambda: AdaGradNorm(Network().parameters(), granularity="column"),
        ValueError,
        "granularity='column'",
    ),
    "b0 in a group": (lambda: group(b0=-1.0), ValueError, "b0=-1.0: should be finite and greater than 0"),
    "alpha in an added group": (lambda: added_group(alpha=2.0), ValueError, "alpha=2.0 in a parameter group"),
    "no loss": (step_with, RuntimeError, "step\\(\\) got no loss"),
    "closure returns None": (lambda: step_with(closure=lambda: None), RuntimeError, "step\\(\\) got no loss"),
    "closure and loss": (
        lambda: step_with(closure=lambda: torch.tensor(1.0), loss=1.0),
        RuntimeError,
        "a closure and loss=",
    ),
    "a vector": (lambda: observe(torch.ones(3)), TypeError, r"tensor of shape \(3,\)"),
    "a complex loss": (lambda: observe(torch.ones((), dtype=torch.complex64)), TypeError, "complex tensor"),
    "a string": (lambda: observe("0.3"), TypeError, "loss is a str"),
    "a bool": (lambda: observe(True), TypeError, "loss is a bool"),
    "a tuple": (lambda: step_with(loss=(1.0,)), TypeError, "loss is a tuple"),
    "weight zero": (lambda: observe(1.0, weight=0), ValueError, "weight=0"),
    "observed and given": (twice, RuntimeError, "observed and given"),
    "observed and returned": (twice_by_closure, RuntimeError, "observed and given"),
    "LBFGS": (lbfgs, TypeError, "LBFGS"),
    "a plain optimizer's state": (load_plain, ValueError, "has no b"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_that_names_it(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_refused_group_is_not_added():
    made = optimizer()
    with pytest.raises(ValueError, match="alpha"):
        made.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "alpha": 2.0})
    assert len(made.param_groups) == 1
    made.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.7})
    assert made.param_groups[1]["b"] == made.param_groups[0]["b"]
