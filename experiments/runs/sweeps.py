"""A multirun: every job is composed and checked before the first starts, and those that lack runs are launched.

Runs that another process is making are left to it; the multirun goes on with its other jobs, and waits for them at its
end. Then a sweep with a name is listed in the store; a changed sweep of configs/sweep has a name of its own.
"""

import hashlib
import shlex
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import replace

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from adaloss.runs.files import printable
from experiments.runs import interrupt, registry
from experiments.runs.app import JobError, enlist, make, reported, tell
from experiments.runs.command_line import CONFIGS, key_of, parsed
from experiments.runs.jobs import Composer, composed, composition, given, spelled_out
from experiments.runs.schema import ConfigError
from experiments.runs.store import Run, StoreError

ELSEWHERE = ("runs", "scale", "sweep.name", "hydra.sweeper.max_batch_size")  # they do not change a sweep


class Named:
    """The name of a sweep under the command line's overrides, and what they change in it."""

    def __init__(self, config: DictConfig, name: str | None, loader: ConfigLoader):
        words = OverridesParser.create().parse_overrides(spelled_out(given(config, "task")))
        by_hand = any(word.key_or_group == "sweep.name" for word in words)
        choice = config.hydra.runtime.choices.get("sweep")
        choice = choice if isinstance(choice, str) else None  # null, or several at once
        self.name, self.loader = name, loader
        known = registry.listed()  # not a file in a folder of one's own, whose name is that of its list
        meant = name if by_hand or choice not in known else choice
        self.paper = meant if meant in known else None
        self.scale = config.hydra.runtime.choices.get("scale")
        self.changes = [word.input_line for word in words if word.key_or_group not in (*ELSEWHERE, "sweep")]
        of_sweeper = [word for word in given(config, "hydra") if key_of(word).startswith("hydra.sweeper")]
        self.changes += [word for word in of_sweeper if key_of(word) not in ELSEWHERE]
        self.plain = choice == self.paper and not self.changes
        self._other = [f"sweep={choice}"] if choice != self.paper else []

    def paper_jobs(self, name: str) -> Iterator[DictConfig]:
        """Yield the jobs of the sweep as its file has it; fields that the file leaves open are as on the command line.

        Raises Hydra's errors if it is not a sweep of this experiment.
        """
        words = [f"sweep={self.paper}", f"scale={self.scale}"]
        bare = self.loader.load_configuration(f"experiment/{name}", words, RunMode.MULTIRUN)
        words += [word for word in self.changes if _is_open(bare, key_of(word))]
        config = self.loader.load_configuration(f"experiment/{name}", words, RunMode.MULTIRUN)
        yield from (found for _, found in composed(name, config, Composer(self.loader)))

    def changed(self) -> str:
        """Take the name of a changed sweep, the same for the same command; returns what was changed."""
        words = sorted([*self.changes, *self._other])
        self.name = f"{self.paper}-{hashlib.sha256(chr(10).join(words).encode()).hexdigest()[:6]}"
        return f"{self.paper} with {' '.join(self.changes)}" if self.changes else f"what is not sweep={self.paper}"

    def drawing(self, runs: str) -> str:
        """Return the command that draws it, if there is one; ``runs`` is the store."""
        if not (CONFIGS.parent / "scripts" / f"{self.paper}.py").is_file():
            return ""
        scale = "" if self.scale == "laptop" else f" --scale {self.scale}"
        where = "" if runs == f"runs/{self.scale}" else f" --runs {shlex.quote(runs)}"
        return f"; python -m scripts.{self.paper} --sweep {self.name}{scale}{where} draws it"


