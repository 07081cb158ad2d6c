"""Classes of one's own, and gradients of every kind: rows, sparse and complex ones, kernels, dtypes and devices."""

import math

import numpy as np
import pytest
import torch

from adaloss.arguments import number
from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, LossDriven, SGDDecaySqrt, rows, update
from adaloss.optim.fused import exact
from tests.optim.problems import ALL, Network, b_after, by_name, par, single


def test_an_optimizer_with_an_alpha_of_its_own():
    cls = type("Driven", (LossDriven, torch.optim.RMSprop), {})
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


def test_a_mixin_has_alpha_1_and_c_0():
    cls = type("AdaLossNAdam", (LossDriven, torch.optim.NAdam), {})
    _, optimizer = single(cls, lr=0.1, b0=2.0)
    optimizer.step(loss=-5.0)
    assert float(optimizer.b) == 3.0


def test_a_class_takes_no_arguments_that_nobody_knows():
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        type("Other", (LossDriven, torch.optim.SGD), {}, unknown=1)


@pytest.mark.parametrize(("c_s", "form"), [(0.0, "root"), (-1.0, "linear"), (math.nan, "root"), (1.0, "cubic")])
def test_a_decay_that_is_none_is_refused(c_s, form):
    with pytest.raises(ValueError, match="form='cubic'" if form == "cubic" else "c_s="):
        SGDDecaySqrt([torch.nn.Parameter(torch.ones(1))], c_s=c_s, form=form)


@pytest.mark.parametrize("cls", [AdaLoss, AdamLoss, AdaGradNorm])
def test_differentiable_is_refused(cls):
    with pytest.raises(ValueError, match="differentiable=True"):
        type("Other", (LossDriven, torch.optim.SGD), {})(
            [torch.nn.Parameter(torch.ones(1))], b0=1.0, differentiable=True
        )
    with pytest.raises((ValueError, TypeError), match="differentiable"):
        cls([torch.nn.Parameter(torch.ones(1))], differentiable=True)


def test_numbers_that_are_checked():
    assert number("x", 0) == 0.0
    assert number("x", -1e300) == -1e300
    assert number("x", 1e-300, above=0.0) == 1e-300
    assert number("x", math.inf, finite=False) == math.inf
    for value, above, words in [
        (0.0, 0.0, r"x=0\.0: should be finite and greater than 0\.0"),
        (math.inf, 0.0, "x=inf"),
        (math.nan, None, "x=nan: should be finite$"),
        (10**400, None, "x=1000.*: should be finite$"),
        (np.float32("nan"), 0.0, "nan"),
    ]:
        with pytest.raises(ValueError, match=words):
            number("x", value, above=above)
    for value in (True, "1", None, torch.tensor(1.0), np.bool_(True), np.ones(1), 1j):
        with pytest.raises(TypeError, match="should be a number"):
            number("x", value)


# Kernels


def two(gradient=None, **state):
    """A group of two parameters, and their state: of the second the gradient and the state are right."""
    fits = torch.ones(2, 3)
    p, q = (torch.nn.Parameter(fits.clone()) for _ in range(2))
    p.grad_dtype = None
    p.grad, q.grad = fits if gradient is None else gradient, fits
    of_each = {p: state, q: {"momentum_buffer": fits}} if state else {}
    return {"params": [p, q], "momentum": 0.9}, of_each


def test_what_a_fused_kernel_may_take():
    fits = torch.ones(2, 3)
    assert exact({"params": [torch.nn.Parameter(fits)]}, {})  # no gradient
    assert exact(*two())
    assert exact(*two(momentum_buffer=fits))
    assert not exact(*two(momentum_buffer=fits, other=fits))
    for wrong in (
        torch.ones(3, 2).T,
        fits.T,
        torch.ones(6),
        fits.double(),
        fits.to_sparse(),
        None,
        1.0,
        fits.to("meta"),
    ):
        assert not exact(*two(momentum_buffer=wrong)), wrong
    for gradient in (torch.ones(3, 2).T, fits.double(), fits.to_sparse()):
        assert not exact(*two(gradient)), gradient
    for dtype in (torch.bfloat16, torch.float16, torch.complex64):
        p = torch.nn.Parameter(torch.ones(2, 3, dtype=dtype))
        p.grad = torch.ones_like(p)
        assert not exact({"params": [p]}, {})
    group, state = two()
    assert not exact(group, state, skips=True)  # a momentum that would stay unwritten
    assert exact(group | {"momentum": 0}, state, skips=True)
    assert exact(*two(momentum_buffer=fits), skips=True)
    for step, holds in ((torch.tensor(1.0), True), (torch.tensor(1.0, dtype=torch.float64), False), (1, False)):
        assert exact(group, {p: {"exp_avg": fits, "step": step} for p in group["params"]}) is holds


