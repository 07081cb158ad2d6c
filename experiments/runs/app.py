"""How every experiment starts: Hydra composes the jobs, all of them are checked, then what the store lacks is made.

Errors end with one line on stderr and status 2; Ctrl-C with status 130, SIGTERM with 143, SIGHUP with 129. In a
multirun, *every* job is composed and validated before the first starts, and what is complete is counted. Runs that
another process is making are left to it: a multirun goes on with its other jobs, and waits for them at its end; then a
sweep with a name is listed in the store.
"""

import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from hydra.utils import get_original_cwd
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from submitit.core.utils import UncompletedJobError
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments.runs import command_line, interrupt, streams, sweeps
from experiments.runs.command_line import AROUND, CONFIGS, refusal
from experiments.runs.locks import Claims
from experiments.runs.messages import printable
from experiments.runs.schema import ConfigError, Experiment, validated
from experiments.runs.store import Run, Store, StoreError


class JobError(Exception):
    """A job broke, where no line can say what to do: the message is the traceback, which no launcher passes on."""


def main(name: str) -> None:
    """Run the experiment module ``experiments.<name>`` on the command line's overrides."""
    streams.guard()
    # argparse loses what stands behind a -m that stands behind an override
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own traceback
    # Hydra composes every job once more before the first starts, to see that it can; Plan has seen it by then.
    Sweeper.validate_batch_is_legal = lambda *_: None
    task = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=f"experiment/{name}")(
        partial(job, name)
    )
    with interrupt.watch(name):
        try:
            task()
        except JobError as error:
            sys.stderr.write(str(error))
            sys.exit(1)
        except UncompletedJobError as error:
            _stop(_submitit_line(error))
        except BrokenProcessPool:
            _stop("a process that made runs was killed (out of memory?); the same command continues")
        except Exception as error:
            _stop(refusal(name, error))
        except interrupt.Stopped as signal:
            interrupt.end(name, signal.number)


def job(name: str, config: DictConfig) -> None:
    """One job: make the runs that the store lacks."""
    store = None
    try:
        experiment, store, _ = _parse(name, config)
        store.prepare()
        runs = experiment.runs()
        alone = HydraConfig.get().mode != RunMode.MULTIRUN
        if alone:
            _tell_elsewhere(store)
            _tell_alike(runs)
        complete, made = _make(experiment, store, runs, wait=alone)
    except (ConfigError, StoreError, MemoryError) as error:
        _stop(str(error))  # here, since Hydra writes lines of its own about an exception that leaves a job
    except Exception as error:
        if _concerns(error, store):
            _stop(_folder_line(error, store))
        raise JobError(traceback.format_exc()) from error
    # One write: the lines of jobs that run side by side stay whole.
    left = len(runs) - complete - made
    done = f"{complete} of {len(runs)} were complete{f', {left} left to other processes' if left else ''}, {made} made"
    sys.stdout.write(f"{name}: {_folders(runs)}: {done}\n")
    sys.stdout.flush()


def _make(experiment: Experiment, store: Store, runs: list[Run], *, wait: bool) -> tuple[int, int]:
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
        for run, status, history, results in experiment.execute(opened, progress):
            share = (time.perf_counter() - start) / len(missing)
            store.save(run, status, history, results, share)
            del waiting[run.id]
    except (ConfigError, StoreError, MemoryError):
        raise
    except Exception:
        for run in waiting.values():
            store.save_failure(run, traceback.format_exc())
        raise


