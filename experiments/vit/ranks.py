"""One process, or several that train one model together under torchrun: what they share and what they ask each other.

Every process takes its part of each global batch; torch's DistributedDataParallel averages the gradients.
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
def joined() -> Iterator[None]:
    """Inside, the processes that torchrun started are one group, and only the first writes to stdout."""
    if "RANK" not in os.environ:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if index() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 (until the process ends)
    try:
        yield
    finally:
        dist.destroy_process_group()


def index() -> int:
    """Of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device() -> torch.device:
    """What this process computes on: its own GPU, or the CPU where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def part(n: int) -> slice:
    """The rows of this process among n; empty for some where n is less than their number."""
    return slice(n * index() // count(), n * (index() + 1) // count())


def total(*values: float) -> list[float]:
    """The sum of each value over all processes."""
    if count() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=device())
    dist.all_reduce(sums)
    return sums.tolist()


def agreed(value: Any) -> Any:
    """The first process's value."""
    if count() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=device())
    return box[0]


def wrapped(model: nn.Module) -> nn.Module:
    """The model whose gradients are averaged over all processes."""
    return DistributedDataParallel(model) if count() > 1 else model
