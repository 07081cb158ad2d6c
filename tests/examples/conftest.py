"""The examples in float64, so that equal means equal to 1e-10."""

import pytest
import torch

from examples import plain, problem
from tests.examples.comparing import STEPS


@pytest.fixture(autouse=True, scope="module")
def float64():
    before, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(before)
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Where each test runs; it leaves no file there."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def expected(float64):
    """The plain loop, on the batches that every other loop is given."""
    return plain.train(problem.loader(STEPS))