@pytest.mark.parametrize(
    ("asked", "fuses"),
    [
        ({}, False),
        ({"fused": True}, True),
        ({"fused": False}, False),
        ({"foreach": True}, False),
        ({"foreach": False}, False),
    ],
    ids=str,
)
def test_which_kernel_runs(asked, fuses, monkeypatch):
    """The fused one where it is asked for; afterwards the group says again what was asked."""
    p, optimizer = single(b0=2.0, **asked)
    ran = []
    true = optimizer._torch_step

    def watch(of):
        ran.extend((group["fused"], group["lr"]) for group in of.param_groups)
        true(of)

    monkeypatch.setattr(optimizer, "_torch_step", watch)
    optimizer.step(loss=5.0)
    assert [(bool(fused), lr) for fused, lr in ran] == [(fuses, 1 / 3)]
    assert optimizer.param_groups[0]["fused"] is asked.get("fused")
    assert optimizer.param_groups[0]["lr"] == 1.0
    p.grad = torch.ones(4, dtype=torch.float64)[::2]
    optimizer.step(loss=7.0)
    p.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step(loss=9.0)
    assert [bool(fused) for fused, _ in ran] == [fuses, False, fuses]


def test_a_layer_whose_dtype_changes_goes_on():
    """The CPU's fused kernel leaves most bfloat16 entries as they are."""
    ends = []
    for options in ({"fused": True}, {"foreach": False}):
        torch.manual_seed(0)
        first, second = layers = torch.nn.ModuleList(torch.nn.Linear(64, 64) for _ in range(2))
        optimizer = AdaLoss(layers.parameters(), **options)
        for t in range(4):
            if t == 2:
                second.to(torch.bfloat16)
            optimizer.zero_grad()
            loss = second(first(torch.ones(2, 64)).to(second.weight.dtype)).float().square().mean()
            loss.backward()
            optimizer.step(loss=loss)
        ends.append(second.weight.detach())
    torch.testing.assert_close(*ends, rtol=2 * torch.finfo(torch.bfloat16).eps, atol=0)


def test_a_parameter_may_lose_rows_or_its_state_between_fused_steps():
    p, q = par(4), par(4)
    optimizer = AdaLoss([p, q], b0=2.0, fused=True, momentum=0.5)
    optimizer.step(loss=5.0)
    del optimizer.state[q]
    optimizer.step(loss=7.0)  # torch's own fused SGD fails here
    torch.testing.assert_close(p.detach(), torch.full((4,), 1 - 1 / 3 - 1.5 / 4))
    torch.testing.assert_close(q.detach(), torch.full((4,), 1 - 1 / 3 - 1 / 4))
    p.data, p.grad = p.data[:2], None
    p.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="size"):  # as torch's plain SGD: the momentum has four rows
        optimizer.step(loss=9.0)


@pytest.mark.parametrize("hosts", [("cpu",), ()], ids=["host", "device"])
def test_a_skipped_step_leaves_no_momentum_unwritten_and_none_spoiled(hosts, monkeypatch):
    """On a device torch's fused kernels skip; a step of somebody's own cannot be told to, whatever it derives from."""
    monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", hosts)

    class Own(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    of = self.state[p]
                    of["momentum_buffer"] = 0.9 * of.get("momentum_buffer", 0.0) + p.grad
                    p -= group["lr"] * of["momentum_buffer"]

    for cls in (AdaLoss, type("Driven", (LossDriven, Own), {})):
        p = par(300)
        optimizer = cls([p], lr=1.0, b0=2.0, nonfinite="skip", momentum=0.9)
        for loss in (5.0, math.nan, 7.0):
            if math.isnan(loss):
                optimizer.state.clear()
                p.grad = torch.full((300,), math.nan)
            optimizer.step(loss=torch.tensor(loss))
            p.grad = torch.ones(300)
        torch.testing.assert_close(p.detach(), torch.full((300,), 1 - 1 / 3 - 1 / 4))
        assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0] * 300


def test_an_error_of_torch_leaves_eta_as_it_was(monkeypatch):
    _, optimizer = single(lr=0.7, b0=2.0)

    def fails(of):
        raise MemoryError

    monkeypatch.setattr(optimizer, "_torch_step", fails)
    with pytest.raises(MemoryError):
        optimizer.step(loss=5.0)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["fused"]) == (0.7, None)
    assert (float(optimizer.b), optimizer.param_groups[0]["t"]) == (2.0, 0)


