"""States, groups and classes: what is saved, exact resume, copies, hooks, schedulers, rows.

Many of these tests are public bug reports about other optimizers.
"""

import copy
import io
import math
import pickle
import random
from functools import partial

import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, SGDDecaySqrt
from tests.optim.problems import ALL, Network, by_name, par, train

RULES = [*ALL, partial(AdaGradNorm, granularity="row")]


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


@pytest.mark.parametrize("seed", range(30))
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


@pytest.mark.parametrize("make", RULES)
def test_saving_changes_nothing(make):
    ends = []
    for saves in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        optimizer = make(model.parameters(), lr=0.5)
        for _ in range(3):
            loss = model(torch.ones(1, 2)).square().sum()
            loss.backward()
            optimizer.step(loss=loss)
            optimizer.zero_grad()
            if saves:
                get_optimizer_state_dict(model, optimizer)
        group = optimizer.param_groups[0]
        ends.append((model.weight.tolist(), group["t"], float(group["b"]), optimizer.effective_lr))
    assert ends[0] == ends[1]


def test_copies_go_on_alike():
    network = Network()
    for cls in (AdaLoss, AdamLoss, AdaGradNorm):
        parameters = network.parameters()
        optimizer = cls(parameters, b0=2.0)
        train(network, parameters, optimizer, 5, needs_loss=cls is not AdaGradNorm)
        twin, others = copy.deepcopy((optimizer, parameters))
        expected = train(network, parameters, optimizer, 5, first=6, needs_loss=cls is not AdaGradNorm)
        assert train(network, others, twin, 5, first=6, needs_loss=cls is not AdaGradNorm) == expected


def test_copies_keep_whom_they_average_with():
    alone = AdaLoss([par(1)], process_group=False)
    assert copy.deepcopy(alone).process_group is False
    assert pickle.loads(pickle.dumps(alone)).process_group is False
    group = lambda: None  # stands for a process group, which cannot be copied  # noqa: E731
    assert copy.deepcopy(AdaLoss([par(1)], process_group=group)).process_group is group


def test_states_are_not_shared_by_loading():
    """pytorch#196083: a state loaded in the same process is the other optimizer's."""
    for options in ({}, {"granularity": "row"}):
        first, second = AdaGradNorm([par(2)], **options), AdaGradNorm([par(2)], **options)
        first.step()
        second.load_state_dict(first.state_dict())
        second.step()
        assert (float(first.b), float(second.b)) == pytest.approx(
            (math.sqrt(2), math.sqrt(3)) if options else (math.sqrt(3), math.sqrt(5)), rel=1e-15
        )


def test_rows_go_on_from_what_is_in_the_state():
    """Their b lie in one array, which neither another optimizer nor what somebody puts into the state may show."""
    first, second = par(2), par(3)
    optimizer = AdaGradNorm([first, second], granularity="row", b0=2.0)

    def steps(*want):
        optimizer.step()
        for p, b in zip((first, second), want, strict=True):
            expected = torch.full_like(p, math.sqrt(b), dtype=torch.float64)
            torch.testing.assert_close(optimizer.state[p]["b"], expected, rtol=1e-15, atol=0)

    steps(5, 5)
    loaded, other = copy.deepcopy(optimizer.state_dict()), AdaGradNorm([par(2), par(3)], granularity="row")
    other.load_state_dict(optimizer.state_dict())
    steps(6, 6)
    steps(7, 7)
    assert all(float(b) == math.sqrt(5) for of in other.state.values() for b in of["b"])
    optimizer.state[second]["b"] = torch.full((3,), 3.0, dtype=torch.float64)
    steps(8, 10)
    optimizer.state[first]["b"].fill_(4.0)
    steps(17, 11)
    gradient, second.grad = second.grad, None
    steps(18, 11)
    second.grad = gradient
    steps(19, 12)
    optimizer.load_state_dict(loaded)
    steps(6, 6)
    optimizer.state.clear()
    steps(5, 5)


def test_parameters_may_have_names():
    """pytorch#1489, pytorch#134107."""
    model = torch.nn.Linear(2, 1)
    optimizer = AdaLoss(model.named_parameters())
    optimizer.step(loss=1.0)
    other = AdaLoss(model.named_parameters())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["param_names"] == ["weight", "bias"]
    assert torch.equal(other.b, optimizer.b)


