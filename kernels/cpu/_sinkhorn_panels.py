"""Panels: two vectors of lines side by side, in a core's cache, and what is done to them along the lines.

A panel of n numbers a line has n rows of ``2 * lanes`` numbers, one for each line; lines along the last axis
are transposed on the way in and out. Lines that do not fill a panel hold zeros.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ._simd import Simd, Value, lane_count, simd_kernel
from ._simd_math import divide, exp2_of_sum, log2_parts

__all__ = [
    "convolve_panel",
    "divide_panel",
    "emit_products",
    "empty_sums",
    "load_panel",
    "mean_panel",
    "multiply_panel",
    "panel_rows",
    "scaling_panel",
    "store_panel",
    "store_sums",
    "subnormals",
]

# Outputs that are made at a time: with their two vectors each, as many sums as half the registers hold
VECTORS = 2


def panel_rows(precision: int) -> int:
    """Outputs that ``convolve_panel`` makes at a time."""
    return 8 if lane_count(precision) * precision == 512 else 4


def emit_products(
    simd: Simd,
    rows: int,
    taps: Value,
    per_output: Value,
    per_input: Value,
    count: Value,
    x: Value,
    x_stride: int | Value,
    sums: list[list[Value]],
) -> None:
    """Add ``taps[m, j] * x[j]`` over j to ``rows`` lines of sums: addresses, strides in bytes."""
    builder, width = simd.builder, len(sums[0])
    with simd.loop(count) as loop:
        tap = simd.offset(taps, loop.index, per_input)
        at = simd.offset(x, loop.index, x_stride)
        vectors = [simd.load(at, v * simd.bytes) for v in range(width)]
        for m in range(rows):
            factor = simd.broadcast(simd.offset(tap, m, per_output))
            for v in range(width):
                builder.store(simd.fma(factor, vectors[v], builder.load(sums[m][v])), sums[m][v])


def empty_sums(simd: Simd, rows: int, width: int = VECTORS) -> list[list[Value]]:
    """``rows`` × ``width`` vectors of zeros that LLVM keeps in registers."""
    builder = simd.builder
    sums = [[cgutils.alloca_once(builder, simd.vector) for _ in range(width)] for _ in range(rows)]
    for line in sums:
        for cell in line:
            builder.store(simd.constant(0.0), cell)
    return sums


def store_sums(simd: Simd, sums: list[list[Value]], out: Value, out_stride: int | Value) -> None:
    """Store each line of sums, ``out_stride`` bytes after the one before."""
    for m, line in enumerate(sums):
        target = simd.offset(out, m, out_stride)
        for v, cell in enumerate(line):
            simd.store(simd.builder.load(cell), target, v * simd.bytes)


@simd_kernel(1, called=True)
def convolve_panel(
    simd: Simd, rows: int, stages: Value, count: Value, blocks: Value, taps: Value,
    source: Value, first: Value, second: Value,
) -> None:  # fmt: skip
    """A panel times the Gaussian of a plan (``_sinkhorn_plans.py``) of ``count`` stages.

    Its stages write ``first``, ``second``, ``first`` in turn; ``second`` may be ``source``.
    """
    builder, row = simd.builder, VECTORS * simd.bytes
    held = cgutils.alloca_once_value(builder, source)
    with simd.loop(count) as stage:
        header = simd.offset(stages, stage.index, 32)
        length, start, per_output, per_input = (simd.load_integer(header, 8 * i) for i in range(4))
        is_odd = builder.trunc(stage.index, ir.IntType(1))
        target, x = builder.select(is_odd, second, first), builder.load(held)
        table = simd.offset(blocks, start, 24)
        with simd.loop(length) as block:
            entry = simd.offset(table, block.index, 24)
            tap, low, inputs = (simd.load_integer(entry, 8 * i) for i in range(3))
            sums = empty_sums(simd, rows)
            emit_products(
                simd, rows, builder.add(taps, tap), per_output, per_input, inputs,
                simd.offset(x, low, row), row, sums,
            )  # fmt: skip
            store_sums(simd, sums, simd.offset(target, block.index, rows * row), row)
        builder.store(target, held)


def _rows_mask(simd: Simd, row: Value, rows: Value, first: Value, n: Value) -> Value:
    """Lanes ``first + lane < n`` of a line that is one of ``rows``; none of a line that is not."""
    builder = simd.builder
    is_line = builder.icmp_signed("<", row, rows)
    limit = builder.select(is_line, n, ir.Constant(n.type, 0))
    return simd.inside(first, limit)


def _transposed_blocks(simd: Simd, n: Value) -> Any:
    blocks = simd.builder.udiv(simd.add_index(n, simd.lanes - 1), ir.Constant(n.type, simd.lanes))
    return simd.loop(blocks)


@simd_kernel(0, called=True)
def load_panel(
    simd: Simd, is_last: Value, source: Value, stride: Value, n: Value, lines: Value, panel: Value
) -> None:
    """Read ``lines`` lines of ``n`` numbers: side by side, or, ``is_last``, one after another."""
    builder, row = simd.builder, VECTORS * simd.bytes
    with builder.if_else(builder.icmp_signed("!=", is_last, ir.Constant(is_last.type, 0))) as (last, beside):
        with last, _transposed_blocks(simd, n) as block:
            column = simd.offset(ir.Constant(n.type, 0), block.index, simd.lanes)
            for v in range(VECTORS):
                values = []
                for lane in range(simd.lanes):
                    line = ir.Constant(n.type, v * simd.lanes + lane)
                    mask = _rows_mask(simd, line, lines, column, n)
                    at = simd.offset(simd.offset(source, line, stride), column, simd.itemsize)
                    values.append(simd.masked_load(at, mask))
                target = simd.offset(panel, column, row)
                for i, vector in enumerate(simd.transpose(values)):
                    simd.store(vector, target, i * row + v * simd.bytes)
        with beside, simd.loop(n) as line:
            at, target = simd.offset(source, line.index, stride), simd.offset(panel, line.index, row)
            for v in range(VECTORS):
                mask = simd.inside(ir.Constant(n.type, v * simd.lanes), lines)
                simd.store(simd.masked_load(simd.offset(at, v, simd.bytes), mask), target, v * simd.bytes)


@simd_kernel(0, called=True)
def store_panel(
    simd: Simd, is_last: Value, panel: Value, n: Value, lines: Value, target: Value, stride: Value
) -> None:
    """Inverse of ``load_panel``; writes nothing else."""
    builder, row = simd.builder, VECTORS * simd.bytes
    with builder.if_else(builder.icmp_signed("!=", is_last, ir.Constant(is_last.type, 0))) as (last, beside):
        with last, _transposed_blocks(simd, n) as block:
            column = simd.offset(ir.Constant(n.type, 0), block.index, simd.lanes)
            for v in range(VECTORS):
                source = simd.offset(panel, column, row)
                values = [simd.load(source, i * row + v * simd.bytes) for i in range(simd.lanes)]
                for lane, vector in enumerate(simd.transpose(values)):
                    line = ir.Constant(n.type, v * simd.lanes + lane)
                    mask = _rows_mask(simd, line, lines, column, n)
                    at = simd.offset(simd.offset(target, line, stride), column, simd.itemsize)
                    simd.masked_store(vector, at, mask)
        with beside, simd.loop(n) as line:
            source, at = simd.offset(panel, line.index, row), simd.offset(target, line.index, stride)
            for v in range(VECTORS):
                mask = simd.inside(ir.Constant(n.type, v * simd.lanes), lines)
                vector = simd.load(source, v * simd.bytes)
                simd.masked_store(vector, simd.offset(at, v, simd.bytes), mask)


@simd_kernel(0, called=True)
def divide_panel(simd: Simd, vectors: Value, numerator: Value, panel: Value) -> None:
    """``panel = numerator / panel``, 0 where the numerator is 0."""
    with simd.loop(vectors) as loop:
        place = simd.offset(panel, loop.index, simd.bytes)
        above = simd.load(simd.offset(numerator, loop.index, simd.bytes))
        simd.store(_quotient(simd, above, simd.load(place)), place)


def _quotient(simd: Simd, above: Value, below: Value) -> Value:
    is_zero = simd.builder.fcmp_ordered("==", above, simd.constant(0.0))
    return simd.select(is_zero, simd.constant(0.0), divide(simd, above, below))


@simd_kernel(0, called=True)
def multiply_panel(simd: Simd, vectors: Value, factor: Value, panel: Value) -> None:
    """``panel *= factor``; what is 0 stays so, whatever overflowed in the factor."""
    zero = simd.constant(0.0)
    with simd.loop(vectors) as loop:
        place = simd.offset(panel, loop.index, simd.bytes)
        other = simd.load(simd.offset(factor, loop.index, simd.bytes))
        value = simd.load(place)
        is_zero = simd.builder.fcmp_ordered("==", value, zero)
        simd.store(simd.select(is_zero, zero, simd.mul(value, other)), place)


@simd_kernel(0, called=True)
def mean_panel(
    simd: Simd, vectors: Value, count: Value, panels: Value, stride: Value, numbers: Value, out: Value
) -> None:
    """Weighted geometric mean ``Π_k (panel_k + floor)^w_k`` of ``count`` panels, ``stride`` bytes apart.

    ``numbers``: the weights, the floor, the smallest normal number; 0 where a panel with a weight is below
    that.
    """
    builder, zero = simd.builder, ir.Constant(ir.IntType(64), 0)
    floor, tiny = (
        simd.broadcast(simd.offset(numbers, simd.add_index(count, i), simd.itemsize)) for i in (0, 1)
    )
    none, one = simd.constant(0.0), simd.constant(1.0)
    sum_of_weights, base, rest, is_positive = (cgutils.alloca_once(builder, simd.vector) for _ in range(4))
    with simd.loop(vectors) as loop:
        for cell, value in ((sum_of_weights, none), (base, none), (rest, none), (is_positive, one)):
            builder.store(value, cell)
        with simd.loop(count) as k:
            weight = simd.broadcast(simd.offset(numbers, k.index, simd.itemsize))
            place = simd.offset(simd.offset(panels, k.index, stride), loop.index, simd.bytes)
            value = simd.add(simd.load(place), floor)
            is_used = builder.fcmp_ordered("!=", weight, none)
            is_empty = builder.and_(is_used, builder.fcmp_ordered("<", value, tiny))
            builder.store(simd.select(is_empty, none, builder.load(is_positive)), is_positive)
            value = simd.select(is_used, simd.select(is_empty, one, value), one)
            exponent, log = log2_parts(simd, value)
            # Exponents count from that of the first panel, so that large but equal ones are not rounded
            first = builder.select(builder.icmp_unsigned("==", k.index, zero), exponent, builder.load(base))
            builder.store(first, base)
            more = simd.fma(weight, builder.fsub(exponent, first), builder.load(rest))
            builder.store(simd.fma(weight, log, more), rest)
            builder.store(simd.add(builder.load(sum_of_weights), weight), sum_of_weights)
        mean = exp2_of_sum(simd, builder.load(base), builder.load(rest), builder.load(sum_of_weights))
        mean = simd.select(builder.fcmp_ordered("!=", builder.load(is_positive), none), mean, none)
        simd.store(mean, simd.offset(out, loop.index, simd.bytes))


@simd_kernel(0, called=True)
def scaling_panel(simd: Simd, vectors: Value, mean: Value, panel: Value, extremes: Value) -> None:
    """``panel = mean / panel``, 0 where the mean is 0.

    ``extremes``: two vectors of integers, the bits less 1 of the smallest and the bits of the largest so far.
    As integers, zeros are the largest of the first kind, NaN the largest of the second.
    """
    builder = simd.builder
    one = ir.Constant(simd.integers, [1] * simd.lanes)
    no_sign = ir.Constant(simd.integers, [(1 << (simd.precision - 1)) - 1] * simd.lanes)
    places = [simd.pointer(simd.offset(extremes, i, simd.bytes), simd.integers) for i in (0, 1)]
    cells = [cgutils.alloca_once_value(builder, builder.load(place, align=8)) for place in places]
    with simd.loop(vectors) as loop:
        place = simd.offset(panel, loop.index, simd.bytes)
        value = _quotient(simd, simd.load(simd.offset(mean, loop.index, simd.bytes)), simd.load(place))
        simd.store(value, place)
        bits = builder.and_(builder.bitcast(value, simd.integers), no_sign)
        less = builder.sub(bits, one)
        low, high = (builder.load(cell) for cell in cells)
        builder.store(builder.select(builder.icmp_unsigned("<", less, low), less, low), cells[0])
        builder.store(builder.select(builder.icmp_unsigned(">", bits, high), bits, high), cells[1])
    for cell, target in zip(cells, places, strict=True):
        builder.store(builder.load(cell), target, align=8)


@simd_kernel(0)
def subnormals(simd: Simd, place: Value, is_flushed: Value) -> None:
    """Make the processor count subnormal numbers as 0, or restore what ``place`` (8 bytes) kept.

    On x86 an operation on one of them takes over a hundred cycles, and scalings far from all mass are full of
    them.
    """
    if not _is_x86(simd.builder.module):
        return
    builder = simd.builder
    word = ir.IntType(32)
    pointer = builder.inttoptr(place, word.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type])
    store, load = (
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr")
        for name in ("st", "ld")
    )
    with builder.if_then(builder.icmp_signed("!=", is_flushed, ir.Constant(is_flushed.type, 0))):
        builder.call(store, [pointer])
        kept = builder.load(pointer)
        flushed = cgutils.alloca_once_value(builder, builder.or_(kept, ir.Constant(word, 0x8040)))
        builder.call(load, [flushed])
    with builder.if_then(builder.icmp_signed("==", is_flushed, ir.Constant(is_flushed.type, 0))):
        builder.call(load, [pointer])


def _is_x86(module: ir.Module) -> bool:
    """Whether the module's processor is an x86."""
    return module.triple.startswith(("x86_64", "i386", "i686"))
