"""From a composed configuration to an experiment, its store and its sweep's name, or to a line that refuses it."""

import importlib
import os
import re
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Sweep
from hydra.errors import HydraException, OverrideParseException
from hydra.utils import get_original_cwd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from adaloss.runs.files import printable
from experiments import methods
from experiments.runs import registry
from experiments.runs.schema import ConfigError, Experiment, validated
from experiments.runs.store import Store
from experiments.runs.terminal import override

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# Groups that are one file each, an option under each key; configs/GROUP/mine.yaml is one more option. Files that begin
# with a dot are those of editors and systems.
GROUPS = {file.stem: file for file in CONFIGS.glob("[!.]*.yaml") if file.stem != "base"}
# Fields that say where and how often, not what: they never reach a run's identity.
AROUND = ("runs", "scale", "sweep", "alpha", "decay")
TEXTS = ("runs", ".path", "sweep.name")  # fields whose value may have any character


def _help(config_name: str, *, _root_: DictConfig) -> str:
    from experiments.runs import help  # which needs this module

    return help.text(config_name, _root_)


def _enter_options(group: str, file: Path) -> None:
    """Give Hydra the options of a group; as in a file of one option, the first line may name their package."""
    content = file.read_text(encoding="utf-8")
    package = re.match(r"# @package (\S+)\n", content)
    for name, option in OmegaConf.create(content).items():
        if not isinstance(option, DictConfig):
            raise TypeError(f"{name}: should be the fields of an option")
        ConfigStore.instance().store(name, option, group, package and package[1])


def _wrong_groups() -> Iterable[str]:
    """Enter all options; yield a line about each file where that is not possible."""
    for group, file in GROUPS.items():
        try:
            _enter_options(group, file)
        except (OSError, ValueError, TypeError, AttributeError, YAMLError, OmegaConfBaseException) as error:
            yield f"{file}: not a group of options ({' '.join(str(error).split())})"


WRONG_GROUPS = list(_wrong_groups())  # what is imported does not raise: commands say it
# In configs/: the text of --help; in a defaults list a at the paper's scale and b at the others; all methods of one of
# the families of experiments/methods.py; and numbers of a list, which would each cost every job some time: integers
# from a to below b, or so many in each decade from 10^a to below 10^b, to six digits.
OmegaConf.register_new_resolver("help", _help, replace=True)
OmegaConf.register_new_resolver("if_paper", lambda scale, a, b: a if scale == "paper" else b, replace=True)
OmegaConf.register_new_resolver("methods", lambda family: ",".join(getattr(methods, family)), replace=True)
OmegaConf.register_new_resolver("range", lambda a, b: list(range(a, b)), replace=True)
OmegaConf.register_new_resolver(
    "decades", lambda a, b, n: [float(f"{10 ** (k / n):.6g}") for k in range(a * n, b * n)], replace=True
)


def parsed(name: str, config: DictConfig) -> tuple[Experiment, Store, str | None]:
    """Return a job's configuration as the experiment's model. Raises ConfigError."""
    try:  # a scale has the sizes of all sweeps, and is only referred to
        values = {key: _resolved(config[key]) for key in config if key != "scale"}
    except OmegaConfBaseException as error:
        raise ConfigError(refusal(name, error, ())) from error
    around = {key: values.pop(key, None) for key in AROUND}
    for fields in (values.get("data"), values.get("weights")):
        if isinstance(fields, dict) and isinstance(fields.get("path"), str):
            fields["path"] = _from_start(fields["path"])
    return validated(model(name), values), _store(around["runs"]), _sweep_name(around["sweep"])


def _resolved(value: Any) -> Any:
    """Return a field's value in Python's own types. Raises OmegaConf's errors."""
    whole = OmegaConf.is_config(value)
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if whole else value


@cache
def model(name: str) -> type[Experiment]:
    """Return the configuration's model of an experiment, which is a module or a package."""
    module = importlib.import_module(f"experiments.{name}")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"experiments.{name}.experiment")
    return module.EXPERIMENT


def _store(runs: Any) -> Store:
    """Return the store. Raises ConfigError if its name is not allowed."""
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
    return Store(_from_start(runs))


