"""Compiled loops over stacks of images and spectra, for the sizes that ``_correlate.py`` does not take.

Each function compiles one kernel of ``registration.py`` for a precision; the last argument of the kernels is
the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange, types

from ._jit import array_type, jit

__all__ = ["compiled_cross_power", "compiled_pack", "compiled_peak", "compiled_shift", "compiled_unpack"]


def _types(precision: int) -> tuple[Any, Any, float]:
    real = np.float32 if precision == 32 else np.float64
    return real, (np.complex64 if precision == 32 else np.complex128), float(np.finfo(real).eps)


_ENERGY = array_type(np.float64, 2)
_ENERGY_OUT = array_type(np.float64, 2, readonly=False)


@lru_cache(None)
def compiled_pack(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_, _ = _types(precision)
    images = array_type(real, 3)

    @jit(
        types.void(
            images,
            images,
            array_type(real, 2),
            array_type(complex_, 3, readonly=False),
            _ENERGY_OUT,
            types.int64,
        ),
        parallel=parallel,
    )
    def pack(reference, moving, weight, packed, energy, threads):
        height, width = weight.shape
        for thread in prange(threads):
            for b in range(thread, len(packed), threads):
                r, m = min(b, len(reference) - 1), min(b, len(moving) - 1)
                sums = np.zeros(2)
                for y in range(height):
                    for x in range(width):
                        sums[0] += (np.float64(weight[y, x]) * reference[r, y, x]) ** 2
                        sums[1] += (np.float64(weight[y, x]) * moving[m, y, x]) ** 2
                energy[b] = sums * (height * width)
                scale = np.sqrt(sums[0] / sums[1]) if sums[0] > 0.0 and sums[1] > 0.0 else 1.0
                for y in range(height):
                    for x in range(width):
                        packed[b, y, x] = complex(
                            weight[y, x] * reference[r, y, x], scale * weight[y, x] * moving[m, y, x]
                        )

    return pack


@jit()
def _normalised(product, phase, smallest):
    """``product`` over its modulus, which counts as at least ``smallest``; unscaled unless ``phase``."""
    if not phase:
        return product
    return product / max(math.hypot(product.real, product.imag), smallest)


@lru_cache(None)
def compiled_unpack(precision: int, phase: bool, parallel: bool) -> Callable[..., None]:
    real, complex_, eps = _types(precision)

    @jit(
        types.void(array_type(complex_, 3), _ENERGY, array_type(complex_, 3, readonly=False), types.int64),
        parallel=parallel,
    )
    def unpack(packed_freq, energy, product, threads):
        _, height, width = product.shape
        for thread in prange(threads):
            for b in range(thread, len(product), threads):
                if energy[b, 0] == 0.0 or energy[b, 1] == 0.0:
                    # the half that belongs to the empty image is rounding
                    product[b] = 0.0
                    continue
                inverse = np.sqrt(energy[b, 1] / energy[b, 0])
                for y in range(height):
                    for x in range(width):
                        z, mirrored = packed_freq[b, y, x], np.conj(packed_freq[b, -y, -x])
                        reference, moving = z + mirrored, (z - mirrored) * -1j
                        value = reference * np.conj(moving) * real(0.25 * inverse)
                        product[b, y, x] = _normalised(value, phase, 100.0 * eps)

    return unpack


@lru_cache(None)
def compiled_cross_power(precision: int, phase: bool, parallel: bool) -> Callable[..., None]:
    _, complex_, eps = _types(precision)
    spectra = array_type(complex_, 3)

    @jit(
        types.void(spectra, spectra, array_type(complex_, 3, readonly=False), _ENERGY_OUT, types.int64),
        parallel=parallel,
    )
    def cross_power(reference_freq, moving_freq, product, energy, threads):
        _, height, width = product.shape
        for thread in prange(threads):
            for b in range(thread, len(product), threads):
                r, m = min(b, len(reference_freq) - 1), min(b, len(moving_freq) - 1)
                sums = np.zeros(2)
                for y in range(height):
                    for x in range(width):
                        first, second = reference_freq[r, y, x], moving_freq[m, y, x]
                        sums[0] += np.float64(first.real) ** 2 + np.float64(first.imag) ** 2
                        sums[1] += np.float64(second.real) ** 2 + np.float64(second.imag) ** 2
                        product[b, y, x] = _normalised(first * np.conj(second), phase, 100.0 * eps)
                energy[b] = sums

    return cross_power


@lru_cache(None)
def compiled_peak(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_, _ = _types(precision)

    @jit(
        types.void(array_type(complex_, 3), array_type(np.int64, 1, readonly=False), types.int64),
        parallel=parallel,
    )
    def find(correlation, peak, threads):
        _, height, width = correlation.shape
        for thread in prange(threads):
            for b in range(thread, len(correlation), threads):
                top, index = -1.0, 0
                for y in range(height):
                    for x in range(width):
                        value = correlation[b, y, x]
                        # in double precision: squares of single-precision values over- and underflow
                        square = np.float64(value.real) ** 2 + np.float64(value.imag) ** 2
                        # a NaN is the largest, as for numpy.argmax, and stays so
                        if square > top or (square != square and top == top):
                            top, index = square, y * width + x
                peak[b] = index

    return find


@lru_cache(None)
def compiled_shift(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_, _ = _types(precision)
    # out may be spectrum, so both are declared alike
    spectra = array_type(complex_, 3)

    @jit(
        types.void(spectra, array_type(np.float64, 2), array_type(complex_, 3, readonly=False), types.int64),
        parallel=parallel,
    )
    def ramp(spectrum, shift, out, threads):
        _, height, width = out.shape
        for thread in prange(threads):
            across = np.empty(width, complex_)
            for b in range(thread, len(out), threads):
                s = min(b, len(shift) - 1)
                for x in range(width):
                    across[x] = np.exp(-2j * np.pi * (x - width * (2 * x >= width)) / width * shift[s, 1])
                for y in range(height):
                    down = np.exp(-2j * np.pi * (y - height * (2 * y >= height)) / height * shift[s, 0])
                    for x in range(width):
                        out[b, y, x] = spectrum[b, y, x] * complex_(down * across[x])

    return ramp
