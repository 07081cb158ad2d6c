"""Losses that get in without a line in the loop, and optimizers within other libraries' wrappers."""

import copy
import math
import pickle
import warnings
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch.nn.functional import mse_loss

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss
from tests.optim.problems import Network, par

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # torch's own, of torch.jit
    from torch.distributed.optim import ZeroRedundancyOptimizer


COPIES = [copy.deepcopy, lambda of: pickle.loads(pickle.dumps(of))]


class InParts(torch.nn.Module):
    """The loss of a batch's rows, in a mapping, as a Hugging Face model returns it."""

    def __init__(self, network, parameters):
        super().__init__()
        self.of = network, parameters

    def forward(self, t, rows=slice(None)):
        network, parameters = self.of
        return {"loss": network.loss(parameters, t, rows)}


@pytest.mark.parametrize("kind", ["module", "function"])
@pytest.mark.parametrize("zeroed", ["first", "between", "last"])
@pytest.mark.parametrize("every", [1, 2])
def test_b_is_the_explicit_loops_to_the_bit(kind, zeroed, every):
    """With an evaluation in the midst of accumulation, of the same criterion, and zero_grad in any place."""
    seen = []
    for watches in (False, True):
        network = Network()
        parameters = network.parameters()
        optimizer = AdamLoss(parameters, b0=2.0, lr=0.3)
        module = InParts(network, parameters)
        if watches:
            module = optimizer.watch(module if kind == "module" else module.forward)
        for t in range(10):
            for rows in (slice(0, 3), slice(3, 6))[: every if every > 1 else 1]:
                if zeroed == "first" and rows.start == 0:
                    optimizer.zero_grad()
                loss = module(t, rows)["loss"]
                if not watches:
                    optimizer.observe(loss)
                if zeroed == "between" and rows.start == 0:
                    optimizer.zero_grad()
                (loss / every).backward()
                for mode in (torch.no_grad, torch.inference_mode, nullcontext):
                    with mode():
                        module(t + 1)  # its backward never runs
            optimizer.step()
            seen.append(float(optimizer.b))
            if zeroed == "last":
                optimizer.zero_grad()
    assert seen[:10] == seen[10:]


def test_a_module_in_eval_mode_is_not_observed():
    p = par(1)
    optimizer = AdaLoss([p], b0=2.0)
    criterion = optimizer.watch(torch.nn.MSELoss())
    criterion.eval()
    criterion(7 * p, torch.zeros(1)).backward()
    criterion.train()
    criterion(math.sqrt(5) * p, torch.zeros(1)).backward()
    optimizer.step()
    assert float(optimizer.b) == pytest.approx(3.0, rel=1e-7)


def test_two_optimizers_watch_a_criterion_each():
    """As the two sides of a GAN: the second's backward leaves gradients at the first's parameters."""
    p, q = par(1), par(1)
    first, second = AdaLoss([p], b0=2.0, lr=0.0), AdaLoss([q], b0=2.0, lr=0.0)
    of_first, of_second = first.watch(mse_loss), second.watch(torch.nn.MSELoss())
    for k, b in enumerate([math.sqrt(5), math.sqrt(6)]):
        of_first(p, torch.zeros(1)).backward()
        first.step()
        of_second(2 * p * q, torch.zeros(1)).backward()
        second.step()
        assert (float(first.b), float(second.b)) == pytest.approx((b, math.sqrt(4 + 4 * (k + 1))), rel=1e-15)


@pytest.mark.parametrize("copied", COPIES)
def test_what_is_copied_with_the_optimizer_is_watched_by_the_copy(copied):
    """wandb#2588, wandb#5573: a watched model could not be saved. gpytorch#1360: a copy told the original."""
    p = par(1)
    optimizer = AdaLoss([p], b0=2.0, lr=0.0)
    both = [(optimizer.watch(torch.nn.MSELoss()), p, optimizer)]
    both += [copied(both[0])]
    for (criterion, p, _), loss in zip(both, (5.0, 12.0), strict=True):
        criterion(p, p.detach() + math.sqrt(loss)).backward()
    for *_, one in both:
        one.step()
    assert [float(one.b) for *_, one in both] == pytest.approx([3.0, 4.0], rel=1e-7)


@pytest.mark.parametrize("copied", COPIES)
def test_a_criterion_may_outlive_its_optimizer(copied):
    """And be copied alone."""
    p = par(1)
    optimizer = AdaLoss([p])
    criterion = optimizer.watch(torch.nn.MSELoss())
    gone = weakref.ref(optimizer)
    copied(criterion)(p, torch.zeros(1)).backward()
    assert not len(optimizer._losses)
    del optimizer
    assert gone() is None
    copied(criterion)(p, torch.zeros(1)).backward()


