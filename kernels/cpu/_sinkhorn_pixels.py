"""What the fused iteration does to the pixels of a block: quotients, geometric means and new scalings."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from ._simd import Simd, Value, simd_kernel
from ._simd_math import exp2_of_sum, log2_parts

__all__ = ["divide_block", "means_of_pixels"]


@simd_kernel(0, called=True)
def divide_block(simd: Simd, vectors: Value, numerator: Value, denominator: Value, out: Value) -> None:
    """``out = numerator / denominator``, 0 where the numerator is 0."""
    with simd.loop(vectors) as loop:
        above, below, place = (simd.offset(a, loop.index, simd.bytes) for a in (numerator, denominator, out))
        value = simd.load(above)
        is_zero = simd.builder.fcmp_ordered("==", value, simd.constant(0.0))
        quotient = simd.builder.fdiv(value, simd.load(below))
        simd.store(simd.select(is_zero, simd.constant(0.0), quotient), place)


def _bitwise(simd: Simd, name: str, a: Value, b: Value) -> Value:
    """``umin`` or ``umax`` of non-negative numbers by their bits: NaN counts as the largest."""
    kind, builder = simd.integers, simd.builder
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind, kind]),
        f"llvm.{name}.v{simd.lanes}i{simd.precision}",
    )
    bits = builder.call(function, [builder.bitcast(a, kind), builder.bitcast(b, kind)])
    return builder.bitcast(bits, simd.vector)


def _reduced(simd: Simd, name: str, value: Value) -> Value:
    """The bits of the least or largest lane."""
    kind = simd.integers
    function = cgutils.get_or_insert_function(
        simd.builder.module,
        ir.FunctionType(kind.element, [kind]),
        f"llvm.vector.reduce.{name}.v{simd.lanes}i{simd.precision}",
    )
    return simd.builder.call(function, [simd.builder.bitcast(value, kind)])


def _ratio(simd: Simd, a: Value, b: Value) -> Value:
    """``a / b``, to 2 ulp in single precision, where the processor's division is the slower way."""
    return simd.mul(a, simd.reciprocal(b)) if simd.precision == 32 else simd.builder.fdiv(a, b)


@simd_kernel(2, called=True)
def means_of_pixels(
    simd: Simd, mixed: int, is_kept: int, pixels: Value, vectors: Value, bands: Value, weight: Value,
    gauge: Value, k_m: Value, k_h: Value, u_m: Value, u_h: Value, fused: Value, least: Value, most: Value,
    span: Value,
) -> None:  # fmt: skip
    """Geometric means and new scalings of the pixels of a block; with ``mixed``, u_m and k_m are doubles.

    From the ratio of the marginals, w = (p_M / p_H)^λ: f = p_H w, u_H grows by w and u_M by f / p_M.
    """
    builder = simd.builder
    wide = Simd(builder, 64, simd.lanes) if mixed else simd
    factor = simd.broadcast(weight)
    top, bottom = (cgutils.alloca_once(builder, wide.vector) for _ in range(2))
    row, row_m = (
        builder.mul(vectors, ir.Constant(bands.type, simd.bytes)),
        builder.mul(vectors, ir.Constant(bands.type, wide.bytes)),
    )

    def blend(index: Value, of_pixel: Value, of_pixel_m: Value, is_band: Value = None) -> None:
        """One vector of bands; with a mask, what is not a band becomes 1 and takes no part."""
        at_m, at_km = (wide.offset(builder.add(a, of_pixel_m), index, wide.bytes) for a in (u_m, k_m))
        at_h, at_kh, at_f = (
            simd.offset(builder.add(a, of_pixel), index, simd.bytes) for a in (u_h, k_h, fused)
        )
        at_gauge, at_least, at_most = (simd.offset(a, index, simd.bytes) for a in (gauge, least, most))
        scaling_m, scaling_h = wide.load(at_m), simd.load(at_h)
        marginal_m = builder.fmul(scaling_m, wide.load(at_km))
        if mixed:
            marginal_m = builder.fptrunc(marginal_m, simd.vector)
        marginal_h = builder.fmul(scaling_h, simd.load(at_kh))
        exponent, log = log2_parts(simd, _ratio(simd, marginal_m, marginal_h))
        growth = exp2_of_sum(simd, exponent, builder.fmul(factor, log), factor)
        mean = builder.fmul(marginal_h, growth)
        ratio = _ratio(simd, mean, marginal_m)
        new_m = high = low = builder.fmul(scaling_m, builder.fpext(ratio, wide.vector) if mixed else ratio)
        new_h = builder.fmul(builder.fmul(scaling_h, growth), simd.load(at_gauge))
        if is_band is not None:
            mean, new_h = (simd.select(is_band, value, simd.constant(1.0)) for value in (mean, new_h))
            new_m, high, low = (
                wide.select(is_band, new_m, wide.constant(other)) for other in (1.0, 0.0, float("inf"))
            )
        if is_kept:
            simd.store(mean, at_f)
        wide.store(new_m, at_m)
        simd.store(new_h, at_h)
        simd.store(_bitwise(simd, "umin", simd.load(at_least), new_h), at_least)
        simd.store(_bitwise(simd, "umax", simd.load(at_most), new_h), at_most)
        builder.store(_bitwise(wide, "umax", builder.load(top), high), top)
        builder.store(_bitwise(wide, "umin", builder.load(bottom), low), bottom)

    with simd.loop(pixels) as pixel:
        of_pixel, of_pixel_m = builder.mul(pixel.index, row), builder.mul(pixel.index, row_m)
        builder.store(wide.constant(0.0), top)
        builder.store(wide.constant(float("inf")), bottom)
        whole = builder.udiv(bands, ir.Constant(bands.type, simd.lanes))
        with simd.loop(whole) as loop:
            blend(loop.index, of_pixel, of_pixel_m)
        with simd.loop(builder.sub(vectors, whole)) as loop:
            index = builder.add(whole, loop.index)
            first = simd.offset(ir.Constant(bands.type, 0), index, simd.lanes)
            blend(index, of_pixel, of_pixel_m, simd.inside(first, bands))
        largest, smallest = (
            _reduced(wide, "umax", builder.load(top)),
            _reduced(wide, "umin", builder.load(bottom)),
        )
        _update_span(wide, largest, smallest, span)
        # Twice the bias less the exponent: a power of two
        mantissa_bits, bias = (52, 1023) if wide.precision == 64 else (23, 127)
        masked = builder.and_(largest, ir.Constant(largest.type, (2 * bias + 1) << mantissa_bits))
        power = builder.sub(ir.Constant(largest.type, (2 * bias) << mantissa_bits), masked)
        scale = wide.splat(builder.bitcast(power, wide.scalar), wide.scalar)
        with simd.loop(vectors) as loop:
            place = wide.offset(builder.add(u_m, of_pixel_m), loop.index, wide.bytes)
            wide.store(builder.fmul(wide.load(place), scale), place)


def _update_span(wide: Simd, largest: Value, smallest: Value, span: Value) -> None:
    """``span = max(span, largest / smallest)`` of the bits of two scalars; NaN stays."""
    builder = wide.builder
    place = wide.pointer(span, wide.scalar)
    ratio = builder.fdiv(builder.bitcast(largest, wide.scalar), builder.bitcast(smallest, wide.scalar))
    held = builder.load(place)
    builder.store(builder.select(builder.fcmp_ordered("<=", ratio, held), held, ratio), place)
