"""Fresh processes by spawn, other Python versions, file names.

python -m tests.campaign.portability [python ...]      other interpreters to run the library's fast tests with
"""

import multiprocessing
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.campaign.cases import CASES, ENVIRONMENT, content, start
from tests.experiments.launch import ROOT, finish

FAST = ("tests/test_stepsizes.py", "tests/theory/test_linear_regression.py", "tests/theory/test_gram.py")
# Characters that Windows does not allow in names; a colon is also a path separator on old macOS.
UNSAFE = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .]$')


def spawned(cell):
    """A library call in a process that inherits nothing: its numbers."""
    from adaloss.simulate.eigenbasis import simulate_eigenbasis

    return simulate_eigenbasis([2.0, 1.0], [1.0, 1.0], "adaloss", [cell], {"alpha": 2.0}, 50)["loss"].tobytes()


def spawn_gives_the_same():
    """Whether two spawned processes compute what this one does, to the bit."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return pool.map(spawned, [0.1, 1.0]) == [spawned(0.1), spawned(1.0)]


def unsafe_names(runs):
    """Names in a store that other systems refuse, or that are too long for some (255 bytes)."""
    paths = [path.relative_to(runs) for path in Path(runs).rglob("*")]
    return [str(path) for path in paths if UNSAFE.search(path.name) or len(path.name.encode()) > 200]


def other_python(python, folder):
    """The library's fast tests under another interpreter with the pinned packages: what pytest says, or why not."""
    environment = Path(folder, "venv")
    subprocess.run([python, "-m", "venv", environment], check=True)
    pip = [environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    for names in (("torch",), ("numpy", "scipy", "pytest", "hypothesis")):
        wanted = [pin for pin in pins if pin.partition("==")[0] in names]
        done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"not run: {done.stderr.strip().splitlines()[-1]}"
    done = subprocess.run(
        [environment / "bin/python", "-m", "pytest", "-q", *FAST], cwd=ROOT, env=ENVIRONMENT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip().splitlines()[-1]


def main(pythons):
    assert spawn_gives_the_same()
    print("spawned processes compute the same bits")
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            assert finish(start(name, folder))[0] == 0
            assert content(folder) and not unsafe_names(folder), unsafe_names(folder)
        print(f"{name}: every name is allowed on Linux, macOS and Windows", flush=True)
    for python in pythons:
        with tempfile.TemporaryDirectory() as folder:
            version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
            print(f"{version}: {other_python(python, folder)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
