"""The jobs of a multirun: the overrides of each in Hydra's order, and the configuration that they make.

Hydra takes 50 ms to compose a job. Here it composes one for each choice of groups, such as ``method`` and ``data``.
Most words only give a field of the experiment a value: these are set on a copy, in 3 ms, by the call that Hydra makes.
"""

import copy
import itertools
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import cache, partial

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from experiments.runs.command_line import refusal
from experiments.runs.schema import ConfigError

MOST = 10**6  # values of a range: a plan of more ends for lack of memory


def composed(name: str, config: DictConfig, composer: "Composer") -> Iterator[tuple[tuple[str, ...], DictConfig]]:
    """Yield the overrides and the configuration of each job of a multirun. Raises ConfigError if Hydra refuses."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    try:
        jobs = expanded([*params, *given(config, "task")], composer.loader)
    except HydraException as error:
        raise ConfigError(refusal(name, error, ())) from error
    for words in jobs:
        yield words, composition(name, config, words, composer)


def composition(name: str, config: DictConfig, words: tuple[str, ...], composer: "Composer") -> DictConfig:
    """Return the configuration of one job, without Hydra's own part. Raises ConfigError if Hydra refuses."""
    try:
        return composer.fields(config, words)
    except Exception as error:
        raise ConfigError(refusal(name, error, words)) from error


def given(config: DictConfig, kind: str) -> list[str]:
    """Return the overrides (kind: task or hydra) as they were given: b0=${eta} means each job's own eta."""
    return OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)


def expanded(words: Iterable[str], loader: ConfigLoader) -> list[tuple[str, ...]]:
    """Return the overrides of each job that a command line's words make. Raises ConfigError if there is none."""
    values: dict[str, list[str]] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(words)):
        key = override.get_key_element()
        if override.is_interval_sweep():
            raise ConfigError(f"{override.input_line}: an interval names no values; give values, or a range")
        if override.is_sweep_override() and key == "sweep":
            raise ConfigError(f"{override.input_line}: one sweep at a time")
        if override.is_sweep_override():
            found = _range(override) if override.is_range_sweep() else override.sweep_string_iterator()
            values[key] = [f"{key}={value}" for value in found]
            if not values[key]:
                raise ConfigError(f"{override.input_line}: has no value")
        else:
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
    return list(itertools.product(*values.values()))


def spelled_out(words: Iterable[str]) -> list[str]:
    """Return the words with the values of a range in its place."""
    overrides = OverridesParser.create().parse_overrides(list(words))
    return [f"{o.get_key_element()}={','.join(_range(o))}" if o.is_range_sweep() else o.input_line for o in overrides]


def _range(override: Override) -> list[str]:
    """Return the numbers of a range, in decimal arithmetic. Raises ConfigError if there are none.

    Hydra would add binary fractions: range(0.1,0.4,0.1) would be 0.1, 0.2, 0.30000000000000004 and 0.4.
    """
    word, sweep = override.input_line, override.value()
    if "sort(" in word:  # Hydra reverses a range by ends that need not be among its numbers
        raise ConfigError(f"{word}: a range is in order; write range(start,stop,step), with step < 0 to descend")
    start, stop, step = (Decimal(str(number)) for number in (sweep.start, sweep.stop, sweep.step))
    if not (start.is_finite() and stop.is_finite() and step.is_finite() and step):
        raise ConfigError(f"{word}: start, stop and step should be numbers, and step not 0")
    count = int((stop - start) / step) + 1
    if count > MOST:
        raise ConfigError(f"{word}: has {count:.3g} values; at most {MOST} are allowed")
    numbers = [start + k * step for k in range(count)]
    kept = [number for number in numbers if (number < stop if step > 0 else number > stop)]
    if not kept:
        raise ConfigError(f"{word}: has no value; start comes first, and stop is not among the values")
    kind = int if all(isinstance(number, int) for number in (sweep.start, sweep.stop, sweep.step)) else float
    return [str(kind(number)) for number in kept]


