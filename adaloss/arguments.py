"""Checks of public functions' arguments: one line that names the argument, its value and what is allowed."""

import math
from collections.abc import Mapping, Sequence
from inspect import signature
from numbers import Integral, Real
from typing import Any

import numpy as np

from adaloss.stepsizes import RULES

HUGE = 1e100  # of the entries of a problem: their products stay in float64
MODERATE: dict[str, Any] = {"least": 1 / HUGE, "most": HUGE}  # of b and eta: so do their squares


def real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    infinite: bool = False,
    axes: int | None = None,
) -> np.ndarray:
    """Return ``value`` as float64 array: real numbers, not nan, within the limits, finite unless ``infinite``.

    ``axes``, where given, is how many it has; none of them is empty. Raises ValueError.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name}: not an array of numbers ({' '.join(str(error).split())})") from None
    if np.ma.is_masked(value):
        raise ValueError(f"{name}: has masked entries, which are no numbers")
    if array.dtype == object and all(isinstance(entry, Integral) for entry in array.flat):
        array = np.array([number(name, entry, finite=False) for entry in array.flat]).reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: should be real numbers, not {array.dtype}")
    if axes is not None and (array.ndim != axes or 0 in array.shape):
        raise ValueError(f"{name}.shape={array.shape}: should have {axes} axes, none empty")
    with np.errstate(over="ignore"):  # longdouble: inf is found below
        array = array.astype(np.float64, copy=False)
    good = ~np.isnan(array) if infinite else np.isfinite(array)
    if above is not None:
        good &= array > above
    if least is not None:
        good &= array >= least
    if most is not None:
        good &= np.abs(array) <= most
    if not good.all():
        limits = {"greater than {:g}": above, "at least {:g}": least, "at most {:g} in absolute value": most}
        words = [text.format(limit) for text, limit in limits.items() if limit is not None]
        allowed = " and ".join(["a number" if infinite else "finite", *words])
        raise ValueError(f"{name}={array[~good].flat[0]:g}: should be {allowed}")
    return array


def number(name: str, value: Any, *, above: float | None = None, finite: bool = True) -> float:
    """Return ``value``, a real number of Python or NumPy (an array without axes too), as a float.

    Raises TypeError for anything else, and ValueError where it is not ``finite`` or not ``above`` a limit.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}={_short(value)}: should be a number")
    try:
        result = float(value)
    except OverflowError:  # a whole number that no float holds
        result = math.inf
    if (finite and not math.isfinite(result)) or (above is not None and not result > above):
        words = "finite" if above is None else f"finite and greater than {above}"
        raise ValueError(f"{name}={_short(value)}: should be {words}")
    return result


def whole(name: str, value: Any, least: int = 0) -> int:
    """Return ``value`` as int. Raises ValueError if it is not a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name}={_short(value)}: should be a whole number of at least {least}")
    return int(value)


def _among(value: Any, allowed: Sequence[Any]) -> bool:
    """Return whether it is one of them; True does not count as 1, and an array is never one of them."""
    return isinstance(value, str | int | np.integer) and not isinstance(value, bool) and value in allowed


def power_of(p: Any) -> int:
    """Return p as int. Raises ValueError if it is neither 1 nor 2."""
    if not _among(p, (1, 2)):
        raise ValueError(f"p={_short(p)}: should be 2 (AdaGrad-Norm) or 1 (AdaLoss)")
    return int(p)


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise ValueError if ``value`` is not among the allowed ones."""
    if not _among(value, allowed):
        raise ValueError(f"{name}={_short(value)}: allowed are {', '.join(map(str, allowed))}")


def broadcast(**arrays: np.ndarray) -> tuple[int, ...]:
    """Return the common shape of the arrays. Raises ValueError if they have none."""
    try:
        return np.broadcast_shapes(*(np.shape(array) for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(array)}" for name, array in arrays.items())
        raise ValueError(f"shapes do not fit together: {shapes}") from None


def shaped(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError if the array has another shape."""
    if array.shape != shape:
        raise ValueError(f"{name}.shape={array.shape}: should be {shape}")


def rule_of(method: Any, b0: Any, hyper: Any) -> dict[str, Any]:
    """Return the hyperparameters, numbers as float64 arrays.

    Raises ValueError for an unknown rule or a value outside its range, TypeError for a hyperparameter it has not.
    """
    one_of("method", method, tuple(RULES))
    real("b0", b0, **MODERATE)
    known = {name: word.default for name, word in signature(RULES[method]).parameters.items() if word.kind.value == 3}
    if not isinstance(hyper, Mapping):
        raise ValueError(f"hyper={_short(hyper)}: should map names to values")
    for name, value in hyper.items():
        if name not in known:
            raise TypeError(f"{method} got an unexpected keyword argument {_short(name)}; it has {', '.join(known)}")
        if name == "form":
            one_of("hyper form", value, ("linear", "root"))
    return {
        name: value if name == "form" else real(f"hyper {name}", value, above=None if name == "c" else 0.0)
        for name, value in hyper.items()
    }


def recorded(record: Sequence[int], iterations: int) -> None:
    """Raise ValueError if ``record`` is not one or more different iterations of 1..``iterations``."""
    if not len(record) or len(set(record)) != len(record):
        raise ValueError("record: should be one iteration or more, all different")
    for t in record:
        if whole("record", t, 1) > iterations:
            raise ValueError(f"record={t}: should be at most iterations={iterations}")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
