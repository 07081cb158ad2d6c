"""Optimizers under torch's GradScaler: skipped steps, and losses that are products."""

import math

import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss
from tests.optim.problems import Network


def test_rows_are_unscaled_and_a_skipped_step_leaves_them():
    ends = []
    for scale in (2.0**10, None):
        network = Network()
        parameters = network.parameters(torch.float32)
        optimizer = AdaGradNorm(parameters, lr=0.1, b0=0.5, granularity="row")
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        for t in range(1, 6):
            for spoiled in (True, False) if scale else (False,):
                optimizer.zero_grad()
                scaler.scale(network.loss(parameters, t)).backward()
                if spoiled:
                    parameters[0].grad[0, 0] = math.inf
                    before = [p.detach().clone() for p in parameters], optimizer.b
                scaler.step(optimizer)
                scaler.update()
                if spoiled:
                    assert all(torch.equal(p, q) for p, q in zip(parameters, before[0], strict=True))
                    assert torch.equal(optimizer.b, before[1])
        assert optimizer.param_groups[0]["t"] == 5
        ends.append(torch.cat([p.detach().flatten() for p in parameters]))
    assert torch.equal(*ends)  # powers of 2 are exact


@pytest.mark.parametrize("kept", [True, False], ids=["graph kept", "graph freed"])
def test_a_loss_that_is_a_product_of_two_things_that_are_trained_is_taken(kept):
    p, q = torch.nn.Parameter(torch.tensor(5.0)), torch.nn.Parameter(torch.tensor(1.0))
    optimizer, scaler = AdaLoss([p, q], b0=2.0), torch.amp.GradScaler("cpu")
    loss = p * q
    scaler.scale(loss).backward(retain_graph=kept)
    scaler.step(optimizer, loss=loss)
    assert float(optimizer.b) == 3.0
    assert (p.item(), q.item()) == pytest.approx((5 - 1 / 3, 1 - 5 / 3), rel=1e-6)


def test_a_product_with_another_constant_is_taken():
    p = torch.nn.Parameter(torch.tensor(5.0))
    optimizer, scaler = AdaLoss([p], b0=2.0), torch.amp.GradScaler("cpu")
    loss = p.clone()
    scaler.scale(loss).backward()
    scaler.step(optimizer, loss=loss * torch.tensor(6.4))
    assert float(optimizer.b) == pytest.approx(6.0, rel=1e-7)
