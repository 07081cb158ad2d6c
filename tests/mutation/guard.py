"""What keeps a mutant from harming the machine: nothing outside the runner's own folder is removed or written.

A mutant of a condition before ``shutil.rmtree`` may ask for any folder to be removed, "/" included, and one of a signal
may end any process. Importing this module refuses both in this process; a folder with a sitecustomize.py that is a copy
of it, first on PYTHONPATH, in every Python that a test starts. It sees what Python itself does, not other programs.
"""

# A hook that is called at every step should be small, and see paths as the system does.
# ruff: noqa: PTH100, PTH117, PTH119, PTH120
import os
import sys

ALLOWED = os.path.realpath(os.environ["MUTANTS_FOLDER"]) + os.sep
SEEN = {  # events of the interpreter, and which of their arguments are paths
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "open": (0,),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DEVICES = ("/dev/", "/proc/self/")  # /dev/null, /dev/shm


def refuse(event: str, arguments: tuple) -> None:
    """Raise PermissionError for a path outside, or for a signal to a process of another session."""
    if event in ("os.kill", "os.killpg"):
        pid, signal = arguments
        if signal and not own(pid):
            raise PermissionError(f"{event}({pid}, {signal}): a mutant may not end other processes")
    if event not in SEEN or (event == "open" and not (arguments[2] or 0) & WRITING):
        return
    for i in SEEN[event]:
        path = arguments[i]
        if not isinstance(path, str | bytes | os.PathLike):
            continue  # an open file
        path = os.fsdecode(path)
        if event in ("os.remove", "os.rmdir") and not os.path.isabs(path) and arguments[1] != -1:
            continue  # relative to a folder that rmtree has opened: its root was looked at
        whole = os.path.realpath(os.path.dirname(os.path.abspath(path))) + os.sep + os.path.basename(path)
        if event == "shutil.rmtree":
            whole = os.path.realpath(path)
        if not (whole + os.sep).startswith(ALLOWED) and not (event == "open" and whole.startswith(DEVICES)):
            raise PermissionError(f"{event}: {path} is outside {ALLOWED}: a mutant may not touch it")


def own(pid: int) -> bool:
    """Whether the process belongs to this session, which is the mutant's own."""
    try:
        return pid > 0 and os.getsid(pid) == os.getsid(0)
    except ProcessLookupError:
        return True


sys.addaudithook(refuse)
