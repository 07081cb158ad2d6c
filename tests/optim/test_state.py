"""b and the rest of the state: what is saved, exact resume, moves between dtypes, layouts, hooks, schedulers."""

import copy
import io
import random

import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, SGDDecaySqrt
from tests.optim.problems import Network, train


def saved(state):
    """Through torch.save and a load that unpickles nothing but tensors and numbers."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def any_configuration(seed):
    draw = random.Random(seed)
    cls = draw.choice([AdaLoss, AdamLoss, AdaGradNorm, SGDDecaySqrt, AdamSqrt])
    options = {"lr": draw.uniform(0.01, 0.5), "b0": 10 ** draw.uniform(-1, 2)}
    options |= draw.choice([{}, {"weight_decay": 0.01}]) | draw.choice([{}, {"foreach": True}, {"fused": True}])
    if cls in (AdaLoss, AdamLoss):
        options |= {"alpha": draw.uniform(0.1, 3), "c": draw.uniform(-1, 1)}
    if cls in (AdaLoss, AdaGradNorm, SGDDecaySqrt):
        options |= draw.choice([{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
    if cls is AdaGradNorm:
        options["granularity"] = draw.choice(["global", "row"])
    scheduler = draw.choice([None, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)])
    dtype = draw.choice([torch.float64, torch.float32, torch.bfloat16])
    return cls, options, scheduler, dtype, draw.randrange(1, 40)


def run(network, parameters, optimizer, scheduler, steps, first=1):
    for t in range(first, first + steps):
        optimizer.zero_grad()
        loss = network.loss(parameters, t)
        loss.backward()
        optimizer.step(**({"loss": loss} if isinstance(optimizer, AdaLoss | AdamLoss) else {}))
        if scheduler is not None:
            scheduler.step()


@pytest.mark.parametrize("seed", range(50))
def test_resume_is_exact(seed):
    """Stopped at a random step and resumed in new objects: the same bits as never stopped."""
    cls, options, schedule, dtype, stop = any_configuration(seed)
    network = Network(seed=seed)
    whole = network.parameters(dtype)
    optimizer = cls(whole, **options)
    run(network, whole, optimizer, schedule and schedule(optimizer), 40)

    first = network.parameters(dtype)
    before = cls(first, **options)
    scheduler = schedule and schedule(before)
    run(network, first, before, scheduler, stop)
    state = saved({"p": first, "o": before.state_dict(), "s": scheduler and scheduler.state_dict()})
    second = [torch.nn.Parameter(torch.zeros_like(p)) for p in first]
    after = cls(second, **{**options, "lr": 0.123, "b0": 0.456})
    resumed = schedule and schedule(after)
    with torch.no_grad():
        for p, q in zip(second, state["p"], strict=True):
            p.copy_(q)
    after.load_state_dict(state["o"])
    if resumed:
        resumed.load_state_dict(state["s"])
    run(network, second, after, resumed, 40 - stop, first=stop + 1)

    assert all(torch.equal(p, q) for p, q in zip(whole, second, strict=True))
    expected, got = optimizer.state_dict(), after.state_dict()
    assert torch.equal(expected["param_groups"][0]["b"], got["param_groups"][0]["b"])
    assert got["param_groups"][0]["t"] == 40
    for p, kept in expected["state"].items():
        assert all(torch.equal(v, got["state"][p][name]) for name, v in kept.items())


def test_b_is_saved_in_float64_whatever_the_parameters_are():
    network = Network()
    parameters = network.parameters(torch.bfloat16)
    optimizer = AdaLoss(parameters, b0=1e6)
    train(network, parameters, optimizer, 3)
    b = optimizer.state_dict()["param_groups"][0]["b"]
    assert b.dtype == torch.float64
    assert 0 < float(b) - 1e6 < 1e-3  # float32 would still hold 1e6
    other = AdaLoss(network.parameters(torch.bfloat16))
    other.load_state_dict(saved(optimizer.state_dict()))
    assert torch.equal(other.b, optimizer.b)
    rows = AdaGradNorm(parameters, granularity="row")
    rows.step()
    other = AdaGradNorm(network.parameters(torch.bfloat16), granularity="row")
    other.load_state_dict(saved(rows.state_dict()))
    assert all(state["b"].dtype == torch.float64 for state in other.state.values())


def test_cast_parameters_keep_b():
    network = Network()
    module = torch.nn.ParameterList(network.parameters(torch.float32))
    optimizer = AdaLoss(module.parameters(), lr=0.1, b0=0.5)
    train(network, list(module), optimizer, 5)
    b = float(optimizer.b)
    module.double()
    [after] = train(network, list(module), optimizer, 1, first=6)
    assert after > b
    assert all(p.dtype == torch.float64 for p in module)


def test_copies_go_on_alike():
    network = Network()
    for cls in (AdaLoss, AdamLoss, AdaGradNorm):
        parameters = network.parameters()
        optimizer = cls(parameters, b0=2.0)
        train(network, parameters, optimizer, 5, needs_loss=cls is not AdaGradNorm)
        twin, others = copy.deepcopy((optimizer, parameters))
        expected = train(network, parameters, optimizer, 5, first=6, needs_loss=cls is not AdaGradNorm)
        assert train(network, others, twin, 5, first=6, needs_loss=cls is not AdaGradNorm) == expected


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"momentum": 0.9}, {"momentum": 0.9, "fused": True}], ids=str)
@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss], ids=lambda cls: cls.__name__)
def test_layouts_of_parameter_and_gradient_may_differ(cls, options):
    """torch's fused CPU kernels would mix up the entries; the first step after which it happens changes nothing."""
    if cls is AdamLoss:
        options = {name: value for name, value in options.items() if name != "momentum"}
    torch.manual_seed(0)
    start = torch.randn(2, 4, 3, 3)
    gradients = [torch.randn(2, 4, 3, 3) for _ in range(4)]
    ends = []
    for last_format in (torch.contiguous_format, torch.channels_last):
        p = torch.nn.Parameter(start.clone())
        optimizer = cls([p], b0=2.0, **options)
        for t, g in enumerate(gradients):
            p.grad = g.clone(memory_format=torch.contiguous_format if t % 2 == 0 else last_format)
            optimizer.step(loss=1.0)
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)  # a few float32 roundings


