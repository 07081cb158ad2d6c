"""torch.distributed for one process, or several that torchrun started to train one model together.

Every rank takes its shard of each global batch; torch's DistributedDataParallel averages the gradients.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def process_group() -> Iterator[None]:
    """Join torchrun's process group; only rank 0 writes to stdout. Without torchrun do nothing."""
    if "RANK" not in os.environ:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if rank() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 (until the process ends)
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device() -> torch.device:
    """Return what this process computes on: its own GPU, or the CPU if there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def shard(n: int) -> slice:
    """Return the rows of this rank among n: none for some ranks where n is less than the world size."""
    return slice(n * rank() // world_size(), n * (rank() + 1) // world_size())


def all_reduce_sum(*values: float) -> list[float]:
    """Sum each value over all ranks."""
    if world_size() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=device())
    dist.all_reduce(sums)
    return sums.tolist()


def broadcast(value: Any) -> Any:
    """Return rank 0's value on every rank, which waits for it."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=device())
    return box[0]


def data_parallel(model: nn.Module) -> nn.Module:
    """Wrap the model where there are several ranks, so that its gradients are averaged over them."""
    return DistributedDataParallel(model) if world_size() > 1 else model
