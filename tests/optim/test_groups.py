"""States, groups and classes: each test is a kind of public bug report about some optimizer."""

import copy
import math
import pickle

import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, LossDriven, SGDConstant, SGDDecaySqrt
from tests.optim.problems import par

ALL = [AdaLoss, AdamLoss, AdaGradNorm, SGDConstant, SGDDecaySqrt, AdamSqrt]
by_name = {"ids": lambda cls: cls.__name__}
dynamo_warns = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::RuntimeWarning")


@pytest.mark.parametrize("options", [{}, {"granularity": "row"}], ids=str)
@pytest.mark.parametrize("cls", ALL, **by_name)
def test_saving_changes_nothing(cls, options):
    if options and cls is not AdaGradNorm:
        pytest.skip("no such option")
    ends = []
    for saves in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        optimizer = cls(model.parameters(), lr=0.5, **options)
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


def test_copies_keep_whom_they_average_with():
    alone = AdaLoss([par(1)], process_group=False)
    assert copy.deepcopy(alone).process_group is False
    assert pickle.loads(pickle.dumps(alone)).process_group is False
    group = lambda: None  # stands for a process group, which cannot be copied  # noqa: E731
    assert copy.deepcopy(AdaLoss([par(1)], process_group=group)).process_group is group


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


def test_a_subclass_with_a_step_of_its_own_calls_hooks_once():
    class Mine(AdaLoss):
        def step(self, closure=None, **kwargs):
            return super().step(closure, **kwargs)

    calls = []
    optimizer = Mine([par(1)])
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    optimizer.step(loss=1.0)
    assert calls == ["pre", "post"]


def test_b_has_a_value_whatever_the_default_device_is():
    optimizer = AdaLoss([par(1)], b0=2.0)
    with torch.device("meta"):
        optimizer.step(loss=5.0)
        state = optimizer.state_dict()
        assert float(optimizer.b) == 3.0
    assert float(state["param_groups"][0]["b"]) == 3.0


RULES = [*ALL, lambda params: AdaGradNorm(params, granularity="row")]


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


# Groups and classes


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


@pytest.mark.parametrize("base", [torch.optim.RMSprop, torch.optim.ASGD], **by_name)
def test_an_optimizer_with_an_alpha_of_its_own(base):
    cls = type("Driven", (LossDriven, base), {})
    optimizer = cls([par(1)], lr=0.1, b0=2.0, alpha=0.5, loss_alpha=3.0)
    optimizer.step(loss=5.0)
    assert float(optimizer.b) == pytest.approx(math.sqrt(19), rel=1e-15)
    assert (optimizer.defaults["alpha"], optimizer.defaults["loss_alpha"]) == (0.5, 3.0)
    assert cls([par(1)], **optimizer.defaults).defaults == optimizer.defaults


def test_state_may_hold_plain_numbers():
    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            self.state["calls"] = self.state.get("calls", 0) + 1
            return super().step(closure)

    optimizer = type("Driven", (LossDriven, Counting), {})([par(1)], lr=0.1, b0=2.0)
    for _ in range(2):
        optimizer.step(loss=5.0)
    assert optimizer.state["calls"] == 2


def test_what_others_put_around_their_step_stays():
    calls = []

    def watched(step):
        def wrapper(self, closure=None):
            calls.append(torch.is_grad_enabled())
            return step(self, closure)

        wrapper.__wrapped__ = step
        return wrapper

    class Theirs(torch.optim.SGD):
        step = watched(torch.optim.SGD.step)

    type("Driven", (LossDriven, Theirs), {})([par(1)], lr=0.1, b0=2.0).step(loss=5.0)
    assert calls == [False]


def test_the_wrong_order_is_refused():
    with pytest.raises(TypeError, match="name what drives before SGD"):
        type("Driven", (torch.optim.SGD, LossDriven), {})


@pytest.mark.parametrize(("shape", "b"), [((0, 3), 1.0), ((3, 0), 1.0), ((), math.sqrt(2)), ((2, 3), 2.0)])
def test_rows_of_any_shape(shape, b):
    p = torch.nn.Parameter(torch.ones(shape))
    p.grad = torch.ones(shape)
    optimizer = AdaGradNorm([p], granularity="row")
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(b, rel=1e-15)


@pytest.mark.parametrize("granularity", ["global", "row"])
def test_complex_gradients_have_norms(granularity):
    p = torch.nn.Parameter(torch.ones(1, 2, dtype=torch.complex64))
    p.grad = torch.tensor([[3 + 4j, 2j]]).conj()
    AdaGradNorm([p], b0=1.0, granularity=granularity).step()
    torch.testing.assert_close(p.detach(), 1 - torch.tensor([[3 - 4j, -2j]]) / math.sqrt(1 + 25 + 4))


def test_sparse_gradients_have_a_norm():
    table = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = AdaGradNorm(table.parameters())
    table(torch.tensor([1, 1, 2])).sum().backward()  # 2, 2, 2 and 1, 1, 1
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(1 + 12 + 3), rel=1e-15)


@pytest.mark.parametrize("granularity", ["global", "row"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_norms_are_summed_in_float64(dtype, granularity):
    p = torch.nn.Parameter(torch.ones(1, 10_000, dtype=dtype))
    p.grad = torch.full_like(p, 1000.0)
    optimizer = AdaGradNorm([p], granularity=granularity)
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(1 + 1e4 * 1000.0**2), rel=1e-14)