def test_groups_that_differ_in_what_all_have_in_common_are_not_loaded():
    optimizer = AdaLoss([{"params": [par(1)]}, {"params": [par(1)]}])
    for name, value in (("alpha", 9.0), ("c", 5.0), ("b", torch.tensor(3.0)), ("t", 4)):
        state = optimizer.state_dict()
        state["param_groups"][1][name] = value
        with pytest.raises(ValueError, match=f"{name}=.* in a group to load: the first has"):
            optimizer.load_state_dict(state)
    assert [group["alpha"] for group in optimizer.param_groups] == [1.0, 1.0]


@pytest.mark.parametrize("b", [1e-200, 1e200])
def test_b_is_set_within_the_range_of_b0(b):
    optimizer = AdaLoss([par(1)])
    with pytest.raises(ValueError, match=r"b=1e.200: should be from about 1e-150 to 1e150"):
        optimizer.b = b
    assert float(optimizer.b) == 1.0


def test_what_a_loss_that_is_not_finite_does_is_not_loaded():
    skipping = AdaLoss([par(1)], nonfinite="skip")
    skipping.load_state_dict(AdaLoss([par(1)]).state_dict())
    skipping.step(loss=math.nan)
    assert skipping.param_groups[0]["t"] == 0


@pytest.mark.parametrize("granularity", ["global", "row"])
def test_state_hooks_may_wrap_and_unwrap(granularity):
    made = [AdaGradNorm([par(2, torch.bfloat16)], granularity=granularity) for _ in range(2)]
    for optimizer in made:
        optimizer.register_state_dict_post_hook(lambda _, state: {"optim": state})
        optimizer.register_load_state_dict_pre_hook(lambda _, state: state["optim"])
    made[0].step()
    state = made[0].state_dict()
    assert list(state) == ["optim"]
    made[1].load_state_dict(state)
    assert torch.equal(made[0].b, made[1].b)
    for first, second in zip(made[0].state.values(), made[1].state.values(), strict=True):
        assert second["b"].dtype == torch.float64 and torch.equal(first["b"], second["b"])


@pytest.mark.parametrize("saved", range(len(RULES)))
def test_a_state_of_another_rule_is_refused(saved):
    for i, make in enumerate(RULES):
        optimizer, state = make([par(1)]), RULES[saved]([par(1)]).state_dict()
        if i == saved:
            optimizer.load_state_dict(state)
            continue
        with pytest.raises(ValueError, match="the state to load"):
            optimizer.load_state_dict(state)
        optimizer.step(loss=1.0)  # as if nothing had happened
    with pytest.raises(ValueError, match="it has no b"):
        optimizer.load_state_dict(torch.optim.SGD([par(1)]).state_dict())


class Mine(AdaLoss):
    """With a step of its own, around which torch puts the hooks."""

    def step(self, closure=None, **kwargs):
        return super().step(closure, **kwargs)


@pytest.mark.parametrize("cls", [AdaLoss, Mine], **by_name)
def test_hooks_run_once_and_see_the_loss(cls):
    torch.optim.SGD([par(1)])  # after which torch has wrapped SGD.step
    optimizer, calls = cls([par(1)]), []
    optimizer.register_step_pre_hook(lambda *call: calls.append(("pre", call[2])))
    optimizer.register_step_post_hook(lambda *call: calls.append(("post", call[2])))
    optimizer.step(loss=1.0)
    assert calls == [("pre", {"loss": 1.0}), ("post", {"loss": 1.0})]


def test_the_profiler_sees_the_step():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaLoss(parameters)
    with torch.profiler.profile(acc_events=True) as profile:  # some versions warn without
        optimizer.step(loss=1.0)
    assert "Optimizer.step#AdaLoss.step" in [event.key for event in profile.key_averages()]


def test_schedulers_act_on_eta():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaLoss(parameters, lr=0.3, b0=0.5, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=21)
    seen = set()
    for t in range(1, 21):
        eta = scheduler.get_last_lr()[0]
        [b] = train(network, parameters, optimizer, 1, first=t)
        assert optimizer.effective_lr == [eta / b]
        seen.add((eta, optimizer.param_groups[0]["momentum"]))
        scheduler.step()
    assert len(seen) == len({eta for eta, _ in seen}) == len({momentum for _, momentum in seen}) == 20


