"""Positions, and the shifts of the probe's modes by a fraction of a pixel: compiled loops for ``pie.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import prange, types

from ._jit import array_type, jit
from ._pie_waves import INDICES, number_types

__all__ = ["compiled_move", "compiled_place", "compiled_shift", "compiled_unshift", "fill_ramp"]

_COORDINATES = array_type(np.float64, 2)
_COORDINATES_OUT = array_type(np.float64, 2, readonly=False)

# Adam's decay of the two moments, and the smallest root of the second one
FIRST_DECAY, SECOND_DECAY, SMALLEST_ROOT = 0.9, 0.999, 1e-8


@jit()
def fill_ramp(shift, ramp):
    """Write exp(-2πi k shift / n), k in the order of the FFT, by powers of the first factor."""
    n = len(ramp)
    angle = -2.0 * math.pi * shift / n
    step = complex(math.cos(angle), math.sin(angle))
    value = 1.0 + 0.0j
    ramp[0] = value
    for k in range(1, n // 2 + 1):
        value *= step
        ramp[n - k] = np.conj(value)
        if 2 * k < n:
            ramp[k] = value


@lru_cache(None)
def compiled_shift(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_ = number_types(precision)

    @jit(
        types.void(
            array_type(complex_, 3), _COORDINATES, array_type(complex_, 4, readonly=False), types.int64
        ),
        parallel=parallel,
    )
    def run(spectrum, fraction, out, threads):
        batch, modes, n, _ = out.shape
        for thread in prange(threads):
            down, across = np.empty(n, complex_), np.empty(n, complex_)
            for b in range(thread, batch, threads):
                fill_ramp(fraction[b, 0], down)
                fill_ramp(fraction[b, 1], across)
                for m in range(modes):
                    for y in range(n):
                        factor, source, target = down[y], spectrum[m, y], out[b, m, y]
                        for x in range(n):
                            target[x] = source[x] * (factor * across[x])

    return run


@lru_cache(None)
def compiled_unshift(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_ = number_types(precision)

    @jit(
        types.void(
            array_type(complex_, 4), _COORDINATES, array_type(complex_, 3, readonly=False), types.int64
        ),
        parallel=parallel,
    )
    def run(spectrum, fraction, out, threads):
        batch, modes, n, _ = spectrum.shape
        for thread in prange(threads):
            ramps = np.empty((batch, 2, n), complex_)
            for b in range(batch):
                fill_ramp(-fraction[b, 0], ramps[b, 0])
                fill_ramp(-fraction[b, 1], ramps[b, 1])
            for y in range(thread, n, threads):
                for m in range(modes):
                    target = out[m, y]
                    target[:] = 0
                    for b in range(batch):
                        factor, across, source = ramps[b, 0, y], ramps[b, 1], spectrum[b, m, y]
                        for x in range(n):
                            target[x] += source[x] * (factor * across[x])

    return run


@lru_cache(None)
def compiled_place() -> Callable[..., None]:
    @jit(
        types.void(
            _COORDINATES,
            INDICES,
            types.int64,
            types.int64,
            types.boolean,
            array_type(np.int64, 2, readonly=False),
            _COORDINATES_OUT,
        )
    )
    def run(position, selection, last_row, last_column, subpixel, corner, fraction):
        for b in range(len(selection)):
            for axis in range(2):
                place, last = position[selection[b], axis], last_column if axis else last_row
                whole = np.rint(place)
                # comparisons in this order put what is not a number inside, too
                whole = whole if whole > 0.0 else 0.0
                whole = whole if whole < last else float(last)
                corner[b, axis] = int(whole)
                if len(fraction):
                    fraction[b, axis] = min(max(place - whole, -0.5), 0.5) if subpixel else 0.0

    return run


@lru_cache(None)
def compiled_move(precision: int) -> Callable[..., None]:
    real, _ = number_types(precision)
    keep_first, keep_second, smallest = FIRST_DECAY, SECOND_DECAY, SMALLEST_ROOT

    @jit(
        types.void(
            _COORDINATES_OUT,
            INDICES,
            array_type(real, 2),
            array_type(np.float64, 1),
            types.boolean,
            types.float64,
            _COORDINATES_OUT,
            _COORDINATES_OUT,
            array_type(np.int64, 1, readonly=False),
            _COORDINATES_OUT,
        )
    )
    def run(position, selection, shift, gain, adam, max_step, first, second, count, last):
        for b in range(len(selection)):
            j = selection[b]
            if adam:
                count[j] += 1
            for axis in range(2):
                # not finite where a reconstruction diverges
                s = np.float64(shift[b, axis]) if np.isfinite(shift[b, axis]) else 0.0
                last[j, axis] = s
                step = gain[axis] * s
                if adam:
                    first[j, axis] = keep_first * first[j, axis] + (1 - keep_first) * s
                    second[j, axis] = keep_second * second[j, axis] + (1 - keep_second) * s * s
                    mean = first[j, axis] / (1 - keep_first ** count[j])
                    square = second[j, axis] / (1 - keep_second ** count[j])
                    step = gain[axis] * mean / (math.sqrt(square) + smallest)
                position[j, axis] -= min(max(step, -max_step), max_step)

    return run
