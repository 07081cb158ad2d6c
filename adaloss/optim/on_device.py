"""A step whose numbers stay on an accelerator, so that the host does not wait for it.

Only torch's fused kernels of SGD and Adam can be told there to leave everything as it is, as a loss that is not finite
or an infinity under a GradScaler asks for. Where they would not be exact, and for every other optimizer, the step waits
for the device once.
"""

from typing import Any, ClassVar

import torch

from adaloss.optim.fused import exact
from adaloss.optim.groups import JUMP, SETTLED
from adaloss.optim.update import TorchUpdate


class OnDevice(TorchUpdate):
    """The part of :class:`~adaloss.optim.rule_driven.RuleDriven` that runs on an accelerator."""

    _skips: ClassVar[bool]  # whether the step that is driven is that of torch's SGD or Adam

    def _advance_on_device(self, loss: torch.Tensor | None) -> None:
        self._tell_what_arrived()
        groups, device = self.param_groups, self._device
        first = groups[0]
        b = torch.as_tensor(first["b"], dtype=torch.float64, device=device)
        t = torch.as_tensor(first["t"], dtype=torch.int64, device=device)
        found_inf = self.found_inf
        fuses = all(map(self._may_fuse, groups))
        if found_inf is not None and (self.of_gradient or not fuses):
            self._unscale()
        norm_sq = self._grad_norm_sq()
        good = torch.ones((), dtype=torch.bool, device=device) if found_inf is None else (found_inf == 0).reshape(())
        after, steps, failed = b, [], torch.zeros_like(good)
        seen, hyper, kept = self._sees(first, loss)
        for group in groups:
            after, step = self.rule(b, seen, norm_sq, t + 1, eta=group["lr"], **hyper)
            steps.append(step)
            failed |= ~torch.isfinite(after + step).reshape(())
        failed &= good  # where GradScaler skips the step there is nothing to tell
        good = good & ~failed
        steps = [torch.where(good, step.reshape(()), 0.0) for step in steps]
        if fuses:
            steps = [step.float() for step in steps]  # what the kernels take
            self._fused_update(steps, ~good)
        else:
            taken, *numbers = torch.stack([good.double(), *steps]).tolist()
            if taken:
                self._torch_update(numbers)
        jumped = good & (t >= SETTLED) & (after > JUMP * b).reshape(()) & self.of_loss
        before = torch.zeros(2, dtype=torch.int64, device=device) if self._news is None else self._news
        self._news = torch.where((before == 0) & torch.stack([failed, jumped]), t + 1, before)
        self._send_news(self._news)
        kept = {name: torch.where(good, new, first[name]) for name, new in kept.items()}
        self._taken(torch.where(good, after, b), t + good, steps, **kept)

    def _may_fuse(self, group: dict[str, Any]) -> bool:
        """Return whether the fused kernel runs: if it is asked for or left open, and exact.

        It takes Adam's ``step`` on the device, but torch makes and loads it on the host unless ``fused`` is True.
        """
        open_ = group.get("fused") is None and group.get("foreach") is None
        if not self._skips or not (group["fused"] or open_):
            return False
        for p in group["params"]:
            step = self.state[p].get("step") if p in self.state else None
            if isinstance(step, torch.Tensor) and step.device != p.device:
                self.state[p]["step"] = step.to(p.device)
        return exact(group, self.state, skips=True)

    def _fused_update(self, steps: list[torch.Tensor], skip: torch.Tensor) -> None:
        """Run torch's fused kernels, which do nothing where ``skip`` holds."""
        of_scaler, left_open = self.found_inf, [group for group in self.param_groups if not group["fused"]]
        self.found_inf = skip.float()
        try:
            for group in left_open:
                group["fused"] = True
            self._torch_update(steps)
        finally:
            for group in left_open:
                group["fused"] = None
            self.found_inf = of_scaler

    def _send_news(self, news: torch.Tensor) -> None:
        if news.device.type != "cpu":
            event = torch.Event(news.device)
            self._arriving = news.to("cpu", non_blocking=True), event
            event.record()

    def _tell_what_arrived(self) -> None:
        if self._arriving is not None and self._arriving[1].query():
            failed, jumped = self._arriving[0].tolist()
            if jumped:
                self._warn_of_jump(jumped)
            if failed:
                self.raise_failure()
