"""The name under which a multirun is listed: a changed sweep of configs/sweep is another one, never the paper's."""

import hashlib
import shlex
from collections.abc import Iterator

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.runs import registry
from experiments.runs.command_line import CONFIGS, key_of
from experiments.runs.jobs import Composer, composed, given, spelled_out

ELSEWHERE = ("runs", "scale", "sweep.name")  # they do not change a sweep


class Named:
    """The name of a sweep under the command line's overrides, and what they change in it."""

    def __init__(self, config: DictConfig, name: str | None, loader: ConfigLoader):
        words = OverridesParser.create().parse_overrides(spelled_out(given(config)))
        by_hand = any(word.key_or_group == "sweep.name" for word in words)
        choice = config.hydra.runtime.choices.get("sweep")
        choice = choice if isinstance(choice, str) else None  # null, or several at once
        self.name, self.loader = name, loader
        self.paper = choice if not by_hand else name if _is_sweep(name) else None
        self.scale = config.hydra.runtime.choices.get("scale")
        self.changes = [word.input_line for word in words if word.key_or_group not in (*ELSEWHERE, "sweep")]
        self.changes += [word for word in config.hydra.overrides.hydra if word.startswith("hydra.sweeper.params.")]
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


def _is_sweep(name: str | None) -> bool:
    return name in registry.listed()


def _is_open(config: DictConfig, key: str) -> bool:
    """Return whether a field is left open for the command line: ???."""
    outer, _, inner = key.rpartition(".")
    fields = OmegaConf.select(config, outer) if outer else config
    return isinstance(fields, DictConfig) and OmegaConf.is_missing(fields, inner)
