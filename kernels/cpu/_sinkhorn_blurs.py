"""Blurs of parts of a cube that lies as it is: down or along its rows, and along its bands."""

from __future__ import annotations

from llvmlite import ir

from ._simd import Simd, Value, simd_kernel
from ._sinkhorn_panels import VECTORS, emit_products, empty_sums, store_sums

__all__ = ["blur", "blur_bands"]


def _smaller(simd: Simd, a: Value, b: Value) -> Value:
    return simd.builder.select(simd.builder.icmp_signed("<", a, b), a, b)


def _larger(simd: Simd, a: Value, b: Value) -> Value:
    return simd.builder.select(simd.builder.icmp_signed(">", a, b), a, b)


@simd_kernel(2, called=True)
def blur(
    simd: Simd, rows: int, ahead: int, groups: Value, taps: Value, radius: Value, start: Value, size: Value,
    x: Value, x_stride: Value, out: Value, out_stride: Value,
) -> None:  # fmt: skip
    """Blur of the places from ``start`` to ``start + rows - 1`` of ``size``; ``out`` gets those.

    A place holds ``groups`` pairs of vectors. ``taps`` is the address of the tap of distance 0, with zeros
    beyond the radius; ``ahead``: how many bytes after each input will be wanted soon, 0 for none.
    """
    builder = simd.builder
    integer = start.type
    low = _larger(simd, builder.sub(start, radius), ir.Constant(integer, 0))
    reach = builder.add(simd.add_index(start, rows), radius)
    count = builder.sub(_smaller(simd, reach, size), low)
    tap = simd.offset(taps, builder.sub(low, start), simd.itemsize)
    wanted = simd.add_index(builder.shl(radius, ir.Constant(integer, 1)), rows)
    is_inside = builder.and_(
        builder.icmp_signed("==", count, wanted),
        builder.icmp_signed(">=", wanted, ir.Constant(integer, 2 * rows)),
    )
    source = simd.offset(x, low, x_stride)
    with builder.if_else(is_inside) as (inside, beside):
        with inside, simd.loop(groups) as group:
            at, to = (simd.offset(a, group.index, VECTORS * simd.bytes) for a in (source, out))
            _banded(simd, rows, ahead, tap, radius, at, x_stride, to, out_stride)
        with beside, simd.loop(groups) as group:
            at, to = (simd.offset(a, group.index, VECTORS * simd.bytes) for a in (source, out))
            sums = empty_sums(simd, rows)
            step = ir.Constant(integer, simd.itemsize)
            emit_products(simd, rows, tap, builder.neg(step), step, count, at, x_stride, sums)
            store_sums(simd, sums, to, out_stride)


def _banded(
    simd: Simd, rows: int, ahead: int, taps: Value, radius: Value, x: Value, x_stride: Value, out: Value,
    out_stride: Value,
) -> None:  # fmt: skip
    """``out[m] = Σ_t taps[t] x[m + t]``, t from 0 to ``2 radius``: no product with a 0."""
    builder = simd.builder
    sums = empty_sums(simd, rows)

    def add_input(j: int | Value, outputs: range) -> None:
        at, tap = simd.offset(x, j, x_stride), simd.offset(taps, j, simd.itemsize)
        for line in range(0, VECTORS * simd.bytes if ahead else 0, 64):
            simd.prefetch(simd.offset(at, 1, ahead + line))
        vectors = [simd.load(at, v * simd.bytes) for v in range(VECTORS)]
        for m in outputs:
            factor = simd.broadcast(tap, -m * simd.itemsize)
            for v in range(VECTORS):
                builder.store(simd.fma(factor, vectors[v], builder.load(sums[m][v])), sums[m][v])

    for j in range(rows - 1):
        add_input(j, range(j + 1))
    last = simd.add_index(builder.shl(radius, ir.Constant(radius.type, 1)), 1)
    with simd.loop(simd.add_index(last, 1 - rows)) as loop:
        add_input(simd.add_index(loop.index, rows - 1), range(rows))
    for i in range(rows - 1):
        add_input(simd.add_index(last, i), range(i + 1, rows))
    store_sums(simd, sums, out, out_stride)


@simd_kernel(2, called=True)
def blur_bands(
    simd: Simd, rows: int, width: int, padded: Value, bands: Value, reach: Value, taps: Value, x: Value,
    out: Value,
) -> None:  # fmt: skip
    """Blur along the bands of ``rows`` pixels, ``width`` vectors at a time.

    ``taps`` is the address of the tap of distance 0; there are those of all distances up to ``padded``.
    """
    builder = simd.builder
    pixel = builder.mul(padded, ir.Constant(padded.type, simd.itemsize))
    step = ir.Constant(padded.type, simd.itemsize)
    lanes = width * simd.lanes
    with simd.loop(builder.udiv(padded, ir.Constant(padded.type, lanes))) as group:
        first = simd.offset(ir.Constant(padded.type, 0), group.index, lanes)
        low = _larger(simd, builder.sub(first, reach), ir.Constant(padded.type, 0))
        count = builder.sub(_smaller(simd, builder.add(simd.add_index(first, lanes), reach), bands), low)
        sums = empty_sums(simd, rows, width)
        # Here the pixels are the factors, and the taps of a band for all others the vectors
        line = simd.offset(taps, builder.sub(first, low), simd.itemsize)
        emit_products(
            simd, rows, simd.offset(x, low, simd.itemsize), pixel, step, count, line, -simd.itemsize, sums
        )
        store_sums(simd, sums, simd.offset(out, first, simd.itemsize), pixel)
