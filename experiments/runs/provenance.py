"""The provenance of runs and figures: the commit, the versions, the machine and its last boot."""

import hashlib
import os
import platform
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "scipy", "numba", "torch", "pandas", "matplotlib", "scikit-learn")


@cache
def provenance() -> dict:
    """Return commit, versions and machine, as they are saved.

    The commit ends in ``-dirty`` if a tracked file was changed, and is "unknown" outside a checkout of this
    project or without git.
    """
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": f"{sys.platform} {platform.machine()}, {os.cpu_count()} cores",
    }


@cache
def origin() -> str:
    """Return a name for the processes of this machine, of this start of it and of this container."""
    facts = [socket.gethostname()]
    with suppress(OSError):  # Linux alone tells
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    return f"{facts[0]}-{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:8]}"


def _commit() -> str:
    where = _git("rev-parse", "--show-toplevel", "HEAD").splitlines()
    if len(where) != 2 or Path(where[0]).resolve() != ROOT:
        return "unknown"
    return where[1] + ("-dirty" if _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no") else "")


def _git(*words: str) -> str:
    """Return what git prints, nothing if it fails; variables like GIT_DIR would lead it to another repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", *words], capture_output=True, cwd=ROOT, env=environment, check=False)
    except OSError:  # no git on this machine
        return ""
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else ""  # as ROOT is, whatever the locale