# Gradients


@pytest.mark.parametrize(("shape", "b"), [((0, 3), 1.0), ((3, 0), 1.0), ((), math.sqrt(2)), ((2, 3), 2.0)])
def test_rows_of_any_shape(shape, b):
    p = torch.nn.Parameter(torch.ones(shape, dtype=torch.float64))
    p.grad = torch.ones_like(p)
    optimizer = AdaGradNorm([p], granularity="row")
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(b, rel=1e-15)
    torch.testing.assert_close(p.detach(), torch.full_like(p, 1 - 1 / b), rtol=1e-14, atol=0)
    assert optimizer.effective_lr == pytest.approx([1 / b if shape != (0, 3) else 0.0], rel=1e-15)


@pytest.mark.parametrize("at_once", [1, 8, 65536])
def test_sums_of_squares_do_not_depend_on_the_pieces(monkeypatch, at_once):
    """float64 sums of at most 40 positive terms, each rounded once, are off by at most 40 roundings."""
    monkeypatch.setattr(rows, "AT_ONCE", at_once)
    shapes = [(5, 3), (7,), (), (0, 3), (2, 2, 2), (4, 3), (3, 0), (1, 40), (9, 4)]
    plan = rows.planned([torch.ones(shape) for shape in shapes], None)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        gradients = [torch.randn(shape).to(dtype) for shape in shapes]
        assert rows.planned(gradients, plan) is plan
        squares = [np.atleast_1d(gradients[i].double().numpy() ** 2) for i in plan.order]
        want = np.concatenate([of.sum(axis=tuple(range(1, of.ndim))) for of in squares])
        results.append((plan.sums(gradients)[0].copy(), want))
    for got, want in results:
        np.testing.assert_allclose(got, want, rtol=40 * 2.0**-53, atol=0)
    assert rows.planned([*gradients[1:], gradients[0].to_sparse()], plan) is None


def test_rows_leave_the_gradients_as_they_were():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaGradNorm(parameters, granularity="row")
    network.loss(parameters, 1).backward()
    gradients, values = [p.grad for p in parameters], [p.grad.clone() for p in parameters]
    optimizer.step()
    assert all(p.grad is gradient for p, gradient in zip(parameters, gradients, strict=True))
    assert all(torch.equal(p.grad, value) for p, value in zip(parameters, values, strict=True))


@pytest.mark.parametrize("cls", [AdaLoss, AdaGradNorm], **by_name)
def test_sparse_gradients_are_the_dense_ones(cls):
    ends = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table = torch.nn.Embedding(5, 3, sparse=sparse)
        optimizer = cls(table.parameters(), b0=2.0)
        for _ in range(3):
            optimizer.zero_grad()
            loss = table(torch.tensor([1, 3, 3])).square().sum()
            loss.backward()
            optimizer.step(loss=loss)
        ends.append((table.weight.detach(), optimizer.b))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)
    with pytest.raises(RuntimeError, match=r"^granularity='row' takes no sparse gradients; use granularity='global'$"):
        AdaGradNorm(table.parameters(), granularity="row").step()


@pytest.mark.parametrize("granularity", ["global", "row"])
def test_complex_gradients_have_norms(granularity):
    p = torch.nn.Parameter(torch.ones(1, 2, dtype=torch.complex64))
    p.grad = torch.tensor([[3 + 4j, 2j]]).conj()
    AdaGradNorm([p], b0=1.0, granularity=granularity).step()
    torch.testing.assert_close(p.detach(), 1 - torch.tensor([[3 - 4j, -2j]]) / math.sqrt(1 + 25 + 4))


@pytest.mark.parametrize("granularity", ["global", "row"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_norms_are_summed_in_float64(dtype, granularity):
    p = torch.nn.Parameter(torch.ones(1, 10_000, dtype=dtype))
    p.grad = torch.full_like(p, 1000.0)
    optimizer = AdaGradNorm([p], granularity=granularity)
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(1 + 1e4 * 1000.0**2), rel=1e-14)


@pytest.mark.parametrize("granularity", ["global", "row"])
def test_numpys_settings_have_no_part_in_a_step(granularity):
    p, optimizer = single(AdaGradNorm, granularity=granularity)
    with np.errstate(all="raise"):
        p.grad.fill_(1e-200)
        optimizer.step()
        p.grad.fill_(1e200)
        with pytest.raises(RuntimeError, match="gradient's norm is"):
            optimizer.step()
    assert float(optimizer.b) == 1.0


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
