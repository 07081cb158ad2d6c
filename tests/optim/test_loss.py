"""How the loss gets in, whole, in parts and over ranks; where it does not, comes twice, or is no finite number."""

import copy
import math
import pickle
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, SGDDecaySqrt, update
from tests.optim.problems import ALL, Network, by_name, par, single, train

ROWS = {"granularity": "row"}


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
    monkeypatch.setattr(dist, "get_backend_config", lambda group: "cpu:gloo,cuda:gloo")
    optimizer.observe(torch.tensor(1.5, dtype=torch.float64), weight=3.0)
    optimizer.observe(4.0)
    optimizer.step()
    assert asked == [(torch.float64, [8.5, 4.0], group)]
    b = math.sqrt(4 + 14.5 / 6)
    assert float(optimizer.b) == pytest.approx(b, rel=1e-15)
    assert p.tolist() == pytest.approx([3 * (1 - 1 / b), 4 * (1 - 1 / b)], rel=1e-6)


def test_the_group_need_not_serve_the_parameters_device(tmp_path):
    """Adam-mini#28, pytorch#148532: parameters offloaded to the CPU, and NCCL. Here gloo, which has no meta device."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        optimizer = AdaLoss([torch.nn.Parameter(torch.ones(2, device="meta"))], b0=2.0)
        optimizer.step(loss=5.0)
        assert float(optimizer.b) == 3.0
    finally:
        dist.destroy_process_group()


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


def test_a_weight_left_out_is_one_and_one_given_may_be_a_tensor():
    _, optimizer = single(b0=2.0)
    optimizer.observe(5.0)
    optimizer.observe(8.0, weight=torch.tensor(2))
    optimizer.observe(9.0, weight=torch.tensor([1.0]))
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(math.sqrt(4 + 30 / 4), rel=1e-15)
    with pytest.raises(ValueError, match=r"weight=0.0"):
        optimizer.observe(5.0, weight=torch.tensor(0.0))


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


@pytest.mark.parametrize("call", [{}, {"closure": lambda: None}], ids=["bare", "closure"])
@pytest.mark.parametrize("cls", [*ALL, partial(AdaGradNorm, **ROWS)])
def test_without_loss_and_gradient_it_is_no_step(cls, call):
    """Lightning's training_step that returns None; Horovod's first call, with gradients of 0 (dadaptation#13)."""
    p = par(2)
    optimizer = cls([p], lr=0.5, weight_decay=0.1)
    p.grad = None
    assert optimizer.step(**call) is None
    assert (optimizer.param_groups[0]["t"], p.tolist()) == (0, [1.0, 1.0])
    if optimizer.of_loss:
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

    def loss(self, factor=5.0):
        return factor * self.p.sum()

    def b(self, **loss):
        self.optimizer.step(**loss)
        return float(self.optimizer.b)

    def test_before_a_closure_that_fails_is_kept_and_within_it_dropped(self):
        def closure():
            self.optimizer.observe(100.0)
            raise KeyError

        self.optimizer.observe(5.0)
        with pytest.raises(KeyError):
            self.optimizer.step(closure)
        assert self.b() == 3.0

    @pytest.mark.parametrize("backward", ["before", "after", "never"])
    def test_is_dropped_by_zero_grad(self, backward):
        loss = self.loss(100.0)
        if backward == "before":
            loss.backward()
        self.optimizer.observe(loss)
        if backward == "after":
            loss.backward()
        self.optimizer.zero_grad()
        assert self.b(loss=5.0) == 3.0

    @pytest.mark.parametrize("scale", [1.0, 0.25])
    def test_counts_where_its_backward_comes_after_zero_grad(self, scale):
        """Lightning calls zero_grad between training_step and backward."""
        loss = self.loss()
        self.optimizer.observe(loss)
        self.optimizer.zero_grad()
        (loss * scale).backward()
        assert self.b() == 3.0

    def test_of_several_losses_those_count_whose_gradients_are_there(self):
        lost, kept = self.loss(100.0), self.loss()
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


@pytest.mark.parametrize("two", [np.float32(2), np.int64(2), np.array(2.0), np.array(2)], ids=repr)
def test_numpys_numbers_are_numbers(two):
    optimizer = AdaLoss([par(1)], lr=two, b0=two, alpha=two, c=two)
    optimizer.step(loss=two)
    assert float(optimizer.b) == 2.0
    optimizer.observe(two, weight=two)
    AdaLoss([{"params": [par(1)], "lr": two}]).step(loss=two)
    SGDDecaySqrt([par(1)], lr=two, b0=two, c_s=two).step(loss=two)


def test_b_stays_a_number():
    for b0 in (1e200, 1e-200):
        for cls in (AdaLoss, AdaGradNorm):
            with pytest.raises(ValueError, match=r"b0=1e.*: should be from about 1e-150 to 1e150"):
                cls([par(1)], b0=b0)
        AdamLoss([par(1)], b0=b0, lr=b0**0.5).step(loss=0.0)
    optimizer = AdaLoss([par(1)], alpha=1e300)
    with pytest.raises(RuntimeError, match=r"the loss is 1e\+300; the parameters and b=1\.0 .*skip"):
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
    for loss in (torch.tensor(1.0), 1.0, np.float64(1.0)):
        with pytest.raises(TypeError, match=r"step\(loss=loss\)"):
            optimizer.step(loss)


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


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize(("cls", "options"), [(AdaLoss, {}), (AdamLoss, {}), (AdaGradNorm, {}), (AdaGradNorm, ROWS)])
def test_nonfinite_leaves_everything(cls, options, nonfinite, bad):
    network = Network()
    parameters = network.parameters()
    optimizer = cls(parameters, lr=0.1, b0=3.0, nonfinite=nonfinite, weight_decay=0.1, **options)
    train(network, parameters, optimizer, 5, needs_loss=cls is not AdaGradNorm)
    before, state, b = values(parameters), copy.deepcopy(optimizer.state_dict()["state"]), float(optimizer.b)
    parameters[0].grad[1, 1] = bad
    words = r"^step 6: the (loss|gradient's norm) is (nan|inf|-inf|not finite); the parameters and b.* nonfinite='skip'"
    with pytest.raises(RuntimeError, match=words) if nonfinite == "raise" else nullcontext():
        optimizer.step(**({} if cls is AdaGradNorm else {"loss": torch.tensor(bad)}))
    assert equal(parameters, before)
    assert (float(optimizer.b), optimizer.effective_lr, optimizer.param_groups[0]["t"]) == (b, [0.0], 5)
    after = optimizer.state_dict()["state"]
    assert all(torch.equal(v, after[p][name]) for p, kept in state.items() for name, v in kept.items())
    [seen] = train(network, parameters, optimizer, 1, first=6, needs_loss=cls is not AdaGradNorm)
    assert seen > b and optimizer.effective_lr == [0.1 / seen ** (0.5 if cls is AdamLoss else 1)]
    assert optimizer.param_groups[0]["t"] == 6


REFUSED = [
    ({"b0": 0.0}, ValueError, "b0=0.0"),
    ({"b0": math.nan}, ValueError, "b0=nan"),
    ({"b0": "1"}, TypeError, "b0='1'"),
    ({"b0": True}, TypeError, "b0=True"),
    ({"b0": 10**400}, ValueError, "b0=1000"),
    ({"alpha": 0.0}, ValueError, "alpha=0.0"),
    ({"alpha": math.inf}, ValueError, "alpha=inf"),
    ({"alpha": None}, TypeError, "alpha=None"),
    ({"c": math.nan}, ValueError, "c=nan"),
    ({"lr": "0.1"}, TypeError, r"lr='0\.1'"),
    ({"lr": math.inf}, ValueError, "lr=inf"),
    ({"lr": 10**400}, ValueError, "lr=1000"),
    ({"params": [{"params": [par(1)], "lr": "0.1"}]}, TypeError, r"lr='0\.1'"),
    ({"params": [{"params": [par(1)], "b0": -1.0}]}, ValueError, "b0=-1.0: should be finite and greater than 0"),
    ({"nonfinite": "ignore"}, ValueError, "nonfinite='ignore'"),
    ({"process_group": True}, TypeError, "process_group=True"),
    ({"learning_rate": 0.1}, TypeError, "learning_rate"),
    ({"cls": AdaGradNorm, "granularity": "column"}, ValueError, "granularity='column'"),
    ({"lr": -0.1}, ValueError, "learning rate: -0.1"),  # torch's own words from here
    ({"momentum": -0.1}, ValueError, "momentum value: -0.1"),
    ({"weight_decay": -0.1}, ValueError, "weight_decay value: -0.1"),
    ({"nesterov": True}, ValueError, "Nesterov momentum"),
    ({"foreach": True, "fused": True}, RuntimeError, "`fused` and `foreach`"),
    ({"cls": AdamLoss, "betas": (0.9, 1.0)}, ValueError, "beta parameter"),
    ({"params": torch.ones(2)}, TypeError, "params argument"),
]
LOST = [
    (lambda o: o.step(), RuntimeError, r"step\(\) got no loss"),
    (lambda o: o.step(lambda: None), RuntimeError, r"step\(\) got no loss"),
    (lambda o: o.step(lambda: torch.tensor(1.0), loss=1.0), RuntimeError, "a closure and loss="),
    (lambda o: o.step(loss=(1.0,)), TypeError, "loss is a tuple"),
    (lambda o: o.observe(torch.ones(3)), TypeError, r"tensor of shape \(3,\)"),
    (lambda o: o.observe(torch.ones((), dtype=torch.complex64)), TypeError, "complex tensor"),
    (lambda o: o.observe("0.3"), TypeError, "loss is a str"),
    (lambda o: o.observe(True), TypeError, "loss is a bool"),
    (lambda o: o.observe(1.0, weight=0), ValueError, "weight=0"),
]


def made(cls=AdaLoss, params=None, **options):
    return cls([par(1)] if params is None else params, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [*((partial(made, **given), *told) for given, *told in REFUSED)]
    + [((lambda call=call: call(made())), *told) for call, *told in LOST],
)
def test_bad_input_is_one_line_that_names_it(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
