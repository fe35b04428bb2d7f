"""The updates of object and probe by a batch (equations 5 and 6) for ``pie.py``.

Each row of the object gathers what the boxes over it hold, so threads share no pixel. Boxes are sorted by
their first column; where one is alone, its pixels are changed at once; boxes that overlap are summed first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import prange, types

from ._jit import array_type, jit
from ._pie_waves import number_types
from ._simd import Simd, Value, lane_count, simd_kernel

__all__ = ["compiled_object_update", "compiled_probe_update"]


class _Pixels:
    """A run of pixels of one row: whole vectors, or the last ones of the row."""

    def __init__(self, simd: Simd, first: Value, left: Value | None) -> None:
        self.simd, self.first, self.left = simd, first, left

    def real(self, address: Value) -> Value:
        place = self.simd.offset(address, self.first, self.simd.itemsize)
        return self.simd.load(place) if self.left is None else self.simd.load_head(place, self.left)

    def pair(self, address: Value) -> Sequence[Value]:
        simd = self.simd
        place = simd.offset(address, self.first, 2 * simd.itemsize)
        if self.left is None:
            return simd.load(place), simd.load(place, simd.bytes)
        return simd.load_pair_head(place, self.left)

    def fetch(self, address: Value, stride: Value, size: int) -> None:
        """Ask for the same pixels of the next row, ``stride`` bytes on, ``size`` bytes each."""
        simd = self.simd
        place = simd.offset(simd.builder.add(address, stride), self.first, size)
        for part in range(max(1, size * simd.lanes // 64)):
            simd.prefetch(simd.offset(place, part, 64))

    def store_real(self, value: Value, address: Value) -> None:
        place = self.simd.offset(address, self.first, self.simd.itemsize)
        if self.left is None:
            self.simd.store(value, place)
        else:
            self.simd.store_head(value, place, self.left)

    def store_pair(self, values: Sequence[Value], address: Value) -> None:
        simd = self.simd
        place = simd.offset(address, self.first, 2 * simd.itemsize)
        if self.left is None:
            for half in (0, 1):
                simd.store(values[half], place, half * simd.bytes)
        else:
            simd.store_pair_head(values, place, self.left)


def _each_run(simd: Simd, count: Value, body: Callable[[_Pixels], None]) -> None:
    builder, lanes = simd.builder, ir.Constant(count.type, simd.lanes)
    whole = builder.udiv(count, lanes)
    with simd.loop(whole) as loop:
        body(_Pixels(simd, builder.mul(loop.index, lanes), None))
    done = builder.mul(whole, lanes)
    left = builder.sub(count, done)
    with builder.if_then(builder.icmp_signed(">", left, ir.Constant(count.type, 0))):
        body(_Pixels(simd, done, left))


def _changed(
    simd: Simd,
    step: Value,
    value: Sequence[Value],
    total: Sequence[Value],
    covered: Value,
    weight: Value,
) -> list[Value]:
    """Equation 6: value + step (total - value covered) / weight, where there is a weight."""
    lit = simd.is_positive(weight)
    factor = simd.mul(step, simd.reciprocal(simd.select(lit, weight, simd.constant(1.0))))
    factor = simd.select(lit, factor, simd.constant(0.0))
    factors, lights = simd.interleave((factor, factor)), simd.interleave((covered, covered))
    changes = [simd.sub(total[i], simd.mul(value[i], lights[i])) for i in (0, 1)]
    return [simd.fma(factors[i], changes[i], value[i]) for i in (0, 1)]


def _numbers(simd: Simd, address: Value) -> list[Value]:
    return [simd.broadcast(address, i * simd.itemsize) for i in range(3)]


def _bytes(simd: Simd, count: Value, size: int) -> Value:
    return simd.builder.mul(count, ir.Constant(count.type, size))


@simd_kernel(0, called=True)
def _change_alone(
    simd: Simd,
    count: Value,
    object: Value,
    stride: Value,
    numerator: Value,
    power: Value,
    numbers: Value,
) -> None:
    """Update pixels that one box covers; numbers are α, γ max power, 1 - γ."""
    step, constant, share = _numbers(simd, numbers)
    item = simd.itemsize
    pitch, real_pitch = _bytes(simd, count, 2 * item), _bytes(simd, count, item)

    def body(pixels: _Pixels) -> None:
        pixels.fetch(object, stride, 2 * item)
        pixels.fetch(numerator, pitch, 2 * item)
        pixels.fetch(power, real_pitch, item)
        light = pixels.real(power)
        weight = simd.fma(share, light, constant)
        value, total = pixels.pair(object), pixels.pair(numerator)
        pixels.store_pair(_changed(simd, step, value, total, light, weight), object)

    _each_run(simd, count, body)


@simd_kernel(0, called=True)
def _add_box(
    simd: Simd,
    count: Value,
    numerator: Value,
    power: Value,
    numbers: Value,
    total: Value,
    covered: Value,
    weight: Value,
) -> None:
    """Add what a row of a box gives to the sums."""
    _, constant, share = _numbers(simd, numbers)
    item = simd.itemsize
    pitch, real_pitch = _bytes(simd, count, 2 * item), _bytes(simd, count, item)

    def body(pixels: _Pixels) -> None:
        pixels.fetch(numerator, pitch, 2 * item)
        pixels.fetch(power, real_pitch, item)
        light, line, sums = pixels.real(power), pixels.pair(numerator), pixels.pair(total)
        pixels.store_pair([simd.add(sums[i], line[i]) for i in (0, 1)], total)
        pixels.store_real(simd.add(pixels.real(covered), light), covered)
        heavy = simd.add(pixels.real(weight), simd.fma(share, light, constant))
        pixels.store_real(heavy, weight)

    _each_run(simd, count, body)


@simd_kernel(0, called=True)
def _change_summed(
    simd: Simd,
    count: Value,
    object: Value,
    stride: Value,
    total: Value,
    covered: Value,
    weight: Value,
    numbers: Value,
) -> None:
    """Update pixels from the sums."""
    step, *_ = _numbers(simd, numbers)

    def body(pixels: _Pixels) -> None:
        pixels.fetch(object, stride, 2 * simd.itemsize)
        value, sums = pixels.pair(object), pixels.pair(total)
        light, heavy = pixels.real(covered), pixels.real(weight)
        pixels.store_pair(_changed(simd, step, value, sums, light, heavy), object)

    _each_run(simd, count, body)


@lru_cache(None)
def compiled_object_update(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    item, lanes = precision // 8, lane_count(precision)
    inputs = array_type(np.int64, 2), array_type(complex_, 3), array_type(real, 3), array_type(real, 1)

    @jit(
        types.void(
            array_type(complex_, 2, readonly=False), *inputs, types.float64, types.float64, types.int64
        ),
        parallel=parallel,
    )
    def run(object, corner, numerator, power, power_peak, alpha, gamma, threads):
        height, width = object.shape
        batch, n, _ = numerator.shape
        pitch = width * 2 * item
        for thread in prange(threads):
            sums = np.empty((4, width + lanes), real)
            at_total = sums[0].ctypes.data
            at_covered, at_weight = sums[2].ctypes.data, sums[3].ctypes.data
            boxes = np.empty(batch, np.int64)
            numbers = np.empty(3, real)
            at_numbers = numbers.ctypes.data
            numbers[0], numbers[2] = alpha, 1.0 - gamma
            for row in range(thread, height, threads):
                count = 0
                for b in range(batch):
                    if 0 <= row - corner[b, 0] < n:
                        place = count
                        while place > 0 and corner[boxes[place - 1], 1] > corner[b, 1]:
                            boxes[place] = boxes[place - 1]
                            place -= 1
                        boxes[place] = b
                        count += 1
                i = 0
                while i < count:
                    first = i
                    start = corner[boxes[i], 1]
                    end = start + n
                    i += 1
                    while i < count and corner[boxes[i], 1] < end:
                        end = corner[boxes[i], 1] + n
                        i += 1
                    place = object.ctypes.data + row * pitch + start * 2 * item
                    if i - first > 1:
                        sums.reshape(-1)[: 2 * (end - start)] = 0
                        sums[2, : end - start] = 0
                        sums[3, : end - start] = 0
                    for k in range(first, i):
                        b = boxes[k]
                        own, shift = min(b, len(power) - 1), corner[b, 1] - start
                        y = row - corner[b, 0]
                        numbers[1] = gamma * power_peak[own]
                        line, light = numerator[b, y].ctypes.data, power[own, y].ctypes.data
                        if i - first == 1:
                            _change_alone(precision, n, place, pitch, line, light, at_numbers)
                        else:
                            _add_box(
                                precision, n, line, light, at_numbers, at_total + shift * 2 * item,
                                at_covered + shift * item, at_weight + shift * item,
                            )  # fmt: skip
                    if i - first > 1:
                        _change_summed(
                            precision, end - start, place, pitch, at_total, at_covered, at_weight, at_numbers
                        )
            # their last use: Numba frees an array there, whoever holds its address
            sums[0, 0], numbers[0] = 0, 0

    return run


@lru_cache(None)
def compiled_probe_update(precision: int, parallel: bool) -> Callable[..., None]:
    real, _ = number_types(precision)
    inputs = array_type(real, 3), array_type(real, 2), types.float64, types.int64

    # Complex arrays come as real ones of twice the length: LLVM vectorises their products with real ones so.
    @jit(
        types.void(array_type(real, 3, readonly=False), *inputs),
        parallel=parallel,
        fastmath={"arcp", "contract", "nsz"},
    )
    def run(probe, numerator, weight, alpha, threads):
        n = len(weight)
        step = real(alpha)
        for thread in prange(threads):
            factor = np.empty(n, real)
            for y in range(thread, n, threads):
                heavy = weight[y]
                for x in range(n):
                    factor[x] = step / heavy[x] if heavy[x] > real(0) else real(0)
                for m in range(len(probe)):
                    mode, change = probe[m, y], numerator[m, y]
                    for x in range(n):
                        mode[2 * x] += factor[x] * change[2 * x]
                        mode[2 * x + 1] += factor[x] * change[2 * x + 1]

    return run
