"""Other runs than a script was written for: whether it can show them, and if not, what it needs.

A sweep that was changed on the command line is listed under a name of its own. Its picture would be wrong, and nobody
would see it, where runs of two problems became two seeds of one: a script says by which fields it tells runs apart.
"""

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PathCollection

from adaloss.runs.filters import flat
from experiments.runs.store import SavedRun, StoreError
from experiments.runs.terminal import RefusalError

# by which fields of the configuration a script tells runs apart, with the values that it can show (none: any)
Apart = Mapping[str, Collection]


class UnfitError(Exception):
    """Runs that a script cannot show: ``needs`` is what it needs, ``lacks`` what these are."""

    def __init__(self, needs: str, lacks: str):
        super().__init__(needs, lacks)
        self.needs, self.lacks = needs, lacks


def check(runs: list[SavedRun], apart: Apart) -> None:
    """Raise UnfitError if the script would take two of the runs for one, or knows no way to show one."""
    seen: dict[tuple, dict] = {}
    for run in runs:
        fields = flat(run.config)
        for name, allowed in apart.items():
            if allowed and fields.get(name) not in allowed:
                raise UnfitError(f"{name} among {_listed(allowed)}", f"a run has {fields.get(name)}")
        first = seen.setdefault(tuple(str(fields.get(name)) for name in apart), fields)
        if first is not fields:
            differ = [name for name in {**first, **fields} if first.get(name) != fields.get(name)]
            raise UnfitError(f"runs that differ in {_listed(apart)} alone", f"two differ in {_listed(differ)}")


def _listed(words: Iterable) -> str:
    return ", ".join(str(word) for word in words)


def shows_something(fig: plt.Figure) -> bool:
    """Return whether a curve or a cloud of points of the figure is to be seen, or it has bars or an image."""
    for ax in fig.axes:
        curves = [
            (line.get_xydata(), 2 if line.get_marker() in ("None", None) else 1)  # one point alone draws no line
            for line in ax.lines
            if line.get_transform() == ax.transData
        ]
        clouds = [(cloud.get_offsets(), 1) for cloud in ax.collections if isinstance(cloud, PathCollection)]
        if ax.patches or ax.images:
            return True
        for points, least in curves + clouds:
            if np.isfinite(np.ma.filled(points.astype(float), np.nan)).all(axis=1).sum() >= least:
                return True
    return False


@contextmanager
def refused(name: str, script: str) -> Iterator[None]:
    """Turn any error of a script that draws the list ``name`` into a RefusalError: what it needs, and what it lacks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty panels and means over nothing
            yield
    except (RefusalError, StoreError, OSError, MemoryError):
        raise
    except UnfitError as error:
        raise RefusalError(f"{name}: {script} needs {error.needs} ({error.lacks})") from error
    except Exception as error:
        lacks = " ".join(f"{type(error).__name__}: {error}".split())
        raise RefusalError(f"{name}: {script} needs runs as in configs/sweep/{script}.yaml ({lacks})") from error
