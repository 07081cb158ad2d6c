"""How every experiment starts: Hydra composes the jobs, all of them are checked, then what the store lacks is made.

Errors end with one line on stderr and status 2; Ctrl-C with status 130, SIGTERM with 143. In a multirun, *every* job is
composed and validated before the first starts, and what is complete is counted. Runs that another process is making are
left to it: a multirun goes on with its other jobs, and waits for them at its end; then a sweep with a name is listed in
the store.
"""

import importlib
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from submitit.core.utils import UncompletedJobError
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments import interrupt
from experiments.locks import Claims
from experiments.schema import ConfigError, Experiment, validated
from experiments.store import Run, Store, StoreError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# Fields that say where and how often, not what: they never reach a run's identity.
AROUND = ("runs", "scale", "sweep", "alpha")


def main(name: str) -> None:
    """Run the experiment module ``experiments.<name>`` on the command line's overrides."""
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
        except UncompletedJobError as error:
            _stop(_submitit_line(error))
        except Exception as error:
            _stop(refusal(name, error))
        except interrupt.Stopped as signal:
            interrupt.end(name, signal.number)


def job(name: str, config: DictConfig) -> None:
    """One job: make the runs that the store lacks."""
    try:
        experiment, store, _ = _parse(name, config)
        store.prepare()
        runs = experiment.runs()
        alone = HydraConfig.get().mode != RunMode.MULTIRUN
        complete, made = _make(experiment, store, runs, wait=alone)
    except (ConfigError, StoreError, MemoryError) as error:
        _stop(str(error))  # here, since Hydra writes lines of its own about an exception that leaves a job
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
            runs: dict[str, Run] = {}
            jobs = 0
            for job_of_sweep in self._jobs(config):
                runs |= {run.id: run for run in job_of_sweep[0].runs()}
                jobs += 1
            experiment, self.store, self.sweep = job_of_sweep  # the last: all have the same store and sweep
            self.runs, self.agreed = list(runs.values()), experiment.agreed
            self.store.prepare()
            missing = len(self._missing())
            what = self.sweep or "sweep"
            print(f"{what}: {len(self.runs)} runs in {jobs} jobs, {missing} to make in {self.store.root}", flush=True)
            if not missing:
                self._list()
                print(f"{what}: nothing to train")
                sys.exit(0)

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
        loader = GlobalHydra.instance().config_loader()
        params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        parser = OverridesParser.create(config_loader=loader)
        every = parser.parse_overrides(params + list(config.hydra.overrides.task))
        for overrides in BasicSweeper.split_arguments(every, None)[0]:
            composed = loader.load_sweep_config(config, list(overrides))
            OmegaConf.set_readonly(composed, False)
            OmegaConf.set_struct(composed, False)
            del composed["hydra"]
            yield _parse(self.name, composed)

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Errors end the process here: Hydra would turn them into a warning and go on."""
        try:
            yield
        except (ConfigError, StoreError, MemoryError) as error:
            _stop(str(error))
        except Exception as error:
            try:
                _stop(refusal(self.name, error))
            except Exception:
                traceback.print_exc()
                sys.exit(1)


@cache
def _model(name: str) -> type[Experiment]:
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def _parse(name: str, config: DictConfig) -> tuple[Experiment, Store, str | None]:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_hydra_line(name, error)) from error
    around = {key: values.pop(key, None) for key in AROUND}
    if not isinstance(around["runs"], str) or not around["runs"]:
        raise ConfigError(f"runs={around['runs']!r}: should be a folder")
    return validated(_model(name), values), Store(around["runs"]), (around["sweep"] or {}).get("name")


def _folders(runs: list[Run]) -> str:
    first = runs[0].label.split("_b0=")[0]
    return f"{first} ({len(runs)} runs)" if len(runs) > 1 else runs[0].label


def refusal(name: str, error: Exception) -> str:
    """The line about a command line that Hydra refuses; any other error is raised again."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _hydra_line(name, error)
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if isinstance(error, ValueError | TypeError) and frame.f_globals["__name__"].startswith("hydra."):
        # Hydra's own stumbling over data=null, data=1.5 or data=[[1]]
        groups = {folder.name for folder in CONFIGS.iterdir()}
        given = [word for word in sys.argv if word.lstrip("+~").partition("=")[0] in groups]
        return f"{' '.join(given)}: not understood, should be names of configurations ({error})"
    raise error


def _hydra_line(name: str, error: Exception) -> str:
    """One line from Hydra's and OmegaConf's errors, which span several and name no allowed key for a misspelt one."""
    text = " ".join(str(error).split())
    for tail in (" See https", " Set the environment", " Config search path", " full_key"):
        text = text.split(tail)[0]
    text = text.replace(f"In 'experiment/{name}': ", "")
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood ({text})"
    key = re.search(r"Could not override '([^']*)'", text)
    if key:
        given = next((word for word in sys.argv if word.lstrip("+~").startswith(f"{key[1]}=")), key[1])
        return f"{given}: no such field; allowed are {', '.join(sorted({*_model(name).model_fields, *AROUND}))}"
    return text


def _submitit_line(error: UncompletedJobError) -> str:
    """What a job of submitit's said before it ended; which job it was if it was killed and said nothing."""
    first, *lines = str(error).splitlines()
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return said[-1] if said else f"{first.split(' with path')[0]} ended without a result; the same command continues"


def _stop(line: str) -> None:
    print(f"error: {line or 'out of memory'}", file=sys.stderr)
    sys.exit(2)
