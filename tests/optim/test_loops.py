"""What broke in other people's loops: each test is a kind of public bug report about some optimizer."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, LossDriven, SGDConstant, SGDDecaySqrt, rule_driven
from tests.optim.problems import COMPILES

ALL = [AdaLoss, AdamLoss, AdaGradNorm, SGDConstant, SGDDecaySqrt, AdamSqrt]
by_name = {"ids": lambda cls: cls.__name__}
dynamo_warns = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::RuntimeWarning")


def par(n, dtype=torch.float32):
    """A parameter of n ones whose gradient is ones."""
    p = torch.nn.Parameter(torch.ones(n, dtype=dtype))
    p.grad = torch.ones_like(p)
    return p


def b_after(loss, b0=1.0):
    return math.sqrt(b0**2 + loss)


# Kernels and states


@pytest.mark.parametrize("fused", [None, True])
@pytest.mark.parametrize(("cls", "options"), [(AdaLoss, {"momentum": 0.9}), (AdamLoss, {})])
def test_a_loaded_state_of_another_shape_is_torchs_error(cls, options, fused):
    small, large = cls([par(3)], fused=fused, **options), cls([par(40)], fused=fused, **options)
    small.step(loss=1.0)
    large.load_state_dict(small.state_dict())
    with pytest.raises(RuntimeError, match="must match"):
        large.step(loss=1.0)


@pytest.mark.parametrize("cls", [AdaLoss, SGDConstant, SGDDecaySqrt, AdaGradNorm], **by_name)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fused", [None, True])
def test_half_precision_moves(cls, dtype, fused):
    p = par(64, dtype)
    optimizer = cls([p], lr=0.5, fused=fused)
    optimizer.step(loss=1.0)
    want = torch.ones(64, dtype=dtype).sub_(torch.ones(64, dtype=dtype), alpha=optimizer.effective_lr[0])
    assert torch.equal(p.detach(), want)


@COMPILES
@dynamo_warns
def test_a_compiled_first_step_that_is_skipped_leaves_no_momentum():
    p = par(8)
    optimizer = AdaLoss([p], lr=0.1, momentum=0.9, nonfinite="skip")
    step = torch.compile(lambda loss: optimizer.step(loss=loss), backend="eager")
    for loss in (math.nan, 1.0):
        step(torch.tensor(loss))
    torch.testing.assert_close(p.detach(), torch.full((8,), 1 - 0.1 / math.sqrt(2)))


@COMPILES
@dynamo_warns
def test_a_compiled_step_raises_for_a_loss_that_is_not_finite():
    optimizer = AdaLoss([par(8)])
    with pytest.raises(RuntimeError, match="step 1: the loss is nan"):
        torch.compile(lambda loss: optimizer.step(loss=loss), backend="eager")(torch.tensor(math.nan))


def test_a_kernel_is_chosen_from_the_tensors_of_the_step_alone():
    """After one strided gradient a resumed training takes the same bits."""
    ends = []
    for resume in (False, True):
        p = torch.nn.Parameter(torch.linspace(1, 2, 70).reshape(7, 10))
        optimizer = AdamLoss([p], fused=True)
        for t in range(6):
            gradient = torch.linspace(-1, 1 + t, 70)
            p.grad = gradient.reshape(10, 7).T if t == 1 else gradient.reshape(7, 10)
            if resume and t == 3:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = AdamLoss([p], fused=True)
                optimizer.load_state_dict(state)
            optimizer.step(loss=1.0)
        ends.append(p.detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize("fused", [None, True])
def test_a_module_may_change_its_dtype(fused):
    module = torch.nn.Linear(3, 2)
    optimizer = AdaLoss(module.parameters(), lr=0.5, momentum=0.9, fused=fused)
    want = [p.detach().double() for p in module.parameters()]
    b, momentum = 1.0, 0.0
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        module.to(dtype)
        for p in module.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step(loss=1.0)
        b, momentum = b_after(1.0, b), 0.9 * momentum + 1.0
        want = [w - 0.5 / b * momentum for w in want]
    for p, w in zip(module.parameters(), want, strict=True):
        torch.testing.assert_close(p.detach().double(), w, rtol=0.02, atol=0.02)  # three digits of bfloat16


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"foreach": True}], ids=str)
@pytest.mark.parametrize("cls", [AdaLoss, AdaGradNorm, SGDDecaySqrt], **by_name)
def test_gradients_may_have_a_dtype_of_their_own(cls, options):
    p = torch.nn.Parameter(torch.ones(3))
    p.grad_dtype = torch.bfloat16
    p.grad = torch.ones(3, dtype=torch.bfloat16)
    optimizer = cls([p], lr=0.5, **options)
    optimizer.step(loss=1.0)
    torch.testing.assert_close(p.detach(), torch.full((3,), 1 - optimizer.effective_lr[0]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("options", [{}, {"fused": True}], ids=str)
@pytest.mark.parametrize("cls", ALL, **by_name)
def test_parameters_on_the_meta_device(cls, options):
    """A loss there has no value: b stays."""
    model = torch.nn.Linear(3, 2, device="meta")
    optimizer = cls(model.parameters(), **options)
    for _ in range(2):
        loss = model(torch.ones(2, 3, device="meta")).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss=loss)
    assert (optimizer.param_groups[0]["t"], float(optimizer.b)) == (2, optimizer.defaults["b0"])


# Losses and steps


@pytest.mark.parametrize("factor", [0.5, torch.tensor(0.25)], ids=str)
def test_a_loss_that_is_a_product_is_no_scaled_one(factor):
    p = par(1)
    optimizer, scaler = AdaLoss([p]), torch.amp.GradScaler("cpu")
    loss = factor * (p * p).sum()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    scaler.step(optimizer, loss=loss)
    assert float(optimizer.b) == pytest.approx(b_after(float(factor)), rel=1e-7)


@pytest.mark.parametrize("call", [{}, {"closure": lambda: None}], ids=["bare", "closure"])
@pytest.mark.parametrize("cls", ALL, **by_name)
def test_without_loss_and_gradient_it_is_no_step(cls, call):
    """Lightning's training_step that returns None; Horovod's first call, with gradients of 0 (dadaptation#13)."""
    p = par(2)
    optimizer = cls([p], lr=0.5, weight_decay=0.1)
    p.grad = None
    assert optimizer.step(**call) is None
    assert (optimizer.param_groups[0]["t"], p.tolist()) == (0, [1.0, 1.0])
    if cls.of_loss:
        p.grad = torch.zeros(2)
        optimizer.step(**call)
        assert (optimizer.param_groups[0]["t"], p.tolist()) == (0, [1.0, 1.0])
        p.grad = torch.ones(2)
        with pytest.raises(RuntimeError, match="step\\(\\) got no loss"):
            optimizer.step(**call)


def test_the_loss_may_come_beside_a_closure_that_returns_none():
    """Lightning's wrapper always passes a closure."""
    optimizer = AdaLoss([par(2)])
    assert optimizer.step(lambda: None, loss=3.0) == 3.0
    assert float(optimizer.b) == 2.0


class TestWhatWasObserved:
    def setup_method(self):
        self.p = par(1)
        self.optimizer = AdaLoss([self.p], b0=2.0)

    def loss(self):
        return 5.0 * self.p.sum()

    def b(self):
        self.optimizer.step(**({} if self.optimizer._losses else {"loss": 5.0}))
        return float(self.optimizer.b)

    def test_is_dropped_by_a_closure_that_fails(self):
        def closure():
            self.optimizer.observe(100.0)
            raise KeyError

        with pytest.raises(KeyError):
            self.optimizer.step(closure)
        assert self.b() == 3.0

    def test_before_a_closure_that_fails_is_kept(self):
        def closure():
            self.optimizer.observe(100.0)
            raise KeyError

        self.optimizer.observe(5.0)
        with pytest.raises(KeyError):
            self.optimizer.step(closure)
        assert self.b() == 3.0

    @pytest.mark.parametrize("backward", ["before", "after", "never"])
    def test_is_dropped_by_zero_grad(self, backward):
        loss = 20.0 * self.loss()
        if backward == "before":
            loss.backward()
        self.optimizer.observe(loss)
        if backward == "after":
            loss.backward()
        self.optimizer.zero_grad()
        self.optimizer.step(loss=5.0)
        assert float(self.optimizer.b) == 3.0

    @pytest.mark.parametrize("scale", [1.0, 0.25])
    def test_counts_where_its_backward_comes_after_zero_grad(self, scale):
        """Lightning calls zero_grad between training_step and backward."""
        loss = self.loss()
        self.optimizer.observe(loss)
        self.optimizer.zero_grad()
        (loss * scale).backward()
        assert self.b() == 3.0

    def test_of_several_losses_those_count_whose_gradients_are_there(self):
        lost, kept = 20.0 * self.loss(), self.loss()
        self.optimizer.observe(lost)
        lost.backward()
        self.optimizer.observe(kept)
        self.optimizer.zero_grad()
        kept.backward()
        self.optimizer.observe(5.0)
        assert self.b() == 3.0

    def test_nothing_left_says_why(self):
        self.optimizer.observe(1.0)
        self.optimizer.zero_grad()
        self.p.grad = torch.ones(1)
        with pytest.raises(RuntimeError, match="after the last zero_grad"):
            self.optimizer.step()

    def test_is_copied_with_the_optimizer(self):
        self.optimizer.observe(5.0)
        for twin in (copy.deepcopy(self.optimizer), pickle.loads(pickle.dumps(self.optimizer))):
            twin.step()
            assert float(twin.b) == 3.0


def test_a_weight_may_be_a_tensor():
    optimizer = AdaLoss([par(1)], b0=2.0)
    optimizer.observe(5.0, weight=torch.tensor(3))
    optimizer.observe(9.0, weight=torch.tensor([1.0]))
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(b_after(6.0, 2.0), rel=1e-15)
    with pytest.raises(ValueError, match=r"weight=0.0"):
        optimizer.observe(5.0, weight=torch.tensor(0.0))


@pytest.mark.parametrize("cls", ALL, **by_name)
@pytest.mark.parametrize("loss", [torch.tensor(1.0), 1.0, np.float64(1.0)], ids=lambda v: type(v).__name__)
def test_a_loss_by_position_is_told_where_it_belongs(cls, loss):
    with pytest.raises(TypeError, match=r"step\(loss=loss\)"):
        cls([par(2)]).step(loss)


@pytest.mark.parametrize("two", [np.float32(2), np.int64(2), np.array(2.0), np.array(2)], ids=repr)
def test_numpys_numbers_are_numbers(two):
    optimizer = AdaLoss([par(1)], lr=two, b0=two, alpha=two, c=two)
    optimizer.step(loss=two)
    assert float(optimizer.b) == 2.0
    optimizer.observe(two, weight=two)
    AdaLoss([{"params": [par(1)], "lr": two}]).step(loss=two)
    SGDDecaySqrt([par(1)], lr=two, b0=two, c_s=two).step(loss=two)


@pytest.mark.parametrize(
    "make", [lambda: AdaLoss([par(1)], lr="0.1"), lambda: AdaLoss([{"params": [par(1)], "lr": "0.1"}])]
)
def test_a_rate_that_is_a_string_is_named(make):
    with pytest.raises(TypeError, match=r"lr='0\.1'"):
        make()


def test_b_stays_a_number():
    for b0 in (1e200, 1e-200):
        for cls in (AdaLoss, AdaGradNorm):
            with pytest.raises(ValueError, match=r"b0=1e.*: should be from about 1e-150 to 1e150"):
                cls([par(1)], b0=b0)
        AdamLoss([par(1)], b0=b0, lr=b0**0.5).step(loss=0.0)
    optimizer = AdaLoss([par(1)], alpha=1e300)
    with pytest.raises(RuntimeError, match=r"the loss is 1e\+300; the parameters and b=1\.0 are unchanged"):
        optimizer.step(loss=1e300)
    assert float(optimizer.b) == 1.0


@pytest.mark.parametrize("cls", ALL, **by_name)
def test_every_method_runs_in_one_loop(cls):
    p = par(2)
    optimizer = cls([p])
    optimizer.step(loss=(p * p).sum())
    optimizer.observe(p.sum())
    optimizer.step()
    optimizer.step(lambda: p.sum())
    assert optimizer.param_groups[0]["t"] == 3
    with pytest.raises(TypeError, match=r"tensor of shape \(2,\)"):
        optimizer.step(loss=torch.ones(2))


# States


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


# AdaGrad-Norm


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


# What else public reports of other projects say


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


@COMPILES
@dynamo_warns
def test_a_compiled_step_may_have_a_closure():
    """pytorch#116494: gradients are off in it."""
    p = par(2)
    optimizer = AdaLoss([p], b0=2.0)

    def closure():
        optimizer.zero_grad()
        loss = 2.5 * (p * p).sum()
        loss.backward()
        return loss

    torch.compile(lambda: optimizer.step(closure), backend="eager")()
    torch.testing.assert_close(p.detach(), torch.full((2,), 1 - 5 / 3))


def test_a_closure_may_be_called_without_gradients_around():
    """HeavyBall#10, Lightning#18268."""
    p = par(1)
    optimizer = AdaLoss([p], b0=2.0)

    def closure():
        loss = 5.0 * p.sum()
        optimizer.zero_grad()
        loss.backward()
        return loss

    for off in (torch.no_grad, torch.inference_mode):
        with off(mode=True) if off is torch.inference_mode else off():
            AdaLoss([p], b0=2.0).step(loss=1.0)
    with torch.no_grad():
        optimizer.step(closure)
        assert not torch.is_grad_enabled()
    assert float(optimizer.b) == pytest.approx(b_after(5 * (1 - 2 / math.sqrt(5)), 2.0), rel=1e-6)


def test_a_rate_in_a_tensor_stays_the_schedulers():
    """pytorch#126854: one scheduler's factor is applied again and again."""
    optimizer = AdaLoss([par(1)], lr=torch.tensor(0.5), b0=2.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
    for _ in range(3):
        optimizer.step(loss=1.0)
        scheduler.step()
        assert float(optimizer.param_groups[0]["lr"]) == 0.25
    assert optimizer.effective_lr == [0.25 / float(optimizer.b)]


def test_a_scheduler_does_not_complain_of_a_skipped_first_step():
    """pytorch#44511, pytorch#55585. Warnings are errors here."""
    p = par(2)
    optimizer, scaler = AdaLoss([p]), torch.amp.GradScaler("cpu")
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    scaler.scale(p.sum() * math.inf).backward()
    scaler.step(optimizer, loss=1.0)
    scaler.update()
    scheduler.step()
    assert (p.tolist(), optimizer.effective_lr) == ([1.0, 1.0], [0.0])


def test_parameters_may_have_names():
    """pytorch#1489, pytorch#134107."""
    model = torch.nn.Linear(2, 1)
    optimizer = AdaLoss(model.named_parameters())
    optimizer.step(loss=1.0)
    other = AdaLoss(model.named_parameters())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["param_names"] == ["weight", "bias"]
    assert torch.equal(other.b, optimizer.b)


def test_each_parameter_may_step_in_the_backward_pass():
    """tutorials#2568: an optimizer for each parameter, called by its hook within backward()."""
    model = torch.nn.Linear(2, 1)
    optimizers = {p: AdaLoss([p], b0=2.0) for p in model.parameters()}

    def hook(p):
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(hook)
    for b in (3.0, math.sqrt(14)):
        loss = 0.0 * model(torch.ones(1, 2)).sum() + 5.0
        for optimizer in optimizers.values():
            optimizer.observe(loss)
        loss.backward()
        assert [float(optimizer.b) for optimizer in optimizers.values()] == pytest.approx([b, b], rel=1e-15)


def test_fabrics_wrapper_observes_and_loads():
    """Lightning#18482: its wrapper keeps a copy of the attributes, which loading makes stale."""
    fabric = pytest.importorskip("lightning_fabric").Fabric(accelerator="cpu", devices=1)
    model = torch.nn.Linear(2, 1)
    optimizer = AdaLoss(model.parameters(), b0=2.0)
    model, wrapper = fabric.setup(model, optimizer)
    for b_squared in (9, 14, 19):
        loss = 0.0 * model(torch.ones(1, 2)).sum() + 5.0
        fabric.backward(loss)
        wrapper.observe(loss)
        wrapper.step()
        assert float(optimizer.b) == pytest.approx(math.sqrt(b_squared), rel=1e-15)
        wrapper.zero_grad()
        wrapper.load_state_dict(copy.deepcopy(wrapper.state_dict()))


def test_lookahead_goes_around_it():
    """pytorch_optimizer#326, #332: wrappers need state, param_groups and a state to save."""
    lookahead = pytest.importorskip("pytorch_optimizer").Lookahead
    optimizer = AdaLoss([par(2)], b0=2.0)
    wrapper = lookahead(optimizer, k=2)
    for _ in range(2):
        optimizer.observe(5.0)
        wrapper.step()
        wrapper.load_state_dict(wrapper.state_dict())
    assert float(optimizer.b) == pytest.approx(math.sqrt(14), rel=1e-15)


def test_a_first_step_of_zeros_is_a_step():
    """dadaptation#4, pylearn2#1496: 0 / 0."""
    for cls in ALL:
        p = par(2)
        p.grad = torch.zeros(2)
        cls([p]).step(loss=0.0)
        assert p.tolist() == [1.0, 1.0]


def test_what_is_divided_after_it_was_observed_counts_whole(monkeypatch):
    """timm divides the loss in place for accumulation; on an accelerator the value must not be the same memory."""
    for hosts in (("cpu",), ()):
        monkeypatch.setattr(rule_driven, "NUMBERS_ON_THE_HOST", hosts)
        optimizer = AdaLoss([par(1)], b0=2.0)
        loss = torch.tensor(5.0, dtype=torch.float64)
        optimizer.observe(loss)
        loss /= 4
        optimizer.step()
        assert float(optimizer.b) == 3.0


def test_the_model_may_move_after_the_optimizer_is_made():
    """nero#1: the constructor took the parameters' place for final."""
    model = torch.nn.Linear(2, 1)
    optimizer = AdaLoss(model.parameters())
    model.to("meta")
    for p in optimizer.param_groups[0]["params"]:
        p.grad = None
    optimizer.step(loss=1.0)
    assert float(optimizer.b) == pytest.approx(math.sqrt(2), rel=1e-15)


def test_adagrads_state_may_be_shared_by_processes():
    """pytorch#17679."""
    optimizer = type("Driven", (LossDriven, torch.optim.Adagrad), {})([par(1)], lr=0.1, b0=2.0)
    optimizer.share_memory()
    optimizer.step(loss=5.0)
    assert all(state["sum"].is_shared() for state in optimizer.state.values())
