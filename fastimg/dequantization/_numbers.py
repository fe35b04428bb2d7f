"""Checks of the options that are a number or a name, and of the finiteness of arrays."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = [
    "as_choice",
    "as_real",
    "as_result_dtype",
    "as_whole",
    "check_exact",
    "check_finite",
    "first_place",
]

# Integers of this many bytes may be too large for double precision
_LONG = 8
_LARGEST_WHOLE = 2**53


def as_whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """Return a whole number in a range."""
    accepted = f"whole numbers from {least}" + ("" if most is None else f" to {most}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; accepted are {accepted}") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; accepted are {accepted}")
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name} is {number}; accepted are {accepted}")
    return number


def as_real(
    value: Any, name: str, least: float = 0.0, most: float = math.inf, *, zero: bool = False
) -> float:
    """Return a finite number above 0, from 0, or in a range."""
    accepted = (
        f"numbers from {least:g} to {most:g}"
        if least
        else "finite numbers " + ("from 0" if zero else "above 0")
    )
    scalar = value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value
    if not isinstance(scalar, int | float) or isinstance(scalar, bool):
        raise TypeError(f"{name} is {value!r}; accepted are {accepted}")
    # compared as it is: a large integer has no float
    if not (least if least or zero else math.ulp(0.0)) <= scalar <= min(most, sys.float_info.max):
        raise ValueError(f"{name} is {value!r}; accepted are {accepted}")
    return float(scalar)


def as_choice(value: Any, name: str, accepted: Iterable[str]) -> str:
    """Return a name that is among those accepted."""
    names = list(accepted)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} is {value!r}; accepted are {' and '.join(map(repr, names))}")
    return value


def as_result_dtype(dtype: DTypeLike | None, default: np.dtype, xp: ModuleType, out: Any) -> np.dtype:
    """Return the dtype in which a result is made: that asked for, that of a real ``out``, or the default.

    A result made in the precision of ``out`` is not rounded again on its way into it, out of its envelope.
    """
    if dtype is not None:
        try:
            default = np.dtype(dtype)
        except (TypeError, ValueError):
            raise TypeError(f"dtype is {dtype!r}; accepted are float32 and float64") from None
        if default not in (np.float32, np.float64):
            raise TypeError(f"dtype is {default}; accepted are float32 and float64")
    if isinstance(out, xp.ndarray) and out.dtype.kind == "f" and out.dtype.itemsize <= 8:
        return np.dtype(out.dtype).newbyteorder("=")
    return default


def check_finite(xp: ModuleType, array: Any, name: str, where: Any = True) -> None:
    """Raise ``ValueError`` where there is a NaN or infinity."""
    if array.dtype.kind == "f":
        wrong = ~xp.isfinite(array) & where
        if bool(wrong.any()):
            place = first_place(xp, wrong)
            raise ValueError(f"{name} is {float(array[place])} at {place}; accepted are finite values")


def check_exact(array: Any, name: str) -> None:
    """Raise ``ValueError`` for integers that double precision, in which all is computed, may not hold."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < _LONG or not array.size:
        return
    for number in (int(array.min()), int(array.max())):
        if abs(number) > _LARGEST_WHOLE:
            raise ValueError(
                f"{name} has the integer {number}; accepted are integers up to 2**53 in magnitude, "
                "since the result is floating point"
            )


def first_place(xp: ModuleType, where: Any) -> tuple[int, ...]:
    """Return the index of the first true element."""
    flat = int(xp.argmax(where.ravel()))
    return tuple(int(part) for part in np.unravel_index(flat, where.shape))
