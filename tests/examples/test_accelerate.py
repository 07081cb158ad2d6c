"""Hugging Face Accelerate's loop equals the plain one."""

import pytest
import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem
from examples.accelerate_loop import train
from tests.examples.comparing import assert_runs, assert_same, loader


@pytest.mark.parametrize("parts", [1, 4])
def test_accelerate_is_the_plain_loop(parts, expected):
    assert_same(train(loader(parts), every=parts), expected)


def test_resumed_from_a_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    accelerator = Accelerator(cpu=True)
    model = problem.network()
    adaloss = AdaLoss(model.parameters(), momentum=0.9)
    model, optimizer = accelerator.prepare(model, adaloss)
    ended = []
    for t, (x, y) in enumerate([*problem.loader(20), *list(problem.loader(20))[10:]]):
        if t == 10:
            accelerator.save_state(folder)
        if t == 20:
            ended = [*(p.detach().clone() for p in model.parameters()), adaloss.b]
            accelerator.load_state(folder)
            assert adaloss.b < ended[-1]
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        accelerator.backward(loss)
        adaloss.observe(loss)
        optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip([*model.parameters(), adaloss.b], ended, strict=True))


def test_the_script(capsys):
    assert_runs("accelerate_loop", capsys)
