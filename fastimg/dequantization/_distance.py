"""The fast mode: linear interpolation between the contours of a quantized image."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastimg._arrays import allocate_out, namespace
from fastimg.dequantization._envelopes import bins_of, check_codes
from fastimg.dequantization._numbers import as_result_dtype
from fastimg.dequantization._results import cast_inside
from fastimg.dequantization._windows import windowed

__all__ = ["distance_interpolation"]

# From the centre of a pixel to the contour in front of it
_HALF = 0.5
# A neighbour across a corner is √2 - 1/2 from its contour, the next pixel 3/2
_TOUCHING = 1.0


def distance_interpolation(
    image: ArrayLike,
    *,
    bits: int | None = None,
    levels: ArrayLike | None = None,
    rounding: Literal["floor", "nearest"] = "floor",
    channel_axis: int | None = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
) -> Any:
    """Interpolate a quantized image linearly between its contours, by distance.

    In the manner of Cheng's contour region reconstruction [1]_: a pixel of code k at the distance d⁻ from the
    nearest contour to a lower code and d⁺ from the nearest one to a higher code becomes
    ``levels[k] + d⁻ / (d⁻ + d⁺) (levels[k + 1] - levels[k])``. Regions of one code that touch only lower, or
    only higher, codes have but one contour, from which they rise, or fall, like a parabola to the middle of
    their bin at the pixel farthest from it. An image of one code becomes the middle of its bin.

    Parameters
    ----------
    image : array_like of integers, (..., H, W)
        Codes, on the CPU. The last two axes, but for ``channel_axis``, are the image.
    bits : int, optional
        The codes are 0 to 2**bits - 1: code k lies in [k, k + 1], or in [k - 1/2, k + 1/2].
    levels : array_like, (K + 1,), optional
        Increasing edges of K bins, instead of ``bits``.
    rounding : {"floor", "nearest"}, optional
        How the codes of ``bits`` were made.
    channel_axis : int, optional
        Axis of channels.
    dtype : {float32, float64}, optional
        Of the result; by default float32 for codes of 8 and 16 bits, else float64.
    out : array, shape of the image, optional
        Where to write the result; its precision, if real, replaces ``dtype``.

    Returns
    -------
    array, shape of the image
        Each pixel within its bin.

    Raises
    ------
    TypeError
        If the codes are no integers, or on a GPU.
    ValueError
        If a code has no bin, or an option is not accepted.

    See Also
    --------
    dequantize : smoother, and better on clean images.

    Notes
    -----
    Contours pass half-way between pixels. Distances are Euclidean, to the nearest pixel of any lower (higher)
    code.

    References
    ----------
    .. [1] C.-H. Cheng, O. C. Au, C.-H. Liu, K.-Y. Yip, "Bit-depth expansion by contour region
       reconstruction", IEEE International Symposium on Circuits and Systems, 944-947 (2009).

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.dequantization import distance_interpolation
    >>> image = np.repeat(np.arange(3, dtype=np.uint8), 4) + np.zeros((3, 1), np.uint8)
    >>> distance_interpolation(image, bits=2)[0, 4:8]
    array([1.125, 1.375, 1.625, 1.875], dtype=float32)
    """
    if namespace(image=image) is not np:
        raise TypeError("image is on a GPU; distance_interpolation accepts NumPy arrays (cupy.asnumpy)")
    if (bits is None) == (levels is None):
        raise ValueError("of bits and levels accepted is exactly one")
    bins, count = bins_of(np, image, bits, levels, rounding, channel_axis)
    check_codes(bins, count, None)
    dtype = as_result_dtype(dtype, bins.dtype, np, out)
    layout = bins.layout
    work, deliver = allocate_out(np, out, layout.shape, dtype, bins.codes)
    planes = layout.planes(np, work)
    for index in layout.indices() if work.size else ():
        lower, upper = bins.bounds(index)
        part = _parts_of_bins(bins.codes[index])
        values = np.clip(lower + part * (upper - lower), lower, upper)
        planes[index] = cast_inside(np, values, lower, upper, dtype)
    return deliver()


def _parts_of_bins(codes: np.ndarray) -> np.ndarray:
    """Return at which part of its bin each pixel is, from 0 to 1."""
    from scipy.ndimage import label

    part = np.full(codes.shape, 0.5)
    present = np.unique(codes)
    largest, smallest = (windowed(pick, codes, 1) for pick in (np.maximum, np.minimum))
    for code in present if len(present) > 1 else ():
        here = codes == code
        region = label(here, structure=np.ones((3, 3)))[0][here]
        # the nearest lower pixel has a neighbour that is not lower
        below = _contour_distance(here, (codes < code) & (largest >= code))
        above = _contour_distance(here, (codes > code) & (smallest <= code))
        only_below, only_above = ~_touching(region, above), ~_touching(region, below)
        with np.errstate(invalid="ignore"):
            between = below / (below + above)
        between = np.where(only_below, _dome(region, below), between)
        part[here] = np.where(only_above, 1 - _dome(region, above), between)
    return part


def _contour_distance(here: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distances of the pixels ``here`` to the contour of others; inf if there are none."""
    from scipy.spatial import cKDTree

    pixels = np.argwhere(here)
    if not others.any():
        return np.full(len(pixels), np.inf)
    tree = cKDTree(np.argwhere(others), compact_nodes=False, balanced_tree=False)
    return tree.query(pixels)[0] - _HALF


def _touching(region: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Whether the region of each pixel touches the contour, at a side or a corner of one of its pixels."""
    touching = np.zeros(region.max() + 1, bool)
    touching[region[distance < _TOUCHING]] = True
    return touching[region]


def _dome(region: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return a parabola in the distance, from 0 at the contour to 1/2 with slope 0 at the farthest pixel."""
    farthest = np.zeros(region.max() + 1)
    np.maximum.at(farthest, region, distance)
    with np.errstate(invalid="ignore"):
        part = distance / farthest[region]
    return part * (1 - part / 2)
