"""The losses that an optimizer was told for its coming step."""

import torch
import torch.distributed as dist

DISTRIBUTED = dist.is_available()
Value = float | torch.Tensor  # a float64 scalar, where it should not wait for the device


class Observed:
    """One loss and its weight. ``void`` says that its gradient is not there, or no more since it was set to zero."""

    def __init__(self, value: Value, weight: Value, void: bool) -> None:
        self.value, self.weight, self.void = value, weight, void


class Losses:
    """The losses whose gradients are in the coming step, as far as one can know.

    ``zero_grad()`` makes all of them void, but a loop may observe a loss, then call ``zero_grad()`` and only then
    ``loss.backward()``, as Lightning does. So a void loss counts again when its own ``backward()`` runs.
    """

    def __init__(self) -> None:
        self._seen: list[Observed] = []

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, loss: Value, value: Value, weight: Value, *, void: bool = False) -> None:
        """Add ``loss``, whose value is ``value``; if ``void``, it counts once its ``backward()`` runs."""
        seen = Observed(value, weight, void)
        if isinstance(loss, torch.Tensor) and loss.grad_fn is not None:
            loss.register_hook(lambda _: self._revive(seen))
        if not void:
            self._seen.append(seen)

    def _revive(self, seen: Observed) -> None:
        """Count a loss that is void: its ``backward()`` runs, so its gradient will be in the coming step."""
        if seen.void:
            seen.void = False
            if seen not in self._seen:  # watched, or of before the last step
                self._seen.append(seen)

    def make_void(self) -> None:
        """Mark all as void: ``zero_grad()`` was called."""
        for seen in self._seen:
            seen.void = True

    def forget(self, first: int = 0) -> None:
        """Drop the losses from ``first`` on."""
        del self._seen[first:]

    def take(self, first: int) -> tuple[Value, Value, bool] | None:
        """Return the weighted sum of those that count, their weights' sum, and whether any came ``first`` or later.

        None if none counts. All are forgotten.
        """
        count = [seen for seen in self._seen if not seen.void]
        late = any(not seen.void for seen in self._seen[first:])
        self.forget()
        if not count:
            return None
        return sum(seen.weight * seen.value for seen in count), sum(seen.weight for seen in count), late


def averages(group: "dist.ProcessGroup | bool | None") -> bool:
    """Return whether there are ranks to average over."""
    return group is not False and DISTRIBUTED and dist.is_initialized()


def mean(total: Value, weights: Value, device: torch.device | None, group: "dist.ProcessGroup | None") -> Value:
    """Return the mean, both sums taken over the ranks of the group. ``device`` is the parameters', None without any."""
    if isinstance(total, float):
        device = served(device, group)
    sums = torch.stack([torch.as_tensor(v, dtype=torch.float64, device=device) for v in (total, weights)])
    dist.all_reduce(sums, group=group)
    total, weights = sums.tolist() if isinstance(total, float) else sums.unbind()
    return total / weights


def served(device: torch.device | None, group: "dist.ProcessGroup | None") -> torch.device:
    """Return the device if the group serves it, else one that it does serve: NCCL cannot send what is on the CPU.

    Without parameters that is where the other ranks' probably are: on the accelerator, if there is one.
    """
    types = [pair.partition(":")[0] for pair in dist.get_backend_config(group).split(",")]  # "cpu:gloo,cuda:nccl"
    if device is None:
        device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    return device if device.type in types else torch.device(types[0])
