"""What the experiments do on a GPU, beside the same on the CPU."""

import numpy as np
import pytest
import torch

from benchmarks.vit import HYPER, generated
from experiments import distributed
from experiments.data import cifar, cifar100
from experiments.models.vit import VisionTransformer
from experiments.optimizers import make
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.store import Run
from tests.experiments.launch import nothing_kept
from tests.experiments.test_lstm import lstm
from tests.experiments.test_vit_experiment import few_images, linear, method, trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]
PLACES = ("cuda", "cpu")


def on(place, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: place == "cuda")
    assert distributed.device().type == place


@pytest.mark.parametrize("name", HYPER)
def test_fine_tuning_takes_the_steps_of_the_cpu(name, monkeypatch):
    """In float64, but for the size of a step, which the GPU holds in float32: 6e-8 of each of 12 steps."""
    found = {}
    for place in PLACES:
        on(place, monkeypatch)
        model = linear().to(place)
        torch.manual_seed(0)
        images = few_images()
        optimizer = make(method(name), model.parameters(), eta=0.5, b0=0.3)
        finite, history = trainer(model, optimizer, images, shrink=0.975).train(4, 8, nothing_kept(), iter)
        assert finite
        found[place] = (history, *(p.detach().cpu() for p in model.parameters()))
    np.testing.assert_allclose(found["cuda"][0].to_numpy(), found["cpu"][0].to_numpy(), rtol=1e-6)
    for ours, theirs in zip(found["cuda"][1:], found["cpu"][1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_vit_at_the_papers_size_of_images(precision, monkeypatch):
    """Augmentation, forward and backward at 224 x 224; the loss of four steps to what the numbers' digits leave of it.

    float32 products may use TF32's 11 bits, bfloat16 has 8: after a dozen layers a part of ten of their roundoffs.
    """
    found = {}
    for place in PLACES:
        on(place, monkeypatch)
        torch.manual_seed(0)
        images = generated(8, np.random.default_rng(0))
        model = VisionTransformer(size=224, patch=16, channels=3, width=48, depth=3, heads=3, classes=100).to(place)
        optimizer = make(method("adaloss"), model.parameters(), eta=1e-2, b0=1.0)
        tuned = trainer(model, optimizer, images)
        tuned.precision = precision if place == "cuda" else "float32"
        _, history = tuned.train(2, 4, nothing_kept(), iter)
        found[place] = history["loss"].to_numpy()
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=10 * 2.0 ** (-11 if precision == "float32" else -8))


def test_images_are_prepared_as_on_the_cpu():
    """Bytes are interpolated in float32: some of its roundoffs of values of up to 2.7 after the normalisation."""
    x = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = cifar.views(cifar100.FORM, 256, 224)
    draws = views["draw"](5, torch.Generator().manual_seed(1))
    for prepare in (lambda x: views["augment"](x, draws.to(x.device)), views["plain"]):
        torch.testing.assert_close(prepare(x.cuda()).cpu(), prepare(x), rtol=1e-4, atol=1e-4)


def test_the_lstm_takes_the_steps_of_the_cpu(monkeypatch):
    """cuDNN's LSTM multiplies in TF32, of 11 bits, and Adam divides by a gradient's size: steps multiply it."""
    found = {}
    for place in PLACES:
        on(place, monkeypatch)
        finite, history = lstm().trainer(2.0, 7).train(1, 16, nothing_kept(), iter)
        assert finite
        found[place] = history[["loss", "step"]].to_numpy()
    np.testing.assert_allclose(found["cuda"][:2], found["cpu"][:2], rtol=5e-3)
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=5e-2)


def test_the_lstm_continues_on_the_gpu(tmp_path):
    """From a checkpoint in the middle of an epoch, to where the training without a break ends."""

    class Killed(Exception):
        pass

    class Until(Checkpoint):
        def keep(self, state):
            super().keep(state)
            if len(state()["rows"]) == 7:
                raise Killed

    run = Run("lstm", "a", {}, "code", "data", checkpoint=tmp_path / "lstm.pt")
    _, expected = lstm().trainer(2.0, 7).train(3, 16, nothing_kept(), iter)
    with pytest.raises(Killed):
        lstm().trainer(2.0, 7).train(3, 16, Until(run, every=0.0), iter)
    _, found = lstm().trainer(2.0, 7).train(3, 16, Checkpoint(run), iter)
    assert len(found) == len(expected) == 15
    # The embedding's gradient is summed by atomic additions, in no fixed order.
    np.testing.assert_allclose(found[["loss", "step"]], expected[["loss", "step"]], rtol=1e-3)
