"""The start of every experiment: Hydra composes the job, or the jobs (``sweeps.py``); missing runs are made.

Errors end with one line on stderr and status 2; Ctrl-C with status 130, SIGTERM with 143, SIGHUP with 129. Runs that
another process is making are left to it, and waited for at the end.
"""

import gc
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from adaloss.runs.files import one_line, printable
from experiments.runs import interrupt, registry, streams
from experiments.runs.command_line import CONFIGS, WRONG_GROUPS, key_of, parsed, refusal
from experiments.runs.locks import Claims
from experiments.runs.registry import SweepError
from experiments.runs.schema import ConfigError, Experiment
from experiments.runs.store import Run, Store, StoreError

REFUSALS = (ConfigError, StoreError, SweepError, MemoryError)  # errors whose message is a line for the user


class JobError(Exception):
    """A job broke, where no line can say what to do: the message is the traceback, which no launcher passes on."""


def main(name: str) -> None:
    """Run the experiment module ``experiments.<name>`` on the command line's overrides."""
    streams.guard()
    gc.freeze()  # no collection of garbage has to walk what the imports made: a seventh of a short run
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own traceback
    task = partial(job, name)
    task.__module__ = f"experiments.{name}"  # the last word of which Hydra takes as hydra.job.name
    start = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=f"experiment/{name}")(task)
    restore = interrupt.watch(name)
    try:
        if WRONG_GROUPS:
            raise ConfigError(WRONG_GROUPS[0])
        _check_folder()
        _check_order(sys.argv[1:])
        for word in sys.argv[1:]:  # another experiment's sweep, or a wrong file of one: Hydra would speak of fields
            if key_of(word) == "sweep":
                registry.check_maker(word.partition("=")[2], name)
        start()
    except JobError as error:
        sys.stderr.write(str(error))
        sys.exit(1)
    except REFUSALS as error:
        _stop(str(error))
    except Exception as error:  # Hydra's: our own code's are one of those
        _stop(refusal(name, error, sys.argv[1:]))
    finally:
        restore()


def job(name: str, config: DictConfig) -> None:
    """Run one job: make the runs that the store lacks."""
    try:
        with reported():
            experiment, store, sweep = parsed(name, config)
            alone = HydraConfig.get().mode != RunMode.MULTIRUN
            sweep = _own(sweep) if alone else None  # a multirun lists the runs of all its jobs
        with reported(store):
            store.prepare()
            runs = experiment.runs()
            if alone:
                tell(store, runs)
            complete, made = make(experiment, store, runs, wait=alone)
            if sweep:
                enlist(store, sweep, runs)
    except REFUSALS as error:
        _stop(str(error))  # here, since Hydra writes lines of its own about an exception that leaves a job
    # One write: the lines of jobs that run side by side stay whole.
    left = len(runs) - complete - made
    done = f"{complete} of {len(runs)} were complete{f', {left} left to other processes' if left else ''}, {made} made"
    sys.stdout.write(f"{name}: {_folders(runs)}: {done}\n")
    sys.stdout.flush()


def enlist(store: Store, sweep: str, runs: list[Run]) -> None:
    """List the runs under a sweep's name; print how many a list of one's own has lost by that. Raises StoreError."""
    gone = store.save_sweep(sweep, runs)
    if gone and sweep not in registry.listed():
        lost = f"{len(gone)} of those before"
        print(f"note: {sweep} lists other runs now, and no longer {lost}; another sweep.name keeps both", flush=True)


def _own(sweep: str | None) -> str | None:
    """Return the name of a sweep of one's own, None for a file's of which this is no multirun. Raises ConfigError."""
    if sweep not in registry.listed():
        return sweep
    if HydraConfig.get().runtime.choices.get("sweep") == sweep:
        return None
    raise ConfigError(f"sweep.name={sweep}: configs/sweep has this name; take another")


@contextmanager
def reported(store: Store | None = None) -> Iterator[None]:
    """Turn errors of our own code into those whose message is a line for the user, or into a JobError."""
    try:
        yield
    except (*REFUSALS, JobError):
        raise
    except Exception as error:
        files = (error.filename, error.filename2) if isinstance(error, OSError) else ()
        if _of_memory(error):
            raise MemoryError(one_line(error)) from error
        if store is not None and any(str(file).startswith(str(store.root)) for file in files):
            raise StoreError(
                f"runs={printable(store.root)}: {printable(error.filename)}: {os.strerror(error.errno)}; "
                "fix the folder and run the same command again"
            ) from error
        raise JobError(traceback.format_exc()) from error


