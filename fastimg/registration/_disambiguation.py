"""Which of the shifts that are equal modulo the image's shape is the real one."""

from __future__ import annotations

import itertools
import math
import warnings
from types import ModuleType
from typing import Any

import numpy as np


def disambiguate_shift(xp: ModuleType, reference: Any, moving: Any, shift: Any, stacklevel: int) -> Any:
    """Choose the sign of each component of ``shift`` by the correlation of the overlapping parts.

    The moving image is shifted periodically, after which its former borders cut both images into 2^ndim
    parts, each of which is the overlap that one of the possible shifts leaves.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    reference, moving : array
        Images of one shape.
    shift : array, (ndim,)
        Right modulo that shape.
    stacklevel : int
        Where to warn, as seen from the caller.

    Returns
    -------
    array, (ndim,)
        ``shift`` itself, with a warning, where no part has more than two pixels and some contrast.
    """
    shape = reference.shape
    periodic = [float(component) % length for component, length in zip(shift, shape, strict=True)]
    shifted = _shift_periodically(xp, moving, [float(component) for component in shift])
    best, best_correlation = None, -1.0
    for is_positive in itertools.product((False, True), repeat=len(shape)):
        overlap = tuple(
            slice(round(component), None) if positive else slice(0, round(component))
            for component, positive in zip(periodic, is_positive, strict=True)
        )
        correlation = _correlation_coefficient(xp, reference[overlap], shifted[overlap])
        if correlation > best_correlation:
            best, best_correlation = is_positive, correlation
    if best is None:
        warnings.warn(
            f"Could not determine real-space shift for periodic shift {shift!r}: with `disambiguate=True` no "
            "overlap of the images has any contrast",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
        return shift
    components = [
        component if positive else component - length
        for component, positive, length in zip(periodic, best, shape, strict=True)
    ]
    return xp.asarray(components, dtype=shift.dtype)


def _shift_periodically(xp: ModuleType, image: Any, shift: list[float]) -> Any:
    """Move an image by Catmull-Rom interpolation, local, so that borders do not ring."""
    for axis, distance in enumerate(shift):
        whole = math.floor(distance)
        t = distance - whole
        if t == 0:
            image = xp.roll(image, whole, axis)
            continue
        weights = {
            -1: (-t + 2 * t**2 - t**3) / 2,
            0: (2 - 5 * t**2 + 3 * t**3) / 2,
            1: (t + 4 * t**2 - 3 * t**3) / 2,
            2: (t**3 - t**2) / 2,
        }
        image = sum(weight * xp.roll(image, whole + tap, axis) for tap, weight in weights.items())
    return image


def _correlation_coefficient(xp: ModuleType, first: Any, second: Any) -> float:
    """Return Pearson's coefficient, -1 where there is none: up to two pixels, or no contrast."""
    if first.size <= 2 or not (_has_contrast(first) and _has_contrast(second)):
        return -1.0
    precision = np.result_type(first.dtype, np.float64)
    first, second = (part.ravel().astype(precision) for part in (first, second))
    first, second = first - first.mean(), second - second.mean()
    norms = math.sqrt(float(xp.vdot(first, first).real)) * math.sqrt(float(xp.vdot(second, second).real))
    return float(xp.vdot(first, second).real) / norms if norms > 0 else -1.0


def _has_contrast(part: Any) -> bool:
    return bool((part != part.ravel()[0]).any())
