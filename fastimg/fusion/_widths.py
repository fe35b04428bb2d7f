"""The widths of the transport kernels on the grid of the fused cube."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

from fastimg.transport._inputs import as_positive, as_whole
from fastimg.transport._solver import skips

__all__ = ["are_separate", "extended", "kernel_widths"]


def kernel_widths(shape: Sequence[int], gamma: float, alpha: float) -> tuple[float, float, float]:
    """Return the widths of a kernel exp(-((x - x')² + (y - y')² + α (z - z')²) / γ) in grid steps.

    Parameters
    ----------
    shape : (rows, cols, bands)
        The grid, whose coordinates run from 0 to 1 on each axis.
    gamma : float
        Weight γ of the entropy.
    alpha : float
        Cost α of a step in wavelength, relative to one in the plane.

    Returns
    -------
    (float, float, float)
        σ of exp(-d² / 2σ²) for rows, columns and bands: (n - 1) √(γ/2), and (n - 1) √(γ/2α) for bands; 0
        where the nearest grid point weighs less than 2e-19, so that the kernel leaves the axis alone.

    Raises
    ------
    ValueError
        If ``shape`` is not three whole numbers from 1, or ``gamma`` or ``alpha`` is not above 0.

    Examples
    --------
    The paper's parameters: one kernel moves mass along wavelength only, the other one in the plane only.

    >>> [round(width, 2) for width in kernel_widths((128, 128, 93), 1e-6, 1e-3)]
    [0.0, 0.0, 2.06]
    >>> [round(width, 2) for width in kernel_widths((128, 128, 93), 1e-4, 501)]
    [0.9, 0.9, 0.0]
    """
    if len(shape) != 3 or not all(isinstance(length, Integral) and length >= 1 for length in shape):
        raise ValueError(f"shape is {tuple(shape)}; accepted is (rows, cols, bands), whole numbers from 1")
    gamma, alpha = as_positive(gamma, "gamma"), as_positive(alpha, "alpha")
    rows, cols, bands = (length - 1 for length in shape)
    plane, spectral = math.sqrt(gamma / 2), math.sqrt(gamma / 2 / alpha)
    widths = rows * plane, cols * plane, bands * spectral
    row, col, band = (0.0 if skips(width) else width for width in widths)
    return row, col, band


def extended(shape: tuple[int, int, int], extent: int | None) -> tuple[int, int, int]:
    """Return the grid on which widths are measured: that of the image, or one of ``extent`` pixels a side."""
    if extent is None:
        return shape
    side = as_whole(extent, "extent")
    return side, side, shape[2]


def are_separate(widths_m: Sequence[float], widths_h: Sequence[float]) -> bool:
    """Whether the first kernel acts on bands only, and the second one in the plane only."""
    return not (widths_m[0] or widths_m[1] or widths_h[2])
