"""Exact dynamics of many cells (method x b0 x seed x ...) at once, each as one batched program."""

from importlib.util import find_spec

for _package in ("numba", "scipy"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"adaloss.simulate needs {_package}: pip install 'adaloss[theory]'", name=_package)
