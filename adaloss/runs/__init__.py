"""Saved runs, to read: no torch, no Hydra.

``load`` gives a frame of configuration, status and results, and its ``history`` the recorded curves::

    from adaloss.runs import load

    runs = load("runs/laptop", "method=adaloss", "b0<1")
    runs.groupby("b0")["result.final_gap"].median()
    runs.history("b0").groupby(["b0", "iteration"]).loss.median()
"""

from importlib.util import find_spec

for _package, _name in (("pandas", "pandas"), ("pyarrow", "pyarrow"), ("yaml", "pyyaml")):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"adaloss.runs needs {_name}: pip install 'adaloss[runs]'", name=_package)

# ruff: noqa: E402 - a missing package is named first
from adaloss.runs.filters import ArgumentError
from adaloss.runs.frame import Runs, load
from adaloss.runs.saved import StoreError

__all__ = ["ArgumentError", "Runs", "StoreError", "load"]
