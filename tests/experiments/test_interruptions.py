"""Killed, interrupted, run twice at once: complete runs stay whole, and the same command finishes the rest."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.experiments.launch import ROOT, command, content, launch, made

SWEEP = (
    "-m",
    "method=adaloss,sgd_constant",
    "b0=[0.1,1,10]",
    "seed=[0,1,2,3]",
    "data.d=100",
    "iterations=2000",
)
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
KILLS = 3  # for each launcher; python -m tests.campaign.kill has more, of every experiment


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    assert made(launch(*SWEEP, f"runs={root}")) == 24
    return content(root)


@pytest.mark.parametrize("launcher", [(), JOBLIB], ids=["basic", "joblib"])
def test_sigkill_at_random_moments(launcher, undisturbed, tmp_path):
    rng = random.Random(len(launcher))
    arguments = (*SWEEP, *launcher, f"runs={tmp_path}")
    killed = 0
    for _ in range(3 * KILLS):
        lacking = len(undisturbed) - len(list(tmp_path.glob("linear_regression/*")))
        # A process of its own, and its own group, so that the kill reaches joblib's workers as well.
        process = subprocess.Popen(
            command(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # A random moment of the work, not of the start: after some of the lacking runs, and some milliseconds.
        some = len(undisturbed) - rng.randint(1, lacking)
        while process.poll() is None and len(list(tmp_path.glob("linear_regression/*"))) < some:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        saved = content(tmp_path)  # reads every folder: a half-written one would fail
        assert saved.items() <= undisturbed.items()
        if killed == KILLS:
            break
        for name in rng.sample(sorted(saved), len(saved) // 2):  # so that the next round has work to lose
            shutil.rmtree(tmp_path / name)
    assert killed == KILLS
    assert launch(*arguments).returncode == 0
    assert content(tmp_path) == undisturbed
    assert not list(tmp_path.glob(".tmp-*"))  # what the killed left behind is gone


def test_ctrl_c_ends_with_one_line_and_the_same_command_continues(undisturbed, tmp_path):
    arguments = (*SWEEP, f"runs={tmp_path}")
    process = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not list(tmp_path.glob("linear_regression/*")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=5)
    assert process.returncode == 130
    assert errors.splitlines() == [
        "linear_regression: interrupted; complete runs are saved, the same command continues"
    ]
    saved = len(content(tmp_path))
    assert 0 < saved < 24
    assert made(launch(*arguments)) == 24 - saved
    assert content(tmp_path) == undisturbed


def descendants(pid):
    """The processes that a process has started, and those that they have."""
    children = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = file.read_text().partition(" ")
            children.setdefault(int(rest.rpartition(")")[2].split()[1]), []).append(int(number))
    found = children.get(pid, [])
    for child in found:
        found += children.get(child, [])
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_workers_end_with_the_process_that_started_them(number, tmp_path):
    """What ends the main process reaches it alone."""
    root = tmp_path / "disturbed"
    words = (f"b0=[{','.join(map(str, range(1, 13)))}]", "iterations=3000", "data.d=20", "record.log_points=20")
    sweep = ("-m", "seed=0,1,2,3,4,5,6,7", *words, f"runs={root}", *JOBLIB)
    process = subprocess.Popen(command(*sweep), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(root.glob("linear_regression/*")):
        time.sleep(0.01)
    workers = descendants(process.pid)
    process.send_signal(number)
    deadline = time.monotonic() + 5
    _, errors = process.communicate(timeout=5)
    while (left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workers) >= 2
    assert left == []
    word = "linear_regression: hung up; complete runs are saved, the same command continues\n"
    expected = (129, word) if number == signal.SIGHUP else (-signal.SIGKILL, "")
    assert (process.returncode, errors) == expected
    saved = content(root)
    assert 0 < len(saved) < 96
    if number == signal.SIGKILL:
        assert made(launch(*sweep)) == 96 - len(saved)
        assert made(launch("seed=[0,1,2,3,4,5,6,7]", *words, f"runs={tmp_path / 'undisturbed'}")) == 96
        assert content(root) == content(tmp_path / "undisturbed")


def test_nohup(tmp_path):
    """Whoever has a process ignore SIGHUP wants it to go on; it gets two before its first run."""

    def ignoring():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGHUP)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP)).start()

    assert made(launch("iterations=20", f"runs={tmp_path}", prepare=ignoring)) == 1


def test_two_processes_on_one_store(undisturbed, tmp_path):
    both = [
        subprocess.Popen(
            command(*SWEEP, f"runs={tmp_path}"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    assert content(tmp_path) == undisturbed
    assert not list(Path(tmp_path).glob(".tmp-*"))
