"""How every experiment starts: Hydra composes the jobs, all of them are checked, then what the store lacks is made.

Errors end with one line on stderr and status 2; Ctrl-C with status 130. In a multirun, *every* job is composed and
validated before the first starts, and what is complete is counted; a sweep with a name is listed in the store
when all its runs are there.
"""

import importlib
import os
import re
import sys
import time
import traceback
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from submitit.core.utils import UncompletedJobError
from threadpoolctl import threadpool_limits
from tqdm import tqdm

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
    task = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=f"experiment/{name}")(
        partial(job, name)
    )
    try:
        task()
    except (HydraException, OmegaConfBaseException) as error:
        _stop(_hydra_line(name, error))
    except UncompletedJobError as error:
        _stop(_submitit_line(error))
    except KeyboardInterrupt:
        print(f"{name}: interrupted; complete runs are saved, the same command continues", file=sys.stderr)
        sys.exit(130)


def job(name: str, config: DictConfig) -> None:
    """One job: make the runs that the store lacks."""
    try:
        experiment, store, _ = _parse(name, config)
        store.prepare()
        runs = experiment.runs()
        missing = experiment.agreed([run for run in runs if not store.has(run)])
        if missing:
            _execute(experiment, missing, store)
    except (ConfigError, StoreError) as error:
        _stop(str(error))  # here, since Hydra writes lines of its own about an exception that leaves a job
    # One write: the lines of jobs that run side by side stay whole.
    done = f"{len(runs) - len(missing)} of {len(runs)} were complete, {len(missing)} made"
    sys.stdout.write(f"{name}: {_folders(runs)}: {done}\n")
    sys.stdout.flush()


def _execute(experiment: Experiment, missing: list[Run], store: Store) -> None:
    start = time.perf_counter()
    waiting = {run.id: run for run in missing}
    progress = partial(tqdm, disable=None, leave=False, mininterval=0.5, unit="it")
    try:
        with threadpool_limits(1):  # small products: threads cost more than they give, and change the bits
            experiment.prepare(store, progress)
            opened = [store.opened(run) for run in missing]
            for run, status, history, results in experiment.execute(opened, progress):
                share = (time.perf_counter() - start) / len(missing)
                store.save(run, status, history, results, share)
                del waiting[run.id]
    except (ConfigError, StoreError):
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
        try:
            self.runs, self.store, self.sweep, jobs = self._plan(config)
            self.store.prepare()
            missing = sum(not self.store.has(run) for run in self.runs)
        except (ConfigError, StoreError) as error:
            _stop(str(error))
        except (HydraException, OmegaConfBaseException) as error:
            _stop(_hydra_line(self.name, error))
        except Exception:  # Hydra would turn it into a warning and go on
            traceback.print_exc()
            sys.exit(1)
        what = self.sweep or "sweep"
        print(f"{what}: {len(self.runs)} runs in {jobs} jobs, {missing} to make in {self.store.root}", flush=True)
        if not missing:
            self.on_multirun_end()
            print(f"{what}: nothing to train")
            sys.exit(0)

    def on_multirun_end(self, **_: Any) -> None:
        """List the sweep's runs under its name."""
        if not self.sweep:
            return
        try:
            self.store.save_sweep(self.sweep, self.runs)
        except StoreError as error:
            _stop(str(error))

    def _plan(self, config: DictConfig) -> tuple[list[Run], Store, str | None, int]:
        loader = GlobalHydra.instance().config_loader()
        params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides(params + list(config.hydra.overrides.task))
        jobs = BasicSweeper.split_arguments(overrides, None)[0]
        runs: dict[str, Run] = {}
        for overrides in jobs:
            composed = loader.load_sweep_config(config, list(overrides))
            OmegaConf.set_readonly(composed, False)
            OmegaConf.set_struct(composed, False)
            del composed["hydra"]
            experiment, store, sweep = _parse(self.name, composed)
            runs |= {run.id: run for run in experiment.runs()}
        return list(runs.values()), store, sweep, len(jobs)


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
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)
