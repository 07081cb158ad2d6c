"""Every method, step by step, against the literal algorithms in NumPy: parameters, b and the last step, 100 steps."""

import numpy as np
import pytest
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss, AdamSqrt, SGDConstant, SGDDecaySqrt
from tests.optim.problems import Network, train
from tests.reference import optim as literal

STEPS, ONES = 100, [1.0] * 4
ETA = [0.3, 0.3, 0.05, 0.05]  # of the four arrays, which form two groups
SGD_OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.8, "nesterov": True},
    {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
    {"weight_decay": 0.01},
    {"maximize": True, "momentum": 0.5},
]
ADAM_OPTIONS = [{}, {"weight_decay": 0.01}, {"weight_decay": 0.01, "decoupled": True}, {"maximize": True}]
LOSS, ROW, LINEAR = {"alpha": 0.7, "c": 0.1}, {"granularity": "row"}, {"form": "linear", "c_s": 0.2}


def steps(divisor):
    return lambda t: [eta / divisor(20.0, t) for eta in ETA]


def root(b, t):
    return np.sqrt(b**2 + t)


def linear(b, t):
    return b + 0.2 * np.sqrt(t)


def adam_root(b, t):
    return np.sqrt(b + t)


def constant(b, t):
    return b


# The class, its options, b_0, what eta is divided by, the literal algorithm
METHODS = {
    "AdaLoss": (AdaLoss, LOSS, 0.5, constant, lambda *of, **o: literal.adaloss(*of, ETA, 0.5, **LOSS, **o)),
    "AdaGradNorm": (AdaGradNorm, {}, 0.5, constant, lambda *of, **o: literal.adagrad_norm(*of, ETA, 0.5, **o)),
    "rows": (AdaGradNorm, ROW, 0.5, constant, lambda *of, **o: literal.adagrad_norm_rowwise(*of, ETA, 0.5, **o)),
    "AdamLoss": (
        *(AdamLoss, LOSS, 0.5, lambda b, t: np.sqrt(b)),
        lambda *of, **o: literal.adamloss(*of, ETA, 0.5, **LOSS, **o),
    ),
    "SGDConstant": (SGDConstant, {}, 20.0, constant, lambda *of, **o: literal.sgd(*of, steps(constant), **o)),
    "SGDDecaySqrt": (SGDDecaySqrt, {"form": "root"}, 20.0, root, lambda *of, **o: literal.sgd(*of, steps(root), **o)),
    "linear": (SGDDecaySqrt, LINEAR, 20.0, linear, lambda *of, **o: literal.sgd(*of, steps(linear), **o)),
    "AdamSqrt": (AdamSqrt, {}, 20.0, adam_root, lambda *of, **o: literal.adam_sqrt(*of, ETA, 20.0, **o)),
}


def close(parameters, expected, rtol=1e-12):
    # The errors of 100 steps, each of a few roundings, measured against the size of the array.
    for p, x in zip(parameters, expected, strict=True):
        assert np.abs(p.detach().numpy() - x).max() <= rtol * np.abs(x).max()


@pytest.mark.parametrize("kernel", [{}, {"foreach": True}, {"fused": True}], ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_the_papers(name, kernel):
    cls, own, b0, divisor, reference = METHODS[name]
    for options in ADAM_OPTIONS if issubclass(cls, torch.optim.Adam) else SGD_OPTIONS:
        network = Network(seed=len(options))
        parameters = network.parameters()
        groups = [{"params": parameters[:2]}, {"params": parameters[2:], "lr": ETA[2]}]
        given = {("decoupled_weight_decay" if key == "decoupled" else key): value for key, value in options.items()}
        optimizer = cls(groups, lr=ETA[0], b0=b0, **own, **given, **kernel)
        seen = train(network, parameters, optimizer, STEPS, needs_loss=cls in (AdaLoss, AdamLoss))
        expected = reference(network.numpy, network.start, STEPS, **options)
        expected, b = expected if isinstance(expected, tuple) else (expected, [b0] * STEPS)
        close(parameters, expected)
        np.testing.assert_allclose(seen, b, rtol=1e-12)
        last = divisor(b[-1], STEPS)
        np.testing.assert_allclose(optimizer.effective_lr, [ETA[0] / last, ETA[2] / last], rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}, {"momentum": 0.9}], ids=str)
def test_the_authors_rule_is_ours_without_weight_decay_and_momentum(options):
    """Theirs is SGD with the step eta on loss / b: it decays by eta's, and remembers gradients over their own b."""
    network = Network(seed=5)
    ours, theirs = network.parameters(), network.parameters()
    train(network, ours, AdaLoss(ours, lr=0.3, b0=0.5, **options), 20)
    plain, b = torch.optim.SGD(theirs, lr=0.3, **options), 0.5
    for t in range(1, 21):
        plain.zero_grad()
        loss = network.loss(theirs, t)
        b = (b**2 + loss.item()) ** 0.5
        (loss / b).backward()
        plain.step()
    if options:
        assert max(float((p - q).detach().abs().max()) for p, q in zip(ours, theirs, strict=True)) > 1e-3
    else:
        close(ours, [p.detach().numpy() for p in theirs])


DEFAULTS = [
    (AdaLoss, {}, lambda *of: literal.adaloss(*of, ONES, 1.0)[0]),
    (AdamLoss, {}, lambda *of: literal.adamloss(*of, ONES, 100.0)[0]),
    (AdaGradNorm, {}, lambda *of: literal.adagrad_norm(*of, ONES, 1.0)[0]),
    (SGDConstant, {}, lambda *of: literal.sgd(*of, lambda t: ONES)),
    (SGDDecaySqrt, {}, lambda *of: literal.sgd(*of, lambda t: [1 / np.sqrt(1 + t)] * 4)),
    (SGDDecaySqrt, {"form": "linear"}, lambda *of: literal.sgd(*of, lambda t: [1 / (1 + np.sqrt(t))] * 4)),
    (AdamSqrt, {}, lambda *of: literal.adam_sqrt(*of, ONES, 100.0)),
]


@pytest.mark.parametrize(("cls", "options", "reference"), DEFAULTS)
def test_what_is_left_out_is_the_papers(cls, options, reference):
    network = Network(seed=1)
    parameters = network.parameters()
    train(network, parameters, cls(parameters, **options), 30, needs_loss=cls in (AdaLoss, AdamLoss))
    close(parameters, reference(network.numpy, network.start, 30), rtol=1e-11)
