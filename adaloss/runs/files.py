"""Files as the store needs them, and one line of what they and errors say.

Only plain files are read.
"""

import errno
import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path


def read(path: Path, most: int | None = None) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises OSError for anything else, also a named pipe or a device, without waiting.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if most is not None and about.st_size > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return file.read()


def write(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a new file; ``synced``, all of it is on the disk. Raises FileExistsError where a file or link is there."""
    with path.open("xb") as file:
        file.write(content)
        if synced:
            file.flush()
            os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Sync the names in a folder to the disk, if the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace(path: Path, content: bytes, temporary: Path | None = None) -> None:
    """Write a file under a temporary name in its folder and rename it: it is the old one or the new one, whole.

    The name is one that no other process uses, if none is given.
    """
    temporary = temporary or path.with_name(f".tmp-{uuid.uuid4().hex}")
    temporary.unlink(missing_ok=True)  # a killed process's; through a link it would be written elsewhere
    try:
        write(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def within(root: Path, path: Path) -> bool:
    """Return whether ``path`` leads to a place below ``root``, links followed."""
    return path.resolve().is_relative_to(root.resolve())


def printable(text: object) -> str:
    """Write what would steer a terminal, and what no encoding holds, as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def one_line(error: Exception) -> str:
    """Put what the error says in one line of at most 200 characters."""
    return printable(" ".join(str(error)[:1000].split()))[:200] or type(error).__name__


def reason(error: Exception) -> str:
    """Give the system's word for the error: pyarrow puts paragraphs into strerror."""
    return os.strerror(error.errno) if getattr(error, "errno", None) else one_line(error)
