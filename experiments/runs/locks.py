"""Locks on runs: the processes that work on one store share its runs, and make none twice.

A run's lock is the kernel's, on one byte of ``<root>/.claims/<experiment>`` given by the run's id. It ends with the
process that holds it, whatever ends that: no lock is ever left behind. Other machines see it if the file system
passes locks on, as NFS does. Without locks, two processes may make the same run; the store keeps one.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from experiments.runs.store import Run, StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Claims:
    """The process's locks on one experiment's runs, released at the end of the context.

    There should be one at a time for a store and an experiment: closing any descriptor of a file ends a process's locks
    on it.
    """

    def __init__(self, root: Path, experiment: str):
        self.file = root / ".claims" / experiment
        self.works = fcntl is not None

    def __enter__(self) -> "Claims":
        try:
            self.file.parent.mkdir(exist_ok=True)
            how = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(self.file, how, 0o666)
        except OSError as error:
            raise StoreError(
                f"{self.file}: runs cannot be locked ({os.strerror(error.errno)}); "
                "fix the folder and run the same command again"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def take(self, runs: Iterable[Run]) -> list[Run]:
        """Lock and return those of the runs that no other process has locked."""
        return [run for run in runs if self._lock(run, fcntl.LOCK_EX | fcntl.LOCK_NB)] if self.works else list(runs)

    def wait(self, run: Run) -> None:
        """Return when no other process has locked the run. Holding any lock meanwhile could block both for ever."""
        self.release()
        if self.works:
            self._lock(run, fcntl.LOCK_EX)
            self.release()

    def release(self) -> None:
        """Release all locks."""
        if self.works:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _lock(self, run: Run, how: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, how, 1, int(run.id, 16))
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if self.works:
                print(
                    f"note: {self.file}: no locks here ({os.strerror(error.errno)}): "
                    "other processes on this store may make the same runs",
                    file=sys.stderr,
                )
            self.works = False
        return True
