"""Linear interpolation between the contours of a quantized image."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastimg._arrays import allocate_out, namespace
from fastimg.dequantization._envelopes import bins_of, check_codes, check_range
from fastimg.dequantization._numbers import as_result_dtype
from fastimg.dequantization._results import cast_inside
from fastimg.dequantization._windows import windowed

__all__ = ["distance_interpolation"]

# From the centre of a pixel to the contour in front of it
_HALF = 0.5
# As far as this, neighbours are looked at one after the other, in order of their distance
_REACH = 5
_OFFSETS = sorted(
    (
        (row, column)
        for row in range(-_REACH, _REACH + 1)
        for column in range(-_REACH, _REACH + 1)
        if 0 < row**2 + column**2 <= _REACH**2
    ),
    key=lambda offset: offset[0] ** 2 + offset[1] ** 2,
)


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
    for index in bins.layout.indices():
        check_range(np, bins, index, None, dtype)
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
    smallest, largest = (windowed(pick, codes, 1) for pick in (np.minimum, np.maximum))
    if (smallest == largest).all():
        return np.full(codes.shape, 0.5)
    region = _regions(codes)
    has_below, has_above = (
        _any_in_region(region, touching) for touching in (smallest < codes, largest > codes)
    )
    # the nearest lower pixel has a neighbour that is at least as high as the pixel that looks for it
    below = _contour_distance(codes, largest, np.less, has_below)
    above = _contour_distance(codes, smallest, np.greater, has_above)
    with np.errstate(invalid="ignore"):
        part = below / (below + above)
    part = np.where(has_above, part, _dome(region, below))
    return np.where(has_below, part, 1 - _dome(region, above))


def _regions(codes: np.ndarray) -> np.ndarray:
    """Number the regions of one code, whose pixels touch at sides or corners, from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # runs of one code in a row are joined to those of the next row
    starts = np.ones(codes.shape, bool)
    starts[:, 1:] = codes[:, 1:] != codes[:, :-1]
    run = np.cumsum(starts.ravel(), dtype=np.int32).reshape(codes.shape) - 1
    width = codes.shape[1]
    joined = []
    for shift in (-1, 0, 1):
        left, right = (
            slice(max(0, -shift), width - max(0, shift)),
            slice(max(0, shift), width + min(0, shift)),
        )
        same = codes[:-1, left] == codes[1:, right]
        pairs = np.stack([run[:-1, left][same], run[1:, right][same]])
        changes = np.ones(pairs.shape[1], bool)
        changes[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(0)
        joined.append(pairs[:, changes])
    ends = np.concatenate(joined, axis=1)
    count = int(run[-1, -1]) + 1
    graph = coo_array((np.ones(ends.shape[1], bool), (ends[0], ends[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1][run]


def _any_in_region(region: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Whether the region of each pixel has one of ``pixels``."""
    found = np.zeros(region.max() + 1, bool)
    found[region[pixels]] = True
    return found[region]


def _contour_distance(
    codes: np.ndarray, extreme: np.ndarray, is_beyond: np.ufunc, wanted: np.ndarray
) -> np.ndarray:
    """Return the distances of the wanted pixels to the contour of lower, or higher, codes; inf elsewhere.

    ``extreme`` is the largest, or smallest, code around a pixel; each wanted pixel has a contour.
    """
    distance = np.full(codes.shape, np.inf)
    # beyond the edge there is a copy of a pixel that is nearer
    padded = np.pad(codes, _REACH, mode="edge")
    rows, columns = np.nonzero(wanted)
    count = len(np.unique(codes))
    # an offset costs about as much as a code in the search for the rest
    for row, column in _OFFSETS[:count]:
        found = is_beyond(padded[rows + (_REACH + row), columns + (_REACH + column)], codes[rows, columns])
        distance[rows[found], columns[found]] = np.sqrt(row**2 + column**2)
        rows, columns = rows[~found], columns[~found]
        if not rows.size:
            break
    # twice the width of even steps along both sides, so that one window is enough for most codes
    margin = 2 * max(_REACH, sum(codes.shape) // count)
    order = np.argsort(codes[rows, columns], kind="stable")
    pixels = np.stack([rows, columns], axis=1)[order]
    rest = codes[pixels[:, 0], pixels[:, 1]]
    for group in np.split(pixels, np.flatnonzero(rest[1:] != rest[:-1]) + 1) if rest.size else ():
        distance[group[:, 0], group[:, 1]] = _distance_of_code(codes, extreme, is_beyond, group, margin)
    return distance - _HALF


def _distance_of_code(
    codes: np.ndarray, extreme: np.ndarray, is_beyond: np.ufunc, pixels: np.ndarray, margin: int
) -> np.ndarray:
    """Return the distances of pixels of one code, (n, 2), to the nearest lower, or higher, pixel.

    They are looked for within ``margin`` around the pixels first.
    """
    from scipy.spatial import cKDTree

    code = codes[tuple(pixels[0])]
    least, most = pixels.min(0), pixels.max(0) + 1
    while True:
        start, stop = np.maximum(least - margin, 0), np.minimum(most + margin, codes.shape)
        window = slice(start[0], stop[0]), slice(start[1], stop[1])
        others = np.argwhere(is_beyond(codes[window], code) & ~is_beyond(extreme[window], code))
        farthest = 2.0 * margin
        if len(others):
            tree = cKDTree(others + start, compact_nodes=False, balanced_tree=False)
            distance = tree.query(pixels)[0]
            farthest = float(distance.max())
            # nothing nearer lies outside the window
            if farthest <= margin or (stop - start == codes.shape).all():
                return distance
        margin = int(np.ceil(farthest))


def _dome(region: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return a parabola in the distance, from 0 at the contour to 1/2 with slope 0 at the farthest pixel."""
    farthest = np.zeros(region.max() + 1)
    np.maximum.at(farthest, region.ravel(), distance.ravel())
    with np.errstate(invalid="ignore"):
        part = distance / farthest[region]
    return part * (1 - part / 2)
