"""Kernels and losses in other people's loops: each test is a kind of public bug report about some optimizer."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, SGDConstant, SGDDecaySqrt
from tests.optim.problems import COMPILES, b_after, par

ALL = [AdaLoss, AdamLoss, AdaGradNorm, SGDConstant, SGDDecaySqrt, AdamSqrt]
by_name = {"ids": lambda cls: cls.__name__}
dynamo_warns = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::RuntimeWarning")


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
