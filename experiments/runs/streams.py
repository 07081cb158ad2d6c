"""stdout and stderr that cost no run: closed, broken or full, they lose what is written to them, and nothing else.

``print`` raises if the reader of a pipe is gone, the disk is full or the encoding lacks a letter; and if
descriptor 1 or 2 is closed, the next file that is opened takes its number and receives what was meant for the user.
"""

import io
import os
import select
import sys


class _Forgiving(io.FileIO):
    """One of the process's standard descriptors; the first write that fails turns it to the null device."""

    lost: OSError | None = None  # what failed

    def write(self, data: bytes) -> int:
        """Write, and wait if the other end of a pipe that does not block is slow."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.lost = error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)
        return written


def guard() -> None:
    """Put such streams in place of sys.stdout and sys.stderr, unless somebody else has replaced one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for descriptor, name in enumerate(("stdout", "stderr"), start=1):
        old = getattr(sys, name)
        if old is not getattr(sys, f"__{name}__") or isinstance(getattr(old, "buffer", None), _Guarded):
            continue
        raw = _Forgiving(descriptor, "w", closefd=False)
        encoding = getattr(old, "encoding", "utf-8")
        new = io.TextIOWrapper(_Guarded(raw), encoding=encoding, errors="backslashreplace", line_buffering=True)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def lost() -> OSError | None:
    """Return the error since which nothing more reaches stdout."""
    sys.stdout.flush()
    return getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "lost", None)


class _Guarded(io.BufferedWriter):
    """A mark of the streams that are in place."""
