"""The words behind ``python -m experiments.NAME``: the jobs of a multirun, its name, a line about what is wrong."""

import hashlib
import importlib
import itertools
import re
import shlex
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from decimal import Decimal
from functools import cache
from pathlib import Path

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Sweep
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from experiments.runs import sweeps
from experiments.runs.schema import ConfigError, Experiment

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# Fields that say where and how often, not what: they never reach a run's identity.
AROUND = ("runs", "scale", "sweep", "alpha", "compared")
ELSEWHERE = ("runs", "scale", "sweep.name")  # of these, a sweep stays what it is whatever they are


def spell_out(config: DictConfig, loader: ConfigLoader) -> None:
    """Put the values of a multirun's ranges in their place, so that Hydra makes the jobs that were checked.

    Hydra would add binary fractions: range(0.1,0.4,0.1) would be 0.1, 0.2, 0.30000000000000004 and 0.4.
    """
    batch = config.hydra.sweeper.get("max_batch_size")
    if batch is not None and not (isinstance(batch, int) and batch > 0):
        raise ConfigError(f"hydra.sweeper.max_batch_size={batch}: should be at least 1, or null")
    parser = OverridesParser.create(config_loader=loader)

    def explicit(words: Iterable[str]) -> list[str]:
        overrides = parser.parse_overrides(list(words))
        ranges = {o.input_line: f"{o.get_key_element()}={','.join(_range(o))}" for o in overrides if o.is_range_sweep()}
        return [ranges.get(o.input_line, o.input_line) for o in overrides]

    params, words = explicit(_params(config)), explicit(_words(config))
    with read_write(config), open_dict(config):
        config.hydra.sweeper.params = dict(word.split("=", 1) for word in params)
        config.hydra.overrides.task = words


def _words(config: DictConfig) -> list[str]:
    """The overrides of the command line as they were given: b0=${eta} means each job's own eta."""
    return OmegaConf.to_container(config.hydra.overrides.task, resolve=False)


def _params(config: DictConfig) -> list[str]:
    """The overrides that a sweep's own file has: hydra.sweeper.params."""
    return [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]


def _range(override: Override) -> list[str]:
    """The numbers of a range, in decimal arithmetic. Raises ConfigError where there are none."""
    word, sweep = override.input_line, override.value()
    if "sort(" in word:  # Hydra has the order of a range turned round by ends that need not be among its numbers
        raise ConfigError(f"{word}: a range is in order; write range(start,stop,step), with step < 0 to descend")
    start, stop, step = (Decimal(str(number)) for number in (sweep.start, sweep.stop, sweep.step))
    if not (start.is_finite() and stop.is_finite() and step.is_finite() and step):
        raise ConfigError(f"{word}: start, stop and step should be numbers, and step not 0")
    count = int((stop - start) / step) + 1
    numbers = [start + k * step for k in range(count)]
    kept = [number for number in numbers if (number < stop if step > 0 else number > stop)]
    if not kept:
        raise ConfigError(f"{word}: has no value; start comes first, and stop is not among the values")
    kind = int if all(isinstance(number, int) for number in (sweep.start, sweep.stop, sweep.step)) else float
    return [str(kind(number)) for number in kept]


def _jobs(config: DictConfig, loader: ConfigLoader) -> Iterator[tuple[str, ...]]:
    """The overrides of each job of a multirun, in Hydra's order. Raises ConfigError where there is none."""
    words = [*_params(config), *_words(config)]
    values: dict[str, list[str]] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(words):
        key = override.get_key_element()
        if override.is_interval_sweep():
            raise ConfigError(f"{override.input_line}: an interval names no values; give values, or a range")
        if override.is_sweep_override() and key == "sweep":
            raise ConfigError(f"{override.input_line}: one sweep at a time")
        if override.is_sweep_override():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            if not values[key]:
                raise ConfigError(f"{override.input_line}: has no value")
        else:
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
    return itertools.product(*values.values())


class Named:
    """The name under which a multirun is listed: a changed sweep of configs/sweep is another one, never the paper's."""

    def __init__(self, config: DictConfig, name: str | None):
        words = OverridesParser.create().parse_overrides(_words(config))
        by_hand = any(word.key_or_group == "sweep.name" for word in words)
        choice = config.hydra.runtime.choices.get("sweep")
        choice = choice if isinstance(choice, str) else None  # null, or several at once
        self.name = name
        self.paper = choice if not by_hand else name if _is_sweep(name) else None
        self.scale = config.hydra.runtime.choices.get("scale")
        self.changes = [word.input_line for word in words if word.key_or_group not in (*ELSEWHERE, "sweep")]
        self.changes += [word for word in config.hydra.overrides.hydra if word.startswith("hydra.sweeper.params.")]
        self.plain = choice == self.paper and not self.changes
        self._other = [f"sweep={choice}"] if choice != self.paper else []

    def paper_jobs(self, name: str, loader: ConfigLoader) -> Iterator[DictConfig]:
        """The jobs of the sweep as its file has it; fields that the file leaves open are as on the command line.

        Raises Hydra's errors where that is no sweep of this experiment.
        """
        words = [f"sweep={self.paper}", f"scale={self.scale}"]
        bare = loader.load_configuration(f"experiment/{name}", words, RunMode.MULTIRUN)
        words += [word for word in self.changes if _is_open(bare, _key(word))]
        yield from composed(name, loader.load_configuration(f"experiment/{name}", words, RunMode.MULTIRUN), loader)

    def changed(self) -> str:
        """Take the name of a changed sweep, the same for the same command; returns what was changed."""
        words = sorted([*self.changes, *self._other])
        self.name = f"{self.paper}-{hashlib.sha256(chr(10).join(words).encode()).hexdigest()[:6]}"
        return f"{self.paper} with {' '.join(self.changes)}" if self.changes else f"what is not sweep={self.paper}"

    def drawing(self, runs: str) -> str:
        """The command that draws it, where there is one; ``runs`` is the store."""
        if not (CONFIGS.parent / "scripts" / f"{self.paper}.py").is_file():
            return ""
        scale = "" if self.scale == "laptop" else f" --scale {self.scale}"
        where = "" if runs == f"runs/{self.scale}" else f" --runs {shlex.quote(runs)}"
        return f"; python -m scripts.{self.paper} --sweep {self.name}{scale}{where} draws it"


