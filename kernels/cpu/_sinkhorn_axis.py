"""Passes over the lines of one axis: each reads a panel, works on it in a core's cache, and writes it back.

An array (K, outer, n, inner) has K measures; a pass takes lines of n numbers. Panels are numbered measure by
measure (in ``means`` a panel is one of all measures), and shared among threads by their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from ._jit import array_type, jit
from ._simd import lane_count
from ._sinkhorn_panels import (
    VECTORS,
    convolve_panel,
    divide_panel,
    load_panel,
    mean_panel,
    multiply_panel,
    panel_rows,
    scaling_panel,
    store_panel,
    subnormals,
)

__all__ = [
    "compiled_convolution",
    "compiled_mean",
    "compiled_turn",
    "panel_place",
    "panel_width",
    "panels_across",
]


def panel_width(precision: int) -> int:
    """Lines of a panel."""
    return VECTORS * lane_count(precision)


@jit(internal=True)
def panels_across(outer, inner, width):
    """Panels of a measure."""
    return (outer + width - 1) // width if inner == 1 else outer * ((inner + width - 1) // width)


@jit(internal=True)
def panel_place(panel, outer, n, inner, width):
    """Number of the first element of a panel in its measure, and the lines of the panel."""
    if inner == 1:
        return panel * width * n, min(width, outer - panel * width)
    columns = (inner + width - 1) // width
    column = panel % columns * width
    return panel // columns * n * inner + column, min(width, inner - column)


def _types(precision: int) -> tuple[Any, tuple[Any, ...]]:
    real = np.float32 if precision == 32 else np.float64
    plan = (
        *(array_type(np.int64, 2) for _ in range(3)),
        array_type(real, 1),
        types.int64,
    )
    return real, plan


def _shape_types() -> tuple[Any, ...]:
    return (types.int64,) * 4


@lru_cache(None)
def compiled_convolution(precision: int, divides: bool) -> Callable[..., None]:
    """Compile ``out = K x``, or ``numerators / (K x)``, of lines."""
    real, plan = _types(precision)
    item, width, rows = precision // 8, panel_width(precision), panel_rows(precision)
    given = array_type(real, 1)
    signature = types.void(
        types.int64, types.int64, given, given, *_shape_types(), *plan, array_type(real, 1, readonly=False)
    )

    @jit(signature)
    def convolution(
        begin, end, values, numerators, measures, outer, n, inner, ranges, stages, blocks, taps, longest, out
    ):
        is_last, stride = int(inner == 1), item * (n if inner == 1 else inner)
        across = panels_across(outer, inner, width)
        size = longest + 32
        panels = np.empty((2, size, width), values.dtype)
        kept = np.zeros(1, np.int64)
        a, b = panels[0].ctypes.data, panels[1].ctypes.data
        subnormals(precision, kept.ctypes.data, 1)
        for number in range(begin, end):
            k, panel = number // across, number % across
            first, lines = panel_place(panel, outer, n, inner, width)
            place = (k * outer * n * inner + first) * item
            load_panel(precision, is_last, values.ctypes.data + place, stride, n, lines, a)
            count = ranges[k, 1]
            convolve_panel(
                precision, rows, stages.ctypes.data + 32 * ranges[k, 0], count, blocks.ctypes.data,
                taps.ctypes.data, a, b, a,
            )  # fmt: skip
            result, other = (b, a) if count % 2 else (a, b)
            if divides:
                load_panel(precision, is_last, numerators.ctypes.data + place, stride, n, lines, other)
                divide_panel(precision, 2 * n, other, result)
            store_panel(precision, is_last, result, n, lines, out.ctypes.data + place, stride)
        subnormals(precision, kept.ctypes.data, 0)
        # An address does not keep its array alive
        kept[0] = panels.size

    return convolution


@lru_cache(None)
def compiled_turn(precision: int) -> Callable[..., None]:
    """Compile ``values = K (measures / (K values))`` of lines, in place."""
    real, plan = _types(precision)
    item, width, rows = precision // 8, panel_width(precision), panel_rows(precision)
    signature = types.void(
        types.int64, types.int64, array_type(real, 1), *_shape_types(), *plan,
        array_type(real, 1, readonly=False),
    )  # fmt: skip

    @jit(signature)
    def turn(begin, end, given, measures, outer, n, inner, ranges, stages, blocks, taps, longest, values):
        is_last, stride = int(inner == 1), item * (n if inner == 1 else inner)
        across = panels_across(outer, inner, width)
        size = longest + 32
        panels = np.empty((2, size, width), values.dtype)
        kept = np.zeros(1, np.int64)
        a, b = panels[0].ctypes.data, panels[1].ctypes.data
        subnormals(precision, kept.ctypes.data, 1)
        for number in range(begin, end):
            k, panel = number // across, number % across
            first, lines = panel_place(panel, outer, n, inner, width)
            place = (k * outer * n * inner + first) * item
            plan = stages.ctypes.data + 32 * ranges[k, 0]
            count = ranges[k, 1]
            load_panel(precision, is_last, values.ctypes.data + place, stride, n, lines, a)
            convolve_panel(precision, rows, plan, count, blocks.ctypes.data, taps.ctypes.data, a, b, a)
            result, other = (b, a) if count % 2 else (a, b)
            load_panel(precision, is_last, given.ctypes.data + place, stride, n, lines, other)
            divide_panel(precision, 2 * n, other, result)
            convolve_panel(
                precision, rows, plan, count, blocks.ctypes.data, taps.ctypes.data, result, other, result
            )
            final = other if count % 2 else result
            store_panel(precision, is_last, final, n, lines, values.ctypes.data + place, stride)
        subnormals(precision, kept.ctypes.data, 0)
        kept[0] = panels.size

    return turn


@lru_cache(None)
def compiled_mean(precision: int) -> Callable[..., None]:
    """Compile the barycenter of lines, the scalings that belong to it, and their blur."""
    real, plan = _types(precision)
    item, width, rows = precision // 8, panel_width(precision), panel_rows(precision)
    given = array_type(real, 1)
    written = array_type(real, 1, readonly=False)
    integer = np.uint32 if precision == 32 else np.uint64
    signature = types.void(
        types.int64, types.int64, *_shape_types(), *plan, given, given, given, written,
        written, written, array_type(np.float64, 1, readonly=False), array_type(integer, 3, readonly=False),
    )  # fmt: skip

    # Long, since Numba's disk cache allows no other compiled closure inside: one panel from end to end.
    @jit(signature)
    def means(
        begin, end, measures, outer, n, inner, ranges, stages, blocks, taps, longest,
        numbers, debiasing, previous, values, barycenter, scalings, errors, extremes,
    ):  # fmt: skip
        is_last, stride = int(inner == 1), item * (n if inner == 1 else inner)
        size = longest + 32
        plane = outer * n * inner * item
        panels = np.empty((measures + 2, size, width), values.dtype)
        marginals = np.empty((measures if previous.size else 0, size, width), values.dtype)
        kept = np.zeros(1, np.int64)
        bytes_of_panel = size * width * item
        blurred = panels.ctypes.data
        spare, mean = blurred + measures * bytes_of_panel, blurred + (measures + 1) * bytes_of_panel
        at_marginals = marginals.ctypes.data
        subnormals(precision, kept.ctypes.data, 1)
        for panel in range(begin, end):
            first, lines = panel_place(panel, outer, n, inner, width)
            place = first * item
            for k in range(measures):
                a = blurred + k * bytes_of_panel
                plan, count = stages.ctypes.data + 32 * ranges[k, 0], ranges[k, 1]
                load_panel(precision, is_last, values.ctypes.data + k * plane + place, stride, n, lines, a)
                convolve_panel(
                    precision, rows, plan, count, blocks.ctypes.data, taps.ctypes.data, a, spare, a
                )
                if count % 2:
                    panels[k, :n] = panels[measures, :n]
                if previous.size:
                    a = at_marginals + k * bytes_of_panel
                    load_panel(
                        precision, is_last, previous.ctypes.data + k * plane + place, stride, n, lines, a
                    )
                    multiply_panel(precision, 2 * n, blurred + k * bytes_of_panel, a)
            mean_panel(precision, 2 * n, measures, blurred, bytes_of_panel, numbers.ctypes.data, mean)
            if debiasing.size:
                load_panel(precision, is_last, debiasing.ctypes.data + place, stride, n, lines, spare)
                multiply_panel(precision, 2 * n, spare, mean)
            if lines < width:
                panels[measures + 1, :n, lines:] = 0
            if errors.size:
                total = 0.0
                for i in range(n):
                    for j in range(lines):
                        average, spread = 0.0, 0.0
                        for k in range(measures):
                            average += marginals[k, i, j]
                        average /= measures
                        for k in range(measures):
                            spread += (marginals[k, i, j] - average) ** 2
                        total += np.sqrt(spread / measures)
                errors[panel] = total
            store_panel(precision, is_last, mean, n, lines, barycenter.ctypes.data + place, stride)
            for k in range(measures):
                a = blurred + k * bytes_of_panel
                plan, count = stages.ctypes.data + 32 * ranges[k, 0], ranges[k, 1]
                scaling_panel(precision, 2 * n, mean, a, extremes[panel, k].ctypes.data)
                if scalings.size:
                    store_panel(
                        precision, is_last, a, n, lines, scalings.ctypes.data + k * plane + place, stride
                    )
                convolve_panel(
                    precision, rows, plan, count, blocks.ctypes.data, taps.ctypes.data, a, spare, a
                )
                result = spare if count % 2 else a
                store_panel(
                    precision, is_last, result, n, lines, values.ctypes.data + k * plane + place, stride
                )
        subnormals(precision, kept.ctypes.data, 0)
        kept[0] = panels.size + marginals.size

    return means
