"""Several gloo processes against one process on the global batch. Each process loses differently on its own rows."""

import itertools
import warnings
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss
from tests.optim.problems import ranks_of

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # torch's own, of torch.jit
    from torch.distributed.optim import ZeroRedundancyOptimizer

STEPS, ROWS = 12, 12
OPTIMIZERS = {
    "AdaLoss": partial(AdaLoss, lr=0.3, b0=0.5, momentum=0.9, weight_decay=1e-3),
    "AdamLoss": partial(AdamLoss, lr=0.1, b0=0.5, steps=STEPS, bound=2.0),
    "AdaGradNorm": partial(AdaGradNorm, lr=0.3, b0=0.5),
    "AdaGradNorm by row": partial(AdaGradNorm, lr=0.3, b0=0.5, granularity="row"),
}


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()


def batch(t, rows):
    """Row i is i times as long as the first: the ranks' losses differ by orders of magnitude."""
    rng = np.random.default_rng(t)
    x, y = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2)) * np.arange(1, ROWS + 1)[:, None]
    return torch.from_numpy(x[rows]), torch.from_numpy(y[rows])


def share(rank, ranks, even=True):
    """The rows of one rank."""
    cuts = np.linspace(0, ROWS, ranks + 1) if even else ROWS * (np.arange(ranks + 1) / ranks) ** 2
    cuts = np.ceil(cuts).astype(int)
    return np.arange(cuts[rank], cuts[rank + 1])


def train(net, optimizer, rows=slice(None), steps=range(STEPS), scale=1.0, way="loss", weight=1.0):
    """b after each step."""
    seen, criterion = [], torch.nn.MSELoss()
    if way == "watch":
        optimizer.watch(criterion)
    for t in steps:
        x, y = batch(t, rows)
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        (loss * scale).backward()
        if way == "observe":
            optimizer.observe(loss, weight=weight)
        if way in ("observe", "watch"):
            optimizer.step()
        else:
            optimizer.step(loss=loss)
        seen.append(float(getattr(optimizer, "b", 0.0)))  # ZeRO's is within
    return seen


def result(net, b):
    """The whole parameters, wherever they are sharded, and b after each step, in one vector."""
    whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in net.parameters()]
    return torch.cat([*(p.detach().flatten() for p in whole), torch.tensor(b, dtype=torch.float64)])


def averaged(gradient):
    """The mean over the ranks."""
    total = gradient.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def alone(name):
    net = model()
    return result(net, train(net, OPTIMIZERS[name](net.parameters())))


