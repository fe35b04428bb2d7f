"""The two estimates of the fused cube, as measures of equal mass on its grid.

For a scene in tiles: the sums of `_spectral_inverse.regression_sums` add up over tiles to the one matrix of
the scene; `mean_of_spectral` and the mean of the hyperspectral image give the floors; `fill_spectral` and
`fill_spatial` fill the measures of a tile, whose sums add up to those of the scene; and `_hmwb.fuse_tile`
fuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels
from fastimg.fusion._inputs import check_mean
from fastimg.fusion._spatial_inverse import upsample_rows, upsampling_taps

__all__ = ["FLOOR", "fill_given", "fill_spatial", "fill_spectral", "floor_of", "mean_of_spectral"]

# Estimates are at least this part of their mean: transport needs positive measures, noise and right inverses
# that do not look at the data give negative values, and where there is no mass none can be brought to.
FLOOR = 1e-3


def mean_of_spectral(xp: ModuleType, multispectral: Any, inverse: Any) -> float:
    """Return the mean of the estimate from a multispectral image, before it is floored, without making it.

    Parameters
    ----------
    multispectral : array, (rows, cols, channels)
    inverse : array, (bands, channels)
        On the host, as all small matrices.
    """
    means = multispectral.mean(axis=(0, 1), dtype=xp.float64).tolist()
    return float(np.mean(np.asarray(inverse) @ means))


def fill_spectral(xp: ModuleType, multispectral: Any, inverse: Any, floor: float, out: Any) -> float:
    """Write max(M̃(m), floor), the spectra that the inverse M̃ gives the pixels of ``multispectral``.

    Parameters
    ----------
    multispectral : array, (rows, cols, channels)
        Denoised, of the dtype of ``out``.
    inverse : array, (bands, channels)
        On the host.
    floor : float
        ``FLOOR`` times the mean over the whole scene.
    out : array, (rows, cols, bands or more)
        The first bands are written.

    Returns
    -------
    float
        The sum of what was written, in double precision.
    """
    bands = len(inverse)
    matrix = xp.asarray(np.asarray(inverse).T, dtype=out.dtype)
    total = 0.0
    for rows in row_blocks(xp, out):
        spectra = xp.maximum(multispectral[rows] @ matrix, out.dtype.type(floor))
        out[rows, :, :bands] = spectra
        total += float(spectra.sum(dtype=xp.float64))
    return total


def fill_spatial(
    xp: ModuleType, hyperspectral: Any, ratio: int, offsets: tuple[float, float], floor: float, out: Any
) -> float:
    """Write max(H̃(h), floor), the hyperspectral image on the fine grid, by periodic cubic splines.

    Parameters
    ----------
    hyperspectral : array, (rows / ratio, cols / ratio, bands)
        Denoised, of the dtype of ``out``: the whole image (a tile uses `upsampling_taps` itself).
    ratio : int
    offsets : (float, float)
        Where on the fine grid sample (0, 0) lies.
    floor : float
        ``FLOOR`` times the mean over the whole scene.
    out : array, (rows, cols, bands or more)
        The first bands are written.

    Returns
    -------
    float
        The sum of what was written, in double precision.
    """
    samples, columns, bands = hyperspectral.shape
    total = 0.0
    for rows in row_blocks(xp, out):
        taps = upsampling_taps(samples, ratio, rows.start, rows.stop, offsets[0])
        lines = upsample_rows(xp, hyperspectral, *taps)
        fine = upsample_rows(xp, lines.swapaxes(0, 1), *upsampling_taps(
            columns, ratio, 0, columns * ratio, offsets[1]
        )).swapaxes(0, 1)  # fmt: skip
        fine = xp.maximum(fine, out.dtype.type(floor))
        out[rows, :, :bands] = fine
        total += float(fine.sum(dtype=xp.float64))
    return total


def fill_given(xp: ModuleType, estimate: Any, floor: float, out: Any) -> float:
    """Write max(estimate, floor) and return its sum."""
    bands = estimate.shape[2]
    total = 0.0
    for rows in row_blocks(xp, out):
        block = xp.maximum(estimate[rows], out.dtype.type(floor))
        out[rows, :, :bands] = block
        total += float(block.sum(dtype=xp.float64))
    return total


def floor_of(mean: float, name: str) -> float:
    """Return the floor of an estimate with this mean, which has to be above 0."""
    check_mean(mean, name)
    return FLOOR * mean


def row_blocks(xp: ModuleType, cube: Any) -> Iterator[slice]:
    """Cut the rows of a cube into blocks that fit the kernels' workspace."""
    step = max(1, kernels.backend(xp).WORKSPACE_BYTES // max(1, cube[0].nbytes))
    for start in range(0, len(cube), step):
        yield slice(start, min(start + step, len(cube)))
