"""Loops that are compiled where numba is there, with scipy for its products; elsewhere they run as they are written."""

from collections.abc import Callable
from importlib.util import find_spec

MISSING = next((package for package in ("numba", "scipy") if find_spec(package) is None), None)
njit = None
if MISSING is None:
    from numba import njit


def compiled(**options: set[str]) -> Callable[[Callable], Callable]:
    """Compile by ``njit``, with its cache on disk if there is a folder for it that can be written."""

    def of(loop: Callable) -> Callable:
        if njit is None:
            return loop
        try:
            return njit(cache=True, **options)(loop)
        except RuntimeError:  # "no locator available"
            return njit(**options)(loop)

    return of