def composed(name: str, config: DictConfig, loader: ConfigLoader) -> Iterator[DictConfig]:
    """The configuration of each job of a multirun, without Hydra's own part. Raises ConfigError where Hydra refuses."""
    for overrides in _jobs(config, loader):
        try:
            found = loader.load_sweep_config(config, list(overrides))
        except Exception as error:
            raise ConfigError(refusal(name, error, overrides)) from error
        OmegaConf.set_readonly(found, False)
        OmegaConf.set_struct(found, False)
        del found["hydra"]
        yield found


def experiment_of(sweep: str) -> str | None:
    """The experiment that makes a sweep, by its file."""
    return sweeps.listed()[sweep].experiment if _is_sweep(sweep) else None


def _is_sweep(name: str | None) -> bool:
    return name is not None and (CONFIGS / "sweep" / f"{name}.yaml").is_file()


def _is_open(config: DictConfig, key: str) -> bool:
    """Whether a field is left to whoever starts the sweep: ???."""
    outer, _, inner = key.rpartition(".")
    fields = OmegaConf.select(config, outer) if outer else config
    return isinstance(fields, DictConfig) and OmegaConf.is_missing(fields, inner)


def refusal(name: str, error: Exception, words: Iterable[str] | None = None) -> str:
    """The line about a command line that Hydra or a launcher refuses; any other error is raised again.

    ``words`` are the overrides of the job that is meant, else those of the command.
    """
    words = list(sys.argv[1:] if words is None else words)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _hydra_line(name, error, words)
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if frame.f_globals["__name__"].partition(".")[0] not in (
        "hydra",
        "hydra_plugins",
        "omegaconf",
        "joblib",
        "submitit",
    ):
        raise error
    text = " ".join(str(error).split()) or f"{type(error).__name__} in {frame.f_globals['__name__']}"
    # Hydra's own stumbling over data=null, data=1.5 or data=[[1]]
    odd = " ".join(word for word in words if _names_no_configuration(word))
    return f"{odd}: not understood, should be names of configurations ({text})" if odd else text


@cache
def model(name: str) -> type[Experiment]:
    """The configuration of an experiment, which is a module or a package."""
    module = importlib.import_module(f"experiments.{name}")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"experiments.{name}.experiment")
    return module.EXPERIMENT


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def _is_group(key: str) -> bool:
    return (CONFIGS / key).is_dir() and key.isidentifier()


def _names_no_configuration(word: str) -> bool:
    """Whether a group of configurations is given something else than names."""
    if not _is_group(_key(word)) or "=" not in word:
        return False
    value = OverridesParser.create().parse_override(word).value()
    names = value if isinstance(value, list) else [value]
    return not isinstance(value, Sweep) and not all(isinstance(name, str) for name in names)


def _hydra_line(name: str, error: Exception, words: list[str]) -> str:
    """One line from Hydra's and OmegaConf's errors, which span several and name no allowed key for a misspelt one."""
    text = " ".join(str(error).split())
    where = re.search(r" full_key: (\S+)", text)
    for tail in (" See https", " Set the environment", " Config search path", " full_key"):
        text = text.split(tail)[0]
    text = text.replace(f"In 'experiment/{name}': ", "")
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood ({text})"
    key = re.search(r"Could not override '([^']*)'", text)
    if not key:
        return text
    given = next((word for word in words if "=" in word and _key(word) == key[1]), key[1])
    return f"{given}: {_no_such_field(name, where[1] if where else key[1], words)}"


def _no_such_field(name: str, key: str, words: list[str]) -> str:
    """What there is in place of a field: the experiment's fields, or those of the group that was chosen."""
    outer = key.rpartition(".")[0]
    if outer:
        chosen = [word for word in words if _is_group(_key(word)) and "=" in word]
        with suppress(HydraException, OmegaConfBaseException):
            known = GlobalHydra.instance().is_initialized()
            with nullcontext() if known else hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
                config = hydra.compose(f"experiment/{name}", chosen, return_hydra_config=True)
            fields = OmegaConf.select(config, outer)
            if not isinstance(fields, DictConfig):
                return f"no such field; {outer} has no fields in it"
            choice = config.hydra.runtime.choices.get(outer)
            within = f"{outer}={choice}" if choice else outer
            return f"no such field in {within}; allowed are {', '.join(sorted(map(str, fields)))}"
    fields = model(name).model_fields
    return f"no such field; allowed are {', '.join(sorted({*fields, *AROUND}))}"
