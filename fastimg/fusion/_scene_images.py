"""The two images of a scene that may be larger than memory: read by windows, without noise, without gaps.

What depends on the whole scene is found once: the noise of each channel, the mean of each channel, and the
hyperspectral image without noise, which is kept on disk where it is large.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.fusion._denoise import MEDIAN_MODULUS, TV_WEIGHT, chambolle, wiener

__all__ = ["CoarseImage", "FineImage", "coarse_image", "fine_image", "median_of_blocks"]

# Bytes of a block that is read at a time
_BLOCK_BYTES = 2**22

# A coarse image up to this size is kept in memory
_MEMORY_BYTES = 2**26

# The Wiener filter looks at this many pixels on either side
_MARGIN = 1

# A median is found digit by digit; of so many bits, all counts fit the cache
_DIGIT = 16


@dataclass(frozen=True)
class CoarseImage:
    """The hyperspectral image as it is fused: (bands, rows, cols), and where it has no data of its own."""

    planes: NDArray[Any]
    missing: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands."""
        bands, rows, cols = self.planes.shape
        return rows, cols, bands

    def take(self, rows: Any, cols: Any) -> NDArray[Any]:
        """Return the crossings of these rows and columns, (rows, cols, bands)."""
        return np.moveaxis(self.planes[:, rows[:, None], cols], 0, -1)

    def rows(self) -> Iterator[NDArray[Any]]:
        """Yield blocks of rows, (rows, cols, bands)."""
        for part in blocks(self.shape, self.planes.dtype):
            yield np.ascontiguousarray(np.moveaxis(self.planes[:, part], 0, -1))