class Plan(Callback):
    """Checks all jobs of a multirun before any starts, and lists a named sweep when its runs are there."""

    def __init__(self, name: str):
        self.name = name

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Compose and validate every job; stop here when nothing is left to do."""
        with self._one_line():
            command_line.spell_out(config, GlobalHydra.instance().config_loader())
            runs: dict[str, Run] = {}
            places = []
            for experiment, *place in self._jobs(config):
                runs |= {run.id: run for run in experiment.runs()}
                places.append(place)
            self.store, sweep = places[0]
            if {(store.root, name) for store, name in places} != {(self.store.root, sweep)}:
                raise ConfigError(
                    "runs, scale, sweep.name: a multirun has one folder and one name, the same for all jobs"
                )
            self.runs, self.agreed = list(runs.values()), experiment.agreed
            self.sweep, told = self._named(config, sweep)
            self.store.prepare()
            _tell_elsewhere(self.store)
            missing = len(self._missing())
            what, where = self.sweep or "sweep", printable(self.store.root)
            lines = [told] if told else []
            print(
                *lines,
                f"{what}: {len(runs)} runs in {len(places)} jobs, {missing} to make in {where}",
                sep="\n",
                flush=True,
            )
            _tell_alike(self.runs)
            if not missing:
                self._list()
                print(f"{what}: nothing to train")
                sys.exit(0)
            _bind(config)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Wait for what was left to other processes, make what they left, and list the sweep's runs under its name."""
        with self._one_line():
            if self._missing():
                for experiment, store, _sweep in self._jobs(config):
                    _make(experiment, store, experiment.runs(), wait=True)
            self._list()

    def _missing(self) -> list[Run]:
        return self.agreed(lambda: [run for run in self.runs if not self.store.has(run)])

    def _list(self) -> None:
        if self.sweep:
            self.store.save_sweep(self.sweep, self.runs)

    def _jobs(self, config: DictConfig) -> Iterator[tuple[Experiment, Store, str | None]]:
        for found in command_line.composed(self.name, config, GlobalHydra.instance().config_loader()):
            yield _parse(self.name, found)

    def _named(self, config: DictConfig, sweep: str | None) -> tuple[str | None, str]:
        """The name under which to list the runs, and a line where that is not the one that was asked for."""
        named = command_line.Named(config, sweep)
        if named.paper is None:
            return sweep, ""
        owner = command_line.experiment_of(named.paper)
        if owner not in (None, self.name):
            raise ConfigError(f"sweep={named.paper}: is made by experiments.{owner}")
        if named.plain or self._is_of_paper(named):
            return named.paper, ""
        what = named.changed()
        return named.name, f"{what} is listed as {named.name}{named.drawing(str(self.store.root))}"

    def _is_of_paper(self, named: command_line.Named) -> bool:
        """Whether the runs are those of the sweep's file, however the command line has cut them; then in its order."""
        mine, paper = {run.id for run in self.runs}, {}
        try:
            for config in named.paper_jobs(self.name, GlobalHydra.instance().config_loader()):
                paper |= {run.id: run for run in _parse(self.name, config)[0].runs()}
                if not paper.keys() <= mine:
                    return False
        except (ConfigError, StoreError, HydraException):
            return False
        if paper.keys() == mine:
            self.runs = list(paper.values())
        return paper.keys() == mine

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Errors end the process here: Hydra would turn them into a warning and go on."""
        try:
            yield
        except (ConfigError, StoreError, MemoryError) as error:
            _stop(str(error))
        except Exception as error:
            try:
                store = getattr(self, "store", None)
                _stop(_folder_line(error, store) if _concerns(error, store) else refusal(self.name, error))
            except Exception:
                traceback.print_exc()
                sys.exit(1)


def _bind(config: DictConfig) -> None:
    """Have the processes of this machine that make the jobs end with this one, and their prints cost nothing."""
    launcher = config.hydra.launcher
    if launcher._target_.endswith((".JoblibLauncher", ".LocalLauncher")):
        interrupt.bind_workers()
    if launcher._target_.endswith(".JoblibLauncher"):
        if launcher.n_jobs == 0:
            raise ConfigError(
                "hydra.launcher.n_jobs=0: should be a number of processes, or -1 for as many as there are cores"
            )
        # The first thing in each process imports the project. Hydra's type of the launcher has no field for it.
        first = {"_target_": "hydra.utils.get_method", "path": "experiments.runs.streams.guard"}
        with read_write(config), open_dict(config):
            config.hydra.launcher = OmegaConf.to_container(launcher) | {"initializer": first}


def _parse(name: str, config: DictConfig) -> tuple[Experiment, Store, str | None]:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(refusal(name, error)) from error
    around = {key: values.pop(key, None) for key in AROUND}
    return validated(command_line.model(name), values), _store(around["runs"]), _sweep_name(around["sweep"])


def _store(runs: Any) -> Store:
    """The store. Raises ConfigError where its name is none."""
    if not isinstance(runs, str) or not runs:
        raise ConfigError(f"runs={runs!r}: should be a folder")
    try:
        sound = os.fsencode(runs) == runs.encode()  # Arrow and git write names in UTF-8, whatever the locale says
    except UnicodeEncodeError:
        sound = False
    if not sound:
        raise ConfigError(
            f"runs={printable(runs)}: such a name needs UTF-8, which the locale does not have; "
            "choose another folder, or set PYTHONUTF8=1"
        )
    return Store(_started_in() / runs if Path.cwd() != _started_in() else runs)


def _started_in() -> Path:
    """Where the command was given: hydra.job.chdir=true has its jobs work elsewhere."""
    return Path(get_original_cwd()) if HydraConfig.initialized() else Path.cwd()


def _tell_elsewhere(store: Store) -> None:
    """Say where runs go that go elsewhere than into the project, for want of a whole path."""
    if not store.root.is_absolute() and not Path.cwd().samefile(CONFIGS.parent):
        print(f"note: runs are kept in {printable(store.root.resolve())}", flush=True)


def _sweep_name(sweep: Any) -> str | None:
    """The name of a sweep, which becomes a file's. Raises ConfigError where it is no plain word."""
    fields = sweep if isinstance(sweep, dict) else {"name": sweep}
    for key in fields:
        if key not in sweeps.FIELDS:
            raise ConfigError(f"sweep.{key}={fields[key]!r}: no such field; allowed are {', '.join(sweeps.FIELDS)}")
    name = fields.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or len(name.encode(errors="replace")) > 100 or not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(
            f"sweep.name={name!r}: should be a word of at most 100 letters, digits, dots, dashes and underscores, "
            "and begin with neither dot nor dash"
        )
    return name


