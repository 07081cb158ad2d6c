"""The tests of the experiments compute on the CPU on every machine: there a training gives the same bits every time.

What an experiment does on a GPU is compared with the CPU in ``test_accelerator.py``, which is marked ``gpu``.
"""

import sys

import pytest
import torch

from experiments.runs import app
from tests.experiments.launch import ROOT


@pytest.fixture(scope="module", autouse=True)
def no_accelerator(request):
    """Hide it, from the programs that a module's tests start too."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("gpu"):
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            patch.setattr(torch.cuda, "is_available", lambda: False)
        yield


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The simulator, for all forks at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        words = ["linear_regression", "iterations=20", f"runs={tmp_path_factory.mktemp('compiled')}"]
        patch.setattr(sys, "argv", words)
        app.main("linear_regression")