def test_sparse_gradients_work_where_torch_has_them():
    ends = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table = torch.nn.Embedding(5, 3, sparse=sparse)
        optimizer = AdaLoss(table.parameters(), b0=2.0)
        for _ in range(3):
            optimizer.zero_grad()
            loss = table(torch.tensor([1, 3, 3])).square().sum()
            loss.backward()
            optimizer.step(loss=loss)
        ends.append(table.weight.detach())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)
    rows = AdaGradNorm(table.parameters(), granularity="row")
    with pytest.raises(RuntimeError, match="sparse"):
        rows.step()


def test_complex_parameters_are_their_real_parts():
    p = torch.nn.Parameter(torch.tensor([1.0 + 2.0j, -0.5j], dtype=torch.complex128))
    optimizer = AdaLoss([p], lr=0.1, b0=2.0)
    loss = p.abs().square().sum()
    loss.backward()
    before = p.detach().clone()
    optimizer.step(loss=loss)
    step = 0.1 / (4 + 5.25) ** 0.5
    torch.testing.assert_close(p.detach(), before - step * 2 * before, rtol=1e-14, atol=0)


def test_hooks_run_once_and_see_the_loss():
    network = Network()
    parameters = network.parameters()
    torch.optim.SGD(parameters)  # after which torch has wrapped SGD.step
    optimizer = AdaLoss(parameters)
    calls = []
    optimizer.register_step_pre_hook(lambda *call: calls.append(("pre", call[2])))
    optimizer.register_step_post_hook(lambda *call: calls.append(("post", call[2])))
    loss = network.loss(parameters, 1)
    loss.backward()
    optimizer.step(loss=loss)
    assert [name for name, _ in calls] == ["pre", "post"]
    assert calls[0][1]["loss"] is loss


def test_the_profiler_sees_the_step():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaLoss(parameters)
    with torch.profiler.profile(acc_events=True) as profile:  # some versions warn without
        optimizer.step(loss=1.0)
    assert "Optimizer.step#AdaLoss.step" in [event.key for event in profile.key_averages()]


@pytest.mark.parametrize("schedule", ["cosine", "one cycle"])
def test_schedulers_act_on_eta(schedule):
    network = Network()
    parameters = network.parameters()
    optimizer = AdaLoss(parameters, lr=0.3, b0=0.5, momentum=0.9)
    if schedule == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    else:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=21)
    etas, momenta = set(), set()
    for t in range(1, 21):
        eta = scheduler.get_last_lr()[0]
        [b] = train(network, parameters, optimizer, 1, first=t)
        assert optimizer.effective_lr == [eta / b]
        etas.add(eta)
        momenta.add(optimizer.param_groups[0]["momentum"])
        scheduler.step()
    assert len(etas) == 20
    assert len(momenta) == (20 if schedule == "one cycle" else 1)


def test_a_step_of_length_zero_needs_no_loss():
    """torch.distributed.checkpoint fills the state by such a step."""
    network = Network()
    parameters = network.parameters()
    optimizer = AdamLoss(parameters, lr=0.0, b0=2.0)
    network.loss(parameters, 1).backward()
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(parameters, network.parameters(), strict=True))
    assert (float(optimizer.b), optimizer.param_groups[0]["t"]) == (2.0, 0)
    assert len(optimizer.state) == 4
