"""Every optimizer, step by step, against the literal algorithms in NumPy: parameters and b, 200 steps, 1e-12."""

import numpy as np
import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, SGDConstant, SGDDecaySqrt
from tests.optim.problems import Network, train
from tests.reference import optim as literal

STEPS = 200
ETA = [0.3, 0.3, 0.05, 0.05]  # of the four arrays, when they form two groups
SGD_OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.8, "nesterov": True},
    {"momentum": 0.8, "dampening": 0.3},
    {"weight_decay": 0.01},
    {"maximize": True, "momentum": 0.5},
    {"momentum": 0.9, "weight_decay": 0.01},
]
ADAM_OPTIONS = [{}, {"weight_decay": 0.01}, {"weight_decay": 0.01, "decoupled": True}, {"maximize": True}]
IMPLEMENTATIONS = [{}, {"foreach": True}, {"foreach": False}, {"fused": True}, {"fused": False}]
LOSSES = {
    AdaLoss: (literal.adaloss, {"alpha": 0.7, "c": 0.1}),
    AdaGradNorm: (literal.adagrad_norm, {}),
    AdamLoss: (literal.adamloss, {"alpha": 0.7, "c": 0.1}),
}


def close(parameters, expected, rtol=1e-12):
    # The errors of 200 steps, each of a few roundings, measured against the size of the array.
    for p, x in zip(parameters, expected, strict=True):
        assert np.abs(p.detach().numpy() - x).max() <= rtol * np.abs(x).max()


def groups(parameters, two):
    if not two:
        return parameters, [ETA[0]] * 4
    return [{"params": parameters[:2]}, {"params": parameters[2:], "lr": ETA[2]}], ETA


def torch_names(options):
    return {("decoupled_weight_decay" if name == "decoupled" else name): value for name, value in options.items()}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
@pytest.mark.parametrize("two", [False, True], ids=["one group", "two groups"])
@pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.__name__)
def test_adaptive_methods(cls, two, implementation):
    reference, hyper = LOSSES[cls]
    for options in ADAM_OPTIONS if cls is AdamLoss else SGD_OPTIONS:
        network = Network(seed=len(options))
        parameters = network.parameters()
        given, eta = groups(parameters, two)
        optimizer = cls(given, lr=ETA[0], b0=0.5, **hyper, **torch_names(options), **implementation)
        seen = train(network, parameters, optimizer, STEPS, needs_loss=cls is not AdaGradNorm)
        expected, b = reference(network.numpy, network.start, STEPS, eta, 0.5, **hyper, **options)
        close(parameters, expected)
        np.testing.assert_allclose(seen, b, rtol=1e-12)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
@pytest.mark.parametrize("options", SGD_OPTIONS[:-2], ids=str)
def test_rowwise_adagrad_norm(options, implementation):
    network = Network(seed=3)
    parameters = network.parameters()
    given, eta = groups(parameters, two=True)
    optimizer = AdaGradNorm(given, lr=ETA[0], b0=0.5, granularity="row", **options, **implementation)
    seen = train(network, parameters, optimizer, STEPS, needs_loss=False)
    expected, b = literal.adagrad_norm_rowwise(network.numpy, network.start, STEPS, eta, 0.5, **options)
    close(parameters, expected)
    np.testing.assert_allclose(seen, b, rtol=1e-12)
    assert [len(optimizer.state[p]["b"]) for p in parameters] == [len(p) for p in parameters]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