class Composer:
    """A faster loader of jobs' configurations for launchers; Hydra's own still decides on errors.

    A launcher's workers receive it again with every job; they keep what they have composed for it.
    """

    def __init__(self, loader: ConfigLoader):
        self.loader = loader
        self._id = uuid.uuid4()
        self._groups: dict[str, bool] = {}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: Iterable[str]) -> DictConfig:
        """Return the same as the loader. Raises its errors."""
        words = list(sweep_overrides)
        try:
            config = self._load(master_config, words, whole=True)
            _sign(config, [_parsed(word) for word in words])
            return config
        except Exception:  # of any kind: Hydra reports it
            return self.loader.load_sweep_config(master_config, words)

    def fields(self, master: DictConfig, words: tuple[str, ...]) -> DictConfig:
        """Return the same without Hydra's own part, which is most of it. Raises the loader's errors."""
        try:
            return self._load(master, words, whole=False)
        except Exception:
            return _without_hydra(self.loader.load_sweep_config(master, list(words)))

    def _load(self, master: DictConfig, words: Iterable[str], whole: bool) -> DictConfig:
        overrides = [_parsed(word) for word in words]
        if master.hydra.searchpath:  # groups may lie anywhere
            raise LookupError
        within = [o for o in overrides if not self._chooses(o)]
        plain = [
            o for o in within if _is_plain(o) and not any(_overlap(o, other) for other in within if other is not o)
        ]
        base = tuple(o.input_line for o in overrides if not any(o is other for other in plain))
        if (self._id, base) not in _bases:
            everything = _copier(self.loader.load_sweep_config(master, list(base)))
            _bases[self._id, base] = everything, _copier(_without_hydra(everything()))
        everything, fields = _bases[self._id, base]
        config = everything() if whole else fields()
        for override in plain:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        return config

    def _chooses(self, override: Override) -> bool:
        """Return whether the word chooses a configuration of a group, which Hydra does before it sets any field."""
        key = override.key_or_group
        if key not in self._groups:
            self._groups[key] = any(source.is_group(key) for source in self.loader.get_sources())
        return self._groups[key] and not isinstance(override.value(), dict)


# What makes copies of a configuration, with Hydra's own part and without it
_bases: dict[tuple[uuid.UUID, tuple[str, ...]], tuple[Callable[[], DictConfig], Callable[[], DictConfig]]] = {}


def _without_hydra(config: DictConfig) -> DictConfig:
    with open_dict(config):
        del config["hydra"]
    return config


def _copier(config: DictConfig) -> Callable[[], DictConfig]:
    """Return what makes copies: pickle, six times as fast as deepcopy, if it finds the classes of the plugins.

    In a worker Hydra imports them again, as other objects.
    """
    try:
        return partial(pickle.loads, pickle.dumps(config))
    except pickle.PicklingError:
        return partial(copy.deepcopy, config)


@cache
def _parsed(word: str) -> Override:
    return OverridesParser.create().parse_override(word)


def _is_plain(override: Override) -> bool:
    """Return whether the word is ``key=value`` and gives a field of the experiment its value."""
    return (
        override.type == OverrideType.CHANGE
        and override.package is None
        and not override.is_sweep_override()
        and not override.is_hydra_override()
        and not isinstance(override.value(), dict)  # merged into what other words may change
    )


def _overlap(one: Override, other: Override) -> bool:
    """Return whether the order of the two counts: one is the other's field, or within it."""
    short, long = sorted((f"{one.key_or_group}.", f"{other.key_or_group}."), key=len)
    return long.startswith(short)


def _sign(config: DictConfig, overrides: list[Override]) -> None:
    """Tell Hydra's part of a configuration which words made it."""
    job, task = config.hydra.job, [o for o in overrides if not o.is_hydra_override()]
    form = job.config.override_dirname
    shown = sorted(o.input_line for o in task if o.key_or_group not in form.exclude_keys)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.overrides.task = [o.input_line for o in task]
        job.override_dirname = form.item_sep.join(shown).replace("=", form.kv_sep)
