"""Where Hydra looks for plugins: nowhere else but in modules of this name. configs/base.yaml chooses this one."""

from experiments.runs import sweeps


class PlanningSweeper(sweeps.PlanningSweeper):
    """Hydra knows a plugin by the module that it is defined in."""
