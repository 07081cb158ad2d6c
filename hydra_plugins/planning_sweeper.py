"""The plugin for Hydra, which looks only in modules of this package. configs/base.yaml chooses it."""

from experiments.runs import sweeps


class PlanningSweeper(sweeps.PlanningSweeper):
    """Hydra knows a plugin by the module that it is defined in."""
