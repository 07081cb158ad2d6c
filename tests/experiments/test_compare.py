"""The comparison: every optimizer does what its initial step says, every problem is what it claims, runs are saved."""

from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from experiments.compare import experiment as compare
from experiments.compare.peers import PEERS
from experiments.compare.problems import module
from experiments.runs.schema import validated
from tests.experiments.launch import ROOT, content, launch, made, within

STEPS = 400
W = torch.tensor([[1.5, -0.5, 2.0]], dtype=torch.float64)
CURVATURE = torch.tensor([[1.0, 0.8, 0.5]], dtype=torch.float64)


SIZES = yaml.safe_load((ROOT / "configs/experiment/compare.yaml").read_text())["problems"]


def configs(problem, **fields):
    return {"name": problem, **SIZES[problem], **fields}


def task(problem, seed=0, **fields):
    chosen = module(problem)
    return chosen.load(validated(chosen.Config, configs(problem, **fields)), seed)


def descend(name, step, updates):
    """The evaluated parameters and the losses on a quadratic, after some updates from W."""
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(W)
    trainer = PEERS[name].start(model, step, STEPS)
    losses = []
    for _ in range(updates):
        model.zero_grad()
        loss = 0.5 * (CURVATURE * model.weight.square()).sum()
        loss.backward()
        trainer.update(loss)
        losses.append(loss.item())
    with trainer.evaluated() as evaluated:
        return evaluated.weight.detach().clone(), losses


G = CURVATURE * W
LOSS, SQUARE = 0.5 * float((CURVATURE * W.square()).sum()), float(G.square().sum())
FLAT = G / (G.abs() + 1e-8)  # Adam's first direction
UNCORRECTED = 0.1 / 0.001**0.5  # its length without bias correction, betas 0.9 and 0.999


FIRST = {  # what each publication says of the first update, for an initial step s
    "adaloss": lambda s: G / (s**-2 + LOSS) ** 0.5,
    "adagrad_norm": lambda s: G / (s**-2 + SQUARE) ** 0.5,
    "adamloss": lambda s: FLAT / (s**-2 + LOSS) ** 0.5,
    "sgd": lambda s: s * G,
    "adam": lambda s: s * FLAT,
    "dadapt_sgd": lambda s: s * G / SQUARE**0.5,
    "dadapt_adam": lambda s: s * UNCORRECTED * G.sign(),
    "prodigy": lambda s: s * UNCORRECTED * G.sign(),
    "dog": lambda s: s * (1 + float(W.norm())) * G / (SQUARE + 1e-8) ** 0.5,
    "schedule_free_sgd": lambda s: s * G,
    "schedule_free_adamw": lambda s: s * FLAT,
    "momo": lambda s: min(s, LOSS / SQUARE) * G,
    "momo_adam": lambda s: min(s, LOSS / float(G.abs().sum())) * FLAT,
    "alig": lambda s: min(s, LOSS / SQUARE) * G,
    "adaloss_like": lambda s: s * G / (4 / 9 + 4 / (3 * STEPS)) ** 0.5,
    "adamloss_like": lambda s: s * FLAT / (4 / 9 + 4 / (3 * STEPS)) ** 0.5,
}


@pytest.mark.parametrize("step", [1e-4, 1e-2, 10.0])
@pytest.mark.parametrize("name", PEERS)
def test_the_first_update_is_the_documented_one(name, step):
    weights, _ = descend(name, step, 1)
    torch.testing.assert_close(W - weights, FIRST[name](step), rtol=2e-6, atol=1e-9)  # the last: ALI-G's 1e-6


def test_the_averagers_evaluate_their_average():
    for name in ("dog", "schedule_free_sgd", "schedule_free_adamw"):
        model = nn.Linear(3, 1, bias=False)
        trainer = PEERS[name].start(model, 0.1, 5)
        for _ in range(5):
            model.zero_grad()
            loss = model.weight.square().sum()
            loss.backward()
            trainer.update(loss)
        before = model.weight.detach().clone()
        with trainer.evaluated() as evaluated:
            assert not torch.allclose(evaluated.weight, before)
        torch.testing.assert_close(model.weight.detach(), before)


@pytest.mark.parametrize("problem", compare.PROBLEMS)
def test_a_problem_is_its_seed(problem):
    first, again, other = task(problem), task(problem), task(problem, seed=1)
    state = torch.random.get_rng_state()
    start = [list(one.model().parameters()) for one in (first, again, other)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(start[0], start[1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip((*first.train, *first.test), (*again.train, *again.test), strict=True))
    assert first.checksum == again.checksum != other.checksum
    assert not torch.equal(first.train[0], other.train[0])
    assert first.metric != "accuracy" or not torch.equal(start[0][0], start[2][0])


def test_the_digits_are_dealt_once():
    one, all_of = task("digits_mlp", test=600), task("digits_vit", test=600)
    assert len(one.train[1]) == 1197 and len(one.test[1]) == 600
    pooled = torch.cat([one.train[0], one.test[0]])
    raw = pooled * (16 / (pooled.max() - pooled.min()))
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(np.bincount(labels), torch.cat([one.train[1], one.test[1]]).bincount())
    ours = (raw - raw.min()).round().numpy()
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], images[np.lexsort(images.T)])
    assert abs(one.train[0].mean()) < 1e-6 and one.train[0].std() == pytest.approx(1, abs=1e-4)
    assert torch.equal(one.train[0], all_of.train[0].flatten(1)) and all_of.train[0].shape[1:] == (1, 8, 8)


