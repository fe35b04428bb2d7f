"""Images in units so small or large that their correlation would leave the range of its numbers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

# Between these energies, the sums of squared spectra, products of two spectra stay in the range of the dtype,
# and the squares of their sums in that of double precision.
_ENERGIES = {np.dtype("float32"): (1e-22, 1e34), np.dtype("float64"): (1e-130, 1e140)}


def are_in_range(xp: ModuleType, energy: Any, real: np.dtype) -> bool:
    """Whether the correlations of images with these energies are right; on a device, this waits for them.

    False if any energy is not finite. An energy of 0 says in single precision that an image is empty; in
    double precision it may be an underflow.
    """
    low, high = _ENERGIES[real]
    right = (energy > low) & (energy < high)
    if real == np.float32:
        right |= energy == 0
    return bool(right.all())


def near_one(xp: ModuleType, images: Any, ndim: int) -> Any:
    """Multiply each image, the last ``ndim`` axes, by the power of two that brings its largest value near 1.

    Neither shifts, errors nor phase differences depend on the unit, and powers of two round nothing.
    """
    values = images.view(images.real.dtype)
    largest = xp.abs(values).max(axis=tuple(range(-ndim, 0)), keepdims=True)
    return xp.ldexp(values, -xp.frexp(largest)[1]).view(images.dtype)
