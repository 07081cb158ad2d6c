"""Checkpoints of long runs, so that the same command resumes them to the same bits after a kill."""

import hashlib
import io
import pickle
import sys
import time
from typing import Any

import torch

from adaloss.runs import files
from experiments.runs.store import Run, StoreError, unfinished

EVERY = 10.0  # seconds between two checkpoints: a kill loses no more


class Checkpoint:
    """The state of one run in the making: tensors, numbers, strings, lists and dictionaries of them.

    ``load`` returns what was last saved, None for a new run; ``keep`` writes, whole or not at all, if the last time is
    long enough ago. The file begins with a line with the run's id and the checksum of the rest. The store removes it
    when the run is complete.
    """

    def __init__(self, run: Run, every: float = EVERY):
        self.run, self.file, self.every = run, run.checkpoint, every
        self.last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return what was saved, None for a new run. A corrupt checkpoint is dropped with a line."""
        if self.file is None:
            return None
        try:
            content = files.read(self.file)
        except FileNotFoundError:
            return None
        except OSError:
            content = b""
        line, _, state = content.partition(b"\n")
        if line == self._line(state):
            try:
                return torch.load(io.BytesIO(state), weights_only=True)
            except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
                pass
        print(f"note: {self.file}: not as it was saved; the run starts again", file=sys.stderr)
        return None

    def keep(self, state: Any) -> None:
        """Write ``state()``, a function since it is not always needed. Raises StoreError if that is not possible."""
        if self.file is None or time.monotonic() - self.last < self.every:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            whole = io.BytesIO()  # torch's own writer does not say that a disk is full
            torch.save(state(), whole)
            content = whole.getvalue()
            files.replace(self.file, self._line(content) + b"\n" + content, unfinished(self.file))
        except OSError as error:
            raise StoreError(
                f"{self.file}: the run's state is not saved ({error.strerror or error}); complete runs are untouched: "
                "fix the folder and run the same command again"
            ) from error
        self.last = time.monotonic()

    def _line(self, content: bytes) -> bytes:
        return f"adaloss checkpoint of {self.run.id}, sha256 {hashlib.sha256(content).hexdigest()}".encode()
