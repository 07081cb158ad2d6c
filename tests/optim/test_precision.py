"""Mixed precision, and the way that numbers take on an accelerator, which the CPU can take too."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, SGDConstant, SGDDecaySqrt, update

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
PATHS = ["host", "device", CUDA]
OPTIMIZERS = [AdaLoss, AdamLoss, AdaGradNorm, SGDDecaySqrt]


@pytest.fixture
def place(request, monkeypatch):
    """The device of the parameters. "device" is the CPU as if its numbers were as far away as an accelerator's."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    if request.param == "device":
        monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", ())
    return "cuda" if request.param == "cuda" else "cpu"


class Linear:
    """mean((x w - y)^2) with data on one device."""

    def __init__(self, place, dtype=torch.float32):
        rng = np.random.default_rng(0)
        self.x, self.y, start = (torch.tensor(rng.normal(size=s), dtype=dtype) for s in [(8, 5), (8, 3), (5, 3)])
        self.x, self.y = self.x.to(place), self.y.to(place)
        self.w = torch.nn.Parameter(start.to(place))

    def loss(self):
        return ((self.x @ self.w - self.y) ** 2).mean()

    def steps(self, optimizer, count, way="loss"):
        for _ in range(count):
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            if not isinstance(optimizer, AdaLoss | AdamLoss):
                optimizer.step()
            elif way == "observe":
                optimizer.observe(loss)
                optimizer.step()
            else:
                optimizer.step(loss=loss)


def state(problem, optimizer):
    return problem.w.detach().clone(), optimizer.b, float(optimizer.param_groups[0]["t"]), list(optimizer.effective_lr)


