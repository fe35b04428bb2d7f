"""Compiled loops over exit waves, one function for each small kernel of ``pie.py``.

Each compiles a kernel for a precision. Its last argument is the number of threads: position b of the batch
belongs to thread b % threads; sums over the batch give each thread its rows instead, so that their order does
not depend on the number of threads. Every position or row is worked on line by line, which LLVM vectorises.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange, types

from ._jit import array_type, jit

__all__ = [
    "INDICES",
    "compiled_differences",
    "compiled_exit_waves",
    "compiled_modulus",
    "compiled_numerator",
    "compiled_power",
    "compiled_probe_changes",
    "compiled_probe_weights",
    "compiled_transfer",
    "number_types",
]

# The smallest modelled intensity that counts
TINY = 1e-30

INDICES = array_type(np.int64, 1)
_CORNERS = array_type(np.int64, 2)
_MASKS = array_type(np.uint8, 3)


def number_types(precision: int) -> tuple[Any, Any]:
    """The real and the complex dtype of 32 or 64 bits."""
    return (np.float32, np.complex64) if precision == 32 else (np.float64, np.complex128)


@lru_cache(None)
def compiled_power(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    outputs = array_type(real, 3, readonly=False), array_type(real, 1, readonly=False)

    @jit(types.void(array_type(complex_, 4), *outputs, types.int64), parallel=parallel)
    def run(probe, power, power_peak, threads):
        batch, modes, n, _ = probe.shape
        for thread in prange(threads):
            for b in range(thread, batch, threads):
                for y in range(n):
                    total = power[b, y]
                    total[:] = 0
                    for m in range(modes):
                        line = probe[b, m, y]
                        for x in range(n):
                            total[x] += line[x].real ** 2 + line[x].imag ** 2
                power_peak[b] = power[b].max()

    return run


@lru_cache(None)
def compiled_exit_waves(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    outputs = array_type(complex_, 4, readonly=False), array_type(real, 1, readonly=False)
    inputs = array_type(complex_, 2), array_type(complex_, 4), _CORNERS

    @jit(types.void(*inputs, *outputs, types.int64), parallel=parallel)
    def run(object, probe, corner, waves, object_peak, threads):
        batch, modes, n, _ = waves.shape
        for thread in prange(threads):
            highest = np.empty(n, real)
            for b in range(thread, batch, threads):
                p, row, column = min(b, len(probe) - 1), corner[b, 0], corner[b, 1]
                highest[:] = 0
                for y in range(n):
                    box = object[row + y, column : column + n]
                    for x in range(n):
                        highest[x] = max(highest[x], box[x].real ** 2 + box[x].imag ** 2)
                    for m in range(modes):
                        mode, wave = probe[p, m, y], waves[b, m, y]
                        for x in range(n):
                            wave[x] = mode[x] * box[x]
                object_peak[b] = highest.max()

    return run


@lru_cache(None)
def compiled_transfer(precision: int, conjugate: bool, parallel: bool) -> Callable[..., None]:
    _, complex_ = number_types(precision)

    @jit(
        types.void(array_type(complex_, 4, readonly=False), array_type(complex_, 3), types.int64),
        parallel=parallel,
    )
    def run(waves, transfer, threads):
        batch, modes, n, _ = waves.shape
        for thread in prange(threads):
            for b in range(thread, batch, threads):
                for m in range(modes):
                    for y in range(n):
                        factor, wave = transfer[0, y], waves[b, m, y]
                        for x in range(n):
                            wave[x] *= np.conj(factor[x]) if conjugate else factor[x]

    return run


@lru_cache(None)
def compiled_modulus(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    tiny = TINY
    outputs = array_type(real, 3, readonly=False), array_type(np.float64, 1, readonly=False)

    @jit(
        types.void(
            array_type(complex_, 4, readonly=False),
            array_type(real, 3),
            INDICES,
            _MASKS,
            *outputs,
            types.int64,
        ),
        parallel=parallel,
    )
    def run(waves, intensity, selection, mask, model, error, threads):
        batch, modes, n, _ = waves.shape
        for thread in prange(threads):
            total, amplitude, factor = np.empty(n, real), np.empty(n, real), np.empty(n, real)
            known, sums = np.ones(n, np.uint8), np.empty(n)
            for b in range(thread, batch, threads):
                frame = selection[b]
                sums[:] = 0
                for y in range(n):
                    total[:] = 0
                    for m in range(modes):
                        wave = waves[b, m, y]
                        for x in range(n):
                            total[x] += wave[x].real ** 2 + wave[x].imag ** 2
                    if len(model):
                        model[b, y] = total
                    if len(mask):
                        known[:] = mask[min(frame, len(mask) - 1), y]
                    counts = intensity[frame, y]
                    for x in range(n):
                        amplitude[x] = np.sqrt(counts[x] if known[x] else real(0))
                        factor[x] = amplitude[x] / np.sqrt(total[x] + real(tiny)) if known[x] else real(1)
                        difference = amplitude[x] - np.sqrt(total[x]) if known[x] else real(0)
                        sums[x] += difference * difference
                    for m in range(modes):
                        wave = waves[b, m, y]
                        for x in range(n):
                            wave[x] = complex(wave[x].real * factor[x], wave[x].imag * factor[x])
                error[b] = sums.sum()

    return run


@lru_cache(None)
def compiled_numerator(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_ = number_types(precision)
    waves_type = array_type(complex_, 4)

    @jit(
        types.void(waves_type, waves_type, array_type(complex_, 3, readonly=False), types.int64),
        parallel=parallel,
    )
    def run(waves, probe, numerator, threads):
        batch, modes, n, _ = waves.shape
        for thread in prange(threads):
            for b in range(thread, batch, threads):
                p = min(b, len(probe) - 1)
                for y in range(n):
                    total = numerator[b, y]
                    total[:] = 0
                    for m in range(modes):
                        wave, mode = waves[b, m, y], probe[p, m, y]
                        for x in range(n):
                            total[x] += wave[x] * np.conj(mode[x])

    return run


@lru_cache(None)
def compiled_differences(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_ = number_types(precision)
    inputs = array_type(complex_, 2), array_type(complex_, 4), _CORNERS

    @jit(types.void(array_type(complex_, 4, readonly=False), *inputs, types.int64), parallel=parallel)
    def run(waves, object, probe, corner, threads):
        batch, modes, n, _ = waves.shape
        for thread in prange(threads):
            for b in range(thread, batch, threads):
                p, row, column = min(b, len(probe) - 1), corner[b, 0], corner[b, 1]
                for y in range(n):
                    box = object[row + y, column : column + n]
                    for m in range(modes):
                        wave, mode = waves[b, m, y], probe[p, m, y]
                        for x in range(n):
                            wave[x] = (wave[x] - mode[x] * box[x]) * np.conj(box[x])

    return run


@lru_cache(None)
def compiled_probe_changes(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_ = number_types(precision)
    inputs = array_type(complex_, 4), array_type(complex_, 2), array_type(complex_, 4), _CORNERS

    @jit(types.void(*inputs, array_type(complex_, 3, readonly=False), types.int64), parallel=parallel)
    def run(waves, object, probe, corner, numerator, threads):
        batch, modes, n, _ = waves.shape
        for thread in prange(threads):
            for y in range(thread, n, threads):
                for m in range(modes):
                    total = numerator[m, y]
                    total[:] = 0
                    for b in range(batch):
                        row, column = corner[b, 0], corner[b, 1]
                        box = object[row + y, column : column + n]
                        wave, mode = waves[b, m, y], probe[min(b, len(probe) - 1), m, y]
                        for x in range(n):
                            total[x] += (wave[x] - mode[x] * box[x]) * np.conj(box[x])

    return run


@lru_cache(None)
def compiled_probe_weights(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    inputs = array_type(complex_, 2), _CORNERS, array_type(real, 1), types.float64

    @jit(types.void(*inputs, array_type(real, 2, readonly=False), types.int64), parallel=parallel)
    def run(object, corner, object_peak, beta, weight, threads):
        n = len(weight)
        share = real(1 - beta)
        for thread in prange(threads):
            for y in range(thread, n, threads):
                total = weight[y]
                total[:] = 0
                for b in range(len(corner)):
                    row, column = corner[b, 0], corner[b, 1]
                    box = object[row + y, column : column + n]
                    constant = real(beta * object_peak[b])
                    for x in range(n):
                        total[x] += constant + share * (box[x].real ** 2 + box[x].imag ** 2)

    return run
