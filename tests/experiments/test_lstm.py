"""The LSTM: the model and its training against plain loops, what a run saves, what a configuration may say."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from experiments.data.articles import PADDING
from experiments.lstm.experiment import Lstm
from experiments.models.lstm import LSTMClassifier
from experiments.runs.schema import validated
from tests.experiments.launch import executed, launch, made, nothing_kept

DATA = {"name": "synthetic_news", "articles": 120, "seed": 7, "ordered": 0.95, "vocabulary": 300, "length": 32}
DATA |= {"validation": 0.1, "test": 0.3, "split": 7}
VALUES = {"method": {"name": "adamloss", "alpha": 1.0, "c": 0.0}, "data": DATA, "embedding": 8, "hidden": 8}
VALUES |= {"pooling": "mean", "b0": 400.0, "seed": 7, "eta": 1.0, "epochs": 3, "batch": 16}


def lstm(**changed):
    return validated(Lstm, VALUES | changed)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_padded_batch_is_each_article_alone(pooling):
    """torch's LSTMCell over the words of one article after the other, without padding, in float64."""
    torch.manual_seed(0)
    model = LSTMClassifier(words=20, embedding=5, hidden=6, pooling=pooling, classes=2).double()
    cell = torch.nn.LSTMCell(5, 6).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.lstm.state_dict().items()})
    lengths = [1, 7, 4, 7, 2]
    ids = torch.full((len(lengths), 10), PADDING)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(1, 20, (length,))
    expected = []
    for row, length in zip(ids, lengths, strict=True):
        h, c, states = torch.zeros(1, 6).double(), torch.zeros(1, 6).double(), []
        for word in row[:length]:
            h, c = cell(model.embedding.weight[word][None], (h, c))
            states.append(h)
        expected.append(model.head(sum(states) / length if pooling == "mean" else states[-1]))
    expected = torch.cat(expected)
    out = model(ids)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    weight, parameters = torch.randn(5, 2).double(), [model.embedding.weight, model.head.weight]
    ours, theirs = (torch.autograd.grad((logits * weight).sum(), parameters) for logits in (out, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


# The training


def test_steps_and_values_are_those_of_a_plain_loop():
    """Algorithm 2 written out, on the same articles in the same order, and the losses of its epochs' ends."""
    config = lstm(b0=2.0, eta=0.5)
    trainer = config.trainer(2.0, 7)
    model, order = config.trainer(2.0, 7).model, torch.Generator().manual_seed(7)
    (ids, labels), test = config._corpus.train, config._corpus.test
    n = len(labels)
    finite, history = trainer.train(3, 16, nothing_kept(), iter)
    assert finite and n == 72
    parameters = list(model.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    b, t = 2.0, 0
    for epoch in range(3):
        for chosen in torch.randperm(n, generator=order).split(16):
            t += 1
            loss = functional.cross_entropy(model(ids[chosen]), labels[chosen])
            b += loss.item()
            step = 0.5 / math.sqrt(b)
            row = history.iloc[t - 1]
            assert row["loss"] == pytest.approx(loss.item(), rel=1e-3) and row["step"] == pytest.approx(step, rel=1e-4)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, (m, v), g in zip(parameters, moments, gradients, strict=True):
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.99).add_(0.01 * g * g)
                    p -= step * (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)
        with torch.no_grad():
            row = history.iloc[t - 1]
            assert row["train_loss"] == pytest.approx(functional.cross_entropy(model(ids), labels).item(), rel=1e-2)
            right = (model(test[0]).argmax(1) == test[1]).float().mean().item()
            assert abs(row["test_accuracy"] - right) <= 1 / len(test[1])  # an article on the edge
        assert epoch == row["epoch"] - 1
    assert t == len(history) == 15 and history["train_loss"].notna().sum() == 3


def test_what_a_run_saves():
    made = executed(lstm(epochs=5))
    history, results = made.history, made.results
    assert (made.run.label, made.status) == ("adamloss_synthetic_news_mean_b0=400_seed=7", "completed")
    assert list(history) == [
        "iteration", "epoch", "loss", "step", "b", "train_loss", "validation_accuracy", "test_accuracy",
    ]  # fmt: skip
    np.testing.assert_allclose(history["b"], 400 + history["loss"].cumsum(), rtol=1e-14)
    assert list(history.dropna()["epoch"]) == [1, 2, 4, 5]
    assert list(history.dropna()["iteration"]) == [5, 10, 20, 25]
    last = history.iloc[-1]
    assert (results["train_loss"], results["test_accuracy"]) == (last["train_loss"], last["test_accuracy"])
    assert results["articles"] == {"fake": 60, "true": 60, "empty": 0, "copies": 0} and results["device"] == "cpu"
    assert 0 < results["bag_of_words_accuracy"] < 1 and results["words"] == 302


def test_all_methods_and_b0_share_what_a_seed_draws():
    first = {}
    for method in ({"name": "adam"}, {"name": "adam_sqrt"}, VALUES["method"]):
        for b0 in (1.0, 1e6):
            history = executed(lstm(method=method, b0=b0, epochs=1)).history
            first.setdefault(history["loss"][0], []).append(history["step"][0])
    [steps] = first.values()
    expected = [b0**-0.5 for b0 in (1, 1e6)]
    expected += [(b0 + 1) ** -0.5 for b0 in (1, 1e6)]
    [loss] = first
    expected += [(b0 + loss) ** -0.5 for b0 in (1, 1e6)]
    np.testing.assert_allclose(steps, expected, rtol=1e-6)
    assert executed(lstm(seed=8, epochs=1)).history["loss"][0] not in first
    assert (torch.tensor([1e-310], dtype=torch.float64) * 0.5).item() > 0  # subnormal numbers are back


def test_divergence_is_a_result():
    made = executed(lstm(method={"name": "adam"}, eta=1e40))
    assert made.status == "diverged" and made.run.config["eta"] == 1e40
    assert made.results["train_loss"] is None and made.results["test_accuracy"] is None
    last = made.history.iloc[-1]
    assert len(made.history) < 15 and not math.isfinite(last["step"] + last["loss"])


# As a user starts it


def test_real_files_are_read_once_and_found_elsewhere(tmp_path):
    for name in ("True", "Fake"):
        lines = [f'"{name} story {k}","what {name} people {k}\nsay","news","May {k}"' for k in range(30)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["title,text,subject,date", *lines]))
    words = (
        "-m",
        "data=news",
        "embedding=8",
        "hidden=8",
        "batch=16",
        "epochs=1",
        "b0=1,400",
        f"runs={tmp_path / 'runs'}",
    )
    result = launch(*words, f"data.path={tmp_path}", experiment="lstm")
    assert made(result) == 2
    assert sum(line.startswith("news: 30 fake, 30 true") for line in result.stdout.splitlines()) == 1
    for name in ("True", "Fake"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / f"{name}.csv").rename(tmp_path / "elsewhere" / f"{name}.csv")
    assert "nothing to train" in launch(*words, f"data.path={tmp_path / 'elsewhere'}", experiment="lstm").stdout
    gone = launch(*words, f"data.path={tmp_path / 'True.csv'}", experiment="lstm")
    line = f"data.path={tmp_path / 'True.csv'}: cannot be read (No such file or directory)"
    assert gone.returncode == 2 and gone.stderr == f"error: {line}; docs/paper_scale.md says where it is\n"