@dataclass(frozen=True)
class FineImage:
    """The multispectral image as it is fused.

    Attributes
    ----------
    source
        What windows are read from; NaN where there is no data.
    noise : array, (channels,), or None
        Standard deviations, for the Wiener filter; None leaves the image as it is.
    means : array, (channels,)
        Of the pixels that have data, before the filter; they stand in for the others.
    """

    source: Any
    dtype: np.dtype[Any]
    noise: NDArray[Any] | None
    means: NDArray[Any]

    def read(self, rows: slice, cols: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return a window, (rows, cols, channels), and where it has no data."""
        height, width, _ = self.source.shape
        margin = 0 if self.noise is None else _MARGIN
        outer = tuple(
            slice(max(0, part.start - margin), min(length, part.stop + margin))
            for part, length in ((rows, height), (cols, width))
        )
        values = np.array(self.source[outer], dtype=self.dtype)
        missing = np.isnan(values).any(axis=2)
        values[missing] = self.means
        if self.noise is not None:
            values = wiener(np, values, 2 * _MARGIN + 1, self.noise)
        inner = tuple(
            slice(part.start - around.start, part.stop - around.start)
            for part, around in zip((rows, cols), outer, strict=True)
        )
        return np.ascontiguousarray(values[inner]), missing[inner]


def coarse_image(source: Any, dtype: np.dtype[Any], denoise: bool) -> CoarseImage:
    """Read the hyperspectral image, fill its gaps, and take its noise out.

    A pixel without data gets the spectrum of the nearest one that has some: whatever stands there bends the
    splines through its neighbours.
    """
    rows, cols, bands = source.shape
    planes = _scratch((bands, rows, cols), dtype)
    missing = np.zeros((rows, cols), bool)
    for part in blocks(source.shape, dtype):
        values = np.asarray(source[part, slice(None)], dtype=dtype)
        missing[part] = np.isnan(values).any(axis=2)
        planes[:, part] = np.moveaxis(values, -1, 0)
    if missing.all():
        raise ValueError("hyperspectral has no pixel with data")
    nearest = None
    if missing.any():
        from scipy.ndimage import distance_transform_edt

        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    for plane in planes:
        if nearest is not None:
            plane[missing] = plane[tuple(nearest)][missing]
        if not np.isfinite(plane).all():
            raise ValueError("hyperspectral holds infinite values; accepted are finite ones, and NaN")
    largest = max(float(np.abs(plane).max()) for plane in planes)
    if denoise and largest > 0:
        smoother, scale = chambolle(np), dtype.type(largest)
        for plane in planes:
            plane[:] = smoother(plane / scale, weight=TV_WEIGHT) * scale
    return CoarseImage(planes, missing)


def fine_image(source: Any, dtype: np.dtype[Any], denoise: bool) -> FineImage:
    """Find means and noise of the multispectral image."""
    channels = source.shape[2]
    total, count = np.zeros(channels), 0
    for part in blocks(source.shape, dtype):
        values = np.asarray(source[part, slice(None)], dtype=dtype)
        known = ~np.isnan(values).any(axis=2)
        if not np.isfinite(values[known]).all():
            raise ValueError("multispectral holds infinite values; accepted are finite ones, and NaN")
        total += values[known].sum(axis=0, dtype=np.float64)
        count += int(known.sum())
    if not count:
        raise ValueError("multispectral has no pixel with data")
    noise = _noise(source, dtype) if denoise else None
    return FineImage(source, dtype, noise, (total / count).astype(dtype))


def _noise(source: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The noise of each channel, as `fastimg.fusion._denoise.noise_levels` finds it in the whole image."""
    rows, _, channels = source.shape
    if min(source.shape[:2]) < 3:
        return np.zeros(channels, dtype)

    def differences() -> Iterator[NDArray[Any]]:
        for part in blocks(source.shape, dtype):
            # the block, and two rows of the next one
            window = np.asarray(source[slice(part.start, min(rows, part.stop + 2)), slice(None)], dtype=dtype)
            columns = window[:-2] - 2 * window[1:-1] + window[2:]
            mixed = np.abs(columns[:, :-2] - 2 * columns[:, 1:-1] + columns[:, 2:]).reshape(-1, channels)
            yield mixed[~np.isnan(mixed).any(axis=1)]

    return (median_of_blocks(differences, channels, dtype) / (6 * MEDIAN_MODULUS)).astype(dtype)


def median_of_blocks(
    values: Callable[[], Iterator[NDArray[Any]]], channels: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return the median of each channel of values from 0 that come in blocks, (n, channels), again and again.

    The bits of a positive float, taken for an integer, are in the order of the floats. The median's are found
    16 at a time, each time by one pass that counts those values whose higher bits agree.
    """
    bits, integer = 8 * dtype.itemsize, np.dtype(f"u{dtype.itemsize}")
    # the two in the middle, which are one where the number is odd
    found, ranks = np.zeros((channels, 2), integer), None
    for shift in range(bits - _DIGIT, -1, -_DIGIT):
        counts = np.zeros((channels, 2, 2**_DIGIT), np.int64)
        for block in values():
            patterns = np.ascontiguousarray(block, dtype).view(integer)
            for channel, which in np.ndindex(channels, 2):
                column = patterns[:, channel]
                if shift + _DIGIT < bits:
                    above = integer.type(shift + _DIGIT)
                    column = column[column >> above == found[channel, which] >> above]
                digits = (column >> integer.type(shift)) & integer.type(2**_DIGIT - 1)
                counts[channel, which] += np.bincount(digits.astype(np.int64), minlength=2**_DIGIT)
        if ranks is None:
            total = int(counts[0, 0].sum())
            ranks = np.array([[(total - 1) // 2, total // 2]] * channels)
            if not total:
                return np.zeros(channels, dtype)
        for place in np.ndindex(channels, 2):
            upto = np.cumsum(counts[place])
            digit = int(np.searchsorted(upto, ranks[place], side="right"))
            ranks[place] -= upto[digit - 1] if digit else 0
            found[place] |= integer.type(digit << shift)
    return found.view(dtype).mean(axis=1)


def blocks(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[slice]:
    """Cut the rows of a cube into blocks of a bounded number of bytes."""
    rows, cols, bands = shape
    step = max(1, _BLOCK_BYTES // (cols * bands * dtype.itemsize))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def _scratch(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array in memory, or in a file without a name that goes with the array."""
    if int(np.prod(shape)) * dtype.itemsize <= _MEMORY_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)