def _from_start(path: str) -> str:
    """Return a path as the command gave it: hydra.job.chdir=true has jobs run in another folder."""
    start = Path(get_original_cwd()) if HydraConfig.initialized() else Path.cwd()
    return str(start / path) if Path.cwd() != start else path


def _sweep_name(sweep: Any) -> str | None:
    """Return the name of a sweep, which becomes a file's. Raises ConfigError if it is not a plain word."""
    fields = sweep if isinstance(sweep, dict) else {"name": sweep}
    for key in fields:
        if key not in registry.FIELDS:
            raise ConfigError(f"sweep.{key}={fields[key]!r}: no such field; allowed are {', '.join(registry.FIELDS)}")
    name = fields.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or len(name.encode(errors="replace")) > 100 or not registry.NAME.fullmatch(name):
        raise ConfigError(
            f"sweep.name={name!r}: should be a word of at most 100 letters, digits, dots, dashes and underscores, "
            "and begin with neither dot nor dash; a number needs quotes, as in sweep.name=\"'2026'\""
        )
    return name


def key_of(word: str) -> str:
    """Return the field or the group that an override is about."""
    return word.lstrip("+~").partition("=")[0]


def refusal(name: str, error: Exception, words: Iterable[str]) -> str:
    """Return the line about a command line, or a job's ``words``, where Hydra or OmegaConf stops."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _hydra_line(name, error, list(words))
    text = " ".join(str(error).split()) or type(error).__name__
    # Hydra's own errors for data=null, data=1.5 or data=[[1]]
    odd = " ".join(word for word in words if _names_no_configuration(word))
    return f"{odd}: not understood, should be names of configurations ({text})" if odd else text


def _is_group(key: str) -> bool:
    return key in GROUPS or ((CONFIGS / key).is_dir() and key.isidentifier())


def _names_no_configuration(word: str) -> bool:
    """Return whether a group of configurations is given something other than names."""
    if not _is_group(key_of(word)) or "=" not in word:
        return False
    value = OverridesParser.create().parse_override(word).value()
    names = value if isinstance(value, list) else [value]
    return not isinstance(value, Sweep) and not all(isinstance(name, str) for name in names)


def _hydra_line(name: str, error: Exception, words: list[str]) -> str:
    """Return one line from Hydra's and OmegaConf's errors, which span several and name no allowed keys."""
    text = " ".join(str(error).split())
    if text.startswith("Error merging override "):  # a field of Hydra's own; the reason is in what it was made from
        return f"{text.removeprefix('Error merging override ')}: {str(error.__cause__).partition(chr(10))[0]}"
    where = re.search(r" full_key: (\S+)", text)
    for tail in (" See https", " Set the environment", " Config search path", " full_key"):
        text = text.split(tail)[0]
    text = text.replace(f"In 'experiment/{name}': ", "")
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        hint = f"; write it with quotes inside: {override(key, value)}" if key.endswith(TEXTS) else ""
        return f"{error.override}: not understood ({text}){hint}"
    own = re.search(r"In 'sweep/(\w+)': .*Cannot merge", text)
    if own:
        groups = [word for word in words if _is_group(key_of(word)) and key_of(word) not in AROUND]
        return f"{' '.join(groups)}: sweep={own[1]} has a list in its place; give one of the two"
    key = re.search(r"Could not override '([^']*)'", text)
    if not key:
        return f"{where[1]}: {text}" if where and where[1] not in text else text
    given = next((word for word in words if "=" in word and key_of(word) == key[1]), key[1])
    return f"{given}: {_no_such_field(name, where[1] if where else key[1], words)}"


def _no_such_field(name: str, key: str, words: list[str]) -> str:
    """Return the line about an unknown field: it lists the experiment's fields, or those of the chosen group."""
    outer = key.rpartition(".")[0]
    if outer:
        chosen = [word for word in words if _is_group(key_of(word)) and "=" in word]
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
    if key in fields:
        return f"no group of configurations here; give one of its fields, {key}.FIELD=VALUE"
    around = OmegaConf.load(CONFIGS / f"experiment/{name}.yaml").keys() | {"runs", "scale", "sweep"}
    return f"no such field; allowed are {', '.join(sorted({*fields, *around.intersection(AROUND)}))}"
