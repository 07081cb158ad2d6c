"""Loops that are compiled where numba is there, and run as they are written where it is not."""

from collections.abc import Callable

try:
    from numba import njit
except ModuleNotFoundError:
    njit = None


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
