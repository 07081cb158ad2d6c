"""Ctrl-C, SIGTERM and SIGHUP: one line that says how to continue, and exit status 128 + signal, within seconds.

A thread ends the process: the main one would see a signal only between two of Python's instructions, and may be in a
long call into a library. Nothing is lost that way: the store holds whole runs only, and their checkpoints.

A multirun's workers on this machine end with the process that started them, whatever ended it: its
number is in the variable ADALOSS_MAIN of their environment.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
MAIN = "ADALOSS_MAIN"
LOOK = 0.5  # seconds between two looks at the main process
PR_SET_PDEATHSIG = 1  # of prctl(2)


def watch(name: str) -> Callable[[], None]:
    """Let a signal end the process from here on, until the function that is returned is called.

    A signal that was ignored when this process started (nohup, a background job) stays ignored.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {number: handler for number in WORDS if (handler := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def listen() -> None:
        while heard := os.read(reading, 1):
            if heard[0] in WORDS:
                _end(name, heard[0])
        os.close(reading)

    def restore() -> None:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)

    threading.Thread(target=listen, daemon=True).start()
    return restore


def _end(name: str, number: int) -> None:
    """Write the line, whole, and end the process: Python's own way out takes seconds where torch is loaded."""
    with suppress(OSError):  # stderr may be closed, or a terminal that is gone
        bar = "\n" if os.isatty(2) else ""  # behind a progress bar
        line = f"{bar}{name}: {WORDS[signal.Signals(number)]}; complete runs are saved, the same command continues\n"
        os.write(2, line.encode())
    os._exit(128 + number)


@contextmanager
def workers() -> Iterator[None]:
    """Let the processes started within it end with this one, if they import the project."""
    # Joblib's tracker of semaphores removes what a stop leaves behind; it need not warn.
    quiet = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(quiet)
    os.environ[MAIN] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[MAIN]
        sys.warnoptions.remove(quiet)


def end_with_main() -> None:
    """End this worker when the process that started the sweep has ended, and leave a terminal's Ctrl-C to that one.

    On Linux the kernel does this for a child, even in the middle of a call into a library; elsewhere a thread looks.
    """
    import ctypes  # no other process needs it

    main = int(os.environ[MAIN])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux" and os.getppid() == main:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def look() -> None:
        while alive(main):
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def alive(pid: int) -> bool:
    """Return whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
