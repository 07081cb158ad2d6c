"""Defaults, the mean over ranks in one process, and what is refused or kept at the edges."""

import math

import numpy as np
import pytest
import torch
import torch.distributed as dist

from adaloss.arguments import number
from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, LossDriven, SGDConstant, SGDDecaySqrt, update
from adaloss.optim.fused import exact, seen
from tests.optim.problems import Network, train
from tests.reference import optim as literal

ONES = [1.0] * 4
DEFAULTS = {
    AdaLoss: lambda f, w: literal.adaloss(f, w, 30, ONES, 1.0)[0],
    AdamLoss: lambda f, w: literal.adamloss(f, w, 30, ONES, 100.0)[0],
    AdaGradNorm: lambda f, w: literal.adagrad_norm(f, w, 30, ONES, 1.0)[0],
    SGDConstant: lambda f, w: literal.sgd(f, w, 30, lambda t: ONES),
    SGDDecaySqrt: lambda f, w: literal.sgd(f, w, 30, lambda t: [1 / np.sqrt(1 + t)] * 4),
    AdamSqrt: lambda f, w: literal.adam_sqrt(f, w, 30, ONES, 100.0),
}


def close(parameters, expected):
    for p, x in zip(parameters, expected, strict=True):
        assert np.abs(p.detach().numpy() - x).max() <= 1e-11 * np.abs(x).max()


@pytest.mark.parametrize("cls", DEFAULTS, ids=lambda cls: cls.__name__)
def test_what_is_left_out_is_the_papers(cls):
    network = Network(seed=1)
    parameters = network.parameters()
    train(network, parameters, cls(parameters), 30, needs_loss=cls in (AdaLoss, AdamLoss))
    close(parameters, DEFAULTS[cls](network.numpy, network.start))


def test_the_linear_decay_has_c_s_1():
    network = Network(seed=1)
    parameters = network.parameters()
    train(network, parameters, SGDDecaySqrt(parameters, b0=3.0, form="linear"), 30, needs_loss=False)
    close(parameters, literal.sgd(network.numpy, network.start, 30, lambda t: [1 / (3 + np.sqrt(t))] * 4))


@pytest.mark.parametrize(("c_s", "form"), [(0.0, "root"), (-1.0, "linear"), (math.nan, "root"), (1.0, "cubic")])
def test_a_decay_that_is_none_is_refused(c_s, form):
    with pytest.raises(ValueError, match="form='cubic'" if form == "cubic" else "c_s="):
        SGDDecaySqrt([torch.nn.Parameter(torch.ones(1))], c_s=c_s, form=form)


def single(cls=AdaLoss, **options):
    """An optimizer of w = (3, 4) with the gradient (3, 4)."""
    p = torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    p.grad = p.detach().clone()
    return p, cls([p], **options)


# The mean


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("group", [None, "of two"])
def test_the_mean_over_ranks_is_weighted_by_both_sums(place, group, monkeypatch):
    """What torch.distributed would add, added by hand: another rank with the losses' sum 6 and the weights' sum 2."""
    if place == "device":
        monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", ())
    p, optimizer = single(b0=2.0, process_group=group)
    asked = []

    def all_reduce(sums, group):
        asked.append((sums.dtype, sums.tolist(), group))
        sums += torch.tensor([6.0, 2.0])

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    optimizer.observe(torch.tensor(1.5, dtype=torch.float64), weight=3.0)
    optimizer.observe(4.0)
    optimizer.step()
    assert asked == [(torch.float64, [8.5, 4.0], group)]
    b = math.sqrt(4 + 14.5 / 6)
    assert float(optimizer.b) == pytest.approx(b, rel=1e-15)
    assert p.tolist() == pytest.approx([3 * (1 - 1 / b), 4 * (1 - 1 / b)], rel=1e-6)


@pytest.mark.parametrize("place", ["host", "device"])
def test_process_group_false_asks_nobody(place, monkeypatch):
    if place == "device":
        monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", ())
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", None)
    _, optimizer = single(b0=2.0, process_group=False)
    assert optimizer.process_group is False
    optimizer.observe(5.0, weight=2)
    optimizer.observe(8.0)
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(4 + 6), rel=1e-15)


def test_a_weight_left_out_is_one():
    _, optimizer = single(b0=2.0)
    optimizer.observe(5.0)
    optimizer.observe(8.0, weight=2)
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(4 + 7), rel=1e-15)


def test_after_a_refusal_the_step_can_be_taken_anew():
    """What was observed and refused has no part in the next step."""
    for refused in ({"loss": 2.0}, {"closure": lambda: torch.tensor(2.0)}):
        _, optimizer = single(b0=2.0)
        optimizer.observe(100.0)
        with pytest.raises(RuntimeError, match="observed and given"):
            optimizer.step(**refused)
        optimizer.step(loss=5.0)
        assert float(optimizer.b) == 3.0


def test_one_element_is_a_scalar_whatever_its_shape():
    for loss in (torch.tensor(5.0), torch.tensor([5.0]), torch.tensor([[5.0]]), 5, 5.0):
        _, optimizer = single(b0=2.0)
        optimizer.step(loss=loss)
        assert float(optimizer.b) == 3.0
    with pytest.raises(TypeError, match=r"loss is a tensor of shape \(0,\)"):
        optimizer.observe(torch.ones(0))