def test_the_regression_has_a_loss_that_cannot_be_fitted():
    noisy = task("noisy_regression", noise=2.0)
    x, y = (part.double().numpy() for part in noisy.train)
    model = noisy.model()
    assert noisy.measure(model)["loss"] == pytest.approx(0.5 * np.mean(y**2), rel=1e-6)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(np.linalg.lstsq(x, y)[0])[None])
    assert noisy.measure(model)["loss"] == pytest.approx(noisy.facts["optimal_loss"], rel=1e-6)
    assert noisy.facts["optimal_loss"] == pytest.approx(2.0**2 / 2 * (1 - 50 / 1000), rel=0.15)


def test_training_is_what_a_plain_loop_does():
    noisy = task("noisy_regression", n=60, d=5)
    history = compare.train(noisy, PEERS["sgd"], 0.05, np.random.default_rng(7), epochs=3, batch=16)
    x, y = (part.double().numpy() for part in noisy.train)
    w, rng, rows = np.zeros(5), np.random.default_rng(7), []
    for _ in range(3):
        seen, order = [], rng.permutation(60)
        for k in range(0, 60, 16):
            part = order[k : k + 16]
            residual = x[part] @ w - y[part]
            seen.append(0.5 * np.mean(residual**2))
            w -= 0.05 * x[part].T @ residual / len(part)
        rows.append([np.mean(seen), 0.5 * np.mean((x @ w - y) ** 2)])
    np.testing.assert_allclose(history[["train_loss", "loss"]], rows, rtol=1e-5)
    assert list(history.epoch) == [1, 2, 3]


def test_one_batch_is_spoiled_and_gradients_are_clipped():
    spoiled = task("spoiled_regression", n=60, d=5, bad_step=4, clip=0.7)
    history = compare.train(spoiled, PEERS["sgd"], 0.05, np.random.default_rng(7), epochs=2, batch=20)
    x, y = (part.double().numpy() for part in spoiled.train)
    w, rng, t = np.zeros(5), np.random.default_rng(7), 0
    for row in history.itertuples():
        seen, order = [], rng.permutation(60)
        for part in order.reshape(3, 20):
            t += 1
            residual = x[part] @ w - y[part] * (1000 if t == 4 else 1)
            seen.append(0.5 * np.mean(residual**2))
            gradient = x[part].T @ residual / 20
            w -= 0.05 * gradient * min(1, 0.7 / np.linalg.norm(gradient))
        np.testing.assert_allclose(
            [row.train_loss, row.loss], [np.mean(seen), 0.5 * np.mean((x @ w - y) ** 2)], rtol=1e-5
        )


@pytest.mark.parametrize("name", PEERS)
def test_training_twice_gives_the_same_bits(name):
    digits = task("digits_mlp", hidden=8)
    both = [compare.train(digits, PEERS[name], 0.01, np.random.default_rng(0), 2, 64) for _ in range(2)]
    assert both[0].equals(both[1])


@pytest.mark.parametrize(("problem", "worst"), [("digits_mlp", {"accuracy": 0.0}), ("noisy_regression", {})])
def test_a_diverged_training_stops_and_is_worth_nothing(problem, worst):
    history = compare.train(task(problem), PEERS["sgd"], 1e30, np.random.default_rng(0), 5, 64)
    last = history.iloc[-1]
    assert len(history) == 1 and last["loss"] == last["train_loss"] == np.inf
    assert {name: last[name] for name in worst} == worst


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(PEERS, "prodigy", replace(PEERS["prodigy"], package="no-such-library"))
    said = within("compare", "optimizer=prodigy", f"runs={tmp_path}").stderr
    assert said.startswith("error: optimizer='prodigy': needs the package no-such-library, of the extra 'pee")


def test_what_a_run_saves(tmp_path):
    small = ("problem=noisy_regression", "problems.noisy_regression.n=100", "problems.noisy_regression.d=5", "epochs=2")
    words = (*small, "optimizer=sgd", "step=[0.1,1e30]", f"runs={tmp_path}")
    assert made(launch(*words, experiment="compare")) == 2
    found = content(tmp_path, "compare")
    for step, (name, (_, _, status, result)) in zip(("0.1", "1e+30"), sorted(found.items()), strict=True):
        diverged = step == "1e+30"
        assert name.startswith(f"compare/sgd_noisy_regression_step={step}_seed=0-")
        assert (result["metric"], result["package"]) == ("loss", f"torch {version('torch')}")
        assert status == ("diverged" if diverged else "completed") and (result["final"] is None) == diverged
        assert diverged or result["final"] > result["optimal_loss"] > 0


def test_the_sweep_and_the_scales_leave_nothing_out():
    params = yaml.safe_load((ROOT / "configs/sweep/figure_compare.yaml").read_text())["hydra"]["sweeper"]["params"]
    assert params["optimizer"].split(",") == list(PEERS)
    assert params["problem"].split(",") == list(compare.PROBLEMS)
    assert set(SIZES) == set(compare.PROBLEMS)
