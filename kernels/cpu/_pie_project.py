"""The fused far-field projection of the positions of a batch, for the sizes that ``_fft.py`` plans.

A position is three sweeps over planes that stay in the second-level cache: object times probe and FFT along
y; FFT along x, modulus and inverse FFT along x; inverse FFT along y and the numerators. With fractions of a
pixel, the modes are shifted by two more sweeps before, and their changes shifted back by two more after.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange, types

from ._fft import block_stride
from ._jit import array_type, jit
from ._pie_batch import column_bytes, place_of_result, workspace_types
from ._pie_blocks import (
    add_light,
    add_numerators,
    add_power,
    clear_vectors,
    gather_tiles,
    scatter_tiles,
    store_columns,
    store_maximum,
    store_model,
)
from ._pie_shifts import fill_ramp
from ._pie_sweeps import (
    illuminated_columns,
    intensity_rows,
    measured_rows,
    modulus_factors,
    modulus_rows,
    scaled_rows,
    shifted_rows,
    transformed_columns,
    unshifted_rows,
)
from ._pie_waves import number_types
from ._simd import lane_count

__all__ = ["compiled_positions"]


def _signature(precision: int) -> Any:
    real, complex_ = number_types(precision)
    inputs = (
        array_type(complex_, 2),
        array_type(np.int64, 2),
        array_type(np.float64, 2),
        array_type(real, 3),
        array_type(np.int64, 1),
        array_type(np.uint8, 3),
        types.float64,
        types.int64,
        types.int64,
    )
    outputs = (
        array_type(complex_, 3, readonly=False),
        array_type(real, 3, readonly=False),
        array_type(real, 1, readonly=False),
        array_type(real, 3, readonly=False),
        array_type(np.float64, 1, readonly=False),
    )
    return types.void(*inputs, *outputs, *workspace_types(precision), types.int64)


@lru_cache(None)
def compiled_positions(
    n: int, precision: int, single: int, subpixel: int, modelled: int, parallel: bool
) -> Callable[..., Any]:
    """Compile the sweeps of one size; ``single`` for one mode, ``modelled`` to write ``model``.

    The compiled function takes (object, corner, fraction, intensity, selection, mask, beta, modes, update,
    numerator, power, power_peak, model, error, workspace…, threads); ``update``: whether the sums for the
    probe will be used. Position b of the batch belongs to thread b % threads.
    """
    lanes = lane_count(precision)
    item = precision // 8
    row = 2 * lanes * item
    pixel_row = lanes * item
    across = n // lanes
    tile = lanes * row
    block = block_stride(n, precision)
    plane = across * block
    column_size = column_bytes(n, precision)
    turn = place_of_result(n, precision)

    # Long, since Numba's disk cache allows no other compiled closure inside: one sweep after the other.
    @jit(_signature(precision), parallel=parallel)
    def positions(
        object, corner, fraction, intensity, selection, mask, beta, modes, update,
        numerator, power, power_peak, model, error,
        planes, thread_bytes, ramps, vectors, totals, numbers, threads,
    ):  # fmt: skip
        probe = (planes.ctypes.data + 63) // 64 * 64
        width = 2 * item * object.shape[1]
        one = np.ones(lanes, np.uint8)
        for thread in prange(threads):
            spectrum = probe + modes * plane + thread * thread_bytes
            sums = spectrum + modes * plane
            light = sums + modes * plane
            shifted = light + plane // 2
            column = spectrum + thread_bytes - 5 * column_size
            total = column + column_size
            amplitude = total + column_size
            squares = amplitude + column_size // 2
            scratch = amplitude + column_size
            done = scratch + turn
            modes_at = shifted if subpixel else probe
            down, over = ramps[thread, 0].ctypes.data, ramps[thread, 1].ctypes.data
            peak, object_peak = vectors[thread, 0].ctypes.data, vectors[thread, 1].ctypes.data
            errors, number = totals[thread].ctypes.data, numbers[thread].ctypes.data
            clear_vectors(precision, (modes * plane + plane // 2) // pixel_row, sums)
            totals[thread, lanes] = 0.0
            for b in range(thread, len(corner), threads):
                frame = selection[b]
                box = object.ctypes.data + corner[b, 0] * width + corner[b, 1] * 2 * item
                counts = intensity[frame].ctypes.data
                clear_vectors(precision, 2, peak)
                if subpixel:
                    fill_ramp(fraction[b, 0], ramps[thread, 0])
                    fill_ramp(fraction[b, 1], ramps[thread, 1])
                    for m in range(modes):
                        for y in range(across):
                            source = probe + m * plane + y * block
                            place = shifted + m * plane + y * tile
                            shifted_rows(precision, n, source, down + y * row, over, done, scratch)
                            scatter_tiles(precision, n, done, place, block)
                for x in range(across):
                    for m in range(modes):
                        mode, place = modes_at + m * plane + x * block, spectrum + m * plane + x * tile
                        if subpixel:
                            to = power[b].ctypes.data + x * pixel_row
                            first = 1 if m == 0 else 0
                            transformed_columns(precision, n, 1, mode, mode, scratch)
                            add_power(precision, n, mode, first, to, peak)
                        illuminated_columns(
                            precision, n, box + x * row, width, mode, done, object_peak,
                            counts + x * n * pixel_row, scratch,
                        )  # fmt: skip
                        scatter_tiles(precision, n, done, place, block)
                if subpixel:
                    store_maximum(precision, peak, power_peak.ctypes.data + b * item)
                store_maximum(precision, object_peak, number)
                totals[thread, lanes] += beta * numbers[thread, 0]
                for lane in range(lanes):
                    totals[thread, lane] = 0.0
                if len(mask):
                    known, step = mask[min(frame, len(mask) - 1)].ctypes.data, 1
                else:
                    known, step = one.ctypes.data, 0
                for y in range(across):
                    pixel = y * lanes * n
                    measured_rows(precision, n, counts + pixel * item, known + pixel * step, step, amplitude)
                    rows = spectrum + y * block
                    if single:
                        modulus_rows(precision, n, modelled, rows, amplitude, squares, errors, scratch)
                    else:
                        for m in range(modes):
                            first = 1 if m == 0 else 0
                            intensity_rows(precision, n, rows + m * plane, first, squares, scratch)
                    if modelled:
                        store_model(precision, n, squares, model[b].ctypes.data + pixel * item)
                    if not single:
                        modulus_factors(precision, n, amplitude, squares, squares, errors)
                        for m in range(modes):
                            scaled_rows(precision, n, rows + m * plane, squares, scratch)
                missed = 0.0
                for lane in range(lanes):
                    missed += totals[thread, lane]
                error[b] = missed / (n * n)
                for x in range(across):
                    to, lit, boxed = numerator[b].ctypes.data + x * row, light + x * block // 2, box + x * row
                    if not single:
                        clear_vectors(precision, 2 * n, total)
                        add_light(precision, n, boxed, width, lit)
                    for m in range(modes):
                        place, mode = spectrum + m * plane + x * tile, modes_at + m * plane + x * block
                        changes = column if subpixel else sums + m * plane + x * block
                        gather_tiles(precision, n, place, block, column)
                        transformed_columns(precision, n, 1, column, done, scratch)
                        add_numerators(
                            precision, n, single, subpixel, done, mode, boxed, width, changes, lit,
                            to if single else total,
                        )  # fmt: skip
                        if subpixel and update:
                            transformed_columns(precision, n, -1, column, done, scratch)
                            scatter_tiles(precision, n, done, place, block)
                    if not single:
                        store_columns(precision, n, 0, total, to)
                if subpixel and update:
                    for m in range(modes):
                        for y in range(across):
                            source, place = spectrum + m * plane + y * block, sums + m * plane + y * block
                            unshifted_rows(precision, n, source, down + y * row, over, place, scratch)
        one[0] = 0  # its last use: Numba frees an array there, whoever holds its address

    return positions
