"""Public bug reports about other optimizers in other people's loops, and what is right here."""

import math

import pytest
import torch
import torch.distributed.checkpoint as dcp

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, LossDriven, SGDConstant, fused, update
from tests.optim.problems import ALL, COMPILES, b_after, par

dynamo_warns = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::RuntimeWarning")


@COMPILES
@dynamo_warns
def test_a_compiled_step_raises_for_a_loss_that_is_not_finite():
    optimizer = AdaLoss([par(8)])
    with pytest.raises(RuntimeError, match="step 1: the loss is nan"):
        torch.compile(lambda loss: optimizer.step(loss=loss), backend="eager")(torch.tensor(math.nan))


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


@pytest.mark.parametrize("hosts", [("cpu",), ()], ids=["host", "device"])
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_rate_that_is_not_finite_is_named(nonfinite, hosts, monkeypatch):
    """A schedule's 0/0: it is not the loss that is to be skipped, for ever."""
    monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", hosts)
    for cls, options in (*((cls, {}) for cls in ALL), (AdaGradNorm, {"granularity": "row"})):
        first, second = par(1), par(1)
        optimizer = cls([{"params": [first]}, {"params": [second]}], nonfinite=nonfinite, **options)
        for rate in (math.nan, math.inf, torch.tensor(math.nan)):
            optimizer.param_groups[1]["lr"] = rate
            with pytest.raises(ValueError, match=f"lr={float(rate)} in parameter group 1: should be finite"):
                optimizer.step(loss=1.0)
        assert (first.item(), second.item(), optimizer.param_groups[0]["t"]) == (1.0, 1.0, 0)


def test_a_forgotten_loss_is_told_where_all_gradients_or_rates_are_0():
    """A warm-up from lr = 0; gradients of 0 only fill the state (Horovod, torch.distributed.checkpoint), once."""
    for rate, gradient in ((0.0, 1.0), (1.0, 0.0)):
        p = par(2)
        optimizer = AdamLoss([p])
        optimizer.step(loss=1.0)
        kept = {name: value.clone() for name, value in optimizer.state[p].items()}
        optimizer.param_groups[0]["lr"] = rate
        p.grad.fill_(gradient)
        with pytest.raises(RuntimeError, match="got no loss"):
            optimizer.step()
        assert all(torch.equal(kept[name], value) for name, value in optimizer.state[p].items())


def test_groups_with_a_b_or_t_of_their_own_are_refused():
    class Own(torch.optim.SGD):
        def __init__(self, params, lr=0.1):
            torch.optim.Optimizer.__init__(self, params, {"lr": lr, "t": 0, "b": 2.0})

    with pytest.raises(TypeError, match="Driven has b, t in its groups, as the rule has"):
        type("Driven", (LossDriven, Own), {})([par(1)])


class Passing(torch.optim.RMSprop):
    """Its own alpha goes by keyword to torch's constructor."""

    def __init__(self, params, **kwargs):
        super().__init__(params, **kwargs)


def test_an_option_that_is_passed_on_stays_the_driven_optimizers():
    optimizer, alone = type("Driven", (LossDriven, Passing), {})([par(2)], lr=0.1), Passing([par(2)], lr=0.1)
    for one, words in ((optimizer, {"loss": 0.0}), (alone, {})):
        one.param_groups[0]["params"][0].grad = torch.full((2,), 0.5)
        one.step(**words)
    assert (optimizer.defaults["alpha"], optimizer.defaults["loss_alpha"]) == (0.99, 1.0)
    assert torch.equal(optimizer.param_groups[0]["params"][0], alone.param_groups[0]["params"][0])

    class Named(torch.optim.SGD):
        def __init__(self, params, lr=0.1):
            torch.optim.Optimizer.__init__(self, params, {"lr": lr, "c": 0.9})

    with pytest.raises(TypeError, match="Driven has c in its groups, as the rule has"):
        type("Driven", (LossDriven, Named), {})([par(1)])


def test_an_optimizer_that_sets_its_lr_itself_is_refused():
    """SWATS and others; torch's own ASGD and Rprop are refused at once."""

    class Own(torch.optim.SGD):
        def step(self, closure=None):
            super().step()
            self.param_groups[0]["lr"] *= 0.5

    p = par(1)
    p.grad = torch.ones(1)
    with pytest.raises(TypeError, match="Driven: what is driven sets lr itself"):
        type("Driven", (LossDriven, Own), {})([p], lr=1.0).step(loss=1.0)


