"""The Hugging Face Trainer's loop equals the plain one, however it normalises the loss."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from adaloss.optim import AdaLoss
from examples import plain
from examples.hf_trainer import AdaLossTrainer, Classifier, train
from tests.examples.comparing import SIZE, assert_b_differs, assert_runs, assert_same, loader

PLAIN_CLIP = {"max_grad_norm": 0.0}  # none


def run(model, parts, masked=False, **options):
    """Train on the plain loop's rows; the network and the optimizer."""
    rows = [{"images": image, "labels": label} for x, y in batches(masked) for image, label in zip(x, y, strict=True)]
    trainer, optimizer = train(model, rows, size=SIZE // parts, every=parts, **(PLAIN_CLIP | options))
    return trainer.model.model, optimizer


def batches(masked=False):
    """The plain loop's; if ``masked`` more and more labels along each batch are to be ignored."""
    ignored = torch.arange(SIZE) % 16 < torch.arange(SIZE) // 4
    return [(x, torch.where(ignored, -100, y) if masked else y) for x, y in loader()]


@pytest.mark.parametrize(("parts", "clip"), [(1, 0.0), (4, 0.1)])
def test_trainer_is_the_plain_loop(parts, clip, expected):
    if clip:
        expected = plain.train(loader(), clip)
    assert_same(run(Classifier(), parts, max_grad_norm=clip), expected)


class OverAllItems(Classifier):
    """Normalises as the language models of transformers do: by the labels in all micro-batches of the step."""

    def forward(self, images, labels, num_items_in_batch=None, **kwargs):
        total = cross_entropy(self.model(images), labels, reduction="sum")
        return {"loss": total / num_items_in_batch}


def test_a_loss_normalised_by_all_items():
    expected = plain.train(batches(masked=True))
    assert_same(run(OverAllItems(), 4, masked=True), expected)
    assert_b_differs(run(Classifier(), 4, masked=True), expected)  # the mean of the micro-batches' means


def test_a_language_model():
    torch.manual_seed(0)
    tokens = torch.randint(40, (80, 12))
    labels = torch.where(torch.arange(12) < 2 + torch.arange(80)[:, None] % 9, tokens, -100)
    rows = [{"input_ids": token, "labels": label} for token, label in zip(tokens, labels, strict=True)]
    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, use_cache=False
    )
    b, parameters = [], []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).double()
        _, optimizer = train(model, rows, size=8 // parts, every=parts, **PLAIN_CLIP)
        b.append(float(optimizer.b))
        parameters.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach())
    assert b[1] == pytest.approx(b[0], rel=1e-6)  # the model computes its loss in float32
    torch.testing.assert_close(parameters[0], parameters[1], rtol=1e-5, atol=1e-6)
    assert b[0] == pytest.approx(math.sqrt(1 + 10 * math.log(40)), rel=0.1)  # a mean over tokens, ten times


def test_resumed_from_a_checkpoint(tmp_path_factory):
    folder, ended = tmp_path_factory.mktemp("checkpoints"), []
    rows = [{"images": image, "labels": label} for image, label in loader().dataset][: 20 * SIZE]
    for resumed in (None, str(folder / "checkpoint-10")):
        model = Classifier()
        optimizer = AdaLoss(model.parameters(), momentum=0.9)
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=SIZE,
            num_train_epochs=1,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",
            save_steps=10,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        trainer = AdaLossTrainer(model, arguments, train_dataset=rows, optimizers=(optimizer, None))
        trainer.train(resume_from_checkpoint=resumed)
        assert optimizer.param_groups[0]["t"] == 20
        ended.append([*model.parameters(), optimizer.b])
    assert all(torch.equal(x, y) for x, y in zip(*ended, strict=True))


def test_the_script(capsys):
    assert_runs("hf_trainer", capsys)
