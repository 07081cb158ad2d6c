"""How a long run keeps how far it has come, so that the same command continues it to the same bits after a kill."""

import io
import pickle
import time
from typing import Any

import torch

from experiments.store import Run, StoreError, unfinished

EVERY = 10.0  # seconds between two checkpoints: a kill loses no more


class Checkpoint:
    """The state of one run in the making: tensors, numbers, strings, lists and dictionaries of them.

    ``load`` gives what was last kept, None for a new run; ``keep`` writes, whole or not at all, when the last time is
    long enough ago. The store removes the file when the run is complete.
    """

    def __init__(self, run: Run, every: float = EVERY):
        self.file, self.every = run.checkpoint, every
        self.last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """What was kept, None where there is nothing readable: the run then starts anew."""
        if self.file is None:
            return None
        try:
            return torch.load(self.file, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None

    def keep(self, state: Any) -> None:
        """Write ``state()``, a function since it is not always wanted. Raises StoreError where that is not possible."""
        if self.file is None or time.monotonic() - self.last < self.every:
            return
        temporary = unfinished(self.file)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            whole = io.BytesIO()  # torch's own writer does not say that a disk is full
            torch.save(state(), whole)
            temporary.write_bytes(whole.getvalue())
            temporary.replace(self.file)
        except OSError as error:
            raise StoreError(
                f"{self.file}: the run's state is not kept ({error.strerror or error}); complete runs are untouched: "
                "mend the folder and give the same command again"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        self.last = time.monotonic()
