"""From the coarse grid of the hyperspectral image to the fine one: periodic cubic splines."""

from __future__ import annotations

import math
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastimg._arrays import as_kernel_array, namespace
from fastimg.transport._inputs import as_whole, check_finite

__all__ = ["upsample", "upsample_rows", "upsampling_taps"]

# A sample's weight falls by 2 - √3 with each sample's distance: at 32 of them it is 5e-19.
_REACH = 32

# Fine columns that are made at a time: their taps are few
_BLOCK = 128


def upsample(image: ArrayLike, ratio: int, *, offset: tuple[float, float] = (0.0, 0.0)) -> Any:
    """Interpolate an image onto a finer grid by periodic cubic splines.

    Parameters
    ----------
    image : array_like of real numbers, (rows, cols, bands)
    ratio : int
        Fine pixels per pixel, on either axis.
    offset : (float, float), optional
        Where the sample (0, 0) lies on the fine grid, in fine pixels; sample (i, j) lies at ratio · (i, j)
        plus this.

    Returns
    -------
    array, (ratio · rows, ratio · cols, bands)
        float32 for single precision and less, else float64. The mean of each band is kept.

    Raises
    ------
    TypeError
        If the dtype is not accepted, or ``offset`` is not of numbers.
    ValueError
        If there are not three axes, a value is not finite, ``ratio`` is no whole number from 1, or ``offset``
        is not two finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.cos(2 * np.pi * np.arange(8) / 8)
    >>> fine = upsample((x[:, None] + x)[:, :, None], 4)
    >>> fine.shape, bool(abs(fine[2, 0, 0] - 1 - np.cos(2 * np.pi / 16)) < 2e-3)
    ((32, 32, 1), True)
    """
    xp = namespace(image)
    array = as_kernel_array(xp, image, ("float32", "float64"), name="image")
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"image has shape {array.shape}; accepted is (rows, cols, bands), not empty")
    check_finite(xp, array, "image")
    ratio = as_whole(ratio, "ratio")
    rows, cols, _ = array.shape
    first, second = _as_offset(offset, (rows * ratio, cols * ratio))
    lines = upsample_rows(xp, array, *upsampling_taps(rows, ratio, 0, rows * ratio, first))
    fine = upsample_rows(xp, lines.swapaxes(0, 1), *upsampling_taps(cols, ratio, 0, cols * ratio, second))
    return xp.ascontiguousarray(fine.swapaxes(0, 1))


def _as_offset(offset: Any, periods: tuple[int, int]) -> tuple[float, float]:
    """Return two finite numbers, within the periods of the axes."""
    message = f"offset is {offset!r}; accepted are two finite numbers, for rows and columns"
    try:
        numbers = np.asarray(offset.tolist() if hasattr(offset, "tolist") else offset, np.float64)
    except TypeError:
        raise TypeError(message) from None
    except ValueError:
        raise ValueError(message) from None
    if numbers.shape != (2,) or not np.isfinite(numbers).all():
        raise ValueError(message)
    return math.remainder(numbers[0], periods[0]), math.remainder(numbers[1], periods[1])


def upsampling_taps(
    samples: int, ratio: int, start: int, stop: int, offset: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what makes the fine grid points from ``start`` to ``stop`` of an axis.

    Parameters
    ----------
    samples : int
        Coarse samples of the whole axis, which is periodic.
    ratio : int
        Fine grid points per sample.
    start, stop : int
        Fine grid points, of 0 to samples · ratio.
    offset : float, optional
        Where sample 0 lies on the fine grid.

    Returns
    -------
    indices : array of int, (n,)
        The coarse samples that are needed, each once.
    weights : array, (stop - start, n)
        The fine values are ``weights @ coarse[indices]``.
    """
    positions = (np.arange(start, stop) - offset) / ratio
    first = int(np.floor(positions[0])) - _REACH + 1
    last = int(np.floor(positions[-1])) + _REACH
    if last - first + 1 >= samples:
        first, last = 0, samples - 1
    unwrapped = np.arange(first, last + 1)
    distance = positions[:, None] - unwrapped
    distance -= samples * np.round(distance / samples)
    period = min(samples, 2 * _REACH)
    weights = _impulse(period)(distance % period)
    weights[np.abs(distance) >= _REACH] = 0
    return unwrapped % samples, weights


def upsample_rows(xp: ModuleType, image: Any, indices: NDArray[np.int64], weights: Any) -> Any:
    """Return ``weights @ image[indices]`` over the first axis of a cube."""
    _, cols, bands = image.shape
    if np.array_equal(indices, np.arange(len(image))):
        taken = image
    else:
        taken = image[xp.asarray(indices)]
    lines = xp.ascontiguousarray(taken).reshape(len(indices), cols * bands)
    return (xp.asarray(weights, dtype=image.dtype) @ lines).reshape(len(weights), cols, bands)


@lru_cache(maxsize=8)
def _impulse(period: int) -> Any:
    """The periodic cubic spline through 1 at 0 and 0 at all other samples."""
    from scipy.interpolate import CubicSpline

    values = np.zeros(period + 1)
    values[[0, period]] = 1
    return CubicSpline(np.arange(period + 1.0), values, bc_type="periodic")
