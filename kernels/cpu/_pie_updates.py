"""The updates of object and probe by a batch (equations 5 and 6) for ``pie.py``.

Each tile of the object, a vector of columns in a few rows, gathers what the boxes over it hold, in their
order: the sums stay in registers, and threads share no pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import prange, types

from ._jit import array_type, jit
from ._pie_blocks import Cell
from ._pie_waves import number_types
from ._simd import Simd, Value, lane_count, simd_kernel

__all__ = ["compiled_object_update", "compiled_probe_update"]


class _Tile:
    """A run of ``LANES`` pixels in a block of ``rows`` rows, and the sums over the boxes that cover them."""

    def __init__(self, simd: Simd, rows: int, start: Value) -> None:
        self.simd, self.rows, self.start = simd, rows, start
        self.sums = [[Cell(simd, simd.constant(0.0)) for _ in range(4)] for _ in range(rows)]

    def add(self, n: Value, box: Value) -> None:
        """Add the part of a box that lies in the tile; ``box`` is its row of the table of boxes."""
        simd, item = self.simd, self.simd.itemsize
        column = simd.builder.sub(self.start, simd.load_integer(box))
        masks = [simd.inside(column, n, part) for part in (None, 0, 1)]
        for row in range(self.rows):
            numerator, power, constant = (simd.load_integer(box, 8 * (1 + 3 * row + i)) for i in range(3))
            light = simd.masked_load(simd.offset(power, column, item), masks[0])
            place = simd.offset(numerator, column, 2 * item)
            line = [simd.masked_load(simd.offset(place, i, simd.bytes), masks[1 + i]) for i in (0, 1)]
            heavy = simd.select(masks[0], simd.broadcast(constant), simd.constant(0.0))
            for total, value in zip(self.sums[row], (*line, light, heavy), strict=True):
                total.set(simd.add(total.get(), value))

    def change(
        self, height: Value, width: Value, object: Value, stride: Value, step: Value, share: Value
    ) -> None:
        """Equation 6: value + step (total - value covered) / weight, where there is a weight."""
        simd = self.simd
        rest = simd.builder.sub(width, self.start)
        for row, sums in enumerate(self.sums):
            *total, covered, constant = (cell.get() for cell in sums)
            weight = simd.fma(share, covered, constant)
            lit = simd.is_positive(weight)
            factor = simd.mul(step, simd.reciprocal(simd.select(lit, weight, simd.constant(1.0))))
            factor = simd.select(lit, factor, simd.constant(0.0))
            factors, lights = simd.interleave((factor, factor)), simd.interleave((covered, covered))
            exists = simd.builder.icmp_signed("<", ir.Constant(height.type, row), height)
            left = simd.builder.select(exists, rest, ir.Constant(rest.type, 0))
            place = simd.offset(simd.offset(object, row, stride), self.start, 2 * simd.itemsize)
            value = simd.load_pair_head(place, left)
            changes = [simd.sub(total[i], simd.mul(value[i], lights[i])) for i in (0, 1)]
            changed = [simd.fma(factors[i], changes[i], value[i]) for i in (0, 1)]
            simd.store_pair_head(changed, place, left)


@simd_kernel(1, called=True)
def _change_rows(
    simd: Simd,
    rows: int,
    height: Value,
    width: Value,
    object: Value,
    stride: Value,
    n: Value,
    boxes: Value,
    count: Value,
    start: Value,
    end: Value,
    numbers: Value,
) -> None:
    """Update columns ``start`` … ``end`` of ``rows`` rows of the object, ``height`` if they are fewer.

    A row of the table ``boxes``, which has ``count``, holds the first column of a box, then for each row of
    the object the addresses of the box's row of the numerator, of the power, and of γ max power; those of
    zeros where it has no row there. ``numbers`` are α and 1 - γ.
    """
    builder = simd.builder
    step, share = simd.broadcast(numbers), simd.broadcast(numbers, simd.itemsize)
    lanes = ir.Constant(start.type, simd.lanes)
    reach = ir.Constant(start.type, simd.lanes - 1)
    tiles = builder.udiv(builder.add(builder.sub(end, start), reach), lanes)
    with simd.loop(tiles) as loop:
        tile = _Tile(simd, rows, builder.add(start, builder.mul(loop.index, lanes)))
        with simd.loop(count) as box_loop:
            box = simd.offset(boxes, box_loop.index, 8 * (1 + 3 * rows))
            past = builder.add(builder.sub(tile.start, simd.load_integer(box)), reach)
            with builder.if_then(builder.icmp_unsigned("<", past, builder.add(n, reach))):
                tile.add(n, box)
        tile.change(height, width, object, stride, step, share)


@lru_cache(None)
def compiled_object_update(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_ = number_types(precision)
    item, lanes = precision // 8, lane_count(precision)
    # the sums of a tile stay in registers: 32 of 64 bytes, else 16 of 32
    rows = lanes * item // 16
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
        blocks = (height + rows - 1) // rows
        for thread in prange(threads):
            zeros = np.empty(2 * n, real)
            zeros[:] = 0
            numbers = np.empty(len(power_peak) + 2, real)
            numbers[0], numbers[1] = alpha, 1.0 - gamma
            for i in range(len(power_peak)):
                numbers[2 + i] = gamma * power_peak[i]
            nothing, at_numbers = zeros.ctypes.data, numbers.ctypes.data
            boxes = np.empty((batch + 1, 1 + 3 * rows), np.int64)
            for block in range(thread, blocks, threads):
                top = block * rows
                start, end, count = width, 0, 0
                for b in range(batch):
                    y = top - corner[b, 0]
                    if not -rows < y < n:
                        continue
                    column, own = corner[b, 1], min(b, len(power) - 1)
                    start, end = min(start, column), max(end, column + n)
                    line = numerator.ctypes.data + (b * n + y) * n * 2 * item
                    light = power.ctypes.data + (own * n + y) * n * item
                    heavy = at_numbers + (2 + own) * item
                    boxes[count, 0] = column
                    for r in range(rows):
                        covers = 0 <= y + r < n
                        boxes[count, 1 + 3 * r] = line + r * n * 2 * item if covers else nothing
                        boxes[count, 2 + 3 * r] = light + r * n * item if covers else nothing
                        boxes[count, 3 + 3 * r] = heavy if covers else nothing
                    count += 1
                place, table = object.ctypes.data + top * pitch, boxes.ctypes.data
                if count:
                    _change_rows(
                        precision, rows, height - top, width, place, pitch, n, table, count, start, end,
                        at_numbers,
                    )  # fmt: skip
            # their last use: Numba frees an array there, whoever holds its address
            boxes[0, 0], zeros[0], numbers[0] = 0, 0, 0

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
