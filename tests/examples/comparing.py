"""Whether two trainings came to the same, and a loss that gets in only in part."""

import re
import runpy
from pathlib import Path

import pytest
import torch

from adaloss.optim import AdaLoss
from examples import problem

ROOT = Path(__file__).resolve().parents[2]
STEPS, SIZE = 100, 64


def loader(parts=1):
    """The batches of the plain loop, each in ``parts`` micro-batches."""
    return problem.loader(STEPS * parts, SIZE // parts)


def assert_same(trained, expected, rtol=1e-10):
    """Parameters, b and the last step size."""
    (model, optimizer), (plain, reference) = trained, expected
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=rtol, atol=rtol * float(q.detach().abs().max()))
    torch.testing.assert_close(optimizer.b, reference.b, rtol=rtol, atol=0)
    assert optimizer.effective_lr == pytest.approx(reference.effective_lr, rel=rtol)
    assert optimizer.param_groups[0]["t"] == reference.param_groups[0]["t"] == STEPS


def observe_the_last_only(monkeypatch, parts):
    """As if only the last micro-batch of each step had been observed."""
    observe, calls = AdaLoss.observe, []

    def observe_some(self, *args, **kwargs):
        calls.append(None)
        if len(calls) % parts == 0:
            observe(self, *args, **kwargs)

    monkeypatch.setattr(AdaLoss, "observe", observe_some)


def assert_b_differs(trained, expected):
    assert abs(trained[1].b / expected[1].b - 1) > 1e-5


def assert_runs(name, capsys):
    """The example as its reader starts it, but in this process."""
    runpy.run_path(str(ROOT / f"examples/{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.search(r"\bb\b.*step", printed)
    accuracies = re.findall(r"^test accuracy (.*)$", printed, flags=re.MULTILINE)
    assert accuracies and all(float(accuracy) > 0.85 for accuracy in accuracies)
