"""Ctrl-C, SIGTERM and SIGHUP: one line that says how to continue, and exit status 128 + signal, within seconds.

Python runs signal handlers between its own instructions, so that a long call into a library would put them off.
A thread therefore ends the process when the main thread has not ended by itself in time. What is killed that way loses
nothing: the store holds whole runs only, and checkpoints lie in it.

The processes of this machine that make a multirun's jobs end with the one that started them, even where that was
killed: it leaves who it is in the variable ADALOSS_MAIN of their environment.
"""

import atexit
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
GRACE = 2.0  # seconds that the main thread has
MAIN = "ADALOSS_MAIN"
LOOK = 0.5  # seconds between two looks at the main process
PR_SET_PDEATHSIG = 1  # of prctl(2)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; ``number`` says which."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def end(name: str, number: int) -> None:
    """Write the line, whole and at once, and end the process.

    Not by an exception, which a library may swallow or dress up as its own, and not by Python's own way out, which
    takes seconds where torch is loaded.
    """
    if not _ending.acquire(blocking=False):
        os._exit(128 + number)
    with suppress(OSError):  # stderr may be closed, or a terminal that is gone
        bar = "\n" if os.isatty(2) else ""  # behind a progress bar
        line = f"{bar}{name}: {WORDS[signal.Signals(number)]}; complete runs are saved, the same command continues\n"
        os.write(2, line.encode())
    os._exit(128 + number)


def _has_workers() -> bool:
    """Whether joblib has processes of its own, which it ends when an exception passes."""
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    return getattr(loky, "_executor", None) is not None


_ending = threading.Lock()  # held by the one who writes the line


def watch_start(name: str) -> None:
    """While the modules are being imported there is nothing to clean up: end at once."""
    _handle(lambda number, _: end(name, number))


@contextmanager
def watch(name: str) -> Iterator[None]:
    """Inside, a signal ends the process, by Stopped in the main thread where there are workers to end as well.

    A second signal, or GRACE seconds, end it in any case.
    """

    def stop(number: int, _: object) -> None:
        _handle(lambda number, _: os._exit(128 + number))
        if not _has_workers():
            end(name, number)
        raise Stopped(number)

    def overdue() -> None:
        with receive:
            while heard := receive.recv(1):  # nothing is heard any more where the other end is closed
                if heard[0] in WORDS:
                    threading.Event().wait(GRACE)
                    end(name, heard[0])

    # Joblib's tracker of semaphores, which removes what a stop leaves behind, need not speak of it.
    quiet = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(quiet)
    receive, send = socket.socketpair()
    send.setblocking(False)
    before = {number: signal.getsignal(number) for number in WORDS}
    wakeup = signal.set_wakeup_fd(send.fileno(), warn_on_full_buffer=False)
    listening = threading.Thread(target=overdue, daemon=True)
    listening.start()
    # When all is done, Python's way out takes a moment, in which a signal would make a failure of it.
    atexit.register(_handle, signal.SIG_IGN)
    _handle(stop)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        send.close()
        listening.join()
        sys.warnoptions.remove(quiet)
        os.environ.pop(MAIN, None)


def _handle(handler: object) -> None:
    """Take the signals, but for one that whoever started this process had it ignore (nohup, a background job)."""
    for number in WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def bind_workers() -> None:
    """From here to the end of ``watch``, processes that are started end with this one if they import the project."""
    os.environ[MAIN] = f"{os.getpid()} {_started(os.getpid())}"


def end_with_main() -> None:
    """In a worker: end when the process that started the sweep has ended, whatever ended that.

    On Linux the kernel sees to it for a child, even in the middle of a call into a library; a thread looks everywhere.
    """
    pid, started = os.environ[MAIN].split()
    if sys.platform == "linux" and os.getppid() == int(pid):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def look() -> None:
        while _started(int(pid)) == started:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _started(pid: int) -> str:
    """When a process started, as the kernel counts it, so that another with its number is not mistaken for it.

    "gone" where there is no such process any more, "running" where the system does not tell when it started.
    """
    with suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "gone" if state in "ZX" else fields[18]
    with suppress(OSError):
        os.kill(pid, 0)
        return "running"
    return "gone"
