"""Experiments as a user starts them: forks of the test's process, which spares them the imports, or processes."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from unittest import mock

import hydra
import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from joblib.externals.loky import reusable_executor

from experiments.runs import app, interrupt  # by the parent: a fork is to begin with its handlers
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.command_line import CONFIGS, model
from experiments.runs.identity import code_hash
from experiments.runs.store import Run, verify

ROOT = Path(__file__).resolve().parents[2]
FORKS = not torch.cuda.is_available()  # beside a GPU autograd has threads, and does not work in a fork


class Fork:
    """``python -m experiments.NAME`` as a fork; has what ``finish`` and a signal need of a Popen."""

    def __init__(self, name, arguments, prepare=None):
        if not FORKS:
            pytest.skip("a fork cannot compute beside a GPU")
        code_hash(model(name).__module__)  # the parent remembers what its forks would each compute
        self.streams = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115 (until it has ended)
        self.returncode = None
        self.pid = os.fork()
        if self.pid:
            return
        try:
            os._exit(self._run(name, arguments, prepare))
        finally:  # whatever happens, the child never goes on as a second parent
            os._exit(1)

    def _run(self, name, arguments, prepare):
        try:
            interrupt.watch(name)
            for number, stream in enumerate(self.streams, start=1):
                os.dup2(stream.fileno(), number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
            sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
            sys.argv = [f"experiments/{name}.py", *map(str, arguments)]
            os.chdir(ROOT)
            reusable_executor._executor = None  # the parent's workers do not answer a fork
            if prepare is not None:
                prepare()
            app.main(name)
        except SystemExit as error:
            return error.code or 0
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
        return 0

    def poll(self):
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if done else None
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(9)
        while self.poll() is None:
            time.sleep(0.01)
        for stream in self.streams:
            stream.close()

    def communicate(self, timeout):
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(0.005)
        texts = []
        for stream in self.streams:
            stream.seek(0)
            texts.append(stream.read())
        return texts


def eager():
    """A checkpoint after every step instead of every ten seconds."""
    Checkpoint.__init__.__defaults__ = (0.0,)


def kept_state(file):
    """The state behind a checkpoint's first line, read without the class that wrote it."""
    return torch.load(io.BytesIO(file.read_bytes().partition(b"\n")[2]), weights_only=True)


def finish(process, timeout=600):
    """Returncode, stdout and stderr of a process that ends by itself; none is ever left behind."""
    try:
        out, errors = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, out, errors


def launch(*arguments, experiment="linear_regression", prepare=None):
    """Run to the end; the result has returncode, stdout and stderr. ``prepare`` is called in the process, a fork."""
    if FORKS or prepare:
        return subprocess.CompletedProcess(arguments, *finish(Fork(experiment, arguments, prepare), timeout=300))
    words = command(*arguments, experiment=experiment)
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def within(experiment, *arguments):
    """The same in this process, which spares it the imports: for what ends soon.

    --cfg leaves a configuration of Hydra's behind, in whose folder the process's next multirun would save its runs.
    """
    argv, sys.argv, status = sys.argv, [experiment, *map(str, arguments)], 0
    of_hydra, before = HydraConfig.instance(), HydraConfig.instance().cfg
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as errors:
        try:
            with mock.patch("gc.freeze"):  # it would keep what earlier calls left
                app.main(experiment)
        except SystemExit as stop:
            status = stop.code
        finally:
            sys.argv, of_hydra.cfg = argv, before
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), errors.getvalue())


@cache
def loader():
    """Hydra's loader of this project's configurations."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return GlobalHydra.instance().config_loader()


@cache
def master(experiment, *words):
    """The configuration of a multirun, from which those of its jobs are made."""
    return loader().load_configuration(f"experiment/{experiment}", list(words), RunMode.MULTIRUN)


def command(*arguments, experiment="linear_regression"):
    return [sys.executable, "-m", f"experiments.{experiment}", *map(str, arguments)]


def made_by_job(out):
    """How many runs each job of one call made anew, by its own account."""
    return [int(line.split(", ")[-1].split()[0]) for line in out.splitlines() if line.endswith(" made")]


def made(result):
    """How many runs the jobs of one call made anew together."""
    assert result.returncode == 0, result.stderr
    return sum(made_by_job(result.stdout))


def option(group, name):
    """The values of an option of a group that is one file."""
    return yaml.safe_load((ROOT / f"configs/{group}.yaml").read_text())[name]


def content(root, experiment="[!.]*"):
    """What a store holds: folder -> (config, bytes of the history, status, results). A run that is not whole fails."""
    found = {}
    for folder in sorted(Path(root).glob(f"{experiment}/*-*/")):
        assert verify(folder) == []
        config, history, summary = (folder / name for name in ("config.yaml", "history.parquet", "summary.json"))
        said = json.loads(summary.read_text())
        values = yaml.safe_load(config.read_text()), history.read_bytes(), said["status"], said["result"]
        found[f"{folder.parent.name}/{folder.name}"] = values
    return found


def nothing_kept():
    """A checkpoint of no file."""
    return Checkpoint(Run("none", "a", {}, "code", "data"))


def executed(config):
    """The one run of a configuration."""
    [made] = config.execute(config.runs(), lambda steps, **words: steps)
    return made
