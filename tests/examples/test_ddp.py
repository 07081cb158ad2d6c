"""Two processes, each with half of every batch, equal one process with all of it."""

import pytest
import torch
import torch.distributed as dist

from adaloss.optim import AdaLoss
from examples import ddp, problem
from tests.examples.comparing import STEPS, assert_runs, assert_same
from tests.optim.problems import ranks_of


def work(rank, ranks, folder):
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    model, optimizer = ddp.train(problem.loader(STEPS))
    torch.save((model.state_dict(), optimizer.state_dict()), f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    ranks_of(work, 2, folder)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("rank", [0, 1])
def test_two_ranks_equal_one_process(ranks, rank, expected):
    parameters, state = ranks[rank]
    model = problem.network()
    model.load_state_dict(parameters)
    optimizer = AdaLoss(model.parameters())
    optimizer.load_state_dict(state)
    assert_same((model, optimizer), expected)


def test_the_script_on_one_rank(capsys, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    assert_runs("ddp", capsys)
    assert not dist.is_initialized()
