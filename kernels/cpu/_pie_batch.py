"""What the fused projection does once for a batch: memory, the probe before it, the probe's sums after."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from ._fft import block_stride, fft_columns, plan, transpose_blocks
from ._jit import array_type, jit
from ._pie_blocks import (
    add_vectors,
    clear_vectors,
    gather_tiles,
    split_columns,
    store_columns,
    store_maximum,
    store_probe_changes,
    store_weights,
)
from ._pie_waves import number_types
from ._simd import lane_count

__all__ = [
    "Workspace",
    "column_bytes",
    "compiled_finish",
    "compiled_prepare",
    "place_of_result",
    "workspace_types",
]


class Workspace:
    """Memory of ``project``: the probe for all threads, and the planes that each thread works on.

    The planes of a thread are its spectra and sums for each mode, the sum of \\|object\\|², and its shifted
    modes where there are fractions; then two columns, two rows of real vectors, and two columns of scratch.

    Attributes
    ----------
    planes : (bytes,) uint8
        For as many threads as have been asked for so far.
    ramps : (threads, 2, N) C
        Factors of a shift along both axes.
    vectors : (threads, 2, LANES) T
        Maxima of probe and object in each lane.
    totals : (threads, LANES + 1) float64
        Error of the frame in each lane, and Σ β max\\|object\\|².
    numbers : (threads, 2) T
    """

    def __init__(self, modes: int, n: int, precision: int, subpixel: bool) -> None:
        lanes = lane_count(precision)
        plane = n // lanes * block_stride(n, precision)
        self.n, self.precision = n, precision
        self.probe_bytes = modes * plane
        self.thread_bytes = (
            (3 if subpixel else 2) * modes * plane + plane // 2 + 5 * column_bytes(n, precision)
        )
        self.allocate(0)

    def allocate(self, threads: int) -> None:
        """Allocate for a number of threads."""
        real, complex_ = number_types(self.precision)
        lanes = lane_count(self.precision)
        self.planes = np.empty(self.probe_bytes + threads * self.thread_bytes + 64, np.uint8)
        self.ramps = np.empty((threads, 2, self.n), complex_)
        self.vectors = np.empty((threads, 2, lanes), real)
        self.totals = np.empty((threads, lanes + 1))
        self.numbers = np.empty((threads, 2), real)

    def arguments(self, threads: int) -> tuple[Any, ...]:
        """Return what the compiled functions take, as ``workspace_types`` declares it."""
        if len(self.totals) < threads:
            self.allocate(threads)
        return self.planes, self.thread_bytes, self.ramps, self.vectors, self.totals, self.numbers


def workspace_types(precision: int) -> tuple[Any, ...]:
    """Numba's types of the arguments that a workspace stands for."""
    real, complex_ = number_types(precision)
    return (
        array_type(np.uint8, 1, readonly=False),
        types.int64,
        array_type(complex_, 3, readonly=False),
        array_type(real, 3, readonly=False),
        array_type(np.float64, 2, readonly=False),
        array_type(real, 2, readonly=False),
    )


def column_bytes(n: int, precision: int) -> int:
    """Bytes of a block of columns."""
    return n * 2 * lane_count(precision) * precision // 8


def place_of_result(n: int, precision: int) -> int:
    """Bytes from the scratch memory of a column FFT to where its last pass may work in place."""
    return column_bytes(n, precision) if len(plan(n, precision) or ()) == 3 else 0


