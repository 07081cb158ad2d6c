"""The tests of the experiments compute on the CPU on every machine: there a training gives the same bits every time.

What an experiment does on a GPU is compared with the CPU in ``test_accelerator.py``, which is marked ``gpu``.
"""

import pytest
import torch

from tests.experiments.launch import within


@pytest.fixture(scope="module", autouse=True)
def no_accelerator(request):
    """Hide it, from the programs that a module's tests start too."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("gpu"):
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            patch.setattr(torch.cuda, "is_available", lambda: False)
        yield


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """Import what a first run needs, once for all forks."""
    within("linear_regression", "iterations=20", f"runs={tmp_path_factory.mktemp('warm')}")
