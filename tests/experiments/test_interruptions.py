"""A killed training continues to the same bits, and no worker outlives the process that started it."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.experiments.launch import ROOT, Fork, command, content, eager, kept_state, launch, made

pytestmark = pytest.mark.usefixtures("warm")


JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
VIT = "data.test=1600 weights.share=0.5 weights.epochs=2 epochs=6 batch=8 model.width=16 model.depth=1 model.heads=2"
TRAININGS = {  # the words, and whose checkpoint is there when the process is killed
    "lstm": ("data.articles=120 embedding=8 hidden=8 batch=16 epochs=60 b0=0.1", ("lstm", "lstm")),
    "ppo": ("frames=25600 envs=4 steps=64 epochs=2 batch=32 actor=[8] critic=[8,8] b0=100", ("ppo", "ppo")),
    "vit": (f"{VIT} b0=0.1", ("vit_pretrain", "vit")),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_killed_in_the_middle_and_started_again_gives_the_same_bits(name, tmp_path):
    words, stems = TRAININGS[name]
    undisturbed, root, reached = tmp_path / "undisturbed", tmp_path / "killed", 0
    assert made(launch(*words.split(), f"runs={undisturbed}", experiment=name)) == 1

    def steps(stem):
        files = list(root.glob(f"checkpoints/{stem}-*.pt"))
        return len(kept_state(files[0])["rows"]) if files else 0

    for stem in stems:
        process = Fork(name, (*words.split(), f"runs={root}"), eager)
        deadline = time.monotonic() + 120
        before = steps(stem)
        while steps(stem) < before + 8:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.002)
        process.kill()
        assert process.returncode == -signal.SIGKILL
        reached += steps(stem) > before
    assert reached == 2 and not content(root, name)
    assert made(launch(*words.split(), f"runs={root}", experiment=name)) == 1
    for experiment in {name, *stems}:
        assert len(content(root, experiment)) == 1
        assert content(root, experiment) == content(undisturbed, experiment)
    assert not list(root.glob("checkpoints/*"))


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


WORDS = {signal.SIGHUP: "hung up", signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}


@pytest.mark.parametrize("number", [signal.SIGKILL, *WORDS])
def test_workers_end_with_the_process_that_started_them(number, tmp_path):
    """What ends the main process reaches it alone."""
    words = (f"b0=[{','.join(map(str, range(1, 13)))}]", "iterations=3000", "data.d=20", "record.log_points=20")
    sweep = ("-m", "seed=0,1,2,3,4,5,6,7", *words, f"runs={tmp_path}", *JOBLIB)
    process = subprocess.Popen(command(*sweep), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("linear_regression/*")):
        time.sleep(0.01)
    workers = descendants(process.pid)
    process.send_signal(number)
    deadline = time.monotonic() + 5
    _, errors = process.communicate(timeout=5)
    while (left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workers) >= 2
    assert left == []
    line = f"linear_regression: {WORDS.get(number)}; complete runs are saved, the same command continues\n"
    assert (process.returncode, errors) == ((128 + number, line) if number in WORDS else (-signal.SIGKILL, ""))
    assert 0 < len(content(tmp_path)) < 96


def test_nohup(tmp_path):
    """Whoever has a process ignore SIGHUP wants it to go on; it gets two before its first run."""

    def ignoring():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGHUP)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP)).start()

    assert made(launch("iterations=20", f"runs={tmp_path}", prepare=ignoring)) == 1