class NoWaiting(TorchDispatchMode):
    """Refuses every operator by which the host waits for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket not in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("place", ["device", CUDA], indirect=True)
@pytest.mark.parametrize("options", [{"weight_decay": 0.1}, {"fused": True}], ids=str)
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_numbers_on_the_device_are_those_of_the_host(cls, options, place, monkeypatch):
    far = Linear(place)
    optimizer = cls([far.w], lr=0.3, b0=0.7, **options)
    far.steps(optimizer, 40)
    assert isinstance(optimizer.param_groups[0]["b"], torch.Tensor)
    monkeypatch.undo()
    near = Linear("cpu")
    reference = cls([near.w], lr=0.3, b0=0.7, **options)
    near.steps(reference, 40)
    # The step is rounded to float32 on the device, and the sums of a float32 matrix product are in another order.
    torch.testing.assert_close(far.w.cpu(), near.w, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(optimizer.b.cpu(), reference.b, rtol=1e-6, atol=0)
    assert optimizer.effective_lr == pytest.approx(reference.effective_lr, rel=1e-6)


@pytest.mark.parametrize("place", ["device"], indirect=True)
@pytest.mark.parametrize("way", ["loss", "observe"])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "nonfinite": "skip"}], ids=str)
@pytest.mark.parametrize("cls", [*OPTIMIZERS, SGDConstant])
def test_no_step_waits_for_the_device(cls, options, way, place):
    problem = Linear(place)
    optimizer = cls([problem.w], lr=0.3, b0=0.7, **options)
    with NoWaiting():
        problem.steps(optimizer, 5, way)
        with pytest.raises(AssertionError):  # the check sees what it should
            float(optimizer.b)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")  # it calls itself a prototype
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("cls", [*OPTIMIZERS, SGDConstant])
def test_cuda_never_synchronises(cls, scaled):
    problem = Linear("cuda")
    optimizer = cls([problem.w], lr=0.3, b0=0.7)
    scaler = torch.amp.GradScaler("cuda", enabled=scaled)
    problem.steps(optimizer, 3)
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(20):
            scaled_step(problem, optimizer, scaler)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert optimizer.param_groups[0]["t"] == 23


def scaled_step(problem, optimizer, scaler, spoil=None):
    optimizer.zero_grad()
    loss = problem.loss()
    scaler.scale(loss).backward()
    if spoil is not None:
        problem.w.grad[0, 0] = spoil
    scaler.step(optimizer, **({"loss": loss} if isinstance(optimizer, AdaLoss | AdamLoss) else {}))
    scaler.update()


@pytest.mark.parametrize("place", PATHS, indirect=True)
@pytest.mark.parametrize("options", [{"foreach": True}, {"weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("cls", [*OPTIMIZERS, partial(AdaGradNorm, granularity="row")])
def test_a_grad_scaler_changes_nothing_but_the_steps_it_skips(cls, options, place):
    scaled, plain = Linear(place), Linear(place)
    optimizer, reference = (cls([p.w], lr=0.3, b0=0.7, **options) for p in (scaled, plain))
    scaler = torch.amp.GradScaler(place, init_scale=2.0**10, growth_interval=3)  # powers of 2 are exact
    for t in range(12):
        if t in (4, 7):
            before = state(scaled, optimizer)
            scaled_step(scaled, optimizer, scaler, spoil=float("inf") if t == 4 else float("nan"))
            w, b, taken, steps = state(scaled, optimizer)
            assert torch.equal(w, before[0]) and torch.equal(b, before[1]) and taken == before[2]
            assert steps == [0.0]
        scaled_step(scaled, optimizer, scaler)
        plain.steps(reference, 1)
        if place == "cuda" and cls is AdamLoss:  # its fused kernel is compiled anew for scaled gradients
            torch.testing.assert_close((scaled.w, optimizer.b), (plain.w, reference.b), rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(scaled.w, plain.w) and torch.equal(optimizer.b, reference.b)
    assert scaler.get_scale() == 2.0 ** (10 + 1 - 1 + 1 - 1 + 1)  # two halvings among the doublings: it was really used


@pytest.mark.parametrize(
    ("place", "refused"), [("host", {}), ("host", {"loss": float("nan")}), ("device", {})], indirect=["place"]
)
def test_after_a_refusal_the_scaled_step_can_be_taken_anew(place, refused):
    """GradScaler multiplies the scale by what an earlier step, which did not return, has left at the optimizer."""
    scaled, plain = Linear(place), Linear(place)
    optimizer, reference = AdaLoss([scaled.w]), AdaLoss([plain.w])
    scaler = torch.amp.GradScaler(place, init_scale=2.0**10)
    loss = scaled.loss()
    scaler.scale(loss).backward()
    with pytest.raises(RuntimeError, match=r"got no loss|the loss is nan"):
        scaler.step(optimizer, **refused)
    scaler.step(optimizer, loss=loss)
    plain.steps(reference, 1)
    assert torch.equal(scaled.w, plain.w) and torch.equal(optimizer.b, reference.b)


@pytest.mark.parametrize("place", PATHS, indirect=True)
def test_unscaled_and_clipped_gradients_leave_b(place):
    scaled, plain = Linear(place), Linear(place)
    optimizer, reference = AdaLoss([scaled.w]), AdaLoss([plain.w])
    scaler = torch.amp.GradScaler(place, init_scale=2.0**10)
    loss = scaled.loss()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([scaled.w], 0.1)
    scaler.step(optimizer, loss=loss)
    plain.steps(reference, 1)
    assert torch.equal(optimizer.b, reference.b)
    moved = torch.linalg.norm(scaled.w.detach() - Linear(place).w.detach())
    assert float(moved) == pytest.approx(0.1 * optimizer.effective_lr[0], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_the_loop_with_the_rounded_loss(dtype):
    """b is the literal recurrence, in float64, of the losses that the lower precision gave; parameters stay float32."""
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer, b = AdaLoss(network.parameters(), lr=0.1, b0=0.5, alpha=2.0), 0.5
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = network(x).square().mean().to(dtype)
        loss.backward()
        optimizer.step(loss=loss)
        b = (b**2 + 2.0 * loss.item()) ** 0.5
        assert float(optimizer.b) == pytest.approx(b, rel=1e-14)
    assert all(p.dtype == torch.float32 for p in network.parameters())


@pytest.mark.parametrize("place", ["device", CUDA], indirect=True)
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_nonfinite_loss_on_the_device_changes_nothing_and_is_told(nonfinite, place):
    problem = Linear(place)
    optimizer = AdaLoss([problem.w], b0=0.7, nonfinite=nonfinite, momentum=0.9)
    problem.steps(optimizer, 3)
    w, b, taken, _ = state(problem, optimizer)
    optimizer.step(loss=problem.loss() * float("nan"))
    assert torch.equal(problem.w, w) and optimizer.param_groups[0]["t"] == taken
    if nonfinite == "raise":
        with pytest.raises(RuntimeError, match="step 4: the loss or the step size was not finite"):
            optimizer.state_dict()
    assert torch.equal(optimizer.b, b)
    reference = Linear(place)
    other = AdaLoss([reference.w], b0=0.7, momentum=0.9)
    reference.steps(other, 5)
    problem.steps(optimizer, 2)
    assert torch.equal(problem.w, reference.w) and torch.equal(optimizer.b, other.b)


@pytest.mark.parametrize("kept", [True, False], ids=["graph kept", "graph freed"])
def test_a_loss_that_is_a_product_of_two_things_that_are_trained_is_taken(kept):
    p, q = torch.nn.Parameter(torch.tensor(5.0)), torch.nn.Parameter(torch.tensor(1.0))
    optimizer, scaler = AdaLoss([p, q], b0=2.0), torch.amp.GradScaler("cpu")
    loss = p * q
    scaler.scale(loss).backward(retain_graph=kept)
    scaler.step(optimizer, loss=loss)
    assert float(optimizer.b) == 3.0
    assert (p.item(), q.item()) == pytest.approx((5 - 1 / 3, 1 - 5 / 3), rel=1e-6)