def make(experiment: Experiment, store: Store, runs: list[Run], *, wait: bool) -> tuple[int, int]:
    """Make the runs that the store lacks and no other process is making; ``wait`` for those and see what they left.

    Returns how many were complete, before or by others, and how many were made here.
    """

    def lacking() -> list[Run]:
        return experiment.agreed(lambda: [run for run in runs if not store.has(run)])

    progress = partial(tqdm, disable=None, leave=False, mininterval=0.5)
    missing = lacking()
    if not missing:
        return len(runs), 0
    made, prepared, told = 0, False, False
    # Small products: threads cost more than they give, and change the bits.
    with threadpool_limits(1), Claims(store.root, runs[0].experiment) as claims:
        while True:
            parts = [part for part in experiment.parts(missing) if part]
            for part in progress(parts, unit="run") if len(parts) > 1 else parts:
                mine = experiment.agreed(lambda part=part: [run for run in claims.take(part) if not store.has(run)])
                if mine:
                    if not prepared:
                        experiment.prepare(store, progress)
                        prepared = True
                    _execute(experiment, mine, store, progress)
                    made += len(mine)
                claims.release()
            missing = lacking()
            if not (missing and wait):
                return len(runs) - len(missing) - made, made
            if not told:
                print(f"waiting for {len(missing)} runs that other processes are making ({claims.file})", flush=True)
                told = True
            experiment.agreed(lambda first=missing[0]: claims.wait(first))


def _execute(experiment: Experiment, missing: list[Run], store: Store, progress: Callable[..., Iterable]) -> None:
    start = time.perf_counter()
    waiting = {run.id: run for run in missing}
    try:
        opened = [store.opened(run) for run in missing]
        for outcome in experiment.execute(opened, progress):
            share = (time.perf_counter() - start) / len(missing)
            store.save(outcome.run, outcome.status, outcome.history, outcome.results, share)
            del waiting[outcome.run.id]
    except REFUSALS:
        raise
    except Exception as error:
        for run in waiting.values() if not _of_memory(error) else ():
            store.save_failure(run, traceback.format_exc())
        raise


def _of_memory(error: Exception) -> bool:
    """Return whether torch had too little memory, for which it has no error of its own on the CPU."""
    return isinstance(error, RuntimeError) and bool(re.search("can't allocate memory|out of memory", str(error)))


def tell(store: Store, runs: list[Run]) -> None:
    """Print where runs go if not into the project, for lack of a whole path, and which look alike.

    Labels show six digits of a number; cells may differ behind these alone.
    """
    if not store.root.is_absolute() and not Path.cwd().samefile(CONFIGS.parent):
        print(f"note: runs are saved in {printable(store.root.resolve())}", flush=True)
    known: dict[str, Run] = {}
    for run in runs:
        shown = f"{run.experiment}/{run.label} {_six_digits(run.config)}"
        if known.setdefault(shown, run).id != run.id:
            print(f"note: two runs or more are called {run.label}: they differ only after the sixth digit", flush=True)
            return


def _six_digits(value: Any) -> str:
    if isinstance(value, Mapping):
        return str({key: _six_digits(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return str([_six_digits(inner) for inner in value])
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _folders(runs: list[Run]) -> str:
    first = runs[0].label.split("_b0=")[0]
    return f"{first} ({len(runs)} runs)" if len(runs) > 1 else runs[0].label


def _check_folder() -> None:
    """Refuse to start in a folder that was deleted, where no name leads anywhere."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        where = printable(os.environ.get("PWD", "."))
        raise ConfigError(f"{where}: the folder of this command was deleted; go to another one (cd)") from error


def _check_order(words: list[str]) -> None:
    """Refuse what argparse loses: overrides behind a flag that follows others."""
    flags = [k for k, word in enumerate(words) if word.startswith("-")]
    overrides = [k for k, word in enumerate(words) if k not in flags and ("=" in word or word.startswith("~"))]
    for k, word in enumerate(words):
        if k in flags and overrides and overrides[0] < k < overrides[-1]:
            raise ConfigError(f"{word}: should come before the overrides or after them")


def _stop(line: str) -> None:
    print(f"error: {printable(line) or 'out of memory'}", file=sys.stderr)
    sys.exit(2)
