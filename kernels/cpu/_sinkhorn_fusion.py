"""The fused iteration of two cubes, one blurred along its bands, the other in its plane.

A cube is (rows, cols, bands), its bands padded to whole pairs of vectors. A *strip* is as many rows as
``blur`` makes at a time, a *block* some pixels of one of them: the strip is blurred along the columns into a
buffer of the second-level cache, and the buffer along the rows block by block, with everything else that a
pixel needs done before the next.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import types

from ._jit import array_type, jit
from ._sinkhorn_axis import panel_width
from ._sinkhorn_blurs import blur, blur_bands
from ._sinkhorn_panels import VECTORS, panel_rows, subnormals
from ._sinkhorn_pixels import divide_block, means_of_pixels

__all__ = ["band_taps", "compiled_planes", "compiled_spectra", "plane_taps"]

# Down a cube's columns each input is another page, where the processor foresees nothing: bytes to ask early
AHEAD = 512


@lru_cache(64)
def plane_taps(sigma: float, radius: int, rows: int, dtype: np.dtype) -> np.ndarray:
    """Taps of the distances from ``-radius`` to ``radius``, with zeros where a block of outputs reads on."""
    distance = np.arange(-radius - rows, radius + rows + 1)
    return _gaussian(distance, sigma, radius, dtype)


@lru_cache(64)
def band_taps(sigma: float, radius: int, bands: int, padded: int, dtype: np.dtype) -> np.ndarray:
    """Taps of the distances from ``1 - bands`` to ``padded``."""
    return _gaussian(np.arange(1 - bands, padded + 1), sigma, radius, dtype)


def _gaussian(distance: np.ndarray, sigma: float, radius: int, dtype: np.dtype) -> np.ndarray:
    taps = np.exp(-0.5 * (distance / sigma) ** 2) if sigma else (distance == 0).astype(float)
    taps[(np.abs(distance) > radius) | (taps < np.finfo(dtype).tiny)] = 0
    return taps.astype(dtype)


@lru_cache(None)
def compiled_planes(precision: int) -> Callable[..., None]:
    """Compile ``v = measure / (K_xy u)`` of strips."""
    real = np.float32 if precision == 32 else np.float64
    item, group, strip = precision // 8, panel_width(precision), panel_rows(precision)
    given = array_type(real, 1)
    signature = types.void(
        *(types.int64,) * 2, *(given,) * 4, *(types.int64,) * 5, array_type(real, 1, readonly=False)
    )

    @jit(signature)
    def planes(begin, end, u, measure, down, across, radius, radius_x, rows, cols, padded, v):
        pixel, row, pairs = padded * item, cols * padded * item, padded // group
        buffer, block = np.empty(strip * cols * padded, u.dtype), np.empty(strip * padded, u.dtype)
        kept = np.zeros(1, np.int64)
        at, at_block = buffer.ctypes.data, block.ctypes.data
        tap = down.ctypes.data + (radius + strip) * item
        tap_x = across.ctypes.data + (radius_x + strip) * item
        subnormals(precision, kept.ctypes.data, 1)
        for number in range(begin, end):
            y = number * strip
            blur(precision, strip, AHEAD, cols * pairs, tap, radius, y, rows, u.ctypes.data, row, at, row)
            for i in range(min(strip, rows - y)):
                for x in range(0, cols, strip):
                    blur(
                        precision, strip, 0, pairs, tap_x, radius_x, x, cols, at + i * row, pixel,
                        at_block, pixel,
                    )  # fmt: skip
                    place = (y + i) * row + x * pixel
                    divide_block(
                        precision, min(strip, cols - x) * VECTORS * pairs, measure.ctypes.data + place,
                        at_block, v.ctypes.data + place,
                    )  # fmt: skip
        subnormals(precision, kept.ctypes.data, 0)
        # An address does not keep its array alive
        kept[0] = buffer.size + block.size

    return planes


@lru_cache(None)
def compiled_spectra(precision_m: int, precision: int, is_kept: bool) -> Callable[..., None]:
    """Compile the barycenter of strips; u_m may be of more bits than u_h."""
    real = np.float32 if precision == 32 else np.float64
    real_m = np.float32 if precision_m == 32 else np.float64
    item, group, strip = precision // 8, panel_width(precision), panel_rows(precision)
    item_m, group_m = precision_m // 8, panel_width(precision_m)
    # As many sums either way: more pixels and fewer bands a product where few bands are within reach
    block = 2 * strip
    rows_m, width_m = (block, 1) if precision_m == 32 else (strip, VECTORS)
    mixed, keeps = int(precision != precision_m), int(is_kept)
    given, given_m = array_type(real, 1), array_type(real_m, 1)
    written = array_type(real, 1, readonly=False)
    extreme = array_type(real, 2, readonly=False)
    signature = types.void(
        *(types.int64,) * 2, given_m, given, given_m, given, given, *(types.int64,) * 3, given, given,
        *(types.int64,) * 4, array_type(real_m, 1, readonly=False), written, written, extreme, extreme,
        array_type(real_m, 2, readonly=False),
    )  # fmt: skip

    # Long, since Numba's disk cache allows no other compiled closure inside: one block from end to end.
    @jit(signature)
    def spectra(
        begin, end, measure_m, v_h, spectral, down, across, reach, radius, radius_x, weight, gauge, bands,
        rows, cols, padded, u_m, u_h, fused, least, most, spans,
    ):  # fmt: skip
        pixel, row, pairs = padded * item, cols * padded * item, padded // group
        buffer, k_h = np.empty(strip * cols * padded, u_h.dtype), np.empty(block * padded, u_h.dtype)
        blocks = np.ones((3, block * padded), u_m.dtype)
        kept = np.zeros(1, np.int64)
        at, at_kh = buffer.ctypes.data, k_h.ctypes.data
        copy, v_m, k_m = blocks[0].ctypes.data, blocks[1].ctypes.data, blocks[2].ctypes.data
        tap = down.ctypes.data + (radius + strip) * item
        tap_x = across.ctypes.data + (radius_x + strip) * item
        tap_z = spectral.ctypes.data + (bands - 1) * item_m
        subnormals(precision, kept.ctypes.data, 1)
        for number in range(begin, end):
            y = number * strip
            blur(precision, strip, AHEAD, cols * pairs, tap, radius, y, rows, v_h.ctypes.data, row, at, row)
            for i in range(min(strip, rows - y)):
                for x in range(0, cols, block):
                    for part in range(0, min(block, cols - x), strip):
                        blur(
                            precision, strip, 0, pairs, tap_x, radius_x, x + part, cols, at + i * row, pixel,
                            at_kh + part * pixel, pixel,
                        )  # fmt: skip
                    count = min(block, cols - x)
                    first = ((y + i) * cols + x) * padded
                    old = u_m.ctypes.data + first * item_m
                    if count < block:
                        # What follows the last pixel of a row is another's
                        for j in range(count * padded):
                            blocks[0, j] = u_m[first + j]
                        old = copy
                    for part in range(0, count * padded * item_m, rows_m * padded * item_m):
                        blur_bands(
                            precision_m, rows_m, width_m, padded, bands, reach, tap_z, old + part, v_m + part
                        )
                    divide_block(
                        precision_m, count * VECTORS * (padded // group_m),
                        measure_m.ctypes.data + first * item_m, v_m, v_m,
                    )  # fmt: skip
                    for part in range(0, count * padded * item_m, rows_m * padded * item_m):
                        blur_bands(
                            precision_m, rows_m, width_m, padded, bands, reach, tap_z, v_m + part, k_m + part
                        )
                    means_of_pixels(
                        precision, mixed, keeps, count, VECTORS * pairs, bands, weight.ctypes.data,
                        gauge.ctypes.data, k_m, at_kh, u_m.ctypes.data + first * item_m,
                        u_h.ctypes.data + first * item, fused.ctypes.data + first * item,
                        least[begin].ctypes.data, most[begin].ctypes.data, spans[begin].ctypes.data,
                    )  # fmt: skip
        subnormals(precision, kept.ctypes.data, 0)
        # An address does not keep its array alive
        kept[0] = buffer.size + blocks.size + k_h.size

    return spectra