@lru_cache(None)
def compiled_prepare(n: int, precision: int, subpixel: int) -> Callable[..., Any]:
    """Compile what comes before the positions: (probe, power, power_peak, workspace…).

    The modes as blocks of columns and their intensity, or, with fractions of a pixel, their spectra over N²
    as blocks of rows.
    """
    lanes = lane_count(precision)
    item = precision // 8
    row = 2 * lanes * item
    pitch = 2 * item * n
    across = n // lanes
    tile = lanes * row
    block = block_stride(n, precision)
    plane = across * block
    scratch_bytes = 2 * column_bytes(n, precision)
    turn = place_of_result(n, precision)
    real, complex_ = number_types(precision)
    outputs = array_type(real, 3, readonly=False), array_type(real, 1, readonly=False)

    @jit(types.void(array_type(complex_, 3), *outputs, *workspace_types(precision)))
    def prepare(probe, power, power_peak, planes, thread_bytes, ramps, vectors, totals, numbers):
        modes = len(probe)
        start = (planes.ctypes.data + 63) // 64 * 64
        scratch = start + modes * plane + thread_bytes - scratch_bytes
        done = scratch + turn
        numbers[0, 0] = 1.0 / (n * n)
        at_peak = vectors.ctypes.data
        clear_vectors(precision, 1, at_peak)
        for m in range(modes):
            at, source = start + m * plane, probe[m].ctypes.data
            for x in range(across):
                if subpixel:
                    fft_columns(precision, n, -1, 1, source + x * row, pitch, done, scratch)
                    factor = numbers.ctypes.data
                    transpose_blocks(precision, 0, 1, across, done, at + x * tile, block, row, factor)
                else:
                    to = power.ctypes.data + x * lanes * item
                    first = 1 if m == 0 else 0
                    split_columns(precision, n, source + x * row, pitch, at + x * block, first, to, at_peak)
            if subpixel:
                for y in range(across):
                    place = at + y * block
                    fft_columns(precision, n, -1, 0, place, row, place, scratch)
        if not subpixel:
            store_maximum(precision, at_peak, power_peak.ctypes.data)

    return prepare


@lru_cache(None)
def compiled_finish(n: int, precision: int, subpixel: int) -> Callable[..., Any]:
    """Compile what comes after: (beta, probe_numerator, probe_weight, workspace…, threads).

    The sums of all threads, in their order, give the numerator and the denominator of equation 5.
    """
    lanes = lane_count(precision)
    item = precision // 8
    row = 2 * lanes * item
    across = n // lanes
    tile = lanes * row
    block = block_stride(n, precision)
    plane = across * block
    scratch_bytes = 2 * column_bytes(n, precision)
    turn = place_of_result(n, precision)
    real, complex_ = number_types(precision)
    outputs = array_type(complex_, 3, readonly=False), array_type(real, 2, readonly=False)

    @jit(types.void(types.float64, *outputs, *workspace_types(precision), types.int64))
    def finish(
        beta, probe_numerator, probe_weight, planes, thread_bytes, ramps, vectors, totals, numbers, threads
    ):
        modes = len(probe_numerator)
        start = (planes.ctypes.data + 63) // 64 * 64
        sums = start + 2 * modes * plane
        light = sums + modes * plane
        scratch = start + modes * plane + thread_bytes - scratch_bytes
        done = scratch + turn
        constant = totals[0, lanes]
        for thread in range(1, threads):
            constant += totals[thread, lanes]
            # the sum of |object|² follows those of the modes
            vectors_to_add = (modes * plane + plane // 2) // (lanes * item)
            add_vectors(precision, vectors_to_add, sums + thread * thread_bytes, sums)
        numbers[0, 0], numbers[0, 1] = constant, 1.0 - beta
        for x in range(across):
            to = probe_weight.ctypes.data + x * lanes * item
            store_weights(precision, n, light + x * block // 2, numbers.ctypes.data, to)
        for m in range(modes):
            at, target = sums + m * plane, probe_numerator[m].ctypes.data
            if subpixel:
                for y in range(across):
                    place = at + y * block
                    fft_columns(precision, n, 1, 0, place, row, place, scratch)
            for x in range(across):
                if subpixel:
                    column = scratch - scratch_bytes
                    gather_tiles(precision, n, at + x * tile, block, column)
                    fft_columns(precision, n, 1, 0, column, row, done, scratch)
                    store_columns(precision, n, 1, done, target + x * row)
                else:
                    place, mode = at + x * block, start + m * plane + x * block
                    store_probe_changes(precision, n, place, mode, light + x * block // 2, target + x * row)

    return finish
