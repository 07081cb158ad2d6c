"""Loops without their line with ``observe``, whose loss function is watched instead, end at the same bits."""

import logging

import pytest
import torch
from skorch import NeuralNet
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import accelerate_loop, accumulation, hf_trainer, lightning_loops, problem, timm_loop
from tests.examples.comparing import SIZE, STEPS, loader
from tests.examples.test_lightning import pytestmark  # noqa: F401  what Lightning warns of

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def trainer(parts):
    rows = [{"images": image, "labels": label} for x, y in loader() for image, label in zip(x, y, strict=True)]
    model = hf_trainer.Classifier()
    return model, hf_trainer.train(model, rows, size=SIZE // parts, every=parts)[1]


LOOPS = {
    "plain torch": (accumulation, lambda parts: accumulation.train(loader(parts), every=parts)),
    "Accelerate": (accelerate_loop, lambda parts: accelerate_loop.train(loader(parts), every=parts)),
    "Lightning": (
        lightning_loops,
        lambda parts: lightning_loops.train(loader(parts), lightning_loops.Automatic(parts)),
    ),
    "Lightning, manual": (
        lightning_loops,
        lambda parts: lightning_loops.train(loader(parts), lightning_loops.Manual(parts)),
    ),
    "Trainer": (hf_trainer, trainer),
    "timm": (timm_loop, lambda parts: timm_loop.train(loader(parts), accum_steps=parts)),
}


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("name", LOOPS)
def test_watched_is_observed(name, parts, monkeypatch):
    module, train = LOOPS[name]
    model, optimizer = train(parts)
    create = AdaLoss.__init__

    def watching(self, *args, **options):
        create(self, *args, **options)
        monkeypatch.setattr(module, "cross_entropy", self.watch(cross_entropy))

    monkeypatch.setattr(AdaLoss, "__init__", watching)
    monkeypatch.setattr(AdaLoss, "observe", lambda *_: None)
    watched, other = train(parts)
    if name == "Trainer" and parts > 1:  # there the example observes part * 4, which is rounded
        torch.testing.assert_close(other.b, optimizer.b, rtol=1e-12, atol=0)
        return
    assert torch.equal(other.b, optimizer.b)
    assert all(torch.equal(p, q) for p, q in zip(watched.parameters(), model.parameters(), strict=True))


def by_ignite(parts):
    from ignite.engine import create_supervised_trainer  # warns of torch.jit, which it uses

    model = problem.network()
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    criterion = optimizer.watch(cross_entropy)
    create_supervised_trainer(model, optimizer, criterion, gradient_accumulation_steps=parts).run(loader(parts))
    return model, optimizer


def by_skorch(_):
    """It builds the optimizer and the criterion itself, and steps with a closure."""
    torch.manual_seed(0)
    criterion, options = torch.nn.CrossEntropyLoss, {"lr": 1.0, "optimizer__b0": 1.0}
    order = {"batch_size": SIZE, "iterator_train__shuffle": False, "train_split": None, "max_epochs": 1, "verbose": 0}
    net = NeuralNet(problem.network, criterion, optimizer=AdaLoss, **options, **order).initialize()
    net.optimizer_.watch(net.criterion_)
    net.partial_fit(*map(torch.cat, zip(*loader(), strict=True)))
    return net.module_, net.optimizer_


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("train", "parts"), [(by_ignite, 1), (by_ignite, 4), (by_skorch, 1)])
def test_loops_of_ignite_and_skorch_are_the_plain_one(train, parts):
    (watched, other), (model, optimizer) = train(parts), accumulation.train(loader(parts), every=parts)
    assert torch.equal(other.b, optimizer.b) and other.param_groups[0]["t"] == STEPS
    assert all(torch.equal(p, q) for p, q in zip(watched.parameters(), model.parameters(), strict=True))
