"""A loop in the shape of timm's ``train.py``: its scaler object owns backward, clipping and the step."""

from collections.abc import Iterable

import torch
from torch.nn.functional import cross_entropy

from adaloss.optim import AdaLoss
from examples import problem


class NativeScaler:
    """A scaler with the interface of timm's ``timm.utils.NativeScaler``."""

    def __init__(self, device: str = "cpu") -> None:
        self._scaler = torch.amp.GradScaler(device)

    def __call__(
        self,
        loss: torch.Tensor,
        optimizer: torch.optim.Optimizer,
        clip_grad: float | None = None,
        parameters: Iterable[torch.Tensor] = (),
        need_update: bool = True,
    ) -> None:
        """Run backward; if an update is due, clip the gradient and take the step."""
        self._scaler.scale(loss).backward()
        if need_update:
            if clip_grad is not None:
                self._scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(parameters, clip_grad)
            self._scaler.step(optimizer)
            self._scaler.update()


def train(
    loader: torch.utils.data.DataLoader, accum_steps: int = 1, clip_grad: float | None = None
) -> tuple[torch.nn.Module, AdaLoss]:
    """Train on each micro-batch once, ``accum_steps`` of them a step; return the model and its optimizer."""
    model = problem.network()
    optimizer = AdaLoss(model.parameters(), lr=1.0, b0=1.0)
    loss_scaler = NativeScaler()
    optimizer.zero_grad()
    for batch_idx, (input, target) in enumerate(loader):
        need_update = (batch_idx + 1) % accum_steps == 0
        with torch.autocast("cpu", dtype=torch.float16):
            loss = cross_entropy(model(input), target)
        optimizer.observe(loss)  # before timm divides it in place
        if accum_steps > 1:
            loss /= accum_steps
        loss_scaler(loss, optimizer, clip_grad=clip_grad, parameters=model.parameters(), need_update=need_update)
        if need_update:
            optimizer.zero_grad()
            problem.report((batch_idx + 1) // accum_steps, loss * accum_steps, optimizer)
    return model, optimizer


if __name__ == "__main__":
    problem.evaluate(train(problem.loader(steps=800, size=16), accum_steps=4, clip_grad=1.0)[0])
