"""The data sets: one module each, with ``Config`` (its fields) and ``load(config, seed)``."""

from importlib import import_module
from types import ModuleType


def module(name: str) -> ModuleType:
    """Import the module of one data set by name, so that a run depends on the code of its own data alone."""
    return import_module(f"experiments.data.{name}")
