"""The methods of the deep experiments against the literal algorithms."""

import numpy as np
import pytest
import yaml

from experiments import optimizers
from experiments.methods import ADAM_FAMILY, SGD_FAMILY
from experiments.optimizers import make, take
from experiments.runs.schema import validated
from tests.optim.problems import Network
from tests.reference import optim as literal
from tests.test_project import ROOT

STEPS, ETA, B0, C_S = 50, 0.3, 0.7, 0.2


def literally(name, network):
    w, eta = network.start, len(network.start) * [ETA]
    adam = {"betas": (0.9, 0.99)}
    return {
        "adaloss": lambda: literal.adaloss(network.numpy, w, STEPS, eta, B0)[0],
        "adagrad_norm": lambda: literal.adagrad_norm(network.numpy, w, STEPS, eta, B0)[0],
        "adagrad_norm_rowwise": lambda: literal.adagrad_norm_rowwise(network.numpy, w, STEPS, eta, B0)[0],
        "sgd_constant": lambda: literal.sgd(network.numpy, w, STEPS, lambda t: np.array(eta) / B0),
        "sgd_decay_sqrt": lambda: literal.sgd(
            network.numpy, w, STEPS, lambda t: np.array(eta) / (B0 + C_S * np.sqrt(t))
        ),
        "adam": lambda: literal.adamloss(network.numpy, w, STEPS, eta, B0, alpha=0.0, **adam)[0],
        "adamloss": lambda: literal.adamloss(network.numpy, w, STEPS, eta, B0, **adam)[0],
        "adam_sqrt": lambda: literal.adam_sqrt(network.numpy, w, STEPS, eta, B0, **adam),
    }[name]()


@pytest.mark.parametrize(
    ("name", "by_rule"), [*((name, False) for name in (*SGD_FAMILY, *ADAM_FAMILY)), ("adaloss", True)]
)
def test_every_configured_method_is_its_algorithm(name, by_rule, monkeypatch):
    """From configs/method.yaml to the parameters after 50 steps; without a class of its own, by its rule."""
    if by_rule:
        monkeypatch.delitem(optimizers._MAKE, name)
    text = (ROOT / "configs/method.yaml").read_text()
    fields = yaml.safe_load(text.replace("${alpha}", "1.0").replace("${decay}", "linear"))[name]
    method = validated((SGD_FAMILY | ADAM_FAMILY)[name], fields)
    network = Network()
    parameters = network.parameters()
    optimizer = make(method, parameters, eta=ETA, b0=B0)
    for t in range(1, STEPS + 1):
        optimizer.zero_grad()
        loss = network.loss(parameters, t)
        loss.backward()
        step, b = take(optimizer, loss)
    for p, expected in zip(parameters, literally(name, network), strict=True):
        np.testing.assert_allclose(p.detach(), expected, rtol=1e-11, atol=1e-13)
    assert step == pytest.approx(ETA / (b**0.5 if name in ADAM_FAMILY else b), rel=1e-14)
    assert b == B0 if name in ("sgd_constant", "adam") else b > B0 + 0.1