@pytest.mark.parametrize("copied", COPIES)
def test_a_model_is_copied_without_the_optimizer_that_watches_it(copied):
    """An average of the weights, or a file of the model."""
    model = torch.nn.Linear(300, 1)
    before = len(pickle.dumps(model))
    optimizer = AdamLoss(model.parameters(), process_group=lambda: None)  # which, like a process group, has no copy
    model(torch.ones(1, 300)).sum().backward()
    optimizer.step(loss=1.0)
    optimizer.watch(model)
    assert len(pickle.dumps(model)) < before + 300  # an empty hook; the moments alone have 2408 bytes
    copied(model)(torch.ones(1, 300)).sum().backward()
    assert not len(optimizer._losses)
    model(torch.ones(1, 300)).sum().backward()
    assert len(optimizer._losses) == 1


def test_a_mapping_without_loss_is_not_observed():
    """transformers' Trainer takes the labels away and computes the loss itself (label_smoothing_factor)."""
    p = par(1)
    optimizer = AdaLoss([p], b0=2.0)
    model = optimizer.watch(lambda name: {name: 5 * p})
    model("logits")["logits"].backward()
    with pytest.raises(RuntimeError, match="got no loss"):
        optimizer.step()
    model("loss")["loss"].backward()
    optimizer.step()
    assert float(optimizer.b) == 3.0


def test_what_cannot_be_watched_is_refused():
    p = par(2)
    optimizer = AdaLoss([p])
    with pytest.raises(TypeError, match="criterion is a float: should be a module or a function"):
        optimizer.watch(1.0)
    with pytest.raises(TypeError, match=r"loss is a tensor of shape \(2,\)"):
        optimizer.watch(lambda x: 2 * x)(p)
    AdaGradNorm([p]).watch(lambda x: 2 * x)(p)  # needs no loss


def test_observing_where_gradients_are_off_warns_once():
    optimizer = AdaLoss([par(1)])
    with torch.no_grad(), pytest.warns(UserWarning, match="gradients are off") as caught:
        for _ in range(2):
            optimizer.observe(1.0)
    assert len(caught) == 1


# Wrappers


def accelerate(optimizer):
    module = pytest.importorskip("accelerate")
    return module.Accelerator(cpu=True).prepare_optimizer(optimizer)


def fabric(optimizer):
    module = pytest.importorskip("lightning_fabric")
    return module.Fabric(accelerator="cpu", devices=1).setup_optimizers(optimizer)


def lookahead(optimizer):
    return pytest.importorskip("pytorch_optimizer").Lookahead(optimizer)


@pytest.mark.parametrize("wrap", [accelerate, fabric, lookahead])
def test_a_wrapped_step_without_a_loss_says_what_to_write(wrap):
    p = par(1)
    optimizer = AdaLoss([p], b0=2.0)
    wrapper = wrap(optimizer)
    with pytest.raises(RuntimeError, match=r"watch\(criterion\).*under \w+ write wrapper\.optimizer\.observe\(loss\)"):
        wrapper.step()
    wrapper.optimizer.observe(5.0)
    wrapper.step()
    wrapper.load_state_dict(copy.deepcopy(wrapper.state_dict()))  # Lightning#18482, pytorch_optimizer#326
    loss = optimizer.watch(mse_loss)(p, p.detach() + math.sqrt(7))
    loss.backward()
    wrapper.step()
    assert float(optimizer.b) == pytest.approx(4.0, rel=1e-7)


def test_sharpness_aware_steps_take_the_first_loss():
    p = par(1)
    sam = pytest.importorskip("pytorch_optimizer").SAM([p], AdaLoss, lr=0.1, b0=2.0)

    def closure():
        p.grad = torch.ones(1)

    for observes in (False, True):
        closure()
        if observes:
            sam.base_optimizer.observe(5.0)
        refused = pytest.raises(RuntimeError, match=r"under SAM write wrapper\.base_optimizer\.observe\(loss\)")
        with nullcontext() if observes else refused:
            sam.step(closure)
    assert float(sam.base_optimizer.b) == 3.0


def test_zero_redundancy_takes_the_loss(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapper = ZeroRedundancyOptimizer([par(1)], AdaLoss, b0=2.0)
        wrapper.step(loss=5.0)
        wrapper.optim.observe(7.0)
        wrapper.step()
        assert float(wrapper.optim.b) == 4.0
        with pytest.raises(RuntimeError, match=r"under ZeroRedundancyOptimizer write wrapper\.optim\.observe"):
            wrapper.step()
    finally:
        torch.distributed.destroy_process_group()