def test_a_first_step_of_gradients_zero_needs_no_loss():
    """torch.distributed.checkpoint fills the state by such a step, with every lr 0."""
    network = Network()
    parameters = network.parameters()
    optimizer = AdamLoss(parameters, lr=0.0, b0=2.0)
    network.loss(parameters, 1).backward()
    with pytest.raises(RuntimeError, match="got no loss"):
        optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(parameters, network.parameters(), strict=True))
    assert (float(optimizer.b), optimizer.param_groups[0]["t"]) == (2.0, 0)
    assert len(optimizer.state) == 4


@pytest.mark.parametrize(
    "made",
    [
        partial(AdaLoss, bound=9.0, steps=9),
        partial(AdamLoss, fused=True),
        AdaGradNorm,
        partial(AdaGradNorm, granularity="row"),
        partial(AdaGradNorm, granularity="row", momentum=0.9),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_nothing_depends_on_the_default_device_and_dtype(made, device, dtype):
    """The step 1 / b is above what float16 holds."""
    ends = []
    for device_here, dtype_here in ((device, dtype), ("cpu", torch.float32)):
        p = par(3)
        p.grad *= 1e-6
        optimizer = made([p], lr=1.0, b0=1e-6)
        try:
            torch.set_default_dtype(dtype_here)
            with torch.device(device_here):
                for loss in (1e-12, 1e-12):
                    optimizer.step(loss=loss)
                    optimizer.load_state_dict(optimizer.state_dict())
                ends.append((p, optimizer.b))
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(ends[0][0], ends[1][0]) and torch.equal(ends[0][1], ends[1][1])


def test_groups_know_their_steps():
    p, q = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = AdaLoss([{"params": [p]}, {"params": [q], "lr": 3.0}], b0=2.0)
    assert optimizer.effective_lr == [0.0, 0.0]
    assert [group["t"] for group in optimizer.param_groups] == [0, 0]
    optimizer.step(loss=5.0)
    assert optimizer.effective_lr == [1 / 3, 1.0]
    assert [(group["t"], group["b"], group["lr"]) for group in optimizer.param_groups] == [(1, 3.0, 1.0), (1, 3.0, 3.0)]
    optimizer.add_param_group({"params": [par(1)], "lr": 0.7})
    b = optimizer.b
    b += 1
    assert float(optimizer.b) == optimizer.param_groups[2]["b"] == 3.0


def test_groups_may_be_filled_later():
    optimizer = AdaLoss([{"params": []}], b0=2.0)
    optimizer.step(loss=5.0)
    p = par(1)
    optimizer.param_groups[0]["params"].append(p)
    optimizer.step(loss=7.0)
    assert p.item() == pytest.approx(1 - 0.25)
    optimizer.param_groups.clear()
    optimizer.add_param_group({"params": [p]})
    assert float(optimizer.b) == 2.0


class SAM(torch.optim.Optimizer):
    """The public implementations' constructor."""

    def __init__(self, params, base, rho=0.05, **kwargs):
        super().__init__(params, {"rho": rho, **kwargs})
        self.base_optimizer = base(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)


@pytest.mark.parametrize("cls", ALL, **by_name)
def test_values_that_agree_are_taken(cls):
    optimizer = cls([par(1)], lr=0.1, b0=2.0)
    optimizer.step(loss=1.0)
    optimizer.add_param_group({**optimizer.param_groups[0], "params": [par(2)]})
    assert cls(optimizer.param_groups).defaults["b0"] == cls([par(1)]).defaults["b0"]
    assert SAM([par(1)], cls, lr=0.1, b0=2.0).base_optimizer.param_groups[0]["b0"] == 2.0
    twin = cls([par(1)], **optimizer.defaults)
    assert twin.defaults == optimizer.defaults
    assert {"b0", *cls.hyper} <= twin.defaults.keys()


@pytest.mark.parametrize("name", ["b0", "alpha", "c", "nonfinite"])
def test_values_that_differ_are_refused(name):
    optimizer = AdaLoss([par(1)])
    with pytest.raises(ValueError, match=f"{name}=.* in a parameter group"):
        optimizer.add_param_group({"params": [par(1)], name: "skip" if name == "nonfinite" else 3.0})
    assert len(optimizer.param_groups) == 1
