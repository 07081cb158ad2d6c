"""Fine-tuning in one process: the update to the last formula, best epochs, divergence, the images."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.vit import HYPER
from experiments.data import digit_images
from experiments.data.images import Images, balanced_split
from experiments.methods import SGD_FAMILY
from experiments.models.vit import VisionTransformer
from experiments.optimizers import make
from experiments.vit import pretrain as vit_pretrain
from experiments.vit.train import VitTrainer, best_epoch
from tests.experiments.launch import nothing_kept


def few_images(n=22):
    """Random images that a linear model sees as they are, in float64."""
    x, y = torch.randn(n, 1, 2, 2, dtype=torch.float64), torch.arange(n) % 3
    parts = {"train": (x, y), "validation": (x[:10], y[:10]), "test": (x[10:], y[10:])}
    ways = {"draw": lambda count, generator: torch.empty(count, 0), "augment": lambda images, _: images}
    return Images(**parts, **ways, plain=lambda images: images, classes=3, channels=1, size=2, checksum="none")


def linear():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()


def method(name):
    return SGD_FAMILY[name](name=name, **HYPER[name])


def trainer(model, optimizer, images, shrink=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return VitTrainer(model, optimizer, images, shrink=shrink, precision="float32", generator=generator)


def test_batch_norm_is_evaluated_with_the_statistics_of_the_training_images():
    """Of images in the order of their classes too, which are far apart, and whatever the steps have left behind."""
    torch.manual_seed(0)
    images = few_images(600)  # two batches
    x = images.train[0].add_(10.0 * torch.arange(600).ge(300)[:, None, None, None])
    norm = nn.BatchNorm2d(1).double()
    model = nn.Sequential(norm, linear())
    found = trainer(model, make(method("adaloss"), model.parameters(), eta=ETA, b0=1.0), images)
    for _ in range(2):
        norm.running_mean.fill_(7.0)
        found.evaluate(0.0)
        assert norm.running_mean.item() == pytest.approx(x.mean().item(), rel=1e-12)
        assert norm.running_var.item() == pytest.approx(x.var().item(), rel=0.01)  # the halves' means differ


ETA, WD, BATCH, EPOCHS = 0.5, 0.05, 8, 4


@pytest.mark.parametrize("by", ["eta", "step"])
def test_the_update_is_the_literal_one(by):
    """by=eta: SGD(lr=eta, weight_decay) on the loss divided by b, as the authors' code; by=step: SGD(lr=eta / b).

    What b of each method is, tests/experiments/test_optimizers.py checks.
    """
    torch.manual_seed(0)
    images, model, b0 = few_images(), linear(), 0.3
    options = {"weight_decay": WD} if by == "step" else {}
    optimizer = make(method("adaloss"), model.parameters(), eta=ETA, b0=b0, **options)
    shrink = 1 - ETA * WD if by == "eta" else 1.0
    finite, history = trainer(model, optimizer, images, shrink).train(EPOCHS, BATCH, nothing_kept(), iter)

    reference, generator = linear(), torch.Generator().manual_seed(0)
    params, b_sq, losses, steps = list(reference.parameters()), b0**2, [], []
    for _ in range(EPOCHS):
        for chosen in torch.randperm(22, generator=generator).split(BATCH):
            loss = nn.functional.cross_entropy(reference(images.train[0][chosen]), images.train[1][chosen])
            gradients = torch.autograd.grad(loss, params)
            b_sq += loss.item()
            losses.append(loss.item())
            steps.append(ETA / math.sqrt(b_sq))
            for p, g in zip(params, gradients, strict=True):
                p.data = p.data - steps[-1] * g - (ETA if by == "eta" else steps[-1]) * WD * p.data
    assert finite and len(history) == len(losses) == EPOCHS * 3
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(history["step"], steps, rtol=1e-12)
    for p, expected in zip(model.parameters(), params, strict=True):
        torch.testing.assert_close(p.data, expected.data, rtol=1e-11, atol=1e-13)


def test_an_epochs_values_stand_in_its_last_row():
    torch.manual_seed(0)
    images, model = few_images(), linear()
    optimizer = make(method("sgd_constant"), model.parameters(), eta=0.1, b0=1.0)
    _, history = trainer(model, optimizer, images).train(2, BATCH, nothing_kept(), iter)
    assert history["iteration"].tolist() == [1, 2, 3, 4, 5, 6] and history["epoch"].tolist() == [1, 1, 1, 2, 2, 2]
    ends = history[history["validation_accuracy"].notna()]
    assert ends["iteration"].tolist() == [3, 6]
    assert history.drop(ends.index)[["train_loss", "validation_accuracy", "test_accuracy"]].isna().all(axis=None)
    first = history["loss"][:3]
    assert ends["train_loss"].iloc[0] == pytest.approx((8 * first[0] + 8 * first[1] + 6 * first[2]) / 22)
    for part, column in ((images.validation, "validation_accuracy"), (images.test, "test_accuracy")):
        right = (model(part[0]).argmax(dim=1) == part[1]).double().mean()
        assert ends[column].iloc[-1] == pytest.approx(float(right))


@pytest.mark.parametrize("name", HYPER)
def test_what_is_not_finite_ends_the_training_as_diverged(name):
    torch.manual_seed(0)
    images, model = few_images(), linear()
    training = trainer(model, make(method(name), model.parameters(), eta=0.1, b0=1.0), images)
    assert training.train(1, BATCH, nothing_kept(), iter)[0]
    images.train[0][3] = math.inf
    finite, history = training.train(3, BATCH, nothing_kept(), iter)
    assert not finite and len(history) <= 3 and math.isnan(history["step"].iloc[-1])
    assert best_epoch(history) is None
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_the_best_epoch_is_the_first_of_the_highest():
    for accuracies, best in (([0.5, 0.7, 0.6], 2), ([0.7, 0.7, 0.6], 1), ([0.1, 0.2, 0.2], 2), ([0.3], 1)):
        rows = [(k, value) for k, end in enumerate(accuracies, start=1) for value in (math.nan, end)]
        assert best_epoch(pd.DataFrame(rows, columns=["epoch", "validation_accuracy"]))["epoch"] == best


def test_a_share_of_each_class_is_kept():
    labels = np.repeat(np.arange(5), [10, 20, 30, 40, 4])
    first, second = balanced_split(labels, 0.1, np.random.default_rng(0))
    assert sorted([*first, *second]) == list(range(104))
    assert np.bincount(labels[second], minlength=5).tolist() == [1, 2, 3, 4, 0]


def digits(**options):
    fields = {"name": "digit_images", "test": 500, "validation": 0.1, "split": 0}
    return digit_images.load(digit_images.Config(**fields | options), 0)


def test_every_image_is_turned_by_its_label():
    images = digits()
    turned = vit_pretrain.rotated(images)
    n = len(images.train[1])
    assert turned.classes == 4 and len(turned.train[1]) == 4 * n and len(turned.test[1]) == 4 * 500
    for row in (0, 7, n - 1):
        for k in range(4):
            image = images.train[0][row, 0]
            for _ in range(k):  # a quarter turn to the left: the last column becomes the first row
                image = torch.stack([image[:, 7 - j] for j in range(8)])
            assert torch.equal(turned.train[0][k * n + row, 0], image)
            assert turned.train[1][k * n + row] == k


@pytest.mark.parametrize("name", vit_pretrain.PRETRAINING)
def test_no_image_is_both_pretrained_and_tuned_on(name):
    images = digits()
    config = vit_pretrain.PRETRAINING[name](name=name, share=0.9, epochs=1, batch=1, lr=1e-3, seed=0)
    tune, before = vit_pretrain.dealt(images, config)
    turns = {"labels": 1, "rotation": 4}[name]
    assert len(before.train[1]) == turns * (1167 - len(tune.train[1])) and 0.09 < len(tune.train[1]) / 1167 < 0.11
    counts = torch.bincount(images.train[1])
    assert ((torch.bincount(tune.train[1]) - 0.1 * counts).abs() <= 0.5).all()
    first = before.train[0][: len(before.train[1]) // turns]  # those not turned, if any are
    rows = {row.numpy().tobytes() for row in torch.cat([tune.train[0], first])}
    assert rows == {row.numpy().tobytes() for row in images.train[0]}
    assert not rows & {row.numpy().tobytes() for row in torch.cat([images.test[0], images.validation[0]])}
    assert torch.equal(tune.test[0], images.test[0]) and torch.equal(tune.validation[0], images.validation[0])


def test_weights_come_back_from_a_history():
    state = VisionTransformer(size=8, patch=4, channels=1, width=8, depth=1, heads=2, classes=4).state_dict()

    saved = SimpleNamespace(history=vit_pretrain.packed(state), summary={"history_sha256": "abc"})
    found, checksum = vit_pretrain.unpacked(saved, state)
    assert state.keys() - found.keys() == {"head.weight", "head.bias"} and checksum == "abc"
    assert all(torch.equal(found[name], state[name]) for name in found)