def _tell_alike(runs: list[Run]) -> None:
    """Say so where cells differ in nothing that their labels show, which is six digits of a number."""
    known: dict[str, Run] = {}
    for run in runs:
        shown = f"{run.experiment}/{run.label} {_six_digits(run.config)}"
        if known.setdefault(shown, run).id != run.id:
            print(f"note: two runs or more are called {run.label}: they differ behind the sixth digit only", flush=True)
            return


def _six_digits(value: Any) -> str:
    if isinstance(value, Mapping):
        return str({key: _six_digits(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return str([_six_digits(inner) for inner in value])
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _concerns(error: Exception, store: Store | None) -> bool:
    """Whether the error is the system's word on a file of the store."""
    files = (getattr(error, "filename", None), getattr(error, "filename2", None)) if isinstance(error, OSError) else ()
    return store is not None and any(str(file).startswith(str(store.root)) for file in files)


def _folder_line(error: OSError, store: Store) -> str:
    return (
        f"runs={printable(store.root)}: {printable(error.filename)}: {os.strerror(error.errno)}; "
        "mend the folder and give the same command again"
    )


def _folders(runs: list[Run]) -> str:
    first = runs[0].label.split("_b0=")[0]
    return f"{first} ({len(runs)} runs)" if len(runs) > 1 else runs[0].label


def _submitit_line(error: UncompletedJobError) -> str:
    """What a job of submitit's said before it ended; which job it was if it was killed and said nothing."""
    first, *lines = str(error).splitlines()
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return said[-1] if said else f"{first.split(' with path')[0]} ended without a result; the same command continues"


def _stop(line: str) -> None:
    print(f"error: {printable(line) or 'out of memory'}", file=sys.stderr)
    sys.exit(2)
