"""Checks of measures, widths, weights and options."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fastimg._arrays import as_kernel_array

__all__ = [
    "DTYPES",
    "as_choice",
    "as_measures",
    "as_positive",
    "as_sigmas",
    "as_weights",
    "as_whole",
    "check_finite",
    "check_masses",
    "check_not_negative",
    "mass_tolerance",
    "masses",
]

DTYPES = ("float32", "float64")

# Relative difference of two masses that is still rounding, and the same in units of a coarse dtype's epsilon
SAME_MASS = 1e-6
SAME_MASS_IN_EPS = 8


def as_measures(xp: ModuleType, measures: Any, name: str = "measures") -> Any:
    """Return finite, non-negative measures of equal masses, (K, *grid).

    Those of half precision, whose masses differ more by rounding, are brought to the mass of the first.
    """
    tolerance = mass_tolerance(*(measures if isinstance(measures, list | tuple) else [measures]))
    if isinstance(measures, list | tuple) and measures and isinstance(measures[0], xp.ndarray):
        shapes = sorted({tuple(np.shape(each)) for each in measures})
        if len(shapes) > 1:
            raise ValueError(f"{name} have the shapes {', '.join(map(str, shapes))}; accepted is one for all")
        measures = xp.stack([xp.asarray(each) for each in measures])
    array = as_kernel_array(xp, measures, DTYPES, name=name)
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; accepted is (K, *grid), without empty axes")
    check_finite(xp, array, name)
    check_not_negative(xp, array, name)
    totals = masses(xp, array, array.ndim - 1)
    check_masses(totals, totals[:1], name, name, tolerance)
    if tolerance > SAME_MASS:
        factors = xp.asarray(totals[0] / totals, dtype=array.dtype)
        array = array * factors.reshape(-1, *(1,) * (array.ndim - 1))
    return array


def mass_tolerance(*given: Any) -> float:
    """Relative difference of masses that is still rounding, in the coarsest dtype of what is given."""
    dtypes = [each.dtype for each in given if getattr(getattr(each, "dtype", None), "kind", "") == "f"]
    return max([SAME_MASS, *(SAME_MASS_IN_EPS * float(np.finfo(dtype).eps) for dtype in dtypes)])


def masses(xp: ModuleType, array: Any, axes: int) -> np.ndarray:
    """Sums over the last ``axes`` axes, in float64 on the host."""
    sums = array.sum(axis=tuple(range(-axes, 0)), dtype=xp.float64)
    return np.asarray(sums.tolist())


def check_finite(xp: ModuleType, array: Any, name: str) -> None:
    """Refuse NaN and inf."""
    is_finite = xp.isfinite(array)
    if not bool(is_finite.all()):
        raise ValueError(f"{name} is {_first(xp, array, ~is_finite)}; accepted are finite values")


def check_not_negative(xp: ModuleType, array: Any, name: str) -> None:
    """Refuse negative mass."""
    if bool((array < 0).any()):
        raise ValueError(f"{name} is {_first(xp, array, array < 0)}; accepted are values from 0")


def check_masses(
    totals: np.ndarray, expected: np.ndarray, name: str, other: str, tolerance: float = SAME_MASS
) -> None:
    """Refuse measures without mass, and masses that differ from what they have to equal."""
    totals, expected = np.broadcast_arrays(totals, expected)
    for index in map(tuple, np.argwhere(totals <= 0)):
        raise ValueError(f"{name}{_place(index)} has the mass 0; accepted are measures with mass")
    differ = np.abs(totals - expected) > tolerance * np.maximum(totals, expected)
    for index in map(tuple, np.argwhere(differ)):
        raise ValueError(
            f"{name}{_place(index)} has the mass {totals[index]:.9g} where {other} has "
            f"{expected[index]:.9g}; accepted are equal masses (divide each measure by its sum)"
        )


def as_sigmas(sigma: Any, count: int, axes: int) -> list[tuple[float, ...]]:
    """Return one row of widths for each of ``count`` measures, from (), (axes,) or (count, axes)."""
    array = _host_floats(sigma, "sigma")
    if array.shape not in ((), (axes,), (count, axes)):
        raise ValueError(
            f"sigma has shape {array.shape}; accepted is a number, ({axes},) for the {axes} axes of the "
            f"grid, or ({count}, {axes}) for each of the {count} measures"
        )
    _check_widths(array)
    return [tuple(row) for row in np.broadcast_to(array, (count, axes)).tolist()]


def _check_widths(array: np.ndarray) -> None:
    wrong = array[~(np.isfinite(array) & (array >= 0))]
    if wrong.size:
        raise ValueError(f"sigma has {wrong[0]}; accepted are finite widths from 0, in grid steps")


def as_weights(weights: Any, count: int, *, is_sum_free: bool = False) -> list[float]:
    """Return K weights of sum 1, or of any sum, as they are; None gives equal ones."""
    if weights is None:
        return [1 / count] * count
    array = _host_floats(weights, "weights")
    if array.shape != (count,):
        raise ValueError(f"weights has shape {array.shape}; accepted is ({count},), one for each measure")
    is_sound = bool(np.isfinite(array).all() and (array >= 0).all())
    if is_sum_free:
        if not (is_sound and array.any()):
            raise ValueError(f"weights is {array.tolist()}; accepted are finite numbers from 0, not all 0")
        return array.tolist()
    if not (is_sound and abs(array.sum() - 1) <= SAME_MASS):
        raise ValueError(
            f"weights is {array.tolist()}, of sum {array.sum():.9g}; accepted are numbers from 0 of sum 1"
        )
    return (array / array.sum()).tolist()


def _host_floats(values: Any, name: str) -> np.ndarray:
    values = values.tolist() if hasattr(values, "tolist") else values
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {values!r}; accepted are numbers") from None


def as_whole(value: Any, name: str) -> int:
    """Return a whole number from 1."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; accepted are whole numbers from 1") from None
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"{name} is {value!r}; accepted are whole numbers from 1")
    return number


def as_positive(value: Any, name: str) -> float:
    """Return a finite number above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; accepted are finite numbers above 0") from None
    if not 0 < number < math.inf:
        raise ValueError(f"{name} is {value!r}; accepted are finite numbers above 0")
    return number


def as_choice(value: Any, name: str, choices: Sequence[Any]) -> Any:
    """Return ``value`` if it is one of the choices."""
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    raise ValueError(f"{name} is {value!r}; accepted are {', '.join(map(repr, choices))}")


def _first(xp: ModuleType, array: Any, wrong: Any) -> str:
    """The first wrong value and its place, as text."""
    place = int(wrong.ravel().argmax())
    index = np.unravel_index(place, array.shape)
    return f"{float(array.ravel()[place])} at {tuple(int(i) for i in index)}"


def _place(index: Sequence[Any]) -> str:
    return f"[{', '.join(str(int(i)) for i in index)}]" if len(index) else ""
