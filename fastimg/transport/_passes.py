"""Gaussian kernels applied axis after axis, between two arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

__all__ = ["Sigmas", "convolve", "log_convolve", "sigmas_by_axis"]

# For each axis of the grid, one standard deviation per measure
Sigmas = Sequence[tuple[float, ...]]


def sigmas_by_axis(sigmas: Iterable[Iterable[float]]) -> Sigmas:
    """From one row per measure to one row per axis."""
    return list(zip(*([float(sigma) for sigma in row] for row in sigmas), strict=True))


def convolve(
    family: ModuleType,
    values: Any,
    spare: Any,
    axes: Iterable[int],
    sigmas: Sigmas,
    numerators: Any = None,
    reach: float = math.inf,
) -> tuple[Any, Any]:
    """Convolve along several axes, and divide ``numerators`` by the result if they are given.

    Axes with sigma 0 are passed over; the division takes place all the same.

    Parameters
    ----------
    family : module
        ``kernels.backend(xp).sinkhorn``.
    values, spare : array, (K, *grid)
        Both are written.
    axes : iterable of int
        Axes of the grid, in their order.
    sigmas : sequence of tuple
        By axis, then by measure.
    numerators : array, (K, *grid), optional
    reach : float, optional
        Standard deviations beyond which the kernel is cut.

    Returns
    -------
    result, other : array
        ``values`` and ``spare``, in the order that has the result first.
    """
    axes = list(axes)
    wanted = [axis for axis in axes if any(sigmas[axis])]
    if numerators is not None and not wanted:
        wanted = axes[:1]
    for axis in wanted:
        divided = numerators if axis == wanted[-1] else None
        family.convolve_axis(values, axis, sigmas[axis], reach, divided, spare)
        values, spare = spare, values
    return values, spare


def log_convolve(family: ModuleType, values: Any, spare: Any, sigmas: Sigmas) -> tuple[Any, Any]:
    """``convolve`` along all axes, from logarithms to logarithms."""
    for axis, each in enumerate(sigmas):
        if any(each):
            family.log_convolve_axis(values, axis, each, spare)
            values, spare = spare, values
    return values, spare