def test_a_group_may_be_taken_out_and_put_back():
    """Freezing by group. Options of another optimizer's groups stay, as in torch; its state does not."""
    p, q = par(1), par(1)
    optimizer = AdaLoss([{"params": [p]}, {"params": [q]}], bound=10.0, steps=100)
    group = optimizer.param_groups.pop()
    p.grad = q.grad = torch.ones(1)
    for _ in range(2):
        optimizer.step(loss=3.0)
    optimizer.add_param_group(group)
    optimizer.step(loss=3.0)
    assert optimizer.param_groups[0]["b"] == optimizer.param_groups[1]["b"] and optimizer.param_groups[1]["t"] == 3
    groups = [{"params": [p], "lr": 0.5}]
    for _ in range(2):
        AdaLoss(groups, b0=2.0).step(loss=5.0)
        assert (groups[0]["b"], groups[0]["t"], groups[0]["lr"]) == (3.0, 1, 0.5)
    with pytest.raises(ValueError, match=r"b=5\.0 in a parameter group: it is 1\.0 for all groups"):
        AdaLoss([{"params": [p], "b": 5.0}])


def test_a_loss_counts_in_the_step_that_has_its_gradient():
    """Its forward came before a step and its backward after it; forwards without a backward leave nothing behind."""
    p, q = par(1), par(1)
    optimizer = AdaLoss([p, q], b0=2.0, lr=0.0)
    criterion = optimizer.watch(lambda w, scale: scale * w.sum())
    first, second = criterion(p, 5.0), criterion(q, 16.0)
    for loss, b in ((first, 3.0), (second, 5.0)):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(optimizer.b) == b
    for _ in range(10):
        criterion(p, 1.0)
    assert not len(optimizer._losses)


def test_a_step_that_is_not_finite_is_not_the_losss_fault():
    for cls, words in ((AdaLoss, {"loss": 0.0}), (SGDConstant, {})):
        p = par(1)
        p.grad = torch.ones(1)
        with pytest.raises(RuntimeError, match="step 1: the step size is inf; the parameters and b=1e-100"):
            cls([p], lr=1e300, b0=1e-100).step(**words)


def test_a_hyperparameter_in_a_tensor_leaves_b_in_float64(monkeypatch):
    for hosts in (("cpu",), ()):
        monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", hosts)
        optimizer, expected = AdaLoss([par(1)], b0=1.0), 1.0
        optimizer.param_groups[0]["alpha"] = torch.tensor(1.0)
        for _ in range(100):
            optimizer.step(loss=1e-9)
            expected = math.sqrt(expected**2 + 1e-9)
        assert float(optimizer.b) == pytest.approx(expected, rel=1e-14)


def test_rows_have_each_a_b_that_is_set():
    p = par(2)
    p.grad = torch.tensor([3.0, 4.0])
    optimizer = AdaGradNorm([p], granularity="row")
    with pytest.raises(ValueError, match=r"b=2.0: with granularity='row' set each row's, optimizer.state\[p\]\['b'\]"):
        optimizer.b = 2.0
    optimizer.step()
    optimizer.state[p]["b"].fill_(4.0)
    optimizer.step()
    assert optimizer.state[p]["b"].flatten().tolist() == [5.0, math.sqrt(32)]
    whole = AdaGradNorm([p])
    whole.b = 12.0
    whole.step()
    assert float(whole.b) == 13.0


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_distributed_checkpoint_of_an_accelerator_goes_into_a_new_optimizer(monkeypatch, tmp_path):
    monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", ())
    for cls in (AdaLoss, AdamLoss):
        kept, new = cls([par(2)], b0=2.0, steps=10), cls([par(2)], b0=2.0, steps=10)
        for _ in range(3):
            kept.step(loss=5.0)
        dcp.save(kept.state_dict(), checkpoint_id=tmp_path / cls.__name__, no_dist=True)
        loaded = new.state_dict()
        dcp.load(loaded, checkpoint_id=tmp_path / cls.__name__, no_dist=True)
        new.load_state_dict(loaded)
        for optimizer in (kept, new):
            optimizer.step(loss=5.0)
        assert kept.numbers() == new.numbers() and int(new.param_groups[0]["t"]) == 4


def test_adams_step_count_goes_where_the_fused_kernel_takes_it(monkeypatch):
    """pytorch#103256, #124133: torch makes and loads it on the host where fused is None, as a step of ours finds it."""
    p = torch.nn.Parameter(torch.ones(2, device="meta"))
    p.grad = torch.ones_like(p)
    optimizer = AdamLoss([p])
    state = {"step": torch.tensor(1.0), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
    monkeypatch.setitem(fused.DTYPES, "meta", {torch.float32})
    assert not fused.exact(optimizer.param_groups[0], {p: state}, skips=True)
    optimizer.state[p] = state
    assert optimizer._may_fuse(optimizer.param_groups[0]) and state["step"].device == p.device


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
        monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", hosts)
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
