"""Logarithms and powers of two of the vectors of ``_simd.py``, from polynomials with bounded error.

A logarithm is kept in two parts, the exponent (a whole number) and log2 of the mantissa, so that a power of a
number with a large exponent loses nothing: 2^(w (e + l)) from e and l is accurate to a few ulp where
e + l itself would be rounded to |e| ulp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from math import cos, pi

from llvmlite import ir

from ._simd import Simd, Value

__all__ = ["divide", "exp2_of_sum", "log2_parts", "minimum"]


@lru_cache(None)
def _coefficients(name: str, degree: int, low: float, high: float) -> list[float]:
    """Polynomial through a function's values at Chebyshev's points, in 50 digits.

    In double precision the change from these points to powers of x would cost a digit.
    """
    with localcontext() as context:
        context.prec = 50
        angles = [(2 * i + 1) * pi / (2 * degree + 2) for i in range(degree + 1)]
        nodes = [Decimal((low + high) / 2 + (high - low) / 2 * cos(angle)) for angle in angles]
        table = [_FUNCTIONS[name](x) for x in nodes]
        for order in range(1, degree + 1):
            for i in range(degree, order - 1, -1):
                table[i] = (table[i] - table[i - 1]) / (nodes[i] - nodes[i - order])
        powers = [Decimal(0)] * (degree + 1)
        for difference, node in zip(reversed(table), reversed(nodes), strict=True):
            # Horner's rule: powers = powers * (x - node) + difference
            shifted = [Decimal(0), *powers[:-1]]
            powers = [up - node * here for up, here in zip(shifted, powers, strict=True)]
            powers[0] += difference
        return [float(power) for power in powers]


def _log2_series(w: Decimal) -> Decimal:
    root = w.sqrt()
    return ((1 + root) / (1 - root)).ln() / root / Decimal(2).ln()


_FUNCTIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "exp2": lambda x: (x * Decimal(2).ln()).exp(),
    # log2(1 + m) / m, and log2((1 + s) / (1 - s)) / s of w = s²
    "log2": lambda m: (1 + m).ln() / m / Decimal(2).ln(),
    "log2_series": _log2_series,
}

# Degree and interval: errors of 1e-7 and 4e-16, 1e-8 and 1e-17
_LOG2 = {32: ("log2", 9, 0.5**0.5 - 1, 2**0.5 - 1), 64: ("log2_series", 9, 0.0, 0.02944)}
_EXP2 = {32: ("exp2", 6, -0.5, 0.5), 64: ("exp2", 11, -0.5, 0.5)}


class _Format:
    """The bits of a floating-point format."""

    def __init__(self, precision: int) -> None:
        double = precision == 64
        self.mantissa_bits, self.bias = (52, 1023) if double else (23, 127)
        self.root_of_half = 0x3FE6A09E667F3BCD if double else 0x3F3504F3
        # Added to a whole number, the last bits of the sum are that number
        self.shifter = 1.5 * 2.0**self.mantissa_bits
        self.shifter_bits = 0x4338 << 48 if double else 0x4B400000


def _integers(simd: Simd, value: int) -> Value:
    return ir.Constant(simd.integers, [value] * simd.lanes)


def _polynomial(simd: Simd, coefficients: Sequence[float], x: Value) -> Value:
    y = simd.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        y = simd.fma(y, x, simd.constant(coefficient))
    return y


def minimum(simd: Simd, a: Value, b: Value) -> Value:
    """The smaller; ``b`` where ``a`` is NaN."""
    return simd.builder.select(simd.builder.fcmp_ordered("<", a, b), a, b)


def divide(simd: Simd, a: Value, b: Value) -> Value:
    """``a / b``, correctly rounded."""
    return simd.builder.fdiv(a, b)


def log2_parts(simd: Simd, x: Value) -> tuple[Value, Value]:
    """Exponent and log2 of the mantissa in [√½, √2) of positive normal numbers; NaN for NaN and infinity."""
    builder, form = simd.builder, _Format(simd.precision)
    shift = _integers(simd, form.mantissa_bits)
    bits = builder.bitcast(x, simd.integers)
    exponent = builder.ashr(builder.sub(bits, _integers(simd, form.root_of_half)), shift)
    mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, shift)), simd.vector)
    shifted = builder.bitcast(builder.add(exponent, _integers(simd, form.shifter_bits)), simd.vector)
    whole = builder.fsub(shifted, simd.constant(form.shifter))
    above_one = builder.fsub(mantissa, simd.constant(1.0))
    if simd.precision == 32:
        log = builder.fmul(above_one, _polynomial(simd, _coefficients(*_LOG2[32]), above_one))
    else:
        ratio = builder.fdiv(above_one, builder.fadd(mantissa, simd.constant(1.0)))
        log = builder.fmul(ratio, _polynomial(simd, _coefficients(*_LOG2[64]), builder.fmul(ratio, ratio)))
    return whole, builder.fadd(log, builder.fsub(x, x))


def exp2_of_sum(simd: Simd, whole: Value, rest: Value, factor: Value | None = None) -> Value:
    """``2^(factor whole + rest)``, 0 below the smallest normal number; a large product is not rounded.

    NaN stays NaN; infinity where the sum exceeds the format's largest exponent.
    """
    builder, form = simd.builder, _Format(simd.precision)
    factor = simd.constant(1.0) if factor is None else factor
    total = simd.fma(factor, whole, rest)
    low, high = simd.constant(1.0 - form.bias), simd.constant(1.0 + form.bias)
    bounded = minimum(simd, simd.maximum(total, low), high)
    shifted = builder.fadd(bounded, simd.constant(form.shifter))
    nearest = builder.fsub(shifted, simd.constant(form.shifter))
    fraction = builder.fadd(simd.fma(factor, whole, builder.fneg(nearest)), rest)
    mantissa = _polynomial(simd, _coefficients(*_EXP2[simd.precision]), fraction)
    power = builder.shl(
        builder.add(builder.bitcast(shifted, simd.integers), _integers(simd, form.bias)),
        _integers(simd, form.mantissa_bits),
    )
    value = builder.fmul(mantissa, builder.bitcast(power, simd.vector))
    # Above the bounds the fraction is large and positive, the power infinite
    return simd.select(builder.fcmp_ordered("<", total, low), simd.constant(0.0), value)
