"""PyTorch Lightning's loops equal the plain one."""

import logging

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import plain, problem
from examples.lightning_loops import Automatic, ClippedHalf, Manual, Numbers, TwoOptimizers, train
from tests.examples.comparing import assert_b_differs, assert_runs, assert_same, loader

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),  # Lightning's, of torch
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


@pytest.mark.parametrize(("module", "parts"), [(Automatic, 1), (Automatic, 4), (Manual, 4), (TwoOptimizers, 1)])
def test_lightning_is_the_plain_loop(module, parts, expected):
    assert_same(train(loader(parts), module(parts)), expected)


def test_the_numbers_are_logged():
    module = TwoOptimizers()
    train(loader(), module, callbacks=[Numbers()])
    logged = module.trainer.callback_metrics
    for i, optimizer in enumerate(module.trainer.optimizers):
        for name, value in optimizer.numbers().items():
            assert float(logged[f"optimizer_{i}/{name}"]) == pytest.approx(value, rel=1e-6)


class Unobserved(Automatic):
    def training_step(self, batch, index):
        x, y = batch
        return cross_entropy(self.model(x), y)


def test_without_accumulation_lightning_hands_over_the_loss_itself(expected):
    assert_same(train(loader(), Unobserved()), expected)
    assert_b_differs(train(loader(4), Unobserved(4)), expected)  # a quarter of the last micro-batch's loss


def test_clipping(expected):
    clipped = plain.train(loader(), clip=0.1)
    assert_b_differs(clipped, expected)
    assert_same(train(loader(4), Automatic(4), gradient_clip_val=0.1), clipped)


def test_a_grad_scaler_and_clipping():
    half = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))  # autocast leaves float64 alone
    trained = train(loader(4), ClippedHalf(4), gradient_clip_val=0.1, plugins=[half])
    assert_same(trained, plain.train(loader(), clip=0.1))
    assert half.scaler.get_scale() == 2.0**16


def test_a_scaler_without_observe_is_refused():
    half = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    with pytest.raises(RuntimeError, match=r"step\(\) got no loss"):
        train(loader(), Unobserved(), plugins=[half])


class TwoEpochs(Automatic):
    """Saves at the end of the first."""

    def __init__(self, folder):
        super().__init__()
        self.file = folder / "first.ckpt"

    def configure_optimizers(self):
        return AdaLoss(self.parameters(), momentum=0.9)

    def on_train_epoch_end(self):
        if self.current_epoch == 0 and not self.file.exists():
            self.trainer.save_checkpoint(self.file)


def test_resumed_from_a_checkpoint(tmp_path_factory):
    folder, ended = tmp_path_factory.mktemp("checkpoints"), []
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    for file in (None, folder / "first.ckpt"):
        module = TwoEpochs(folder)
        trainer = pl.Trainer(accelerator="cpu", max_epochs=2, enable_checkpointing=False, **quiet)
        trainer.fit(module, problem.loader(10), ckpt_path=file)
        assert trainer.optimizers[0].param_groups[0]["t"] == 20
        ended.append([*module.parameters(), trainer.optimizers[0].b])
    assert all(torch.equal(x, y) for x, y in zip(*ended, strict=True))


def test_the_script(capsys):
    assert_runs("lightning_loops", capsys)