class PlanningSweeper(Sweeper):
    """A sweeper that makes the jobs of Hydra's own, except those whose runs are complete."""

    def __init__(self, max_batch_size: int | None = None, params: DictConfig | None = None):
        self.size = max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra passes to every sweeper."""
        self.context, self.task, self.config = hydra_context, task_function, config
        self.name = config.hydra.job.config_name.rpartition("/")[2]
        self.composer = Composer(hydra_context.config_loader)

    def sweep(self, arguments: list[str]) -> None:
        """Plan, launch, and list. Raises what ``app.main`` has a line for."""
        with reported():
            lacking = self._plan()
            if not lacking:
                self._list()
                print(f"{self.what}: nothing to train")
                return
            self._prepare_launcher()
        # Slurm's jobs go on: they are on other machines, and outlast this process
        here = self.config.hydra.launcher._target_.endswith((".JoblibLauncher", ".LocalLauncher"))
        with interrupt.workers() if here else nullcontext():
            self._launch(lacking)
        with reported(self.store):
            self._finish()

    def _plan(self) -> list[tuple[str, ...]]:
        """Compose and validate every job; returns the overrides of those that lack runs."""
        if self.size is not None and not (isinstance(self.size, int) and self.size > 0):
            raise ConfigError(f"hydra.sweeper.max_batch_size={self.size}: should be at least 1, or null")
        HydraConfig.instance().set_config(self.config)  # for ${hydra:...}, as in the jobs themselves
        runs: dict[str, Run] = {}
        self.jobs: list[tuple[tuple[str, ...], set[str]]] = []
        places = []
        for words, config in composed(self.name, self.config, self.composer):
            experiment, *place = parsed(self.name, config)
            found = {run.id: run for run in experiment.runs()}
            runs |= found
            self.jobs.append((words, found.keys()))
            places.append(place)
        self.store, sweep = places[0]
        if {(store.root, name) for store, name in places} != {(self.store.root, sweep)}:
            raise ConfigError("runs, scale, sweep.name: a multirun has one folder and one name, the same for all jobs")
        self.runs, self.agreed = list(runs.values()), experiment.agreed
        with reported(self.store):
            self.listed, told = self._named(sweep)
            self.store.prepare()
            missing = self._missing()
            self.what, where = self.listed or "sweep", printable(self.store.root)
            count = f"{len(runs)} runs in {len(places)} jobs, {len(missing)} to make in {where}"
            print(*([told] if told else []), f"{self.what}: {count}", sep="\n", flush=True)
            tell(self.store, self.runs)
        return [words for words, ids in self.jobs if ids & missing]

    def _prepare_launcher(self) -> None:
        """Have each process of a launcher guard its streams first."""
        launcher = self.config.hydra.launcher
        if launcher._target_.endswith(".JoblibLauncher"):
            if launcher.n_jobs == 0:
                raise ConfigError(
                    "hydra.launcher.n_jobs=0: should be a number of processes, or -1 for as many as there are cores"
                )
            # The first thing in each process imports the project. Hydra's type of the launcher has no field for it.
            first = {"_target_": "hydra.utils.get_method", "path": "experiments.runs.streams.guard"}
            with read_write(self.config.hydra), open_dict(self.config.hydra):
                self.config.hydra.launcher = OmegaConf.to_container(launcher) | {"initializer": first}

    def _launch(self, jobs: list[tuple[str, ...]]) -> None:
        """Launch the jobs. Raises JobError, and ConfigError if the launcher or one of its processes fails."""
        try:
            context = replace(self.context, config_loader=self.composer)
            launcher = Plugins.instance().instantiate_launcher(context, self.task, self.config)
            size = self.size or len(jobs)
            for first in range(0, len(jobs), size):
                for result in launcher.launch(jobs[first : first + size], initial_job_idx=first):
                    _ = result.return_value  # raises what the job raised
        except JobError:
            raise
        except Exception as error:
            raise ConfigError(_launcher_line(error)) from error

    def _finish(self) -> None:
        """Wait for the runs of other processes, make what they left, and list the sweep's runs under its name."""
        missing = self._missing()
        for words, ids in self.jobs:
            if ids & missing:
                experiment, store, _ = parsed(self.name, composition(self.name, self.config, words, self.composer))
                make(experiment, store, experiment.runs(), wait=True)
        self._list()

    def _missing(self) -> set[str]:
        return {run.id for run in self.agreed(lambda: [run for run in self.runs if not self.store.has(run)])}

    def _list(self) -> None:
        if self.listed:
            enlist(self.store, self.listed, self.runs)

    def _named(self, sweep: str | None) -> tuple[str | None, str]:
        """Return the name under which to list the runs, and a line if that is not the one that was asked for."""
        named = Named(self.config, sweep, self.context.config_loader)
        if named.paper is None:
            return sweep, ""
        registry.check_maker(named.paper, self.name)
        if named.plain or self._is_of_paper(named):
            return named.paper, ""
        what = named.changed()
        return named.name, f"{what} is listed as {named.name}{named.drawing(str(self.store.root))}"

    def _is_of_paper(self, named: Named) -> bool:
        """Return whether the runs are those of the sweep's file, however split into jobs; if so, sort them as there."""
        mine, paper = {run.id for run in self.runs}, {}
        try:
            for config in named.paper_jobs(self.name):
                paper |= {run.id: run for run in parsed(self.name, config)[0].runs()}
                if not paper.keys() <= mine:
                    return False
        except (ConfigError, StoreError, HydraException):
            return False
        if paper.keys() == mine:
            self.runs = list(paper.values())
        return paper.keys() == mine


def _is_open(config: DictConfig, key: str) -> bool:
    """Return whether a field is left open for the command line: ???."""
    outer, _, inner = key.rpartition(".")
    fields = OmegaConf.select(config, outer) if outer else config
    return isinstance(fields, DictConfig) and OmegaConf.is_missing(fields, inner)


def _launcher_line(error: Exception) -> str:
    """Return what a launcher stops with; of a job of submitit's, its last words, or which it was if it was killed."""
    from submitit.core.utils import UncompletedJobError  # a tenth of a second, which no other command needs

    if isinstance(error, BrokenProcessPool):
        return "a process that made runs was killed (out of memory?); the same command continues"
    if not isinstance(error, UncompletedJobError):
        return " ".join(str(error).split()) or type(error).__name__
    first, *lines = str(error).splitlines()
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return said[-1] if said else f"{first.split(' with path')[0]} ended without a result; the same command continues"