def work(rank, ranks, folder):
    """All that one rank does; it saves what each part came to."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    came = {}
    for name, way in itertools.product(OPTIMIZERS, ("loss", "observe", "watch")):
        net = DistributedDataParallel(model())
        optimizer = OPTIMIZERS[name](net.parameters())
        came[f"DDP {name} {way}"] = result(net, train(net, optimizer, share(rank, ranks), way=way))

    net = DistributedDataParallel(model())
    optimizer = OPTIMIZERS["AdaLoss"](net.parameters(), process_group=False)
    came["not averaged"] = result(net, train(net, optimizer, share(rank, ranks)))

    rows = share(rank, ranks, even=False)
    net = DistributedDataParallel(model())
    optimizer = OPTIMIZERS["AdaLoss"](net.parameters())
    came["weighted"] = result(
        net, train(net, optimizer, rows, scale=ranks * len(rows) / ROWS, way="observe", weight=len(rows))
    )
    for name, of in OPTIMIZERS.items():
        net = DistributedDataParallel(model())
        optimizer = ZeroRedundancyOptimizer(net.parameters(), of.func, **of.keywords)
        if name == "AdaGradNorm" and ranks > 1:
            with pytest.raises(RuntimeError, match="norm differs between the ranks"):
                train(net, optimizer, share(rank, ranks))
            continue
        train(net, optimizer, share(rank, ranks))
        came[f"ZeRO {name}"] = result(net, [])
    net = DistributedDataParallel(torch.nn.Linear(3, 2, bias=False).double())  # all ranks but one have no parameter
    with torch.no_grad():
        net.module.weight.fill_(0.1)
    train(net, ZeroRedundancyOptimizer(net.parameters(), AdaLoss, lr=0.3, b0=2.0), share(rank, ranks))
    came["ZeRO, one parameter"] = result(net, [])
    mesh = init_device_mesh("cpu", (ranks,))  # without one fully_shard takes a GPU where it sees one

    def sharded(name):
        net = model()
        fully_shard(net, mesh=mesh)
        return net, OPTIMIZERS[name](net.parameters())

    meshes = mesh, init_device_mesh("cpu", (1, ranks), mesh_dim_names=("replicate", "shard"))
    for name, second in itertools.product(("AdaLoss", "AdaGradNorm", "AdaGradNorm by row"), ("mesh", "not sharded")):
        net = model()
        fully_shard(net[0], mesh=meshes[0])
        if second == "mesh":
            fully_shard(net[2], mesh=meshes[1])
        for p in net[2].parameters() if second == "not sharded" else ():
            p.register_hook(averaged)
        came[f"{second} {name}"] = result(net, train(net, OPTIMIZERS[name](net.parameters()), share(rank, ranks)))

    def state(net, optimizer):
        return {"net": net.state_dict(), "optimizer": get_optimizer_state_dict(net, optimizer)}

    for name in OPTIMIZERS:
        net, optimizer = sharded(name)
        came[f"FSDP2 {name}"] = result(net, train(net, optimizer, share(rank, ranks)))
        net, optimizer = sharded(name)
        first = train(net, optimizer, share(rank, ranks), range(STEPS // 2))
        dcp.save(state(net, optimizer), checkpoint_id=f"{folder}/{name}")
        net, optimizer = sharded(name)
        for p in net.parameters():
            torch.nn.init.zeros_(p)
        loaded = state(net, optimizer)
        dcp.load(loaded, checkpoint_id=f"{folder}/{name}")
        net.load_state_dict(loaded["net"])
        set_optimizer_state_dict(net, optimizer, loaded["optimizer"])
        came[f"resumed {name}"] = result(
            net, first + train(net, optimizer, share(rank, ranks), range(STEPS // 2, STEPS))
        )
    torch.save(came, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[1, 3], ids="{} ranks".format)
def ranks(request, tmp_path_factory):
    """What every rank came to."""
    folder = tmp_path_factory.mktemp("ranks")
    ranks_of(work, request.param, folder)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_ranks_equal_one_process_on_the_global_batch(ranks, name):
    expected = alone(name)
    for came in ranks:
        for way in ("DDP {} loss", "DDP {} observe", "DDP {} watch", "FSDP2 {}"):
            torch.testing.assert_close(came[way.format(name)], expected, rtol=1e-10, atol=1e-12, msg=way)


@pytest.mark.parametrize("name", ["AdaLoss", "AdaGradNorm", "AdaGradNorm by row"])
def test_layers_may_be_sharded_differently_or_not_at_all(ranks, name):
    for came in ranks:
        for second in ("mesh", "not sharded"):
            torch.testing.assert_close(came[f"{second} {name}"], alone(name), rtol=1e-10, atol=1e-12, msg=second)


def test_without_averaging_the_replicas_drift_apart(ranks):
    """The comparison above would notice a b of its own on every rank."""
    came = torch.stack([came["not averaged"] for came in ranks])
    apart = (came - alone("AdaLoss")).abs().amax(dim=1)
    assert (apart > 1e-3).all() if len(ranks) > 1 else apart < 1e-10


def test_local_batches_of_different_sizes_are_weighted(ranks):
    for came in ranks:
        torch.testing.assert_close(came["weighted"], alone("AdaLoss"), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_distributed_checkpoint_resumes_to_the_bit(ranks, name):
    for came in ranks:
        assert torch.equal(came[f"resumed {name}"], came[f"FSDP2 {name}"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_may_be_split_among_the_ranks(ranks, name):
    """By ZeroRedundancyOptimizer; where that would give every rank a norm of its own, it is refused in ``work``."""
    for came in ranks:
        if f"ZeRO {name}" in came:
            expected = alone(name)[:-STEPS]
            torch.testing.assert_close(came[f"ZeRO {name}"], expected, rtol=1e-10, atol=1e-12)
    assert all((f"ZeRO {name}" in came) == (name != "AdaGradNorm" or len(ranks) == 1) for came in ranks)


def test_a_rank_may_be_without_parameters(ranks):
    net = torch.nn.Linear(3, 2, bias=False).double()
    with torch.no_grad():
        net.weight.fill_(0.1)
    train(net, AdaLoss(net.parameters(), lr=0.3, b0=2.0))
    for came in ranks:
        torch.testing.assert_close(came["ZeRO, one parameter"], result(net, []), rtol=1e-10, atol=1e-12)
