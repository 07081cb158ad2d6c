"""DistributedDataParallel: ``torchrun --nproc-per-node 2 -m examples.ddp``."""

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from adaloss.optim import AdaLoss
from examples import problem


def train(loader: DataLoader) -> tuple[torch.nn.Module, AdaLoss]:
    """Train on this rank's part of each batch once; return the model and its optimizer, the same on all ranks."""
    sampler = DistributedSampler(loader.dataset, shuffle=False)
    loader = DataLoader(loader.dataset, batch_size=loader.batch_size // dist.get_world_size(), sampler=sampler)
    model = DistributedDataParallel(problem.network())
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    for step, (x, y) in enumerate(loader, start=1):
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss=loss)  # this rank's loss: the optimizer averages it over the ranks, as DDP the gradient
        if dist.get_rank() == 0:
            problem.report(step, loss, optimizer)
    return model.module, optimizer


if __name__ == "__main__":
    dist.init_process_group("gloo")
    model, _ = train(problem.loader())
    if dist.get_rank() == 0:
        problem.evaluate(model)
    dist.destroy_process_group()
