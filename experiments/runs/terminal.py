"""The command line of every script: its arguments, its output and how it ends.

Files matter more than text: a stdout that is closed, full or no longer read stops no script, and a character that it
cannot show is spelled out. An error is one line on stderr, and the status is 1.
"""

import argparse
import errno
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from experiments.runs.registry import SweepError
from experiments.runs.store import Store, StoreError
from experiments.runs.streams import guard, lost

SCALES = ("smoke", "laptop", "paper")
PLAIN = re.compile(r"[\w.-]*/[\w./-]*", re.ASCII)  # a path that Hydra takes as it is: no number, no list, no null
UNREAD = (errno.EPIPE, errno.EBADF)  # the reader has seen enough: no error


class RefusalError(Exception):
    """A request that a script refuses; the message is one line."""


def run_main(main: Callable[[], None]) -> None:
    """Run a script: print what can be printed, and end errors with one line and status 1."""
    guard()
    code = _ended(main)
    error = lost()
    if not code and error is not None and error.errno not in UNREAD:
        code = f"error: stdout: {error.strerror}; all else is done"
    if code is not None:
        sys.exit(code)


def _ended(main: Callable[[], None]) -> str | int | None:
    """Return what ``main`` ends with: a status, or a line about an error."""
    try:
        main()
    except SystemExit as stop:
        return stop.code
    except (RefusalError, StoreError, SweepError) as error:
        return f"error: {error}"
    except OSError as error:
        return f"error: {reason(error)}"
    except MemoryError:
        return "error: out of memory"
    except KeyboardInterrupt:
        return "interrupted; the same command continues"
    return None


def reason(error: OSError) -> str:
    """Return which file, and the system's word for what is wrong with it."""
    file = error.filename2 or error.filename
    return f"{file}: {error.strerror}" if file is not None and error.strerror else " ".join(str(error).split())


def override(key: str, path: object) -> str:
    """Return ``key=path`` as a shell's word; a path that Hydra's grammar would not take has quotes inside."""
    text = str(path)
    if not PLAIN.fullmatch(text):
        text = re.sub(r'(\\+)(?="|\Z)', r"\1\1", text).replace('"', '\\"')  # a backslash counts before a quote alone
        text = f'"{text}"'
    return shlex.quote(f"{key}={text}")


def parser(description: str, *, figures: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with --scale and --runs, and --figures if the script writes some (what they are, in words)."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--scale", default="laptop", help="smoke, laptop or paper (default: laptop)")
    found.add_argument("--runs", type=Path, help="folder of the runs (default: runs/<scale>)")
    if figures:
        found.add_argument("--figures", type=Path, help=f"folder of the {figures} (default: figures/<scale>)")
    return found


def store_of(scale: str, runs: Path | None) -> Store:
    """Return the store in ``runs``, or of a scale. Raises RefusalError if the scale is unknown or unreadable."""
    if runs is None and scale not in SCALES:
        raise RefusalError(f"--scale {scale}: allowed are {', '.join(SCALES)}")
    store = Store(runs or Path("runs") / scale)
    for folder in (store.root, store.root / "sweeps"):
        try:
            os.scandir(folder).close()
        except (FileNotFoundError, NotADirectoryError):
            pass  # the reader says which run or sweep is missing
        except OSError as error:
            raise RefusalError(reason(error)) from error
    return store


def filled(store: Store, scale: str) -> Store:
    """Return the store, which must have runs. Raises RefusalError if it has none."""
    try:
        folders = store.folders()
    except StoreError:
        folders = []
    if not folders:
        make = scale if scale in SCALES else "smoke|laptop|paper"
        raise RefusalError(f"{store.root}: no runs there; make some (make reproduce SCALE={make}) or name their folder")
    return store
