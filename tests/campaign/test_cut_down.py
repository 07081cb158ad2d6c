"""The campaigns cut down to seconds each."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from experiments.runs.checkpoint import Checkpoint
from experiments.runs.store import Run, Store
from tests.campaign import fuzz, kill, library
from tests.campaign.cases import CASES, Forked, leftovers, undisturbed
from tests.experiments.launch import ROOT, content, finish, made_by_job, within


@pytest.mark.parametrize("name", ["gram", "linear_regression", "ppo"])
def test_kills(name, tmp_path):
    counts, stores, runs, slowest = kill.campaign(name, 3, random.Random(1), tmp_path, Forked)
    assert counts.total() == 3 and stores >= 1 and runs >= 4 and slowest <= kill.LIMIT


STUBBORN = """
import numpy as np
from experiments.runs import interrupt
interrupt.watch("exp")
print("ready", flush=True)
while True:
    try:
        np.linalg.eigvalsh(np.eye(1000))
    except BaseException:  # as some libraries do
        pass
"""


def test_a_stop_that_is_swallowed_ends_all_the_same():
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process, timeout=10)
    assert code == 130
    assert errors == "exp: interrupted; complete runs are saved, the same command continues\n"


def test_four_processes_make_each_run_once(tmp_path):
    _, expected = undisturbed("gram", tmp_path / "one", Forked)
    processes = [Forked("gram", tmp_path / "all") for _ in range(4)]
    ended = [finish(process) for process in processes]
    assert [(code, errors) for code, _, errors in ended] == [(0, "")] * 4
    assert sum(sum(made_by_job(out)) for _, out, _ in ended) == len(expected)
    assert content(tmp_path / "all") == expected and not leftovers(tmp_path / "all")


def test_a_process_waits_for_the_runs_of_another_and_makes_them_where_that_is_killed(tmp_path):
    arguments = ("iterations=1000000", "data.n=20", "data.d=3", "b0=1")
    command = [sys.executable, "-m", "experiments.linear_regression", *arguments, f"runs={tmp_path}"]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / ".claims/linear_regression").exists():
        assert first.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert "waiting for 1 runs that other processes are making" in second.stdout.readline()
    first.kill()
    first.wait()
    second.send_signal(signal.SIGTERM)  # it has taken the run over and would now compute for long
    assert finish(second)[0] == 143


def test_command_lines():
    counts, _, broken = fuzz.campaign(60, random.Random(1), slow=False)
    assert not broken
    assert {"ran", "refused"} <= {what for _, what in counts}


@pytest.mark.parametrize(
    "words", ["data=null", "data=[[1]]", "+data=-inf", "data={a:1}", "-m method=1.5", "-m data=null"]
)
def test_groups_that_are_no_names(words, tmp_path):
    result = within("linear_regression", *words.split(), f"runs={tmp_path / 'runs'}")
    assert fuzz.judge("linear_regression", words, result, tmp_path / "runs") == "refused"


@pytest.mark.parametrize("name", library.FUNCTIONS)
def test_every_public_function(name):
    counts = library.campaign(name, 40)
    assert counts[True] > 0


class Trap:
    """Unpickled, it leaves a folder behind."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_a_checkpoint_with_a_call_in_it_is_none_and_calls_nothing(tmp_path):
    """Nor is any loader asked to unpickle, which ruff's rules do not look for."""
    run = Store(tmp_path).opened(Run("exp", "a", {"seed": 0}, "code", "data"))
    Checkpoint(run, every=0.0).keep(lambda: {"model": Trap(tmp_path / "sprung")})
    assert run.checkpoint.exists() and Checkpoint(run).load() is None
    assert not (tmp_path / "sprung").exists()
    code = "".join(file.read_text() for folder in ("adaloss", "experiments") for file in (ROOT / folder).rglob("*.py"))
    assert not re.search(r"weights_only=False|allow_pickle=True|joblib\.load|full_load|unsafe_load", code)


def test_every_experiment_is_in_every_campaign():
    names = {file.stem for file in (ROOT / "configs/experiment").glob("*.yaml")} - {"cost"}  # times: never alike
    assert names == set(CASES) == set(fuzz.TINY) == set(fuzz.FIELDS)
