"""The Gaussian blur of exponentials, by their logarithms: for scalings that no format holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import types
from numba.core import cgutils

from ._jit import array_type, jit
from ._simd import Simd, Value, simd_kernel
from ._simd_math import exp2_of_sum, log2_parts
from ._sinkhorn_axis import panel_place, panel_width, panels_across
from ._sinkhorn_panels import VECTORS, load_panel, store_panel

__all__ = ["compiled_log_convolution"]


@simd_kernel(0, called=True)
def _log_panel(simd: Simd, n: Value, costs: Value, panel: Value, out: Value) -> None:
    """``out[i] = log Σ_j exp(panel[j] - cost(i - j))``: the largest term, and the sum of the others under it.

    ``costs`` are those of the distances 1 - n … n - 1.
    """
    builder, row = simd.builder, VECTORS * simd.bytes
    minus_infinity = simd.constant(float("-inf"))
    nats, bits = simd.constant(float(np.log(2))), simd.constant(1 / float(np.log(2)))
    cells = [cgutils.alloca_once(builder, simd.vector) for _ in range(VECTORS)]
    with simd.loop(n) as output:
        distance = builder.sub(simd.add_index(n, -1), output.index)
        line = simd.offset(costs, distance, simd.itemsize)
        for cell in cells:
            builder.store(minus_infinity, cell)
        with simd.loop(n) as term:
            cost = simd.broadcast(simd.offset(line, term.index, simd.itemsize))
            at = simd.offset(panel, term.index, row)
            for v, cell in enumerate(cells):
                value = simd.sub(simd.load(at, v * simd.bytes), cost)
                builder.store(simd.maximum(value, builder.load(cell)), cell)
        largest = []
        for cell in cells:
            top = builder.load(cell)
            is_empty = builder.fcmp_ordered("==", top, minus_infinity)
            largest.append(simd.select(is_empty, simd.constant(0.0), top))
            builder.store(simd.constant(0.0), cell)
        with simd.loop(n) as term:
            cost = simd.broadcast(simd.offset(line, term.index, simd.itemsize))
            at = simd.offset(panel, term.index, row)
            for v, cell in enumerate(cells):
                value = simd.sub(simd.sub(simd.load(at, v * simd.bytes), cost), largest[v])
                power = exp2_of_sum(simd, simd.mul(value, bits), simd.constant(0.0))
                builder.store(simd.add(builder.load(cell), power), cell)
        target = simd.offset(out, output.index, row)
        for v, cell in enumerate(cells):
            total = builder.load(cell)
            exponent, log = log2_parts(simd, total)
            result = simd.fma(simd.add(exponent, log), nats, largest[v])
            is_empty = builder.fcmp_ordered("==", total, simd.constant(0.0))
            simd.store(simd.select(is_empty, minus_infinity, result), target, v * simd.bytes)


@lru_cache(None)
def compiled_log_convolution(precision: int) -> Callable[..., None]:
    """Compile ``out = log(K exp(values))`` of lines."""
    real = np.float32 if precision == 32 else np.float64
    item, width = precision // 8, panel_width(precision)
    signature = types.void(
        types.int64, types.int64, array_type(real, 1), *(types.int64,) * 3, array_type(real, 2),
        array_type(real, 1, readonly=False),
    )  # fmt: skip

    @jit(signature)
    def log_convolution(begin, end, values, outer, n, inner, costs, out):
        is_last, stride = int(inner == 1), item * (n if inner == 1 else inner)
        across = panels_across(outer, inner, width)
        panels = np.empty((2, n + 32, width), values.dtype)
        kept = np.zeros(1, np.int64)
        a, b = panels[0].ctypes.data, panels[1].ctypes.data
        for number in range(begin, end):
            k, panel = number // across, number % across
            first, lines = panel_place(panel, outer, n, inner, width)
            place = (k * outer * n * inner + first) * item
            load_panel(precision, is_last, values.ctypes.data + place, stride, n, lines, a)
            _log_panel(precision, n, costs[k].ctypes.data, a, b)
            store_panel(precision, is_last, b, n, lines, out.ctypes.data + place, stride)
        # An address does not keep its array alive
        kept[0] = panels.size

    return log_convolution
