"""The compiled step. Recompilations are decided before any backend: the eager one keeps these tests fast."""

from functools import partial

import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss
from tests.optim.problems import COMPILES, Network

OPTIMIZERS = {
    "AdaLoss": partial(AdaLoss, lr=0.1, b0=0.5),
    "AdaLoss, momentum and weight decay": partial(AdaLoss, lr=0.1, b0=0.5, momentum=0.9, weight_decay=1e-3),
    "AdaLoss, foreach": partial(AdaLoss, lr=0.1, b0=0.5, momentum=0.9, foreach=True),
    "AdamLoss": partial(AdamLoss, lr=0.1, b0=0.5),
    "AdaGradNorm": partial(AdaGradNorm, lr=0.1, b0=0.5),
}


def run(optimizer, network, parameters, step, times):
    """b after each step."""
    seen = []
    for t in times:
        optimizer.zero_grad(set_to_none=False)
        loss = network.loss(parameters, t)
        loss.backward()
        step(loss.detach())
        seen.append(float(optimizer.b))
    return seen


@COMPILES
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:torch", "ignore::UserWarning:torch", "ignore:Guards may run slower:RuntimeWarning"
)  # dynamo's own
def test_no_recompilation_after_the_second_step(name):
    torch._dynamo.reset()
    network = Network()
    compiled, plain = network.parameters(torch.float32), network.parameters(torch.float32)
    optimizer, reference = OPTIMIZERS[name](compiled), OPTIMIZERS[name](plain)
    for p in (*compiled, *plain):
        p.grad = torch.zeros_like(p)

    def eager(of):
        return (lambda loss: of.step()) if isinstance(of, AdaGradNorm) else (lambda loss: of.step(loss=loss))

    step = torch.compile(eager(optimizer), backend="eager")
    seen = run(optimizer, network, compiled, step, range(1, 3))
    with torch._dynamo.config.patch(error_on_recompile=True):
        seen += run(optimizer, network, compiled, step, range(3, 41))
    expected = run(reference, network, plain, eager(reference), range(1, 41))
    assert len(set(seen)) == 40  # b changed at every step
    assert seen == pytest.approx(expected, rel=1e-5)  # the step is rounded to float32
    for p, q in zip(compiled, plain, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