def test_a_closure_is_called_with_gradients_and_its_own_value_returned():
    for cls in (AdaLoss, AdaGradNorm):
        p, optimizer = single(cls, b0=2.0)
        with torch.no_grad():
            value = optimizer.step(lambda p=p: (p**2).sum())
        assert value.requires_grad and value.item() == 25.0
        assert optimizer.param_groups[0]["t"] == 1
    _, optimizer = single(AdaGradNorm)
    assert optimizer.step() is None


def test_a_step_without_loss_needs_every_eta_to_be_zero():
    p, q = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    p.grad = q.grad = torch.ones(1)
    optimizer = AdaLoss([{"params": [p], "lr": 0.0}, {"params": [q], "lr": 1.0}])
    with pytest.raises(RuntimeError, match="got no loss"):
        optimizer.step()


def test_a_mixin_has_alpha_1_and_c_0():
    cls = type("AdaLossNAdam", (LossDriven, torch.optim.NAdam), {})
    _, optimizer = single(cls, lr=0.1, b0=2.0)
    optimizer.step(loss=-5.0)
    assert float(optimizer.b) == 3.0


def test_a_class_takes_no_arguments_that_nobody_knows():
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        type("Other", (LossDriven, torch.optim.SGD), {}, unknown=1)


# What is kept


def test_groups_know_their_steps():
    p, q = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = AdaLoss([{"params": [p]}, {"params": [q], "lr": 3.0}], b0=2.0)
    assert optimizer.effective_lr == [0.0, 0.0]
    assert [group["t"] for group in optimizer.param_groups] == [0, 0]
    optimizer.step(loss=5.0)
    assert optimizer.effective_lr == [1 / 3, 1.0]
    assert [(group["t"], group["b"], group["lr"]) for group in optimizer.param_groups] == [(1, 3.0, 1.0), (1, 3.0, 3.0)]
    copy = optimizer.b
    copy += 1
    assert float(optimizer.b) == 3.0


def test_rows_without_gradients_are_no_step():
    p = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = AdaGradNorm([p], granularity="row")
    optimizer.step()
    assert (optimizer.param_groups[0]["t"], float(optimizer.b), dict(optimizer.state)) == (0, 1.0, {})


def test_a_scalar_is_one_row():
    p = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    p.grad = torch.tensor(3.0, dtype=torch.float64)
    optimizer = AdaGradNorm([p], b0=4.0, granularity="row")
    optimizer.step()
    assert (float(optimizer.b), p.item(), optimizer.state[p]["b"].tolist()) == (5.0, 2 - 3 / 5, [5.0])
    assert optimizer.effective_lr == [0.2]


def test_rows_that_are_not_finite_may_be_skipped():
    p = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = AdaGradNorm([p], granularity="row", nonfinite="skip")
    p.grad = torch.tensor([[1.0, math.inf], [0.0, 0.0]])
    optimizer.step()
    assert p.tolist() == [[1.0, 1.0], [1.0, 1.0]] and optimizer.param_groups[0]["t"] == 0
    assert "b" not in optimizer.state[p]


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


def test_what_is_looked_at_every_time():
    group, _ = two()
    assert seen(group) == (2, torch.float32)
    for gradient in (torch.ones(3, 2).T, torch.eye(2, 3).to_sparse(), None):
        group["params"][1].grad = gradient
        assert seen(group) is None
    assert seen({"params": []}) is None


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


def test_rows_leave_the_gradients_as_they_were():
    network = Network()
    parameters = network.parameters()
    optimizer = AdaGradNorm(parameters, granularity="row")
    network.loss(parameters, 1).backward()
    gradients, values = [p.grad for p in parameters], [p.grad.clone() for p in parameters]
    optimizer.step()
    assert all(p.grad is gradient for p, gradient in zip(parameters, gradients, strict=True))
    assert all(torch.equal(p.grad, value) for p, value in zip(parameters, values, strict=True))


def test_rows_of_sparse_gradients_are_refused_in_words():
    p = torch.nn.Parameter(torch.ones(2, 2))
    p.grad = torch.eye(2).to_sparse()
    with pytest.raises(RuntimeError, match=r"^granularity='row' takes no sparse gradients; use granularity='global'$"):
        AdaGradNorm([p], granularity="row").step()


@pytest.mark.parametrize(("cls", "what"), [(AdaLoss, "loss"), (AdaGradNorm, "gradient's norm")])
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_step_that_is_not_taken_is_not_counted(cls, what, nonfinite):
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = cls([p], lr=0.1, b0=0.5, nonfinite=nonfinite)
    for t in range(1, 6):
        loss = (p * p).sum()
        optimizer.zero_grad()
        loss.backward()
        if t == 3:
            p.grad[0] = math.nan
            loss = loss.detach() * math.nan
        arguments = {} if cls is AdaGradNorm else {"loss": loss}
        if t == 3 and nonfinite == "raise":
            with pytest.raises(RuntimeError, match=f"^step 3: the {what} is nan"):
                optimizer.step(**arguments)
        else:
            optimizer.step(**arguments)
        assert optimizer.param_groups[0]["t"] == t - (t >= 3)
        assert (optimizer.effective_lr == [0.0]) == (t == 3)