def test_baselines(implementation):
    network = Network(seed=4)
    for options in SGD_OPTIONS[:-2]:
        for cls, extra, step in [
            (SGDConstant, {}, lambda t: [eta / 20 for eta in ETA]),
            (SGDDecaySqrt, {"form": "root"}, lambda t: [eta / np.sqrt(20**2 + t) for eta in ETA]),
            (SGDDecaySqrt, {"form": "linear", "c_s": 0.2}, lambda t: [eta / (20 + 0.2 * np.sqrt(t)) for eta in ETA]),
        ]:
            parameters = network.parameters()
            optimizer = cls(groups(parameters, two=True)[0], lr=ETA[0], b0=20.0, **extra, **options, **implementation)
            train(network, parameters, optimizer, STEPS, needs_loss=False)
            close(parameters, literal.sgd(network.numpy, network.start, STEPS, step, **options))
            np.testing.assert_allclose(optimizer.effective_lr, [step(STEPS)[0], step(STEPS)[2]], rtol=1e-14)
    for options in ADAM_OPTIONS[:-1]:
        parameters = network.parameters()
        given, eta = groups(parameters, two=True)
        optimizer = AdamSqrt(given, lr=ETA[0], b0=20.0, **torch_names(options), **implementation)
        train(network, parameters, optimizer, STEPS, needs_loss=False)
        close(parameters, literal.adam_sqrt(network.numpy, network.start, STEPS, eta, 20.0, **options))


def authors_rule(network, parameters, eta, b0, steps, **options):
    """What the authors' code does: SGD with the step eta on the loss times 1 / b."""
    optimizer, b = torch.optim.SGD(parameters, lr=eta, **options), b0
    for t in range(1, steps + 1):
        optimizer.zero_grad()
        loss = network.loss(parameters, t)
        b = (b**2 + loss.item()) ** 0.5
        (loss / b).backward()
        optimizer.step()
    return b


def test_parity_with_the_authors_rule_where_both_agree():
    network = Network(seed=5)
    ours, theirs = network.parameters(), network.parameters()
    optimizer = AdaLoss(ours, lr=0.3, b0=0.5)
    train(network, ours, optimizer, STEPS)
    b = authors_rule(network, theirs, 0.3, 0.5, STEPS)
    assert float(optimizer.b) == pytest.approx(b, rel=1e-12)
    close(ours, [p.detach().numpy() for p in theirs])


@pytest.mark.parametrize("options", [{"weight_decay": 0.01}, {"momentum": 0.9}], ids=str)
def test_documented_difference_from_the_authors_rule(options):
    """Theirs decays by eta * weight_decay, and remembers gradients divided by the b of their own step."""
    network = Network(seed=6)
    ours, theirs = network.parameters(), network.parameters()
    train(network, ours, AdaLoss(ours, lr=0.3, b0=0.5, **options), 2)
    authors_rule(network, theirs, 0.3, 0.5, 2, **options)
    (w, b, memory), (v, d, other) = [([x.copy() for x in network.start], 0.5, {}) for _ in range(2)]
    for t in (1, 2):
        (f, g), (h, k) = network.numpy(w, t), network.numpy(v, t)
        b, d = np.sqrt(b**2 + f), np.sqrt(d**2 + h)
        w = [x - 0.3 / b * literal.sgd_direction(memory, i, x, g[i], **options) for i, x in enumerate(w)]
        v = [x - 0.3 * literal.sgd_direction(other, i, x, k[i] / d, **options) for i, x in enumerate(v)]
    close(ours, w)
    close(theirs, v)
    assert max(np.abs(x - y).max() for x, y in zip(w, v, strict=True)) > 1e-4


def test_any_torch_optimizer_is_driven():
    from adaloss.optim import LossDriven

    class AdaLossAdamW(LossDriven, torch.optim.AdamW):
        pass

    network = Network(seed=7)
    ours, theirs = network.parameters(), network.parameters()
    driven = AdaLossAdamW(ours, lr=0.3, b0=0.5, weight_decay=0.1)
    b, plain = 0.5, torch.optim.AdamW(theirs, lr=0.3, weight_decay=0.1)
    for t in range(1, STEPS + 1):
        plain.zero_grad()
        loss = network.loss(theirs, t)
        loss.backward()
        b = (b**2 + loss.item()) ** 0.5
        plain.param_groups[0]["lr"] = 0.3 / b
        plain.step()
    seen = train(network, ours, driven, STEPS)
    assert seen[-1] == pytest.approx(b, rel=1e-12)
    close(ours, [p.detach().numpy() for p in theirs])
